/** A source of batches of records. A record is a captured frame with its time. */
export interface RecordSource {
  /** The batch's buffer, and a view of the same bytes. They may change with each batch. */
  readonly bytes: Uint8Array;
  readonly view: DataView;

  /** Moves on to the batch's next record. False: the batch has ended. */
  next(): boolean;

  /** The record's frame: `length` bytes at `offset`, with this link type. */
  readonly offset: number;
  readonly length: number;
  readonly linkType: number;
  /** Milliseconds since 1970, with fractions. */
  readonly timestampMs: number;
}

/** A source that is waited for: a savefile. */
export interface WaitingSource extends RecordSource {
  /** How many bytes of the files were read so far, as they are on disk. */
  readonly position: number;
  /** Resolves when there is another batch; with false at the end. Rejects with RefusalError. */
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

/** The longest frame in a savefile: libpcap's MAXIMUM_SNAPLEN. */
export const SNAPSHOT_BYTES_MAX = 262_144;
