/**
 * All flows of a shard: finds a segment's flow, opens, replaces and ends flows, and holds them to
 * their limits. No I/O and no clock: time comes with the segments and through {@link advance}.
 */
import type { BufferBudget } from "../buffer-budget.ts";
import type { Segment } from "../decode/segment.ts";
import { TcpFlag } from "../decode/tcp.ts";
import type { Counters } from "../observe/counters.ts";
import { Flow, type FlowContext, isWithin, Stage } from "./flow.ts";
import { FlowIndex, hashIdentity } from "./flow-index.ts";
import { FlowList } from "./flow-list.ts";
import type { Piece } from "./held-bytes.ts";
import { advance, distance } from "./sequence.ts";
import type { StreamOpener } from "./stream.ts";

/** How long an ended flow is remembered, to tell its late retransmissions from a new connection. */
export const REMEMBER_MS = 60_000;
/** How far below the bytes seen a late SYN may lie and still belong to them. */
export const LATE_SYN_BYTES_MAX = 1 << 20;
/** How far a late retransmission may acknowledge beyond what its flow had before. */
const LATE_ACK_BYTES_MAX = 1 << 20;
/** How often time limits are looked at. */
export const TICK_MS = 100;

export interface FlowTableOptions {
  maxPendingPackets: number;
  gapTimeoutMs: number;
  idleTimeoutMs: number;
  /** Open flows; as many ended ones are remembered. */
  maxFlows: number;
}

export class FlowTable implements FlowContext {
  readonly maxPendingPackets: number;
  readonly gapTimeoutMs: number;
  readonly waiting = new Set<Flow>();
  private readonly index = new FlowIndex();
  /** Flows that have not ended, the longest idle first. */
  private readonly live = new FlowList();
  /** Flows that have ended, the longest ended first. */
  private readonly ended = new FlowList();
  private nowMs = 0;
  private nextTickMs = 0;

  constructor(
    private readonly options: FlowTableOptions,
    readonly counters: Counters,
    readonly budget: BufferBudget,
    readonly opener: StreamOpener,
  ) {
    this.maxPendingPackets = options.maxPendingPackets;
    this.gapTimeoutMs = options.gapTimeoutMs;
  }

  /** Flows that have not ended. */
  get liveCount(): number {
    return this.live.size;
  }

  /** Ended flows that are remembered. */
  get rememberedCount(): number {
    return this.ended.size;
  }

  /** Takes a segment, at the time of its capture; nothing of it is kept that is not copied. */
  accept(segment: Segment): void {
    if (segment.timestampMs > this.nowMs) this.advance(segment.timestampMs);
    const nowMs = this.nowMs;
    const hash = hashIdentity(segment.identity);
    const flow = this.index.find(segment.identity, hash);
    if ((segment.flags & TcpFlag.SYN) !== 0) this.acceptSyn(flow, hash, segment, nowMs);
    else if ((segment.flags & TcpFlag.RST) !== 0) this.acceptReset(flow, segment);
    else if (flow !== null && flow.stage !== Stage.ENDED) this.acceptKnown(flow, segment, nowMs);
    else if (segment.payloadLength > 0) this.acceptUnknown(flow, hash, segment, nowMs);
  }

  /** Ends what has reached a time limit. Time never runs back: an earlier `nowMs` changes nothing. */
  advance(nowMs: number): void {
    if (nowMs > this.nowMs) this.nowMs = nowMs;
    if (nowMs < this.nextTickMs) return;
    this.nextTickMs = nowMs + TICK_MS;
    for (const flow of this.waiting) flow.expire(nowMs);
    for (let flow = this.live.oldest; flow !== null && nowMs - flow.lastSeenMs >= this.options.idleTimeoutMs; flow = this.live.oldest) {
      flow.flush("idle");
    }
    for (let flow = this.ended.oldest; flow !== null && nowMs - flow.lastSeenMs >= REMEMBER_MS; flow = this.ended.oldest) {
      this.forget(flow);
    }
  }

  /** The capture has ended: delivers all that waits and ends every flow. */
  flush(): void {
    for (let flow = this.live.oldest; flow !== null; flow = this.live.oldest) flow.flush("flushed");
  }

  /** A flow's own word that it has ended (FlowContext). */
  flowEnded(flow: Flow, behindFin: Piece[]): void {
    this.live.remove(flow);
    flow.previous = null;
    flow.remembered = null;
    const successor = flow.successor;
    if (successor !== null) {
      successor.previous = null;
      successor.remembered = flow;
      flow.successor = null;
      return;
    }
    this.ended.append(flow);
    if (this.ended.size > this.options.maxFlows) this.forget(this.ended.oldest!);
    if (behindFin.length > 0) this.create(flow.identity, flow.hash, flow, flow.lastSeenMs, behindFin);
  }

  private acceptKnown(flow: Flow, segment: Segment, nowMs: number): void {
    const target = flow.previous !== null && isNearer(flow.previous, flow, segment.sequence) ? flow.previous : flow;
    target.lastSeenMs = nowMs;
    this.live.moveToEnd(target);
    target.receive(segment, segment.sequence, nowMs);
  }

  /** Bytes without a flow: late retransmissions of an ended one, or early (or late) ones of another. */
  private acceptUnknown(ended: Flow | null, hash: number, segment: Segment, nowMs: number): void {
    const isAnother = ended !== null && isAnothersAck(ended, segment);
    if (ended !== null && !isAnother) {
      if (isLateCopy(ended, segment)) {
        this.counters.reassembly.retransmitted_bytes += segment.payloadLength;
        return;
      }
      this.trimKnown(ended, segment);
    }
    const flow = this.create(segment.identity, hash, ended, nowMs, []);
    if (isAnother && ended.synAgain) flow.open(ended.isn);
    flow.receive(segment, segment.sequence, nowMs);
  }

