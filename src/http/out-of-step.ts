/**
 * A client's bytes out of step: behind a gap, or on a connection that was picked up in its middle, nobody knows where
 * the next request begins. Only a push that begins with a request line of a known method is trusted to begin one; all
 * else is passed over.
 */
import { announcedLength } from "./announced-body.ts";
import type { HeaderSection } from "./header-section.ts";
import { DONE, MORE } from "./outcome.ts";
import type { RequestLine } from "./request-line.ts";
import type { RequestSink } from "./request-sink.ts";
import { countRequestLines } from "./skipped-lines.ts";

const NOTHING = new Uint8Array(0);

/** What a push begins with. */
export const Beginning = {
  /** With what is no request: {@link OutOfStep.passOver}. */
  OTHER: 0,
  /** It lies within a body that was announced. */
  BODY: 1,
  /** With what may become a request line: it is held until that is decided. */
  CANDIDATE: 2,
  /** With a request line; or it completes one that was held. */
  REQUEST: 3,
} as const;

export class OutOfStep {
  /** How long the request line is that was found; of a candidate, so far. */
  lineLength = 0;
  /** Where the request line that was found ends in the push. */
  lineEnd = 0;
  /** Something was passed over that may have been a request's. */
  private hasSkipped = false;
  /** What is still to come of a body of which only the end of the header section was seen. */
  private announced = 0;
  /** What comes next follows what was passed over. */
  private isContinued = false;
  /** The candidate's bytes from earlier pushes. */
  private held = NOTHING;
  private heldLength = 0;

  /**
   * `line` and `fields` read what comes: nobody else needs them until a request line was found, which `line` then
   * holds. `owesDamage`: picked up in its middle, and if that was within a request, it was not counted yet.
   */
  constructor(
    private readonly maxLineBytes: number,
    private readonly line: RequestLine,
    private readonly fields: HeaderSection,
    private readonly sink: RequestSink,
    public owesDamage: boolean,
  ) {}

  /** What may become a request line is held. */
  get isHolding(): boolean {
    return this.heldLength > 0;
  }

  /** Something has come of a request that was not counted. */
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

  /** The next push: with what it begins. */
  look(bytes: Uint8Array, offset: number, end: number): number {
    if (this.announced > 0) {
      this.announced = Math.max(this.announced - (end - offset), 0);
      this.isContinued = false;
      return Beginning.BODY;
    }
    if (this.heldLength > 0) {
      const beginning = this.read(bytes, offset, end);
      if (beginning !== Beginning.OTHER) return beginning;
      this.dropHeld();
      this.hasSkipped = true;
    }
    // Only of a known method, or any word would be one.
    this.line.begin(true);
    this.lineLength = 0;
    return this.read(bytes, offset, end);
  }

  /** A request line was found. Returns what was held of it, which is not held here any more. */
  takeHeld(): Uint8Array {
    if (this.owesDamage && this.hasSkipped) this.sink.damaged("gap");
    this.owesDamage = false;
    const held = this.held.subarray(0, this.heldLength);
    this.held = NOTHING;
    this.heldLength = 0;
    return held;
  }

  /** The push begins with nothing that anybody knows. */
  passOver(bytes: Uint8Array, offset: number, end: number): void {
    this.hasSkipped = true;
    this.announced = announcedLength(this.fields, bytes, offset, end);
    const lines = countRequestLines(this.line, bytes, offset, end, this.isContinued);
    if (lines > 0) this.sink.skippedRequestLines(lines);
    this.isContinued = true;
  }

  /** What was held is no request line. */
  dropHeld(): void {
    if (this.heldLength > 0) this.sink.skipped(this.heldLength);
    this.held = NOTHING;
    this.heldLength = 0;
  }

  /** Goes on with the request line. */
  private read(bytes: Uint8Array, offset: number, end: number): number {
    const most = Math.min(end, offset + Math.max(this.maxLineBytes - this.lineLength, 0));
    const at = this.line.feed(bytes, offset, most);
    this.lineLength += at - offset;
    this.lineEnd = at;
    if (this.line.outcome === DONE) return Beginning.REQUEST;
    if (this.line.outcome !== MORE || at < end) return Beginning.OTHER;
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
