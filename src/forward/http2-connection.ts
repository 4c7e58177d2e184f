/**
 * An HTTP/2 connection to a destination, as its client: sends calls within the destination's limits, and tells the
 * outcome of each. https://www.rfc-editor.org/rfc/rfc9113
 *
 * No call is sent before the destination's SETTINGS have come: so none of them is violated, and a server without HTTP/2
 * gets no request. Bodies are sent in turns, one frame each, as far as both windows reach.
 */
import {
  ErrorCode,
  FRAME_BYTES_DEFAULT,
  Setting,
  STREAM_MAX,
  WINDOW_DEFAULT,
  WINDOW_MAX,
} from "../http/http2/frames.ts";
import { type BlockFault, type FrameListener, FrameReader } from "../http/http2/frame-reader.ts";
import { encodeHead, encodeTrailer } from "../http/http2/head-encoder.ts";
import { HpackDecoder, TABLE_BYTES_DEFAULT } from "../http/http2/hpack-decoder.ts";
import { HpackEncoder } from "../http/http2/hpack-encoder.ts";
import { COUNTED_FIELDS, RESPONSE_BLOCK_BYTES_MAX, ResponseHead } from "../http/http2/response-head.ts";
import { StreamTable } from "../http/http2/stream-table.ts";
import { HTTP2_PREFACE } from "../http/foreign.ts";
import { Cost } from "../memory/budget.ts";
import { Timer, type TimerOwner } from "../memory/deadlines.ts";
import type { Destination } from "./destination.ts";
import type { Recorder, Witness } from "./exchange.ts";
import type { CallCarrier, Http2Call } from "./http2-call.ts";
import { Http2Output } from "./http2-output.ts";
import type { RequestPool } from "./request.ts";
import { LINGER_MS, type Upstream, type UpstreamEnd, type UpstreamListener } from "./upstream.ts";

/** The most calls in flight on a connection, even if the destination allows more. */
export const CALLS_IN_FLIGHT_MAX = 256;
/** Our window, for each response and for the connection: it can be large, because content is not kept. */
const OWN_WINDOW = 1 << 24;
/** No bodies are handed over while this much waits for the kernel. */
export const BACKLOG_BYTES_MAX = 256 << 10;
/** The most bytes that may wait when another of our replies follows, if a destination asks and does not read. */
export const REPLIES_BYTES_MAX = 1 << 20;
/** The longest frame that is made: every destination allows it, and streams take turns. */
const OWN_FRAME_BYTES_MAX = FRAME_BYTES_DEFAULT;
/** The time until one more call may begin on a connection that has responded to few. */
const PROBATION_MS = 1000;
/** RFC 9113, section 8.3.1: the scheme of this connection, which may differ from production's. */
const SECURE_SCHEME = "https";
/** The words for a response whose head is over {@link RESPONSE_BLOCK_BYTES_MAX}. */
export const HEAD_TOO_LONG = `a response has a header section of more than ${RESPONSE_BLOCK_BYTES_MAX >> 10} KiB`;
const NO_HTTP2 = "it does not speak HTTP/2 in clear text: turn HTTP/2 on there, or name an endpoint that has it";
/** RFC 9113, section 8.6: HTTP/2 has no response with this status. */
const SWITCHING_PROTOCOLS = 101;

