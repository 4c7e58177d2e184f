/** Bytes of one flow that wait behind a hole: pieces in sequence order that never overlap. */
import { advance, distance } from "./sequence.ts";

export interface Piece {
  sequence: number;
  readonly bytes: Uint8Array;
  readonly arrivedMs: number;
  readonly timestampMs: number;
}

/** What a piece's own bookkeeping is charged with, beside its bytes. */
export const PIECE_OVERHEAD_BYTES = 256;

export class HeldBytes {
  private readonly pieces: Piece[] = [];

  get count(): number {
    return this.pieces.length;
  }

  /** The piece with the lowest sequence number. */
  get first(): Piece | undefined {
    return this.pieces[0];
  }

  /** What all pieces are charged with. */
  get chargedBytes(): number {
    return this.pieces.reduce((sum, piece) => sum + chargeOf(piece), 0);
  }

  /** When the piece that has waited longest arrived; Infinity: none waits. */
  get oldestArrivalMs(): number {
    let oldest = Infinity;
    for (const piece of this.pieces) if (piece.arrivedMs < oldest) oldest = piece.arrivedMs;
    return oldest;
  }

  /**
   * Copies those of the `length` bytes that no piece has yet: the first copy of a byte wins. Returns
   * how many were new.
   */
  insert(sequence: number, bytes: Uint8Array, offset: number, length: number, arrivedMs: number, timestampMs: number): number {
    let from = sequence;
    let left = length;
    let added = 0;
    let index = 0;
    const place = (count: number) => {
      const at = offset + length - left;
      this.pieces.splice(index++, 0, { sequence: from, bytes: bytes.slice(at, at + count), arrivedMs, timestampMs });
      added += count;
      from = advance(from, count);
      left -= count;
    };
    for (; index < this.pieces.length && left > 0; index++) {
      const piece = this.pieces[index]!;
      const before = distance(from, piece.sequence);
      if (before > 0) place(Math.min(before, left));
      if (left === 0) break;
      const known = distance(from, advance(piece.sequence, piece.bytes.length));
      if (known <= 0) continue;
      const skip = Math.min(known, left);
      from = advance(from, skip);
      left -= skip;
    }
    if (left > 0) place(left);
    return added;
  }

  /** Takes the first piece out. */
  shift(): Piece | undefined {
    return this.pieces.shift();
  }

  /** Takes out the pieces for which `wanted` holds. */
  extract(wanted: (piece: Piece) => boolean): Piece[] {
    const taken = this.pieces.filter(wanted);
    const kept = this.pieces.filter((piece) => !wanted(piece));
    this.pieces.length = 0;
    this.pieces.push(...kept);
    return taken;
  }
}

export function chargeOf(piece: Piece): number {
  return piece.bytes.length + PIECE_OVERHEAD_BYTES;
}
