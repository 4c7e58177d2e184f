/**
 * A savefile with its records as far apart as they were captured, or a factor closer. Each record has its time on the
 * clock, which becomes its time stamp, so the later rooms measure as they do on an interface. The schedule does not
 * wait: a late record comes at once, and is counted by the reason why it is late.
 */
import { PassedSource, type WaitingSource } from "./record-source.ts";

/** A record this much early is on time: waits are not exact to less than that. */
const EARLY_MS = 0.5;
/** A record this much late is on time, too. */
export const ON_TIME_MS = 2;
/** A longer pause is no pause, but a wrong clock: the next record comes at once. */
export const PAUSE_MS_MAX = 24 * 60 * 60 * 1000;

export const scheduleCounters = () => ({
  /** Frames that came within 2 ms of their time. */
  on_time: 0,
  /** Frames that came later, because this program or its machine was too slow. */
  late: 0,
  /** Frames that came later, because the endpoint was so far behind that reading paused. */
  held: 0,
});

export type ScheduleCounters = ReturnType<typeof scheduleCounters>;

export class PacedSource extends PassedSource<WaitingSource> {
  timestampMs = 0;
  /** The source is at a record that is not due. */
  private isAhead = false;
  /** How far the clock is ahead of the schedule's times; NaN: there was no record yet. */
  private offsetMs = NaN;
  private firstMs = 0;
  private lastMs = 0;
  private nowMs = 0;
  /** The time until which the endpoint kept the source waiting. */
  private heldUntilMs = -Infinity;

  /** `factor`: how much faster than captured. `now`: milliseconds, with fractions. */
  constructor(
    source: WaitingSource,
    private readonly factor: number,
    private readonly counters: ScheduleCounters,
    private readonly now: () => number,
    private readonly sleep: (ms: number) => Promise<void> = (ms) => Bun.sleep(ms),
  ) {
    super(source);
  }

  /** How far the capture is behind its first record, in its own time. */
  get capturedMs(): number {
    return Math.max(this.lastMs - this.firstMs, 0);
  }

  /** Reading was paused until now, because the endpoint was behind. */
  held(): void {
    this.heldUntilMs = this.now();
  }

  async fill(): Promise<boolean> {
    if (!this.isAhead) return this.source.fill();
    const waitMs = this.timestampMs - this.now();
    if (waitMs > EARLY_MS) await this.sleep(Math.max(waitMs - EARLY_MS, 1));
    return true;
  }

  next(): boolean {
    if (!this.isAhead) {
      if (!this.source.next()) return false;
      this.timestampMs = this.dueMs(this.source.timestampMs);
    }
    // The clock is asked again only if it matters.
    if (this.timestampMs > this.nowMs + EARLY_MS) this.nowMs = this.now();
    this.isAhead = this.timestampMs > this.nowMs + EARLY_MS;
    if (this.isAhead) return false;
    this.count();
    return true;
  }

  /** The time when a record that was captured at `capturedMs` is due. */
  private dueMs(capturedMs: number): number {
    if (Number.isNaN(this.offsetMs)) {
      this.nowMs = this.now();
      this.firstMs = capturedMs;
      this.offsetMs = this.nowMs - capturedMs / this.factor;
    } else if (Math.abs(capturedMs - this.lastMs) > PAUSE_MS_MAX) {
      this.offsetMs += (this.lastMs - capturedMs) / this.factor;
      this.firstMs += capturedMs - this.lastMs;
    }
    this.lastMs = capturedMs;
    return capturedMs / this.factor + this.offsetMs;
  }

  private count(): void {
    const { counters } = this;
    const nowMs = this.now();
    if (nowMs - this.timestampMs <= ON_TIME_MS) {
      counters.on_time++;
    } else if (this.timestampMs < this.heldUntilMs) {
      counters.held++;
      // Records that are late until this is made up for are late for the same reason.
      this.heldUntilMs = nowMs;
    } else {
      counters.late++;
    }
  }
}
