/**
 * One client connection's requests on their way to a destination: each is sent when its turn comes, on a connection
 * that is opened again when the destination closes it, and followed to the end of its response.
 *
 *     state     what is done                                     goes on as
 *     SENDING   requests are sent one after the other            LIMBO  the destination accepts an offer of another protocol
 *                                                                BARE   the client speaks another protocol from its start
 *     LIMBO     nothing: what production said is not known yet   BARE   production accepted as well
 *                                                                SENDING production declined: that connection is left
 *     BARE      bytes pass as they are                           GONE   the connection is over
 *     GONE      what still comes is lost, and counted
 */
import { HTTP2_PREFACE } from "../http/foreign.ts";
import { FRAME_HEADER_LEN, FrameType, writeFrameHeader } from "../http/http2/frames.ts";
import type { AgeList } from "../memory/age-list.ts";
import { Timer, type TimerOwner } from "../memory/deadlines.ts";
import type { ByteQueue } from "./byte-queue.ts";
import type { RequestDrop } from "./counters.ts";
import type { ResponseComparison } from "./exchange.ts";
import { HttpConnection, type ConnectionOwner } from "./http-connection.ts";
import type { Destination } from "./destination.ts";
import type { HttpOptions } from "./http-options.ts";
import type { Load } from "./load.ts";
import type { Request, RequestPool } from "./request.ts";
import { RequestQueue } from "./request-queue.ts";
import type { UpstreamEnd } from "./upstream.ts";
import { Waiter } from "./waiter.ts";

/** How often a request is sent again because its connection ended before the response began. */
export const RESENDS_MAX = 3;

const REQUEST_TIMEOUT = 408;

/** HTTP/2's preface, and SETTINGS that say nothing. */
const HTTP2_START = new Uint8Array(HTTP2_PREFACE.length + FRAME_HEADER_LEN);
HTTP2_START.set(HTTP2_PREFACE);
writeFrameHeader(HTTP2_START, HTTP2_PREFACE.length, 0, FrameType.SETTINGS, 0, 0);

const State = { SENDING: 0, LIMBO: 1, BARE: 2, GONE: 3 } as const;

/** Told what became of the requests that concern more than the pipe. */
export interface PipeOwner {
  /**
   * The destination has accepted the offer of another protocol: the owner says whether production did ({@link
   * RequestPipe.goBare}).
   */
  upgradeAccepted(): void;
  /** The response to a request that offered another protocol was another, or none. */
  upgradeDeclined(): void;
  /** The request that is being streamed cannot be finished. */
  streamLost(reason: RequestDrop): void;
  /** Its last request has come to its end, and none is being streamed; or the connection of another protocol has. */
  idle(): void;
}

/** What all pipes share. */
export interface PipeHost {
  readonly destination: Destination;
  readonly options: HttpOptions;
  readonly requests: RequestPool;
  readonly load: Load;
  /** Null: responses are not compared. */
  readonly comparison: ResponseComparison | null;
  /** Pipes whose requests wait for their turn; since memory is tight. */
  readonly waiters: AgeList<Waiter>;
  readonly isTight: boolean;
  /** Sends the pipe's next requests when the responses that came with this one have been read. */
  pumpSoon(pipe: Waiter): void;
}

export class RequestPipe extends Waiter implements ConnectionOwner, TimerOwner {
  /** What goes first on each connection: a PROXY protocol header. */
  preface: Uint8Array | null = null;
  private state: number = State.SENDING;
  private readonly queue = new RequestQueue();
  /** The last one in flight, while its bytes still come. */
  private streaming: Request | null = null;
  private connection: HttpConnection | null = null;
  private ending = false;
  /** For a response; or for a connection to be quiet. */
  private readonly timer = new Timer(this);
  private awaitedSinceMs = 0;
  // What it has counted in the load.
  private isBusy = false;
  private countedWaiting = 0;
  private isAwaiting = false;
  /** The owner is to be told that an offer was declined: what then comes of it may change anything here. */
  private owesDecline = false;
  /** Behind the last offer, production goes on in HTTP/2: not here. */
  private goesOnInHttp2 = false;

  constructor(
    private readonly mode: PipeHost,
    private readonly owner: PipeOwner,
  ) {
    super();
  }

  /** Whole requests that wait for their turn. */
  get waiting(): number {
    return this.queue.waiting;
  }

