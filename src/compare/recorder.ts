/** Keeps a response as it comes, as far as it is to be compared: what it holds is charged, and given back with it. */
import { latin1 } from "../http/latin1.ts";
import { createHash, type Hash } from "node:crypto";
import { Cost } from "../memory/budget.ts";
import type { ComparedMemory } from "./memory.ts";
import type { ComparedResponse } from "./response.ts";

const NOTHING = new Uint8Array(0);

/** A response that was kept, and what it costs: its holder gives that back. */
export interface Kept {
  /** Null: there was no room for it. */
  readonly response: ComparedResponse | null;
  readonly heldBytes: number;
  /** When its first and last bytes came, and the last byte of its request was written (0: not known), in milliseconds. */
  readonly firstMs: number;
  readonly lastMs: number;
  readonly writtenMs: number;
}

export class ResponseRecorder {
  isWanted = true;
  private nowMs = 0;
  private lastWrittenMs = 0;
  private firstMs = 0;
  private writtenMs = 0;
  private headText = "";
  private pieces: Uint8Array[] = [];
  private bodyLength = 0;
  private hasher: Hash | null = null;
  private hasRoom = true;
  private heldBytes = 0;

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
    this.discard();
    this.firstMs = this.nowMs;
    this.writtenMs = this.lastWrittenMs;
  }

  head(bytes: Uint8Array, from: number, to: number): void {
    if (this.isWanted && this.holds(to - from)) this.headText += latin1(bytes, from, to);
  }

  body(bytes: Uint8Array, from: number, to: number): void {
    if (!this.isWanted || !this.hasRoom) return;
    this.bodyLength += to - from;
    if (this.hasher === null && this.bodyLength > this.maxBodyBytes) this.digestInstead();
    if (this.hasher !== null) this.hasher.update(bytes.subarray(from, to));
    else if (this.holds(to - from + Cost.ARRAY)) this.pieces.push(bytes.slice(from, to));
  }

  /** Gives up what is kept. */
  discard(): void {
    this.memory.giveBack(this.heldBytes);
    this.clear();
  }

  /** The response is complete: it is the caller's. */
  take(code: number): Kept {
    const { hasRoom, heldBytes, firstMs, nowMs, writtenMs } = this;
    const response = hasRoom && this.isWanted ? this.response(code) : null;
    this.clear();
    return { response, heldBytes, firstMs, lastMs: nowMs, writtenMs };
  }

  private response(code: number): ComparedResponse {
    const { headText, pieces, bodyLength, hasher } = this;
    const body = pieces.length === 1 ? pieces[0]! : pieces.length === 0 ? NOTHING : Buffer.concat(pieces);
    return { code, head: headText, body, bodyLength, digest: hasher?.digest("hex") ?? null };
  }

  /** Its body is too long to be kept. */
  private digestInstead(): void {
    this.hasher = createHash("sha256");
    for (const piece of this.pieces) {
      this.hasher.update(piece);
      this.memory.giveBack(piece.length + Cost.ARRAY);
      this.heldBytes -= piece.length + Cost.ARRAY;
    }
    this.pieces = [];
  }

  /** False: there is no room for so much more, and nothing of it is kept. */
  private holds(length: number): boolean {
    if (!this.hasRoom) return false;
    if (this.memory.hasRoomFor(length)) {
      this.memory.take(length);
      this.heldBytes += length;
      return true;
    }
    this.discard();
    this.hasRoom = false;
    return false;
  }

  private clear(): void {
    this.headText = "";
    this.pieces = [];
    this.bodyLength = 0;
    this.hasher = null;
    this.hasRoom = true;
    this.heldBytes = 0;
  }
}
