/**
 * One client connection's calls on their way to a destination: each is sent when there is room for it, on a connection
 * that gives way to another when the destination says GOAWAY or closes it, and followed to the end of its response.
 */
import { AgeList } from "../memory/age-list.ts";
import { Cost } from "../memory/budget.ts";
import { countGrpcStatus, type RequestDrop } from "./counters.ts";
import type { CallCarrier, CallOwner, Http2Call } from "./http2-call.ts";
import { CALLS_IN_FLIGHT_MAX } from "./http2-call-limit.ts";
import { CallEnd, Http2Connection, type Http2ConnectionOwner } from "./http2-connection.ts";
import { RESENDS_MAX } from "./lost-requests.ts";
import { Pipe } from "./pipe.ts";
import type { PipeHost } from "./pipe-host.ts";
import { PipeLoad } from "./pipe-load.ts";
import { countNotForwarded, countResponded, countStatus, countUnanswered, dropReasonOf } from "./request-outcome.ts";
import type { UpstreamEnd } from "./upstream.ts";

/** How often a call is sent again because the destination did not process it. */
export const UNPROCESSED_MAX = 16;

/** The share of the waiting calls that gives way at a time, at least: all are looked through for the last ones. */
const GIVING_SHARE = 1 / 8;

/** Hears the outcomes of calls. */
export interface Http2PipeOwner {
  /** A whole call has come to its end. */
  callOver(call: Http2Call): void;
  /** Its last call has come to its end. */
  idle(): void;
}

/** One client connection's calls, on their way to one destination. */
export class Http2Pipe extends Pipe implements Http2ConnectionOwner, CallOwner {
  /** Calls that wait, in order; those that are sent again go before the others. */
  private readonly again = new AgeList<Http2Call>();
  /** Some of those may not be in the order of their starts. */
  private isAgainMixed = false;
  private readonly waitingCalls = new AgeList<Http2Call>();
  /** Calls that are on a connection. */
  private inFlight = 0;
  /** Calls in flight that are not whole. */
  private readonly unfinished = new Set<Http2Call>();
  /** The connection on which calls are begun; null: there is none. */
  private connection: Http2Connection | null = null;
  /** Connections that have calls in flight, and get no more. */
  private readonly leaving = new Set<Http2Connection>();
  /** It is pumped in a moment. */
  private isDue = false;
  /** Connections in a row that ended before a call could be begun on them. */
  private failures = 0;
  /** The destination has closed a connection before it processed all calls. */
  private hasGoneAway = false;
  /**
   * The most calls in flight on a new connection before its first response. If the destination closes connections early
   * more than once, this is the number of calls that it processed on the last one. So it serves all calls, and few are
   * sent in vain.
   */
  private firstCallsMax = CALLS_IN_FLIGHT_MAX;
  private readonly load: PipeLoad;

  constructor(
    mode: PipeHost,
    private readonly owner: Http2PipeOwner,
    /** Bytes that go first on each connection: a PROXY protocol header; null: none. */
    private readonly preface: Uint8Array | null,
  ) {
    super(mode, mode.destination.http2);
    this.load = new PipeLoad(mode, this);
  }

  /** Calls that wait for their turn. */
  get waiting(): number {
    return this.again.size + this.waitingCalls.size;
  }

  /** About how many bytes those hold, without their bodies. */
  get waitingBytes(): number {
    return this.waiting * (Cost.REQUEST + Cost.CALL);
  }

  /** Infinity: the pipe gives way only by its calls. */
  get awaitedSinceMs(): number {
    return Infinity;
  }

  /** Whether it has no call. */
  get isIdle(): boolean {
    return this.inFlight === 0 && this.waiting === 0;
  }

  get hasConnection(): boolean {
    return this.connection !== null;
  }

  giveWay(count = this.waiting): void {
    const { waiting } = this;
    if (waiting > 0) this.dropWaiting("buffer_limit", Math.max(count, Math.floor(waiting * GIVING_SHARE)));
    else this.dropStreaming();
    this.load.gaveWay(waiting - this.waiting);
    this.note();
    this.pumpSoon();
  }

  // Calls.

  /** Takes a call that is whole, or will be streamed. It is begun when its turn comes. */
  commit(call: Http2Call): void {
    this.waitingCalls.append(call);
    this.note();
  }

