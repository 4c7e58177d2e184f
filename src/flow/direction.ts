/**
 * What both directions of a connection have in common: the segments that are pending, and what becomes of them when it
 * is their turn. Which incarnation has one, {@link Direction.ownerOf} decides each time anew; nothing is ever moved.
 */
import type { ReassemblyCounters } from "./counters.ts";
import type { Incarnation } from "./incarnation.ts";
import { type PendingHolder, type PendingMemory, type PendingSegment, PendingSegments } from "./pending-segments.ts";
import type { Piece } from "./piece.ts";
import type { Reassembler } from "./reassembler.ts";
import { advance, distance } from "./sequence.ts";
import type { StreamEnd } from "./stream.ts";

/** Ahead of any sequence number lie so many others. */
const CIRCLE_BYTES = 2 ** 32;

/** What all directions of a table's connections share. */
export interface DirectionContext {
  readonly maxPendingPackets: number;
  readonly memory: PendingMemory;
  readonly nowMs: number;
  /** Makes room for one more incarnation that is open, or connection that waits for one. */
  makeRoom(): void;
}

/** A connection as its directions know it. */
export interface DirectionOwner {
  /** Null: none has opened that is remembered. */
  readonly newest: Incarnation | null;
  /** How many incarnations it has had. */
  readonly generation: number;
  /** Incarnations that have not ended. */
  readonly openCount: number;
  /** Opens an incarnation of which the SYN was seen; `synBytes`: so many came with it. */
  open(isn: number, synBytes?: number): Incarnation;
  /**
   * Opens an incarnation of which the SYN was not seen, at its lowest byte. `generation`: how many had been there when
   * the byte came.
   */
  pickUp(generation: number, start: number): Incarnation;
  /** Others that have opened since an incarnation's bytes came have taken its place. */
  replaceOld(incarnation: Incarnation): void;
  finish(incarnation: Incarnation, how: StreamEnd): void;
  /** What is open or pending may have changed. */
  update(): void;
}

export abstract class Direction implements PendingHolder {
  /** Null: none ever was. */
  protected pending: PendingSegments | null = null;

  constructor(
    protected readonly connection: DirectionOwner,
    protected readonly context: DirectionContext,
    protected readonly counters: ReassemblyCounters,
  ) {}

  get pendingCount(): number {
    return this.pending?.count ?? 0;
  }

  /** The incarnation that has a piece; null: none that is known. */
  protected abstract ownerOf(piece: Piece): Incarnation | null;
  /** This direction of an incarnation; null: it has not begun. */
  protected abstract sideOf(incarnation: Incarnation): Reassembler | null;
  /** A piece that is an incarnation's, and in order, acknowledges this. */
  protected abstract noteAck(incarnation: Incarnation, acknowledgment: number): void;
  protected abstract finish(incarnation: Incarnation, how: StreamEnd): void;
  /** Gives up a segment that no known incarnation has, or opens the incarnation that has it. */
  protected abstract giveUpUnowned(segment: PendingSegment): void;

  /** Gives up the hole before a segment, or the segment if it is nobody's. */
  giveUp(segment: PendingSegment): void {
    const owner = this.ownerOf(segment);
    if (owner === null) {
      this.giveUpUnowned(segment);
    } else if (this.sideOf(owner)!.isEnded) {
      this.pending!.remove(segment);
      this.counters.retransmitted_bytes += segment.length;
    } else {
      const first = this.firstOf(owner) ?? segment;
      this.sideOf(owner)!.skipTo(first.sequence);
      this.pending!.remove(first);
      this.consume(owner, first);
    }
    this.settle();
  }

  /** (PendingHolder) */
  giveUpLate(segment: PendingSegment): void {
    this.giveUp(segment);
    this.connection.update();
  }

  /** (PendingHolder) */
  giveUpForBudget(): void {
    for (; !this.context.memory.isWithin && this.pendingCount > 0; this.counters.buffer_limit++)
      this.giveUp(this.oldestPending());
    this.connection.update();
  }

  /** Delivers what is pending of an incarnation, gaps told. */
  flushPendingOf(incarnation: Incarnation): void {
    for (
      let first = this.firstOf(incarnation);
      first !== null && this.isOpen(incarnation);
      first = this.firstOf(incarnation)
    )
      this.giveUp(first);
  }

  protected isOpen(incarnation: Incarnation): boolean {
    const side = this.sideOf(incarnation);
    return side !== null && !side.isEnded;
  }

  hasPendingOf(incarnation: Incarnation): boolean {
    return this.pending?.some((segment) => this.ownerOf(segment) === incarnation) ?? false;
  }

  /** The lowest segment that is pending of an incarnation. */
  protected firstOf(incarnation: Incarnation): PendingSegment | null {
    const side = this.sideOf(incarnation);
    if (this.pending === null || side === null) return null;
    return this.pending.firstFrom(side.next, CIRCLE_BYTES, (segment) => this.mayHave(incarnation, segment));
  }

  /** Whether a pending segment would be an incarnation's, were what is missing before it given up. */
  protected mayHave(incarnation: Incarnation, segment: PendingSegment): boolean {
    return this.ownerOf(segment) === incarnation;
  }

  /** Takes a piece that has just come, and that an open incarnation has. */
  protected receive(owner: Incarnation, piece: Piece): void {
    if (distance(this.sideOf(owner)!.next, piece.sequence) <= 0) {
      this.consume(owner, piece);
    } else if (piece.length > 0 || piece.isFin || piece.end !== piece.sequence) {
      if (piece.length > 0) this.counters.out_of_order++;
      this.pend(piece);
    }
    if (this.pendingCount === 0) return;
    this.settle();
    this.keepLimits();
  }

