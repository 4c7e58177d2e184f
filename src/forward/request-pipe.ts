/**
 * One client connection's requests on their way to a destination: each is sent when its turn comes, on a connection
 * that is opened again when the destination closes it, and followed to the end of its response.
 *
 *     state    what is done                                    goes on as
 *     SENDING  requests are sent one after the other           LIMBO    the destination accepts an offer of
 *                                                                       another protocol
 *                                                              BARE     the client speaks another protocol
 *                                                                       from its start
 *     LIMBO    nothing: production's response is not known yet BARE     production accepted as well
 *                                                              SENDING  production declined: this connection
 *                                                                       is ended
 *     BARE     bytes pass as they are                          GONE     the connection is over
 *     GONE     later bytes are discarded, and counted
 */
import { SWITCHING_PROTOCOLS } from "../http/status-line.ts";
import type { TimerOwner } from "../memory/deadlines.ts";
import type { ByteQueue } from "./byte-queue.ts";
import type { RequestDrop } from "./counters.ts";
import { HttpConnection, type ConnectionOwner } from "./http-connection.ts";
import { type Loss, takeLost, RESENDS_MAX } from "./lost-requests.ts";
import { Pipe } from "./pipe.ts";
import type { PipeHost } from "./pipe-host.ts";
import { PipeLoad } from "./pipe-load.ts";
import { PipeTimer } from "./pipe-timer.ts";
import { countNotForwarded, countResponded, countStatus, countUnanswered, dropReasonOf } from "./request-outcome.ts";
import type { Request } from "./request.ts";
import { RequestQueue } from "./request-queue.ts";
import { NO_TIMESTAMP, type UpstreamEnd } from "./upstream.ts";

const REQUEST_TIMEOUT = 408;

const State = { SENDING: 0, LIMBO: 1, BARE: 2, GONE: 3 } as const;

/** Hears the outcomes of requests that concern more than the pipe. */
export interface PipeOwner {
  /**
   * The destination has accepted the offer of another protocol: the owner says whether production did ({@link
   * RequestPipe.goBare}).
   */
  upgradeAccepted(): void;
  /** A request that offered another protocol got a response that declines it, or none. */
  upgradeDeclined(): void;
  /** The request that is being streamed cannot be finished. */
  streamLost(reason: RequestDrop): void;
  /**
   * Its last request has come to its end, and none is being streamed; or the connection of another protocol is over.
   */
  idle(): void;
}

/** One client connection's requests of HTTP/1, on their way to one destination. */
export class RequestPipe extends Pipe implements ConnectionOwner, TimerOwner {
  /** Bytes that go first on each connection: a PROXY protocol header; null: none. */
  preface: Uint8Array | null = null;
  private state: number = State.SENDING;
  private readonly queue = new RequestQueue();
  /** The last one in flight, while its bytes still come. */
  private streaming: Request | null = null;
  private connection: HttpConnection | null = null;
  private readonly timer: PipeTimer;
  private readonly load: PipeLoad;
  /** The owner must still hear that an offer was declined; the call may change any state of this pipe. */
  private owesDecline = false;
  /** Behind the last offer, production goes on in HTTP/2, which another pipe carries. */
  private goesOnInHttp2 = false;

  constructor(
    mode: PipeHost,
    public owner: PipeOwner,
  ) {
    super(mode, mode.destination.http1);
    this.timer = new PipeTimer(mode, this);
    this.load = new PipeLoad(mode, this);
  }

  /** Whole requests that wait for their turn. */
  get waiting(): number {
    return this.queue.waiting;
  }

  /** The bytes that the waiting requests hold. */
  get waitingBytes(): number {
    return this.queue.waitingBytes;
  }

  get awaitedSinceMs(): number {
    return this.timer.movedMs;
  }

  /** Whether it has no request, and no connection that carries another protocol. */
  get isIdle(): boolean {
    return this.queue.length === 0 && this.state === State.SENDING;
  }

