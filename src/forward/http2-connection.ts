/**
 * An HTTP/2 connection to a destination, as its client: reads the destination's frames, and tells the outcome of each
 * call. Calls are sent by {@link Http2Sender}. https://www.rfc-editor.org/rfc/rfc9113
 *
 * No call is sent before the destination's SETTINGS have come: so none of them is violated, and a server without HTTP/2
 * gets no request.
 */
import { ErrorCode, FRAME_BYTES_DEFAULT, Setting, STREAM_MAX, WINDOW_DEFAULT } from "../http/http2/frames.ts";
import { type BlockFault, type FrameListener, FrameReader } from "../http/http2/frame-reader.ts";
import { HpackDecoder } from "../http/http2/hpack-decoder.ts";
import { COUNTED_FIELDS, RESPONSE_BLOCK_BYTES_MAX, ResponseHead } from "../http/http2/response-head.ts";
import { StreamTable } from "../http/http2/stream-table.ts";
import { HTTP2_PREFACE } from "../http/foreign.ts";
import { FINAL_CODE_MIN, SWITCHING_PROTOCOLS } from "../http/status-line.ts";
import { Cost } from "../memory/budget.ts";
import type { Destination } from "./destination.ts";
import type { Recorder, Witness } from "./exchange.ts";
import type { CallCarrier, Http2Call } from "./http2-call.ts";
import { CallLimit, type CallLimitOwner } from "./http2-call-limit.ts";
import { Http2Output } from "./http2-output.ts";
import { Http2Sender, type SenderOwner } from "./http2-sender.ts";
import type { RequestPool } from "./request.ts";
import { LINGER_MS, type Upstream, type UpstreamEnd, type UpstreamListener } from "./upstream.ts";

/** Our window, for each response and for the connection: it can be large, because content is not kept. */
const OWN_WINDOW = 1 << 24;
/** The most bytes that may wait when another of our replies follows, if a destination asks and does not read. */
export const REPLIES_BYTES_MAX = 1 << 20;
/** The words for a response whose head is over {@link RESPONSE_BLOCK_BYTES_MAX}. */
export const HEAD_TOO_LONG = `a response has a header section of more than ${RESPONSE_BLOCK_BYTES_MAX >> 10} KiB`;
const NO_HTTP2 = "it does not speak HTTP/2 in clear text: turn HTTP/2 on there, or name an endpoint that has it";

/** Our first SETTINGS. */
const OWN_SETTINGS = [
  [Setting.ENABLE_PUSH, 0],
  [Setting.INITIAL_WINDOW_SIZE, OWN_WINDOW],
] as const;
const head = new ResponseHead();

/** The outcome of a call on a connection. */
export const CallEnd = {
  /** The response is complete. */
  RESPONDED: 0,
  /** The destination has reported that it did not process the call. */
  UNPROCESSED: 1,
  /** The destination has ended the call without a whole response. */
  RESET: 2,
  /** The destination's SETTINGS do not allow the call. */
  NOT_ALLOWED: 3,
} as const;

/** Gets the events of the connection, until it leaves the connection or hears that it is over. */
export interface Http2ConnectionOwner {
  /** Calls may be begun, or more than before. */
  ready(): void;
  /** The destination has not allowed any call for as long as a response may take. */
  allowedNone(): void;
  /**
   * Bytes have come. The responses that they complete were reported already; more calls may be due now. `hasHanded`:
   * the upstream got bytes, which leave after all events.
   */
  received(hasHanded: boolean): void;
  interim(): void;
  /** Some of the call's response has come. */
  progressed(call: Http2Call): void;
  /** The call is not on the connection any more. */
  callEnded(call: Http2Call, end: number): void;
  /** The connection is over, and with it its calls, in the order of their starts. `takenBytes`: see Http2Call. */
  over(connection: Http2Connection, how: UpstreamEnd, calls: Http2Call[], takenBytes: number): void;
}

/** One upstream connection of HTTP/2. */
export class Http2Connection implements CallCarrier, CallLimitOwner, FrameListener, SenderOwner, UpstreamListener {
  readonly upstream: Upstream;
  private readonly reader = new FrameReader(this, RESPONSE_BLOCK_BYTES_MAX, FRAME_BYTES_DEFAULT);
  private readonly decoder: HpackDecoder;
  private readonly out: Http2Output;
  private readonly sender: Http2Sender;
  private readonly limit: CallLimit;
  /** Calls by the numbers of their streams. */
  private readonly calls = new StreamTable<Http2Call>();
  private nextStream = 1;
  /** No more calls are begun on it. */
  isLast = false;
  /** The number of calls that the destination processed, if it left out others; Infinity: it left out none. */
  lookedAt = Infinity;
  /** How many responses are complete. */
  private respondedCount = 0;
  /** When bytes came last; exact to a tick. */
  receivedMs: number;
  /** The time of the present bytes or calls; 0: it was not read yet. */
  private stampMs = 0;
  private unacknowledgedBytes = 0;
  /** The bytes that the reader and the decoder hold, as they are charged. */
  private chargedBytes = 0;
  private isClosed = false;

