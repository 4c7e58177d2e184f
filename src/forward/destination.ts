/**
 * A destination of a shard: its address, its connections within a limit on those that are being made, its outages, told
 * once each, and its time limits. It flushes what a batch has written.
 */
import { Cost } from "../memory/budget.ts";
import { Deadlines } from "../memory/deadlines.ts";
import { countTime, DELAY_BUCKETS_MS, type ForwardCounters, RESPONSE_TIME_BUCKETS_MS } from "./counters.ts";
import { Addresses } from "./addresses.ts";
import type { DestinationOptions, DestinationReport } from "./destination-options.ts";
import { Dial, type DialHost } from "./dial.ts";
import type { HeldMemory } from "./held-memory.ts";
import { KeepAlive } from "./keep-alive.ts";
import type { Connector } from "./socket.ts";
import { Upstream, type UpstreamHost, type UpstreamListener } from "./upstream.ts";

/** Connection attempts that the kernel works on at once; more wait in a queue. */
export const CONNECTS_IN_FLIGHT_MAX = 256;
/** Attempts that are begun at once while the destination is away: whoever gets through first tells the others. */
export const OUTAGE_PROBES_MAX = 8;
/** Connections of --mode tcp, those of ended flows included; over it a flow's bytes are lost. */
export const CONNECTIONS_MAX = 131_072;
/** How long after a refusal a connection is tried again, while the outage is young. */
export const CONNECT_RETRY_MS = 100;
/** A destination that has done nothing for so long is looked at now and then. */
const LIVELY_MS = 1000;
/** Of the budget, what is free again when the connections that held most have been given up. */
const RELIEVED_SHARE = 1 / 8;
/** The same, of what connections may take themselves before idle ones are ended for others. */
const CROWDED_SHARE = 1 / 4;

export class Destination implements UpstreamHost, DialHost {
  readonly deadlines: Deadlines;
  readonly addresses: Addresses;
  readonly keepAlive = new KeepAlive();
  /** The time of the last tick, or when the last batch began: near enough for time limits, and no call per request. */
  tickedMs: number;
  /** When it last did something: took a connection or bytes that had waited, or sent some. To within a tick. */
  progressMs: number;
  /** Connections whose bytes wait for the kernel. */
  readonly blocked = new Set<Upstream>();
  /** Open connections that wait for silence to send their FIN. */
  readonly finishing = new Set<Upstream>();
  /** Connections that are half-closed and wait for the destination's end. */
  readonly lingering = new Set<Upstream>();
  private readonly open = new Set<Upstream>();
  private readonly dirty: Upstream[] = [];
  private readonly connecting = new Set<Upstream>();
  /** Connections that wait for their turn to be tried, the first of them first. */
  private untried: Upstream[] = [];
  /** Connections that were refused and are to be tried again, in the order of their times. */
  private refusals: { readonly upstream: Upstream; readonly notBeforeMs: number }[] = [];
  /** Attempts and lookups that are under way (Dial). */
  attempts = 0;
  /** No connection is wanted any more. */
  terminated = false;
  /** When a connection was made last, and when one could not be; 0: never. */
  connectedMs = 0;
  unconnectedMs = 0;
  private outageSinceMs = -1;
  private outageLosses = 0;

  constructor(
    readonly options: DestinationOptions,
    readonly counters: ForwardCounters,
    readonly memory: HeldMemory,
    readonly report: DestinationReport,
    readonly connector: Connector,
    /** Milliseconds since 1970, with fractions. */
    readonly now: () => number,
  ) {
    this.tickedMs = now();
    this.progressMs = this.tickedMs;
    this.deadlines = new Deadlines(this.tickedMs);
    this.addresses = new Addresses(options.address.host, connector);
  }

  /** Connections that are not closed, those still connecting included. */
  get openCount(): number {
    return this.open.size;
  }

  /** Whether it goes on to do something: whoever sleeps wakes for what it sends. */
  get isLively(): boolean {
    return this.open.size > 0 && this.silenceMs < LIVELY_MS;
  }

  /** Connections that are being made or ended. */
  get unsettledCount(): number {
    return this.connecting.size + this.finishing.size + this.lingering.size;
  }