  /** More of a streamed call was added to its request; or it is whole. */
  more(call: Http2Call): void {
    const { connection } = call;
    if (connection === null) return;
    if (call.isWhole) this.unfinished.delete(call);
    connection.more(call);
    if (call.isWhole && call.connection !== null) this.await(call);
  }

  /** A streamed call is damaged, or was cancelled: in HTTP/2, a reset of the stream shows that. */
  abort(call: Http2Call): void {
    call.connection?.cancel(call);
    this.let(call);
    this.note();
  }

  /** The client has cancelled a call that is whole, at `capturedMs`. */
  cancel(call: Http2Call, capturedMs: number): void {
    call.cancelledAfterMs = Math.max(capturedMs - call.capturedMs, 0);
    if (call.connection !== null) {
      this.await(call);
    } else {
      this.countDropped(call, "cancelled");
      this.let(call);
      this.note();
    }
  }

  // Sending.

  /** Once, for any number of responses. */
  private pumpSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    this.mode.pumpSoon(this);
  }

  /** Whether there may be something to do beside counting responses. */
  private get hasWork(): boolean {
    return this.waiting > 0 || this.isIdle || this.leaving.size > 0 || this.connection?.isLast === true;
  }

  pump(): void {
    this.isDue = false;
    if (this.connection?.isLast === true) this.replace(this.connection);
    const { refusal } = this;
    if (refusal !== null) this.dropWaiting(refusal);
    if (this.isAgainMixed) this.orderAgain();
    this.beginSome(this.again);
    this.beginSome(this.waitingCalls);
    if (this.waiting > 0) this.connection?.await();
    this.connection?.flush();
    for (const connection of this.leaving) connection.flush();
    if (this.ending && this.isIdle) this.leave();
    this.note();
  }

  /** Begins the calls of a list, as many as there is room for. */
  private beginSome(calls: AgeList<Http2Call>): void {
    for (let call = calls.oldest; call !== null; call = calls.oldest) {
      const connection = this.connected();
      if (!connection.mayBegin) return;
      calls.remove(call);
      this.begin(call, connection);
    }
  }

  private begin(call: Http2Call, connection: Http2Connection): void {
    const request = call.request!;
    request.tries++;
    const { comparison } = this.mode;
    if (request.exchange !== null && comparison !== null) call.recorder ??= comparison.newRecorder();
    call.connection = connection;
    this.inFlight++;
    if (!call.isWhole) this.unfinished.add(call);
    connection.begin(call);
    if (call.isWhole && call.connection !== null) this.await(call);
  }

  /** The current connection, or a new one. */
  private connected(): Http2Connection {
    if (this.connection?.isLast === true) this.replace(this.connection);
    const { destination, requests, options } = this.mode;
    if (this.connection === null) {
      this.spoken.tried();
      const { responseTimeoutMs } = options;
      const isCompared = this.mode.comparison !== null;
      this.connection = new Http2Connection(
        destination,
        requests,
        this,
        this.preface,
        responseTimeoutMs,
        this.firstCallsMax,
        isCompared,
      );
    }
    return this.connection;
  }

  /** The destination takes no more calls on the current connection: another connection takes its place. */
  private replace(connection: Http2Connection): void {
    if (this.learn(connection)) this.spoken.speechless();
    this.retire(connection);
  }

  /** Learns from the end of a connection. Returns whether the destination took no call on several in a row. */
  private learn({ hasBegun, lookedAt }: Http2Connection): boolean {
    this.failures = hasBegun ? 0 : this.failures + 1;
    if (lookedAt < Infinity) {
      if (this.hasGoneAway) this.firstCallsMax = Math.max(lookedAt, 1);
      this.hasGoneAway = true;
    }
    return this.failures > RESENDS_MAX;
  }

  /** No more calls are begun on a connection. */
  private retire(connection: Http2Connection): void {
    if (connection === this.connection) this.connection = null;
    if (connection.inFlight > 0) {
      this.leaving.add(connection);
    } else {
      this.leaving.delete(connection);
      connection.leave();
    }
  }

  protected leave(): void {
    if (this.connection !== null) this.retire(this.connection);
  }

  // Time limits.

  /** Sets the time when a call is looked at: for its response, or because its client took it back. */
  private await(call: Http2Call, fromMs = this.mode.destination.tickedMs): void {
    const { destination, options } = this.mode;
    const responseMs = fromMs + options.responseTimeoutMs;
    const wholeMs = call.sentMs + options.maxResponseMs;
    const cancelMs = call.sentMs + call.cancelledAfterMs;
    destination.deadlines.set(call.timer, Math.min(responseMs, wholeMs, cancelMs));
  }

  callExpired(call: Http2Call, nowMs: number): void {
    const { connection } = call;
    if (connection === null) return;
    const { responseTimeoutMs, maxResponseMs } = this.mode.options;
    if (nowMs >= call.sentMs + call.cancelledAfterMs) {
      this.endUnanswered(call, connection, "cancelled", "cancelled");
    } else if (nowMs >= call.sentMs + maxResponseMs) {
      this.endUnanswered(call, connection, "endpoint_closed", "unanswered");
    } else if (connection.hasBacklog) {
      // A request that is still being sent has no response yet: --max-retries bounds that time.
      return this.await(call);
    } else if (!call.isSent && nowMs < call.handedMs + responseTimeoutMs) {
      // Nor has one that the endpoint's windows let through slowly.
      return this.await(call, call.handedMs);
    } else if (nowMs - connection.receivedMs >= responseTimeoutMs) {
      connection.giveUp(`no byte of a response within ${responseTimeoutMs} ms (--response-timeout-ms)`);
    } else {
      this.endUnanswered(call, connection, "endpoint_closed", "unanswered");
    }
    this.pumpSoon();
    this.note();
  }

  /** We cancel a call in flight: it counts as forwarded if all of it was sent. */
  private endUnanswered(
    call: Http2Call,
    connection: CallCarrier,
    reason: RequestDrop,
    how: "unanswered" | "cancelled",
  ): void {
    connection.cancel(call);
    if (call.isResponded) this.countResponded(call);
    else if (call.isSent) countUnanswered(this.mode.destination.counters, call.request!, how);
    else this.countDropped(call, reason);
    this.let(call);
  }

  // Events of the connections (Http2ConnectionOwner).

  ready(): void {
    this.pumpSoon();
  }

  allowedNone(): void {
    this.dropWaiting("endpoint_settings");
    this.note();
  }

  received(hasHanded: boolean): void {
    this.progressMs = this.mode.destination.tickedMs;
    if (hasHanded || this.hasWork) this.pumpSoon();
    else this.note();
  }

  interim(): void {
    this.mode.destination.counters.responses["1xx"]++;
  }

  progressed(call: Http2Call): void {
    if (call.isWhole) this.await(call);
  }

  callEnded(call: Http2Call, end: number): void {
    if (end === CallEnd.NOT_ALLOWED) {
      this.lose(call, "endpoint_settings");
    } else if (end === CallEnd.RESPONDED) {
      this.countResponded(call);
      this.let(call);
    } else if (end === CallEnd.UNPROCESSED && !call.request!.isStreamed && call.unprocessed < UNPROCESSED_MAX) {
      this.mode.destination.counters.http2.resent++;
      call.unprocessed++;
      this.sendAgain(call);
    } else if (call.isSent && end === CallEnd.RESET) {
      this.countUnanswered(call);
      this.let(call);
    } else {
      this.lose(call, "endpoint_closed");
    }
    // The rest is done after the connection's last event, or at the end of the pump that caused this event.
  }

  over(connection: Http2Connection, how: UpstreamEnd, calls: Http2Call[], takenBytes: number): void {
    if (connection === this.connection) this.connection = null;
    this.leaving.delete(connection);
    const reason = dropReasonOf(how);
    for (const call of calls) this.failed(call, how, takenBytes, reason);
    const isSpeechless = this.learn(connection) && (how === "closed" || how === "reset");
    const isVain = reason !== "endpoint_closed" || how === "given_up" || isSpeechless;
    if (isSpeechless) this.spoken.speechless();
    // If the program ends, they are dropped for that reason.
    if (isVain && !connection.hasBegun && !this.mode.destination.terminated) this.dropWaiting(reason);
    this.pumpSoon();
    this.note();
  }

  /** A call's connection is gone: the call is sent again if it may be sent twice, or if none of it was sent. */
  private failed(call: Http2Call, how: UpstreamEnd, takenBytes: number, reason: RequestDrop): void {
    const request = call.request!;
    const isTaken = call.isSent && call.endPosition <= takenBytes;
    request.wasTaken ||= isTaken;
    const mayRepeat = call.isWhole && (request.isIdempotent || call.startPosition >= takenBytes);
    const tries = request.tries - call.unprocessed;
    const isTried = request.isStreamed || call.status > 0 || how === "given_up" || tries > RESENDS_MAX;
    if (mayRepeat && !isTried) {
      this.sendAgain(call);
    } else if (request.wasTaken) {
      if (call.isResponded) this.countResponded(call);
      else this.countUnanswered(call);
      this.let(call);
    } else {
      this.lose(call, reason);
    }
  }

  private sendAgain(call: Http2Call): void {
    this.takeOff(call);
    this.mode.destination.deadlines.clear(call.timer);
    call.reset();
    this.isAgainMixed ||= this.again.size > 0;
    this.again.append(call);
  }

  private orderAgain(): void {
    for (const call of callsOf(this.again).sort((one, other) => one.stream - other.stream)) this.again.append(call);
    this.isAgainMixed = false;
  }

  private takeOff(call: Http2Call): void {
    call.connection = null;
    this.inFlight--;
  }

  /** A call is not sent, or not to its end. */
  private lose(call: Http2Call, reason: RequestDrop): void {
    if (call.isWhole) {
      this.countDropped(call, reason);
    } else {
      // The call's end is not known yet: the owner counts it when it is.
      call.dropping = reason;
    }
    this.let(call);
  }

  /** Removes a call from the pipe. */
  private let(call: Http2Call): void {
    const { destination, requests } = this.mode;
    if (call.connection !== null) this.takeOff(call);
    call.list?.remove(call);
    if (this.unfinished.size > 0) this.unfinished.delete(call);
    destination.deadlines.remove(call.timer);
    if (call.request !== null) requests.giveBack(call.request);
    call.request = null;
    call.recorder?.discard();
    call.isStreaming = false;
    if (call.isWhole) this.owner.callOver(call);
  }

  /** Drops the calls that wait, or the last of them. */
  private dropWaiting(reason: RequestDrop, count = this.waiting): void {
    const calls = [...callsOf(this.again), ...callsOf(this.waitingCalls)];
    for (const call of calls.slice(calls.length - count)) {
      if (call.request!.wasTaken) {
        this.countUnanswered(call);
        this.let(call);
      } else {
        this.lose(call, reason);
      }
    }
  }

  /** Gives up streamed calls that the destination takes too slowly; if there are none, all calls that are not whole. */
  private dropStreaming(): void {
    const unfinished = [...this.unfinished];
    const holding = unfinished.filter(({ request }) => request!.heldLength > 0);
    for (const call of holding.length > 0 ? holding : unfinished) {
      call.connection!.cancel(call);
      this.lose(call, "buffer_limit");
    }
  }

  // Counting.

  private countDropped({ request }: Http2Call, reason: RequestDrop): void {
    countNotForwarded(this.mode.destination.counters, request!, reason);
  }

  private countResponded({ request, status, grpcStatus }: Http2Call): void {
    const { counters } = this.mode.destination;
    countResponded(counters, request!);
    countStatus(counters, status);
    if (grpcStatus >= 0) countGrpcStatus(counters, grpcStatus);
  }

  private countUnanswered({ request, cancelledAfterMs }: Http2Call): void {
    const how = cancelledAfterMs === Infinity ? "unanswered" : "cancelled";
    countUnanswered(this.mode.destination.counters, request!, how);
  }

  /** Keeps the load's counts true, and ends connections that have no more calls. */
  private note(): void {
    for (const connection of this.leaving) if (connection.inFlight === 0) this.retire(connection);
    const { waiting, unfinished } = this;
    const isAwaiting = this.inFlight > unfinished.size;
    const behindParts = isAwaiting || unfinished.size === 0 ? 0 : waiting;
    const isOver = this.load.note(!this.isIdle, waiting, isAwaiting, waiting > 0 || unfinished.size > 0, behindParts);
    if (isOver) this.owner.idle();
  }
}

function callsOf({ oldest }: AgeList<Http2Call>): Http2Call[] {
  const calls: Http2Call[] = [];
  for (let call = oldest; call !== null; call = call.newer) calls.push(call);
  return calls;
}
