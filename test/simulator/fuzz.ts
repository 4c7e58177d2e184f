/**
 * The simulator of streams, requests and comparisons, also with several destinations, and the fuzzing of decode and of
 * the capture filters, seed after seed, until the time is over.
 *
 *     scripts/fuzz --seconds 60 [--seed 1000000]
 *
 * Prints the number of seeds, and each seed that failed; then exits with 1.
 */
import { parseArgs } from "node:util";
import { simulateAny } from "../compare/simulation.ts";
import { fuzzDecode } from "../fuzz/decode-fuzz.ts";
import { fuzzFilter } from "../fuzz/filter-fuzz.ts";
import { simulateFurther } from "./further-simulation.ts";
import { simulateFurther as simulateFurtherHttp } from "./http/further-simulation.ts";
import { simulateFlood } from "./http/flood.ts";
import { simulateHttp } from "./http/simulation.ts";
import { simulateHttp2 } from "./http2/simulation.ts";
import { simulate } from "./simulation.ts";

/** The share of the time for the fuzzing of decode. */
const DECODE_SHARE = 0.25;
const DECODE_FRAMES = 20_000;
/** More failures than this show nothing new. */
const FAILURES_SHOWN_MAX = 20;
const PROGRESS_MS = 30_000;

const { values } = parseArgs({ options: { seconds: { type: "string" }, seed: { type: "string" } } });
const seconds = Number(values.seconds ?? NaN);
// Seeds that have not run before, unless one is given.
const first = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
if (!(seconds > 0) || !Number.isSafeInteger(first)) {
  console.error("Usage: scripts/fuzz --seconds N [--seed S]");
  process.exit(2);
}

const startMs = performance.now();
const endMs = startMs + seconds * 1000;
let simulated = 0;
let decoded = 0;
let streams = 0;
let requests = 0;
let failures = 0;
let decodeMs = 0;
let progressMs = startMs + PROGRESS_MS;

function attempt(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (failures++ < FAILURES_SHOWN_MAX) console.error((error as Error).message);
  }
}

for (let nowMs = startMs; nowMs < endMs; nowMs = performance.now()) {
  if (decodeMs < (nowMs - startMs) * DECODE_SHARE) {
    attempt(() => fuzzDecode({ seed: first + decoded, frames: DECODE_FRAMES }));
    attempt(() => fuzzFilter({ seed: first + decoded, frames: DECODE_FRAMES }));
    decoded++;
    decodeMs += performance.now() - nowMs;
  } else {
    attempt(() => (streams += simulate(first + simulated).streams));
    attempt(() => (requests += simulateHttp(first + simulated).requests));
    attempt(() => (requests += simulateHttp2(first + simulated).requests));
    attempt(() => (requests += simulateAny(first + simulated)));
    attempt(() => void simulateFurther(first + simulated));
    attempt(() => void simulateFurtherHttp(first + simulated));
    attempt(() => (requests += simulateFlood(first + simulated).requests));
    simulated++;
  }
  if (nowMs >= progressMs) {
    progressMs += PROGRESS_MS;
    console.error(`${simulated} seeds, ${failures} failures`);
  }
}

console.log(
  `simulator: ${simulated} seeds from ${first}, ${streams} streams, ${requests} requests; decode and filters: ${decoded} seeds from ${first}, ${decoded * DECODE_FRAMES} frames; ${failures} failures`,
);
process.exit(failures === 0 ? 0 : 1);
