/**
 * One flow's requests on their way to the endpoint: held until it is their turn, sent on a connection
 * that is opened again when the endpoint closes it, and followed to the end of their answers.
 *
 * `held` has, in this order, the requests in flight (in case they must be sent again), those that
 * wait, and what has come of the one under way.
 */
import { ResponseFramer } from "../http/response-framer.ts";
import type { ResponseSink } from "../http/response-sink.ts";
import type { RequestDrop } from "../observe/counters.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { HttpMode } from "./http-mode.ts";
import type { Request, RequestKind } from "./request.ts";
import type { Upstream, UpstreamEnd, UpstreamListener } from "./upstream.ts";

/** How often a request is sent again because its connection ended before the answer began. */
export const RESENDS_MAX = 3;
/** How long a connection that is not needed any more waits for the endpoint to end it. */
const LINGER_MS = 1000;

/** Told what became of the requests that concern more than the pipe. */
export interface PipeOwner {
  /** The endpoint has taken the upgrade: both sides speak another protocol now. */
  upgraded(): void;
  /** The answer to a request that wanted an upgrade was another, or none. */
  upgradeRefused(): void;
  /** The request that is being streamed was answered, or cannot be finished. */
  streamOver(how: "answered" | "lost"): void;
}

export class RequestPipe implements UpstreamListener, ResponseSink {
  /** Bytes of the request under way. */
  underWayBytes = 0;
  private readonly held: ByteQueue;
  private readonly requests: Request[] = [];
  /** How many of `requests`, from the first, are in flight, and their bytes in `held`. */
  private inFlight = 0;
  private inFlightBytes = 0;
  private streaming = false;
  private upstream: Upstream | null = null;
  /** The connection's; null: there was none yet. */
  private responses: ResponseFramer | null = null;
  private answerBegun = false;
  private answerDueMs = Infinity;
  private bare = false;
  private ending = false;
  /** As what it counts in the mode. */
  private isBusy = false;
  private countedWaiting = 0;
  private isCrowded = false;
  private isAnswering = false;
  /** It is in the mode's set of those whose answers may become overdue. */
  private isWatched = false;
  /** The owner is to be told that an upgrade was refused: what then comes of it may change anything here. */
  private owesRefusal = false;

  constructor(
    private readonly mode: HttpMode,
    private readonly owner: PipeOwner,
  ) {
    this.held = new ByteQueue(mode.endpoint.memory);
  }

  /** Whole requests that wait for their turn. */
  get waiting(): number {
    return this.requests.length - this.inFlight;
  }

  /** Whether one more request may be in flight. */
  get mayPump(): boolean {
    return this.inFlight < this.mode.options.pipelineDepth;
  }

  // The request under way.

  /** Holds bytes of the request under way. */
  hold(bytes: Uint8Array, offset: number, length: number): void {
    this.held.push(bytes, offset, length);
    this.underWayBytes += length;
  }

  /** The bytes held of the request under way, valid until the next call. */
  get underWay(): Uint8Array {
    const end = this.held.offset + this.held.length;
    return this.held.bytes.subarray(end - this.underWayBytes, end);
  }

  /** Drops what is held of the request under way. */
  discard(): void {
    this.held.truncate(this.underWayBytes);
    this.underWayBytes = 0;
  }

  /** The request under way is whole: it is sent when its turn comes. */
  commit(kind: RequestKind, timestampMs: number): void {
    this.requests.push(this.mode.requestPool.take(kind, this.underWayBytes, timestampMs));
    this.underWayBytes = 0;
    this.noteCrowd();
  }

  /** Whether the request under way may be streamed: nothing is before it, and a connection can be had. */
  get mayStream(): boolean {
    return this.requests.length === 0 && !this.mode.endpoint.terminated;
  }

  /** Sends the request under way as it comes, beginning with what is held of it. */
  startStream(kind: RequestKind, timestampMs: number): void {
    const upstream = this.connection();
    const bytes = this.underWay.slice();
    this.discard();
    this.streaming = true;
    // Not held, it cannot be followed by what waits for the endpoint's word on an upgrade.
    this.requests.push(this.mode.requestPool.take({ ...kind, wantsUpgrade: false }, 0, timestampMs));
    this.inFlight = 1;
    this.responses!.expect(kind.method);
    upstream.mayEnd = false;
    upstream.write(bytes, 0, bytes.length, timestampMs);
  }

  streamBytes(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.writeOrLose(bytes, offset, length, timestampMs);
  }

  /** The streamed request is whole. */
  endStream(): void {
    this.streaming = false;
    this.awaitAnswer();
  }

  /** The streamed request has a hole: its connection is reset, which is how HTTP says so. */
  abortStream(): void {
    this.streaming = false;
    if (this.inFlight > 0) this.remove();
    this.upstream?.giveUp("a request that was being streamed has a hole");
  }

  // Another protocol.

  /** From here on bytes pass as they are; what is held of the request under way goes first. */
  goBare(timestampMs: number): void {
    const upstream = this.connection();
    upstream.mayEnd = true;
    this.bare = true;
    const bytes = this.underWay.slice();
    this.discard();
    if (bytes.length > 0) upstream.write(bytes, 0, bytes.length, timestampMs);
  }