  /** The witness of the call that was begun last; see {@link SocketEvents.witness}. */
  witness: Witness | null = null;
  /** Some responses are compared: their content matters. */
  private isRecording = false;

  /** `preface`: bytes that go first, such as a PROXY protocol header; null: none. */
  constructor(
    private readonly destination: Destination,
    requests: RequestPool,
    private owner: Http2ConnectionOwner | null,
    preface: Uint8Array | null,
    settingsTimeoutMs: number,
    /** The most calls in flight before the first response; see {@link CallLimit}. */
    firstCallsMax: number,
    /** Responses may be kept, with all of their fields. */
    isCompared: boolean,
  ) {
    this.decoder = new HpackDecoder(isCompared ? null : COUNTED_FIELDS);
    this.out = new Http2Output(destination.memory);
    this.receivedMs = destination.tickedMs;
    // A destination that ends it before its SETTINGS does not accept the connection, and this is reported: a client's
    // certificate may be missing.
    this.upstream = destination.connect(this, destination.options.http2Tls);
    this.sender = new Http2Sender(this, destination, requests, this.upstream, this.out, this.calls);
    this.limit = new CallLimit(this, destination, settingsTimeoutMs, firstCallsMax);
    destination.memory.take(Cost.HTTP2);
    if (preface !== null) this.out.put(preface, 0, preface.length);
    this.out.put(HTTP2_PREFACE, 0, HTTP2_PREFACE.length);
    this.out.putSettings(OWN_SETTINGS);
    this.out.putWindowUpdate(0, OWN_WINDOW - WINDOW_DEFAULT);
    this.hand();
  }

  /** Whether another call may be begun. */
  get mayBegin(): boolean {
    return !this.isLast && this.limit.allows(this.calls.size, this.respondedCount);
  }

  /** Whether a call was begun on it. */
  get hasBegun(): boolean {
    return this.nextStream > 1;
  }

  get inFlight(): number {
    return this.calls.size;
  }

  private get isReady(): boolean {
    return this.limit.isReady;
  }

  private get isSecure(): boolean {
    return this.destination.options.http2Tls !== null;
  }

  /** Whether some of its bytes wait for the kernel. */
  get hasBacklog(): boolean {
    return this.upstream.backlogBytes > 0;
  }

  // Calls.

  /** Sends a call's head; {@link flush} sends the bytes of its body that have come. */
  begin(call: Http2Call): void {
    const { exchange } = call.request!;
    if (!this.hasBegun) this.destination.http2.heard();
    if (!this.sender.encode(call)) {
      this.owner!.callEnded(call, CallEnd.NOT_ALLOWED);
      return;
    }
    if (this.destination.isFile) this.handAlone();
    this.witness = exchange === null ? null : exchange.witness;
    this.isRecording ||= call.recorder !== null;
    this.upstream.mayEnd = false;
    this.calls.add(this.nextStream, call);
    this.sender.begin(call, this.nextStream);
    this.nextStream += 2;
    if (this.nextStream > STREAM_MAX) this.isLast = true;
  }

  /** More of a call has come, or its end. */
  more(call: Http2Call): void {
    if (call.isUnwanted) {
      if (call.isWhole) this.end(call, CallEnd.RESPONDED);
      return;
    }
    this.sender.more(call);
  }

  /** Cancels a call. No more events of it are reported. */
  cancel(call: Http2Call): void {
    this.out.putReset(call.number, ErrorCode.CANCEL);
    this.drop(call);
  }

  /** Calls wait for it. */
  await(): void {
    if (!this.isLast) this.limit.await();
  }

  /** Hands over the bytes that may be sent, in turns. Returns whether there were any. */
  flush(): boolean {
    this.sender.sendBodies();
    return this.hand();
  }

  /** Ends the connection with a FIN: it has no owner any more. */
  leave(): void {
    this.owner = null;
    this.close();
    this.upstream.detach();
    this.upstream.finish(LINGER_MS, 0);
  }

