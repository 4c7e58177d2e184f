/**
 * The main thread's look at the run, once a second: it adds up counters, finds problems, reports them, and shows them
 * to --admin. Shards report their counters at whole seconds; the look is half a second later, so that each look sees
 * one second more.
 */
import type { Admin } from "../admin/admin.ts";
import type { Phase } from "../admin/view.ts";
import type { Counters } from "../observe/counters.ts";
import type { Problems, Surroundings } from "../observe/problems.ts";
import type { RunReport } from "../observe/report.ts";

const LOOK_MS = 1000;
const LOOK_PHASE_MS = 500;

/** The object of the looks. */
export interface Watched {
  /** Brings the counters up to date. */
  look(): Surroundings;
}

/** The looks of a run, from its start to its end. */
export class Watch {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watched: Watched | undefined;

  /** `admin` undefined: nothing is served. */
  constructor(
    private readonly counters: Counters,
    private readonly problems: Problems,
    private readonly report: RunReport,
    private readonly admin: Admin | undefined,
    private readonly now: () => number,
  ) {}

  /** Sets the phase of the run, from now on. */
  set phase(phase: Phase) {
    if (this.admin === undefined) return;
    this.admin.phase = phase;
    if (this.watched !== undefined) this.look();
  }

  start(watched: Watched): void {
    this.watched = watched;
    this.wait();
  }

  /** Looks for a last time. */
  stop(): void {
    clearTimeout(this.timer);
    this.look();
  }

  private wait(): void {
    const delayMs = LOOK_MS - ((this.now() - LOOK_PHASE_MS) % LOOK_MS);
    // A timer may be a little early: its look must not be made twice.
    const nextMs = delayMs < LOOK_MS / 2 ? delayMs + LOOK_MS : delayMs;
    this.timer = setTimeout(() => {
      this.look();
      this.wait();
    }, nextMs);
  }

  private look(): void {
    if (this.watched === undefined) return;
    const { counters, problems, report, admin } = this;
    const around = this.watched.look();
    const timeMs = this.now();
    const { begun, ended } = problems.look(counters, around, timeMs);
    report.problems(begun, ended);
    report.tick();
    admin?.show({
      timeMs,
      counters: counters.snapshot(),
      gauges: around.gauges,
      isInterfaceUp: around.isInterfaceUp,
      lastFrameMs: problems.lastFrameMs,
      problems: problems.current,
    });
  }
}