  passOn(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.writeOrLose(bytes, offset, length, timestampMs);
  }

  /** A hole in another protocol's stream: nothing behind it can be understood. */
  abortBare(): void {
    this.upstream?.giveUp("a stream of another protocol has a hole");
  }

  // Sending.

  /** The flow has ended: the connection ends after the last answer. */
  finish(): void {
    this.ending = true;
    this.pump();
  }

  /** Sends the requests whose turn it is. */
  pump(): void {
    do {
      if (this.owesRefusal) {
        this.owesRefusal = false;
        this.owner.upgradeRefused();
      }
      this.pumpRequests();
    } while (this.owesRefusal);
    this.noteCrowd();
  }

  /** Keeps the mode's counts true. */
  private noteCrowd(): void {
    const isBusy = this.requests.length > 0;
    if (isBusy !== this.isBusy) this.mode.busyPipes += isBusy ? 1 : -1;
    this.isBusy = isBusy;
    const { waiting } = this;
    this.mode.waitingRequests += waiting - this.countedWaiting;
    this.countedWaiting = waiting;
    const isCrowded = waiting * 2 >= this.mode.options.maxWaitingRequests;
    if (isCrowded !== this.isCrowded) this.mode.crowdedPipes += isCrowded ? 1 : -1;
    this.isCrowded = isCrowded;
  }

  private pumpRequests(): void {
    if (this.bare) {
      if (this.ending) this.upstream?.finish(this.mode.options.responseTimeoutMs);
      return;
    }
    if (this.mode.endpoint.terminated) this.dropWaiting("stopped");
    this.skipCancelled();
    if (this.waiting === 0) {
      if (this.ending && this.requests.length === 0) this.leaveConnection();
      return;
    }
    if (!this.mayPump) return;
    const upstream = this.connection();
    if (!upstream.isOpen) return;
    while (this.waiting > 0 && this.mayPump) {
      const request = this.requests[this.inFlight]!;
      this.send(request);
      // The buffers were full, and the connection that was given up is this one: all that has followed already.
      if (this.upstream !== upstream) return;
      if (request.wantsUpgrade) break;
    }
    this.awaitAnswer();
  }

  /**
   * Gives up the connection if its answer is overdue. Nobody answers what is still being sent: for that there is
   * --max-retries. Returns whether it still waits for one.
   */
  expire(nowMs: number): boolean {
    if (this.upstream !== null && this.upstream.backlogBytes > 0) this.answerDueMs = nowMs + this.mode.options.responseTimeoutMs;
    if (nowMs >= this.answerDueMs) this.upstream?.giveUp(`no answer within ${this.mode.options.responseTimeoutMs} ms (--response-timeout-ms)`);
    this.isWatched = this.isAnswering;
    return this.isWatched;
  }

  // What happens on the connection (UpstreamListener).

  opened(): void {
    this.pump();
  }

  received(bytes: Uint8Array): void {
    if (this.bare) return;
    this.responses!.push(bytes, 0, bytes.length);
    this.mode.pumpSoon(this);
  }

  ended(): void {
    if (this.bare) return;
    this.responses!.end();
    if (this.upstream !== null) this.requeue(false, this.leaveConnection());
    this.pump();
  }

  closed(how: UpstreamEnd, unsentBytes: number): void {
    this.upstream = null;
    if (this.bare) return;
    if (how === "closed") this.responses!.end();
    if (how === "unconnected") this.dropWaiting("endpoint_down");
    this.requeue(how === "given_up", unsentBytes);
    this.pump();
  }

  // The answers (ResponseSink).

  status(code: number): void {
    const { responses } = this.mode.endpoint.counters;
    if (code >= 200) this.answerBegun = true;
    const hundreds = Math.floor(code / 100);
    if (hundreds === 1) responses["1xx"]++;
    else if (hundreds === 2) responses["2xx"]++;
    else if (hundreds === 3) responses["3xx"]++;
    else if (hundreds === 4) responses["4xx"]++;
    else responses["5xx"]++;
  }

  complete(persistent: boolean): void {
    this.mode.endpoint.counters.requests.answered++;
    this.mode.answeredMs = this.mode.tickedMs;
    const wantedUpgrade = this.requests[0]!.wantsUpgrade;
    this.removeFirst();
    if (this.streaming) {
      // Answered before it was all sent: the endpoint may still take the rest.
      this.mode.endpoint.counters.requests.forwarded++;
      this.owner.streamOver("answered");
    }
    if (!persistent) this.requeue(false, this.leaveConnection());
    this.awaitAnswer();
    this.owesRefusal ||= wantedUpgrade;
  }

  upgraded(): void {
    if (this.requests[0]?.wantsUpgrade !== true) {
      this.malformed();
      return;
    }
    this.mode.endpoint.counters.requests.answered++;
    this.removeFirst();
    this.awaitAnswer();
    this.owner.upgraded();
  }

  unsolicited(code: number): void {
    this.upstream?.giveUp(`it sent a response (${code}) that nobody asked for`);
  }

