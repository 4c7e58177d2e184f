/**
 * Learns whether a destination speaks a version of HTTP. If it does not, this is reported once, and requests of that
 * version are dropped without a connection. Now and then a connection is made nevertheless, and its outcome decides. If
 * the destination was away, it may have changed: then the answer is unknown again.
 */
import type { HttpVersion, RequestDrop } from "./counters.ts";
import type { DestinationReport } from "./destination-options.ts";

/**
 * The bounds of the time until the next try. That time is as long as the destination has not spoken the version so far.
 */
export const AGAIN_MIN_MS = 1000;
/** The longest time until the next try. */
export const AGAIN_MAX_MS = 10_000;

const SPEECHLESS = "it closes each connection before it takes a request";

/** The destination, as seen here. */
interface Speaker {
  readonly report: DestinationReport;
  /** The time of the last tick, or when the last batch began. */
  readonly tickedMs: number;
}

/** One version of HTTP, and one destination. */
export class Spoken {
  /** Why requests are dropped; null: as far as is known, the destination speaks this version. */
  private reason: RequestDrop | null = null;
  private againMs = 0;
  /** Since when the destination does not speak it, according to the report; -1: it was not reported. */
  private sinceMs = -1;

  constructor(
    private readonly speaker: Speaker,
    private readonly version: HttpVersion,
  ) {}

  /** Why requests without a connection are dropped now; null: a connection is made for them. */
  get refusal(): RequestDrop | null {
    return this.speaker.tickedMs < this.againMs ? this.reason : null;
  }

  /** A connection is being made: its outcome decides about other requests. */
  tried(): void {
    if (this.reason !== null) this.wait();
  }

  /** The destination speaks another protocol. `why`: words with advice. */
  declined(why: string): void {
    this.fail("endpoint_protocol", why);
  }

  /** The destination has ended one connection after the other before a request could be sent. */
  speechless(): void {
    this.fail("endpoint_closed", SPEECHLESS);
  }

  /** The destination speaks this version. */
  heard(): void {
    this.reason = null;
    if (this.sinceMs < 0) return;
    this.speaker.report.speaks(this.version, this.speaker.tickedMs - this.sinceMs);
    this.sinceMs = -1;
  }

  /** The destination was away. */
  forget(): void {
    this.reason = null;
  }

  private fail(reason: RequestDrop, why: string): void {
    this.reason = reason;
    if (this.sinceMs < 0) {
      this.sinceMs = this.speaker.tickedMs;
      this.speaker.report.speaksNot(this.version, why);
    }
    this.wait();
  }

  private wait(): void {
    const { tickedMs } = this.speaker;
    this.againMs = tickedMs + Math.min(Math.max(tickedMs - this.sinceMs, AGAIN_MIN_MS), AGAIN_MAX_MS);
  }
}
