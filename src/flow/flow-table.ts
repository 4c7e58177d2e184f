/**
 * All flows of a shard: finds a segment's flow, opens, replaces and ends flows, and holds them to
 * their limits. No I/O and no clock: time comes with the segments and through {@link FlowTable.advance}.
 *
 * Which flow of several with the same addresses and ports? The one that expects just these bytes, unless its
 * client never acknowledged the like; else the one that began nearest below them, ended ones included, whose
 * late copies these may be.
 */
import type { Budget } from "../memory/budget.ts";
import { KeyedHash } from "../memory/keyed-hash.ts";
import type { CaptureClock, LeapListener } from "../decode/capture-clock.ts";
import { IDENTITY_WORDS, type Segment } from "../decode/segment.ts";
import { TcpFlag } from "../decode/tcp.ts";
import type { Counters } from "../observe/counters.ts";
import { Doubt, Flow, type FlowContext, Stage } from "./flow.ts";
import { FlowIndex } from "./flow-index.ts";
import { FlowList } from "./flow-list.ts";
import { HeldMemory, type Piece } from "./held-bytes.ts";
import { advance, distance } from "./sequence.ts";
import type { StreamEnd, StreamOpener } from "./stream.ts";

/** How long an ended flow is remembered, to tell its late retransmissions from a new connection. */
export const REMEMBER_MS = 60_000;
/** Flows with the same addresses and ports, ended ones included; over it the oldest is forgotten. */
export const INCARNATIONS_MAX = 8;
/** Further from a flow's base than any sequence number. */
const UNLIKELY = 2 ** 32;
const PIECES_PER_FLOW = 8;
/** How often time limits are looked at. */
export const TICK_MS = 100;

export interface FlowTableOptions {
  maxPendingPackets: number;
  /** Infinity: no limit. */
  gapTimeoutMs: number;
  idleTimeoutMs: number;
  /** Open flows; as many ended ones are remembered. */
  maxFlows: number;
  /** The source is a savefile: silence ends no flow, for it may go on later. */
  sourceWaits: boolean;
}

export class FlowTable implements FlowContext, LeapListener {
  readonly maxPendingPackets: number;
  readonly gapTimeoutMs: number;
  readonly memory: HeldMemory;
  readonly waiting = new Set<Flow>();
  private turn = this.waiting.values();
  private readonly index = new FlowIndex();
  /** Flows that have not ended, the longest idle first. */
  private readonly live = new FlowList();
  /** Flows that have ended, the longest ended first. */
  private readonly ended = new FlowList();
  private endedCount = 0;
  private nextTickMs = 0;

  constructor(
    private readonly options: FlowTableOptions,
    readonly counters: Counters,
    budget: Budget,
    readonly opener: StreamOpener,
    private readonly clock: CaptureClock,
    private readonly hash = new KeyedHash(IDENTITY_WORDS),
  ) {
    this.maxPendingPackets = options.maxPendingPackets;
    this.gapTimeoutMs = options.gapTimeoutMs;
    this.memory = new HeldMemory(budget);
    clock.listen(this);
  }

  /** Flows that have not ended. */
  get liveCount(): number {
    return this.live.size;
  }

  /** Ended flows that are remembered. */
  get rememberedCount(): number {
    return this.ended.size;
  }

  /** What has come and gone since the start, in flows: as garbage, so many pieces of held bytes make one. */
  get turnover(): number {
    return this.endedCount + Math.floor(this.memory.releasedCount / PIECES_PER_FLOW);
  }

  /** Takes a segment of which the clock was told; nothing of it is kept that is not copied. */
  accept(segment: Segment): void {
    if (this.nowMs >= this.nextTickMs) this.expire();
    const hash = this.hash.of(segment.identity);
    const newest = this.index.find(segment.identity, hash);
    const { flags } = segment;
    if ((flags & TcpFlag.SYN) !== 0) this.acceptSyn(newest, hash, segment);
    else if ((flags & TcpFlag.RST) !== 0) acceptReset(newest, segment);
    else if (segment.payloadLength > 0 || (flags & TcpFlag.FIN) !== 0) this.acceptBytes(newest, hash, segment);
    else if (newest !== null) this.acceptBare(newest, segment);
  }