  /** Takes off the bytes that the ended flow has delivered. */
  private trimKnown(ended: Flow, segment: Segment): void {
    const known = distance(segment.sequence, ended.next);
    if (known <= 0 || known >= segment.payloadLength) return;
    segment.sequence = ended.next;
    segment.payloadOffset += known;
    segment.payloadLength -= known;
    this.counters.reassembly.overlap_bytes += known;
  }

  private acceptReset(flow: Flow | null, segment: Segment): void {
    if (flow === null) return;
    flow.receiveReset(segment.sequence);
    flow.previous?.receiveReset(segment.sequence);
  }

  private acceptSyn(known: Flow | null, hash: number, segment: Segment, nowMs: number): void {
    // A client's SYN carries none of these; what does is refused or answered by a receiver, not taken.
    if ((segment.flags & (TcpFlag.ACK | TcpFlag.RST | TcpFlag.FIN)) !== 0) return;
    const isn = segment.sequence;
    const flow = known === null ? null : this.flowOfSyn(known, isn);
    if (flow === undefined) return;
    const target = flow ?? this.create(segment.identity, hash, known, nowMs, []);
    target.lastSeenMs = nowMs;
    this.live.moveToEnd(target);
    if (flow === null) {
      const early = known !== null && known.stage !== Stage.ENDED ? this.replace(known, target, isn, nowMs) : [];
      target.open(isn);
      for (const piece of early) target.adopt(piece);
    } else if (flow.stage === Stage.WAITING) {
      flow.open(isn);
    } else if (!flow.hasSyn) {
      flow.openLate(isn);
    }
    if (segment.payloadLength > 0) target.receive(segment, advance(isn, 1), nowMs);
  }

  /** The flow that a SYN belongs to; null: a new one; undefined: a late copy of an ended one's. */
  private flowOfSyn(known: Flow, isn: number): Flow | null | undefined {
    for (const flow of [known, known.previous]) {
      if (flow === null || !(isOpenedBy(flow, isn) || isLateSyn(flow, isn))) continue;
      if (flow.stage !== Stage.ENDED) return flow;
      flow.synAgain = true;
      return undefined;
    }
    return known.remembered !== null && isOpenedBy(known.remembered, isn) ? undefined : null;
  }

  /**
   * `successor` takes the place of `flow`, which may still get what the mirror has to deliver.
   * Returns the bytes that waited in `flow` but are the successor's, come before its SYN.
   */
  private replace(flow: Flow, successor: Flow, isn: number, nowMs: number): Piece[] {
    flow.previous?.flush("replaced");
    const position = positionOf(flow);
    const early = flow.extract(({ sequence }) => {
      const behindSyn = distance(isn, sequence);
      return behindSyn > 0 && behindSyn < Math.abs(distance(position, sequence));
    });
    successor.previous = flow;
    flow.successor = successor;
    flow.replace(nowMs);
    return early;
  }

  /** Makes a flow that waits for its start, in the place of `before`, and holds `pieces` in it. */
  private create(identity: Int32Array, hash: number, before: Flow | null, nowMs: number, pieces: Piece[]): Flow {
    if (this.live.size >= this.options.maxFlows) this.live.oldest!.flush("evicted");
    const flow = new Flow(identity.slice(), hash, this, nowMs);
    if (before !== null && before.stage === Stage.ENDED) {
      // It may have been forgotten or replaced by the eviction above; then nothing is left to do.
      if (this.index.find(identity, hash) === before) this.ended.remove(before);
      flow.remembered = before;
    }
    this.index.set(flow);
    this.live.append(flow);
    for (const piece of pieces) flow.adopt(piece);
    return flow;
  }

  private forget(flow: Flow): void {
    this.ended.remove(flow);
    this.index.remove(flow);
  }
}

/** Whether a sequence number is nearer to where `a` stands than to where `b` does. */
function isNearer(a: Flow, b: Flow, sequence: number): boolean {
  return Math.abs(distance(positionOf(a), sequence)) < Math.abs(distance(positionOf(b), sequence));
}

function positionOf(flow: Flow): number {
  return flow.stage === Stage.OPEN ? flow.next : (flow.lowestHeld ?? flow.next);
}

function isOpenedBy(flow: { hasSyn: boolean; isn: number }, isn: number): boolean {
  return flow.hasSyn && flow.isn === isn;
}

/** Whether a SYN is that of a flow whose first bytes came before it. */
function isLateSyn(flow: Flow, isn: number): boolean {
  if (flow.hasSyn) return false;
  const first = flow.stage === Stage.WAITING ? flow.lowestHeld : flow.start;
  if (first === undefined) return false;
  const below = distance(advance(isn, 1), first);
  return below >= 0 && below <= LATE_SYN_BYTES_MAX;
}

/**
 * Whether what a segment acknowledges was never said to the ended flow's client: then it is another
 * connection's, though its sequence numbers may be the same. A late retransmission may acknowledge a
 * little more than all before it, and so needs a second SYN to be taken for another's.
 */
function isAnothersAck(ended: Flow, segment: Segment): boolean {
  if ((segment.flags & TcpFlag.ACK) === 0) return false;
  return ended.ackDistance(segment.acknowledgment) > (ended.synAgain ? 0 : LATE_ACK_BYTES_MAX);
}

/** Whether bytes behind a flow's end are only its own, come again. */
function isLateCopy(ended: Flow, segment: Segment): boolean {
  if (isWithin(ended, segment.sequence, segment.payloadLength)) return true;
  // Without its SYN, the flow may have begun further down.
  return !ended.hasSyn && distance(segment.sequence, ended.next) >= segment.payloadLength;
}
