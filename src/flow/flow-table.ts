/**
 * All connections of a shard: finds or makes a segment's connection, and keeps the limits. No I/O and no clock of its
 * own: time is the capture's (capture-clock.ts), and passes through {@link FlowTable.advance}. A tick looks only at
 * objects that are due, because all with a time limit are in a list by time.
 */
import type { CaptureClock, LeapListener } from "../decode/capture-clock.ts";
import { IDENTITY_WORDS, type Segment } from "../decode/segment.ts";
import { TcpFlag } from "../decode/tcp.ts";
import { ArrayPool } from "../memory/array-pool.ts";
import { type Budget, Cost } from "../memory/budget.ts";
import { KeyedHash } from "../memory/keyed-hash.ts";
import type { FlowTableCounters, ReassemblyCounters } from "./counters.ts";
import { Connection, type ConnectionContext } from "./connection.ts";
import { ConnectionIndex } from "./connection-index.ts";
import type { Incarnation } from "./incarnation.ts";
import { PendingMemory } from "./pending-segments.ts";
import type { StreamEnd, StreamOpener } from "./stream.ts";
import { TimeList } from "./time-list.ts";

export { INCARNATIONS_MAX } from "./connection.ts";

/** How long an incarnation that has ended is remembered, to tell its late retransmissions from a new one. */
export const REMEMBER_MS = 60_000;
/** How long a replaced incarnation may still get bytes, if holes have no time limit. */
export const REPLACED_MS_MAX = 60_000;
/**
 * The share of the budget that open incarnations may take themselves, and ended ones once more: with a small budget
 * there are fewer.
 */
export const CONNECTIONS_SHARE = 1 / 4;
/** At least this many ended incarnations are remembered, with any budget: evicted ones may go on. */
export const REMEMBERED_MIN = 256;
/** How often time limits are looked at. */
export const TICK_MS = 100;

/** The options of a flow table. */
export interface FlowTableOptions {
  /** The most pending segments of one direction of a connection. */
  maxPendingPackets: number;
  /** How long a hole is waited for; Infinity: no limit. */
  gapTimeoutMs: number;
  idleTimeoutMs: number;
  /** The most open incarnations; as many ended ones are remembered. */
  maxFlows: number;
  /** The source is a savefile: silence ends no connection, because it may go on later in the file. */
  sourceWaits: boolean;
  /** The server's direction is reassembled as well, for consumers with a response consumer. */
  reassemblesServer?: boolean;
}

/** The connections of a shard. Bytes that are delivered stay valid until {@link endBatch}. */
export class FlowTable implements ConnectionContext, LeapListener {
  readonly maxPendingPackets: number;
  readonly memory: PendingMemory;
  /** The counters of the server's direction; null: it is not reassembled. */
  readonly serverCounters: ReassemblyCounters | null;
  private readonly index = new ConnectionIndex();
  /** Connections with open incarnations or pending segments, the longest silent first. */
  private readonly live = new TimeList<Connection>();
  /** Replaced incarnations that have not ended. */
  private readonly replacedOnes = new TimeList<Incarnation>();
  private readonly endedOnes = new TimeList<Incarnation>();
  private readonly maxFlows: number;
  private readonly maxRemembered: number;
  private readonly replacedMsMax: number;
  private openCount = 0;
  /** Live connections without an open incarnation. */
  private waitingCount = 0;
  private nextTickMs = 0;