  /** Ends what has reached a time limit. Time never runs back: an earlier `nowMs` changes nothing. */
  advance(nowMs: number): void {
    this.clock.advance(nowMs);
    if (this.nowMs >= this.nextTickMs) this.expire();
  }

  /** (LeapListener) */
  leapt(fromMs: number, toMs: number): void {
    for (let flow = this.live.newest; flow !== null && flow.lastSeenMs >= fromMs; flow = flow.older) flow.leapt(fromMs, toMs);
    for (let flow = this.ended.newest; flow !== null && flow.lastSeenMs >= fromMs; flow = flow.older) flow.leapt(fromMs, toMs);
  }

  private get nowMs(): number {
    return this.clock.nowMs;
  }

  private expire(): void {
    const { nowMs } = this;
    this.nextTickMs = nowMs + TICK_MS;
    for (const flow of this.waiting) flow.expire(nowMs);
    const silentSinceMs = nowMs - this.options.idleTimeoutMs;
    for (let flow = this.live.oldest; flow !== null && flow.lastSeenMs <= silentSinceMs; flow = this.live.oldest) {
      // Where the source waits, nothing is lost by waiting for what may still come.
      if (flow.mayEndIdle() && !this.options.sourceWaits) flow.flush("idle");
      else this.touch(flow);
    }
    for (let flow = this.ended.oldest; flow !== null && nowMs - flow.lastSeenMs >= REMEMBER_MS; flow = this.ended.oldest) {
      this.forget(flow);
    }
  }

  /** The capture has ended: delivers all that waits in up to `flowsMax` flows, and ends them. False: there was none left. */
  flush(flowsMax = Infinity): boolean {
    let flow = this.live.oldest;
    const some = flow !== null;
    for (let count = 0; flow !== null && count < flowsMax; count++, flow = this.live.oldest) {
      // Of one's incarnations the newest first: it may be nothing while the one before is open.
      const newest = this.index.find(flow.identity, flow.hash);
      find(newest, ({ stage }) => stage !== Stage.ENDED)!.flush("flushed");
    }
    return some;
  }

  /** The batch is over: nobody needs what was delivered in it any more. */
  endBatch(): void {
    this.memory.recycle();
  }

  /** Where the last call left off: from the set's beginning, all that have left it would be passed again (FlowContext). */
  nextWaiting(): Flow {
    let next = this.turn.next();
    if (next.done === true) {
      this.turn = this.waiting.values();
      next = this.turn.next();
    }
    return next.value!;
  }

  /** A flow's own word that it has ended (FlowContext). */
  flowEnded(flow: Flow, how: StreamEnd, behind: Piece[]): void {
    this.endedCount++;
    flow.lastSeenMs = this.nowMs;
    this.live.remove(flow);
    this.ended.append(flow);
    if (behind.length > 0) {
      const another = this.create(flow.identity, flow.hash);
      if (how === "reset") another.doubt = Doubt.BEHIND_RESET;
      another.adopt(behind);
    }
    while (this.ended.size > this.options.maxFlows) this.forget(this.ended.oldest!);
  }

  /** A flow's own word that it came to nothing. It is not remembered: its SYN, if it still comes, opens another (FlowContext). */
  flowVanished(flow: Flow): void {
    this.endedCount++;
    this.live.remove(flow);
    this.index.remove(flow);
  }

  /** A segment that carries nothing: a sign of life, and an acknowledgment. */
  private acceptBare(flow: Flow, segment: Segment): void {
    if (flow.stage === Stage.ENDED) return;
    this.touch(flow);
    // Late ones of the connections before have numbers just behind theirs, which may be this one's.
    const isBefores = !knowsAck(flow, segment) && find(flow.before, (other) => knowsAck(other, segment)) !== undefined;
    if (!isBefores && flow.isNear(segment.sequence) && !isAnothers(flow, segment)) flow.receive(segment, segment.sequence, this.nowMs);
  }

