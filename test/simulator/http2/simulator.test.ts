/** Many worlds of HTTP/2, each from a seed (simulation.ts). SIMULATOR_SEED=n runs only that one. */
import { expect, test } from "bun:test";
import { simulateHttp2 } from "./simulation.ts";

const SEEDS = 200;
const TIMEOUT_MS = 60_000;

/**
 * Seeds that failed once: in the first two, a pipe was pumped before the end of a call was processed, and never again;
 * in the others, padding behind a gap became requests.
 */
const FAILED = [20_001_056, 20_002_017, 20_002_518, 72_002_262, 72_008_196, 72_015_239];

const wanted = process.env["SIMULATOR_SEED"];

if (wanted !== undefined) {
  test(`seed ${wanted}`, () => void simulateHttp2(Number(wanted)));
} else {
  test.each(FAILED)("seed %d, which failed once", (seed) => void simulateHttp2(seed));

  test(
    `nothing is invented, and every request is in one counter, seeds 1 to ${SEEDS}`,
    () => {
      let served = 0;
      for (let seed = 1; seed <= SEEDS; seed++) served += simulateHttp2(seed).served;
      // In a world without events, every rule holds.
      expect(served).toBeGreaterThan(SEEDS);
    },
    TIMEOUT_MS,
  );
}
