/**
 * From what an HTTP/2 client says, in order and with gaps, to its requests: each stream is one.
 * https://www.rfc-editor.org/rfc/rfc9113#section-8.1
 *
 * A gap inside a DATA frame damages that stream alone. A gap that nobody knows the end of damages all streams that are
 * under way; reading goes on where a segment begins with frames that prove themselves. What a header block said that
 * was lost is not known any more (hpack-decoder.ts). That none was lost is proven by the next request's number, if it
 * follows the last one's, and if no trailer section can have been: all requests that were under way have gone on behind
 * the gap, or have none.
 */
import { HTTP2_PREFACE, isHttp2Preface } from "../foreign.ts";
import type { DamageReason } from "../request-sink.ts";
import { Http2Framer } from "./framer.ts";
import { FRAME_HEADER_LEN } from "./frames.ts";
import type { BlockFault } from "./frame-reader.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HeadReader, type Http2Head } from "./request-head.ts";

/** Requests of a connection that are under way at once; what begins beyond is not read. */
export const OPEN_STREAMS_MAX = 1024;
/** What the shortest request takes: a HEADERS frame with one byte. */
const REQUEST_BYTES_MIN = FRAME_HEADER_LEN + 1;
/** Of one gap, how many lost requests are counted at most. */
const MISSED_MAX = 1024;
const FIRST_STREAM = 1;

/**
 * Takes what the framer finds. `T` is what the sink knows a request by, from `head` until `whole`, `damaged` or
 * `cancelled`; of a request without a head it is null. Bytes given are valid until the end of the batch.
 */
export interface Http2RequestSink<T> {
  /** A request's head is whole. What `head` says is valid until the call returns. */
  head(stream: number, head: Http2Head): T;
  /** Of its body, without framing. */
  bytes(request: T, bytes: Uint8Array, offset: number, length: number): void;
  /** It is whole. `trailer`: the lines of its trailer section; empty: it has none. */
  whole(request: T, trailer: string): void;
  /** It cannot be told whole. */
  damaged(request: T | null, reason: DamageReason): void;
  /** The client has taken a request back (RST_STREAM): one that is under way, or (null) one that was whole. */
  cancelled(request: T | null, stream: number): void;
  /** Whether there is memory for another request. */
  hasRoom(): boolean;
  /** A request is not read: too many are under way, or there is no memory for it. */
  refused(why: "streams" | "memory"): void;
  /** Bytes in which no request was looked for. */
  skipped(length: number): void;
}

interface OpenStream<T> {
  readonly request: T;
  readonly isGrpc: boolean;
  /** Its Content-Length; -1: it has none. */
  readonly declaredLength: number;
  length: number;
}

export class Http2RequestFramer<T> extends Http2Framer {
  private readonly heads: HeadReader;
  private readonly streams = new Map<number, OpenStream<T>>();
  /** The last stream that a DATA frame was of, and its number: most frames are of the same one as those before. */
  private current: OpenStream<T> | undefined;
  private currentNumber = 0;
  /** The highest stream that has begun. */
  private last = 0;
  /** Of the bytes that were missing since the last head, how many may have been requests. */
  private missedBytes = 0;
  /**
   * Behind a gap, it is not known yet whether header blocks were in it: streams whose trailer sections may have been.
   * Null: there is no doubt.
   */
  private doubtful: Set<number> | null = null;
  /** The connection was joined in its middle, and no request was found yet. */
  private isLate: boolean;

  /**
   * What comes first is what follows the connection's preface. `late`: the connection was joined in its middle.
   */
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

  /** Others need the memory: the requests that are under way cannot be told whole any more. */
  evict(): void {
    this.reader.abandonBlock();
    this.damageAll("evicted");
  }

  /** The same, for what clients have told to be named again. */
  evictTable(): void {
    this.loseTable();
  }

  /** Requests that are under way. */
  get openCount(): number {
    return this.streams.size;
  }

  /** Stream 1 is a request of HTTP/1 that offered to go on so (Upgrade: h2c). */
  beginUpgraded(): void {
    this.last = FIRST_STREAM;
  }

  override push(bytes: Uint8Array, offset: number, length: number): void {
    if (!this.isLate || !isHttp2Preface(bytes, offset, offset + length)) return super.push(bytes, offset, length);
    // It was not seen from its first byte, but from here on it is.
    this.isLate = false;
    this.isLost = false;
    this.decoder = new HpackDecoder();
    this.reader.push(bytes, offset + HTTP2_PREFACE.length, length - HTTP2_PREFACE.length);
  }

  /** Nothing comes any more. */
  end(): void {
    this.damageAll("cut_off");
  }

  // What the frames say (FrameListener).

  data(number: number, bytes: Uint8Array, offset: number, length: number): void {
    const stream = this.stream(number);
    if (stream === undefined) {
      // It has gone on: its end was not in the gap.
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
    // What it was that could not be read has begun, whatever it was.
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
    // The rest of one that was damaged, cancelled or refused.
    if (number <= this.last) return false;
    this.countMissed(number - 2);
    this.last = number;
    this.isLate = false;
    this.missedBytes = 0;
    return true;
  }

  /** Streams are numbered in the order of their starts: those in between began within what was missing. */
  private countMissed(until: number): void {
    const isKnown = !this.isLate && this.missedBytes > 0;
    const most = isKnown ? Math.min(Math.ceil(this.missedBytes / REQUEST_BYTES_MIN), MISSED_MAX) : 0;
    const missed = Math.min((until - this.last) / 2, most);
    for (let i = 0; i < missed; i++) this.sink.damaged(null, "gap");
    // More may be missing, of which no frame has come yet.
    this.missedBytes = Math.max(this.missedBytes - missed * REQUEST_BYTES_MIN, 1);
  }

  /** DATA of a stream that is not under way: it may be one of which the head is missing. */
  private passOver(number: number): void {
    if (number <= this.last) return;
    if (number % 2 === 0 || (!this.isLate && this.missedBytes === 0)) return this.malformed();
    this.loseTable();
    if (this.isLate) this.sink.damaged(null, "gap");
    else this.countMissed(number);
    this.last = number;
  }

  /** The first header block behind a gap, of this stream: whether any before it was in the gap. */
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
