/**
 * An HTTP/2 connection to a destination, as its client: sends calls within the destination's limits, and tells the
 * outcome of each. https://www.rfc-editor.org/rfc/rfc9113
 *
 * No call is sent before the destination's SETTINGS have come: so none of them is violated, and a server without HTTP/2
 * gets no request. Bodies are sent in turns, one frame each, as far as both windows reach.
 */
import {
  ErrorCode,
  Flag,
  FRAME_BYTES_DEFAULT,
  FRAME_HEADER_LEN,
  FrameType,
  PING_LEN,
  RST_STREAM_LEN,
  Setting,
  SETTING_LEN,
  STREAM_MAX,
  WINDOW_DEFAULT,
  WINDOW_MAX,
  WINDOW_UPDATE_LEN,
  writeFrameHeader,
  writeWord,
} from "../http/http2/frames.ts";
import { type BlockFault, type FrameListener, FrameReader } from "../http/http2/frame-reader.ts";
import { encodeHead, encodeTrailer } from "../http/http2/head-encoder.ts";
import { HpackDecoder } from "../http/http2/hpack-decoder.ts";
import { HpackEncoder } from "../http/http2/hpack-encoder.ts";
import { COUNTED_FIELDS, RESPONSE_BLOCK_BYTES_MAX, ResponseHead } from "../http/http2/response-head.ts";
import { HTTP2_PREFACE } from "../http/foreign.ts";
import { Cost } from "../memory/budget.ts";
import { Timer, type TimerOwner } from "../memory/deadlines.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { Destination } from "./destination.ts";
import type { Recorder, Witness } from "./exchange.ts";
import type { CallCarrier, Http2Call } from "./http2-call.ts";
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
/** The longest frame that is made, even if the destination allows more: so streams take turns. */
const OWN_FRAME_BYTES_MAX = FRAME_BYTES_DEFAULT;
const NO_TIMESTAMP = -1;
/** RFC 9113, section 8.3.1: the scheme of this connection, which may differ from production's. */
const SECURE_SCHEME = "https";
/** The words for a response whose head is over {@link RESPONSE_BLOCK_BYTES_MAX}. */
export const HEAD_TOO_LONG = `a response has a header section of more than ${RESPONSE_BLOCK_BYTES_MAX >> 10} KiB`;
const NO_HTTP2 = "it does not speak HTTP/2 in clear text: turn HTTP/2 on there, or name an endpoint that has it";
/** RFC 9113, section 8.6: HTTP/2 has no response with this status. */
const SWITCHING_PROTOCOLS = 101;

