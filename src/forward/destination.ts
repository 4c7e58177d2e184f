/**
 * A destination of a shard: its address; its connections, with a limit on those that are being established; its
 * outages, each reported once; and its time limits. It flushes the writes of a batch.
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
import { Spoken } from "./spoken.ts";
import type { Tls } from "./tls.ts";
import { Upstream, type UpstreamHost, type UpstreamListener } from "./upstream.ts";

/** Connection attempts that the kernel works on at once; more wait in a queue. */
export const CONNECTS_IN_FLIGHT_MAX = 256;
/** Attempts that are begun at once while the destination is away: when one succeeds, the others are tried. */
export const OUTAGE_PROBES_MAX = 8;
/**
 * TLS connections that are begun in a round of events. In a round, Bun reads for five handshakes at the most, and for the
 * newest first: if more were begun, the oldest ones would never be done.
 */
export const HANDSHAKES_BEGUN_MAX = 2;
/** The most connections of --mode tcp, with those of ended flows; beyond it a flow's bytes are lost. */
export const CONNECTIONS_MAX = 131_072;
/** How long after a refusal a connection is tried again, while the outage is short. */
export const CONNECT_RETRY_MS = 100;
/** A destination that has done nothing for this long is looked at now and then. */
export const LIVELY_MS = 1000;
/** The share of the budget that is free again when connections have given way. */
export const RELIEVED_SHARE = 1 / 8;
/** The share of the budget that connections may take themselves before idle ones are ended for others. */
const CROWDED_SHARE = 1 / 4;

/** A destination, with all of its connections. */
export class Destination implements UpstreamHost, DialHost {
  readonly deadlines: Deadlines;
  readonly addresses: Addresses;
  readonly keepAlive = new KeepAlive();
  readonly http1 = new Spoken(this, "HTTP/1");
  readonly http2 = new Spoken(this, "HTTP/2");
  /**
   * The time of the last tick, or when the last batch began: exact enough for time limits, and it needs no call per
   * request.
   */
  tickedMs: number;
  /**
   * When the destination last did something: it took a connection, or bytes that had waited, or it sent some. Exact to
   * a tick.
   */
  progressMs: number;
  // Open connections, by what they wait for (UpstreamHost).
  readonly blocked = new Set<Upstream>();
  readonly finishing = new Set<Upstream>();
  readonly lingering = new Set<Upstream>();
  private readonly open = new Set<Upstream>();
  private readonly dirty: Upstream[] = [];
  private readonly connecting = new Set<Upstream>();
  /** Connections that wait for their turn to be tried, in order. */
  private readonly untried: Upstream[] = [];
  /** Connections that were refused and are to be tried again, in the order of their times. */
  private readonly refusals: Upstream[] = [];
  attempts = 0;
  /** TLS connections that were begun in this round of events. */
  private handshakesBegun = 0;
  /** No more connections are wanted. */
  terminated = false;
  /** When a connection was last made, and when one last could not be made; 0: never. */
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

  /** It is a file, and no endpoint. */
  get isFile(): boolean {
    return this.options.address.file !== undefined;
  }

  /** Connections that are not closed, with those still connecting. */
  get openCount(): number {
    return this.open.size;
  }

  /** Whether the destination has done something lately: then a sleeping thread wakes for the bytes that it sends. */
  get isLively(): boolean {
    return this.open.size > 0 && this.silenceMs < LIVELY_MS;
  }

  /** Connections that are being made or ended. */
  get unsettledCount(): number {
    return this.connecting.size + this.finishing.size + this.lingering.size;
  }

  /** How long the destination has done nothing. */
  get silenceMs(): number {
    return this.tickedMs - this.progressMs;
  }

  /** Whether some work waits for the destination to take a connection or bytes. */
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

