/**
 * The time of day with fractions of a millisecond, as captures tell it. The system's clock may be set
 * while the program runs: what that changes is taken over at {@link Clock.adjust}.
 */

/** A difference that rounding alone cannot make. */
const DRIFT_MS_MAX = 2;

export class Clock {
  private originMs = performance.timeOrigin;

  /** Milliseconds since 1970, with fractions. */
  readonly now = (): number => this.originMs + performance.now();

  /** Looks at the system's clock; call it every now and then. */
  adjust(): void {
    const driftMs = Date.now() - this.now();
    if (Math.abs(driftMs) > DRIFT_MS_MAX) this.originMs += driftMs;
  }
}
