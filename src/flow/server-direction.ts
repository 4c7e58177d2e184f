/**
 * The server's direction, if somebody wants it. A SYN-ACK tells which incarnation it answers, and where the server's
 * bytes begin. A segment's acknowledgment number tells which client's bytes the server has seen. A segment that fits no
 * incarnation belongs to none.
 */
import type { Segment } from "../decode/segment.ts";
import { TcpFlag } from "../decode/tcp.ts";
import { Direction } from "./direction.ts";
import { findFrom, type Incarnation, LATE_START_BYTES_MAX, WINDOW_BYTES_MAX } from "./incarnation.ts";
import type { PendingSegment } from "./pending-segments.ts";
import { arrival, type Piece } from "./piece.ts";
import { Reassembler } from "./reassembler.ts";
import { advance, distance } from "./sequence.ts";
import type { StreamEnd } from "./stream.ts";

/** A FIN takes a number too. */
const FIN_LEN = 1;

/** The server's direction of one connection. */
export class ServerDirection extends Direction {
  /** A SYN-ACK that came before its SYN: its acknowledgment number, and where the server's bytes begin. */
  private early: { acknowledgment: number; start: number } | null = null;

  /** Whether a server's side has not ended, or segments are pending. */
  get isLive(): boolean {
    return this.pendingCount > 0 || findFrom(this.connection.newest, (each) => this.isOpen(each)) !== undefined;
  }

  /**
   * The usual case: the only incarnation gets exactly its next bytes, and no segment is pending. False: it is another
   * case, and nothing was done.
   */
  takeNext(segment: Segment): boolean {
    const only = this.connection.newest;
    if (only === null || only.before !== null || this.early !== null || this.pendingCount > 0) return false;
    const { server } = only;
    const { flags, acknowledgment, payloadLength } = segment;
    if (
      server === null ||
      server.isEnded ||
      server.next !== segment.sequence ||
      payloadLength === 0 ||
      segment.missingLength > 0 ||
      (flags & (TcpFlag.SYN | TcpFlag.FIN | TcpFlag.RST | TcpFlag.ACK)) !== TcpFlag.ACK ||
      !only.mayBeAnswered(acknowledgment, FIN_LEN)
    )
      return false;
    only.serverAcknowledged = acknowledgment;
    server.deliver(segment.bytes, segment.payloadOffset, payloadLength, segment.timestampMs);
    return true;
  }

  take(segment: Segment): void {
    const { flags, acknowledgment, sequence } = segment;
    const isSyn = (flags & TcpFlag.SYN) !== 0;
    if ((flags & TcpFlag.RST) !== 0) {
      this.takeReset(sequence);
      return;
    }
    // No receiver takes it (RFC 9293, section 3.10.7.4).
    if ((flags & TcpFlag.ACK) === 0) return;
    const first = isSyn ? advance(sequence, 1) : sequence;
    if (isSyn) this.takeSynAck(acknowledgment, first);
    if (segment.payloadLength + segment.missingLength === 0 && (flags & TcpFlag.FIN) === 0) return;
    arrival.set(segment, first, this.connection.generation, this.context.nowMs);
    const owner = this.ownerOf(arrival);
    if (owner === null) {
      this.pend(arrival);
      this.settle();
      this.keepLimits();
    } else if (this.isOpen(owner)) {
      this.receive(owner, arrival);
    } else {
      this.counters.retransmitted_bytes += arrival.length;
    }
  }

  /** An incarnation has opened by its SYN. */
  opened(incarnation: Incarnation): void {
    const { early } = this;
    if (early === null || !incarnation.isSynAcknowledged(early.acknowledgment)) return;
    this.early = null;
    this.begin(incarnation, early.start, true);
  }

  override settle(): void {
    if (this.pendingCount > 0) this.joinByAcknowledgments();
    super.settle();
  }

  /**
   * Joins servers' sides without a SYN-ACK: it was not seen, or came before the SYN. If the client has sent no byte
   * before, the acknowledgment number of its first byte shows where the server's bytes begin. They are joined and not
   * begun, because that byte may have come in a retransmission.
   */
  private joinByAcknowledgments(): void {
    for (let incarnation = this.connection.newest; incarnation !== null; incarnation = incarnation.before) {
      const { firstAcknowledged } = incarnation;
      if (incarnation.server !== null || incarnation.response === null || firstAcknowledged === null) continue;
      const mayBegin = (segment: PendingSegment) => segment.length > 0 && this.unbegun(segment) === incarnation;
      const first = this.pending?.firstFrom(firstAcknowledged, 1, mayBegin) ?? null;
      if (first === null) continue;
      const lowest = this.lowestLike(first, incarnation);
      // Lower bytes that acknowledge the client's show that its first byte came in a retransmission.
      if (lowest === first || lowest.acknowledgment === incarnation.client.start)
        this.begin(incarnation, lowest.sequence, false);
    }
  }

  /** Ends an incarnation's response, if there is one: delivers its pending segments, and reports the gaps. */
  end(incarnation: Incarnation, how: StreamEnd): void {
    // A reset discards pending segments: they stay, and belong to no incarnation.
    if (how !== "reset") {
      const first = this.all.find((segment) => segment.length > 0 && this.unbegun(segment) === incarnation);
      if (first !== undefined) this.begin(incarnation, this.lowestLike(first, incarnation).sequence, false);
      this.flushPendingOf(incarnation);
    }
    if (this.isOpen(incarnation)) {
      if (how !== "reset") incarnation.server!.skipCutOff();
      this.finish(incarnation, how);
    }
    incarnation.response = null;
  }

