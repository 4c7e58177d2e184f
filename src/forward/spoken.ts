/**
 * Whether a destination speaks a version of HTTP. One that does not is told of once, and requests of that version are
 * dropped without making a connection for them. Every now and then a connection is made all the same, and what comes of
 * it decides. Who was away may speak it since: then nothing is known any more.
 */
import type { HttpVersion, RequestDrop } from "./counters.ts";
import type { DestinationReport } from "./destination-options.ts";

/** It is tried again when it has not spoken this version for twice as long, within these bounds. */
export const AGAIN_MIN_MS = 1000;
export const AGAIN_MAX_MS = 10_000;

const SPEECHLESS = "it ends each connection before it says anything";

/** The destination, as far as this goes. */
interface Speaker {
  readonly report: DestinationReport;
  /** The time of the last tick, or when the last batch began. */
  readonly tickedMs: number;
}

export class Spoken {
  /** Why requests are dropped; null: for all that is known, it speaks this version. */
  private reason: RequestDrop | null = null;
  private againMs = 0;
  /** Since when it does not, as was told; -1: nothing was told. */
  private sinceMs = -1;

  constructor(
    private readonly speaker: Speaker,
    private readonly version: HttpVersion,
  ) {}

  /** Why requests that have no connection are dropped now; null: one is made for them. */
  get refusal(): RequestDrop | null {
    return this.speaker.tickedMs < this.againMs ? this.reason : null;
  }

  /** A connection is made: other requests go by what comes of it. */
  tried(): void {
    if (this.reason !== null) this.wait();
  }

  /** It speaks something else; `why` says what can be done about it. */
  declined(why: string): void {
    this.fail("endpoint_protocol", why);
  }

  /** It has ended one connection after the other before it said anything. */
  speechless(): void {
    this.fail("endpoint_closed", SPEECHLESS);
  }

  /** It speaks this version. */
  heard(): void {
    this.reason = null;
    if (this.sinceMs < 0) return;
    this.speaker.report.speaks(this.version, this.speaker.tickedMs - this.sinceMs);
    this.sinceMs = -1;
  }

  /** It was away. */
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
