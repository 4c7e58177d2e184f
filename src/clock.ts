/**
 * A clock that never runs back, whatever the system's is set to while the program runs; captures tell the
 * system's time, and {@link Clock.aheadMs} is what lies between the two.
 */

/** A difference that rounding alone cannot make. */
const STEP_MS_MIN = 2;

export class Clock {
  /** Milliseconds since 1970, with fractions, as the system had it at the start. */
  readonly now = (): number => performance.timeOrigin + performance.now();

  /** How far the system's clock was set ahead since then; negative: back. */
  get aheadMs(): number {
    const aheadMs = Date.now() - this.now();
    return Math.abs(aheadMs) < STEP_MS_MIN ? 0 : aheadMs;
  }
}
