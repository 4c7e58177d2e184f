/**
 * A clock that never runs back, even if the system's clock is set while the program runs. Captures have the system's
 * time; {@link Clock.aheadMs} is the difference between the two.
 */

/** The smallest difference that rounding alone cannot make. */
const STEP_MS_MIN = 2;

/** It is read once, because each read costs a call, and the clock is read for each response. */
const ORIGIN_MS = performance.timeOrigin;

/** The clock of a run. It is started when it is made. */
export class Clock {
  /** Milliseconds since 1970, with fractions, by the system's clock at the start. */
  readonly now = (): number => ORIGIN_MS + performance.now();

  /** How far the system's clock was set ahead since then; negative: back. */
  get aheadMs(): number {
    const aheadMs = Date.now() - this.now();
    return Math.abs(aheadMs) < STEP_MS_MIN ? 0 : aheadMs;
  }
}
