/**
 * One connection to the endpoint: takes bytes, offers them to the kernel in one write a batch, keeps
 * what was not taken, and ends without losing any.
 */
import { ByteQueue } from "./byte-queue.ts";
import type { Endpoint } from "./endpoint.ts";
import type { SocketEvents, UpstreamSocket } from "./socket.ts";

export const RETRY_DELAY_FIRST_MS = 10;
export const RETRY_DELAY_MAX_MS = 1000;

/** How a connection came to its end. */
export type UpstreamEnd = "unconnected" | "closed" | "reset" | "given_up";

/** Who wants to know what happens on a connection. After `closed`, nothing more does. */
export interface UpstreamListener {
  opened(): void;
  received(bytes: Uint8Array): void;
  /** The endpoint sends no more. */
  ended(): void;
  /** `unsentBytes`: what was written last and the kernel never took. */
  closed(how: UpstreamEnd, unsentBytes: number): void;
}

const State = { CONNECTING: 0, OPEN: 1, CLOSED: 2 } as const;

const NOTHING = new Uint8Array(0);

export class Upstream implements SocketEvents {
  private state: number = State.CONNECTING;
  private socket: UpstreamSocket | null = null;
  /** The bytes of this batch, as long as they lie in one piece: offered without a copy. */
  private direct: Uint8Array = NOTHING;
  private directOffset = 0;
  private directLength = 0;
  private readonly queue: ByteQueue;
  /** When the first bytes of the next write were captured; -1: none were. */
  private firstTimestampMs = -1;
  /** It is in the endpoint's list of those that got something to do in this batch. */
  isDirty = false;

  /** Part of the last write was not taken: the rest waits for {@link writable} or for this time. */
  private blocked = false;
  retryAtMs = 0;
  /** Writes in a row of which nothing was taken. */
  private blockedTries = 0;

  /** No more bytes come; the FIN follows what waits. */
  private finishing = false;
  private shutDown = false;
  private readonly createdMs: number;
  /** The endpoint may close now, as keep-alive limits have it, without breaking anything. */
  mayEnd = false;
  /** When the wait for the endpoint's end is over; it grows with each answer. */
  private lingerMs = 0;
  private lingerUntilMs = 0;

  constructor(
    private readonly endpoint: Endpoint,
    private listener: UpstreamListener | null,
  ) {
    this.queue = new ByteQueue(endpoint.memory);
    this.createdMs = endpoint.now();
  }

  /** Bytes that wait for the kernel to take them. */
  get backlogBytes(): number {
    return this.queue.length + this.directLength;
  }

  get isClosed(): boolean {
    return this.state === State.CLOSED;
  }

  get isOpen(): boolean {
    return this.state === State.OPEN;
  }

  /** How long the connection has been waited for. */
  waitedMs(nowMs: number): number {
    return nowMs - this.createdMs;
  }

  /** Takes bytes that stay valid until {@link flush}; what is kept longer is copied. */
  write(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    const { counters } = this.endpoint;
    if (this.state === State.CLOSED) {
      counters.upstream.lost_bytes += length;
      return;
    }
    if (this.firstTimestampMs < 0) this.firstTimestampMs = timestampMs;
    if (this.directLength === 0 && this.queue.length === 0) {
      this.direct = bytes;
      this.directOffset = offset;
      this.directLength = length;
      this.endpoint.markDirty(this);
      return;
    }
    this.keepDirect();
    this.keep(bytes, offset, length);
    this.endpoint.markDirty(this);
  }

  /** No more bytes come: half-close once all is written, then wait up to `lingerMs` without an answer. */
  finish(lingerMs: number): void {
    if (this.state === State.CLOSED) return;
    this.finishing = true;
    this.mayEnd = true;
    this.lingerMs = lingerMs;
    this.endpoint.markDirty(this);
  }

  /** What the kernel has not taken yet is not wanted any more. Returns how many bytes that were. */
  discard(): number {
    const unsentBytes = this.backlogBytes;
    this.endpoint.counters.upstream.lost_bytes += unsentBytes;
    this.direct = NOTHING;
    this.directLength = 0;
    this.queue.clear();
    this.blocked = false;
    this.endpoint.blocked.delete(this);
    return unsentBytes;
  }

  /** The batch is over: offers its bytes to the kernel, and copies what must wait. */
  flush(nowMs: number): void {
    this.isDirty = false;
    if (this.state === State.OPEN && !this.blocked) this.offer(nowMs);
    this.keepDirect();
  }

  /** Time has come for another try. */
  retry(nowMs: number): void {
    if (this.state === State.OPEN && this.blocked && nowMs >= this.retryAtMs) this.offer(nowMs);
  }

  /** Gives the connection up if the endpoint has not ended it in time. */
  expireLinger(nowMs: number): void {
    if (!this.shutDown || this.state !== State.OPEN || nowMs < this.lingerUntilMs) return;
    this.endpoint.counters.upstream.closed++;
    this.close("closed");
  }

