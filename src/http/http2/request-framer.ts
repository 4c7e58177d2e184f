/**
 * Frames what an HTTP/2 client sends, in order and with gaps, into requests: each stream is one request.
 * https://www.rfc-editor.org/rfc/rfc9113#section-8.1
 *
 * A gap inside a DATA frame damages that stream alone. A gap that reaches beyond its frame damages all streams that are
 * under way; reading goes on where a segment begins with a chain of frames that proves itself. Header blocks may have
 * been lost with the gap, and the entries that they inserted are then not known (hpack-decoder.ts). No header block was
 * lost if two things are so: the next request's number follows the last one's, and no trailer section can have been in
 * the gap. The latter is so if all requests that were under way have gone on behind the gap, or have no trailer
 * section, or if the rest of their bodies leaves no room for one in the missing bytes.
 */
import { HTTP2_PREFACE, isHttp2Preface } from "../foreign.ts";
import type { DamageReason } from "../request-sink.ts";
import { Http2Framer } from "./framer.ts";
import { FRAME_HEADER_LEN, STREAM_MAX } from "./frames.ts";
import type { BlockFault } from "./frame-reader.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { StreamTable } from "./stream-table.ts";
import { HeadReader, type Http2Head } from "./request-head.ts";

/** The most requests of a connection that are under way at once; a request beyond them is not read. */
export const OPEN_STREAMS_MAX = 1024;
/** The length of the shortest frame with a header block, and so of the shortest request. */
const BLOCK_FRAME_BYTES_MIN = FRAME_HEADER_LEN + 1;
/** The most lost requests that are counted for one gap. */
export const MISSED_MAX = 1024;
const FIRST_STREAM = 1;
/**
 * The most streams that are remembered as going on although the sink gets no more events of them. If there are more,
 * one of the others may have a trailer section in any later gap.
 */
export const UNTOLD_STREAMS_MAX = OPEN_STREAMS_MAX;
/** Stands for all streams that are not remembered. */
const OTHER_STREAMS = 0;

/**
 * Takes what the framer finds. `T` is the sink's own object for a request, from `head` until `whole`, `damaged` or
 * `cancelled`; it is null for a request without a head. Bytes given are valid until the end of the batch.
 */
export interface Http2RequestSink<T> {
  /** A request's head is whole. `head` is valid until the call returns. `isWhole`: the request ends with it. */
  head(stream: number, head: Http2Head, isWhole: boolean): T;
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
  /** `length` bytes were skipped unread. */
  skipped(length: number): void;
}

interface OpenStream<T> {
  readonly request: T;
  readonly isGrpc: boolean;
  /** The request's Content-Length; -1: it has none. */
  readonly declaredLength: number;
  length: number;
}

/** The framer of one client connection's requests. */
export class Http2RequestFramer<T> extends Http2Framer {
  private readonly heads: HeadReader;
  private readonly streams = new StreamTable<OpenStream<T>>();
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
   * it; and how many bytes must be missing for that. Null: there is no doubt.
   */
  private doubtful: Map<number, number> | null = null;
  /** How many bytes were missing, or skipped unread, since there is doubt, or since the last head. */
  private hiddenBytes = 0;
  /**
   * Streams that go on although the sink gets no more events of them, and that may have a trailer section; and how many
   * bytes must be missing for that.
   */
  private readonly untold = new Map<number, number>();
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

  /** The entries of the dynamic table are not known any more: a header block was lost, or others need the memory. */
  loseTable(): void {
    this.decoder.lose();
    this.endDoubt();
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

  // The content of the frames (FrameListener).

  data(number: number, bytes: Uint8Array, offset: number, length: number): void {
    const stream = this.stream(number);
    if (stream === undefined) {
      // The request has gone on: its end was not in the gap, but may be in another.
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
    // A request has begun, although its head could not be read.
    this.sink.damaged(null, "malformed");
    this.damageAll("malformed");
  }

  /** Of a client that leaves out no numbers; of another, the next HEADERS say how far it is. */
  protected override get streamMax(): number {
    if (this.isLate) return STREAM_MAX;
    // One more may have begun before those bytes: its header block was under way.
    return this.last + 2 * (Math.ceil(this.hiddenBytes / BLOCK_FRAME_BYTES_MIN) + 1);
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
    for (const [number, stream] of this.streams.entries())
      if (!stream.isGrpc) this.doubtful.set(number, this.bytesBeforeTrailer(stream) + BLOCK_FRAME_BYTES_MIN);
    for (const [number, neededBytes] of this.untold) this.doubtful.set(number, neededBytes);
    this.untold.clear();
    this.damageAll("gap");
  }

  /** The least number of bytes of a stream that come before its trailer section. */
  private bytesBeforeTrailer({ declaredLength, length }: OpenStream<T>): number {
    if (declaredLength <= length) return 0;
    return declaredLength - length + (this.reader.isBetween ? FRAME_HEADER_LEN : 0);
  }

  private leaveUntold(number: number, neededBytes = BLOCK_FRAME_BYTES_MIN): void {
    if (this.untold.size < UNTOLD_STREAMS_MAX || this.untold.has(number)) this.untold.set(number, neededBytes);
    else this.untold.set(OTHER_STREAMS, BLOCK_FRAME_BYTES_MIN);
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
    const most = isKnown ? Math.min(Math.ceil(this.missedBytes / BLOCK_FRAME_BYTES_MIN), MISSED_MAX) : 0;
    const missed = Math.min((until - this.last) / 2, most);
    for (let i = 0; i < missed; i++) this.sink.damaged(null, "gap");
    // There may be more lost requests, behind the last frame that has come.
    this.missedBytes = Math.max(this.missedBytes - missed * BLOCK_FRAME_BYTES_MIN, 1);
  }

  /** DATA of a stream that is not under way: its head may be missing. */
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

  /** The first header block behind a gap has come, on this stream: decides whether the gap had header blocks. */
  private settleDoubt(number: number): void {
    let hasLost = number !== this.last + 2;
    for (const neededBytes of this.doubtful!.values()) hasLost ||= neededBytes <= this.hiddenBytes;
    if (hasLost) this.loseTable();
    else this.endDoubt();
  }

  private endDoubt(): void {
    for (const [number, neededBytes] of this.doubtful ?? []) {
      const leftBytes = Math.max(neededBytes - this.hiddenBytes, BLOCK_FRAME_BYTES_MIN);
      // A stream goes on if more of its body is to come than was missing. Nobody knows whether another one does.
      if (leftBytes > BLOCK_FRAME_BYTES_MIN || number === OTHER_STREAMS) this.leaveUntold(number, leftBytes);
    }
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
    const request = this.sink.head(number, head, endsStream);
    if (endsStream) return this.sink.whole(request, "");
    this.current = { request, isGrpc: head.isGrpc, declaredLength: head.declaredLength, length: 0 };
    this.currentNumber = number;
    this.streams.add(number, this.current);
  }

  /** Whether a request with a whole head is read. */
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
    const streams = this.streams.entries();
    this.streams.clear();
    this.currentNumber = 0;
    this.current = undefined;
    for (const [, { request }] of streams) this.sink.damaged(request, reason);
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