  giveUp(why: string): void {
    this.upstream.giveUp(why);
  }

  // Events of the upstream (UpstreamListener).

  opened(): void {
    this.limit.awaitSettings();
  }

  received(bytes: Uint8Array): void {
    this.stampMs = 0;
    this.receivedMs = this.destination.tickedMs;
    this.reader.push(bytes, 0, bytes.length);
    this.charge(this.isClosed ? 0 : this.reader.heldBytes + this.decoder.heldBytes);
    const hasHanded = this.flush();
    this.owner?.received(hasHanded);
  }

  drained(): void {
    this.flush();
    this.owner?.ready();
  }

  ended(): void {
    if (!this.isReady) {
      this.upstream.breakOff();
      return;
    }
    // Calls in flight get no more responses.
    this.tellOver("closed", this.upstream.discard());
    this.upstream.detach();
    this.upstream.finish(LINGER_MS, 0);
  }

  closed(how: UpstreamEnd, unsentBytes: number): void {
    this.tellOver(how, unsentBytes);
  }

  // Events of the limit (CallLimitOwner).

  ready(): void {
    this.owner?.ready();
  }

  settingsMissed(timeoutMs: number): void {
    this.giveUp(`no HTTP/2 SETTINGS within ${timeoutMs} ms (--response-timeout-ms)`);
  }

  allowedNone(): void {
    this.owner?.allowedNone();
  }

  // The destination's frames (FrameListener).

  data(number: number, bytes: Uint8Array, offset: number, length: number): void {
    if (this.isRecording) this.calls.get(number)?.recorder?.body(bytes, offset, offset + length);
  }

  dataLost(): void {}

  dataEnd(number: number, length: number, endsStream: boolean): void {
    if (!this.isReady) return this.malformed();
    this.unacknowledgedBytes += length;
    if (this.unacknowledgedBytes >= OWN_WINDOW / 2) {
      this.out.putWindowUpdate(0, this.unacknowledgedBytes);
      this.unacknowledgedBytes = 0;
    }
    const call = this.calls.get(number);
    if (call === undefined) return;
    if (call.status === 0) return this.malformed();
    this.owner?.progressed(call);
    if (endsStream) return this.responded(call);
    call.unacknowledgedBytes += length;
    if (call.unacknowledgedBytes < OWN_WINDOW / 2) return;
    this.out.putWindowUpdate(number, call.unacknowledgedBytes);
    call.unacknowledgedBytes = 0;
  }

  headers(number: number, block: Buffer, length: number, endsStream: boolean): void {
    const call = this.calls.get(number);
    head.begin(call !== undefined && call.recorder !== null);
    if (!this.isReady || !this.decoder.decode(block, length, head)) return this.malformed();
    if (call === undefined) return;
    this.owner?.progressed(call);
    if (call.status === 0) {
      const isInterim = head.status > 0 && head.status < FINAL_CODE_MIN;
      // RFC 9113, section 8.6: HTTP/2 has no response that switches protocols.
      if (head.status === 0 || (isInterim && (endsStream || head.status === SWITCHING_PROTOCOLS)))
        return this.malformed();
      if (isInterim) return this.owner?.interim();
      call.status = head.status;
      if (call.isSent) this.destination.countResponseTime(call.writtenMs, this.nowMs);
      if (call.recorder !== null) this.recordHead(call, call.recorder);
    } else call.recorder?.http2Trailer(head);
    if (head.grpcStatus >= 0) call.grpcStatus = head.grpcStatus;
    if (endsStream) this.responded(call);
  }

  private recordHead({ isSent, writtenMs }: Http2Call, recorder: Recorder): void {
    const nowMs = this.destination.now();
    recorder.received(nowMs, isSent ? writtenMs : nowMs);
    recorder.http2Head(head);
  }

  headersLost(_number: number, why: BlockFault): void {
    if (why !== "header_too_long") return this.malformed();
    this.reader.isOver = true;
    this.giveUp(HEAD_TOO_LONG);
  }

  promise(): void {}

  reset(number: number, code: number): void {
    if (!this.isReady) return this.malformed();
    const call = this.calls.get(number);
    if (call === undefined) return;
    if (call.isResponded) {
      // RFC 9113, section 8.1: the destination does not need the rest of the request.
      call.isUnwanted = true;
      this.sender.drop(call);
      if (call.isWhole) this.end(call, CallEnd.RESPONDED);
      return;
    }
    this.destination.counters.http2.resets++;
    this.end(call, code === ErrorCode.REFUSED_STREAM ? CallEnd.UNPROCESSED : CallEnd.RESET);
  }

