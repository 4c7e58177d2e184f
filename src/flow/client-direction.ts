/**
 * The client's direction. A segment belongs to the incarnation that expects exactly its bytes, unless that
 * incarnation's client never acknowledged a similar number; else to the one that began nearest below them, which may
 * have ended: then the segment may be a late copy.
 */
import type { Segment } from "../decode/segment.ts";
import { mayBeAlike } from "./acknowledgments.ts";
import { Direction } from "./direction.ts";
import { findFrom, type Incarnation, LATE_START_BYTES_MAX } from "./incarnation.ts";
import type { PendingSegment } from "./pending-segments.ts";
import { type Arrival, arrival, Doubt, type Piece } from "./piece.ts";
import type { Reassembler } from "./reassembler.ts";
import { advance, distance } from "./sequence.ts";
import type { StreamEnd } from "./stream.ts";

/** Further from an incarnation's first byte than any sequence number. */
const UNLIKELY = 2 ** 32;

/** The client's direction of one connection. */
export class ClientDirection extends Direction {
  /** Takes the client's bytes, or its FIN. False: the segment was a late copy. */
  takeBytes(segment: Segment): boolean {
    arrival.set(segment, segment.sequence, this.connection.generation, this.context.nowMs);
    const owner = this.ownerOf(arrival);
    if (owner !== null && owner.isOpen) {
      this.receive(owner, arrival);
      return true;
    }
    if (owner !== null) {
      if (!this.isDoubtful(owner, arrival)) {
        this.counters.retransmitted_bytes += arrival.length;
        return false;
      }
      arrival.doubt = Doubt.MAY_BE_COPY;
    } else {
      arrival.isUnowned = true;
      const alike = this.unownedNear(arrival);
      if (alike !== null) arrival.generation = alike.generation;
      this.trimKnown(arrival);
    }
    if (this.connection.openCount === 0 && this.pendingCount === 0) this.context.makeRoom();
    if (owner === null && this.connection.goesOn(arrival)) {
      this.receive(this.connection.pickUp(arrival.generation, arrival.sequence), arrival);
      return true;
    }
    this.pend(arrival);
    this.openAgain(arrival.sequence);
    this.keepLimits();
    return true;
  }

  /** Takes a segment without bytes. It may have an acknowledgment, or the length of bytes that the mirror cut off. */
  takeBare(segment: Segment): void {
    const { newest } = this.connection;
    if (newest === null || !newest.isOpen) return;
    arrival.set(segment, segment.sequence, this.connection.generation, this.context.nowMs);
    if (newest.isNear(arrival.sequence) && !this.isAnothers(newest, arrival)) this.receive(newest, arrival);
  }

  /** A reset. It counts only if it is exactly in order: other resets are often forged (RFC 5961, section 3.2). */
  takeReset(sequence: number): void {
    const incarnation = findFrom(this.connection.newest, ({ client }) => !client.isEnded && client.next === sequence);
    if (incarnation === undefined) return;
    for (const segment of this.all) if (this.ownerOf(segment) === incarnation) segment.doubt = Doubt.BEHIND_RESET;
    this.connection.finish(incarnation, "reset");
    this.settle();
  }

  /** Takes the bytes of a SYN. */
  takeSynBytes(incarnation: Incarnation, segment: Segment): void {
    arrival.set(segment, advance(segment.sequence, 1), this.connection.generation, this.context.nowMs);
    this.receive(incarnation, arrival);
  }

  /** Whether pending bytes wait for exactly the SYN with this ISN. */
  isAwaited(isn: number): boolean {
    const start = advance(isn, 1);
    return this.all.some(({ sequence }) => sequence === start);
  }

  /**
   * The acknowledgment number of the client of the incarnation that begins at `start`, if pending bytes can belong to
   * no other; null: not known.
   */
  hintOf(start: number): number | null {
    const isHint = (segment: PendingSegment) => this.ownerOf(segment) === null;
    return this.pending?.firstFrom(start, LATE_START_BYTES_MAX + 1, isHint)?.acknowledgment ?? null;
  }

