/**
 * The common part of both directions of a connection: pending segments, and their delivery when it is their turn.
 * {@link Direction.ownerOf} decides each time anew which incarnation has a segment; no segment is ever moved.
 */
import { mayBeAlike } from "./acknowledgments.ts";
import type { ReassemblyCounters } from "./counters.ts";
import type { Incarnation } from "./incarnation.ts";
import { type PendingHolder, type PendingMemory, type PendingSegment, PendingSegments } from "./pending-segments.ts";
import type { Piece } from "./piece.ts";
import type { Reassembler } from "./reassembler.ts";
import { advance, distance } from "./sequence.ts";
import type { StreamEnd } from "./stream.ts";

/** How many sequence numbers there are. */
const CIRCLE_BYTES = 2 ** 32;
const NONE: readonly PendingSegment[] = [];

/** The part that all directions of a table's connections share. */
export interface DirectionContext {
  readonly maxPendingPackets: number;
  readonly memory: PendingMemory;
  readonly nowMs: number;
  /** Makes room for one more open incarnation, or connection that waits for one. */
  makeRoom(): void;
}

/** A connection, as seen by its directions. */
export interface DirectionOwner {
  /** The newest incarnation; null: none is remembered. */
  readonly newest: Incarnation | null;
  /** How many incarnations the connection has had. */
  readonly generation: number;
  /** Incarnations that have not ended. */
  readonly openCount: number;
  /** Opens an incarnation by its SYN, with which `synBytes` came. */
  open(isn: number, synBytes?: number): Incarnation;
  /**
   * Opens an incarnation without its SYN, at its lowest byte. `generation`: how many incarnations there had been when
   * the byte came.
   */
  pickUp(generation: number, start: number): Incarnation;
  /** Whether an evicted incarnation goes on with exactly this piece: then no SYN is awaited for it. */
  goesOn(piece: Piece): boolean;
  /** Incarnations that have opened since this one's bytes came have taken its place. */
  replaceOld(incarnation: Incarnation): void;
  finish(incarnation: Incarnation, how: StreamEnd): void;
  /** Open incarnations or pending segments may have changed. */
  update(): void;
}

/** One direction of a connection. */
export abstract class Direction implements PendingHolder {
  /** Pending segments; null: there are none. */
  protected pending: PendingSegments | null = null;

  constructor(
    protected readonly connection: DirectionOwner,
    protected readonly context: DirectionContext,
    protected readonly counters: ReassemblyCounters,
  ) {}

  /** All pending segments, in the order of their numbers. */
  protected get all(): readonly PendingSegment[] {
    return this.pending?.all ?? NONE;
  }

  get pendingCount(): number {
    return this.all.length;
  }

  /** The incarnation that a piece belongs to; null: no known one. */
  protected abstract ownerOf(piece: Piece): Incarnation | null;
  /** This direction of an incarnation; null: it has not begun. */
  protected abstract sideOf(incarnation: Incarnation): Reassembler | null;
  /** Notes the acknowledgment number of a piece that belongs to an incarnation, and is in order. */
  protected abstract noteAck(incarnation: Incarnation, acknowledgment: number): void;
  protected abstract finish(incarnation: Incarnation, how: StreamEnd): void;
  /** Gives up a segment that belongs to no known incarnation, or opens the incarnation that it belongs to. */
  protected abstract giveUpUnowned(segment: PendingSegment): void;

