/**
 * A client's bytes behind an offer of another protocol (Upgrade, CONNECT), held until their meaning is known. The first
 * of them show production's response: a request line means that production declined.
 */
import { HTTP2_PREFACE } from "../http/foreign.ts";
import { CR, LF } from "../http/chars.ts";
import { DONE, MORE } from "../http/outcome.ts";
import { RequestLine } from "../http/request-line.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { HeldMemory } from "./held-memory.ts";

const NO_PREFACE = -1;

/** What the client's next bytes show about production's response. */
export const Verdict = { UNKNOWN: 0, DECLINED: 1, ACCEPTED: 2, HTTP2: 3 } as const;

const RUN_BYTES = Int32Array.BYTES_PER_ELEMENT;
/** Held bytes are given on in copies of up to this length, or of one run that is longer. */
export const COPY_BYTES_MAX = 64 << 10;

/** Takes the held bytes, in order. */
export interface OfferSink {
  /** Bytes that came in one piece, as they came: behind a gap, a request may begin where a piece begins. */
  heldBytes(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void;
  heldGap(length: number): void;
}

/** One offer of another protocol, until it is decided. */
export class UpgradeOffer {
  verdict: number = Verdict.UNKNOWN;
  /** The destination has accepted the offer. */
  isAccepted = false;
  /** The destination has declined the offer. */
  isDeclined = false;
  /** The client has ended. */
  isEnded = false;
  private readonly queue: ByteQueue;
  /** The lengths of the pieces, and of the gaps as negative numbers, in order; in an array of the pool. */
  private runs = new Int32Array(0);
  private runCount = 0;
  /** The capture time of the frame that brought the first byte. */
  private timestampMs = 0;
  private readonly line = new RequestLine();
  private lineLength = 0;
  /** How many bytes of HTTP/2's preface have come; {@link NO_PREFACE}: the bytes are no preface. */
  private prefaceLength = 0;

  /**
   * `isConnect`: the bytes that follow may be anything, even requests to another server, and so show nothing.
   * `isLeftOut`: the offer is not forwarded, and the bytes show only whether requests go on.
   */
  constructor(
    private readonly memory: HeldMemory,
    private readonly lineBytesMax: number,
    isConnect: boolean,
    readonly isLeftOut: boolean,
  ) {
    this.queue = new ByteQueue(memory);
    this.line.begin(true);
    if (isConnect) this.verdict = Verdict.ACCEPTED;
  }

  /** Holds a copy of bytes behind the offer. */
  add(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    if (this.verdict === Verdict.UNKNOWN) this.look(bytes, offset, offset + length);
    if (this.queue.length === 0) this.timestampMs = timestampMs;
    this.queue.push(bytes, offset, length);
    this.note(length);
  }

  /**
   * `length` bytes are missing, or have found no room. Behind a gap, bytes of another protocol cannot be understood.
   */
  addGap(length: number): void {
    if (this.verdict === Verdict.UNKNOWN) this.verdict = Verdict.DECLINED;
    const last = this.runCount - 1;
    if (last >= 0 && this.runs[last]! < 0) this.runs[last]! -= length;
    else this.note(-length);
  }

  end(): void {
    this.isEnded = true;
  }

  /** Releases the held bytes, as if they were missing. */
  forget(): void {
    const { length } = this.queue;
    const gapLength = this.runs.subarray(0, this.runCount).reduce((sum, run) => sum + Math.max(-run, 0), 0);
    this.clear();
    this.verdict = Verdict.DECLINED;
    this.addGap(length + gapLength);
  }

  get heldBytes(): number {
    return this.queue.length;
  }

  get holds(): boolean {
    return this.runCount > 1 || this.queue.length > 0;
  }

  /** Releases the held bytes, and the gaps among them. */
  clear(): void {
    this.queue.clear();
    this.freeRuns();
    this.runCount = 0;
  }

  /** Hands all held bytes on, and releases them. */
  release(sink: OfferSink): void {
    for (let from = 0; from < this.runCount;) from = this.releaseSome(from, sink);
    this.clear();
  }

  /** Gives on runs, from this one on, as many as go into one copy. Returns the index of the next run. */
  private releaseSome(from: number, sink: OfferSink): number {
    let to = from;
    let length = 0;
    while (to < this.runCount && (to === from || length + this.runs[to]! <= COPY_BYTES_MAX))
      length += Math.max(this.runs[to++]!, 0);
    // A copy, because bytes that are handed on stay valid until the batch ends.
    const bytes = this.queue.beginning(length).slice();
    this.queue.drop(length);
    let offset = 0;
    for (let i = from; i < to; i++) {
      const run = this.runs[i]!;
      if (run < 0) sink.heldGap(-run);
      else sink.heldBytes(bytes, offset, run, this.timestampMs);
      offset += Math.max(run, 0);
    }
    return to;
  }

  private note(run: number): void {
    if (this.runCount === this.runs.length) this.growRuns();
    this.runs[this.runCount++] = run;
  }

  private growRuns(): void {
    const array = this.memory.allocate(2 * this.runs.byteLength);
    const grown = new Int32Array(array.buffer as ArrayBuffer, array.byteOffset, array.length / RUN_BYTES);
    grown.set(this.runs);
    this.freeRuns();
    this.runs = grown;
  }

  private freeRuns(): void {
    if (this.runs.length > 0) this.memory.free(new Uint8Array(this.runs.buffer));
    this.runs = new Int32Array(0);
  }

  /** Compares the next bytes with HTTP/2's preface. */
  private lookForPreface(bytes: Uint8Array, from: number, end: number): void {
    for (let at = from; at < end && this.prefaceLength >= 0 && this.prefaceLength < HTTP2_PREFACE.length; at++)
      this.prefaceLength = bytes[at] === HTTP2_PREFACE[this.prefaceLength] ? this.prefaceLength + 1 : NO_PREFACE;
  }

  private look(bytes: Uint8Array, from: number, end: number): void {
    let at = from;
    while (this.lineLength === 0 && at < end && (bytes[at] === CR || bytes[at] === LF)) at++;
    this.lookForPreface(bytes, at, end);
    if (this.prefaceLength === HTTP2_PREFACE.length) this.verdict = Verdict.HTTP2;
    if (this.verdict !== Verdict.UNKNOWN || (this.prefaceLength > 0 && this.line.outcome !== MORE)) return;
    const most = Math.min(end, at + this.lineBytesMax - this.lineLength);
    const stop = this.line.outcome === MORE ? this.line.feed(bytes, at, most) : at;
    this.lineLength += stop - at;
    // A line that is too long was a request line, as far as anyone would read it.
    if (this.line.outcome === DONE || (this.line.outcome === MORE && stop < end)) this.verdict = Verdict.DECLINED;
    // Bytes that begin like HTTP/2 are no request line, and may be HTTP/2.
    else if (this.line.outcome !== MORE && this.prefaceLength <= 0) this.verdict = Verdict.ACCEPTED;
  }
}
