/** The result of a look at the run: --admin shows this, and nothing else. */
import type { CountersSnapshot } from "./counters.ts";
import type { Gauges } from "./gauges.ts";
import type { Problem } from "./problems.ts";

export interface Look {
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly counters: CountersSnapshot;
  readonly gauges: Gauges;
  readonly isInterfaceUp: boolean;
  /** When a frame of ours last came, or the run began. */
  readonly lastFrameMs: number;
  readonly problems: readonly Problem[];
}