  /** How long it has done nothing. */
  get silenceMs(): number {
    return this.tickedMs - this.progressMs;
  }

  /** Whether something can go on only when the destination has taken a connection or bytes. */
  get isAwaited(): boolean {
    return this.connecting.size > 0 || this.blocked.size > 0 || this.dirty.length > 0;
  }

  /** Bytes that wait for the destination's connections, in all. */
  get backlogBytes(): number {
    let bytes = 0;
    for (const upstream of this.blocked) bytes += upstream.backlogBytes;
    for (const upstream of this.connecting) bytes += upstream.backlogBytes;
    return bytes;
  }

  /** Opens a connection; `listener`, if any, is told what happens on it. (Requests bound those that have one.) */
  connect(listener: UpstreamListener | null, tls = this.options.tls): Upstream {
    const upstream = new Upstream(this, listener, tls);
    if (listener === null) this.makeRoom();
    if (listener === null && this.open.size >= CONNECTIONS_MAX) {
      this.counters.upstream.connect_errors++;
      upstream.abandon();
      return upstream;
    }
    this.open.add(upstream);
    this.connecting.add(upstream);
    upstream.limitConnecting(this.tickedMs + this.options.connectTimeoutMs);
    this.untried.push(upstream);
    this.startConnecting(this.tickedMs);
    return upstream;
  }

  /** Calls back when what has come from the destination by now has all been handed over. */
  afterEvents(callback: () => void): void {
    this.connector.afterEvents(callback);
  }

  /** The batch is over: every connection that got bytes offers them to the kernel, in one write each. */
  flush(): void {
    if (this.dirty.length === 0) return;
    const nowMs = this.now();
    // What is told may give others something to do.
    for (let i = 0; i < this.dirty.length; i++) this.dirty[i]!.flush(nowMs);
    this.dirty.length = 0;
  }

  /** A batch begins: what comes of it is to be timed by its own time. */
  beginBatch(): void {
    this.tickedMs = this.now();
  }

  /** Looks at all time limits; cheap to call often. */
  tick(): void {
    const nowMs = this.now();
    this.tickedMs = nowMs;
    this.deadlines.advance(nowMs);
    if (this.connecting.size > 0) this.startConnecting(nowMs);
  }

  /** Gives up every connection, for good. */
  terminate(): void {
    this.terminated = true;
    for (const upstream of this.open) upstream.giveUp("the program ends");
  }

  markDirty(upstream: Upstream): void {
    if (upstream.isDirty) return;
    upstream.isDirty = true;
    this.dirty.push(upstream);
  }

  /** Where more is held than may be: ends what has been written, then gives up the connections that hold most. */
  relieve(): void {
    const { budget } = this.memory;
    if (budget.hasRoomFor(0)) return;
    this.endWritten();
    // It is not what is held that fills the budget: idle connections are ended when the batch is over.
    if (!this.isCrowded) this.giveUpHolders();
  }

  /** Gives up the connections that hold most, where more is held than may be. */
  giveUpHolders(): void {
    const { budget } = this.memory;
    if (budget.hasRoomFor(0)) return;
    const holders = [...this.open].filter(({ backlogBytes }) => backlogBytes > 0);
    holders.sort((a, b) => b.backlogBytes - a.backlogBytes);
    for (const upstream of holders) {
      if (budget.hasRoomFor(budget.limitBytes * RELIEVED_SHARE)) return;
      upstream.giveUp("the buffers are full (--max-buffer-mib), and it held most");
    }
  }

  /** More is held than may be, and much of it are the connections themselves. */
  get isCrowded(): boolean {
    const { budget } = this.memory;
    return !budget.hasRoomFor(0) && this.open.size * Cost.UPSTREAM > budget.limitBytes * CROWDED_SHARE;
  }

  /** How many connections more there are than there is memory for. */
  get connectionsOver(): number {
    const { usedBytes, grantedBytes } = this.memory.budget;
    return Math.ceil((usedBytes - grantedBytes) / Cost.UPSTREAM);
  }

  /**
   * Has those give way to a new connection, where memory is short, that are written, then those that have waited
   * longest to be made.
   */
  makeRoom(): void {
    if (this.memory.budget.hasRoomFor(0)) return;
    this.endWritten();
    for (const upstream of this.connecting) {
      if (this.memory.budget.hasRoomFor(0)) return;
      upstream.giveUp("the buffers are full (--max-buffer-mib), and it had waited longest to be made");
    }
  }

