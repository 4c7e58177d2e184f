/**
 * The endpoint that all connections of a shard go to: opens them, within a limit on those in flight;
 * tells outages, once each; flushes what a batch has written; and keeps the time for all of them.
 */
import type { Counters } from "../observe/counters.ts";
import type { QueueMemory } from "./byte-queue.ts";
import type { Connector, ForwardAddress, SocketEvents, UpstreamSocket } from "./socket.ts";
import { Upstream, type UpstreamListener } from "./upstream.ts";

/** Connection attempts that the kernel works on at once; more wait in a queue. */
export const CONNECTS_IN_FLIGHT_MAX = 256;
/** Connections of --mode tcp, those of ended flows included; over it a flow's bytes are lost. */
export const CONNECTIONS_MAX = 131_072;
/** How long after a refusal a connection is tried again, while the outage is young. */
export const CONNECT_RETRY_MS = 100;
const TICK_MS = 10;

export interface EndpointOptions {
  readonly address: ForwardAddress;
  readonly maxRetries: number;
  readonly connectTimeoutMs: number;
  /** With a source that waits: how long the endpoint may be away before what waits for it is given up. */
  readonly outageTimeoutMs: number;
  /** False where capture times are not the clock's (--read): then no delay is counted. */
  readonly measuresDelay: boolean;
}

/** Where the endpoint's troubles are told. */
export interface EndpointReport {
  outageBegan(reason: string): void;
  outageEnded(durationMs: number, lostConnections: number): void;
  givenUp(why: string, lostBytes: number): void;
  broken(how: "closed" | "reset", lostBytes: number): void;
}

export class Endpoint {
  /** Connections whose bytes wait for the kernel. */
  readonly blocked = new Set<Upstream>();
  /** Connections that are half-closed and wait for the endpoint's end. */
  readonly lingering = new Set<Upstream>();
  private readonly open = new Set<Upstream>();
  private readonly dirty: Upstream[] = [];
  /** Connections to be opened: new ones, and refused ones from the given time on. */
  private queue: { upstream: Upstream; notBeforeMs: number }[] = [];
  private readonly connecting = new Set<Upstream>();
  private attempts = 0;
  /** No connection is wanted any more. */
  terminated = false;
  private outageSinceMs = -1;
  private outageLosses = 0;
  private nextTickMs = 0;

  constructor(
    readonly options: EndpointOptions,
    readonly counters: Counters,
    readonly memory: QueueMemory,
    readonly report: EndpointReport,
    private readonly connector: Connector,
    /** Milliseconds since 1970, with fractions. */
    readonly now: () => number,
  ) {}

  /** Connections that are not closed, those still connecting included. */
  get openCount(): number {
    return this.open.size;
  }

  /** Whether something can go on only when the endpoint has taken a connection or bytes. */
  get isAwaited(): boolean {
    return this.connecting.size > 0 || this.blocked.size > 0;
  }

  /** Connections that are being made, or wait for the endpoint's end. */
  get unsettledCount(): number {
    return this.connecting.size + this.lingering.size;
  }

  /** Bytes that wait for the endpoint, in all. */
  get backlogBytes(): number {
    let bytes = 0;
    for (const upstream of this.blocked) bytes += upstream.backlogBytes;
    for (const upstream of this.connecting) bytes += upstream.backlogBytes;
    return bytes;
  }

  /** Opens a connection; `listener`, if any, is told what happens on it. (Requests bound those that have one.) */
  connect(listener: UpstreamListener | null): Upstream {
    const upstream = new Upstream(this, listener);
    if (listener === null && this.open.size >= CONNECTIONS_MAX) {
      this.counters.upstream.connect_errors++;
      upstream.abandon();
      return upstream;
    }
    this.open.add(upstream);
    this.connecting.add(upstream);
    if (this.attempts < CONNECTS_IN_FLIGHT_MAX) this.attempt(upstream);
    else this.queue.push({ upstream, notBeforeMs: 0 });
    return upstream;
  }

  /** Calls back when what has come from the endpoint by now has all been handed over. */
  afterEvents(callback: () => void): void {
    this.connector.afterEvents(callback);
  }

  /** The batch is over: every connection that got bytes offers them to the kernel, in one write each. */
  flush(): void {
    if (this.dirty.length === 0) return;
    const nowMs = this.now();
    for (const upstream of this.dirty) upstream.flush(nowMs);
    this.dirty.length = 0;
  }