  malformed(): void {
    this.answerBegun = this.inFlight > 0;
    this.upstream?.giveUp("what it answered is no HTTP/1 response");
  }

  private connection(): Upstream {
    if (this.upstream === null) {
      this.responses = new ResponseFramer(this);
      this.upstream = this.mode.endpoint.connect(this);
      this.upstream.mayEnd = true;
    }
    return this.upstream;
  }

  private writeOrLose(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    if (this.upstream === null) this.mode.endpoint.counters.upstream.lost_bytes += length;
    else this.upstream.write(bytes, offset, length, timestampMs);
  }

  /** Takes out requests at the front that nobody will send or answer. */
  private skipCancelled(): void {
    while (this.inFlight === 0 && this.requests[0]?.cancelled === true) {
      this.inFlight = 1;
      this.inFlightBytes = this.requests[0].length;
      this.remove();
    }
  }

  private send(request: Request): void {
    const offset = this.held.offset + this.inFlightBytes;
    this.inFlight++;
    this.inFlightBytes += request.length;
    if (request.cancelled) return;
    if (request.resends++ === 0) this.mode.endpoint.counters.requests.forwarded++;
    this.responses!.expect(request.method);
    this.upstream!.mayEnd = false;
    this.upstream!.write(this.held.bytes, offset, request.length, request.timestampMs);
  }

  private awaitAnswer(): void {
    const awaits = this.inFlight > 0 && !this.streaming;
    if (this.upstream !== null) this.upstream.mayEnd = this.inFlight === 0 && !this.streaming;
    this.answerDueMs = awaits ? this.mode.tickedMs + this.mode.options.responseTimeoutMs : Infinity;
    if (awaits !== this.isAnswering) this.mode.answeringPipes += awaits ? 1 : -1;
    this.isAnswering = awaits;
    if (!awaits || this.isWatched) return;
    this.isWatched = true;
    this.mode.watched.add(this);
  }

  /** Takes out the first request, and those behind it that nobody answers any more. */
  private removeFirst(): void {
    this.remove();
    while (this.inFlight > 0 && this.requests[0]!.cancelled) this.remove();
    this.answerBegun = false;
  }

  private remove(): void {
    const request = this.requests.shift()!;
    this.inFlight--;
    this.inFlightBytes -= request.length;
    if (request.length > 0) this.held.consume(request.length);
    this.mode.requestPool.giveBack(request);
  }

  /** The connection is not needed any more: ends it in order. Returns how many bytes of what is in flight were not sent. */
  private leaveConnection(): number {
    const upstream = this.upstream;
    if (upstream === null) return 0;
    this.upstream = null;
    upstream.detach();
    // What is in flight goes on another connection, or is unanswered: the rest of it must not arrive here as well.
    const unsentBytes = this.inFlight > 0 ? upstream.discard() : 0;
    upstream.finish(LINGER_MS);
    return unsentBytes;
  }

  /**
   * The connection is gone: what was in flight waits again if it may be sent twice, or none of it was
   * sent, and is unanswered otherwise. `firstFailed`: the first one is not tried again, for it was what
   * failed.
   */
  private requeue(firstFailed: boolean, unsentBytes: number): void {
    const { responses } = this.mode.endpoint.counters;
    // From the last one on, for it is the last ones that were not sent.
    for (let i = this.inFlight - 1; i >= 0; i--) {
      const request = this.requests[i]!;
      if (request.cancelled) continue;
      const isUnsent = unsentBytes >= request.length;
      unsentBytes -= request.length;
      const begun = i === 0 && (this.answerBegun || firstFailed);
      if ((request.isIdempotent || isUnsent) && request.length > 0 && !begun && request.resends <= RESENDS_MAX) continue;
      request.cancelled = true;
      if (this.streaming && request.length === 0) continue;
      responses.unanswered++;
      this.owesRefusal ||= request.wantsUpgrade;
    }
    if (this.streaming) {
      this.streaming = false;
      this.owner.streamOver("lost");
    }
    while (this.inFlight > 0 && this.requests[0]!.cancelled) this.remove();
    this.inFlight = 0;
    this.inFlightBytes = 0;
    this.answerBegun = false;
    this.awaitAnswer();
  }

  /** Drops the requests that wait. */
  private dropWaiting(reason: RequestDrop): void {
    const { requests } = this.mode.endpoint.counters;
    while (this.waiting > 0) {
      const request = this.requests.splice(this.inFlight, 1)[0]!;
      this.owesRefusal ||= request.wantsUpgrade && !request.cancelled;
      if (request.resends > 0) this.mode.endpoint.counters.responses.unanswered += request.cancelled ? 0 : 1;
      else requests.dropped[reason]++;
      this.dropHeld(request.length);
      this.mode.requestPool.giveBack(request);
    }
  }

  /** Takes out of `held` the bytes right behind those in flight. */
  private dropHeld(length: number): void {
    if (length === 0) return;
    const from = this.held.offset + this.inFlightBytes;
    const rest = this.held.bytes.slice(from + length, this.held.offset + this.held.length);
    this.held.truncate(this.held.length - this.inFlightBytes);
    if (rest.length > 0) this.held.push(rest, 0, rest.length);
  }
}