/** Our first SETTINGS. */
const OWN_SETTINGS = [
  [Setting.ENABLE_PUSH, 0],
  [Setting.INITIAL_WINDOW_SIZE, OWN_WINDOW],
] as const;
const encoder = new HpackEncoder();
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
export class Http2Connection implements CallCarrier, UpstreamListener, FrameListener, TimerOwner {
  readonly upstream: Upstream;
  private readonly reader = new FrameReader(this, RESPONSE_BLOCK_BYTES_MAX, FRAME_BYTES_DEFAULT);
  private readonly decoder: HpackDecoder;
  private readonly out: Http2Output;
  /** Calls by the numbers of their streams. */
  private readonly calls = new StreamTable<Http2Call>();
  /** Calls with bytes that may be sent, in turn. */
  private readonly sending = new Set<Http2Call>();
  private nextStream = 1;
  /** The destination's SETTINGS have come. */
  isReady = false;
  /** No more calls are begun on it. */
  isLast = false;
  /** The number of calls that the destination processed, if it left out others; Infinity: it left out none. */
  lookedAt = Infinity;
  /** How many responses are complete. */
  private respondedCount = 0;
  /** Calls wait, and the destination allows none. */
  private isStarved = false;
  /** Calls wait, and the timer runs until one more may begin. */
  private isOnProbation = false;
  /** RFC 7541, section 4.2: the next header block must say that the dynamic table is smaller. */
  private owesTable = false;
  private hasToldTable = false;
  /** When bytes came last; exact to a tick. */
  receivedMs: number;
  /** The time of the present bytes or calls; 0: it was not read yet. */
  private stampMs = 0;
  private unacknowledgedBytes = 0;
  /** The bytes that the reader and the decoder hold, as they are charged. */
  private chargedBytes = 0;
  private isClosed = false;
  private readonly timer = new Timer(this);

  /** The witness of the call that was begun last; see {@link SocketEvents.witness}. */
  witness: Witness | null = null;
  /** Some responses are compared: their content matters. */
  private isRecording = false;

  // The destination's limits.
  private window = WINDOW_DEFAULT;
  private initialWindow = WINDOW_DEFAULT;
  private callsMax = CALLS_IN_FLIGHT_MAX;
  private headerListBytesMax = Infinity;
  private allowsExtendedConnect = false;

  /** `preface`: bytes that go first, such as a PROXY protocol header; null: none. */
  constructor(
    private readonly destination: Destination,
    private readonly requests: RequestPool,
    private owner: Http2ConnectionOwner | null,
    preface: Uint8Array | null,
    private readonly settingsTimeoutMs: number,
    /**
     * The most calls in flight before the first response; later, the number of responses is the limit. Some calls last
     * long, so the limit grows with time.
     */
    private firstCallsMax: number,
    /** Responses may be kept, with all of their fields. */
    isCompared: boolean,
  ) {
    this.decoder = new HpackDecoder(isCompared ? null : COUNTED_FIELDS);
    this.out = new Http2Output(destination.memory);
    this.receivedMs = destination.tickedMs;
    // A destination that ends it before its SETTINGS does not accept the connection, and this is reported: a client's
    // certificate may be missing.
    this.upstream = destination.connect(this, destination.options.http2Tls);
    destination.memory.take(Cost.HTTP2);
    if (preface !== null) this.out.put(preface, 0, preface.length);
    this.out.put(HTTP2_PREFACE, 0, HTTP2_PREFACE.length);
    this.out.putSettings(OWN_SETTINGS);
    this.out.putWindowUpdate(0, OWN_WINDOW - WINDOW_DEFAULT);
    this.hand();
  }

  /** Whether another call may be begun. */
  get mayBegin(): boolean {
    if (!this.isReady || this.isLast) return false;
    return this.calls.size < Math.min(this.callsMax, Math.max(this.firstCallsMax, this.respondedCount));
  }

  /** Whether a call was begun on it. */
  get hasBegun(): boolean {
    return this.nextStream > 1;
  }

  get inFlight(): number {
    return this.calls.size;
  }