  private acceptBytes(newest: Flow | null, hash: number, segment: Segment): void {
    let flow = choose(newest, segment) ?? this.createUnfit(newest, hash, segment);
    if (flow.stage === Stage.ENDED) {
      const doubtful = this.doubtful(newest!, flow, hash, segment);
      if (doubtful === null) {
        this.counters.reassembly.retransmitted_bytes += segment.payloadLength;
        return;
      }
      flow = doubtful;
    }
    this.touch(flow);
    flow.receive(segment, segment.sequence, this.nowMs);
    if (flow.stage === Stage.WAITING) this.openAgain(flow);
  }

  /**
   * For bytes that an ended flow had, of which the client now acknowledges more: the next connection's, ahead of a SYN
   * with the same ISN. Null: they are late copies.
   */
  private doubtful(newest: Flow, ended: Flow, hash: number, segment: Segment): Flow | null {
    if (segment.payloadLength === 0 || (segment.flags & TcpFlag.ACK) === 0 || !ended.isBehindAcks(segment.acknowledgment)) return null;
    if (newest.doubt === Doubt.MAY_BE_COPY) return newest;
    if (newest !== ended) return null;
    const flow = this.create(segment.identity, hash);
    flow.doubt = Doubt.MAY_BE_COPY;
    return flow;
  }

  /** For bytes that are no flow's: the first ones, or early ones, of a connection whose SYN was not seen. */
  private createUnfit(newest: Flow | null, hash: number, segment: Segment): Flow {
    const last = find(newest, ({ doubt }) => doubt === Doubt.NONE);
    if (last !== undefined && !isAnothersAck(last, segment)) this.trimKnown(last, segment);
    return this.create(segment.identity, hash);
  }

  /** Opens a flow whose SYN has come, and was taken for a late copy: only the first bytes behind it show that it was none. */
  private openAgain(flow: Flow): void {
    const isn = find(flow.before, ({ synAgain }) => synAgain !== null && flow.isBehind(synAgain))?.synAgain ?? null;
    if (isn !== null) this.open(flow, isn);
  }

  /** Opens a flow that has waited, in the place of those that had its addresses and ports. */
  private open(flow: Flow, isn: number): void {
    replaceOthers(flow, advance(isn, 1), this.nowMs);
    flow.open(isn);
  }

  /** Takes off the bytes that the ended flow has delivered. */
  private trimKnown(ended: Flow, segment: Segment): void {
    if (ended.stage !== Stage.ENDED || distance(ended.start, segment.sequence) < 0) return;
    const known = distance(segment.sequence, ended.next);
    if (known <= 0 || known >= segment.payloadLength) return;
    segment.sequence = ended.next;
    segment.payloadOffset += known;
    segment.payloadLength -= known;
    this.counters.reassembly.overlap_bytes += known;
  }

  private acceptSyn(newest: Flow | null, hash: number, segment: Segment): void {
    // A client's SYN carries none of these; what does is refused or answered by a receiver, not taken.
    if ((segment.flags & (TcpFlag.ACK | TcpFlag.RST | TcpFlag.FIN)) !== 0) return;
    const isn = segment.sequence;
    const last = find(newest, (flow) => flow.hasSyn && flow.isn === isn);
    const known = last === undefined ? find(newest, (flow) => flow.isOpenedBy(isn)) : (find(newest, (flow) => flow.isBehind(isn)) ?? last);
    if (known?.stage === Stage.ENDED) {
      known.synAgain = isn;
      this.counters.reassembly.retransmitted_bytes += segment.payloadLength;
      return;
    }
    const flow = known ?? this.create(segment.identity, hash);
    this.touch(flow);
    if (flow.stage === Stage.WAITING) {
      this.open(flow, isn);
    } else if (!flow.hasSyn) {
      flow.openLate(isn);
    } else if (flow.hasBytes) {
      // Behind bytes a second one may be the next connection's, and have overtaken this one's end.
      flow.synAgain = isn;
    }
    if (flow.stage === Stage.ENDED) this.counters.reassembly.retransmitted_bytes += segment.payloadLength;
    else if (segment.payloadLength + segment.missingLength > 0) flow.receive(segment, advance(isn, 1), this.nowMs);
  }

  private touch(flow: Flow): void {
    flow.lastSeenMs = this.nowMs;
    this.live.moveToEnd(flow);
  }

