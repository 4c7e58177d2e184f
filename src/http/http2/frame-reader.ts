/**
 * Reads the frames of one direction of an HTTP/2 connection from its bytes, in order and with gaps.
 * https://www.rfc-editor.org/rfc/rfc9113#section-6
 *
 * Bytes of DATA frames are handed on where they lie, in whatever pieces they come. Header blocks are put together.
 */
import {
  ErrorCode,
  Flag,
  FLAGS_OFFSET,
  FRAME_HEADER_LEN,
  FrameType,
  GOAWAY_LEN,
  lengthAt,
  PING_LEN,
  PRIORITY_LEN,
  PROMISED_LEN,
  RST_STREAM_LEN,
  SETTING_LEN,
  STREAM_OFFSET,
  streamAt,
  TYPE_OFFSET,
  WINDOW_UPDATE_LEN,
  wordAt,
} from "./frames.ts";

/** Why a header block cannot be read; `evicted`: others needed the memory. */
export type BlockFault = "gap" | "header_too_long" | "evicted";

/** Gets the content of the frames, in order. Bytes given are valid until the call returns. */
export interface FrameListener {
  /** Content of a stream. */
  data(stream: number, bytes: Uint8Array, offset: number, length: number): void;
  /** Some of a DATA frame is missing; {@link dataEnd} is called all the same. */
  dataLost(stream: number): void;
  /** A DATA frame has ended. `length`: of its whole payload, which flow control counts. */
  dataEnd(stream: number, length: number, endsStream: boolean): void;
  /** A header block is whole. */
  headers(stream: number, block: Buffer, length: number, endsStream: boolean): void;
  /** A header block has ended, but some of it is missing, or it is too long. */
  headersLost(stream: number, why: BlockFault, endsStream: boolean): void;
  /** The header block of a promised request (PUSH_PROMISE), if promises are allowed; null: some of it is missing. */
  promise(block: Buffer | null, length: number): void;
  reset(stream: number, code: number): void;
  setting(name: number, value: number): void;
  settingsEnd(isAcknowledgment: boolean): void;
  /** `payload`: its first 8 bytes. */
  ping(payload: Uint8Array, isAcknowledgment: boolean): void;
  goAway(lastStream: number, code: number): void;
  windowUpdate(stream: number, increment: number): void;
  /** RFC 9113 does not allow the next bytes; nothing behind them is read. */
  malformed(): void;
}

/** The part of the payload that is read. */
const Part = {
  /** The byte that says how much padding there is. */
  PAD_LENGTH: 0,
  /** The fields before a piece of a header block: a priority, or the stream that is promised. */
  PREFIX: 1,
  DATA: 2,
  /** A piece of a header block. */
  FRAGMENT: 3,
  /** Fields of a fixed length. */
  UNIT: 4,
  /** An unwanted part; padding, too. */
  SKIPPED: 5,
} as const;

const UNIT_BYTES_MAX = Math.max(PING_LEN, GOAWAY_LEN);
const BLOCK_BYTES_FIRST = 512;
/** A longer array is released when its block has ended. */
const BLOCK_BYTES_KEPT = 4096;
const NO_STREAM = 0;
/** How many empty frames a header block may have: a bound on floods of empty CONTINUATION frames. */
export const EMPTY_CONTINUATIONS_MAX = 64;

/** The reader of one direction's frames. */
export class FrameReader {
  /** No more bytes are read. */
  isOver = false;
  /** The frame's header so far. */
  private readonly header = new Uint8Array(FRAME_HEADER_LEN);
  private headerLength = 0;
  private type = 0;
  private flags = 0;
  private stream = 0;
  private length = 0;
  /** The bytes of the frame's payload that are still to come. */
  private remaining = 0;
  private part: number = Part.SKIPPED;
  private padding = 0;
  /** The bytes of the part under way that are still to come, if its length is known in advance. */
  private partRemaining = 0;
  private readonly unit = new Uint8Array(UNIT_BYTES_MAX);
  private unitLength = 0;

