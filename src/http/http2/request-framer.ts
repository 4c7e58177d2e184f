/**
 * Frames what an HTTP/2 client sends, in order and with gaps, into requests: each stream is one request.
 * https://www.rfc-editor.org/rfc/rfc9113#section-8.1
 *
 * A gap inside a DATA frame damages that stream alone. A gap that reaches beyond its frame damages all streams that are
 * under way; reading goes on where a segment begins with a chain of frames that proves itself. Header blocks may have
 * been lost with the gap, and the entries that they inserted are then not known (hpack-decoder.ts). No header block was
 * lost if two things are so: the next request's number follows the last one's, and no trailer section can have been in
 * the gap, because all requests that were under way have gone on behind it, or have no trailer section.
 */
import { HTTP2_PREFACE, isHttp2Preface } from "../foreign.ts";
import type { DamageReason } from "../request-sink.ts";
import { Http2Framer } from "./framer.ts";
import { FRAME_HEADER_LEN } from "./frames.ts";
import type { BlockFault } from "./frame-reader.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HeadReader, type Http2Head } from "./request-head.ts";

/** The most requests of a connection that are under way at once; a request beyond them is not read. */
export const OPEN_STREAMS_MAX = 1024;
/** The length of the shortest request: a HEADERS frame with one byte. */
const REQUEST_BYTES_MIN = FRAME_HEADER_LEN + 1;
/** The most lost requests that are counted for one gap. */
const MISSED_MAX = 1024;
const FIRST_STREAM = 1;

/**
 * Takes what the framer finds. `T` is the sink's own object for a request, from `head` until `whole`, `damaged` or
 * `cancelled`; it is null for a request without a head. Bytes given are valid until the end of the batch.
 */
export interface Http2RequestSink<T> {
  /** A request's head is whole. `head` is valid until the call returns. */
  head(stream: number, head: Http2Head): T;
  /** Bytes of the request's body, without framing. */
  bytes(request: T, bytes: Uint8Array, offset: number, length: number): void;
  /** The request is whole. `trailer`: the lines of its trailer section; empty: it has none. */
  whole(request: T, trailer: string): void;
  /** The request is damaged. Null: it has no head. */
  damaged(request: T | null, reason: DamageReason): void;
  /** The client has taken a request back (RST_STREAM): one that is under way, or (null) one that was whole. */
  cancelled(request: T | null, stream: number): void;
  /** Whether there is memory for another request. */
  hasRoom(): boolean;
  /** A request is not read: too many are under way, or there is no memory for it. */
  refused(why: "streams" | "memory"): void;
  /** `length` bytes were passed over unread. */
  skipped(length: number): void;
}

interface OpenStream<T> {
  readonly request: T;
  readonly isGrpc: boolean;
  /** The request's Content-Length; -1: it has none. */
  readonly declaredLength: number;
  length: number;
}

export class Http2RequestFramer<T> extends Http2Framer {
  private readonly heads: HeadReader;
  private readonly streams = new Map<number, OpenStream<T>>();
  /**
   * The stream of the last DATA frame, and its number: most DATA frames belong to the same stream as the one before.
   */
  private current: OpenStream<T> | undefined;
  private currentNumber = 0;
  /** The highest stream that has begun. */
  private last = 0;
  /** How many of the bytes that are missing since the last head may have been requests. */
  private missedBytes = 0;
  /**
   * The streams with trailer sections that may have been in a gap, while it is not known whether header blocks were in
   * it. Null: there is no doubt.
   */
  private doubtful: Set<number> | null = null;
  /** The connection was joined in its middle, and no request was found yet. */
  private isLate: boolean;

  /** The first bytes are those behind the connection's preface. `late`: the connection was joined in its middle. */
  constructor(
    private readonly sink: Http2RequestSink<T>,
    maxHeaderBytes: number,
    late: boolean,
  ) {
    super(maxHeaderBytes, false, late);
    this.heads = new HeadReader(maxHeaderBytes);
    this.isLate = late;
  }

  /** Whether it holds parts of requests. */
  get holdsParts(): boolean {
    return this.streams.size > 0 || this.reader.heldBytes > 0;
  }

  /** Others need the memory: the requests that are under way are damaged. */
  evict(): void {
    this.reader.abandonBlock();
    this.damageAll("evicted");
  }

  /** Others need the memory: the entries of the dynamic table are forgotten. */
  evictTable(): void {
    this.loseTable();
  }

  /** Requests that are under way. */
  get openCount(): number {
    return this.streams.size;
  }

  /** Stream 1 is a request of HTTP/1 that offered HTTP/2 (Upgrade: h2c). */
  beginUpgraded(): void {
    this.last = FIRST_STREAM;
  }

  override push(bytes: Uint8Array, offset: number, length: number): void {
    if (!this.isLate || !isHttp2Preface(bytes, offset, offset + length)) return super.push(bytes, offset, length);
    // This framer did not see the connection's first byte, but it sees all bytes of HTTP/2 from here on.
    this.isLate = false;
    this.isLost = false;
    this.decoder = new HpackDecoder();
    this.reader.push(bytes, offset + HTTP2_PREFACE.length, length - HTTP2_PREFACE.length);
  }

  /** The connection has ended. */
  end(): void {
    this.damageAll("cut_off");
  }

  // What the frames say (FrameListener).

  data(number: number, bytes: Uint8Array, offset: number, length: number): void {
    const stream = this.stream(number);
    if (stream === undefined) {
      // The request has gone on: its end was not in the gap.
      this.doubtful?.delete(number);
      return this.sink.skipped(length);
    }
    stream.length += length;
    this.sink.bytes(stream.request, bytes, offset, length);
  }

  dataLost(number: number): void {
    const stream = this.stream(number);
    if (stream !== undefined) this.damage(number, stream, "gap");
  }

