/** Floods with little memory, each from a seed (flood.ts). FLOOD_SEED=n runs one. */
import { expect, test } from "bun:test";
import { simulateFlood } from "./flood.ts";

const SEEDS = 40;
const TIMEOUT_MS = 120_000;
const wanted = process.env["FLOOD_SEED"];

if (wanted !== undefined) {
  test(`seed ${wanted}`, () => void simulateFlood(Number(wanted)));
} else {
  test(
    `with budgets of 1 to 100 KiB, each request is counted once, and none overtakes another: seeds 1 to ${SEEDS}`,
    () => {
      let evicted = 0;
      let answered = 0;
      for (let seed = 1; seed <= SEEDS; seed++) {
        const outcome = simulateFlood(seed);
        evicted += outcome.evicted;
        answered += outcome.answered;
      }
      // In a world without events, every rule holds.
      expect(answered).toBeGreaterThan(SEEDS);
      expect(evicted).toBeGreaterThan(SEEDS);
    },
    TIMEOUT_MS,
  );
}