  /**
   * Where memory is short, connections that only wait for the destination's end are not waited for, the oldest first.
   */
  endWritten(): void {
    for (const upstreams of [this.lingering, this.finishing]) {
      for (const upstream of upstreams) {
        if (this.memory.budget.hasRoomFor(0)) return;
        upstream.endWait();
      }
    }
  }

  /** A connection's own word that it is closed. */
  forget(upstream: Upstream): void {
    this.open.delete(upstream);
    this.blocked.delete(upstream);
    this.finishing.delete(upstream);
    this.lingering.delete(upstream);
    this.connecting.delete(upstream);
  }

  countDelay(delayMs: number): void {
    if (this.options.measuresDelay) countTime(this.counters.delay, DELAY_BUCKETS_MS, delayMs);
  }

  /** A response begins to a request that was written at `writtenMs`. */
  countResponseTime(writtenMs: number): void {
    countTime(this.counters.response_time, RESPONSE_TIME_BUCKETS_MS, this.now() - writtenMs);
  }

  /** A connection was made (Dial). */
  connected(upstream: Upstream): void {
    this.counters.upstream.connects++;
    this.connectedMs = this.now();
    this.progressMs = this.tickedMs;
    this.connecting.delete(upstream);
  }

  /** No address took the connection (Dial): it is tried again while the outage is younger than the time limit. */
  refused(upstream: Upstream, error: Error): void {
    if (upstream.isClosed) return;
    const nowMs = this.now();
    this.beginOutage(nowMs, error);
    if (this.isYoungOutage(nowMs)) this.refusals.push({ upstream, notBeforeMs: nowMs + CONNECT_RETRY_MS });
    else this.fail(upstream, error);
  }

  /** A connection's own word that it was not made in time. */
  connectTimedOut(upstream: Upstream): void {
    this.fail(upstream, new Error("no answer"));
  }

  endOutage(): void {
    if (this.outageSinceMs < 0) return;
    this.report.outageEnded(this.now() - this.outageSinceMs, this.outageLosses);
    this.outageSinceMs = -1;
  }

  private startConnecting(nowMs: number): void {
    const most = CONNECTS_IN_FLIGHT_MAX - this.attempts;
    let left = this.isYoungOutage(nowMs) ? Math.min(most, OUTAGE_PROBES_MAX) : most;
    let again = 0;
    for (; again < this.refusals.length; again++) {
      const { upstream, notBeforeMs } = this.refusals[again]!;
      if (upstream.isClosed) continue;
      // Who was refused before need not wait any more when the outage is over.
      if ((nowMs < notBeforeMs && this.outageSinceMs >= 0) || left <= 0) break;
      left--;
      new Dial(this, upstream).begin();
    }
    if (again > 0) this.refusals.splice(0, again);
    let count = 0;
    for (; count < this.untried.length; count++) {
      const upstream = this.untried[count]!;
      if (upstream.isClosed) continue;
      if (left <= 0) break;
      left--;
      new Dial(this, upstream).begin();
    }
    if (count > 0) this.untried.splice(0, count);
  }

  private isYoungOutage(nowMs: number): boolean {
    return this.outageSinceMs >= 0 && nowMs - this.outageSinceMs < this.options.connectTimeoutMs;
  }

  private fail(upstream: Upstream, error: Error): void {
    this.beginOutage(this.now(), error);
    this.counters.upstream.connect_errors++;
    this.outageLosses++;
    upstream.abandon();
  }

  private beginOutage(nowMs: number, error: Error): void {
    this.unconnectedMs = nowMs;
    if (this.outageSinceMs >= 0) return;
    this.outageSinceMs = nowMs;
    this.outageLosses = 0;
    this.report.outageBegan(reasonOf(error));
  }
}

/** An error in words; Bun's own message for a refused connection says less than its code. */
function reasonOf(error: Error): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ENOTFOUND":
      return "no such host";
    case "EMFILE":
      return "too many open files (raise ulimit -n)";
    default:
      return error.message;
  }
}