  /** Looks at all time limits; cheap to call often. */
  tick(): void {
    const nowMs = this.now();
    if (nowMs < this.nextTickMs) return;
    this.nextTickMs = nowMs + TICK_MS;
    for (const upstream of this.blocked) upstream.retry(nowMs);
    for (const upstream of this.lingering) upstream.expireLinger(nowMs);
    for (const upstream of this.connecting) {
      if (upstream.waitedMs(nowMs) >= this.options.connectTimeoutMs) this.fail(upstream, new Error("no answer"));
    }
    if (this.queue.length > 0) this.startConnecting(nowMs);
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

  /** Gives up the connections that hold most until all that is held is within the limit. */
  relieve(): void {
    while (!this.memory.budget.hasRoomFor(0)) {
      let largest: Upstream | null = null;
      for (const upstream of this.open) {
        if (upstream.backlogBytes > (largest?.backlogBytes ?? 0)) largest = upstream;
      }
      if (largest === null) return;
      largest.giveUp("the buffers are full (--max-buffer-mib), and it held most");
    }
  }

  /** A connection's own word that it is closed. */
  forget(upstream: Upstream): void {
    this.open.delete(upstream);
    this.blocked.delete(upstream);
    this.lingering.delete(upstream);
    this.connecting.delete(upstream);
  }

  countDelay(delayMs: number): void {
    if (this.options.measuresDelay) this.counters.countDelay(delayMs);
  }

  private startConnecting(nowMs: number): void {
    const later: typeof this.queue = [];
    for (const entry of this.queue) {
      if (entry.upstream.isClosed) continue;
      if (this.attempts >= CONNECTS_IN_FLIGHT_MAX || nowMs < entry.notBeforeMs) later.push(entry);
      else this.attempt(entry.upstream);
    }
    this.queue = later;
  }

  private attempt(upstream: Upstream): void {
    this.attempts++;
    this.connector.connect(this.options.address, new Attempt(this, upstream));
  }

  /** An attempt has come to its end (Attempt). Returns whether the connection is still wanted. */
  connected(upstream: Upstream): boolean {
    this.attempts--;
    this.endOutage();
    if (upstream.isClosed) return false;
    this.counters.upstream.connects++;
    this.connecting.delete(upstream);
    return true;
  }

  /** An attempt was refused (Attempt): tried again while the outage is younger than the time limit. */
  refused(upstream: Upstream, error: Error): void {
    this.attempts--;
    if (upstream.isClosed) return;
    const nowMs = this.now();
    this.beginOutage(nowMs, error);
    if (nowMs - this.outageSinceMs < this.options.connectTimeoutMs) {
      this.queue.push({ upstream, notBeforeMs: nowMs + CONNECT_RETRY_MS });
    } else {
      this.fail(upstream, error);
    }
  }

  private fail(upstream: Upstream, error: Error): void {
    this.beginOutage(this.now(), error);
    this.counters.upstream.connect_errors++;
    this.outageLosses++;
    upstream.abandon();
  }

  private beginOutage(nowMs: number, error: Error): void {
    if (this.outageSinceMs >= 0) return;
    this.outageSinceMs = nowMs;
    this.outageLosses = 0;
    this.report.outageBegan(reasonOf(error));
  }

  private endOutage(): void {
    if (this.outageSinceMs < 0) return;
    this.report.outageEnded(this.now() - this.outageSinceMs, this.outageLosses);
    this.outageSinceMs = -1;
  }
}

/**
 * One attempt to connect. It outlives its connection where that was given up meanwhile: the kernel
 * still works on it, and so it still counts against the limit.
 */
class Attempt implements SocketEvents {
  constructor(
    private readonly endpoint: Endpoint,
    private readonly upstream: Upstream,
  ) {}

  opened(socket: UpstreamSocket): void {
    if (this.endpoint.connected(this.upstream)) this.upstream.opened(socket);
    else socket.terminate();
  }

  failed(error: Error): void {
    this.endpoint.refused(this.upstream, error);
  }

  writable(): void {
    this.upstream.writable();
  }

  received(bytes: Uint8Array): void {
    this.upstream.received(bytes);
  }

  ended(): void {
    this.upstream.ended();
  }

  closed(error: Error | undefined): void {
    this.upstream.closed(error);
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
