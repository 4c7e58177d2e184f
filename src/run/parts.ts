/** The parts of a run that do not depend on its source. */
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { ComparisonReport } from "../observe/comparison-report.ts";
import type { Counters } from "../observe/counters.ts";
import type { Log } from "../observe/log.ts";
import type { RunReport } from "../observe/report.ts";

/** The parts of a run. */
export interface RunParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly report: RunReport;
  /** Null: responses are not compared. */
  readonly comparison: ComparisonReport | null;
}
