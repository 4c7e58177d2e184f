/**
 * The segments of one direction of a connection that wait behind a hole, in the order of their sequence numbers. The
 * bytes of segments that are alike (they may belong to the same incarnation) never overlap: the first copy of a byte
 * wins. Which incarnation has a segment is decided when it is the segment's turn.
 */
import type { Budget } from "../memory/budget.ts";
import { Cost } from "../memory/budget.ts";
import { type ArrayPool, costOf } from "../memory/array-pool.ts";
import type { Piece } from "./piece.ts";
import { advance, distance } from "./sequence.ts";
import { type Timed, TimeList } from "./time-list.ts";

/** The holder of pending segments, as seen by the limits of all pending segments. */
export interface PendingHolder {
  /** Whether two segments may belong to the same incarnation, by their acknowledgment numbers; null: it has none. */
  mayBeAlike(a: number | null, b: number | null): boolean;
  /** Gives up the hole before a segment, because the segment has waited as long as it may. */
  giveUpLate(segment: PendingSegment): void;
  /** Gives up holes until all pending segments are within the budget, or none is left here. */
  giveUpForBudget(): void;
}

/** A segment that waits behind a hole. Its bytes are a copy. */
export class PendingSegment implements Piece, Timed<PendingSegment> {
  readonly offset = 0;
  /** Neighbours in the order of arrival, over all connections. */
  older: PendingSegment | null = null;
  newer: PendingSegment | null = null;
  end: number;
  isFin = false;
  acknowledgment: number | null;
  readonly timestampMs: number;
  doubt: number;
  readonly generation: number;
  readonly isUnowned: boolean;
  sinceMs: number;
  /** Its place in the order of arrival. */
  serial = 0;

  constructor(
    readonly holder: PendingHolder,
    piece: Piece,
    readonly sequence: number,
    readonly bytes: Uint8Array,
    readonly length: number,
  ) {
    this.end = advance(sequence, length);
    this.acknowledgment = piece.acknowledgment;
    this.timestampMs = piece.timestampMs;
    this.doubt = piece.doubt;
    this.generation = piece.generation;
    this.isUnowned = piece.isUnowned;
    this.sinceMs = piece.sinceMs;
  }

  get bytesEnd(): number {
    return advance(this.sequence, this.length);
  }
}

const NOTHING = new Uint8Array(0);

/** All pending segments of a table, in the order of their arrival, and the memory of their bytes. */
export class PendingMemory {
  readonly arrivals = new TimeList<PendingSegment>();
  private addedCount = 0;
  /** Arrays that were released in this batch, and are valid until its end. */
  private released: Uint8Array[] = [];

  constructor(
    private readonly budget: Budget,
    private readonly pool: ArrayPool,
  ) {}

  /** Whether the pending segments are within their limit. */
  get isWithin(): boolean {
    return this.budget.isWithin;
  }

  /** A copy of `length` bytes, in an array that may be longer. */
  copy(bytes: Uint8Array, offset: number, length: number): Uint8Array {
    if (length === 0) return NOTHING;
    const array = this.pool.allocate(length);
    array.set(bytes.subarray(offset, offset + length));
    return array;
  }

  add(segment: PendingSegment): void {
    segment.serial = this.addedCount++;
    this.arrivals.insert(segment);
    this.budget.takePending(chargeOf(segment));
  }

  /** Releases a segment. Its bytes stay valid until the end of the batch. */
  release(segment: PendingSegment): void {
    this.arrivals.remove(segment);
    this.budget.giveBackPending(chargeOf(segment));
    if (segment.bytes !== NOTHING) this.released.push(segment.bytes);
  }

  /** The batch is over: arrays that were released in it are used again. */
  recycle(): void {
    if (this.released.length === 0) return;
    for (const array of this.released) this.pool.free(array);
    this.released = [];
  }
}

function chargeOf({ bytes }: PendingSegment): number {
  return Cost.PIECE + (bytes === NOTHING ? 0 : costOf(bytes));
}

/** The pending segments of one direction. */
export class PendingSegments {
  /**
   * The segments by sequence number as an unsigned integer: a circle without a first one. At the same number, those
   * without bytes come first.
   */
  readonly all: PendingSegment[] = [];

  constructor(
    private readonly memory: PendingMemory,
    private readonly holder: PendingHolder,
  ) {}

  /** How many of them belonged to no incarnation when they came. */
  unownedCount = 0;