  /** Gives up segments that could be used only with a SYN. */
  refuseUnowned(): void {
    for (;;) {
      const refused = this.all.find((segment) => this.needsSyn(segment) && this.ownerOf(segment) === null);
      if (refused === undefined) return;
      this.refuse(refused);
    }
  }

  /** Gives up one of the pending segments that are left, whatever incarnation it belongs to. False: none is left. */
  giveUpAny(): boolean {
    if (this.pendingCount === 0) return false;
    this.giveUp(this.all[0]!);
    return true;
  }

  protected sideOf(incarnation: Incarnation): Reassembler {
    return incarnation.client;
  }

  protected override consume(owner: Incarnation, piece: Piece): void {
    if (piece.length > 0 && piece.sequence === owner.client.start && !owner.hasBytes)
      owner.firstAcknowledged = piece.acknowledgment;
    super.consume(owner, piece);
  }

  protected noteAck(incarnation: Incarnation, acknowledgment: number): void {
    incarnation.noteAck(acknowledgment);
  }

  protected finish(incarnation: Incarnation, how: StreamEnd): void {
    if (how === "fin") this.dropAtFin(incarnation);
    this.connection.finish(incarnation, how);
  }

  protected ownerOf(piece: Piece): Incarnation | null {
    const { acknowledgment } = piece;
    let nearest: Incarnation | null = null;
    let nearestFit = Infinity;
    for (let incarnation = this.connection.newest; incarnation !== null; incarnation = incarnation.before) {
      if (incarnation.isStrangeTo(piece)) continue;
      const isAnothersAck = incarnation.isAnothersAck(acknowledgment);
      if (!isAnothersAck && incarnation.acks.isKnown && incarnation.expects(piece)) return incarnation;
      if (isAnothersAck && this.isAnothers(incarnation, piece)) continue;
      let fit = incarnation.fit(piece);
      // The client of an open incarnation may acknowledge a new number, but not if another incarnation's client has.
      if (fit >= 0 && incarnation.isOpen && isAnothersAck) fit += UNLIKELY;
      if (fit < 0 || fit >= nearestFit) continue;
      nearest = incarnation;
      nearestFit = fit;
    }
    // Segments that wait for their SYN may begin nearer than the nearest known incarnation.
    const unowned =
      nearest !== null && !nearest.isPickedUp && nearestFit > LATE_START_BYTES_MAX ? this.unownedNear(piece) : null;
    return unowned !== null && distance(unowned.sequence, piece.sequence) + LATE_START_BYTES_MAX < nearestFit
      ? null
      : nearest;
  }

  /** A near segment that belongs to no incarnation and acknowledges a similar number; null: there is none. */
  private unownedNear(piece: Piece): PendingSegment | null {
    let near: PendingSegment | null = null;
    if (this.pending === null || this.pending.unownedCount === 0) return null;
    for (const other of this.all) {
      if (!other.isUnowned || other === piece || other.doubt !== Doubt.NONE) continue;
      if (near !== null && near.generation <= other.generation) continue;
      const isNear = Math.abs(distance(other.sequence, piece.sequence)) <= LATE_START_BYTES_MAX;
      if (isNear && mayBeAlike(other.acknowledgment, piece.acknowledgment)) near = other;
    }
    return near;
  }

  /**
   * Whether a piece belongs to another incarnation, by its acknowledgment number. The piece has no new bytes for the
   * given one, or begins behind a second SYN.
   */
  private isAnothers(incarnation: Incarnation, piece: Piece): boolean {
    if (!incarnation.isAnothersAck(piece.acknowledgment)) return false;
    // A FIN far ahead would end the incarnation behind one long gap.
    const isFarEnd = piece.length === 0 && distance(incarnation.client.next, piece.sequence) > LATE_START_BYTES_MAX;
    return (
      !incarnation.isOpen || isFarEnd || incarnation.isBehindSynAgain(piece.sequence) || this.has(incarnation, piece)
    );
  }

