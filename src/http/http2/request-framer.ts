/**
 * From what an HTTP/2 client says, in order and with gaps, to its requests: each stream is one.
 * https://www.rfc-editor.org/rfc/rfc9113#section-8.1
 *
 * A gap inside a DATA frame damages that stream alone. A gap that nobody knows the end of damages all streams that are
 * under way; reading goes on where a segment begins with frames that prove themselves. What a header block said that
 * was lost is not known any more (hpack-decoder.ts). That none was lost is proven by the next request's number, if it
 * follows the last one's, and if no trailer section can have been: all requests that were under way have gone on behind
 * the gap, or have none, or the rest of their bodies leaves no room for one in what is missing.
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
/** What the shortest header block takes. */
const BLOCK_FRAME_BYTES_MIN = FRAME_HEADER_LEN + 1;
/** Streams of which nothing is told and that go on; of more it is not known. */
const UNTOLD_STREAMS_MAX = OPEN_STREAMS_MAX;

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
   * Behind a gap, it is not known yet whether header blocks were in it: streams whose trailer sections may have been,
   * and how many bytes must be missing for that. Null: there is no doubt.
   */
  private doubtful: Map<number, number> | null = null;
  /** Since when there is doubt: bytes that were missing, or in which no frame was found. */
  private hiddenBytes = 0;
  /** Streams that go on though nothing is told of them any more, and that may have a trailer section. */
  private readonly untold = new Set<number>();
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
      // It has gone on: its end was not in the gap, but it may be in another.
      if (this.doubtful?.delete(number) === true) this.leaveUntold(number);
      return this.sink.skipped(length);
    }
    stream.length += length;
    this.sink.bytes(stream.request, bytes, offset, length);
  }

  dataLost(number: number): void {
    const stream = this.stream(number);
    if (stream === undefined) return;
    this.damage(number, stream, "gap");
    if (!stream.isGrpc) this.leaveUntold(number);
  }

  dataEnd(number: number, _length: number, endsStream: boolean): void {
    const stream = this.stream(number);
    if (stream === undefined) this.passOver(number, endsStream);
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
    } else if (endsStream) {
      this.untold.delete(number);
    }
  }

  headersLost(number: number, why: BlockFault, endsStream: boolean): void {
    this.loseTable();
    const stream = this.stream(number);
    if (stream !== undefined) this.damage(number, stream, why);
    else if (this.begins(number)) this.sink.damaged(null, why);
    if (endsStream) this.untold.delete(number);
    else this.leaveUntold(number);
  }

  reset(number: number, _code: number): void {
    if (number === 0) return this.malformed();
    // A stream of the server's.
    if (number % 2 === 0) return;
    const stream = this.stream(number);
    this.untold.delete(number);
    if (stream !== undefined) this.close(number);
    if (stream === undefined && number > this.last) this.passOver(number, true);
    else this.sink.cancelled(stream?.request ?? null, number);
  }

  malformed(): void {
    this.reader.isOver = true;
    // What it was that could not be read has begun, whatever it was.
    this.sink.damaged(null, "malformed");
    this.damageAll("malformed");
  }

  protected skipped(length: number): void {
    this.hiddenBytes += length;
    this.sink.skipped(length);
  }

  protected missed(length: number): void {
    this.hiddenBytes += length;
    this.missedBytes += length;
  }

  protected lost(isInBlock: boolean): void {
    if (isInBlock) this.decoder.lose();
    this.doubtful ??= new Map();
    this.hiddenBytes += this.reader.headerBytes;
    for (const [number, stream] of this.streams)
      if (!stream.isGrpc) this.doubtful.set(number, this.bytesBeforeTrailer(stream) + BLOCK_FRAME_BYTES_MIN);
    for (const number of this.untold) this.doubtful.set(number, BLOCK_FRAME_BYTES_MIN);
    this.untold.clear();
    this.damageAll("gap");
  }

  /** What comes of a stream, at the least, before it may have a trailer section. */
  private bytesBeforeTrailer({ declaredLength, length }: OpenStream<T>): number {
    if (declaredLength <= length) return 0;
    return declaredLength - length + (this.reader.isBetween ? FRAME_HEADER_LEN : 0);
  }

  private leaveUntold(number: number): void {
    if (this.untold.size < UNTOLD_STREAMS_MAX) this.untold.add(number);
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
  private passOver(number: number, isEnd: boolean): void {
    if (isEnd) this.untold.delete(number);
    if (number <= this.last) return;
    if (number % 2 === 0 || (!this.isLate && this.missedBytes === 0)) return this.malformed();
    this.loseTable();
    if (this.isLate) this.sink.damaged(null, "gap");
    else this.countMissed(number);
    this.last = number;
    if (!isEnd) this.leaveUntold(number);
  }

  /** The first header block behind a gap, of this stream: whether any before it was in the gap. */
  private settleDoubt(number: number): void {
    let hasLost = number !== this.last + 2;
    for (const neededBytes of this.doubtful!.values()) hasLost ||= neededBytes <= this.hiddenBytes;
    if (hasLost) this.loseTable();
    else this.endDoubt();
  }

  private loseTable(): void {
    this.decoder.lose();
    this.endDoubt();
  }

  private endDoubt(): void {
    this.doubtful = null;
    this.hiddenBytes = 0;
  }

  private head(number: number, endsStream: boolean): void {
    const head = this.heads.endHead();
    if (head === null || !this.mayRead(head, endsStream)) {
      if (head === null) this.sink.damaged(null, this.heads.fault!);
      if (!endsStream && head?.isGrpc !== true) this.leaveUntold(number);
      return;
    }
    const request = this.sink.head(number, head);
    if (endsStream) return this.sink.whole(request, "");
    this.current = { request, isGrpc: head.isGrpc, declaredLength: head.declaredLength, length: 0 };
    this.currentNumber = number;
    this.streams.set(number, this.current);
  }

  /** Whether a request is read whose head is whole. */
  private mayRead(head: Http2Head, endsStream: boolean): boolean {
    if (endsStream && head.declaredLength > 0) this.sink.damaged(null, "ambiguous_length");
    else if (!endsStream && this.streams.size >= OPEN_STREAMS_MAX) this.sink.refused("streams");
    else if (!this.sink.hasRoom()) this.sink.refused("memory");
    else return true;
    return false;
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
