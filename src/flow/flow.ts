/**
 * One TCP connection's client side: puts its bytes in order, and tells holes, start and end
 * (RFC 9293, section 3.4; RFC 5961, section 3.2). The rules are those of a receiver that cannot
 * answer: what is missing is waited for, up to a limit, and then declared a hole.
 */
import type { BufferBudget } from "../buffer-budget.ts";
import type { Segment } from "../decode/segment.ts";
import { TcpFlag } from "../decode/tcp.ts";
import type { Counters } from "../observe/counters.ts";
import { chargeOf, HeldBytes, type Piece } from "./held-bytes.ts";
import { advance, distance } from "./sequence.ts";
import type { StreamConsumer, StreamEnd, StreamOpener, StreamOrigin } from "./stream.ts";

/** The largest window TCP can offer (RFC 7323, section 2.3): nothing of a flow lies further away. */
export const WINDOW_BYTES_MAX = 2 ** 30;

export const Stage = {
  /** First seen without its SYN: bytes wait for the SYN, or for earlier ones. */
  WAITING: 0,
  OPEN: 1,
  /** Remembered so that late retransmissions are told from a new connection. */
  ENDED: 2,
} as const;

/** What all flows of a table share. */
export interface FlowContext {
  readonly maxPendingPackets: number;
  readonly gapTimeoutMs: number;
  readonly counters: Counters;
  readonly budget: BufferBudget;
  readonly opener: StreamOpener;
  /** Flows that wait for something, the longest-waiting first. */
  readonly waiting: Set<Flow>;
  /** Called when a flow has just ended; pieces behind its FIN are handed on. */
  flowEnded(flow: Flow, behindFin: Piece[]): void;
}

/** A connection that had the same addresses and ports before: what of it may still come. */
export interface Incarnation {
  readonly hasSyn: boolean;
  readonly isn: number;
  readonly start: number;
  readonly next: number;
}

export class Flow implements StreamOrigin, Incarnation {
  stage: number = Stage.WAITING;
  hasSyn = false;
  isn = 0;
  /** The first byte's sequence number; 0 while WAITING. */
  start = 0;
  /** The next expected sequence number. */
  next = 0;
  lastSeenMs: number;

  /** The flow with this identity before this one, while bytes of it may still come. */
  previous: Flow | null = null;
  /** The flow that took this one's place. */
  successor: Flow | null = null;
  /** The same once it had ended. */
  remembered: Incarnation | null = null;
  /** When another flow took this one's place; Infinity: it has not. */
  private replacedMs = Infinity;

  /** Neighbours in the table's list of flows by age. */
  older: Flow | null = null;
  newer: Flow | null = null;

  /** The acknowledgment numbers that the client has sent: they tell its connections apart, whatever their ISN. */
  private hasAck = false;
  private ackFirst = 0;
  private ackLast = 0;
  /** The SYN came again after the end: a late copy, or another connection with the same ISN. */
  synAgain = false;

  private consumer: StreamConsumer | null = null;
  private held: HeldBytes | null = null;
  private hasFin = false;
  private finAt = 0;
  private finArrivedMs = Infinity;
  /** One past the furthest byte that the mirror cut off; null: it cut none. */
  private cutOffEnd: number | null = null;
  private isWaiting = false;

  constructor(
    readonly identity: Int32Array,
    readonly hash: number,
    private readonly context: FlowContext,
    nowMs: number,
  ) {
    this.lastSeenMs = nowMs;
  }

  /** The SYN was seen: bytes begin behind it. */
  open(isn: number): void {
    this.hasSyn = true;
    this.isn = isn;
    this.context.counters.flows.opened++;
    this.begin(advance(isn, 1));
    this.drain();
    this.settle();
  }

  /** A SYN that came after bytes which were delivered already. */
  openLate(isn: number): void {
    const { reassembly } = this.context.counters;
    this.hasSyn = true;
    this.isn = isn;
    const lost = distance(advance(isn, 1), this.start);
    if (lost > 0) {
      reassembly.gaps++;
      reassembly.gap_bytes += lost;
    }
  }

  /** How far an acknowledgment number lies outside of those that the client has sent. */
  ackDistance(acknowledgment: number): number {
    if (!this.hasAck) return 0;
    return Math.max(distance(acknowledgment, this.ackFirst), distance(this.ackLast, acknowledgment), 0);
  }

  private noteAck(acknowledgment: number): void {
    if (!this.hasAck) {
      this.hasAck = true;
      this.ackFirst = acknowledgment;
      this.ackLast = acknowledgment;
    } else if (distance(this.ackLast, acknowledgment) > 0) {
      this.ackLast = acknowledgment;
    } else if (distance(acknowledgment, this.ackFirst) > 0) {
      this.ackFirst = acknowledgment;
    }
  }