  /**
   * Whether an open incarnation has the first byte of a piece, delivered or pending. A piece without bytes: whether the
   * incarnation has any byte further on.
   */
  private has(incarnation: Incarnation, piece: Piece): boolean {
    if (distance(piece.sequence, incarnation.client.next) > 0) return true;
    return this.all.some((other) => {
      if (other === piece || !incarnation.knowsAck(other.acknowledgment)) return false;
      const from = distance(other.sequence, piece.sequence);
      return piece.length === 0 || (from >= 0 && from < other.length);
    });
  }

  /**
   * Whether bytes that an ended incarnation had may belong to the next one: the client acknowledges more now, as it
   * would ahead of a SYN with the same ISN.
   */
  private isDoubtful(ended: Incarnation, { length, acknowledgment }: Piece): boolean {
    return length > 0 && acknowledgment !== null && ended.acks.isBehind(acknowledgment);
  }

  /**
   * Whether a segment that belongs to no incarnation needs a SYN: if the SYN comes, these are the next incarnation's
   * early bytes; if not, no receiver would take them, because another incarnation was open when they came and is not
   * about to end.
   */
  private needsSyn(segment: PendingSegment): boolean {
    if (segment.doubt !== Doubt.NONE) return true;
    const isOpen = (incarnation: Incarnation) =>
      incarnation.isOpen && incarnation.generation <= segment.generation && !this.awaitsFin(incarnation);
    return findFrom(this.connection.newest, isOpen) !== undefined;
  }

  private awaitsFin(incarnation: Incarnation): boolean {
    return this.all.some((segment) => segment.isFin && this.ownerOf(segment) === incarnation);
  }

  /** Removes the bytes that the last incarnation has delivered, if that has ended. */
  private trimKnown(piece: Arrival): void {
    const last = this.connection.newest;
    if (last === null || last.isOpen || last.isAnothersAck(piece.acknowledgment)) return;
    const { start, next } = last.client;
    const known = distance(piece.sequence, next);
    if (distance(start, piece.sequence) < 0 || known <= 0 || known >= piece.length) return;
    piece.trim(known);
    this.counters.overlap_bytes += known;
  }

  /**
   * Opens an incarnation after its SYN was taken for a late copy: only the first bytes behind the SYN show that it was
   * none.
   */
  private openAgain(sequence: number): void {
    const again = findFrom(this.connection.newest, (incarnation) => incarnation.isBehindSynAgain(sequence));
    if (again !== undefined) this.connection.open(again.synAgain!);
  }

  /**
   * The segment belongs to no incarnation: the SYN of its incarnation was not seen. That is joined at its lowest
   * byte, unless the segment needs the SYN.
   */
  protected giveUpUnowned(segment: PendingSegment): void {
    const first = this.needsSyn(segment) ? null : this.lowestUnowned(segment);
    if (first === null) {
      this.refuse(segment);
      return;
    }
    const incarnation = this.connection.pickUp(first.generation, first.sequence);
    this.pending!.remove(first);
    this.consume(incarnation, first);
    this.settle();
    if (incarnation.isOpen) this.connection.replaceOld(incarnation);
  }

  /**
   * The segment with the lowest byte near this one that belongs to no incarnation; null: there is none (a FIN alone is
   * not forwarded).
   */
  private lowestUnowned(segment: PendingSegment): PendingSegment | null {
    const pending = this.pending!;
    let lowest = segment;
    const place = pending.placeOf(segment.sequence);
    for (let i = 1; i <= this.pendingCount; i++) {
      const other = pending.at(place - i);
      const below = distance(other.sequence, lowest.sequence);
      if (below < 0 || below > LATE_START_BYTES_MAX) break;
      if (other.length > 0 && other.doubt === Doubt.NONE && this.ownerOf(other) === null) lowest = other;
    }
    return lowest.length > 0 ? lowest : null;
  }

  /** Refuses a segment that belongs to no incarnation, and is not to be forwarded. */
  private refuse(segment: PendingSegment): void {
    const { counters } = this;
    if (segment.doubt === Doubt.BEHIND_RESET) counters.discarded_bytes += segment.length;
    else if (segment.doubt === Doubt.MAY_BE_COPY) counters.retransmitted_bytes += segment.length;
    else if (this.needsSyn(segment)) counters.out_of_window++;
    this.pending!.remove(segment);
  }
}