  /** Ends the connection at once; the endpoint sees a reset, as it must where bytes are lost. */
  giveUp(why: string): void {
    if (this.state === State.CLOSED) return;
    const { counters, report } = this.endpoint;
    if (this.state === State.CONNECTING) counters.upstream.connect_errors++;
    else counters.upstream.given_up++;
    report.givenUp(why, this.backlogBytes);
    this.close("given_up");
  }

  /** It could not be connected: its bytes are lost. */
  abandon(): void {
    if (this.state !== State.CLOSED) this.close("unconnected");
  }

  /** Nobody wants to know any more. */
  detach(): void {
    this.listener = null;
  }

  opened(socket: UpstreamSocket): void {
    this.socket = socket;
    this.state = State.OPEN;
    this.listener?.opened();
    this.flush(this.endpoint.now());
  }

  failed(): void {
    this.abandon();
  }

  writable(): void {
    if (this.state === State.OPEN && this.blocked) this.offer(this.endpoint.now());
  }

  received(bytes: Uint8Array): void {
    this.endpoint.counters.upstream.response_bytes += bytes.length;
    if (this.shutDown) this.lingerUntilMs = this.endpoint.now() + this.lingerMs;
    this.listener?.received(bytes);
  }

  ended(): void {
    this.listener?.ended();
  }

  closed(error: Error | undefined): void {
    if (this.state === State.CLOSED) return;
    const { counters, report } = this.endpoint;
    const how = error === undefined ? "closed" : "reset";
    if (this.mayEnd && error === undefined && this.backlogBytes === 0) {
      counters.upstream.closed++;
    } else {
      counters.upstream.broken++;
      report.broken(how, this.backlogBytes);
    }
    this.socket = null;
    this.close(how);
  }

  private offer(nowMs: number): void {
    const { counters } = this.endpoint;
    let left = this.backlogBytes;
    if (left > 0) {
      const written =
        this.directLength > 0
          ? this.socket!.write(this.direct, this.directOffset, this.directLength)
          : this.socket!.write(this.queue.bytes, this.queue.offset, this.queue.length);
      // Closed: `closed` says so in a moment, and counts what is lost.
      if (written < 0) return;
      this.consume(written);
      counters.upstream.bytes += written;
      left -= written;
      if (!this.noteProgress(written, left, nowMs)) return;
    }
    if (left === 0 && this.finishing && !this.shutDown) {
      this.shutDown = true;
      this.lingerUntilMs = nowMs + this.lingerMs;
      this.endpoint.lingering.add(this);
      this.socket!.shutdown();
    }
  }

  /** Returns whether the connection goes on. */
  private noteProgress(written: number, left: number, nowMs: number): boolean {
    const { counters, options } = this.endpoint;
    if (written > 0) {
      this.blockedTries = 0;
      if (this.firstTimestampMs >= 0) {
        this.endpoint.countDelay(nowMs - this.firstTimestampMs);
        this.firstTimestampMs = -1;
      }
    }
    if (left === 0) {
      if (this.blocked) this.endpoint.blocked.delete(this);
      this.blocked = false;
      return true;
    }
    this.blocked = true;
    this.endpoint.blocked.add(this);
    if (written === 0) {
      counters.upstream.would_block++;
      if (this.blockedTries++ >= options.maxRetries) {
        this.giveUp(`it took nothing in ${this.blockedTries} tries`);
        return false;
      }
    }
    this.retryAtMs = nowMs + Math.min(RETRY_DELAY_FIRST_MS * 2 ** Math.max(this.blockedTries - 1, 0), RETRY_DELAY_MAX_MS);
    return true;
  }

  private consume(length: number): void {
    if (this.directLength > 0) {
      this.directOffset += length;
      this.directLength -= length;
    } else {
      this.queue.consume(length);
    }
  }

  /** Copies what the next batch would overwrite. */
  private keepDirect(): void {
    if (this.directLength === 0) return;
    const { direct, directOffset, directLength } = this;
    this.direct = NOTHING;
    this.directLength = 0;
    this.keep(direct, directOffset, directLength);
  }

  private keep(bytes: Uint8Array, offset: number, length: number): void {
    if (this.state === State.CLOSED) {
      this.endpoint.counters.upstream.lost_bytes += length;
      return;
    }
    this.queue.push(bytes, offset, length);
    // It may be this connection that is given up.
    this.endpoint.relieve();
  }

  private close(how: UpstreamEnd): void {
    const unsentBytes = this.discard();
    this.state = State.CLOSED;
    const socket = this.socket;
    this.socket = null;
    this.endpoint.forget(this);
    socket?.terminate();
    const listener = this.listener;
    this.listener = null;
    listener?.closed(how, unsentBytes);
  }
}