  /** Takes a segment's payload and FIN. `sequence` is its payload's first byte's. */
  receive(segment: Segment, sequence: number, nowMs: number): void {
    if (this.isOutOfWindow(sequence)) {
      this.context.counters.reassembly.out_of_window++;
      return;
    }
    if ((segment.flags & TcpFlag.ACK) !== 0) this.noteAck(segment.acknowledgment);
    const length = segment.payloadLength;
    const claimedEnd = advance(sequence, length + segment.missingLength);
    if (length > 0) this.receiveBytes(sequence, segment, nowMs);
    if (this.stage === Stage.ENDED) return;
    if (segment.missingLength > 0) this.noteCutOff(claimedEnd);
    if ((segment.flags & TcpFlag.FIN) !== 0) this.receiveFin(claimedEnd, nowMs);
    // In order and nothing held is the usual case: then there is nothing to settle.
    if (this.held !== null || this.hasFin || this.isWaiting) this.settle();
  }

  /** A reset. Only one that is exactly in order counts: others are often forged (RFC 5961, 3.2). */
  receiveReset(sequence: number): void {
    if (this.stage !== Stage.OPEN || sequence !== this.next) return;
    this.finish("reset");
  }

  /** Gives up holes that are older than the time limit, and the flow if it was replaced so long ago. */
  expire(nowMs: number): void {
    const dueMs = nowMs - this.context.gapTimeoutMs;
    if (this.replacedMs <= dueMs) {
      this.flush("replaced");
      return;
    }
    while (this.hasHole && this.waitingSinceMs <= dueMs) this.giveUpHole();
    this.settle();
  }

  /** Delivers all that waits, holes declared, and ends the flow. */
  flush(how: StreamEnd): void {
    while (this.hasHole) this.giveUpHole();
    if (this.stage === Stage.OPEN && this.cutOffEnd !== null) {
      const missing = distance(this.next, this.cutOffEnd);
      if (missing > 0) this.declareGap(missing);
    }
    if (this.stage !== Stage.ENDED) this.finish(how);
  }

  /** Another flow takes this one's place: what is missing is waited for as behind a hole. */
  replace(nowMs: number): void {
    this.replacedMs = nowMs;
    this.settle();
  }

  /** Takes out the pieces for which `wanted` holds, for another flow to hold. */
  extract(wanted: (piece: Piece) => boolean): Piece[] {
    const pieces = this.held?.extract(wanted) ?? [];
    for (const piece of pieces) this.context.budget.giveBack(chargeOf(piece));
    if (this.held?.count === 0) this.held = null;
    this.settle();
    return pieces;
  }

  /** Holds a piece that another flow had. */
  adopt(piece: Piece): void {
    if (this.stage === Stage.ENDED) return;
    this.hold(piece.sequence, piece.bytes, 0, piece.bytes.length, piece.arrivedMs, piece.timestampMs);
    this.settle();
  }

  /** The lowest sequence number that waits; undefined: none does. */
  get lowestHeld(): number | undefined {
    return this.held?.first?.sequence;
  }

  /** Gives up the first hole: delivery goes on behind it. */
  giveUpHole(): void {
    const first = this.held?.first;
    if (this.stage === Stage.WAITING) {
      if (first !== undefined) {
        this.context.counters.flows.picked_up++;
        this.begin(first.sequence);
      }
    } else {
      const toFin = this.hasFin ? distance(this.next, this.finAt) : Infinity;
      const toFirst = first === undefined ? Infinity : distance(this.next, first.sequence);
      this.declareGap(Math.min(toFin, toFirst));
    }
    this.drain();
  }

  private receiveBytes(sequence: number, segment: Segment, nowMs: number): void {
    const { reassembly } = this.context.counters;
    const { bytes, payloadOffset, payloadLength, timestampMs } = segment;
    if (this.stage === Stage.WAITING) {
      this.hold(sequence, bytes, payloadOffset, payloadLength, nowMs, timestampMs);
      return;
    }
    const ahead = distance(this.next, sequence);
    if (ahead > 0) {
      if (this.isEarlierIncarnations(sequence, payloadLength)) {
        reassembly.retransmitted_bytes += payloadLength;
        return;
      }
      reassembly.out_of_order++;
      this.hold(sequence, bytes, payloadOffset, payloadLength, nowMs, timestampMs);
      return;
    }
    const fresh = payloadLength + ahead;
    if (fresh <= 0) {
      reassembly.retransmitted_bytes += payloadLength;
      return;
    }
    reassembly.overlap_bytes -= ahead;
    const first = this.held?.first;
    if (first !== undefined && distance(this.next, first.sequence) < fresh) {
      // Held bytes came first, and so win: let the list sort it out.
      this.hold(this.next, bytes, payloadOffset - ahead, fresh, nowMs, timestampMs);
    } else {
      this.deliver(bytes, payloadOffset - ahead, fresh, timestampMs);
    }
    if (this.held !== null || this.hasFin) this.drain();
  }

  private receiveFin(finAt: number, nowMs: number): void {
    if (this.hasFin) return;
    if (this.stage === Stage.OPEN && distance(this.next, finAt) < 0) return;
    this.hasFin = true;
    this.finAt = finAt;
    this.finArrivedMs = nowMs;
    if (this.stage === Stage.OPEN) this.drain();
  }