  private get isFile(): boolean {
    return this.destination.options.address.file !== undefined;
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
    const request = call.request!;
    if (!this.hasBegun) this.destination.http2.heard();
    encoder.begin(this.owesTable);
    // A request without a scheme is a CONNECT, which has none.
    encodeHead(
      encoder,
      this.requests.headOf(request),
      request.headLength,
      call,
      this.isSecure && call.scheme !== "" ? SECURE_SCHEME : call.scheme,
    );
    const isAllowed = call.protocol === null || this.allowsExtendedConnect;
    if (encoder.listBytes > this.headerListBytesMax || !isAllowed) {
      this.owner!.callEnded(call, CallEnd.NOT_ALLOWED);
      return;
    }
    if (this.isFile) this.handAlone();
    this.witness = request.exchange === null ? null : request.exchange.witness;
    call.number = this.nextStream;
    call.window = this.initialWindow;
    call.startPosition = this.out.position;
    call.offset = request.headLength;
    call.sentMs = this.destination.tickedMs;
    this.isRecording ||= call.recorder !== null;
    call.handedMs = call.sentMs;
    if (request.long !== null) {
      request.long.drop(request.headLength);
      request.headLength = 0;
      // Its bytes are handed over as they are sent, and not kept.
      request.isStreamed = true;
    }
    this.nextStream += 2;
    if (this.nextStream > STREAM_MAX) this.isLast = true;
    this.calls.add(call.number, call);
    this.upstream.mayEnd = false;
    this.out.noteTimestamp(request.timestampMs);
    const isAll = call.isWhole && this.leftOf(call) === 0 && call.trailer === "";
    this.putBlock(call, isAll);
    if (isAll) this.sent(call);
    else this.sending.add(call);
  }

  /** More of a call has come, or its end. */
  more(call: Http2Call): void {
    if (call.isUnwanted) {
      if (call.isWhole) this.end(call, CallEnd.RESPONDED);
      return;
    }
    this.out.noteTimestamp(call.request!.timestampMs);
    this.sending.add(call);
  }

  /** Cancels a call. No more events of it are reported. */
  cancel(call: Http2Call): void {
    this.out.putReset(call.number, ErrorCode.CANCEL);
    this.drop(call);
  }

  /** Calls wait for it. The wait has a time limit if the destination allows no call, or has responded to few. */
  await(): void {
    if (!this.isReady || this.isLast) return;
    if (this.callsMax === 0 && !this.isStarved) {
      this.isStarved = true;
      this.expireIn(this.settingsTimeoutMs);
    } else if (this.callsMax > 0 && this.firstCallsMax < CALLS_IN_FLIGHT_MAX && !this.isOnProbation) {
      this.isOnProbation = true;
      this.expireIn(PROBATION_MS);
    }
  }

  /** Hands over the bytes that may be sent, in turns. Returns whether there were any. */
  flush(): boolean {
    while (this.sending.size > 0 && this.mayHandOver()) {
      const before = this.out.position;
      for (const call of this.sending) {
        if (!this.mayHandOver()) break;
        this.sendSome(call);
      }
      // No byte of any call may be sent before the destination allows more.
      if (this.out.position === before) break;
    }
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
    this.expireIn(this.settingsTimeoutMs);
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

  /** The destination's SETTINGS have not come, or they allow no call, or calls wait for responses (Deadlines). */
  expire(): void {
    const { isStarved } = this;
    if (!this.isReady) {
      this.giveUp(`no HTTP/2 SETTINGS within ${this.settingsTimeoutMs} ms (--response-timeout-ms)`);
      return;
    }
    this.isStarved = false;
    this.isOnProbation = false;
    if (isStarved) {
      this.owner?.allowedNone();
    } else {
      this.firstCallsMax++;
      this.owner?.ready();
    }
  }

  private expireIn(ms: number): void {
    this.destination.deadlines.set(this.timer, this.destination.tickedMs + ms);
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
      const isInterim = head.status > 0 && head.status < 200;
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
      this.sending.delete(call);
      if (call.isWhole) this.end(call, CallEnd.RESPONDED);
      return;
    }
    this.destination.counters.http2.resets++;
    this.end(call, code === ErrorCode.REFUSED_STREAM ? CallEnd.UNPROCESSED : CallEnd.RESET);
  }