  /**
   * The place of the first segment at or behind `sequence`, on the circle: {@link at} takes this place, and as many
   * behind it as there are segments.
   */
  placeOf(sequence: number): number {
    const { all } = this;
    const wanted = sequence >>> 0;
    let low = 0;
    let high = all.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (all[middle]!.sequence >>> 0 < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The segment at a place on the circle; a place before the first is that many before the last. */
  at(place: number): PendingSegment {
    const { length } = this.all;
    return this.all[place < 0 ? place + length : place < length ? place : place - length]!;
  }

  /** The first wanted segment within `length` bytes from `sequence` on; null: there is none. */
  firstFrom(sequence: number, length: number, isWanted: (segment: PendingSegment) => boolean): PendingSegment | null {
    const place = this.placeOf(sequence);
    for (let i = 0; i < this.all.length; i++) {
      const segment = this.at(place + i);
      // A segment before `sequence` is far ahead on the circle.
      if (distance(sequence, segment.sequence) >>> 0 >= length) return null;
      if (isWanted(segment)) return segment;
    }
    return null;
  }

  /** Removes a segment. Its bytes stay valid until the end of the batch. */
  remove(segment: PendingSegment): void {
    let place = this.placeOf(segment.sequence);
    while (this.all[place] !== segment) place++;
    this.all.splice(place, 1);
    if (segment.isUnowned) this.unownedCount--;
    this.memory.release(segment);
  }

  /** Copies the bytes of a piece that are not here yet. Returns how many they were. */
  insert(piece: Piece): number {
    const added = this.insertBytes(piece);
    const bytesEnd = advance(piece.sequence, piece.length);
    if (piece.isFin || piece.end !== bytesEnd) this.insertEnd(piece, bytesEnd, piece.end);
    return added;
  }

  /**
   * Notes the end behind a piece's bytes: bytes from `at` to `end` that the mirror cut off, and perhaps a FIN at `end`.
   * A segment here that reaches further came first, and so wins.
   */
  insertEnd(piece: Piece, at: number, end: number): void {
    const { isFin, acknowledgment } = piece;
    const before = this.alikeBefore(at, acknowledgment, true);
    const isApart = before === null || distance(before.end, at) > 0;
    if (!isApart && (before.isFin || distance(before.end, end) < 0)) return;
    // A FIN behind missing bytes waits for them from its own arrival on.
    const hasOwnTime = !isApart && isFin && piece.sinceMs !== before.sinceMs && before.bytesEnd !== end;
    const segment = isApart || hasOwnTime ? this.add(piece, at, 0, 0) : before;
    segment.end = end;
    segment.isFin = isFin;
    segment.acknowledgment = acknowledgment;
  }

  private insertBytes(piece: Piece): number {
    const { sequence, length, acknowledgment } = piece;
    let done = 0;
    let added = 0;
    const before = this.alikeBefore(sequence, acknowledgment, false);
    if (before !== null) done = Math.min(Math.max(distance(sequence, before.bytesEnd), 0), length);
    while (done < length) {
      const from = advance(sequence, done);
      const next = this.firstFrom(
        from,
        length - done,
        (segment) => segment.length > 0 && this.holder.mayBeAlike(segment.acknowledgment, acknowledgment),
      );
      const gap = next === null ? length - done : distance(from, next.sequence);
      if (gap > 0) this.add(piece, from, done, gap);
      added += gap;
      done += gap + (next?.length ?? 0);
    }
    return added;
  }

  private add(piece: Piece, sequence: number, from: number, length: number): PendingSegment {
    const copy = this.memory.copy(piece.bytes, piece.offset + from, length);
    const segment = new PendingSegment(this.holder, piece, sequence, copy, length);
    let place = this.placeOf(sequence);
    if (length > 0) while (place < this.all.length && this.all[place]!.sequence === sequence) place++;
    this.all.splice(place, 0, segment);
    if (segment.isUnowned) this.unownedCount++;
    this.memory.add(segment);
    return segment;
  }

  /**
   * The nearest segment that is alike and begins before `sequence`; if `atToo`, also one
   * without bytes at `sequence`.
   */
  private alikeBefore(sequence: number, acknowledgment: number | null, atToo: boolean): PendingSegment | null {
    const { all } = this;
    const place = this.placeOf(sequence);
    if (atToo) {
      for (let i = place; i < all.length && all[i]!.sequence === sequence && all[i]!.length === 0; i++) {
        if (this.holder.mayBeAlike(all[i]!.acknowledgment, acknowledgment)) return all[i]!;
      }
    }
    for (let i = 1; i <= all.length; i++) {
      const segment = this.at(place - i);
      if (distance(segment.sequence, sequence) <= 0) return null;
      if (this.holder.mayBeAlike(segment.acknowledgment, acknowledgment)) return segment;
    }
    return null;
  }
}
