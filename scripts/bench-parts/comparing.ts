/**
 * (j) The cost of --compare: two programs see the same load at the same time, and one of them compares. And the losses
 * with it at half of the highest rate that is without loss when the program does not compare.
 */
import type { Figures } from "./figures.ts";
import type { LiveLab, Load, Setup } from "./live-lab.ts";
import type { Response } from "./processes.ts";

const TYPE = "application/json";
export const SMALL_JSON: Response = {
  type: TYPE,
  body: '{"id":1234,"name":"Lamp","price":19.9,"tags":["new","sale"],"stock":{"here":12,"there":0}}',
};
/** The same values in other bytes. */
export const OTHER_JSON: Response = {
  type: TYPE,
  body: '{"name":"Lamp","id":1234,"tags":["new","sale"],"price":19.9,"stock":{"there":0,"here":12}}',
};

/** Requests per second: two programs see them. */
const RATE = 4000;
/** CPU is measured in a separate load, after a load that compiles the program's code. */
const WARM_UP_SECONDS = 5;
const MEASURED_SECONDS = 5;
const STEP_SECONDS = 1.5;
const HALF_SECONDS = 20;

/** `bodies`: the endpoint's, beside production's. */
export async function measureComparing(
  figures: Figures,
  lab: LiveLab,
  { runs, quick }: { runs: number; quick: boolean },
  bodies: string,
): Promise<void> {
  const alone: Setup = { mode: "http", shards: 1 };
  const comparing: Setup = { ...alone, index: 1, flags: ["--compare"] };
  const [seconds, warmUpSeconds] = quick ? [0.3, 0.1] : [MEASURED_SECONDS, WARM_UP_SECONDS];
  const add = (what: string, unit: string, value: number) => figures.add("j", `${bodies}: ${what}`, unit, value);
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
    add("not compared", "requests", other.sent - other.compared);
    add("found to differ, where nothing does", "requests", other.different);
  }
}

/** Comparing, at half of the highest rate without loss of a program that does not compare. */
export async function measureComparingAtHalf(
  figures: Figures,
  lab: LiveLab,
  { quick }: { quick: boolean },
): Promise<void> {
  const alone: Setup = { mode: "http", shards: 2 };
  const add = (what: string, unit: string, value: number) => figures.add("j", what, unit, value);
  const found = await lab.highest(alone, RATE, quick ? 0.3 : STEP_SECONDS, quick ? 0.1 : WARM_UP_SECONDS);
  add("2 shards, alone: highest rate without loss", "requests/s", found?.rate ?? 0);
  if (found === null) return;
  const half = await lab.load({ ...alone, flags: ["--compare"] }, found.rate / 2, quick ? 0.3 : HALF_SECONDS);
  add("2 shards, comparing, at half of it: rate", "requests/s", half.rate);
  add("2 shards, comparing, at half of it: lost", "requests", half.lost);
  add("2 shards, comparing, at half of it: lost by the kernel's capture buffer", "packets", half.kernelDropped);
  add("2 shards, comparing, at half of it: damaged", "requests", half.damaged);
  add("2 shards, comparing, at half of it: not compared", "requests", half.sent - half.compared);
  add("2 shards, comparing, at half of it: CPU", "µs/request", half.userUs + half.systemUs);
}