  /** Whether the connection that carried another protocol, or would have, is over. */
  get isGone(): boolean {
    return this.state === State.GONE;
  }

  get hasConnection(): boolean {
    return this.connection !== null;
  }

  giveWay(count = this.waiting - (this.queue.inFlight > 0 ? 0 : 1)): void {
    if (this.waiting === 0) {
      this.hasGivenWay = true;
      this.connection?.giveUp(
        "the buffers are full (--max-buffer-mib), and this connection had waited longest for a response",
      );
      return;
    }
    this.dropLast(count, "buffer_limit");
    this.note();
    if (this.waiting === 0 || this.owesDecline) this.mode.pumpSoon(this);
  }

  // Requests.

  /** Takes a whole request. It is sent when its turn comes. */
  commit(request: Request): void {
    this.queue.push(request);
    // The connection does not change by it.
    this.noteLoad();
  }

  /** Whether the request under way may be streamed: no request is before it, and a connection can be had. */
  get mayStream(): boolean {
    return this.isIdle && !this.mode.destination.terminated;
  }

  /** Sends a request as it comes, beginning with its held bytes. */
  startStream(request: Request): void {
    request.isStreamed = true;
    // Bytes that wait to be written belong to the connection, and are not held twice.
    this.mode.requests.makeLong(request);
    // A streamed request cannot be sent again: it does not follow another where it might be lost by that.
    if (this.reuseFromMs(request) > this.mode.destination.now()) this.leave();
    const connection = this.connected();
    request.tries++;
    this.queue.push(request);
    this.queue.sent();
    this.streaming = request;
    this.noteWanted(request, connection);
    connection.send(request, false);
    this.note();
  }

  streamBytes(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.connection!.upstream.write(bytes, offset, length, timestampMs);
  }

  /** The streamed request is whole. `isIsolated`: servers disagree about its end, and only the end has shown that. */
  endStream(isIsolated: boolean): void {
    const request = this.streaming!;
    this.streaming = null;
    if (isIsolated) this.connection!.isIsolated = true;
    this.connection!.sentAll();
    if (request.isResponded) this.finishWhenTaken();
    this.note();
  }

  /** The streamed request is damaged: in HTTP/1, a reset of the connection shows that. */
  abortStream(): void {
    this.streaming = null;
    this.mode.requests.giveBack(this.queue.shift());
    const { connection } = this;
    this.connection = null;
    connection?.leave(true);
    connection?.giveUp("a request is damaged that was being sent");
    this.note();
  }

  // Another protocol.

  /** From here on bytes pass as they are. */
  goBare(): void {
    const isFirst = this.state === State.SENDING;
    if (this.state === State.GONE) return;
    this.state = State.BARE;
    // HTTP/2 is the only protocol that clients speak from the start (--http2 pass).
    if (isFirst) this.connection ??= this.open(this.mode.destination.options.http2Tls);
    this.connection!.goBare();
  }

  /**
   * Production has declined the last offer: if the destination accepts it, or has, requests go on another connection.
   */
  declineOffer(goesOnInHttp2 = false): void {
    this.owesDecline = false;
    this.goesOnInHttp2 = goesOnInHttp2;
    const last = this.queue.length > 0 ? this.queue.at(this.queue.length - 1) : null;
    if (last?.wantsUpgrade === true) last.isDeclined = true;
    if (this.state === State.SENDING) return;
    this.leaveUpgraded();
    this.state = State.SENDING;
    this.note();
  }

  passOn(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    if (this.connection === null) this.countGone(length);
    else this.connection.upstream.write(bytes, offset, length, timestampMs);
  }

  /** Passes on all bytes of a queue in the destination's memory. */
  passOnQueue(queue: ByteQueue, timestampMs: number): void {
    if (this.connection !== null) {
      this.connection.upstream.writeQueue(queue, timestampMs);
      return;
    }
    this.countGone(queue.length);
    queue.clear();
  }