/** Short frames are put together here, and copied from here. */
const scratch = new Uint8Array(FRAME_HEADER_LEN + Math.max(PING_LEN, 2 * SETTING_LEN));
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
  /** Bytes have come. The responses that they complete were reported already; more calls may be due now. */
  received(): void;
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
  private readonly out: ByteQueue;
  /** Calls by the numbers of their streams. */
  private readonly calls = new Map<number, Http2Call>();
  /** Calls with bytes that may be sent, in turn. */
  private readonly sending = new Set<Http2Call>();
  private nextStream = 1;
  /** The destination's SETTINGS have come. */
  isReady = false;
  /** No more calls are begun on it. */
  isLast = false;
  /** When bytes came last; exact to a tick. */
  receivedMs: number;
  /** The number of all bytes that it was given. */
  private position = 0;
  private timestampMs = NO_TIMESTAMP;
  /** The time of the present bytes or calls; 0: it was not read yet. */
  private stampMs = 0;
  private unacknowledgedBytes = 0;
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
  private frameBytesMax = FRAME_BYTES_DEFAULT;
  private headerListBytesMax = Infinity;
  private allowsExtendedConnect = false;

  /** `preface`: bytes that go first, such as a PROXY protocol header; null: none. */
  constructor(
    private readonly destination: Destination,
    private readonly requests: RequestPool,
    private owner: Http2ConnectionOwner | null,
    preface: Uint8Array | null,
    private readonly settingsTimeoutMs: number,
    /** Responses may be kept, with all of their fields. */
    isCompared: boolean,
  ) {
    this.decoder = new HpackDecoder(isCompared ? null : COUNTED_FIELDS);
    this.out = new ByteQueue(destination.memory);
    this.receivedMs = destination.tickedMs;
    // A destination that ends it before its SETTINGS does not accept the connection, and this is reported: a client's
    // certificate may be missing.
    this.upstream = destination.connect(this, destination.options.http2Tls);
    destination.memory.take(Cost.HTTP2);
    if (preface !== null) this.put(preface, 0, preface.length);
    this.put(HTTP2_PREFACE, 0, HTTP2_PREFACE.length);
    this.beginFrame(2 * SETTING_LEN, FrameType.SETTINGS, 0, 0);
    this.putSetting(0, Setting.ENABLE_PUSH, 0);
    this.putSetting(1, Setting.INITIAL_WINDOW_SIZE, OWN_WINDOW);
    this.put(scratch, 0, FRAME_HEADER_LEN + 2 * SETTING_LEN);
    this.putWindowUpdate(0, OWN_WINDOW - WINDOW_DEFAULT);
    this.hand();
  }

  /** Whether another call may be begun. */
  get mayBegin(): boolean {
    return this.isReady && !this.isLast && this.calls.size < this.callsMax;
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
    const text = this.requests.headOf(request);
    encodeHead(encoder, text, call, this.isSecure ? SECURE_SCHEME : call.scheme);
    const isAllowed = call.protocol === null || this.allowsExtendedConnect;
    if (encoder.listBytes > this.headerListBytesMax || !isAllowed) {
      this.owner!.callEnded(call, CallEnd.NOT_ALLOWED);
      return;
    }
    if (this.isFile) this.handAlone();
    this.witness = request.exchange === null ? null : request.exchange.witness;
    call.number = this.nextStream;
    call.window = this.initialWindow;
    call.startPosition = this.position;
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
    this.calls.set(call.number, call);
    this.upstream.mayEnd = false;
    this.noteTimestamp(request.timestampMs);
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
    this.noteTimestamp(call.request!.timestampMs);
    this.sending.add(call);
  }

  /** Cancels a call. No more events of it are reported. */
  cancel(call: Http2Call): void {
    this.putReset(call.number, ErrorCode.CANCEL);
    this.drop(call);
  }

  /** Hands over the bytes that may be sent, in turns. */
  flush(): void {
    while (this.sending.size > 0 && this.mayHandOver()) {
      const before = this.position;
      for (const call of this.sending) {
        if (!this.mayHandOver()) break;
        this.sendSome(call);
      }
      // No byte of any call may be sent before the destination allows more.
      if (this.position === before) break;
    }
    this.hand();
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
    this.destination.deadlines.set(this.timer, this.destination.tickedMs + this.settingsTimeoutMs);
  }

  received(bytes: Uint8Array): void {
    this.stampMs = 0;
    this.receivedMs = this.destination.tickedMs;
    this.reader.push(bytes, 0, bytes.length);
    this.flush();
    this.owner?.received();
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

  /** The destination's SETTINGS have not come (Deadlines). */
  expire(): void {
    this.giveUp(`no HTTP/2 SETTINGS within ${this.settingsTimeoutMs} ms (--response-timeout-ms)`);
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
      this.putWindowUpdate(0, this.unacknowledgedBytes);
      this.unacknowledgedBytes = 0;
    }
    const call = this.calls.get(number);
    if (call === undefined) return;
    if (call.status === 0) return this.malformed();
    this.owner?.progressed(call);
    if (endsStream) return this.responded(call);
    call.unacknowledgedBytes += length;
    if (call.unacknowledgedBytes < OWN_WINDOW / 2) return;
    this.putWindowUpdate(number, call.unacknowledgedBytes);
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
      case Setting.MAX_CONCURRENT_STREAMS:
        this.callsMax = Math.min(value, CALLS_IN_FLIGHT_MAX);
        break;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_MAX) return this.malformed();
        for (const call of this.calls.values()) call.window += value - this.initialWindow;
        this.initialWindow = value;
        break;
      case Setting.MAX_FRAME_SIZE:
        if (value < FRAME_BYTES_DEFAULT) return this.malformed();
        this.frameBytesMax = Math.min(value, OWN_FRAME_BYTES_MAX);
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
      this.destination.http2.heard();
    }
    this.isReady = true;
    this.beginFrame(0, FrameType.SETTINGS, Flag.ACK, 0);
    this.reply(0);
    this.owner?.ready();
  }

  ping(payload: Uint8Array, isAcknowledgment: boolean): void {
    if (!this.isReady) return this.malformed();
    if (isAcknowledgment) return;
    this.beginFrame(PING_LEN, FrameType.PING, Flag.ACK, 0);
    scratch.set(payload.subarray(0, PING_LEN), FRAME_HEADER_LEN);
    this.reply(PING_LEN);
  }

  goAway(lastStream: number, _code: number): void {
    if (!this.isReady) return this.malformed();
    this.destination.counters.http2.goaways++;
    this.isLast = true;
    for (const call of [...this.calls.values()])
      if (call.number > lastStream && !call.isResponded) this.end(call, CallEnd.UNPROCESSED);
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
    const most = left === 0 ? 0 : Math.min(left, this.frameBytesMax, this.window, call.window);
    if (most < 0 || (most === 0 && left > 0)) return;
    const isRest = most === left;
    const ends = isRest && call.isWhole && call.trailer === "";
    if (left > 0 || ends) this.putData(call, most, ends);
    if (!isRest) return;
    if (call.isWhole && call.trailer !== "") {
      encodeTrailer(encoder, call.trailer);
      this.putBlock(call, true);
    }
    this.sending.delete(call);
    if (call.isWhole) this.sent(call);
  }

  private putData(call: Http2Call, length: number, ends: boolean): void {
    this.beginFrame(length, FrameType.DATA, ends ? Flag.END_STREAM : 0, call.number);
    this.put(scratch, 0, FRAME_HEADER_LEN);
    const { long, bytes } = call.request!;
    if (long === null) {
      this.put(bytes, call.offset, length);
    } else {
      for (let left = length; left > 0;) {
        const taken = Math.min(left, long.firstLength);
        this.put(long.bytes, long.offset, taken);
        long.consume(taken);
        left -= taken;
      }
    }
    call.offset += length;
    call.handedMs = this.destination.tickedMs;
    call.window -= length;
    this.window -= length;
  }

  /** Sends the block that was encoded last, in as many frames as it needs. */
  private putBlock(call: Http2Call, endsStream: boolean): void {
    const { block, length } = encoder;
    let type: number = FrameType.HEADERS;
    for (let at = 0; at < length || type === FrameType.HEADERS;) {
      const taken = Math.min(length - at, this.frameBytesMax);
      const flags =
        (at + taken === length ? Flag.END_HEADERS : 0) |
        (type === FrameType.HEADERS && endsStream ? Flag.END_STREAM : 0);
      this.beginFrame(taken, type, flags, call.number);
      this.put(scratch, 0, FRAME_HEADER_LEN);
      this.put(block, at, taken);
      at += taken;
      type = FrameType.CONTINUATION;
    }
  }

  /** All of a call has been handed over. */
  private sent(call: Http2Call): void {
    call.isSent = true;
    call.writtenMs = this.nowMs;
    call.endPosition = this.position;
    if (call.status > 0) call.recorder?.written(call.writtenMs);
    if (call.isResponded) this.end(call, CallEnd.RESPONDED);
  }

  private responded(call: Http2Call): void {
    call.isResponded = true;
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
    this.sending.delete(call);
    this.calls.delete(call.number);
    if (this.calls.size === 0) this.upstream.mayEnd = true;
  }

  private putReset(number: number, code: number): void {
    this.beginFrame(RST_STREAM_LEN, FrameType.RST_STREAM, 0, number);
    writeWord(scratch, FRAME_HEADER_LEN, code);
    this.put(scratch, 0, FRAME_HEADER_LEN + RST_STREAM_LEN);
  }

  private putWindowUpdate(number: number, increment: number): void {
    this.beginFrame(WINDOW_UPDATE_LEN, FrameType.WINDOW_UPDATE, 0, number);
    writeWord(scratch, FRAME_HEADER_LEN, increment);
    this.put(scratch, 0, FRAME_HEADER_LEN + WINDOW_UPDATE_LEN);
  }

  private putSetting(place: number, name: number, value: number): void {
    const at = FRAME_HEADER_LEN + place * SETTING_LEN;
    scratch[at] = name >>> 8;
    scratch[at + 1] = name;
    writeWord(scratch, at + 2, value);
  }

  /** Sends the frame in {@link scratch}, a reply to the destination. A destination may ask for many. */
  private reply(length: number): void {
    if (this.upstream.backlogBytes + this.out.length > REPLIES_BYTES_MAX)
      this.giveUp("it sends frames that need replies, and does not read the replies");
    else this.put(scratch, 0, FRAME_HEADER_LEN + length);
  }

  private beginFrame(length: number, type: number, flags: number, number: number): void {
    writeFrameHeader(scratch, 0, length, type, flags, number);
  }

  private put(bytes: Uint8Array, offset: number, length: number): void {
    this.out.push(bytes, offset, length);
    this.position += length;
  }

  private noteTimestamp(timestampMs: number): void {
    if (this.timestampMs === NO_TIMESTAMP) this.timestampMs = timestampMs;
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

  /** Gives the bytes that were put together to the upstream. */
  private hand(): void {
    this.stampMs = 0;
    if (this.out.length > 0) this.upstream.writeQueue(this.out, this.timestampMs);
    this.timestampMs = NO_TIMESTAMP;
  }

  // The end of the connection.

  private tellOver(how: UpstreamEnd, unsentBytes: number): void {
    const { owner } = this;
    this.owner = null;
    const takenBytes = this.position - this.out.length - unsentBytes;
    const calls = [...this.calls.values()];
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
    this.destination.memory.giveBack(Cost.HTTP2);
  }
}