  constructor(
    private readonly options: FlowTableOptions,
    readonly counters: FlowTableCounters,
    private readonly budget: Budget,
    readonly opener: StreamOpener,
    private readonly clock: CaptureClock,
    /** The arrays of pending segments; a shard has one pool for all. */
    pool = new ArrayPool(budget.limitBytes),
    private readonly hash = new KeyedHash(IDENTITY_WORDS),
  ) {
    this.maxPendingPackets = options.maxPendingPackets;
    const affordable = Math.floor((budget.limitBytes * CONNECTIONS_SHARE) / Cost.CONNECTION);
    this.maxFlows = Math.min(options.maxFlows, Math.max(affordable, 1));
    this.maxRemembered = Math.min(options.maxFlows, Math.max(affordable, REMEMBERED_MIN));
    this.replacedMsMax = Math.min(options.gapTimeoutMs, REPLACED_MS_MAX);
    this.memory = new PendingMemory(budget, pool);
    this.serverCounters = options.reassemblesServer === true ? { ...counters.reassembly } : null;
    clock.listen(this);
  }

  /** (ConnectionContext) */
  get nowMs(): number {
    return this.clock.nowMs;
  }

  /** How many incarnations are open, and connections wait for one. */
  get liveCount(): number {
    return this.openCount + this.waitingCount;
  }

  /** How many ended incarnations are remembered. */
  get rememberedCount(): number {
    return this.endedOnes.size;
  }

  /** How many segments wait behind holes. */
  get pendingCount(): number {
    return this.memory.arrivals.size;
  }

  /** Takes a segment; the clock knows its time. Bytes that are kept are copied. */
  accept(segment: Segment): void {
    const { nowMs } = this.clock;
    if (nowMs >= this.nextTickMs) this.expire();
    const { flags } = segment;
    const hash = this.hash.of(segment.identity);
    const connection = this.index.find(segment.identity, hash);
    if (segment.isFromServer) {
      this.acceptFromServer(connection, segment);
      return;
    }
    if ((flags & (TcpFlag.SYN | TcpFlag.RST)) === 0 && connection !== null && connection.takeNext(segment)) {
      this.live.renew(connection, nowMs);
      return;
    }
    this.acceptOther(connection, hash, segment);
  }

  /**
   * Ends incarnations and holes that have reached a time limit. Time never runs back: an earlier `nowMs` changes
   * nothing.
   */
  advance(nowMs: number): void {
    this.clock.advance(nowMs);
    if (this.nowMs >= this.nextTickMs) this.expire();
  }

  /**
   * The capture has ended: delivers all pending segments of up to `countMax` connections, and ends them. False: no
   * connection was left.
   */
  flush(countMax = Infinity): boolean {
    const some = this.live.oldest !== null;
    for (let count = 0; this.live.oldest !== null && count < countMax; count++) this.end(this.live.oldest, "flushed");
    return some;
  }

  /** Ends the connection that has been silent longest, because others need the memory. False: there is none. */
  evictIdlest(): boolean {
    const { oldest } = this.live;
    if (oldest !== null) this.end(oldest, "evicted");
    return oldest !== null;
  }

  /** The batch is over: the bytes delivered in it are not needed any more. */
  endBatch(): void {
    this.memory.recycle();
  }

  /** (LeapListener) */
  leapt(fromMs: number, toMs: number): void {
    this.live.leapt(fromMs, toMs);
    this.replacedOnes.leapt(fromMs, toMs);
    this.endedOnes.leapt(fromMs, toMs);
    this.memory.arrivals.leapt(fromMs, toMs);
  }

  // Calls of connections (ConnectionContext).

  makeRoom(): void {
    while (this.liveCount >= this.maxFlows && this.live.oldest !== null) this.end(this.live.oldest, "evicted");
  }

  opened(): void {
    this.openCount++;
    this.budget.takeConnection();
  }

  replaced(incarnation: Incarnation, sinceMs: number): void {
    incarnation.sinceMs = sinceMs;
    this.replacedOnes.insert(incarnation);
  }

  ended(incarnation: Incarnation): void {
    if (incarnation.isReplaced) this.replacedOnes.remove(incarnation);
    this.openCount--;
    incarnation.sinceMs = this.nowMs;
    this.endedOnes.insert(incarnation);
  }

  forgotten(incarnation: Incarnation): void {
    this.endedOnes.remove(incarnation);
    this.budget.giveBackConnection();
  }