  /** The stream of the header block under way; 0: no block is under way. */
  private blockStream = NO_STREAM;
  private block = Buffer.alloc(BLOCK_BYTES_FIRST);
  private blockLength = 0;
  private blockEndsStream = false;
  private isPromise = false;
  private blockFault: BlockFault | null = null;
  private emptyContinuations = 0;
  /** The next frame may bring the rest of a header block that has lost its beginning. */
  private mayContinue = false;

  constructor(
    private readonly listener: FrameListener,
    /** A longer header block is not put together. */
    private readonly blockBytesMax: number,
    /** A longer frame is malformed. */
    private readonly frameBytesMax: number,
    /** Requests may be promised: the bytes are a server's, and its client allows promises. */
    private readonly mayPromise = false,
  ) {}

  push(bytes: Uint8Array, offset: number, length: number): void {
    const end = offset + length;
    for (let at = offset; at < end && !this.isOver;) {
      if (this.headerLength < FRAME_HEADER_LEN) at = this.readHeader(bytes, at, end);
      else at = this.readPayload(bytes, at, Math.min(end, at + this.remaining));
      // A frame without payload ends at once.
      if (this.headerLength === FRAME_HEADER_LEN && this.remaining === 0 && !this.isOver) this.endFrame();
    }
  }

  /** The bytes held of a header block, without the reader's own size. */
  get heldBytes(): number {
    return this.block.length - BLOCK_BYTES_FIRST;
  }

  /** Releases the header block under way: it cannot be read any more. */
  abandonBlock(): void {
    if (this.blockStream !== NO_STREAM) this.failBlock("evicted");
    this.freeBlock();
  }

  /** How many bytes of a frame header have come that is not whole. */
  get headerBytes(): number {
    return this.headerLength < FRAME_HEADER_LEN ? this.headerLength : 0;
  }

  /** Whether the next byte is a frame's first one. */
  get isBetween(): boolean {
    return this.headerLength === 0;
  }

  /** A header block has begun, and is not whole. */
  get isInBlock(): boolean {
    return this.blockStream !== NO_STREAM || (this.headerLength === FRAME_HEADER_LEN && this.hasFragment);
  }

  /** The frame under way has a piece of a header block. */
  private get hasFragment(): boolean {
    const { type } = this;
    return type === FrameType.HEADERS || type === FrameType.CONTINUATION || type === FrameType.PUSH_PROMISE;
  }

  /**
   * The next `length` bytes are missing. False: they reach beyond this frame, so the beginning of the next one is
   * unknown.
   */
  gap(length: number): boolean {
    if (this.isOver) return true;
    if (this.headerLength < FRAME_HEADER_LEN || length > this.remaining) return false;
    if (this.type === FrameType.DATA) {
      if (this.part !== Part.SKIPPED) this.listener.dataLost(this.stream);
    } else if (this.hasFragment) {
      this.blockFault = "gap";
    } else if (this.type === FrameType.RST_STREAM) {
      // The type of the frame is enough.
      this.listener.reset(this.stream, ErrorCode.CANCEL);
    }
    // The rest of the frame is skipped: if it has padding, the beginning of the padding is unknown.
    if (this.type !== FrameType.DATA || this.part !== Part.DATA) this.part = Part.SKIPPED;
    this.remaining -= length;
    this.partRemaining -= length;
    if (this.part === Part.DATA && this.partRemaining <= 0) this.part = Part.SKIPPED;
    if (this.remaining === 0) this.endFrame();
    return true;
  }

  /** The next byte is a frame's first one, behind bytes that are missing. */
  restart(): void {
    this.headerLength = 0;
    this.remaining = 0;
    this.blockStream = NO_STREAM;
    this.mayContinue = true;
  }

  private readHeader(bytes: Uint8Array, at: number, end: number): number {
    let stop = at;
    while (stop < end && this.headerLength < FRAME_HEADER_LEN) this.header[this.headerLength++] = bytes[stop++]!;
    if (this.headerLength === FRAME_HEADER_LEN) this.beginFrame();
    return stop;
  }

  private beginFrame(): void {
    const { header } = this;
    this.length = lengthAt(header, 0);
    this.type = header[TYPE_OFFSET]!;
    this.flags = header[FLAGS_OFFSET]!;
    this.stream = streamAt(header, STREAM_OFFSET);
    this.remaining = this.length;
    this.padding = 0;
    this.unitLength = 0;
    if (this.length > this.frameBytesMax || !this.isInPlace()) this.fail();
    else this.beginPayload();
  }