  /**
   * Counts bytes behind the end of the connection of another protocol. When all destinations' connections are over, the
   * conversation counts such bytes itself, as discarded ones of the endpoint: so a further destination whose connection
   * goes on has no effect on the endpoint's counters.
   */
  private countGone(length: number): void {
    this.mode.destination.counters.foreign.discarded_bytes += length;
  }

  /** A gap in another protocol's stream: bytes behind it cannot be understood. */
  abortBare(): void {
    this.connection?.giveUp("a stream of another protocol has a gap");
  }

  // Sending.

  /** Sends the requests that are due. */
  pump(): void {
    do {
      if (this.owesDecline) {
        this.owesDecline = false;
        this.owner.upgradeDeclined();
      }
      this.pumpRequests();
    } while (this.owesDecline);
    this.note();
  }

  private pumpRequests(): void {
    const { options } = this.mode;
    if (this.state !== State.SENDING) {
      if (this.ending) this.connection?.upstream.finish(options.responseTimeoutMs, options.finDelayMs);
      return;
    }
    const { refusal } = this;
    if (refusal !== null) this.dropWaiting(refusal);
    while (this.queue.waiting > 0 && this.mayPump) {
      const request = this.queue.at(this.queue.inFlight);
      if (this.mustWait(request)) return;
      const connection = this.connected();
      if (!connection.isOpen) return;
      this.send(request, connection);
      // The buffers were full, and this connection was given up: that was handled already.
      if (this.connection !== connection) return;
    }
    if (this.ending && this.queue.length === 0) this.retire();
  }

  /** Whether one more request may be in flight. */
  private get mayPump(): boolean {
    const { inFlight } = this.queue;
    if (inFlight === 0) return true;
    if (inFlight >= this.mode.options.pipelineDepth || this.streaming !== null) return false;
    const last = this.queue.at(inFlight - 1);
    const next = this.queue.at(inFlight);
    const mayBeFollowed = !last.wantsUpgrade && !last.isIsolated && !last.isStreamed && last.minorVersion > 0;
    return mayBeFollowed && !next.isIsolated && next.long === null;
  }

  /** The time from which on a request may follow others on the current connection; Infinity: it needs another. */
  private reuseFromMs(request: Request): number {
    const { connection } = this;
    const { destination } = this.mode;
    if (connection === null || this.queue.inFlight > 0 || connection.requests === 0) return destination.tickedMs;
    if (request.isIsolated || connection.isIsolated) return Infinity;
    const mayRepeat = request.isIdempotent && !request.isStreamed && request.long === null;
    return destination.keepAlive.reuseFromMs(connection, mayRepeat, destination.tickedMs);
  }

  /**
   * Whether a request waits to see whether the current connection stays open. If the request needs another connection,
   * the current one is ended.
   */
  private mustWait(request: Request): boolean {
    const dueMs = this.reuseFromMs(request);
    if (dueMs === Infinity) this.leave();
    if (dueMs === Infinity || dueMs <= this.mode.destination.tickedMs || dueMs <= this.mode.destination.now())
      return false;
    // The timer is not for a response any more.
    this.note();
    this.timer.awaitQuiet(dueMs);
    return true;
  }

  /** The current connection, or a new one. */
  private connected(): HttpConnection {
    this.connection ??= this.open();
    return this.connection;
  }

  private open(tls = this.mode.destination.options.tls): HttpConnection {
    const { preface, mode } = this;
    const { destination } = mode;
    this.spoken.tried();
    const connection = new HttpConnection(destination, this, mode.comparison?.newRecorder() ?? null, tls);
    if (preface !== null) connection.upstream.write(preface, 0, preface.length, NO_TIMESTAMP, true);
    return connection;
  }

  private send(request: Request, connection: HttpConnection): void {
    if (request.long !== null) request.isStreamed = true;
    request.tries++;
    this.queue.sent();
    this.noteWanted(request, connection);
    connection.send(request);
  }