  /**
   * Opens a connection; `listener`, if any, gets its events. (Connections with a listener are bounded by their
   * requests.)
   */
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
    this.untried.push(upstream);
    this.startConnecting(this.tickedMs);
    return upstream;
  }

  /** Calls back when all that has come from the destination by now has been handed over. */
  afterEvents(callback: () => void): void {
    this.connector.afterEvents(callback);
  }

  /** The batch is over: every connection that got bytes offers them to the kernel in one write. */
  flush(): void {
    if (this.dirty.length === 0) return;
    const nowMs = this.now();
    // A flush may give other connections something to do.
    for (let i = 0; i < this.dirty.length; i++) this.dirty[i]!.flush(nowMs);
    this.dirty.length = 0;
  }

  /** A batch begins: its requests are timed by its own time. */
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

  /** If more is held than may be: ends connections that are written, then gives up those that hold most. */
  relieve(): void {
    const { budget } = this.memory;
    if (budget.hasRoomFor(0)) return;
    this.endWritten();
    // If the connections themselves fill the budget, and not held bytes, idle ones are ended when the batch is over.
    if (!this.isCrowded) this.giveUpHolders();
  }

  /** Gives up the connections that hold most, if more is held than may be. */
  giveUpHolders(): void {
    const { budget } = this.memory;
    if (budget.hasRoomFor(0)) return;
    const holders = [...this.open].filter(({ backlogBytes }) => backlogBytes > 0);
    holders.sort((a, b) => b.backlogBytes - a.backlogBytes);
    for (const upstream of holders) {
      if (budget.hasRoomFor(budget.limitBytes * RELIEVED_SHARE)) return;
      upstream.giveUp("the buffers are full (--max-buffer-mib), and this connection held most");
    }
  }

  /** Whether more is held than may be, and the connections themselves are a large part of it. */
  get isCrowded(): boolean {
    const { budget } = this.memory;
    return !budget.hasRoomFor(0) && this.open.size * Cost.UPSTREAM > budget.limitBytes * CROWDED_SHARE;
  }

  /** By how many the connections exceed the memory for them. */
  get connectionsOver(): number {
    return Math.ceil(this.memory.budget.overBytes / Cost.UPSTREAM);
  }

  /**
   * If memory is short, connections give way to a new one: first those that are written, then those that have waited
   * longest to be made.
   */
  makeRoom(): void {
    if (this.memory.budget.hasRoomFor(0)) return;
    this.endWritten();
    for (const upstream of this.connecting) {
      if (this.memory.budget.hasRoomFor(0)) return;
      upstream.giveUp(
        "the buffers are full (--max-buffer-mib), and this connection had taken longest to be established",
      );
    }
  }

  /** If memory is short, closes connections that only wait for the destination's end, the oldest first. */
  endWritten(): void {
    for (const upstreams of [this.lingering, this.finishing]) {
      for (const upstream of upstreams) {
        if (this.memory.budget.hasRoomFor(0)) return;
        upstream.endWait();
      }
    }
  }

  /** A connection reports that it is closed. */
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

  /**
   * The response to a request that was written at `writtenMs` begins. (Responses that are handed over together may have
   * come at different times: between them, requests are written, and the kernel is asked again.)
   */
  countResponseTime(writtenMs: number, nowMs = this.now()): void {
    countTime(this.counters.response_time, RESPONSE_TIME_BUCKETS_MS, nowMs - writtenMs);
  }

  /** A connection reports that the destination does not speak its protocol. */
  declined(why: string, tls: Tls | null): void {
    const isHttp2 = tls === this.options.http2Tls;
    (isHttp2 ? this.http2 : this.http1).declined(why);
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
    if (!this.isYoungOutage(nowMs)) return this.fail(upstream, error);
    upstream.triedFromMs = nowMs + CONNECT_RETRY_MS;
    this.refusals.push(upstream);
  }

  /** A connection reports that it was not established in time. */
  connectTimedOut(upstream: Upstream): void {
    this.fail(upstream, new Error("it does not respond"));
  }

  endOutage(): void {
    if (this.outageSinceMs < 0) return;
    this.report.outageEnded(this.now() - this.outageSinceMs, this.outageLosses);
    this.http1.forget();
    this.http2.forget();
    this.outageSinceMs = -1;
  }

  private startConnecting(nowMs: number): void {
    const inFlightMost = CONNECTS_IN_FLIGHT_MAX - this.attempts;
    const isSecure = this.options.address.isSecure === true;
    const most = isSecure ? Math.min(inFlightMost, HANDSHAKES_BEGUN_MAX - this.handshakesBegun) : inFlightMost;
    const isYoung = this.isYoungOutage(nowMs);
    const leftMost = isYoung ? Math.min(most, OUTAGE_PROBES_MAX) : most;
    const left = this.tryFirst(this.untried, this.tryFirst(this.refusals, leftMost, nowMs), nowMs);
    if (isSecure && left < leftMost) this.noteHandshakes(leftMost - left);
  }

  /** Goes on with those that wait for their turn when the round of events is over. */
  private noteHandshakes(count: number): void {
    this.handshakesBegun += count;
    if (this.handshakesBegun > count) return;
    this.afterEvents(() => {
      this.handshakesBegun = 0;
      if (this.connecting.size > 0) this.startConnecting(this.tickedMs);
    });
  }

  /** Tries the first connections of a queue, `most` at the most. Returns how many more may be tried. */
  private tryFirst(queue: Upstream[], most: number, nowMs: number): number {
    let left = most;
    let count = 0;
    for (; count < queue.length; count++) {
      const upstream = queue[count]!;
      if (upstream.isClosed) continue;
      // When the outage is over, connections that were refused before need not wait any more.
      if ((nowMs < upstream.triedFromMs && this.outageSinceMs >= 0) || left <= 0) break;
      left--;
      new Dial(this, upstream).begin();
    }
    if (count > 0) queue.splice(0, count);
    return left;
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

/** Words for a failed connection, by the system's code; Bun's message is the same for most codes. */
const CONNECT_FAILURES: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "no such host",
  EMFILE: "too many open files (raise ulimit -n)",
  EHOSTUNREACH: "there is no route to this host",
  ENETUNREACH: "there is no route to its network",
  ETIMEDOUT: "it does not respond",
  // An IPv6 address with link scope (fe80::) has a zone, which names the interface.
  EINVAL: "the system does not accept this address (does this host have the interface of its zone?)",
};

/** An error in words. */
function reasonOf(error: Error): string {
  return CONNECT_FAILURES[(error as NodeJS.ErrnoException).code ?? ""] ?? error.message;
}