  private hold(sequence: number, bytes: Uint8Array, offset: number, length: number, nowMs: number, timestampMs: number): void {
    const { budget, counters, maxPendingPackets } = this.context;
    const { reassembly } = counters;
    this.held ??= new HeldBytes();
    const chargedBefore = this.held.chargedBytes;
    const added = this.held.insert(sequence, bytes, offset, length, nowMs, timestampMs);
    budget.take(this.held.chargedBytes - chargedBefore);
    if (added === 0) reassembly.retransmitted_bytes += length;
    else reassembly.overlap_bytes += length - added;
    // In order after all: the caller delivers it at once.
    if (this.stage === Stage.OPEN && this.held.first?.sequence === this.next) return;
    while (this.held !== null && this.held.count > maxPendingPackets) {
      reassembly.pending_limit++;
      this.giveUpHole();
    }
    if (!budget.hasRoomFor(0)) this.makeRoom();
  }

  /** Gives up holes, the oldest first, until what is held is within the limit. */
  private makeRoom(): void {
    const { budget, counters, waiting } = this.context;
    for (const flow of waiting) {
      if (budget.hasRoomFor(0)) return;
      if (flow === this || !flow.hasHole) continue;
      counters.reassembly.buffer_limit++;
      flow.giveUpHole();
      flow.settle();
    }
    while (!budget.hasRoomFor(0) && this.held !== null) {
      counters.reassembly.buffer_limit++;
      this.giveUpHole();
    }
  }

  private begin(start: number): void {
    this.stage = Stage.OPEN;
    this.start = start;
    this.next = start;
    this.context.counters.flows.active++;
    this.consumer = this.context.opener.open(this);
  }

  /** Delivers what is in order now, and ends the flow at its FIN. */
  private drain(): void {
    const held = this.held;
    while (held !== null && held.first !== undefined) {
      const piece = held.first;
      const behind = distance(piece.sequence, this.next);
      if (behind < 0) break;
      if (this.hasFin && distance(this.finAt, piece.sequence) >= 0) break;
      held.shift();
      this.context.budget.giveBack(chargeOf(piece));
      if (behind < piece.bytes.length) this.deliver(piece.bytes, behind, piece.bytes.length - behind, piece.timestampMs);
    }
    if (held !== null && held.count === 0) this.held = null;
    if (this.hasFin && this.stage === Stage.OPEN && distance(this.next, this.finAt) <= 0) this.finish("fin");
  }

  private deliver(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    if (this.hasFin) {
      const toFin = distance(this.next, this.finAt);
      if (length > toFin) {
        this.context.counters.reassembly.out_of_window++;
        length = toFin;
      }
    }
    this.next = advance(this.next, length);
    this.context.counters.reassembly.delivered_bytes += length;
    this.consumer!.data(bytes, offset, length, timestampMs);
  }

  private declareGap(length: number): void {
    const { reassembly } = this.context.counters;
    reassembly.gaps++;
    reassembly.gap_bytes += length;
    this.next = advance(this.next, length);
    this.consumer!.gap(length);
  }

  private finish(how: StreamEnd): void {
    const { budget, counters } = this.context;
    const left = this.held?.extract(() => true) ?? [];
    for (const piece of left) {
      budget.giveBack(chargeOf(piece));
      if (how !== "fin") counters.reassembly.discarded_bytes += piece.bytes.length;
    }
    this.held = null;
    if (this.stage === Stage.OPEN) {
      counters.flows.active--;
      if (how === "evicted") counters.flows.evicted++;
      else counters.flows.closed++;
    }
    this.stage = Stage.ENDED;
    this.settle();
    this.consumer?.end(how);
    this.consumer = null;
    this.context.flowEnded(this, how === "fin" ? left : []);
  }

  /** Keeps the context's set of waiting flows true. */
  private settle(): void {
    const waits = this.stage !== Stage.ENDED && (this.hasHole || this.replacedMs !== Infinity);
    if (waits === this.isWaiting) return;
    this.isWaiting = waits;
    if (waits) this.context.waiting.add(this);
    else this.context.waiting.delete(this);
  }

  private get hasHole(): boolean {
    if (this.stage === Stage.ENDED) return false;
    return this.held !== null || (this.hasFin && this.stage === Stage.OPEN);
  }

  private get waitingSinceMs(): number {
    return Math.min(this.held?.oldestArrivalMs ?? Infinity, this.stage === Stage.OPEN ? this.finArrivedMs : Infinity);
  }

  private isOutOfWindow(sequence: number): boolean {
    const base = this.stage === Stage.OPEN ? this.next : this.lowestHeld;
    return base !== undefined && Math.abs(distance(base, sequence)) > WINDOW_BYTES_MAX;
  }

  private isEarlierIncarnations(sequence: number, length: number): boolean {
    const earlier = this.remembered;
    return earlier !== null && isWithin(earlier, sequence, length);
  }

  private noteCutOff(end: number): void {
    if (this.cutOffEnd === null || distance(this.cutOffEnd, end) > 0) this.cutOffEnd = end;
  }
}

/** Whether these bytes all lie in what an incarnation has delivered. */
export function isWithin(incarnation: Incarnation, sequence: number, length: number): boolean {
  return distance(incarnation.start, sequence) >= 0 && distance(advance(sequence, length), incarnation.next) >= 0;
}