  update(connection: Connection): void {
    const isWaiting = connection.openCount === 0 && connection.pendingCount > 0;
    if (isWaiting !== connection.isWaiting) this.waitingCount += isWaiting ? 1 : -1;
    connection.isWaiting = isWaiting;
    const isLive = isWaiting || connection.openCount > 0 || connection.hasResponse;
    if (isLive !== connection.isLive) {
      connection.isLive = isLive;
      if (isLive) {
        connection.sinceMs = this.nowMs;
        this.live.insert(connection);
      } else this.live.remove(connection);
    }
    const isKnown = isLive || connection.newest !== null;
    if (isKnown === connection.isIndexed) return;
    connection.isIndexed = isKnown;
    if (isKnown) this.index.add(connection);
    else this.index.remove(connection);
  }

  private acceptOther(found: Connection | null, hash: number, segment: Segment): void {
    const { flags } = segment;
    const isSyn = (flags & TcpFlag.SYN) !== 0;
    const isReset = (flags & TcpFlag.RST) !== 0;
    // A client's SYN has none of these flags. A receiver refuses or answers a segment with them, and does not take it.
    if (isSyn && (flags & (TcpFlag.ACK | TcpFlag.RST | TcpFlag.FIN)) !== 0) return;
    const hasContent = isSyn || (!isReset && (segment.payloadLength > 0 || (flags & TcpFlag.FIN) !== 0));
    if (found === null && !hasContent) return;
    const connection = found ?? new Connection(segment.identity.slice(), hash, this);
    let isNew = true;
    if (isSyn) isNew = connection.takeSyn(segment);
    else if (isReset) connection.fromClient.takeReset(segment.sequence);
    else if (hasContent) isNew = connection.fromClient.takeBytes(segment);
    else connection.fromClient.takeBare(segment);
    connection.settleServer();
    this.update(connection);
    if (isNew && !isReset && connection.isLive) this.live.renew(connection, this.nowMs);
    this.trim();
  }

  /** A server's segment is of no use if no segment of its client was seen. */
  private acceptFromServer(connection: Connection | null, segment: Segment): void {
    if (connection === null || this.serverCounters === null) return;
    const { fromServer } = connection;
    if (fromServer.takeNext(segment)) {
      this.live.renew(connection, this.nowMs);
      return;
    }
    fromServer.take(segment);
    this.update(connection);
    if (connection.isLive) this.live.renew(connection, this.nowMs);
    this.trim();
  }

  private expire(): void {
    const { nowMs, options, live, replacedOnes, endedOnes } = this;
    this.nextTickMs = nowMs + TICK_MS;
    for (const segment of this.memory.arrivals.due(nowMs - options.gapTimeoutMs)) segment.holder.giveUpLate(segment);
    for (const incarnation of replacedOnes.due(nowMs - this.replacedMsMax))
      incarnation.connection.endReplaced(incarnation);
    for (const connection of live.due(nowMs - options.idleTimeoutMs)) {
      // If the source waits, nothing is lost by waiting for later segments.
      if (connection.mayEndIdle() && !options.sourceWaits) this.end(connection, "idle");
      else live.renew(connection, nowMs);
    }
    for (const incarnation of endedOnes.due(nowMs - REMEMBER_MS)) {
      const { server, connection } = incarnation;
      // Its server still sends.
      if (server !== null && !server.isEnded && connection.isLive) endedOnes.renew(incarnation, nowMs);
      else connection.forget(incarnation);
    }
    this.trim();
  }

  private end(connection: Connection, how: StreamEnd): void {
    connection.flush(how);
    this.update(connection);
    this.trim();
  }

  /** Forgets the incarnations that ended first, if there are too many. */
  private trim(): void {
    while (this.endedOnes.size > this.maxRemembered) {
      const oldest = this.endedOnes.oldest!;
      oldest.connection.forget(oldest);
    }
  }
}