  /** It has no request, and no connection that carries another protocol. */
  get isIdle(): boolean {
    return this.queue.length === 0 && this.state === State.SENDING;
  }

  /** The connection that carried another protocol, or would have, is over. */
  get isGone(): boolean {
    return this.state === State.GONE;
  }

  /** Its requests give way to others: those that wait are dropped. */
  giveWay(): void {
    this.dropWaiting("buffer_limit");
    this.note();
    this.mode.pumpSoon(this);
  }

  // Requests.

  /** A request is whole: it is sent when its turn comes. */
  commit(request: Request): void {
    this.queue.push(request);
    this.note();
  }

  /** Whether the request under way may be streamed: nothing is before it, and a connection can be had. */
  get mayStream(): boolean {
    return this.isIdle && !this.mode.destination.terminated;
  }

  /** Sends a request as it comes, beginning with what is held of it. */
  startStream(request: Request): void {
    request.isStreamed = true;
    // What waits to be written is its connection's, and not held twice.
    this.mode.requests.makeLong(request);
    // It cannot be sent again: it does not follow another where that might cost it.
    if (this.reuseFromMs(request) > this.mode.destination.now()) this.leave();
    const connection = this.connected();
    request.tries++;
    this.queue.push(request);
    this.queue.inFlight = 1;
    this.streaming = request;
    this.noteWanted(request, connection);
    connection.send(request, false);
    this.note();
  }

  streamBytes(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.connection!.upstream.write(bytes, offset, length, timestampMs);
  }

  /** The streamed request is whole. `isIsolated`: only its end has shown that servers disagree about it. */
  endStream(isIsolated: boolean): void {
    const request = this.streaming!;
    this.streaming = null;
    if (isIsolated) this.connection!.isIsolated = true;
    this.connection!.sentAll();
    if (request.isResponded) this.finishWhenTaken();
    this.note();
  }

  /** The streamed request is damaged: its connection is reset, which is how HTTP says so. */
  abortStream(): void {
    this.streaming = null;
    this.mode.requests.giveBack(this.queue.shift());
    const { connection } = this;
    this.connection = null;
    connection?.leave(true);
    connection?.giveUp("a request that was being streamed is damaged");
    this.note();
  }

  // Another protocol.

  /** From here on bytes pass as they are. */
  goBare(): void {
    const isFirst = this.state === State.SENDING;
    if (this.state === State.GONE) return;
    this.state = State.BARE;
    if (isFirst) this.connection ??= this.open();
    this.connection!.goBare();
  }