  /** Delivers what is new of a piece whose turn it is. What came before it, and is pending, wins. */
  protected consume(owner: Incarnation, piece: Piece): void {
    const side = this.sideOf(owner)!;
    const { counters } = this;
    const { sequence, bytes, offset, length, acknowledgment, timestampMs } = piece;
    if (acknowledgment !== null) this.noteAck(owner, acknowledgment);
    let done = distance(sequence, side.next);
    if (done >= length) {
      counters.retransmitted_bytes += length;
    } else {
      let overlap = done;
      // What is pending at the same number as the piece came later, or is not its owner's.
      let skip = 1;
      while (done < length) {
        const first =
          this.pendingCount === 0 ? null : this.ownedWithin(owner, advance(side.next, skip), length - done - skip);
        skip = 0;
        const until = first === null ? length : done + distance(side.next, first.sequence);
        if (until > done) side.deliver(bytes, offset + done, until - done, timestampMs);
        done = until;
        if (first === null) break;
        this.pending!.remove(first);
        this.consume(owner, first);
        if (acknowledgment !== null) this.noteAck(owner, acknowledgment);
        const known = Math.min(distance(sequence, side.next), length);
        overlap += known - done;
        done = known;
        if (!side.isEnded) continue;
        // What lies behind a FIN is not the stream's.
        if (done < length) counters.out_of_window++;
        break;
      }
      counters.overlap_bytes += overlap;
    }
    this.takeEnd(owner, piece);
  }

  /**
   * What follows a piece's bytes: what the mirror cut off, and there perhaps a FIN. It waits for the bytes before it.
   */
  private takeEnd(owner: Incarnation, piece: Piece): void {
    const side = this.sideOf(owner)!;
    const { end, isFin } = piece;
    if ((!isFin && end === advance(piece.sequence, piece.length)) || side.isEnded) return;
    const ahead = distance(side.next, end);
    if (ahead > 0) side.noteCutOff(end);
    if (ahead > 0 && isFin) this.queue.insertEnd(piece, end, end);
    if (ahead === 0 && isFin) this.finish(owner, "fin");
  }

  private get queue(): PendingSegments {
    return (this.pending ??= new PendingSegments(this.context.memory, this));
  }

  protected pend(piece: Piece): void {
    const { counters } = this;
    const added = this.queue.insert(piece);
    if (added === 0) counters.retransmitted_bytes += piece.length;
    else counters.overlap_bytes += piece.length - added;
  }

  /**
   * What is pending at just the number of a FIN that is about to end an incarnation: the FIN again, or bytes that are
   * nobody's.
   */
  protected dropAtFin(incarnation: Incarnation): void {
    const { next } = this.sideOf(incarnation)!;
    for (let same = this.ownedAt(incarnation, next); same !== null; same = this.ownedAt(incarnation, next)) {
      if (same.length > 0) this.counters.out_of_window++;
      this.pending!.remove(same);
    }
  }

  /** Delivers what is pending and in order now. */
  settle(): void {
    for (let isMoving = true; isMoving && this.pendingCount > 0;) {
      isMoving = false;
      for (let incarnation = this.connection.newest; incarnation !== null; incarnation = incarnation.before) {
        if (this.isOpen(incarnation) && this.drain(incarnation)) isMoving = true;
      }
    }
    // Of many connections, in a flood, it would be much.
    if (this.pendingCount === 0) this.pending = null;
  }

  private drain(incarnation: Incarnation): boolean {
    let isMoving = false;
    while (this.isOpen(incarnation) && this.pendingCount > 0) {
      const due = this.ownedAt(incarnation, this.sideOf(incarnation)!.next);
      if (due === null) break;
      this.pending!.remove(due);
      this.consume(incarnation, due);
      isMoving = true;
    }
    return isMoving;
  }

  /** The segment that is pending of an incarnation at just this number. */
  private ownedAt(incarnation: Incarnation, sequence: number): PendingSegment | null {
    return this.pending === null ? null : this.ownedWithin(incarnation, sequence, 1);
  }

  /** The lowest segment that is pending of an incarnation from `sequence` on, within so many bytes. */
  protected ownedWithin(incarnation: Incarnation, sequence: number, length: number): PendingSegment | null {
    // Asked of each piece while something is pending: so not by a function of its own (PendingSegments.firstFrom).
    const pending = this.pending!;
    const place = pending.placeOf(sequence);
    for (let i = 0; i < pending.count; i++) {
      const segment = pending.at(place + i);
      if (distance(sequence, segment.sequence) >>> 0 >= length) return null;
      if (this.ownerOf(segment) === incarnation) return segment;
    }
    return null;
  }

  /** Gives up holes until what is pending here, and of all, is within its limit. */
  keepLimits(): void {
    const { counters } = this;
    const { memory, maxPendingPackets } = this.context;
    while (this.pendingCount > maxPendingPackets) {
      counters.pending_limit++;
      this.giveUp(this.oldestPending());
    }
    while (!memory.isWithin && memory.arrivals.oldest !== null) memory.arrivals.oldest.holder.giveUpForBudget();
  }

  /** The hole before it has waited longest. */
  private oldestPending(): PendingSegment {
    let oldest = this.pending!.at(0);
    for (let place = 1; place < this.pendingCount; place++) {
      const segment = this.pending!.at(place);
      if (segment.serial < oldest.serial) oldest = segment;
    }
    return oldest;
  }
}
