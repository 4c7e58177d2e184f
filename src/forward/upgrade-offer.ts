/**
 * What a client says behind an offer of another protocol (Upgrade, CONNECT), held until it is known what it is: the
 * first of it shows what production said. A request line means that production declined.
 */
import { CR, LF } from "../http/chars.ts";
import { DONE, MORE } from "../http/outcome.ts";
import { RequestLine } from "../http/request-line.ts";
import { Cost } from "../memory/budget.ts";
import type { HeldMemory } from "./held-memory.ts";

/** What the client's next bytes say of production's response. */
export const Verdict = { UNKNOWN: 0, DECLINED: 1, ACCEPTED: 2 } as const;

/** Bytes, or a gap of so many. */
export interface Piece {
  readonly bytes: Uint8Array | null;
  length: number;
  readonly timestampMs: number;
}

export class UpgradeOffer {
  verdict: number = Verdict.UNKNOWN;
  /** The destination has accepted it. */
  isAccepted = false;
  /** The destination has not. */
  isDeclined = false;
  /** Nothing follows. */
  isEnded = false;
  private pieces: Piece[] = [];
  private heldBytes = 0;
  private readonly line = new RequestLine();
  private lineLength = 0;

  /** `isConnect`: what follows may be anything, requests of another server included, and shows nothing. */
  constructor(
    private readonly memory: HeldMemory,
    private readonly lineBytesMax: number,
    isConnect: boolean,
  ) {
    this.line.begin(true);
    if (isConnect) this.verdict = Verdict.ACCEPTED;
  }

  /** Copies what follows. */
  add(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    if (this.verdict === Verdict.UNKNOWN) this.look(bytes, offset, offset + length);
    this.push({ bytes: bytes.slice(offset, offset + length), length, timestampMs }, length);
  }

  /** What follows is missing, or has found no room. Behind a gap nothing of another protocol can be understood. */
  addGap(length: number): void {
    if (this.verdict === Verdict.UNKNOWN) this.verdict = Verdict.DECLINED;
    const last = this.pieces.at(-1);
    if (last?.bytes === null) last.length += length;
    else this.push({ bytes: null, length, timestampMs: 0 }, 0);
  }

  end(): void {
    this.isEnded = true;
  }

  /** Lets go of what is held, as if it were missing. Returns how many bytes that were. */
  forget(): number {
    const length = this.release().reduce((sum, piece) => sum + piece.length, 0);
    this.verdict = Verdict.DECLINED;
    this.addGap(length);
    return length;
  }

  get holds(): boolean {
    return this.heldBytes > Cost.PIECE;
  }

  /** All that was held, which is not held here any more. */
  release(): Piece[] {
    const { pieces } = this;
    this.memory.giveBack(this.heldBytes);
    this.pieces = [];
    this.heldBytes = 0;
    return pieces;
  }

  private push(piece: Piece, bytes: number): void {
    this.pieces.push(piece);
    this.heldBytes += bytes + Cost.PIECE;
    this.memory.take(bytes + Cost.PIECE);
  }

  private look(bytes: Uint8Array, from: number, end: number): void {
    let at = from;
    while (this.lineLength === 0 && at < end && (bytes[at] === CR || bytes[at] === LF)) at++;
    const stop = this.line.feed(bytes, at, Math.min(end, at + this.lineBytesMax - this.lineLength));
    this.lineLength += stop - at;
    // What is too long was a request line as far as anyone would read it.
    if (this.line.outcome === DONE || (this.line.outcome === MORE && stop < end)) this.verdict = Verdict.DECLINED;
    else if (this.line.outcome !== MORE) this.verdict = Verdict.ACCEPTED;
  }
}
