/**
 * A client's bytes out of step: behind a gap, or on a connection that was joined in its middle, the beginning of the
 * next request is unknown. Only a push that begins with a request line of a known method is taken as a request's
 * beginning; all other bytes are skipped.
 */
import { announcedLength } from "./announced-body.ts";
import { DONE, MORE } from "./outcome.ts";
import type { RequestReader } from "./readers.ts";
import type { RequestLine } from "./request-line.ts";
import type { RequestSink } from "./request-sink.ts";
import { countRequestLines } from "./skipped-lines.ts";

const NOTHING = new Uint8Array(0);

/** The beginning of a push. */
export const Beginning = {
  /** No request: the push goes to {@link OutOfStep.passOver}. */
  OTHER: 0,
  /** Bytes of a body that was announced. */
  BODY: 1,
  /** Bytes that may become a request line: they are held until that is decided. */
  CANDIDATE: 2,
  /** A request line, or the rest of one that was held. */
  REQUEST: 3,
} as const;

/** Looks for the next request line of one connection. */
export class OutOfStep {
  /** The length of the request line that was found; of a candidate, so far. */
  lineLength = 0;
  /** Where the request line that was found ends in the push. */
  lineEnd = 0;
  /** Bytes that may have been a request's were skipped. */
  private hasSkipped = false;
  /** How much is still to come of a body; only the end of its request's header section was seen. */
  private announced = 0;
  /** The next bytes follow bytes that were skipped. */
  private isContinued = false;
  /** The candidate's bytes from earlier pushes. */
  private held = NOTHING;
  private heldLength = 0;

  /**
   * `owesDamage`: the connection was joined in its middle; if that was within a request, the request was not counted yet.
   */
  constructor(
    private readonly maxLineBytes: number,
    private readonly sink: RequestSink,
    public owesDamage: boolean,
  ) {}

  /** Whether bytes are held that may become a request line. */
  get isHolding(): boolean {
    return this.heldLength > 0;
  }

  /** Whether bytes have come of a request that was not counted. */
  get hasMissed(): boolean {
    return this.owesDamage && (this.isHolding || this.hasSkipped);
  }

  /** Out of step from here on: the request under way was counted. */
  begin(): void {
    this.owesDamage = false;
    this.announced = 0;
    this.isContinued = false;
  }

  gap(length: number): void {
    this.announced = Math.max(this.announced - length, 0);
    this.isContinued = false;
    this.dropHeld();
  }

  /**
   * Looks at the next push. Returns its {@link Beginning}. `line` has no other user until a request line was found, which
   * it then holds.
   */
  look(line: RequestLine, bytes: Uint8Array, offset: number, end: number): number {
    if (this.announced > 0) {
      this.announced = Math.max(this.announced - (end - offset), 0);
      this.isContinued = false;
      return Beginning.BODY;
    }
    if (this.heldLength > 0) {
      const beginning = this.read(line, bytes, offset, end);
      if (beginning !== Beginning.OTHER) return beginning;
      this.dropHeld();
      this.hasSkipped = true;
    }
    // Only a known method counts: else any word would be one.
    line.begin(true);
    this.lineLength = 0;
    return this.read(line, bytes, offset, end);
  }

  /** A request line was found. Returns the held bytes of it, and releases them. */
  takeHeld(): Uint8Array {
    if (this.owesDamage && this.hasSkipped) this.sink.damaged("gap");
    this.owesDamage = false;
    const held = this.held.subarray(0, this.heldLength);
    this.held = NOTHING;
    this.heldLength = 0;
    return held;
  }

  /** The push begins with bytes that are no request's and no announced body's. */
  passOver({ line, fields }: RequestReader, bytes: Uint8Array, offset: number, end: number): void {
    this.hasSkipped = true;
    this.announced = announcedLength(fields, bytes, offset, end);
    const lines = countRequestLines(line, bytes, offset, end, this.isContinued);
    if (lines > 0) this.sink.skippedRequestLines(lines);
    this.isContinued = true;
  }

  /** The held bytes are no request line. */
  dropHeld(): void {
    if (this.heldLength > 0) this.sink.skipped(this.heldLength);
    this.held = NOTHING;
    this.heldLength = 0;
  }

  /** Goes on with the request line. */
  private read(line: RequestLine, bytes: Uint8Array, offset: number, end: number): number {
    const most = Math.min(end, offset + Math.max(this.maxLineBytes - this.lineLength, 0));
    const at = line.feed(bytes, offset, most);
    this.lineLength += at - offset;
    this.lineEnd = at;
    if (line.outcome === DONE) return Beginning.REQUEST;
    if (line.outcome !== MORE || at < end) return Beginning.OTHER;
    this.hold(bytes, offset, end);
    return Beginning.CANDIDATE;
  }

  private hold(bytes: Uint8Array, from: number, to: number): void {
    const needed = this.heldLength + to - from;
    if (needed > this.held.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.held.length));
      grown.set(this.held.subarray(0, this.heldLength));
      this.held = grown;
    }
    this.held.set(bytes.subarray(from, to), this.heldLength);
    this.heldLength = needed;
  }
}
