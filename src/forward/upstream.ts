/**
 * One connection to a destination: takes bytes, offers them to the kernel in one write a batch, keeps those that were
 * not taken, and ends without losing any.
 */
import { Cost } from "../memory/budget.ts";
import { type Deadlines, Timer, type TimerOwner } from "../memory/deadlines.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { ForwardCounters } from "./counters.ts";
import type { DestinationOptions, DestinationReport } from "./destination-options.ts";
import type { Witness } from "./exchange.ts";
import type { HeldMemory } from "./held-memory.ts";
import type { SocketEvents, UpstreamSocket } from "./socket.ts";
import type { Tls } from "./tls.ts";

/** How long after a write without progress the next is tried; each further time it is twice as long. */
export const RETRY_DELAY_FIRST_MS = 10;
/** The longest time between two tries. */
export const RETRY_DELAY_MAX_MS = 1000;

/** How long a connection that is no longer needed waits for the destination to end it. */
export const LINGER_MS = 1000;
/** The time of bytes that belong to no request: the bytes behind them have their own. */
export const NO_TIMESTAMP = -1;

/** How a connection has ended; `other_protocol`: the destination does not speak the protocol that is needed. */
export type UpstreamEnd = "unconnected" | "other_protocol" | "closed" | "reset" | "given_up";

/** Gets the events of a connection. `closed` is the last one. */
export interface UpstreamListener {
  opened(): void;
  received(bytes: Uint8Array): void;
  /**
   * The kernel has taken all written bytes; reported only if it did not take them at once, or if {@link
   * Upstream.tellsDrained} asks for it.
   */
  drained(): void;
  /** The destination sends no more. */
  ended(): void;
  /** The connection is closed. `unsentBytes`: how many of the last written bytes the kernel never took. */
  closed(how: UpstreamEnd, unsentBytes: number): void;
  /** The witness of the request that was written last; see {@link SocketEvents.witness}. */
  readonly witness?: Witness | null;
}

const State = { CONNECTING: 0, OPEN: 1, CLOSED: 2 } as const;

const NOTHING = new Uint8Array(0);

/** The destination, as its connections know it. */
export interface UpstreamHost {
  readonly options: DestinationOptions;
  readonly counters: ForwardCounters;
  readonly memory: HeldMemory;
  readonly report: DestinationReport;
  readonly deadlines: Deadlines;
  /** The time of the last tick, or when the last batch began. */
  readonly tickedMs: number;
  /** When the destination last did something. */
  progressMs: number;
  /** Connections with bytes that wait for the kernel. */
  readonly blocked: Set<Upstream>;
  /**
   * Open connections that wait for silence to send their FIN; connections that are still being made are not among them.
   */
  readonly finishing: Set<Upstream>;
  /** Connections that are half-closed and wait for the destination's end. */
  readonly lingering: Set<Upstream>;
  readonly now: () => number;
  /** The connection has something to do when the batch is over. */
  markDirty(upstream: Upstream): void;
  connectTimedOut(upstream: Upstream): void;
  /** The destination does not speak the protocol of connections with this TLS; null: HTTP/2 in clear text. */
  declined(why: string, tls: Tls | null): void;
  /** Counts the time from a capture to the first write of its bytes. */
  countDelay(delayMs: number): void;
  /** Gives up the connections that hold most, if memory is exhausted. */
  relieve(): void;
  /** The connection is closed. */
  forget(upstream: Upstream): void;
}

/** One connection to a destination, from its making to its close. */
export class Upstream implements Omit<SocketEvents, "failed">, TimerOwner {
  private state: number = State.CONNECTING;
  private socket: UpstreamSocket | null = null;
  /**
   * The bytes that were written last, as long as no others wait and they lie in one piece: they are offered without a
   * copy.
   */
  private direct: Uint8Array = NOTHING;
  private directOffset = 0;
  private directLength = 0;
  /** The bytes of `direct` stay valid until they are taken or dropped, and not only until the end of the batch. */
  private isDirectStable = false;
  private readonly queue: ByteQueue;
  /** When the first bytes of the next write were captured; NO_TIMESTAMP: there are none, or the time is unknown. */
  private firstTimestampMs = NO_TIMESTAMP;
  /** It is in the destination's list of connections with something to do in this batch. */
  isDirty = false;

