/**
 * Encoded fields by their lines. Clients send most of their fields with each request. So most lines are found here, and
 * are not encoded again.
 */
import { LF } from "../chars.ts";
import type { HpackEncoder } from "./hpack-encoder.ts";

/** Each line has one possible place; a new line replaces the line that is there. */
const PLACES = 256;
/** Longer lines are not kept. */
const LINE_BYTES_MAX = 128;
const BLOCK_BYTES_MAX = 160;

/** The cache of one encoder; it looks at one line at a time. */
export class FieldCache {
  /** The end of the line looked at, behind its line feed. */
  end = 0;
  private bytes: Uint8Array = new Uint8Array(0);
  private from = 0;
  private place = 0;
  private readonly lines = new Uint8Array(PLACES * LINE_BYTES_MAX);
  /** 0: nothing is kept in this place. */
  private readonly lengths = new Uint8Array(PLACES);
  private readonly blocks = new Uint8Array(PLACES * BLOCK_BYTES_MAX);
  private readonly blockLengths = new Uint8Array(PLACES);
  /** The size of a field (RFC 9113, section 6.5.2). */
  private readonly listBytes = new Uint8Array(PLACES);

  /** Looks at the line that begins at `from`. The bytes must stay as they are until another line is looked at. */
  look(bytes: Uint8Array, from: number, end: number): void {
    let hash = 0;
    let at = from;
    while (at < end) {
      const byte = bytes[at++]!;
      if (byte === LF) break;
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    this.bytes = bytes;
    this.from = from;
    this.end = at;
    this.place = (hash ^ (hash >>> 8)) & (PLACES - 1);
  }

  /** Adds the field of the line to the encoder's block. False: it is not known. */
  addTo(encoder: HpackEncoder): boolean {
    const { bytes, from, place, lines } = this;
    const length = this.end - from;
    if (this.lengths[place] !== length) return false;
    const kept = place * LINE_BYTES_MAX;
    for (let i = 0; i < length; i++) if (lines[kept + i] !== bytes[from + i]) return false;
    encoder.addEncoded(this.blocks, place * BLOCK_BYTES_MAX, this.blockLengths[place]!, this.listBytes[place]!);
    return true;
  }

  /** Keeps the field of the line: it was encoded from `blockFrom` on in the encoder's block. */
  keep({ block, length, listBytes }: HpackEncoder, blockFrom: number, listBytesBefore: number): void {
    const { bytes, from, place } = this;
    const lineLength = this.end - from;
    const blockLength = length - blockFrom;
    const listLength = listBytes - listBytesBefore;
    if (lineLength > LINE_BYTES_MAX || blockLength > BLOCK_BYTES_MAX) return;
    for (let i = 0; i < lineLength; i++) this.lines[place * LINE_BYTES_MAX + i] = bytes[from + i]!;
    for (let i = 0; i < blockLength; i++) this.blocks[place * BLOCK_BYTES_MAX + i] = block[blockFrom + i]!;
    this.lengths[place] = lineLength;
    this.blockLengths[place] = blockLength;
    this.listBytes[place] = listLength;
  }
}