  /** Ends all responses. */
  flush(how: StreamEnd): void {
    while (this.pendingCount > 0) this.giveUp(this.all[0]!);
    for (let incarnation = this.connection.newest; incarnation !== null; incarnation = incarnation.before)
      this.end(incarnation, how);
  }

  /** (PendingHolder) The servers of several incarnations may have used the same numbers. */
  override mayBeAlike(a: number | null, b: number | null): boolean {
    return (
      this.answered(a!, LATE_START_BYTES_MAX) === this.answered(b!, LATE_START_BYTES_MAX) && super.mayBeAlike(a, b)
    );
  }

  protected sideOf(incarnation: Incarnation): Reassembler | null {
    return incarnation.server;
  }

  /**
   * The server's acknowledgment number shows how many of its client's bytes it had read when it sent the piece. The
   * piece's own numbers are in order, so the client may acknowledge them.
   */
  protected noteAck(incarnation: Incarnation, acknowledgment: number): void {
    incarnation.serverAcknowledged = acknowledgment;
  }

  protected finish(incarnation: Incarnation, how: StreamEnd): void {
    const server = incarnation.server!;
    if (how === "fin") this.dropAtFin(incarnation);
    server.isEnded = true;
    server.hasFin = how === "fin";
    server.consumer = null;
    incarnation.response!.end(how);
    incarnation.response = null;
  }

  /**
   * A piece that acknowledges more of its client's bytes than have come waits until they have come, or were given up.
   */
  protected ownerOf(piece: Piece): Incarnation | null {
    return this.nearest(piece, FIN_LEN);
  }

  protected override heirOf(segment: PendingSegment): Incarnation | null {
    return this.nearest(segment, LATE_START_BYTES_MAX);
  }

  /** The SYN-ACK was not seen. */
  protected giveUpUnowned(segment: PendingSegment): void {
    const answered = this.unbegun(segment);
    if (answered === undefined || segment.length === 0) {
      this.counters.out_of_window++;
      this.pending!.remove(segment);
    } else {
      this.begin(answered, this.lowestLike(segment, answered).sequence, false);
    }
  }

  /** The incarnation that a segment answers, if no segment of its server has come yet. */
  private unbegun(piece: Piece): Incarnation | undefined {
    const base = this.answered(piece.acknowledgment!, LATE_START_BYTES_MAX);
    return findFrom(
      this.connection.newest,
      (each) => each.base === base && each.response !== null && each.server === null,
    );
  }

  /**
   * The nearest incarnation that a piece may belong to. The piece may acknowledge up to `aheadMax` bytes more than its
   * client has sent.
   */
  private nearest(piece: Piece, aheadMax: number): Incarnation | null {
    const { sequence, length } = piece;
    const base = this.answered(piece.acknowledgment!, aheadMax);
    let nearest: Incarnation | null = null;
    let nearestFit = Infinity;
    for (let incarnation = this.connection.newest; incarnation !== null; incarnation = incarnation.before) {
      const { server } = incarnation;
      if (server === null || incarnation.base !== base) continue;
      if (server.next === sequence && !server.isEnded) return incarnation;
      const fit = distance(server.start, sequence);
      const isKnown = server.isEnded
        ? distance(advance(sequence, length), server.next) >= 0
        : distance(server.next, sequence) <= WINDOW_BYTES_MAX;
      if (!isKnown || fit < 0 || fit >= nearestFit) continue;
      nearest = incarnation;
      nearestFit = fit;
    }
    return nearest;
  }

  /**
   * The base of the incarnation that an acknowledgment number is nearest above; or of one that still waits for its SYN,
   * as its SYN-ACK said. Null: there is none.
   */
  private answered(acknowledgment: number, aheadMax: number): number | null {
    const early = this.early?.acknowledgment ?? null;
    let nearest = early !== null && distance(early, acknowledgment) >= 0 ? early : null;
    for (let incarnation = this.connection.newest; incarnation !== null; incarnation = incarnation.before) {
      const { base } = incarnation;
      if (!incarnation.mayBeAnswered(acknowledgment, aheadMax)) continue;
      if (nearest === null || distance(nearest, base) > 0) nearest = base;
    }
    return nearest;
  }

  private takeReset(sequence: number): void {
    const incarnation = findFrom(
      this.connection.newest,
      ({ server }) => server !== null && !server.isEnded && server.next === sequence,
    );
    if (incarnation !== undefined) this.finish(incarnation, "reset");
  }

  private takeSynAck(acknowledgment: number, start: number): void {
    const answered = findFrom(this.connection.newest, (incarnation) => incarnation.isSynAcknowledged(acknowledgment));
    if (answered?.server === null) this.begin(answered, start, true);
    // At or below the known beginning, it is the same server's: a late copy, or the server was joined behind it.
    else if (answered === undefined || distance(answered.server.start, start) > 0)
      this.early = { acknowledgment, start };
  }

  private begin(incarnation: Incarnation, start: number, isFromStart: boolean): void {
    if (isFromStart) incarnation.ownAcks.begin(start);
    const { response } = incarnation;
    if (response === null) return;
    incarnation.server = new Reassembler(start, response, this.counters);
    response.begin(isFromStart);
    this.settle();
  }

  /** The lowest of the segments with bytes that answer the same incarnation; no segment of its server was taken yet. */
  private lowestLike(segment: PendingSegment, answered: Incarnation): PendingSegment {
    let lowest = segment;
    for (const other of this.all) {
      const below = distance(other.sequence, lowest.sequence);
      if (below > 0 && below <= LATE_START_BYTES_MAX && other.length > 0 && this.unbegun(other) === answered)
        lowest = other;
    }
    return lowest;
  }
}
