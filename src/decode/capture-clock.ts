/**
 * The capture's time, from its frames. One frame with a wrong stamp does not move the time, at any distance: a leap is
 * believed only when several frames in a row agree on it. Time never runs back. If the clock that stamps the frames was
 * set back, time goes on from its last value.
 */

/** The longest time between two frames that is believed without doubt. */
export const LEAP_MS_MIN = 10_000;
/** This many frames in a row must lie beyond a leap before it is believed. */
export const LEAP_WITNESSES = 3;
/** A step of time: far less than any limit, and more than a double's precision at today's dates. */
const TICK_MS = 2 ** -8;

/** Gets word of leaps, because it keeps times of this clock. */
export interface LeapListener {
  /** All that was seen at `fromMs` or later was seen at `toMs`: a leap before it is now believed. */
  leapt(fromMs: number, toMs: number): void;
}

/** The clock of one capture. Its listeners hear of leaps. */
export class CaptureClock {
  /** Milliseconds since 1970; about 0 until the time is known. */
  nowMs = 0;
  private isKnown = false;
  /** How far the frames' stamps are behind this clock, since their clock was set back. */
  private lagMs = 0;
  /** Frames in a row that lie beyond a leap. */
  private witnesses = 0;
  /** The earliest stamp of these frames: the time is not earlier. */
  private earliestMs = 0;
  private readonly listeners: LeapListener[] = [];

  listen(listener: LeapListener): void {
    this.listeners.push(listener);
  }

  /** A frame has this stamp. */
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

  /** A trusted clock sets the time. */
  advance(nowMs: number): void {
    if (!this.isKnown) this.leap(nowMs);
    else if (nowMs > this.nowMs) this.nowMs = nowMs;
  }

  private doubt(timestampMs: number, atMs: number): void {
    const isAhead = atMs > this.nowMs;
    if (this.witnesses > 0 && isAhead !== this.earliestMs > this.nowMs) this.witnesses = 0;
    if (this.witnesses === 0) {
      // A step, so that later events have a later time.
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
