/**
 * The capture's time, as its frames tell it. One frame with a wrong time is not time passing, however far ahead or
 * behind it is stamped: a leap is believed only when several frames in a row agree on it. Time never runs back. Where
 * the clock that stamped the frames was set back, time goes on from where it was.
 */

/** What may lie between two frames without a doubt. */
export const LEAP_MS_MIN = 10_000;
/** So many frames in a row must lie beyond a leap for it to be believed. */
export const LEAP_WITNESSES = 3;
/** Far less than any limit, and more than a double's precision at today's dates. */
const TICK_MS = 2 ** -8;

/** Who keeps times of this clock. */
export interface LeapListener {
  /** What was seen from `fromMs` on was seen at `toMs`: a leap that is now believed lay before it. */
  leapt(fromMs: number, toMs: number): void;
}

export class CaptureClock {
  /** Milliseconds since 1970; about 0 until the time is known. */
  nowMs = 0;
  private isKnown = false;
  /** What the frames' stamps lag behind this clock since theirs was set back. */
  private lagMs = 0;
  /** Frames in a row that lie beyond a leap. */
  private witnesses = 0;
  /** The earliest time that they tell: so late it is at the least. */
  private earliestMs = 0;
  private readonly listeners: LeapListener[] = [];

  listen(listener: LeapListener): void {
    this.listeners.push(listener);
  }

  /** A frame bears this time. */
  tell(timestampMs: number): void {
    const atMs = timestampMs + this.lagMs;
    const aheadMs = atMs - this.nowMs;
    if (aheadMs > LEAP_MS_MIN || aheadMs < -LEAP_MS_MIN) {
      this.doubt(timestampMs, atMs);
      return;
    }
    this.witnesses = 0;
    if (aheadMs > 0) this.nowMs = atMs;
  }

  /** A clock that needs no doubt says so. */
  advance(nowMs: number): void {
    if (!this.isKnown) this.leap(nowMs);
    else if (nowMs > this.nowMs) this.nowMs = nowMs;
  }

  private doubt(timestampMs: number, atMs: number): void {
    const isAhead = atMs > this.nowMs;
    if (this.witnesses > 0 && isAhead !== this.earliestMs > this.nowMs) this.witnesses = 0;
    if (this.witnesses === 0) {
      // So that what is seen from here on can be told by its time.
      this.nowMs += TICK_MS;
      this.earliestMs = atMs;
    }
    this.earliestMs = Math.min(this.earliestMs, atMs);
    if (++this.witnesses < LEAP_WITNESSES) return;
    this.witnesses = 0;
    if (isAhead) this.leap(this.earliestMs);
    else this.lagMs = this.nowMs - timestampMs;
    this.tell(timestampMs);
  }

  private leap(toMs: number): void {
    const fromMs = this.nowMs;
    this.nowMs = toMs;
    this.isKnown = true;
    for (const listener of this.listeners) listener.leapt(fromMs, toMs);
  }
}
