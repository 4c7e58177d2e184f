/**
 * One upstream connection that carries requests: writes them, frames the responses, and reports the outcome to its
 * pipe.
 */
import { HTTP2_PREFACE } from "../http/foreign.ts";
import { FRAME_HEADER_LEN, FrameType, writeFrameHeader } from "../http/http2/frames.ts";
import { RESPONSE_HEAD_BYTES_MAX, ResponseFramer } from "../http/response-framer.ts";
import type { ResponseSink } from "../http/response-sink.ts";
import { FINAL_CODE_MIN } from "../http/status-line.ts";
import type { Destination } from "./destination.ts";
import type { Recorder, Witness } from "./exchange.ts";
import type { Carrier } from "./keep-alive.ts";
import type { Request } from "./request.ts";
import type { Tls } from "./tls.ts";
import { LINGER_MS, NO_TIMESTAMP, type Upstream, type UpstreamEnd, type UpstreamListener } from "./upstream.ts";

const NO_RESPONSE = `it sent bytes that are no HTTP/1 response, or a head of more than ${RESPONSE_HEAD_BYTES_MAX >> 10} KiB`;

/** HTTP/2's preface, and an empty SETTINGS frame. */
const HTTP2_START = new Uint8Array(HTTP2_PREFACE.length + FRAME_HEADER_LEN);
HTTP2_START.set(HTTP2_PREFACE);
writeFrameHeader(HTTP2_START, HTTP2_PREFACE.length, 0, FrameType.SETTINGS, 0, 0);

/** Gets the events of the connection, until it leaves the connection or hears that it is over. */
export interface ConnectionOwner {
  opened(): void;
  /** Bytes have come. The responses that they complete were reported already; more requests may be due now. */
  received(): void;
  /** All written bytes were taken, after some had to wait. */
  drained(): void;
  interim(code: number): void;
  /** The response to the first request in flight is complete. `persistent`: the connection can carry another. */
  responded(code: number, persistent: boolean): void;
  /** The first request's offer of another protocol was accepted. */
  upgraded(code: number): void;
  /** No request can follow on it. `unsentBytes`: how many of the last written bytes were not sent. */
  over(how: UpstreamEnd, unsentBytes: number): void;
}

/** One upstream connection with requests of HTTP/1. */
export class HttpConnection implements UpstreamListener, ResponseSink, Carrier {
  readonly upstream: Upstream;
  private readonly responses: ResponseFramer;
  /** Requests that were written. */
  requests = 0;
  /** Responses that are complete. */
  responded = 0;
  /** When the last response was complete; exact to a tick. */
  respondedMs = 0;
  /** The final status line of the response under way was read. */
  isBegun = false;
  /** Its only request is isolated: no other follows. */
  isIsolated = false;
  /** The witness of the request that was written last. */
  witness: Witness | null = null;
  /** The destination was asked to close it, has announced that, or speaks another protocol on it. */
  private isLast = false;
  private isBare = false;
  /** The time until the response under way begins is to be counted. */
  private isTimed = false;
  private code = 0;

  constructor(
    private readonly destination: Destination,
    private owner: ConnectionOwner | null,
    /** Keeps the responses that are compared; null: none are compared. */
    readonly recorder: Recorder | null,
    tls: Tls | null,
  ) {
    this.responses = new ResponseFramer(this, recorder);
    this.upstream = destination.connect(this, tls);
    this.upstream.mayEnd = true;
  }

  /** Whether exactly one request on it is not responded to. */
  private get isAlone(): boolean {
    return this.requests - this.responded === 1;
  }

  get isOpen(): boolean {
    return this.upstream.isOpen;
  }

  /** Writes a request's bytes: all of a whole one, or those that have come of a streamed one. */
  send(request: Request, isWhole = true): void {
    const { upstream } = this;
    this.requests++;
    this.isTimed = isWhole && this.isAlone;
    this.isIsolated = request.isIsolated;
    this.isLast ||= request.isLast;
    this.witness = request.exchange === null ? null : request.exchange.witness;
    this.responses.expect(request.method, request.minorVersion);
    upstream.mayEnd = false;
    if (request.long !== null) upstream.writeQueue(request.long, request.timestampMs);
    else upstream.write(request.bytes, 0, request.length, request.timestampMs, true);
  }

