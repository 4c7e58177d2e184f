/** The data for all pages. */
import type { Config } from "../config.ts";
import type { ComparisonReport } from "../observe/comparison-report.ts";
import type { Look } from "../observe/look.ts";
import type { AdminCounters } from "./counters.ts";
import type { ProcessFigures } from "./process-figures.ts";

/** The phase of the run. */
export type Phase = "starting" | "capturing" | "reading" | "stopping";

export interface View {
  readonly config: Config;
  readonly startedMs: number;
  readonly phase: Phase;
  readonly look: Look;
  readonly compared: ComparisonReport["counts"];
  readonly admin: AdminCounters & { readonly open: number };
  readonly process: ProcessFigures;
}
