/**
 * One direction of a mirrored HTTP/2 connection, in order and with gaps: what is read of it, and from where on again
 * behind bytes that are missing. What its frames say is told to the framer of requests, or of responses.
 *
 * A gap within a frame costs that frame. Behind one that nobody knows the end of, reading goes on where a segment begins
 * with frames that prove themselves.
 */
import { isFrameChain } from "./frames.ts";
import { type BlockFault, type FrameListener, FrameReader } from "./frame-reader.ts";
import { HpackDecoder } from "./hpack-decoder.ts";

/** What the other side allows differs, and is not seen here. */
const FRAME_BYTES_MAX = 0xff_ff_ff;

export abstract class Http2Framer implements FrameListener {
  protected readonly reader: FrameReader;
  protected decoder = new HpackDecoder();

  /** `isLost`: nobody knows where the next frame begins, and what the header blocks before it said. */
  constructor(
    blockBytesMax: number,
    private readonly isServers: boolean,
    protected isLost: boolean,
  ) {
    this.reader = new FrameReader(this, blockBytesMax, FRAME_BYTES_MAX, isServers);
    if (isLost) this.decoder.lose();
  }

  /** What it holds, beside what it is itself. */
  get heldBytes(): number {
    return this.decoder.tableBytes + this.reader.heldBytes;
  }

  /** Nothing that comes is read any more. */
  get isOver(): boolean {
    return this.reader.isOver;
  }

  /** The next bytes: a segment's, of which the first one is the first. They are not kept. */
  push(bytes: Uint8Array, offset: number, length: number): void {
    if (this.isLost) {
      if (!isFrameChain(bytes, offset, offset + length, this.isServers)) return this.skipped(length);
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

  /** Nothing was looked for in so many bytes. */
  protected abstract skipped(length: number): void;
  /** So many bytes are missing in which there may have been frames. */
  protected abstract missed(length: number): void;
  /** From here on nobody knows where the next frame begins. `isInBlock`: a header block was under way. */
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

  // What the two sides say of themselves is for each other alone.

  setting(): void {}
  settingsEnd(): void {}
  ping(): void {}
  windowUpdate(): void {}
}
