/**
 * One TCP connection's client side: puts its bytes in order, and tells holes, start and end
 * (RFC 9293, section 3.4; RFC 5961, section 3.2). The rules are those of a receiver that cannot
 * answer: what is missing is waited for, up to a limit, and then declared a hole.
 */
import type { Segment } from "../decode/segment.ts";
import { TcpFlag } from "../decode/tcp.ts";
import type { Counters } from "../observe/counters.ts";
import { HeldBytes, type HeldMemory, type Piece } from "./held-bytes.ts";
import { advance, distance } from "./sequence.ts";
import type { StreamConsumer, StreamEnd, StreamOpener, StreamOrigin } from "./stream.ts";

/** The largest window TCP can offer (RFC 7323, section 2.3): nothing of a flow lies further ahead. */
export const WINDOW_BYTES_MAX = 2 ** 30;
/** How far below the bytes seen a late SYN, or late first bytes, may lie and still belong to them. */
export const LATE_START_BYTES_MAX = 1 << 20;
/** How far a late copy may acknowledge more, or less, than all that came of its flow in time. */
const LATE_ACK_BYTES_MAX = 1 << 20;
/** How long a flow whose place another took may still get bytes, where holes have no time limit. */
const REPLACED_MS_MAX = 60_000;

export const Stage = {
  /** First seen without its SYN: bytes wait for the SYN, or for earlier ones. */
  WAITING: 0,
  OPEN: 1,
  /** Remembered so that late retransmissions are told from a new connection. */
  ENDED: 2,
} as const;

export const Doubt = {
  NONE: 0,
  /** It waited in another flow when a reset ended that. */
  BEHIND_RESET: 1,
  /** An ended flow had the same, but its client acknowledged less. */
  MAY_BE_COPY: 2,
} as const;

/** What all flows of a table share. */
export interface FlowContext {
  readonly maxPendingPackets: number;
  readonly gapTimeoutMs: number;
  readonly counters: Counters;
  readonly memory: HeldMemory;
  readonly opener: StreamOpener;
  /** Flows that wait for something, the longest-waiting first. */
  readonly waiting: Set<Flow>;
  /** Each of `waiting` in its turn; there must be one. */
  nextWaiting(): Flow;
  /** Called when an open flow has just ended; pieces behind its FIN or reset are handed on, to be copied: they may be the next one's. */
  flowEnded(flow: Flow, how: StreamEnd, behind: Piece[]): void;
  /** Called when a flow that was never opened has nothing left to wait for. */
  flowVanished(flow: Flow): void;
}

export class Flow implements StreamOrigin {
  stage: number = Stage.WAITING;
  hasSyn = false;
  isn = 0;
  /** The first byte's sequence number; 0 while WAITING. */
  start = 0;
  /** The next expected sequence number. */
  next = 0;
  /** When it was last heard of; of a flow that has ended, when that was. */
  lastSeenMs: number;

  /** Why what it has is the next connection's only if that one's SYN comes, else nobody's. */
  doubt: number = Doubt.NONE;
  private replacedMs = Infinity;

  /** Neighbours in the table's list of flows by age. */
  older: Flow | null = null;
  newer: Flow | null = null;
  /** The flow that had the same addresses and ports before it. */
  before: Flow | null = null;

  /** The acknowledgment numbers that the client has sent: they tell its connections apart, whatever their ISN. */
  hasAck = false;
  private ackFirst = 0;
  private ackLast = 0;
  /** The ISN of a SYN that came after the end: a late copy's, or another connection's with the same ISN. */
  synAgain: number | null = null;

  private consumer: StreamConsumer | null = null;
  private held: HeldBytes | null = null;
  /** It has ended with a FIN, at {@link next}. */
  private endedByFin = false;
  /** One past the furthest byte that the mirror cut off of what was delivered; null: it cut none. */
  private cutOffEnd: number | null = null;
  /** Nothing was delivered behind the last hole: what is missing next is more of it. */
  private endsInHole = false;
  private isWaiting = false;

