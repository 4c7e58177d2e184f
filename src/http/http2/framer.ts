/**
 * One direction of a mirrored HTTP/2 connection, in order and with gaps: decides what is read, and where reading goes
 * on behind missing bytes. The framer of requests, or of responses, gets what the frames say.
 *
 * A gap within a frame damages that frame. Behind a gap that reaches beyond its frame, reading goes on where a segment
 * begins with a chain of frames that proves itself.
 */
import { isFrameChain, STREAM_MAX } from "./frames.ts";
import { type BlockFault, type FrameListener, FrameReader } from "./frame-reader.ts";
import { HpackDecoder } from "./hpack-decoder.ts";

/** The limit that the other side allows is not seen here, so the largest one holds. */
const FRAME_BYTES_MAX = 0xff_ff_ff;

/** The framer of one direction. */
export abstract class Http2Framer implements FrameListener {
  protected readonly reader: FrameReader;
  protected decoder = new HpackDecoder();

  /** `isLost`: the beginning of the next frame, and the content of the header blocks before it, are unknown. */
  constructor(
    blockBytesMax: number,
    private readonly isServers: boolean,
    protected isLost: boolean,
  ) {
    this.reader = new FrameReader(this, blockBytesMax, FRAME_BYTES_MAX, isServers);
    if (isLost) this.decoder.lose();
  }

  /** The bytes held, without the framer's own size. */
  get heldBytes(): number {
    return this.decoder.heldBytes + this.reader.heldBytes;
  }

  /** The highest stream that can have begun in bytes that were not read. */
  protected get streamMax(): number {
    return STREAM_MAX;
  }

  /** The next bytes, beginning with a segment's first byte. They are not kept. */
  push(bytes: Uint8Array, offset: number, length: number): void {
    if (this.isLost) {
      const isChain = isFrameChain(bytes, offset, offset + length, this.isServers, this.streamMax);
      if (!isChain) return this.skipped(length);
      this.isLost = false;
      this.reader.restart();
    }
    if (this.reader.isOver) this.skipped(length);
    else this.reader.push(bytes, offset, length);
  }

  /** The next `length` bytes are missing. */
  gap(length: number): void {
    if (!this.isLost && this.reader.gap(length)) return;
    const isFirst = !this.isLost;
    this.isLost = true;
    this.missed(length);
    if (isFirst) this.lost(this.reader.isInBlock);
  }

  /** `length` bytes were skipped unread. */
  protected abstract skipped(length: number): void;
  /** `length` bytes are missing, and frames may have begun in them. */
  protected abstract missed(length: number): void;
  /** From here on the beginning of the next frame is unknown. `isInBlock`: a header block was under way. */
  protected abstract lost(isInBlock: boolean): void;

  abstract data(stream: number, bytes: Uint8Array, offset: number, length: number): void;
  abstract dataLost(stream: number): void;
  abstract dataEnd(stream: number, length: number, endsStream: boolean): void;
  abstract headers(stream: number, block: Buffer, length: number, endsStream: boolean): void;
  abstract headersLost(stream: number, why: BlockFault, endsStream: boolean): void;
  abstract reset(stream: number, code: number): void;
  abstract malformed(): void;

  promise(_block: Buffer | null, _length: number): void {}
  goAway(_lastStream: number, _code: number): void {}

  // Frames that the two sides of the connection mean for each other alone.

  setting(): void {}
  settingsEnd(): void {}
  ping(): void {}
  windowUpdate(): void {}
}
