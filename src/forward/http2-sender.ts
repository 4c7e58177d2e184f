/**
 * The calls of one HTTP/2 connection on their way out: heads, bodies and trailer sections, within the limits of the
 * destination's SETTINGS and windows. Bodies are sent in turns, one frame each, as far as both windows reach.
 * https://www.rfc-editor.org/rfc/rfc9113#section-6.9
 */
import { FRAME_BYTES_DEFAULT, Setting, WINDOW_DEFAULT, WINDOW_MAX } from "../http/http2/frames.ts";
import { encodeHead, encodeTrailer } from "../http/http2/head-encoder.ts";
import { TABLE_BYTES_DEFAULT } from "../http/http2/hpack-decoder.ts";
import { HpackEncoder } from "../http/http2/hpack-encoder.ts";
import type { StreamTable } from "../http/http2/stream-table.ts";
import type { Destination } from "./destination.ts";
import type { Http2Call } from "./http2-call.ts";
import type { Http2Output } from "./http2-output.ts";
import type { RequestPool } from "./request.ts";
import type { Upstream } from "./upstream.ts";

/** No bodies are handed over while this much waits for the kernel. */
export const BACKLOG_BYTES_MAX = 256 << 10;
/** The longest frame that is made: every destination allows it, and streams take turns. */
const OWN_FRAME_BYTES_MAX = FRAME_BYTES_DEFAULT;
/** RFC 9113, section 8.3.1: the scheme of a connection with TLS, which may differ from production's. */
const SECURE_SCHEME = "https";

const encoder = new HpackEncoder();

/** Hears that all of a call has been handed over. */
export interface SenderOwner {
  sent(call: Http2Call): void;
}

/** The sender of one connection's calls. */
export class Http2Sender {
  /** Calls with bytes that may be sent, in turn. */
  private readonly sending = new Set<Http2Call>();
  /** RFC 7541, section 4.2: the next header block must say that the dynamic table is smaller. */
  private owesTable = false;
  private hasToldTable = false;

  // The destination's limits.
  private window = WINDOW_DEFAULT;
  private initialWindow = WINDOW_DEFAULT;
  private headerListBytesMax = Infinity;
  private allowsExtendedConnect = false;

  constructor(
    private readonly owner: SenderOwner,
    private readonly destination: Destination,
    private readonly requests: RequestPool,
    private readonly upstream: Upstream,
    private readonly out: Http2Output,
    /** Calls by the numbers of their streams. */
    private readonly calls: StreamTable<Http2Call>,
  ) {}

  // The destination's limits. Each returns false if the destination breaks RFC 9113.

  setting(name: number, value: number): boolean {
    switch (name) {
      case Setting.HEADER_TABLE_SIZE:
        this.owesTable ||= !this.hasToldTable && value < TABLE_BYTES_DEFAULT;
        return true;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_MAX) return false;
        for (const [, call] of this.calls.entries()) call.window += value - this.initialWindow;
        this.initialWindow = value;
        return true;
      case Setting.MAX_FRAME_SIZE:
        return value >= FRAME_BYTES_DEFAULT;
      case Setting.MAX_HEADER_LIST_SIZE:
        this.headerListBytesMax = value;
        return true;
      case Setting.ENABLE_CONNECT_PROTOCOL:
        this.allowsExtendedConnect = value === 1;
        return true;
      default:
        return true;
    }
  }

  windowUpdate(number: number, increment: number): boolean {
    if (number === 0) {
      this.window += increment;
      return this.window <= WINDOW_MAX;
    }
    const call = this.calls.get(number);
    if (call === undefined) return true;
    call.window += increment;
    return call.window <= WINDOW_MAX;
  }

  // Calls.

  /** Encodes a call's head, which {@link begin} sends. False: the destination's SETTINGS do not allow the call. */
  encode(call: Http2Call): boolean {
    const request = call.request!;
    encoder.begin(this.owesTable);
    const isSecure = this.destination.options.http2Tls !== null;
    const scheme = isSecure && call.scheme !== "" ? SECURE_SCHEME : call.scheme;
    encodeHead(encoder, this.requests.headOf(request), request.headLength, call, scheme);
    return encoder.listBytes <= this.headerListBytesMax && (call.protocol === null || this.allowsExtendedConnect);
  }

  /** Sends the head that was encoded last; {@link sendBodies} sends the bytes of its body that have come. */
  begin(call: Http2Call, number: number): void {
    const request = call.request!;
    call.number = number;
    call.window = this.initialWindow;
    call.startPosition = this.out.position;
    call.offset = request.headLength;
    call.sentMs = this.destination.tickedMs;
    call.handedMs = call.sentMs;
    if (request.long !== null) {
      request.long.drop(request.headLength);
      request.headLength = 0;
      // Its bytes are handed over as they are sent, and not kept.
      request.isStreamed = true;
    }
    this.out.noteTimestamp(request.timestampMs);
    const isAll = call.isWhole && leftOf(call) === 0 && call.trailer === "";
    this.putBlock(call, isAll);
    if (isAll) this.finish(call);
    else this.sending.add(call);
  }

  /** More of a call has come, or its end. */
  more(call: Http2Call): void {
    this.out.noteTimestamp(call.request!.timestampMs);
    this.sending.add(call);
  }

  /** No more of a call is sent. */
  drop(call: Http2Call): void {
    if (this.sending.size > 0) this.sending.delete(call);
  }

  clear(): void {
    this.sending.clear();
  }

  /** Puts the bytes together that may be sent, in turns. */
  sendBodies(): void {
    while (this.sending.size > 0 && this.mayHandOver()) {
      const before = this.out.position;
      for (const call of this.sending) {
        if (!this.mayHandOver()) break;
        this.sendSome(call);
      }
      // No byte of any call may be sent before the destination allows more.
      if (this.out.position === before) break;
    }
  }

  private mayHandOver(): boolean {
    if (this.upstream.backlogBytes + this.out.length < BACKLOG_BYTES_MAX) return true;
    this.upstream.tellsDrained = true;
    return false;
  }

  /** Hands over one frame of a call, as far as the windows reach. */
  private sendSome(call: Http2Call): void {
    const left = leftOf(call);
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
    if (call.isWhole) this.finish(call);
  }

  /** Sends the block that was encoded last. */
  private putBlock(call: Http2Call, endsStream: boolean): void {
    this.hasToldTable ||= this.owesTable;
    this.owesTable = false;
    this.out.putBlock(encoder, call.number, endsStream, OWN_FRAME_BYTES_MAX);
  }

  /** All of a call has been handed over. */
  private finish(call: Http2Call): void {
    call.isSent = true;
    call.endPosition = this.out.position;
    this.owner.sent(call);
  }
}

/** How many bytes of a call's body have come and were not handed over. */
function leftOf({ request, offset }: Http2Call): number {
  return request!.long === null ? request!.length - offset : request!.long.length;
}