  /** If several requests are in flight, all responses are kept; unwanted ones are released when they are complete. */
  private noteWanted(request: Request, { recorder }: HttpConnection): void {
    if (recorder !== null) recorder.isWanted = request.exchange !== null || this.queue.inFlight > 1;
  }

  /** A time limit is reached (Deadlines). */
  expire(nowMs: number): void {
    if (!this.timer.isAwaiting) {
      this.pump();
      return;
    }
    const { connection } = this;
    if (connection === null) return;
    const why = this.timer.overdue(nowMs, connection.upstream.backlogBytes > 0);
    if (why !== null) connection.giveUp(why);
  }

  // Events of the connection (ConnectionOwner).

  opened(): void {
    if (this.state === State.SENDING) this.spoken.heard();
    this.pump();
  }

  received(): void {
    this.timer.moved();
    this.mode.pumpSoon(this);
  }

  drained(): void {
    // From here on the time is the destination's.
    this.timer.moved();
    if (this.queue.inFlight > 0 && this.queue.at(0).isResponded && this.streaming === null) this.finishResponded();
    this.note();
    this.mode.pumpSoon(this);
  }

  interim(code: number): void {
    if (code !== SWITCHING_PROTOCOLS) this.mode.destination.counters.responses["1xx"]++;
  }

  responded(code: number, persistent: boolean): void {
    // A destination that responds to a request has read all of the one before it.
    if (this.queue.at(0).isResponded) this.finishResponded();
    const request = this.queue.at(0);
    // RFC 9110, section 15.5.9: the destination's time for an idle connection was over when the request came.
    const wasIdle = code === REQUEST_TIMEOUT && !persistent && this.connection!.responded > 1;
    if (wasIdle && !request.isStreamed && request.tries <= RESENDS_MAX) {
      this.connection!.isBegun = false;
      this.over("closed", this.leaveUnresponded(), true);
      return;
    }
    countStatus(this.mode.destination.counters, code);
    request.exchange?.responded(this.connection!.recorder!, code);
    request.isResponded = true;
    this.hasGivenWay = false;
    this.timer.restart();
    if (this.streaming !== request) this.finishWhenTaken();
    if (!persistent) this.over("closed", this.leaveUnresponded());
    // The next request is sent in a moment (received): the changes are noted with it.
    else this.connection!.upstream.mayEnd = this.queue.inFlight === 0;
  }

  upgraded(code: number): void {
    if (this.queue.at(0).isResponded) this.finishResponded();
    const request = this.queue.at(0);
    // The protocol does not change in the middle of a request (RFC 9110, section 7.8).
    if (!request.wantsUpgrade || this.streaming === request || !this.hasTakenFirst) {
      this.connection!.malformed();
      return;
    }
    countStatus(this.mode.destination.counters, code);
    request.exchange?.responded(this.connection!.recorder!, code);
    this.finishResponded();
    if (request.isDeclined) {
      // For the client it was one response of many, but this connection cannot carry another.
      this.leaveUpgraded();
      this.mode.pumpSoon(this);
    } else {
      this.owesDecline = false;
      this.state = State.LIMBO;
      this.owner.upgradeAccepted();
    }
    this.note();
  }

  over(how: UpstreamEnd, unsentBytes: number, wasIdle = false): void {
    const reason = dropReasonOf(how);
    const firstFailed = how === "given_up" || how === "other_protocol" || (this.connection?.isBegun ?? false);
    this.connection = null;
    if (this.state !== State.SENDING) {
      this.state = State.GONE;
      this.owner.idle();
    } else {
      if (reason !== "endpoint_closed") this.dropWaiting(reason);
      this.lose({ firstFailed, unsentBytes, wasIdle }, reason);
    }
    this.mode.pumpSoon(this);
    this.note();
  }