  /** Makes a flow that waits for its start. */
  private create(identity: Int32Array, hash: number): Flow {
    this.makeRoom(identity, hash);
    const before = this.index.find(identity, hash);
    const flow = new Flow(before?.identity ?? identity.slice(), hash, this, this.nowMs);
    this.index.add(flow, before);
    this.live.append(flow);
    return flow;
  }

  /** Ends and forgets flows until there is room for another. (One that ends may make another for what was behind its FIN.) */
  private makeRoom(identity: Int32Array, hash: number): void {
    for (;;) {
      const oldest = this.live.size < this.options.maxFlows ? this.oldestOver(INCARNATIONS_MAX - 1, identity, hash) : this.live.oldest!;
      if (oldest === null) return;
      if (oldest.stage === Stage.ENDED) this.forget(oldest);
      else oldest.flush(this.live.size < this.options.maxFlows ? "replaced" : "evicted");
    }
  }

  /** The oldest incarnation, if there are more than so many. */
  private oldestOver(count: number, identity: Int32Array, hash: number): Flow | null {
    let oldest = this.index.find(identity, hash);
    for (let left = count; oldest !== null; oldest = oldest.before) if (left-- <= 0 && oldest.before === null) return oldest;
    return null;
  }

  private forget(flow: Flow): void {
    this.ended.remove(flow);
    this.index.remove(flow);
  }
}

/** The newest of the incarnations of which it holds. */
function find(newest: Flow | null, isWanted: (flow: Flow) => boolean): Flow | undefined {
  for (let flow = newest; flow !== null; flow = flow.before) if (isWanted(flow)) return flow;
  return undefined;
}

/** The flow whose bytes (or FIN) these are; null: none's. */
function choose(newest: Flow | null, segment: Segment): Flow | null {
  const { sequence, payloadLength } = segment;
  if (newest !== null && payloadLength > 0 && newest.simplyExpects(sequence)) return newest;
  let expected: Flow | null = null;
  let nearest: Flow | null = null;
  let nearestFit = Infinity;
  for (let flow = newest; flow !== null; flow = flow.before) {
    const isExpected = flow.expects(sequence, payloadLength) && !isAnothersAck(flow, segment);
    if (isExpected && flow.hasAck) return flow;
    // Nothing was acknowledged yet: it may be another's that expects the same.
    if (isExpected) expected ??= flow;
    if (isAnothers(flow, segment)) continue;
    let fit = flow.fit(sequence, payloadLength);
    // An open flow's client may say what it never said before, but not if another's did.
    if (fit >= 0 && flow.stage === Stage.OPEN && isAnothersAck(flow, segment)) fit += UNLIKELY;
    if (fit < 0 || fit >= nearestFit) continue;
    nearest = flow;
    nearestFit = fit;
  }
  return expected ?? nearest;
}

/** A flow is about to open at `start`, in the place of those that had its addresses and ports. */
function replaceOthers(flow: Flow, start: number, nowMs: number): void {
  for (let other = flow.before; other !== null; ) {
    // One of which nothing is left is taken out of the chain.
    const { before } = other;
    if (other.stage !== Stage.ENDED) other.replaceWith(flow, start, nowMs);
    other = before;
  }
}

function acceptReset(newest: Flow | null, segment: Segment): void {
  find(newest, (flow) => flow.stage === Stage.OPEN && flow.next === segment.sequence)?.receiveReset(segment.sequence);
}

/** Whether a segment that has nothing new for a flow, or begins behind a second SYN, is another's, by what it acknowledges. */
function isAnothers(flow: Flow, segment: Segment): boolean {
  if (!isAnothersAck(flow, segment)) return false;
  const { sequence, payloadLength } = segment;
  const isAgain = flow.synAgain !== null && advance(flow.synAgain, 1) === sequence;
  return flow.stage === Stage.ENDED || isAgain || flow.has(sequence, payloadLength);
}

/** Whether a flow's client acknowledged the like of it. */
function knowsAck(flow: Flow, segment: Segment): boolean {
  return (segment.flags & TcpFlag.ACK) !== 0 && flow.hasAck && !isAnothersAck(flow, segment);
}

function isAnothersAck(flow: Flow, { flags, acknowledgment }: Segment): boolean {
  return (flags & TcpFlag.ACK) !== 0 && flow.isAnothersAck(acknowledgment);
}