  constructor(
    readonly identity: Int32Array,
    readonly hash: number,
    private readonly context: FlowContext,
    nowMs: number,
  ) {
    this.lastSeenMs = nowMs;
  }

  /**
   * It began without its SYN, and another flow has its addresses and ports: early bytes of the next
   * connection if the SYN comes, and nothing that a receiver would take if it does not.
   */
  private get needsSyn(): boolean {
    for (let other = this.before; other !== null; other = other.before) {
      // A FIN that waits says that the other is about to end.
      if (other.stage === Stage.OPEN && !(other.held?.hasFin ?? false)) return true;
    }
    return this.doubt !== Doubt.NONE;
  }

  /** The lowest sequence number that may be this flow's. */
  get base(): number {
    if (this.hasSyn) return advance(this.isn, 1);
    return advance(this.firstSeen, -LATE_START_BYTES_MAX);
  }

  /** Whether the SYN with this ISN is the one that opened this flow, or would have. */
  isOpenedBy(isn: number): boolean {
    if (this.hasSyn) return this.isn === isn;
    const below = distance(advance(isn, 1), this.firstSeen);
    // A keep-alive probe before any data repeats the SYN's number.
    const isProbe = below === -1 && this.stage === Stage.WAITING && this.held!.first!.length === 1;
    return (below >= 0 || isProbe) && below <= LATE_START_BYTES_MAX;
  }

  /** Whether bytes (or a FIN) have come behind its SYN, in order or not. */
  get hasBytes(): boolean {
    return this.next !== this.start || this.held !== null;
  }

  /** Whether it waits, and just for the SYN with this ISN. */
  isBehind(isn: number): boolean {
    return this.stage === Stage.WAITING && this.firstSeen === advance(isn, 1);
  }

  /** Whether it is open and has the first byte of a segment, delivered or waiting; without bytes: whether it has any further on. */
  has(sequence: number, length: number): boolean {
    if (this.stage !== Stage.OPEN) return false;
    if (distance(sequence, this.next) > 0) return true;
    if (length === 0) return this.held !== null;
    // Of what waits, some may be another's.
    const isOwn = ({ acknowledgment }: Piece) => acknowledgment !== null && !this.isAnothersAck(acknowledgment);
    return this.held?.has(sequence, isOwn) ?? false;
  }

  /** The usual case, in which what bytes acknowledge does not matter: it expects just these, nothing waits, and there is no other. */
  simplyExpects(sequence: number): boolean {
    return this.stage === Stage.OPEN && this.next === sequence && this.held === null && this.before === null;
  }

  /** Whether it expects just these bytes (or its FIN); ended: whether this is its FIN again. */
  expects(sequence: number, length: number): boolean {
    return this.next === sequence && (this.stage === Stage.OPEN || (length === 0 && this.endedByFin));
  }

  /**
   * How far above the flow's {@link base} bytes lie that may be its own; negative: they are not. The
   * bytes of an ended flow are only those it had.
   */
  fit(sequence: number, length: number): number {
    const above = distance(this.base, sequence);
    // A keep-alive probe before any data repeats the SYN's number, and may come late.
    if (above === -1 && (length === 1 || (this.stage === Stage.OPEN && this.next === this.start))) return 0;
    if (this.stage === Stage.ENDED) {
      const isKnown = length === 0 ? this.endedByFin && sequence === this.next : distance(advance(sequence, length), this.next) >= 0;
      return isKnown ? above : -1;
    }
    if (this.doubt !== Doubt.NONE) return -1;
    if (this.stage === Stage.OPEN && distance(this.next, sequence) > WINDOW_BYTES_MAX) return -1;
    return above;
  }

  /** Whether a segment without bytes may be this flow's: late ones of the connection before it lie elsewhere. */
  isNear(sequence: number): boolean {
    if (distance(this.base, sequence) < -1) return false;
    return this.stage !== Stage.OPEN || distance(this.next, sequence) <= LATE_START_BYTES_MAX;
  }

