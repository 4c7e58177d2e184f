/**
 * The client's direction. Whose a segment is: the incarnation's that expects just these bytes, unless its client never
 * acknowledged the like; else that which began nearest below them, ended ones included, whose late copies these may be.
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

export class ClientDirection extends Direction {
  /** Takes the client's bytes, or its FIN. False: they were late copies. */
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
    this.pend(arrival);
    this.openAgain(arrival.sequence);
    this.keepLimits();
    return true;
  }

  /** Takes a segment that carries nothing but, perhaps, an acknowledgment, or the length of what the mirror cut off. */
  takeBare(segment: Segment): void {
    const { newest } = this.connection;
    if (newest === null || !newest.isOpen) return;
    arrival.set(segment, segment.sequence, this.connection.generation, this.context.nowMs);
    const { acknowledgment, sequence } = arrival;
    // Late ones of the incarnations before have numbers just behind theirs, which may be this one's.
    const isBefores =
      !newest.knowsAck(acknowledgment) &&
      findFrom(newest.before, (other) => other.knowsAck(acknowledgment)) !== undefined;
    if (!isBefores && newest.isNear(sequence) && !this.isAnothers(newest, arrival)) this.receive(newest, arrival);
  }

  /** A reset. Only one that is exactly in order counts: others are often forged (RFC 5961, 3.2). */
  takeReset(sequence: number): void {
    const incarnation = findFrom(this.connection.newest, ({ client }) => !client.isEnded && client.next === sequence);
    if (incarnation === undefined) return;
    this.pending?.some((segment) => {
      if (this.ownerOf(segment) === incarnation) segment.doubt = Doubt.BEHIND_RESET;
      return false;
    });
    this.connection.finish(incarnation, "reset");
    this.settle();
  }

  /** Takes the bytes of a SYN. */
  takeSynBytes(incarnation: Incarnation, segment: Segment): void {
    arrival.set(segment, advance(segment.sequence, 1), this.connection.generation, this.context.nowMs);
    incarnation.clientAcknowledged = null;
    this.receive(incarnation, arrival);
  }

  /**
   * What is pending, and may be of an incarnation that has just opened: a keep-alive probe before any data repeats the
   * SYN's number.
   */
  takeProbes(incarnation: Incarnation): void {
    for (;;) {
      const probe = this.pending?.find(({ sequence, length }) => sequence === incarnation.isn && length === 1);
      if (probe === undefined || this.ownerOf(probe) !== incarnation) return;
      this.pending!.remove(probe);
      this.consume(incarnation, probe);
    }
  }

  /** Whether bytes wait for just the SYN with this ISN. */
  isAwaited(isn: number): boolean {
    const start = advance(isn, 1);
    return (
      this.pending?.some(
        (segment) =>
          segment.sequence === start && (segment.doubt === Doubt.MAY_BE_COPY || this.ownerOf(segment) === null),
      ) ?? false
    );
  }

  /**
   * What the client of the incarnation that begins here acknowledges, if bytes are pending that are none other's;
   * null: it is not known.
   */
  hintOf(start: number): number | null {
    const isHint = (segment: PendingSegment) => segment.acknowledgment !== null && this.ownerOf(segment) === null;
    return this.pending?.firstFrom(start, LATE_START_BYTES_MAX + 1, isHint)?.acknowledgment ?? null;
  }

  /** Gives up what would be something only with a SYN. */
  refuseUnowned(): void {
    for (;;) {
      const refused = this.pending?.find((segment) => this.needsSyn(segment) && this.ownerOf(segment) === null);
      if (refused === undefined) return;
      this.refuse(refused);
    }
  }

  /** Gives up what is left, whosoever it is. False: there is none. */
  giveUpAny(): boolean {
    if (this.pendingCount === 0) return false;
    this.giveUp(this.pending!.at(0));
    return true;
  }

  protected sideOf(incarnation: Incarnation): Reassembler {
    return incarnation.client;
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
    let expected: Incarnation | null = null;
    let nearest: Incarnation | null = null;
    let nearestFit = Infinity;
    for (let incarnation = this.connection.newest; incarnation !== null; incarnation = incarnation.before) {
      if (incarnation.isStrangeTo(piece)) continue;
      const isAnothersAck = incarnation.isAnothersAck(acknowledgment);
      const isExpected = !isAnothersAck && incarnation.expects(piece);
      if (isExpected && incarnation.acks.isKnown) return incarnation;
      // Nothing was acknowledged yet: it may be another's that expects the same.
      if (isExpected) expected ??= incarnation;
      if (isAnothersAck && this.isAnothers(incarnation, piece)) continue;
      let fit = incarnation.fit(piece);
      // An open one's client may say what it never said before, but not if another's did.
      if (fit >= 0 && incarnation.isOpen && isAnothersAck) fit += UNLIKELY;
      if (fit < 0 || fit >= nearestFit) continue;
      nearest = incarnation;
      nearestFit = fit;
    }
    if (expected !== null) return expected;
    // What waits for its SYN may begin nearer than the nearest of those that are known.
    const unowned =
      nearest !== null && !nearest.isPickedUp && nearestFit > LATE_START_BYTES_MAX ? this.unownedNear(piece) : null;
    return unowned !== null && distance(unowned.sequence, piece.sequence) + LATE_START_BYTES_MAX < nearestFit
      ? null
      : nearest;
  }

  /** Of those that are nobody's one that is near, and acknowledges the like; null: there is none. */
  private unownedNear(piece: Piece): PendingSegment | null {
    let near: PendingSegment | null = null;
    if (this.pending === null || this.pending.unownedCount === 0) return null;
    this.pending.some((other) => {
      if (
        !other.isUnowned ||
        other === piece ||
        other.doubt !== Doubt.NONE ||
        (near !== null && near.generation <= other.generation)
      )
        return false;
      const isNear = Math.abs(distance(other.sequence, piece.sequence)) <= LATE_START_BYTES_MAX;
      if (isNear && mayBeAlike(other.acknowledgment, piece.acknowledgment)) near = other;
      return false;
    });
    return near;
  }

  /**
   * Whether a piece that has nothing new for an incarnation, or begins behind a second SYN, is another's, by what it
   * acknowledges.
   */
  private isAnothers(incarnation: Incarnation, piece: Piece): boolean {
    if (!incarnation.isAnothersAck(piece.acknowledgment)) return false;
    // A FIN far ahead would end it behind a gap of all that lies between.
    const isFarEnd = piece.length === 0 && distance(incarnation.client.next, piece.sequence) > LATE_START_BYTES_MAX;
    return (
      !incarnation.isOpen || isFarEnd || incarnation.isBehindSynAgain(piece.sequence) || this.has(incarnation, piece)
    );
  }

  /**
   * Whether an open incarnation has the first byte of a piece, delivered or pending; without bytes: whether it has any
   * further on.
   */
  private has(incarnation: Incarnation, piece: Piece): boolean {
    if (distance(piece.sequence, incarnation.client.next) > 0) return true;
    return (
      this.pending?.some((other) => {
        if (other === piece || !incarnation.knowsAck(other.acknowledgment)) return false;
        const from = distance(other.sequence, piece.sequence);
        return piece.length === 0 || (from >= 0 && from < other.length);
      }) ?? false
    );
  }

  /**
   * Of bytes that an ended incarnation had: whether the client now acknowledges more, as the next one would, ahead of
   * a SYN with the same ISN.
   */
  private isDoubtful(ended: Incarnation, { length, acknowledgment }: Piece): boolean {
    if (length === 0 || acknowledgment === null || !ended.acks.isBehind(acknowledgment)) return false;
    if (this.pending?.some(({ doubt }) => doubt === Doubt.MAY_BE_COPY) === true) return true;
    return this.connection.newest === ended && this.pendingCount === 0;
  }

  /**
   * Whether what is nobody's is the next incarnation's early bytes if the SYN comes, and nothing that a receiver would
   * take if it does not: another was open when it came, and is not about to end.
   */
  private needsSyn(segment: PendingSegment): boolean {
    if (segment.doubt !== Doubt.NONE) return true;
    const isOpen = (incarnation: Incarnation) =>
      incarnation.isOpen && incarnation.generation <= segment.generation && !this.awaitsFin(incarnation);
    return findFrom(this.connection.newest, isOpen) !== undefined;
  }

  private awaitsFin(incarnation: Incarnation): boolean {
    return this.pending!.some((segment) => segment.isFin && this.ownerOf(segment) === incarnation);
  }

  /** Takes off the bytes that the last incarnation has delivered, if that has ended. */
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
   * Opens an incarnation whose SYN has come, and was taken for a late copy: only the first bytes behind it show that
   * it was none.
   */
  private openAgain(sequence: number): void {
    const again = findFrom(this.connection.newest, (incarnation) => incarnation.isBehindSynAgain(sequence));
    if (again !== undefined) this.connection.open(again.synAgain!);
  }

  /**
   * Nobody's: the SYN of the incarnation was not seen. It is picked up at its lowest byte, unless nothing would be
   * without the SYN.
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

  /** The lowest of the bytes that are nobody's, and near; null: there are none (a FIN alone is nothing to forward). */
  private lowestUnowned(segment: PendingSegment): PendingSegment | null {
    const pending = this.pending!;
    let lowest = segment;
    const place = pending.placeOf(segment.sequence);
    for (let i = 1; i <= pending.count; i++) {
      const other = pending.at(place - i < 0 ? place - i + pending.count : place - i);
      const below = distance(other.sequence, lowest.sequence);
      if (below < 0 || below > LATE_START_BYTES_MAX) break;
      if (other.length > 0 && other.doubt === Doubt.NONE && this.ownerOf(other) === null) lowest = other;
    }
    return lowest.length > 0 ? lowest : null;
  }

  /** Nobody's, and nothing to forward. */
  private refuse(segment: PendingSegment): void {
    const { counters } = this;
    if (segment.doubt === Doubt.BEHIND_RESET) counters.discarded_bytes += segment.length;
    else if (segment.doubt === Doubt.MAY_BE_COPY) counters.retransmitted_bytes += segment.length;
    else if (this.needsSyn(segment)) counters.out_of_window++;
    this.pending!.remove(segment);
  }
}
