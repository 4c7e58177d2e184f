/**
 * What waits behind holes: of one flow, pieces in sequence order whose bytes never overlap; and the memory
 * that all flows' pieces lie in. It is used again at once: what waits lives long enough to be expensive for
 * a garbage collector, and in a flood there would be several times as much garbage as is held.
 */
import type { Budget } from "../memory/budget.ts";
import { advance, distance } from "./sequence.ts";

/** What waits of a segment: bytes, or none, and what is known of what follows them. */
export interface Piece {
  readonly sequence: number;
  /** The first `length` bytes are the piece's; the array may be longer. */
  readonly bytes: Uint8Array;
  readonly length: number;
  /** Further than the bytes reach if the mirror cut off what was between. */
  end: number;
  /** A FIN stands at `end`. */
  isFin: boolean;
  /** What the segment acknowledged; null: nothing. */
  acknowledgment: number | null;
  arrivedMs: number;
  readonly timestampMs: number;
}

/** What a piece's own bookkeeping is charged with, beside its array. */
export const PIECE_OVERHEAD_BYTES = 256;
/** Arrays have sizes of powers of two, so that they fit again. */
const ARRAY_BYTES_MIN = 64;
/** Of arrays that wait to be used again. */
const SPARE_BYTES_MAX = 16 << 20;
const NOTHING = new Uint8Array(0);

export class HeldMemory {
  /** By size: the base-2 logarithm of an array's length. */
  private readonly spare: Uint8Array[][] = Array.from({ length: 32 }, () => []);
  private spareBytes = 0;
  /** Delivered in this batch, and valid until its end. */
  private released: Uint8Array[] = [];
  /** Pieces released since the start. */
  releasedCount = 0;

  constructor(private readonly budget: Budget) {}

  /** Whether what is held is within its limit. */
  get isWithin(): boolean {
    return this.budget.isWithin;
  }

  /** A copy of `length` bytes at `offset`, in an array that may be longer. */
  copy(bytes: Uint8Array, offset: number, length: number): Uint8Array {
    const size = 32 - Math.clz32(Math.max(length, ARRAY_BYTES_MIN) - 1);
    let array = this.spare[size]!.pop();
    if (array === undefined) array = new Uint8Array(1 << size);
    else this.spareBytes -= array.length;
    array.set(bytes.subarray(offset, offset + length));
    this.budget.takePending(array.length + PIECE_OVERHEAD_BYTES);
    return array;
  }

  /** A piece is not held any more. Its bytes stay valid until the end of the batch. */
  release(piece: Piece): void {
    this.budget.giveBackPending(piece.bytes.length + PIECE_OVERHEAD_BYTES);
    this.released.push(piece.bytes);
    this.releasedCount++;
  }

  /** The batch is over: what was released in it is used again. */
  recycle(): void {
    if (this.released.length === 0) return;
    for (const array of this.released) {
      if (this.spareBytes + array.length > SPARE_BYTES_MAX) continue;
      this.spareBytes += array.length;
      this.spare[Math.log2(array.length)]!.push(array);
    }
    this.released = [];
  }
}

export class HeldBytes {
  private pieces: Piece[] = [];

  constructor(private readonly memory: HeldMemory) {}

  get count(): number {
    return this.pieces.length;
  }

  /** The piece with the lowest sequence number. */
  get first(): Piece | undefined {
    return this.pieces[0];
  }

  /** The same, of those that have bytes. */
  get firstWithBytes(): Piece | undefined {
    return this.pieces.find(({ length }) => length > 0);
  }

  get hasFin(): boolean {
    return this.pieces.some(({ isFin }) => isFin);
  }

  /** When the piece that has waited longest arrived; Infinity: none waits. */
  get oldestArrivalMs(): number {
    let oldest = Infinity;
    for (const piece of this.pieces) if (piece.arrivedMs < oldest) oldest = piece.arrivedMs;
    return oldest;
  }

  /** What arrived from `fromMs` on arrived at `toMs`. */
  leapt(fromMs: number, toMs: number): void {
    for (const piece of this.pieces) if (piece.arrivedMs >= fromMs) piece.arrivedMs = toMs;
  }

  /** Whether the byte is here, in a piece for which `wanted` holds. */
  has(sequence: number, wanted: (piece: Piece) => boolean): boolean {
    return this.pieces.some((piece) => {
      const from = distance(piece.sequence, sequence);
      return from >= 0 && from < piece.length && wanted(piece);
    });
  }

  /**
   * Copies those of the `length` bytes that no piece has yet: the first copy of a byte wins. Returns
   * how many were new.
   */
  insert(sequence: number, bytes: Uint8Array, offset: number, length: number, acknowledgment: number | null, arrivedMs: number, timestampMs: number): number {
    let from = sequence;
    let left = length;
    let added = 0;
    let index = 0;
    const place = (count: number) => {
      const copy = this.memory.copy(bytes, offset + length - left, count);
      const end = advance(from, count);
      this.pieces.splice(index++, 0, { sequence: from, bytes: copy, length: count, end, isFin: false, acknowledgment, arrivedMs, timestampMs });
      added += count;
      from = end;
      left -= count;
    };
    for (; index < this.pieces.length && left > 0; index++) {
      const piece = this.pieces[index]!;
      const before = distance(from, piece.sequence);
      if (before > 0) place(Math.min(before, left));
      if (left === 0) break;
      const known = distance(from, advance(piece.sequence, piece.length));
      if (known <= 0) continue;
      const skip = Math.min(known, left);
      from = advance(from, skip);
      left -= skip;
    }
    if (left > 0) place(left);
    return added;
  }

  /**
   * Notes what follows a segment's bytes, of which `at` is the end: nothing that was seen up to `end`,
   * and there perhaps a FIN. What reaches further than that came first, and so wins.
   */
  insertEnd(at: number, end: number, isFin: boolean, acknowledgment: number | null, arrivedMs: number, timestampMs: number): void {
    let index = 0;
    for (; index < this.pieces.length; index++) {
      const { sequence, length } = this.pieces[index]!;
      if (distance(sequence, at) < (length > 0 ? 1 : 0)) break;
    }
    const before = this.pieces[index - 1];
    const isApart = before === undefined || distance(before.end, at) > 0;
    if (!isApart && (before.isFin || distance(before.end, end) < 0)) return;
    // A FIN behind bytes that are missing waits for them from its own arrival on.
    const hasOwnTime = !isApart && isFin && arrivedMs !== before.arrivedMs && advance(before.sequence, before.length) !== end;
    if (isApart || hasOwnTime) {
      const bytes = this.memory.copy(NOTHING, 0, 0);
      this.pieces.splice(index, 0, { sequence: at, bytes, length: 0, end, isFin, acknowledgment, arrivedMs, timestampMs });
    } else {
      before.end = end;
      before.isFin = isFin;
      before.acknowledgment = acknowledgment;
    }
  }

  /** Takes the first piece out. Whoever takes pieces out releases them. */
  shift(): Piece | undefined {
    return this.pieces.shift();
  }

  /** Takes out the pieces for which `wanted` holds. */
  extract(wanted: (piece: Piece) => boolean): Piece[] {
    const taken = this.pieces.filter(wanted);
    this.pieces = this.pieces.filter((piece) => !wanted(piece));
    return taken;
  }
}