  setting(name: number, value: number): void {
    switch (name) {
      case Setting.HEADER_TABLE_SIZE:
        this.owesTable ||= !this.hasToldTable && value < TABLE_BYTES_DEFAULT;
        break;
      case Setting.MAX_CONCURRENT_STREAMS:
        this.callsMax = Math.min(value, CALLS_IN_FLIGHT_MAX);
        if (value > 0) this.feed();
        break;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_MAX) return this.malformed();
        for (const [, call] of this.calls.entries()) call.window += value - this.initialWindow;
        this.initialWindow = value;
        break;
      case Setting.MAX_FRAME_SIZE:
        if (value < FRAME_BYTES_DEFAULT) return this.malformed();
        break;
      case Setting.MAX_HEADER_LIST_SIZE:
        this.headerListBytesMax = value;
        break;
      case Setting.ENABLE_CONNECT_PROTOCOL:
        this.allowsExtendedConnect = value === 1;
        break;
      default:
    }
  }

  settingsEnd(isAcknowledgment: boolean): void {
    if (isAcknowledgment) {
      if (!this.isReady) this.malformed();
      return;
    }
    if (!this.isReady) {
      this.destination.deadlines.remove(this.timer);
      this.upstream.mayEnd = true;
    }
    this.isReady = true;
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
    if (!this.isReady) return this.malformed();
    if (number === 0) {
      this.window += increment;
      if (this.window > WINDOW_MAX) this.malformed();
      return;
    }
    const call = this.calls.get(number);
    if (call === undefined) return;
    call.window += increment;
    if (call.window > WINDOW_MAX) this.malformed();
  }

  /** The destination allows calls again. */
  private feed(): void {
    if (!this.isStarved) return;
    this.isStarved = false;
    this.isOnProbation = false;
    this.destination.deadlines.clear(this.timer);
  }

  malformed(): void {
    this.reader.isOver = true;
    if (this.isReady || this.isSecure) this.giveUp("it sent bytes that are not HTTP/2");
    else this.upstream.giveUp(NO_HTTP2, "other_protocol");
  }

  // Sending.

  private mayHandOver(): boolean {
    if (this.upstream.backlogBytes + this.out.length < BACKLOG_BYTES_MAX) return true;
    this.upstream.tellsDrained = true;
    return false;
  }

  /** How many bytes of a call's body have come and were not handed over. */
  private leftOf({ request, offset }: Http2Call): number {
    return request!.long === null ? request!.length - offset : request!.long.length;
  }

  /** Hands over one frame of a call, as far as the windows reach. */
  private sendSome(call: Http2Call): void {
    const left = this.leftOf(call);
    const most = left === 0 ? 0 : Math.min(left, OWN_FRAME_BYTES_MAX, this.window, call.window);
    if (most < 0 || (most === 0 && left > 0)) return;
    const isRest = most === left;
    const ends = isRest && call.isWhole && call.trailer === "";
    if (left > 0 || ends) {
      this.out.putData(call.request!, call.offset, most, call.number, ends);
      call.offset += most;
      call.handedMs = this.destination.tickedMs;
      call.window -= most;
      this.window -= most;
    }
    if (!isRest) return;
    if (call.isWhole && call.trailer !== "") {
      encoder.begin(this.owesTable);
      encodeTrailer(encoder, call.trailer);
      this.putBlock(call, true);
    }
    this.sending.delete(call);
    if (call.isWhole) this.sent(call);
  }

  /** Sends the block that was encoded last. */
  private putBlock(call: Http2Call, endsStream: boolean): void {
    this.hasToldTable ||= this.owesTable;
    this.owesTable = false;
    this.out.putBlock(encoder, call.number, endsStream, OWN_FRAME_BYTES_MAX);
  }

  /** All of a call has been handed over. */
  private sent(call: Http2Call): void {
    call.isSent = true;
    call.writtenMs = this.nowMs;
    call.endPosition = this.out.position;
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
    if (this.sending.size > 0) this.sending.delete(call);
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
    this.sending.clear();
    this.out.clear();
    this.destination.deadlines.remove(this.timer);
    this.charge(0);
    this.destination.memory.giveBack(Cost.HTTP2);
  }

  private charge(heldBytes: number): void {
    this.destination.memory.take(heldBytes - this.chargedBytes);
    this.chargedBytes = heldBytes;
  }
}