  /** It was refused, and is tried again from this time on; 0: it was not. */
  triedFromMs = 0;
  /** When the kernel last took all written bytes; -1: never. */
  writtenMs = -1;
  /** Part of the last write was not taken: the rest waits for {@link writable} or for the timer. */
  private blocked = false;
  /** How many writes in a row the kernel took nothing of. */
  private blockedTries = 0;

  /** No more bytes come; the FIN follows those that wait. */
  private finishing = false;
  private shutDown = false;
  private peerEnded = false;
  /** Bytes were written or received on it. */
  private hasCarried = false;
  private hasReceived = false;
  /** The listener learns when all was taken, even if that is at once. */
  tellsDrained = false;
  private isDetached = false;
  /** The destination may close now, by its keep-alive limits, without a loss. */
  mayEnd = false;
  /** The FIN waits until no byte was written or received for this long. */
  private finDelayMs = 0;
  /** Behind the FIN, the wait for the destination's end is over when the destination has been silent for this long. */
  private lingerMs = 0;
  /** When bytes were last written or received; exact to a tick. */
  private activeMs: number;
  /** The time limit of its state: connecting, blocked, waiting to send the FIN, or waiting for the end. */
  private readonly timer = new Timer(this);

  constructor(
    private readonly destination: UpstreamHost,
    private listener: UpstreamListener | null,
    /** Null: plain TCP. */
    readonly tls: Tls | null,
  ) {
    this.queue = new ByteQueue(destination.memory);
    this.activeMs = destination.tickedMs;
    destination.memory.take(Cost.UPSTREAM);
    destination.deadlines.set(this.timer, destination.tickedMs + destination.options.connectTimeoutMs);
  }

  /** Bytes that wait for the kernel to take them. */
  get backlogBytes(): number {
    return this.queue.length + this.directLength;
  }

  /** When the first of the next offered bytes was captured; -1: not known. */
  get capturedMs(): number {
    return this.firstTimestampMs;
  }

  get witness(): Witness | null {
    return this.listener?.witness ?? null;
  }

  get isClosed(): boolean {
    return this.state === State.CLOSED;
  }

  get isOpen(): boolean {
    return this.state === State.OPEN;
  }

  /**
   * Takes bytes that stay valid until {@link flush}; bytes that are kept longer are copied. `isStable`: they stay valid
   * until the connection has no backlog, or is closed or discarded, and need no copy. `timestampMs`: when they were
   * captured, or {@link NO_TIMESTAMP}.
   */
  write(bytes: Uint8Array, offset: number, length: number, timestampMs: number, isStable = false): void {
    if (this.state === State.CLOSED) {
      this.destination.counters.upstream.lost_bytes += length;
      return;
    }
    if (this.firstTimestampMs < 0) this.firstTimestampMs = timestampMs;
    this.destination.markDirty(this);
    if (this.directLength === 0 && this.queue.length === 0) {
      this.direct = bytes;
      this.directOffset = offset;
      this.directLength = length;
      this.isDirectStable = isStable;
      return;
    }
    this.keepDirect();
    this.keep(bytes, offset, length);
  }

  /** Takes over all bytes of a queue in the same memory. */
  writeQueue(queue: ByteQueue, timestampMs: number): void {
    if (this.state === State.CLOSED) {
      this.destination.counters.upstream.lost_bytes += queue.length;
      queue.clear();
      return;
    }
    if (this.firstTimestampMs < 0) this.firstTimestampMs = timestampMs;
    this.keepDirect();
    this.queue.takeAll(queue);
    this.destination.markDirty(this);
  }

  /**
   * No more bytes come. Half-closes once all is written and no byte was written or received for `finDelayMs`, or the
   * destination has ended; then waits until it ends, or has been silent for `lingerMs`.
   */
  finish(lingerMs: number, finDelayMs: number): void {
    if (this.state === State.CLOSED || this.finishing) return;
    this.finishing = true;
    this.mayEnd = true;
    this.lingerMs = lingerMs;
    this.finDelayMs = finDelayMs;
    if (this.state === State.OPEN) this.destination.finishing.add(this);
    this.destination.markDirty(this);
  }

