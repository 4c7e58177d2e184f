/** The input of pages, for tests: the configuration of a run, and the values of a look. */
import type { View } from "../../src/admin/view.ts";
import { adminCounters } from "../../src/admin/counters.ts";
import { readRequest } from "../../src/cli/options.ts";
import type { Config } from "../../src/config.ts";
import { NOTHING_COMPARED } from "../../src/observe/comparison-report.ts";
import { Counters } from "../../src/observe/counters.ts";
import { together } from "../../src/observe/gauges.ts";
import type { Look } from "../../src/observe/look.ts";

export const START_MS = 1_760_000_000_000;

export function configOf(...flags: string[]): Config {
  const request = readRequest([...flags, "--admin", "0", "--threads", "1", "eth0", "42", "80", "localhost:8080"], {});
  if (request.kind !== "run") throw new Error("not a run");
  return request.config;
}

/** A look `seconds` after the start; `count` sets the counters up to then. */
export function lookOf(
  seconds: number,
  count: (counters: Counters) => void = () => {},
  rest: Partial<Look> = {},
  further: string[] = [],
): Look {
  const counters = new Counters(further);
  count(counters);
  const timeMs = START_MS + seconds * 1000;
  return {
    timeMs,
    counters: counters.snapshot(),
    gauges: together([], further.length),
    isInterfaceUp: true,
    lastFrameMs: timeMs,
    problems: [],
    ...rest,
  };
}

export function viewOf(look: Look, rest: Partial<View> = {}): View {
  return {
    config: configOf(),
    startedMs: START_MS,
    phase: "capturing",
    look,
    compared: NOTHING_COMPARED,
    admin: { ...adminCounters(), open: 1 },
    process: { cpuSeconds: 1.5, residentBytes: 1e8, openDescriptors: 20, descriptorsMax: 1024, threads: 9 },
    ...rest,
  };
}