  dataEnd(number: number, _length: number, endsStream: boolean): void {
    const stream = this.stream(number);
    if (stream === undefined) this.passOver(number);
    else if (endsStream) this.finish(number, stream, "");
  }

  headers(number: number, block: Buffer, length: number, endsStream: boolean): void {
    const stream = this.stream(number);
    if (this.doubtful !== null) this.settleDoubt(number);
    this.heads.begin(stream !== undefined);
    if (!this.decoder.decode(block, length, this.heads)) {
      this.malformed();
    } else if (stream !== undefined) {
      this.trailer(number, stream, endsStream);
    } else if (this.begins(number)) {
      this.head(number, endsStream);
    }
  }

  headersLost(number: number, why: BlockFault, _endsStream: boolean): void {
    this.loseTable();
    const stream = this.stream(number);
    if (stream !== undefined) this.damage(number, stream, why);
    else if (this.begins(number)) this.sink.damaged(null, why);
  }

  reset(number: number, _code: number): void {
    if (number === 0) return this.malformed();
    // A stream of the server's.
    if (number % 2 === 0) return;
    const stream = this.stream(number);
    if (stream !== undefined) this.close(number);
    if (stream === undefined && number > this.last) this.passOver(number);
    else this.sink.cancelled(stream?.request ?? null, number);
  }

  malformed(): void {
    this.reader.isOver = true;
    // A request has begun, although its head could not be read.
    this.sink.damaged(null, "malformed");
    this.damageAll("malformed");
  }

  protected skipped(length: number): void {
    this.sink.skipped(length);
  }

  protected missed(length: number): void {
    this.missedBytes += length;
  }

  protected lost(isInBlock: boolean): void {
    if (isInBlock) this.decoder.lose();
    this.doubtful ??= new Set();
    for (const [number, { isGrpc }] of this.streams) if (!isGrpc) this.doubtful.add(number);
    this.damageAll("gap");
  }

  /** A header block on a stream that is not under way: whether it begins a request. */
  private begins(number: number): boolean {
    if (number % 2 === 0) {
      this.malformed();
      return false;
    }
    // The rest of a request that was damaged, cancelled or refused.
    if (number <= this.last) return false;
    this.countMissed(number - 2);
    this.last = number;
    this.isLate = false;
    this.missedBytes = 0;
    return true;
  }

  /** Streams are numbered in the order of their starts: those in between began within the missing bytes. */
  private countMissed(until: number): void {
    const isKnown = !this.isLate && this.missedBytes > 0;
    const most = isKnown ? Math.min(Math.ceil(this.missedBytes / REQUEST_BYTES_MIN), MISSED_MAX) : 0;
    const missed = Math.min((until - this.last) / 2, most);
    for (let i = 0; i < missed; i++) this.sink.damaged(null, "gap");
    // There may be more lost requests, behind the last frame that has come.
    this.missedBytes = Math.max(this.missedBytes - missed * REQUEST_BYTES_MIN, 1);
  }

  /** DATA of a stream that is not under way: its head may be missing. */
  private passOver(number: number): void {
    if (number <= this.last) return;
    if (number % 2 === 0 || (!this.isLate && this.missedBytes === 0)) return this.malformed();
    this.loseTable();
    if (this.isLate) this.sink.damaged(null, "gap");
    else this.countMissed(number);
    this.last = number;
  }

  /** The first header block behind a gap has come, on this stream: decides whether the gap had header blocks. */
  private settleDoubt(number: number): void {
    if (number !== this.last + 2 || this.doubtful!.size > 0) this.decoder.lose();
    this.doubtful = null;
  }

  private loseTable(): void {
    this.decoder.lose();
    this.doubtful = null;
  }

  private head(number: number, endsStream: boolean): void {
    const head = this.heads.endHead();
    if (head === null) return this.sink.damaged(null, this.heads.fault!);
    if (endsStream && head.declaredLength > 0) return this.sink.damaged(null, "ambiguous_length");
    if (!endsStream && this.streams.size >= OPEN_STREAMS_MAX) return this.sink.refused("streams");
    if (!this.sink.hasRoom()) return this.sink.refused("memory");
    const request = this.sink.head(number, head);
    if (endsStream) return this.sink.whole(request, "");
    this.current = { request, isGrpc: head.isGrpc, declaredLength: head.declaredLength, length: 0 };
    this.currentNumber = number;
    this.streams.set(number, this.current);
  }

  private trailer(number: number, stream: OpenStream<T>, endsStream: boolean): void {
    const lines = this.heads.endTrailer();
    if (lines === null) this.damage(number, stream, this.heads.fault!);
    else if (!endsStream) this.damage(number, stream, "malformed");
    else this.finish(number, stream, lines);
  }

  private finish(number: number, stream: OpenStream<T>, trailer: string): void {
    if (stream.declaredLength >= 0 && stream.declaredLength !== stream.length)
      return this.damage(number, stream, "ambiguous_length");
    this.close(number);
    this.sink.whole(stream.request, trailer);
  }

  private damage(number: number, stream: OpenStream<T>, reason: DamageReason): void {
    this.close(number);
    this.sink.damaged(stream.request, reason);
  }

  private damageAll(reason: DamageReason): void {
    const streams = [...this.streams.values()];
    this.streams.clear();
    this.currentNumber = 0;
    this.current = undefined;
    for (const { request } of streams) this.sink.damaged(request, reason);
  }

  private stream(number: number): OpenStream<T> | undefined {
    if (number !== this.currentNumber) {
      this.currentNumber = number;
      this.current = this.streams.get(number);
    }
    return this.current;
  }

  private close(number: number): void {
    this.streams.delete(number);
    this.currentNumber = 0;
    this.current = undefined;
  }
}
