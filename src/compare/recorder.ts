/**
 * Keeps a response as it comes, up to the length that will be compared. The held bytes are charged, and given back with
 * it.
 */
import type { ResponseHead } from "../http/http2/response-head.ts";
import { Cost } from "../memory/budget.ts";
import { copyBytes } from "../memory/copy-bytes.ts";
import type { ComparedMemory } from "./memory.ts";
import { type Kept, NOTHING } from "./response.ts";

/** Writes characters as bytes, without making an object. */
const { latin1Write } = Buffer.prototype;

/** Keeps one response at a time. {@link take} hands it to the caller. */
export class ResponseRecorder {
  isWanted = true;
  private nowMs = 0;
  private lastWrittenMs = 0;
  /** The response under way; null: no response has begun. */
  private kept: Kept | null = null;
  private hasher: Bun.SHA256 | null = null;

  constructor(
    private readonly memory: ComparedMemory,
    private readonly maxBodyBytes: number,
  ) {}

  received(nowMs: number, writtenMs: number): void {
    this.nowMs = nowMs;
    this.lastWrittenMs = writtenMs;
  }

  /** (ResponseTap) The final response is the last one that begins. */
  begin(): void {
    this.hasher = null;
    if (this.kept !== null) this.kept.clear();
    const kept = (this.kept ??= this.memory.takeKept());
    kept.firstMs = this.nowMs;
    kept.writtenMs = this.lastWrittenMs;
  }

  head(bytes: Uint8Array, from: number, to: number): void {
    const kept = this.withHeadFor(to - from);
    if (kept === null) return;
    copyBytes(bytes, from, kept.headBytes, kept.headLength, to - from);
    kept.headLength += to - from;
  }

  http2Head(section: ResponseHead): void {
    this.begin();
    this.addText(`HTTP/2.0 ${section.status}\r\n`);
    this.http2Trailer(section);
  }

  http2Trailer({ isTooLong, lines }: ResponseHead): void {
    if (!isTooLong) this.addText(lines);
    else if (this.kept !== null) this.keepNothing();
  }

  written(writtenMs: number): void {
    if (this.kept !== null) this.kept.writtenMs = writtenMs;
  }

  private addText(text: string): void {
    const kept = this.withHeadFor(text.length);
    if (kept === null) return;
    latin1Write.call(kept.headBytes, text, kept.headLength);
    kept.headLength += text.length;
  }

  /** The response under way, with room for `length` more bytes of its head; null: it is not kept. */
  private withHeadFor(length: number): Kept | null {
    const { kept } = this;
    if (kept === null || !kept.isKept || !this.isWanted) return null;
    const needed = kept.headLength + length;
    if (needed <= kept.headBytes.length) return kept;
    const grown = this.grown(kept.headBytes, kept.headLength, needed);
    if (grown === null) return null;
    kept.headBytes = grown;
    return kept;
  }

  body(bytes: Uint8Array, from: number, to: number): void {
    const { kept } = this;
    if (kept === null || !kept.isKept || !this.isWanted) return;
    kept.bodyLength += to - from;
    if (this.hasher === null && kept.bodyLength > this.maxBodyBytes) this.digestInstead(kept);
    if (this.hasher !== null) {
      this.hasher.update(bytes.subarray(from, to));
      return;
    }
    if (kept.bodyLength > kept.bodyBytes.length) {
      const grown = this.grown(kept.bodyBytes, kept.keptLength, kept.bodyLength);
      if (grown === null) return;
      kept.bodyBytes = grown;
    }
    copyBytes(bytes, from, kept.bodyBytes, kept.keptLength, to - from);
    kept.keptLength = kept.bodyLength;
  }

  /** Gives up the kept bytes. */
  discard(): void {
    this.memory.giveBackKept(this.kept);
    this.kept = null;
    this.hasher = null;
  }

  /** The response is complete, and belongs to the caller. */
  take(code: number): Kept {
    const kept = this.kept ?? this.memory.takeKept();
    if (!this.isWanted) kept.isKept = false;
    kept.code = code;
    kept.lastMs = this.nowMs;
    if (this.hasher !== null) kept.digest = this.hasher.digest("hex");
    this.kept = null;
    this.hasher = null;
    return kept;
  }

  /** The body is too long to be kept: only its digest is. */
  private digestInstead(kept: Kept): void {
    this.hasher = new Bun.SHA256().update(kept.body);
    this.memory.freeBody(kept);
  }

  /**
   * An array for `needed` bytes, with the first `length` bytes of another; null: there is no room, and the response is
   * not kept.
   */
  private grown(array: Uint8Array, length: number, needed: number): Uint8Array | null {
    const { memory } = this;
    if (!memory.hasRoomFor(needed + Cost.ARRAY)) {
      this.keepNothing();
      return null;
    }
    const grown = memory.allocate(needed);
    copyBytes(array, 0, grown, 0, length);
    if (array !== NOTHING) memory.free(array);
    return grown;
  }

  private keepNothing(): void {
    const kept = this.kept!;
    this.hasher = null;
    kept.isKept = false;
    this.memory.freeHead(kept);
    this.memory.freeBody(kept);
  }
}