  /** Discards the bytes that the kernel has not taken yet. Returns how many they were. */
  discard(): number {
    const unsentBytes = this.backlogBytes;
    this.destination.counters.upstream.lost_bytes += unsentBytes;
    this.direct = NOTHING;
    this.directLength = 0;
    this.queue.clear();
    this.unblock();
    return unsentBytes;
  }

  /** The batch is over: offers its bytes to the kernel, and copies those that must wait. */
  flush(nowMs: number): void {
    this.isDirty = false;
    if (this.state === State.OPEN && !this.blocked) this.offer(nowMs);
    if (!this.isDirectStable) this.keepDirect();
  }

  /** A time limit is reached (Deadlines). */
  expire(nowMs: number): void {
    if (this.state === State.CONNECTING) this.destination.connectTimedOut(this);
    else if (this.state !== State.OPEN) return;
    else if (this.blocked || (this.finishing && !this.shutDown)) this.offer(nowMs);
    else if (this.shutDown) this.expireLinger(nowMs);
  }

  /** Ends the connection at once. The destination sees a reset, because bytes are lost. */
  giveUp(why: string, how: "given_up" | "other_protocol" = "given_up"): void {
    if (this.state === State.CLOSED) return;
    const { counters, report } = this.destination;
    if (this.state === State.CONNECTING) counters.upstream.connect_errors++;
    else counters.upstream.given_up++;
    if (how === "other_protocol") this.destination.declined(why, this.tls);
    else report.givenUp(why, this.backlogBytes);
    this.close(how);
  }

  /** The connection could not be made: its bytes are lost. */
  abandon(): void {
    if (this.state !== State.CLOSED) this.close("unconnected");
  }

  /** The destination has ended the connection before its first use: no more events are awaited. */
  breakOff(): void {
    const { socket } = this;
    this.closed(undefined);
    socket?.terminate();
  }

  /** Removes the listener. */
  detach(): void {
    this.listener = null;
    this.isDetached = true;
  }

  opened(socket: UpstreamSocket): void {
    this.socket = socket;
    this.state = State.OPEN;
    this.destination.deadlines.clear(this.timer);
    if (this.finishing) this.destination.finishing.add(this);
    this.listener?.opened();
    this.flush(this.destination.now());
  }

  writable(): void {
    if (this.state === State.OPEN && this.blocked) this.offer(this.destination.now());
  }

  received(bytes: Uint8Array): void {
    const { destination } = this;
    destination.counters.upstream.response_bytes += bytes.length;
    // The program does not wait for a destination without a listener, even if it goes on sending.
    if (!this.isDetached) this.activeMs = destination.tickedMs;
    this.hasCarried = true;
    this.hasReceived = true;
    destination.progressMs = destination.tickedMs;
    this.listener?.received(bytes);
  }

  ended(): void {
    this.peerEnded = true;
    this.listener?.ended();
    if (this.finishing && !this.shutDown && this.state === State.OPEN) this.destination.markDirty(this);
  }

  closed(error: Error | undefined): void {
    if (this.state === State.CLOSED) return;
    const { counters, report } = this.destination;
    const how = error === undefined ? "closed" : "reset";
    if (this.mayEnd && error === undefined && this.backlogBytes === 0) {
      counters.upstream.closed++;
    } else {
      counters.upstream.broken++;
      report.broken(how, this.backlogBytes, !this.hasReceived);
    }
    this.socket = null;
    this.close(how);
  }

  private offer(nowMs: number): void {
    const { counters } = this.destination;
    const tells = this.blocked || this.tellsDrained;
    let left = this.backlogBytes;
    while (left > 0) {
      const offered = this.directLength > 0 ? this.directLength : this.queue.firstLength;
      const written =
        this.directLength > 0
          ? this.socket!.write(this.direct, this.directOffset, offered)
          : this.socket!.write(this.queue.bytes, this.queue.offset, offered);
      // The socket is closed: `closed` follows in a moment, and counts the lost bytes.
      if (written < 0) return;
      this.consume(written);
      counters.upstream.bytes += written;
      left -= written;
      if (!this.noteProgress(written, left, nowMs)) return;
      if (written < offered) return;
    }
    if (this.finishing && !this.shutDown) this.shutDownWhenSilent(nowMs);
    if (!tells) return;
    this.tellsDrained = false;
    this.listener?.drained();
  }