  /** The lowest byte (or FIN) that was seen; of a flow without its SYN the best guess at its start. */
  private get firstSeen(): number {
    return this.stage === Stage.WAITING ? this.held!.first!.sequence : this.start;
  }

  /** The SYN was seen: bytes begin behind it. */
  open(isn: number): void {
    this.hasSyn = true;
    this.doubt = Doubt.NONE;
    this.isn = isn;
    this.context.counters.flows.opened++;
    this.begin(advance(isn, 1));
    this.drain();
    this.keepLimits();
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

  /**
   * Whether what a segment acknowledges was never said to the flow's client: then it is another
   * connection's, though its sequence numbers may be the same. A late retransmission may acknowledge a
   * little more than all before it, and so needs a second SYN to be taken for another's.
   */
  isAnothersAck(acknowledgment: number): boolean {
    if (!this.hasAck) return false;
    const aboveMax = this.synAgain !== null && this.stage === Stage.ENDED ? 0 : LATE_ACK_BYTES_MAX;
    return distance(this.ackLast, acknowledgment) > aboveMax || distance(this.ackFirst, acknowledgment) < -LATE_ACK_BYTES_MAX;
  }

  /** Whether the client has acknowledged something, but not this much. */
  isBehindAcks(acknowledgment: number): boolean {
    return this.hasAck && distance(this.ackLast, acknowledgment) > 0;
  }

  private noteAck(acknowledgment: number): void {
    if (!this.hasAck) {
      this.hasAck = true;
      this.ackFirst = acknowledgment;
      this.ackLast = acknowledgment;
      this.passBack();
    } else if (distance(this.ackLast, acknowledgment) > 0) {
      this.ackLast = acknowledgment;
      // Further apart, what lies between them would seem to lie outside.
      const apart = distance(this.ackFirst, acknowledgment);
      if (apart < 0 || apart > WINDOW_BYTES_MAX) this.ackFirst = advance(acknowledgment, -WINDOW_BYTES_MAX);
    } else if (distance(acknowledgment, this.ackFirst) > 0) {
      this.ackFirst = acknowledgment;
    }
  }

  /** Takes a segment's payload and FIN. `sequence` is its payload's first byte's. */
  receive(segment: Segment, sequence: number, nowMs: number): void {
    const acknowledgment = (segment.flags & TcpFlag.ACK) === 0 ? null : segment.acknowledgment;
    const { hasAck } = this;
    // Of what lies ahead it is not known yet whose it is.
    if (acknowledgment !== null && this.stage === Stage.OPEN && distance(this.next, sequence) <= 0) this.noteAck(acknowledgment);
    const { payloadLength, missingLength, timestampMs } = segment;
    const isFin = (segment.flags & TcpFlag.FIN) !== 0;
    if (payloadLength > 0) this.receiveBytes(sequence, segment, acknowledgment, nowMs);
    if (missingLength > 0 || isFin) {
      const bytesEnd = advance(sequence, payloadLength);
      this.receiveEnd(bytesEnd, advance(bytesEnd, missingLength), isFin, acknowledgment, nowMs, timestampMs);
      this.keepLimits();
    }
    if (!hasAck && this.hasAck && this.stage === Stage.OPEN) this.takeOwn();
    // In order and nothing held is the usual case: then there is nothing to settle.
    if (this.held !== null || this.isWaiting) this.settle();
  }

  /** It has been silent for the time limit: whether it may be ended for that. One that has not begun may. */
  mayEndIdle(): boolean {
    return this.consumer === null || this.consumer.idle();
  }

  /** What was seen from `fromMs` on was seen at `toMs`. */
  leapt(fromMs: number, toMs: number): void {
    this.lastSeenMs = toMs;
    if (this.replacedMs >= fromMs && this.replacedMs !== Infinity) this.replacedMs = toMs;
    this.held?.leapt(fromMs, toMs);
  }

  /** A reset. Only one that is exactly in order counts: others are often forged (RFC 5961, 3.2). */
  receiveReset(sequence: number): void {
    if (this.stage !== Stage.OPEN || sequence !== this.next) return;
    this.finish("reset");
  }

  /** Gives up holes that are older than the time limit, and the flow if it was replaced so long ago. */
  expire(nowMs: number): void {
    const dueMs = nowMs - this.context.gapTimeoutMs;
    if (nowMs - this.replacedMs >= Math.min(this.context.gapTimeoutMs, REPLACED_MS_MAX)) {
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

  /**
   * Another flow, which is about to open at `start`, takes this one's place: what is missing is waited
   * for as behind a hole. What waits here but is the other's, come before its SYN, goes to it.
   */
  replaceWith(other: Flow, start: number, nowMs: number): void {
    if (this.replacedMs === Infinity) this.replacedMs = nowMs;
    const { base } = this;
    const othersAck = other.held?.first?.acknowledgment ?? null;
    const acksTell = othersAck !== null && this.isAnothersAck(othersAck);
    const isOthers = ({ sequence, acknowledgment }: Piece) => {
      const above = distance(start, sequence);
      if (above < 0) return false;
      return acksTell && acknowledgment !== null ? this.isAnothersAck(acknowledgment) : above < distance(base, sequence);
    };
    const pieces = this.held?.extract(isOthers) ?? [];
    for (const piece of pieces) this.context.memory.release(piece);
    if (this.held?.count === 0) this.held = null;
    other.adopt(pieces);
    // Of one that waited for its start nothing may be left.
    if (this.stage === Stage.WAITING && this.held === null) this.finish("replaced");
    else this.settle();
  }

  /** What waits here of the connections before, which have the same numbers, goes back to them: their client acknowledged the like. */
  private passBack(): void {
    for (let other = this.before; other !== null; ) {
      const owner = other;
      // One that ends may be forgotten.
      other = owner.before;
      const pieces = this.extractOthers(owner);
      if (owner.stage === Stage.ENDED) for (const { length } of pieces) this.context.counters.reassembly.retransmitted_bytes += length;
      else owner.adopt(pieces);
    }
  }

  /** What waits in the connections before, which have the same numbers, but is this one's, comes here. */
  private takeOwn(): void {
    // What comes may end it.
    for (let other = this.before; other !== null && this.stage === Stage.OPEN; other = other.before) {
      const pieces = other.extractOthers(this);
      other.settle();
      this.adopt(pieces);
    }
  }

  /** Takes out what waits here and is another's, by what it acknowledges. */
  private extractOthers(other: Flow): Piece[] {
    if (!other.hasAck || this.held === null) return [];
    const pieces = this.held.extract(({ sequence, length, acknowledgment }) => {
      return acknowledgment !== null && this.isAnothersAck(acknowledgment) && !other.isAnothersAck(acknowledgment) && other.fit(sequence, length) >= 0;
    });
    for (const piece of pieces) this.context.memory.release(piece);
    if (this.held.count === 0) this.held = null;
    return pieces;
  }

  /** Holds copies of pieces that another flow had. The first copy of a byte wins, wherever it waited. */
  adopt(pieces: Piece[]): void {
    if (pieces.length === 0) return;
    const all = [...this.releaseAll(), ...pieces].sort((a, b) => a.arrivedMs - b.arrivedMs);
    for (const { sequence, bytes, length, end, isFin, acknowledgment, arrivedMs, timestampMs } of all) {
      const bytesEnd = advance(sequence, length);
      if (length > 0) this.place(sequence, bytes, 0, length, acknowledgment, arrivedMs, timestampMs);
      if (isFin || end !== bytesEnd) this.placeEnd(bytesEnd, end, isFin, acknowledgment, arrivedMs, timestampMs);
    }
    if (this.stage === Stage.OPEN) this.drain();
    this.settle();
  }

  /** Gives up the first hole: delivery goes on behind it. */
  giveUpHole(): void {
    if (this.stage === Stage.WAITING) {
      const first = this.held!.firstWithBytes;
      // A FIN alone is nothing to forward.
      if (first === undefined || this.needsSyn) {
        this.refuse();
        return;
      }
      this.context.counters.flows.picked_up++;
      this.begin(first.sequence);
    } else {
      this.declareGap(distance(this.next, this.held!.first!.sequence));
    }
    this.drain();
  }

  /** Ends a flow that was never opened: what it has is nobody's. */
  private refuse(): void {
    const pieces = this.releaseAll();
    const { reassembly } = this.context.counters;
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    if (this.doubt === Doubt.BEHIND_RESET) reassembly.discarded_bytes += bytes;
    else if (this.doubt === Doubt.MAY_BE_COPY) reassembly.retransmitted_bytes += bytes;
    else if (this.needsSyn) reassembly.out_of_window += pieces.length;
    this.finish("idle");
  }

  private receiveBytes(sequence: number, segment: Segment, acknowledgment: number | null, nowMs: number): void {
    const { reassembly } = this.context.counters;
    const { bytes, payloadOffset, payloadLength, timestampMs } = segment;
    if (this.stage === Stage.WAITING) {
      this.hold(sequence, bytes, payloadOffset, payloadLength, acknowledgment, nowMs, timestampMs);
      return;
    }
    const ahead = distance(this.next, sequence);
    if (ahead > 0) {
      reassembly.out_of_order++;
      this.hold(sequence, bytes, payloadOffset, payloadLength, acknowledgment, nowMs, timestampMs);
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
      this.hold(this.next, bytes, payloadOffset - ahead, fresh, acknowledgment, nowMs, timestampMs);
    } else {
      this.deliver(bytes, payloadOffset - ahead, fresh, timestampMs);
    }
    if (this.held !== null) this.drain();
  }

  /**
   * What follows a segment's bytes, of which `bytesEnd` is the end: what the mirror cut off, up to `end`, and
   * there perhaps a FIN. It waits for the bytes before it: it may be another's that has overtaken its SYN.
   */
  private receiveEnd(bytesEnd: number, end: number, isFin: boolean, acknowledgment: number | null, nowMs: number, timestampMs: number): void {
    if (this.stage === Stage.ENDED) return;
    if (this.stage === Stage.WAITING || distance(this.next, bytesEnd) > 0) {
      this.placeEnd(bytesEnd, end, isFin, acknowledgment, nowMs, timestampMs);
      return;
    }
    const ahead = distance(this.next, end);
    if (ahead > 0) this.noteCutOff(end);
    if (ahead > 0 && isFin) this.placeEnd(end, end, isFin, acknowledgment, nowMs, timestampMs);
    if (ahead === 0 && isFin) this.finish("fin");
  }

  private hold(sequence: number, bytes: Uint8Array, offset: number, length: number, acknowledgment: number | null, nowMs: number, timestampMs: number): void {
    this.place(sequence, bytes, offset, length, acknowledgment, nowMs, timestampMs);
    this.keepLimits();
  }

  /** Has bytes wait. Who has placed all sees to the limits. */
  private place(sequence: number, bytes: Uint8Array, offset: number, length: number, acknowledgment: number | null, nowMs: number, timestampMs: number): void {
    const { reassembly } = this.context.counters;
    this.held ??= new HeldBytes(this.context.memory);
    const added = this.held.insert(sequence, bytes, offset, length, acknowledgment, nowMs, timestampMs);
    if (added === 0) reassembly.retransmitted_bytes += length;
    else reassembly.overlap_bytes += length - added;
  }

  /** The same, of what follows bytes ({@link receiveEnd}). */
  private placeEnd(bytesEnd: number, end: number, isFin: boolean, acknowledgment: number | null, nowMs: number, timestampMs: number): void {
    this.held ??= new HeldBytes(this.context.memory);
    this.held.insertEnd(bytesEnd, end, isFin, acknowledgment, nowMs, timestampMs);
  }

  private keepLimits(): void {
    const { memory, counters, maxPendingPackets } = this.context;
    const first = this.held?.first;
    // In order after all: the caller delivers it at once.
    if (this.stage === Stage.OPEN && first !== undefined && distance(this.next, first.sequence) <= 0) return;
    while (this.held !== null && this.held.count > maxPendingPackets) {
      counters.reassembly.pending_limit++;
      this.giveUpHole();
    }
    if (!memory.isWithin) this.makeRoom();
  }

  /** Gives up holes, those of the flows that have waited longest first, until what is held is within the limit. */
  private makeRoom(): void {
    const { memory, waiting } = this.context;
    // One that ends may end others.
    for (let left = waiting.size; left > 0 && waiting.size > 0 && !memory.isWithin; left--) {
      const flow = this.context.nextWaiting();
      if (flow !== this) flow.giveUpUntilWithin();
    }
    this.giveUpUntilWithin();
  }

  private giveUpUntilWithin(): void {
    const { memory, counters } = this.context;
    while (!memory.isWithin && this.held !== null) {
      counters.reassembly.buffer_limit++;
      this.giveUpHole();
    }
    this.settle();
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
    const { hasAck } = this;
    while (this.held !== null && this.held.first !== undefined) {
      const piece = this.held.first;
      const behind = distance(piece.sequence, this.next);
      if (behind < 0) break;
      this.held.shift();
      this.context.memory.release(piece);
      if (piece.acknowledgment !== null) this.noteAck(piece.acknowledgment);
      const { reassembly } = this.context.counters;
      if (behind >= piece.length) reassembly.retransmitted_bytes += piece.length;
      else reassembly.overlap_bytes += behind;
      if (behind < piece.length) this.deliver(piece.bytes, behind, piece.length - behind, piece.timestampMs);
      const bytesEnd = advance(piece.sequence, piece.length);
      if (piece.isFin || piece.end !== bytesEnd) this.receiveEnd(bytesEnd, piece.end, piece.isFin, piece.acknowledgment, piece.arrivedMs, piece.timestampMs);
    }
    if (this.held?.count === 0) this.held = null;
    if (!hasAck && this.hasAck && this.stage === Stage.OPEN) this.takeOwn();
  }

  private deliver(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.next = advance(this.next, length);
    this.endsInHole = false;
    this.context.counters.reassembly.delivered_bytes += length;
    this.consumer!.data(bytes, offset, length, timestampMs);
  }

  private declareGap(length: number): void {
    const { reassembly } = this.context.counters;
    if (!this.endsInHole) reassembly.gaps++;
    reassembly.gap_bytes += length;
    this.next = advance(this.next, length);
    this.endsInHole = true;
    this.consumer!.gap(length);
  }

  private finish(how: StreamEnd): void {
    const { flows, reassembly } = this.context.counters;
    const behind = this.releaseAll();
    const wasOpen = this.stage === Stage.OPEN;
    this.stage = Stage.ENDED;
    this.settle();
    if (!wasOpen) {
      this.context.flowVanished(this);
      return;
    }
    flows.active--;
    if (how === "evicted") flows.evicted++;
    else flows.closed++;
    this.endedByFin = how === "fin";
    // A byte with the FIN's own number is nobody's; the FIN itself may wait twice.
    while (this.endedByFin && behind[0]?.sequence === this.next) {
      if (behind.shift()!.length > 0) reassembly.out_of_window++;
    }
    this.consumer!.end(how);
    this.consumer = null;
    this.context.flowEnded(this, how, behind);
  }

  /** Takes out all that waits. */
  private releaseAll(): Piece[] {
    const pieces = this.held?.extract(() => true) ?? [];
    for (const piece of pieces) this.context.memory.release(piece);
    this.held = null;
    return pieces;
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
    return this.held !== null;
  }

  private get waitingSinceMs(): number {
    return this.held?.oldestArrivalMs ?? Infinity;
  }

  private noteCutOff(end: number): void {
    if (this.cutOffEnd === null || distance(this.cutOffEnd, end) > 0) this.cutOffEnd = end;
  }
}