  setting(name: number, value: number): void {
    if (name === Setting.MAX_CONCURRENT_STREAMS) this.limit.set(value);
    else if (!this.sender.setting(name, value)) this.malformed();
  }

  settingsEnd(isAcknowledgment: boolean): void {
    if (isAcknowledgment) {
      if (!this.isReady) this.malformed();
      return;
    }
    if (!this.isReady) {
      this.limit.settled();
      this.upstream.mayEnd = true;
    }
    if (this.mayReply()) this.out.putSettingsAcknowledgment();
    this.owner?.ready();
  }

  ping(payload: Uint8Array, isAcknowledgment: boolean): void {
    if (!this.isReady) return this.malformed();
    if (isAcknowledgment) return;
    if (this.mayReply()) this.out.putPingAcknowledgment(payload);
  }

  goAway(lastStream: number, _code: number): void {
    if (!this.isReady) return this.malformed();
    this.destination.counters.http2.goaways++;
    this.isLast = true;
    for (const [number, call] of this.calls.entries()) {
      if (number <= lastStream || call.isResponded) continue;
      // A client's streams have odd numbers.
      this.lookedAt = Math.ceil(lastStream / 2);
      this.end(call, CallEnd.UNPROCESSED);
    }
    this.owner?.ready();
  }

  windowUpdate(number: number, increment: number): void {
    if (!this.isReady || !this.sender.windowUpdate(number, increment)) this.malformed();
  }

  malformed(): void {
    this.reader.isOver = true;
    if (this.isReady || this.isSecure) this.giveUp("it sent bytes that are not HTTP/2");
    else this.upstream.giveUp(NO_HTTP2, "other_protocol");
  }

  // The ends of calls.

  /** All of a call has been handed over (SenderOwner). */
  sent(call: Http2Call): void {
    call.writtenMs = this.nowMs;
    if (call.status > 0) call.recorder?.written(call.writtenMs);
    if (call.isResponded) this.end(call, CallEnd.RESPONDED);
  }

  private responded(call: Http2Call): void {
    call.isResponded = true;
    this.respondedCount++;
    const { recorder } = call;
    if (recorder !== null) {
      recorder.received(this.destination.now(), call.writtenMs);
      call.request!.exchange?.responded(recorder, call.status);
    }
    if (call.isSent) this.end(call, CallEnd.RESPONDED);
  }

  private end(call: Http2Call, end: number): void {
    this.drop(call);
    this.owner?.callEnded(call, end);
  }

  private drop(call: Http2Call): void {
    this.sender.drop(call);
    this.calls.delete(call.number);
    if (this.calls.size === 0) this.upstream.mayEnd = true;
  }

  /** Whether the destination, which may ask for many replies, reads them. */
  private mayReply(): boolean {
    if (this.upstream.backlogBytes + this.out.length <= REPLIES_BYTES_MAX) return true;
    this.giveUp("it sends frames that need replies, and does not read the replies");
    return false;
  }

  /**
   * Hands over the bytes put together, in a write of their own: a file gets the capture time of a write's first bytes.
   */
  private handAlone(): void {
    this.hand();
    this.upstream.flush(this.destination.now());
  }

  /** The time; it is read once for all that comes, or is handed over, at a time. */
  private get nowMs(): number {
    if (this.stampMs === 0) this.stampMs = this.destination.now();
    return this.stampMs;
  }

  /** Gives the bytes that were put together to the upstream. Returns whether there were any. */
  private hand(): boolean {
    this.stampMs = 0;
    return this.out.hand(this.upstream);
  }

  // The end of the connection.

  private tellOver(how: UpstreamEnd, unsentBytes: number): void {
    const { owner } = this;
    this.owner = null;
    const takenBytes = this.out.position - this.out.length - unsentBytes;
    const calls = this.calls.entries().map(([, call]) => call);
    if (calls.length > 0 && how !== "given_up") this.lookedAt = this.respondedCount;
    this.close();
    owner?.over(this, how, calls, takenBytes);
  }

  private close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isLast = true;
    this.calls.clear();
    this.sender.clear();
    this.out.clear();
    this.limit.end();
    this.charge(0);
    this.destination.memory.giveBack(Cost.HTTP2);
  }

  private charge(heldBytes: number): void {
    this.destination.memory.take(heldBytes - this.chargedBytes);
    this.chargedBytes = heldBytes;
  }
}
