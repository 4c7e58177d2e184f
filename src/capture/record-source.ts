/** What capturing yields: batches of records, each a captured frame with its time. */
export interface RecordSource {
  /** The batch's buffer, and the same bytes as a view. They may be others after each batch. */
  readonly bytes: Uint8Array;
  readonly view: DataView;

  /** Moves on to the batch's next record. False: the batch is at its end. */
  next(): boolean;

  /** The record's frame lies at `offset`, `length` bytes of it, of which the link type is `linkType`. */
  readonly offset: number;
  readonly length: number;
  readonly linkType: number;
  /** Milliseconds since 1970, with fractions. */
  readonly timestampMs: number;
}

/** A source that is read on by waiting for it: savefiles. */
export interface WaitingSource extends RecordSource {
  /** Bytes read so far, of files as they are. */
  readonly position: number;
  /** Resolves when there is another batch; false: it is at its end. Rejects with RefusalError. */
  fill(): Promise<boolean>;
  close(): void;
}

/** A source that passes on the records of another one. */
export abstract class PassedSource<Source extends WaitingSource> implements WaitingSource {
  abstract readonly timestampMs: number;

  constructor(protected source: Source) {}

  get bytes(): Uint8Array {
    return this.source.bytes;
  }

  get view(): DataView {
    return this.source.view;
  }

  get offset(): number {
    return this.source.offset;
  }

  get length(): number {
    return this.source.length;
  }

  get linkType(): number {
    return this.source.linkType;
  }

  get position(): number {
    return this.source.position;
  }

  close(): void {
    this.source.close();
  }

  abstract next(): boolean;
  abstract fill(): Promise<boolean>;
}

/** No savefile holds longer frames: libpcap's MAXIMUM_SNAPLEN. */
export const SNAPSHOT_BYTES_MAX = 262_144;
