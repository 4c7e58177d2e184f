/** Records in memory, as a batch of a capture. The buffer is used again for each batch, like a real one. */
import type { RecordSource } from "../../src/capture/record-source.ts";

export interface MemoryRecord {
  readonly bytes: Uint8Array;
  readonly timestampMs: number;
}

/** Room between records, so that a read outside of a record is noticed. */
const GAP_BYTES = 32;
const SCRIBBLE = 0xee;

export class MemorySource implements RecordSource {
  bytes: Uint8Array = new Uint8Array(1 << 16).fill(SCRIBBLE);
  view = new DataView(this.bytes.buffer);
  offset = 0;
  length = 0;
  timestampMs = 0;
  private places: { offset: number; length: number; timestampMs: number }[] = [];
  private index = 0;

  constructor(readonly linkType: number) {}

  fill(records: readonly MemoryRecord[]): void {
    const needed = records.reduce((sum, { bytes }) => sum + bytes.length + GAP_BYTES, GAP_BYTES);
    if (needed > this.bytes.length) {
      this.bytes = new Uint8Array(needed * 2).fill(SCRIBBLE);
      this.view = new DataView(this.bytes.buffer);
    }
    let offset = GAP_BYTES;
    this.places = records.map(({ bytes, timestampMs }) => {
      this.bytes.set(bytes, offset);
      const place = { offset, length: bytes.length, timestampMs };
      offset += bytes.length + GAP_BYTES;
      return place;
    });
    this.index = 0;
  }

  next(): boolean {
    const place = this.places[this.index++];
    if (place === undefined) return false;
    ({ offset: this.offset, length: this.length, timestampMs: this.timestampMs } = place);
    return true;
  }

  /** Overwrites the taken records: a receiver that still needs their bytes must have copied them. */
  scribble(): void {
    const end = this.places[Math.min(this.index, this.places.length) - 1];
    if (end !== undefined) this.bytes.fill(SCRIBBLE, 0, end.offset + end.length);
  }

  /** Begins the same batch again, for another reader. */
  rewind(): void {
    this.index = 0;
  }
}