  /** Section 4.3: a header block's frames follow one another. */
  private isInPlace(): boolean {
    if (this.type === FrameType.CONTINUATION) {
      if (this.blockStream !== NO_STREAM) return this.stream === this.blockStream;
      if (!this.mayContinue) return false;
      this.beginBlock(false);
      this.blockFault = "gap";
      return true;
    }
    return this.blockStream === NO_STREAM;
  }

  private beginPayload(): void {
    const { type, flags, length } = this;
    this.mayContinue &&= type === FrameType.CONTINUATION;
    switch (type) {
      case FrameType.DATA:
        if (this.stream === NO_STREAM) return this.fail();
        return this.beginPadded(Part.DATA);
      case FrameType.HEADERS:
        if (this.stream === NO_STREAM) return this.fail();
        this.beginBlock((flags & Flag.END_STREAM) !== 0);
        return this.beginPadded(Part.FRAGMENT);
      case FrameType.CONTINUATION:
        if (length === 0 && ++this.emptyContinuations > EMPTY_CONTINUATIONS_MAX) return this.fail();
        return this.beginPart(Part.FRAGMENT, length);
      case FrameType.PUSH_PROMISE:
        // Section 8.4: a client sends no promises, and we allow our servers none.
        if (!this.mayPromise || this.stream === NO_STREAM) return this.fail();
        this.beginBlock(false);
        return this.beginPadded(Part.FRAGMENT);
      case FrameType.RST_STREAM:
        return this.beginUnits(RST_STREAM_LEN, length === RST_STREAM_LEN);
      case FrameType.PING:
        return this.beginUnits(PING_LEN, length === PING_LEN);
      case FrameType.WINDOW_UPDATE:
        return this.beginUnits(WINDOW_UPDATE_LEN, length === WINDOW_UPDATE_LEN);
      case FrameType.GOAWAY:
        return this.beginUnits(GOAWAY_LEN, length >= GOAWAY_LEN);
      case FrameType.SETTINGS:
        return this.beginUnits(SETTING_LEN, length % SETTING_LEN === 0);
      default:
        // Section 4.1: frames of an unknown type are ignored.
        return this.beginPart(Part.SKIPPED, length);
    }
  }

  private beginUnits(length: number, isRight: boolean): void {
    if (isRight) this.beginPart(Part.UNIT, length);
    else this.fail();
  }

  private beginBlock(endsStream: boolean): void {
    this.blockStream = this.stream;
    this.blockLength = 0;
    this.blockEndsStream = endsStream;
    this.isPromise = this.type === FrameType.PUSH_PROMISE;
    this.blockFault = null;
    this.emptyContinuations = 0;
  }

  private beginPart(part: number, length: number): void {
    this.part = part;
    this.partRemaining = length;
  }

  private beginPadded(part: number): void {
    if ((this.flags & Flag.PADDED) !== 0) this.beginPart(Part.PAD_LENGTH, 1);
    else this.beginContent(part);
    if (this.part === Part.PAD_LENGTH && this.length === 0) this.fail();
  }

  /** Behind the padding's length: the rest of the payload without the padding is the content. */
  private beginContent(part: number): void {
    const prefixLength = part === Part.FRAGMENT ? this.prefixLength : 0;
    if (prefixLength > 0) {
      if (this.remaining < prefixLength + this.padding) return this.fail();
      return this.beginPart(Part.PREFIX, prefixLength);
    }
    if (this.remaining < this.padding) return this.fail();
    this.beginPart(part, this.remaining - this.padding);
    if (this.partRemaining === 0) this.part = Part.SKIPPED;
  }

  /** The length of the fields before the piece of a header block in the frame under way. */
  private get prefixLength(): number {
    if (this.type === FrameType.PUSH_PROMISE) return PROMISED_LEN;
    return (this.flags & Flag.PRIORITY) !== 0 ? PRIORITY_LEN : 0;
  }