  /** Production has declined the offer made last: if the destination accepts it, or has, requests go on elsewhere. */
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
    if (this.connection === null) this.mode.destination.counters.upstream.lost_bytes += length;
    else this.connection.upstream.write(bytes, offset, length, timestampMs);
  }

  /** The same for all that waits in a queue of the destination's memory. */
  passOnQueue(queue: ByteQueue, timestampMs: number): void {
    if (this.connection !== null) {
      this.connection.upstream.writeQueue(queue, timestampMs);
      return;
    }
    this.mode.destination.counters.upstream.lost_bytes += queue.length;
    queue.clear();
  }

  /** Drops the requests that wait, for nothing may overtake them: the client's next ones go another way. */
  letGo(): void {
    this.dropWaiting("buffer_limit");
    this.finish();
  }

  /** A gap in another protocol's stream: nothing behind it can be understood. */
  abortBare(): void {
    this.connection?.giveUp("a stream of another protocol has a gap");
  }

  // Sending.

  /** The client has ended: the connection ends behind the last response. */
  finish(): void {
    this.ending = true;
    this.pump();
  }

  /** The client has been silent for long: a connection that waits for nothing is let go. */
  rest(): void {
    if (this.isIdle) this.leave();
  }

  /** Sends the requests whose turn it is. */
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
    const { destination, options } = this.mode;
    if (this.state !== State.SENDING) {
      if (this.ending) this.connection?.upstream.finish(options.responseTimeoutMs, options.finDelayMs);
      return;
    }
    if (destination.terminated) this.dropWaiting("stopped");
    while (this.queue.waiting > 0 && this.mayPump) {
      const request = this.queue.at(this.queue.inFlight);
      if (this.mustWait(request)) return;
      const connection = this.connected();
      if (!connection.isOpen) return;
      this.send(request, connection);
      // The buffers were full, and the connection that was given up is this one: all that has followed already.
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

  /** From when on a request may follow others on the connection there is; Infinity: it needs another. */
  private reuseFromMs(request: Request): number {
    const { connection } = this;
    const { destination } = this.mode;
    if (connection === null || this.queue.inFlight > 0 || connection.requests === 0) return destination.tickedMs;
    if (request.isIsolated || connection.isIsolated) return Infinity;
    const mayRepeat = request.isIdempotent && !request.isStreamed && request.long === null;
    return destination.keepAlive.reuseFromMs(connection, mayRepeat, destination.tickedMs);
  }

  /** Whether a request waits to see whether the connection there is stays open; if it needs another, that is left. */
  private mustWait(request: Request): boolean {
    const dueMs = this.reuseFromMs(request);
    if (dueMs === Infinity) this.leave();
    if (dueMs === Infinity || dueMs <= this.mode.destination.tickedMs || dueMs <= this.mode.destination.now())
      return false;
    // The timer is no response's any more.
    this.note();
    this.mode.destination.deadlines.set(this.timer, dueMs);
    return true;
  }

  /** The connection there is, or another. */
  private connected(): HttpConnection {
    this.connection ??= this.open();
    return this.connection;
  }

  private open(): HttpConnection {
    const connection = new HttpConnection(this.mode.destination, this, this.mode.comparison?.newRecorder() ?? null);
    const { preface } = this;
    if (preface !== null) connection.upstream.write(preface, 0, preface.length, this.mode.destination.tickedMs, true);
    return connection;
  }

  private send(request: Request, connection: HttpConnection): void {
    if (request.long !== null) request.isStreamed = true;
    request.tries++;
    this.queue.inFlight++;
    this.noteWanted(request, connection);
    connection.send(request);
  }

  /** Of several in flight, all responses are kept: those that nobody wants are let go when they are complete. */
  private noteWanted(request: Request, { recorder }: HttpConnection): void {
    if (recorder !== null) recorder.isWanted = request.exchange !== null || this.queue.inFlight > 1;
  }

  /** A time limit is reached (Deadlines). */
  expire(nowMs: number): void {
    if (!this.isAwaiting) {
      this.pump();
      return;
    }
    const { responseTimeoutMs, maxResponseMs } = this.mode.options;
    const { connection } = this;
    if (connection === null) return;
    if (nowMs - this.awaitedSinceMs >= maxResponseMs) {
      connection.giveUp(`its response took longer than ${maxResponseMs / 1000} s (--max-response-seconds)`);
    } else if (connection.upstream.backlogBytes > 0) {
      // Nobody responds to what is still being sent: for that there is --max-retries.
      this.awaitResponse(nowMs);
    } else {
      connection.giveUp(`no byte of a response within ${responseTimeoutMs} ms (--response-timeout-ms)`);
    }
  }

  // What happens on the connection (ConnectionOwner).

  opened(): void {
    this.pump();
  }

  received(): void {
    if (this.isAwaiting) this.awaitResponse(this.mode.destination.tickedMs);
    this.mode.pumpSoon(this);
  }

  drained(): void {
    // From here on it is the destination that takes its time.
    if (this.isAwaiting) this.awaitResponse(this.mode.destination.tickedMs);
    if (this.queue.inFlight > 0 && this.queue.at(0).isResponded && this.streaming === null) this.finishResponded();
    this.note();
    this.mode.pumpSoon(this);
  }

  interim(code: number): void {
    if (code !== 101) this.mode.destination.counters.responses["1xx"]++;
  }

  responded(code: number, persistent: boolean): void {
    // Who responds to a request has read all of the one before it.
    if (this.queue.at(0).isResponded) this.finishResponded();
    const request = this.queue.at(0);
    // RFC 9110, section 15.5.9: its time for an idle connection was over when the request came.
    const wasIdle = code === REQUEST_TIMEOUT && !persistent && this.connection!.responded > 1;
    if (wasIdle && !request.isStreamed && request.tries <= RESENDS_MAX) {
      this.connection!.isBegun = false;
      this.over("closed", this.leaveUnresponded(), true);
      return;
    }
    this.countClass(code);
    request.exchange?.responded(this.connection!.recorder!, code);
    request.isResponded = true;
    this.awaitedSinceMs = this.mode.destination.tickedMs;
    if (this.streaming !== request) this.finishWhenTaken();
    if (!persistent) this.over("closed", this.leaveUnresponded());
    // The next request is sent in a moment (received): what this one changes is noted with it.
    else this.connection!.upstream.mayEnd = this.queue.inFlight === 0;
  }

  upgraded(code: number): void {
    if (this.queue.at(0).isResponded) this.finishResponded();
    const request = this.queue.at(0);
    // Nobody changes the protocol in the middle of a request (RFC 9110, section 7.8).
    if (!request.wantsUpgrade || this.streaming === request || !this.hasTaken(0)) {
      this.connection!.malformed();
      return;
    }
    this.countClass(code);
    request.exchange?.responded(this.connection!.recorder!, code);
    this.finishResponded();
    if (request.isDeclined) {
      // For the client it was one response of many: that connection cannot carry another.
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
    const firstFailed = how === "given_up" || (this.connection?.isBegun ?? false);
    this.connection = null;
    if (this.state !== State.SENDING) {
      this.state = State.GONE;
      this.owner.idle();
    } else {
      if (how === "unconnected") this.dropWaiting("endpoint_down");
      this.requeue(firstFailed, unsentBytes, wasIdle, how === "unconnected" ? "endpoint_down" : "endpoint_closed");
    }
    this.mode.pumpSoon(this);
    this.note();
  }

  /** Whether the kernel has taken all of a request in flight: what waits to be written are those behind it. */
  private hasTaken(place: number): boolean {
    let behind = 0;
    for (let i = place + 1; i < this.queue.inFlight; i++) behind += this.queue.at(i).length;
    return (this.connection?.upstream.backlogBytes ?? 0) <= behind;
  }

  /** The first request was responded to: it is forwarded when all of it has been taken. */
  private finishWhenTaken(): void {
    if (this.hasTaken(0)) this.finishResponded();
    else this.connection!.upstream.tellsDrained = true;
  }

  /** The first request is forwarded and responded to. */
  private finishResponded(): void {
    const { requests } = this.mode.destination.counters;
    requests.forwarded++;
    requests.answered++;
    this.queue.at(0).exchange?.forwarded();
    this.takeFirst();
  }

  private takeFirst(): void {
    const request = this.queue.shift();
    this.owesDecline ||= request.wantsUpgrade && !request.isDeclined;
    this.mode.requests.giveBack(request);
  }

  /** Nothing more comes: nothing is to refer to it, as a timer that waits for its slot does. */
  private retire(): void {
    this.leave();
    this.mode.destination.deadlines.remove(this.timer);
  }

  /** The connection is not needed any more. */
  private leave(): void {
    this.connection?.leave(false);
    this.connection = null;
  }

  /** The connection speaks another protocol, and is left. */
  private leaveUpgraded(): void {
    if (this.goesOnInHttp2 && this.connection !== null) {
      // Some servers look at the request that made the offer only when they have read this.
      this.connection.upstream.write(HTTP2_START, 0, HTTP2_START.length, this.mode.destination.tickedMs, true);
      this.connection.leave(false, this.mode.options.finDelayMs);
      this.connection = null;
    }
    this.leave();
  }

  /** The same, with requests in flight whose rest must not arrive there: they go on another, or are given up. */
  private leaveUnresponded(): number {
    return this.connection?.leave(this.queue.inFlight > 0) ?? 0;
  }

  /**
   * The connection is gone: what was in flight waits again if it may be sent twice, or none of it was
   * sent, and is given up otherwise. `firstFailed`: the first one is not tried again, for it was what
   * failed. `wasIdle`: the first one was not read.
   */
  private requeue(firstFailed: boolean, unsentBytes: number, wasIdle: boolean, reason: RequestDrop): void {
    const { inFlight } = this.queue;
    if (inFlight === 0) return;
    // From the last one on, for it is the last ones that were not sent.
    const unsent = new Array<number>(inFlight);
    for (let place = inFlight - 1; place >= 0; place--) {
      const { length, isStreamed } = this.queue.at(place);
      // Of what was streamed, or handed over, the length is not known here: all that is left is its own.
      unsent[place] = isStreamed ? unsentBytes : Math.min(unsentBytes, length);
      unsentBytes -= unsent[place]!;
    }
    const streamed = this.streaming;
    const given = this.queue.requeue((request, place) => {
      const isWhole = request !== streamed;
      request.wasTaken ||= isWhole && unsent[place] === 0;
      const mayRepeat = request.isIdempotent || unsent[place]! >= request.length || (wasIdle && place === 0);
      return (
        request.isStreamed ||
        request.isResponded ||
        !mayRepeat ||
        (firstFailed && place === 0) ||
        request.tries > RESENDS_MAX
      );
    });
    for (const request of given) this.giveUp(request, reason);
  }

  /** A request that was sent gets no response any more. */
  private giveUp(request: Request, reason: RequestDrop): void {
    const { requests, responses } = this.mode.destination.counters;
    if (request === this.streaming) {
      // Its end is not known yet: the owner counts it then.
      this.streaming = null;
      this.owner.streamLost(reason);
    } else if (!request.wasTaken) {
      requests.dropped[reason]++;
      request.exchange?.notForwarded();
    } else if (request.isResponded) {
      requests.forwarded++;
      requests.answered++;
      request.exchange?.forwarded();
    } else {
      requests.forwarded++;
      responses.unanswered++;
      request.exchange?.unanswered();
    }
    this.owesDecline ||= request.wantsUpgrade && !request.isDeclined;
    this.mode.requests.giveBack(request);
  }

  /** Drops the requests that wait. */
  private dropWaiting(reason: RequestDrop): void {
    if (this.queue.waiting === 0) return;
    const { requests, responses } = this.mode.destination.counters;
    for (const request of this.queue.takeWaiting()) {
      this.owesDecline ||= request.wantsUpgrade && !request.isDeclined;
      if (request.wasTaken) {
        requests.forwarded++;
        responses.unanswered++;
        request.exchange?.unanswered();
      } else {
        requests.dropped[reason]++;
        request.exchange?.notForwarded();
      }
      this.mode.requests.giveBack(request);
    }
  }

  private countClass(code: number): void {
    const { responses } = this.mode.destination.counters;
    const hundreds = Math.floor(code / 100);
    if (hundreds === 1) responses["1xx"]++;
    else if (hundreds === 2) responses["2xx"]++;
    else if (hundreds === 3) responses["3xx"]++;
    else if (hundreds === 4) responses["4xx"]++;
    else responses["5xx"]++;
  }

  private awaitResponse(fromMs: number): void {
    const { responseTimeoutMs, maxResponseMs } = this.mode.options;
    const dueMs = Math.min(fromMs + responseTimeoutMs, this.awaitedSinceMs + maxResponseMs);
    this.mode.destination.deadlines.set(this.timer, dueMs);
  }

  private noteWaiting(waiting: number): void {
    const { load, waiters, destination } = this.mode;
    load.waitingRequests += waiting - this.countedWaiting;
    // Requests that come are no progress of those before them.
    if (this.countedWaiting === 0 || waiting < this.countedWaiting) this.progressMs = destination.tickedMs;
    if (waiting === 0) this.list?.remove(this);
    else if (this.mode.isTight && (this.list === null || waiting < this.countedWaiting)) waiters.append(this);
    this.countedWaiting = waiting;
    if (waiting > load.longestWaiting) load.noteLongest(this);
  }

  /** Keeps the load's counts, and the time limit, true. */
  private note(): void {
    const { load, destination } = this.mode;
    const { length, waiting, inFlight } = this.queue;
    const isBusy = length > 0;
    if (isBusy !== this.isBusy) load.busyPipes += isBusy ? 1 : -1;
    const wasBusy = this.isBusy;
    this.isBusy = isBusy;
    if (waiting !== this.countedWaiting) this.noteWaiting(waiting);
    const isAwaiting = inFlight > 0 && this.streaming === null;
    if (isAwaiting !== this.isAwaiting) {
      this.isAwaiting = isAwaiting;
      load.awaitingPipes += isAwaiting ? 1 : -1;
      if (isAwaiting) {
        this.awaitedSinceMs = destination.tickedMs;
        this.awaitResponse(destination.tickedMs);
      } else {
        destination.deadlines.clear(this.timer);
      }
    }
    if (this.connection !== null) this.connection.upstream.mayEnd = inFlight === 0;
    if (wasBusy && !isBusy) this.owner.idle();
  }
}