  /**
   * Notes how much of a write was taken. Returns whether the connection goes on.
   */
  private noteProgress(written: number, left: number, nowMs: number): boolean {
    const { destination } = this;
    if (written > 0) {
      this.blockedTries = 0;
      this.activeMs = nowMs;
      this.hasCarried = true;
      if (this.blocked) destination.progressMs = nowMs;
      if (this.firstTimestampMs >= 0) {
        destination.countDelay(nowMs - this.firstTimestampMs);
        this.firstTimestampMs = NO_TIMESTAMP;
      }
    }
    if (left === 0) {
      this.writtenMs = nowMs;
      this.unblock();
      return true;
    }
    this.blocked = true;
    destination.blocked.add(this);
    if (written === 0) {
      destination.counters.upstream.would_block++;
      if (this.blockedTries++ >= destination.options.maxRetries) {
        this.giveUp(`the kernel took no byte in ${this.blockedTries} tries`);
        return false;
      }
    }
    const delayMs = Math.min(RETRY_DELAY_FIRST_MS * 2 ** Math.max(this.blockedTries - 1, 0), RETRY_DELAY_MAX_MS);
    destination.deadlines.set(this.timer, nowMs + delayMs);
    return true;
  }

  private unblock(): void {
    if (!this.blocked) return;
    this.blocked = false;
    this.destination.blocked.delete(this);
    this.destination.deadlines.clear(this.timer);
  }

  /** Sends the FIN if no byte was written or received for long enough; else waits on. */
  private shutDownWhenSilent(nowMs: number): void {
    const { deadlines, lingering, finishing } = this.destination;
    const dueMs = this.activeMs + this.finDelayMs;
    // If nothing was sent, no response can come.
    if (!this.peerEnded && this.hasCarried && nowMs < dueMs) {
      deadlines.set(this.timer, dueMs);
      return;
    }
    this.shutDown = true;
    this.activeMs = nowMs;
    finishing.delete(this);
    lingering.add(this);
    deadlines.set(this.timer, nowMs + this.lingerMs);
    this.socket!.shutdown();
  }

  private expireLinger(nowMs: number): void {
    const dueMs = this.activeMs + this.lingerMs;
    if (nowMs < dueMs) this.destination.deadlines.set(this.timer, dueMs);
    else this.endWait();
  }

  /** All was written: the wait for the destination's end is over. */
  endWait(): void {
    if (this.state !== State.OPEN || this.backlogBytes > 0) return;
    this.destination.counters.upstream.closed++;
    this.close("closed");
  }

  private consume(length: number): void {
    if (this.directLength > 0) {
      this.directOffset += length;
      this.directLength -= length;
    } else if (length > 0) {
      this.queue.consume(length);
    }
  }

  /** Copies bytes that the next batch would overwrite. */
  private keepDirect(): void {
    if (this.directLength === 0) return;
    const { direct, directOffset, directLength } = this;
    this.direct = NOTHING;
    this.directLength = 0;
    this.keep(direct, directOffset, directLength);
  }

  private keep(bytes: Uint8Array, offset: number, length: number): void {
    if (this.state === State.CLOSED) {
      this.destination.counters.upstream.lost_bytes += length;
      return;
    }
    this.queue.push(bytes, offset, length);
    // The connection that is given up may be this one.
    this.destination.relieve();
  }

  private close(how: UpstreamEnd): void {
    const unsentBytes = this.discard();
    this.state = State.CLOSED;
    const { socket, destination } = this;
    this.socket = null;
    destination.deadlines.remove(this.timer);
    destination.memory.giveBack(Cost.UPSTREAM);
    destination.forget(this);
    socket?.terminate();
    const listener = this.listener;
    this.listener = null;
    listener?.closed(how, unsentBytes);
  }
}