  /** The last of a streamed request was written. */
  sentAll(): void {
    this.isTimed = this.isAlone && !this.isBegun;
  }

  /** From here on both sides speak another protocol: responses are not looked at. */
  goBare(): void {
    this.isBare = true;
    this.upstream.mayEnd = true;
  }

  /** Ends the connection with a FIN. Returns how many written bytes were not sent; they will not be sent. */
  leave(hasUnresponded: boolean, finDelayMs = 0): number {
    this.owner = null;
    this.recorder?.discard();
    this.destination.keepAlive.left(this);
    this.upstream.detach();
    const unsentBytes = hasUnresponded ? this.upstream.discard() : 0;
    this.upstream.finish(LINGER_MS, finDelayMs);
    return unsentBytes;
  }

  /** Ends the connection after the destination has accepted HTTP/2, which goes on elsewhere. */
  leaveForHttp2(finDelayMs: number): void {
    // Some servers process the request with the offer only when they have read this.
    this.upstream.write(HTTP2_START, 0, HTTP2_START.length, NO_TIMESTAMP, true);
    this.leave(false, finDelayMs);
  }

  // Events of the upstream (UpstreamListener).

  opened(): void {
    this.owner?.opened();
  }

  received(bytes: Uint8Array): void {
    if (this.isBare) return;
    this.recorder?.received(this.destination.now(), this.upstream.writtenMs);
    this.responses.push(bytes, 0, bytes.length);
    this.owner?.received();
  }

  drained(): void {
    this.owner?.drained();
  }

  ended(): void {
    if (this.isBare) return;
    this.noteClose();
    this.responses.end();
    const { owner } = this;
    if (owner === null) return;
    owner.over("closed", this.leave(true));
  }

  closed(how: UpstreamEnd, unsentBytes: number): void {
    if (!this.isBare && how !== "unconnected" && how !== "other_protocol" && how !== "given_up") this.noteClose();
    if (!this.isBare && how === "closed") this.responses.end();
    const { owner } = this;
    this.owner = null;
    this.recorder?.discard();
    owner?.over(how, unsentBytes);
  }

  // The responses (ResponseSink).

  status(code: number): void {
    this.code = code;
    if (code >= FINAL_CODE_MIN) this.begin();
    else this.owner?.interim(code);
  }

  private begin(): void {
    this.isBegun = true;
    if (!this.isTimed) return;
    this.isTimed = false;
    // A response to a request that is still being written is not timed.
    if (this.upstream.backlogBytes === 0) this.destination.countResponseTime(this.upstream.writtenMs);
  }

  complete(persistent: boolean): void {
    this.isBegun = false;
    this.isLast ||= !persistent;
    this.responded++;
    this.respondedMs = this.destination.tickedMs;
    this.destination.keepAlive.responded(this);
    this.owner?.responded(this.code, persistent && !this.isIsolated);
  }

  upgraded(): void {
    this.isBegun = false;
    this.isLast = true;
    this.owner?.upgraded(this.code);
  }

  malformed(): void {
    this.isBegun = true;
    this.giveUp(NO_RESPONSE);
  }

  /**
   * A response without a request, such as 408 when an idle connection's time is over: the destination is about to
   * close.
   */
  unsolicited(_code: number): void {
    this.isLast = true;
    const { owner } = this;
    owner?.over("closed", this.leave(true));
  }

  giveUp(why: string): void {
    this.upstream.giveUp(why);
  }

  /** The destination closes the connection, perhaps without having announced it. */
  private noteClose(): void {
    if (this.isLast || this.isBegun) return;
    this.isLast = true;
    this.destination.keepAlive.closed(this, this.destination.now());
  }
}