  /** Whether the kernel has taken all of the first request in flight: only later ones wait to be written. */
  private get hasTakenFirst(): boolean {
    let behind = 0;
    for (let i = 1; i < this.queue.inFlight; i++) behind += this.queue.at(i).length;
    return (this.connection?.upstream.backlogBytes ?? 0) <= behind;
  }

  /** The first request was responded to: it is forwarded when all of it has been taken. */
  private finishWhenTaken(): void {
    if (this.hasTakenFirst) this.finishResponded();
    else this.connection!.upstream.tellsDrained = true;
  }

  /** The first request is forwarded and responded to. */
  private finishResponded(): void {
    const request = this.queue.shift();
    countResponded(this.mode.destination.counters, request);
    this.giveBack(request);
  }

  /** The client has ended. */
  private retire(): void {
    this.leave();
    this.timer.remove();
  }

  /** The connection is not needed any more. */
  protected leave(): void {
    this.connection?.leave(false);
    this.connection = null;
  }

  /** The connection speaks another protocol, and is ended. */
  private leaveUpgraded(): void {
    if (this.goesOnInHttp2) {
      this.connection?.leaveForHttp2(this.mode.options.finDelayMs);
      this.connection = null;
    }
    this.leave();
  }

  /**
   * Ends a connection with requests in flight that must not arrive there whole: they go on another connection, or are
   * given up.
   */
  private leaveUnresponded(): number {
    return this.connection?.leave(this.queue.inFlight > 0) ?? 0;
  }

  /** The connection is gone: requests in flight wait again, or get no response. */
  private lose(loss: Loss, reason: RequestDrop): void {
    if (this.queue.inFlight === 0) return;
    for (const request of takeLost(this.queue, this.streaming, loss)) this.giveUp(request, reason);
  }

  /** A request that was sent gets no response. */
  private giveUp(request: Request, reason: RequestDrop): void {
    const { counters } = this.mode.destination;
    if (request === this.streaming) {
      // The request's end is not known yet: the owner counts it when it is.
      this.streaming = null;
      this.owner.streamLost(reason);
    } else if (!request.wasTaken) countNotForwarded(counters, request, reason);
    else if (request.isResponded) countResponded(counters, request);
    else countUnanswered(counters, request);
    this.giveBack(request);
  }

  /** Drops the requests that wait. */
  private dropWaiting(reason: RequestDrop): void {
    if (this.queue.waiting === 0) return;
    for (const request of this.queue.takeWaiting()) this.drop(request, reason);
  }

  /** Drops the last `count` of the requests that wait. */
  private dropLast(count: number, reason: RequestDrop): void {
    for (let left = count; left > 0; left--) this.drop(this.queue.takeLast(), reason);
    this.load.gaveWay(count);
  }

  /** A request that waited is not sent. */
  private drop(request: Request, reason: RequestDrop): void {
    const { counters } = this.mode.destination;
    if (request.wasTaken) countUnanswered(counters, request);
    else countNotForwarded(counters, request, reason);
    this.giveBack(request);
  }

  /** A request has come to its end. */
  private giveBack(request: Request): void {
    this.owesDecline ||= request.wantsUpgrade && !request.isDeclined;
    this.mode.requests.giveBack(request);
  }

  /** Keeps the load's counts, and the time limit, true. */
  private note(): void {
    const isOver = this.noteLoad();
    this.timer.note(this.isAwaiting);
    if (this.connection !== null) this.connection.upstream.mayEnd = this.queue.inFlight === 0;
    if (isOver) this.owner.idle();
  }

  /** Keeps the load's counts true. Returns whether the last request has come to its end. */
  private noteLoad(): boolean {
    return this.load.note(this.queue.length > 0, this.queue.waiting, this.isAwaiting);
  }

  /** Whether a response to a whole request is awaited. */
  private get isAwaiting(): boolean {
    return this.queue.inFlight > 0 && this.streaming === null;
  }
}