  /**
   * Gives up the hole before a segment; or the segment, if it belongs to no incarnation, or to one that has its bytes
   * (it was a keep-alive probe, and came before the SYN).
   */
  giveUp(segment: PendingSegment): void {
    const owner = this.heirOf(segment);
    if (owner === null) {
      this.giveUpUnowned(segment);
    } else if (!this.isOpen(owner) || (!segment.isFin && distance(this.sideOf(owner)!.next, segment.end) <= 0)) {
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
  mayBeAlike(a: number | null, b: number | null): boolean {
    return mayBeAlike(a, b);
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

  /** Delivers an incarnation's pending segments, and reports the gaps. */
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
    return this.all.some((segment) => this.ownerOf(segment) === incarnation);
  }

  /** The lowest pending segment of an incarnation. */
  protected firstOf(incarnation: Incarnation): PendingSegment | null {
    const side = this.sideOf(incarnation);
    if (this.pending === null || side === null) return null;
    return this.pending.firstFrom(side.next, CIRCLE_BYTES, (segment) => this.heirOf(segment) === incarnation);
  }

  /** The incarnation that a pending segment belongs to once the hole before it is given up; null: no known one. */
  protected heirOf(segment: PendingSegment): Incarnation | null {
    return this.ownerOf(segment);
  }

  /** Takes a piece that has just come, and belongs to an open incarnation. */
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

  /** Delivers the new bytes of a piece that is in order. Pending bytes that came before it win. */
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
      // A pending segment at the same number as the piece came later, or belongs to another incarnation.
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
        // Bytes behind a FIN do not belong to the stream.
        if (done < length) counters.out_of_window++;
        break;
      }
      counters.overlap_bytes += overlap;
    }
    this.takeEnd(owner, piece);
  }

  /**
   * Takes the end behind a piece's bytes: a length that the mirror cut off, and perhaps a FIN behind it. The end waits
   * for the bytes before it.
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
   * Drops segments that are pending exactly at the number of a FIN that is about to end an incarnation: the same FIN,
   * or bytes that belong to no incarnation.
   */
  protected dropAtFin(incarnation: Incarnation): void {
    const { next } = this.sideOf(incarnation)!;
    for (let same = this.ownedAt(incarnation, next); same !== null; same = this.ownedAt(incarnation, next)) {
      if (same.length > 0) this.counters.out_of_window++;
      this.pending!.remove(same);
    }
  }

  /** Delivers pending segments that are in order now. */
  settle(): void {
    for (let isMoving = true; isMoving && this.pendingCount > 0;) {
      isMoving = false;
      for (let incarnation = this.connection.newest; incarnation !== null; incarnation = incarnation.before) {
        if (this.isOpen(incarnation) && this.drain(incarnation)) isMoving = true;
      }
    }
    // Many connections in a flood would hold much by it.
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

  /** The pending segment of an incarnation at exactly this number. */
  private ownedAt(incarnation: Incarnation, sequence: number): PendingSegment | null {
    return this.pending === null ? null : this.ownedWithin(incarnation, sequence, 1);
  }

  /** The lowest pending segment of an incarnation within `length` bytes from `sequence` on. */
  protected ownedWithin(incarnation: Incarnation, sequence: number, length: number): PendingSegment | null {
    // This is called for each piece while segments are pending, so it makes no closure as PendingSegments.firstFrom
    // would need.
    const pending = this.pending!;
    const place = pending.placeOf(sequence);
    for (let i = 0; i < pending.all.length; i++) {
      const segment = pending.at(place + i);
      if (distance(sequence, segment.sequence) >>> 0 >= length) return null;
      if (this.ownerOf(segment) === incarnation) return segment;
    }
    return null;
  }

  /** Gives up holes until the pending segments, of this direction and of all, are within their limits. */
  keepLimits(): void {
    const { counters } = this;
    const { memory, maxPendingPackets } = this.context;
    while (this.pendingCount > maxPendingPackets) {
      counters.pending_limit++;
      this.giveUp(this.oldestPending());
    }
    while (!memory.isWithin && memory.arrivals.oldest !== null) memory.arrivals.oldest.holder.giveUpForBudget();
  }

  /** The pending segment that has waited longest. */
  private oldestPending(): PendingSegment {
    return this.all.reduce((oldest, segment) => (segment.serial < oldest.serial ? segment : oldest));
  }
}
