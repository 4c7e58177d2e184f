/** (j) The cost of --compare: two programs see the same load at the same time, and one of them compares. */
import type { Figures } from "./figures.ts";
import type { LiveLab, Load, Setup } from "./live-lab.ts";

/** Requests per second: two programs see them. */
const RATE = 4000;
/** CPU is measured in a separate load, after a load that compiles the program's code. */
const WARM_UP_SECONDS = 6;
const MEASURED_SECONDS = 6;

export async function measureComparing(
  figures: Figures,
  lab: LiveLab,
  { runs, quick }: { runs: number; quick: boolean },
): Promise<void> {
  const alone: Setup = { mode: "http", shards: 1 };
  const comparing: Setup = { ...alone, index: 1, flags: ["--compare"] };
  const [seconds, warmUpSeconds] = quick ? [0.3, 0.1] : [MEASURED_SECONDS, WARM_UP_SECONDS];
  const add = (what: string, unit: string, value: number) => figures.add("j", what, unit, value);
  const both = ({ userUs, systemUs }: Load) => userUs + systemUs;
  for (let run = 0; run < runs; run++) {
    const [one, other] = await lab.pair([alone, comparing], run, RATE, seconds, warmUpSeconds);
    add("CPU alone, user", "µs/request", one.userUs);
    add("CPU alone, system", "µs/request", one.systemUs);
    add("CPU comparing, user", "µs/request", other.userUs);
    add("CPU comparing, system", "µs/request", other.systemUs);
    add("CPU with --compare, relative to without it", "×", both(other) / both(one));
    add("lost alone", "requests", one.lost);
    add("lost comparing", "requests", other.lost);
  }
}