  /** Takes the bytes that have come of the part under way. */
  private readPayload(bytes: Uint8Array, at: number, end: number): number {
    if (this.part === Part.SKIPPED) {
      this.remaining -= end - at;
      return end;
    }
    const stop = Math.min(end, at + this.partRemaining);
    this.remaining -= stop - at;
    this.partRemaining -= stop - at;
    switch (this.part) {
      case Part.DATA:
        this.listener.data(this.stream, bytes, at, stop - at);
        break;
      case Part.FRAGMENT:
        this.addFragment(bytes, at, stop);
        break;
      case Part.UNIT:
        for (let i = at; i < stop; i++) this.unit[this.unitLength++] = bytes[i]!;
        break;
      case Part.PAD_LENGTH:
        this.padding = bytes[at]!;
        break;
      default:
    }
    if (this.partRemaining === 0) this.endPart();
    return stop;
  }

  private endPart(): void {
    switch (this.part) {
      case Part.PAD_LENGTH:
        return this.beginContent(this.type === FrameType.DATA ? Part.DATA : Part.FRAGMENT);
      case Part.PREFIX:
        this.beginPart(Part.FRAGMENT, this.remaining - this.padding);
        if (this.partRemaining === 0) this.part = Part.SKIPPED;
        return;
      case Part.UNIT:
        return this.endUnit();
      default:
        this.part = Part.SKIPPED;
    }
  }

  private endUnit(): void {
    const { listener, unit, stream, flags } = this;
    this.unitLength = 0;
    this.part = Part.SKIPPED;
    switch (this.type) {
      case FrameType.RST_STREAM:
        return listener.reset(stream, wordAt(unit, 0));
      case FrameType.PING:
        return listener.ping(unit, (flags & Flag.ACK) !== 0);
      case FrameType.GOAWAY:
        return listener.goAway(streamAt(unit, 0), wordAt(unit, 4));
      case FrameType.WINDOW_UPDATE:
        return listener.windowUpdate(stream, streamAt(unit, 0));
      default:
        listener.setting((unit[0]! << 8) | unit[1]!, wordAt(unit, 2));
        if (this.remaining > 0) this.beginPart(Part.UNIT, SETTING_LEN);
    }
  }

  private addFragment(bytes: Uint8Array, from: number, to: number): void {
    if (this.blockFault !== null) return;
    const needed = this.blockLength + to - from;
    if (needed > this.blockBytesMax) {
      this.failBlock("header_too_long");
      return;
    }
    if (needed > this.block.length) {
      const grown = Buffer.alloc(2 * needed);
      this.block.copy(grown, 0, 0, this.blockLength);
      this.block = grown;
    }
    // Most pieces are so short that a view would cost more.
    for (let i = from; i < to; i++) this.block[this.blockLength + i - from] = bytes[i]!;
    this.blockLength = needed;
  }

  private failBlock(why: BlockFault): void {
    this.blockFault ??= why;
    this.freeBlock();
  }

  private freeBlock(): void {
    if (this.block.length > BLOCK_BYTES_FIRST) this.block = Buffer.alloc(BLOCK_BYTES_FIRST);
    this.blockLength = 0;
  }

  private endFrame(): void {
    const { listener, stream } = this;
    this.headerLength = 0;
    switch (this.type) {
      case FrameType.DATA:
        return listener.dataEnd(stream, this.length, (this.flags & Flag.END_STREAM) !== 0);
      case FrameType.SETTINGS:
        return listener.settingsEnd((this.flags & Flag.ACK) !== 0);
      case FrameType.HEADERS:
      case FrameType.CONTINUATION:
      case FrameType.PUSH_PROMISE:
        if ((this.flags & Flag.END_HEADERS) !== 0) this.endBlock();
        return;
      default:
    }
  }

  private endBlock(): void {
    this.blockStream = NO_STREAM;
    this.mayContinue = false;
    const isWhole = this.blockFault === null;
    if (this.isPromise) this.listener.promise(isWhole ? this.block : null, this.blockLength);
    else if (this.blockFault !== null) this.listener.headersLost(this.stream, this.blockFault, this.blockEndsStream);
    else this.listener.headers(this.stream, this.block, this.blockLength, this.blockEndsStream);
    if (this.block.length > BLOCK_BYTES_KEPT) this.freeBlock();
  }

  private fail(): void {
    this.isOver = true;
    this.listener.malformed();
  }
}
