/**
 * The main test of --mode http: many worlds, each from a seed (simulation.ts). A failure prints its seed;
 * SIMULATOR_SEED=n runs only that one, and describes its events.
 */
import { expect, test } from "bun:test";
import { simulateHttp, traceHttpSeed } from "./simulation.ts";

/** A few fixed ones; scripts/fuzz goes on with new ones. */
const SEEDS = 1000;
const SEEDS_PER_TEST = 500;
const TIMEOUT_MS = 120_000;

/** Events that only one in tens of thousands of seeds meets, with a seed that meets them. */
const FOUND: [string, number][] = [
  ["a connection that is evicted before its first byte goes on from its SYN", 20_003_323],
  ["a connection that waits only for a response that cannot come ends with its flow", 52_587],
  ["bytes held behind an offer stay unchanged until they are written", 6_001_426],
  ["a request that waits to see whether its connection stays open is sent", 6_000_009],
  ["a body that begins like a request is no request after the end of the head that announces it", 700_369],
  ["the same, picked up in its middle", 1929],
  ["the same, after a gap that ends within a line end", 1516],
  ["after more damage than gaps, and a gap, no bytes are taken for a request", 4454],
  ["a gap within a chunk's data damages exactly that request", 3171],
  ["a try without a whole head at the endpoint still counts as a try", 1_224_847_598],
  ["an offer of another protocol is declined by a part of an odd request line and a gap", 2_010_631],
  ["behind an offer with a lost body, bytes are a request only if they begin like one", 81_005_947],
];

/** The same for worlds with a policy. */
const POLICIES: [string, number][] = [
  ["an offer that is held behind a left-out offer, and is left out itself, gets a decision", 191],
];

/** Seeds that failed once, with requests that began together with a body, or with a head that is too long. */
const FAILED = [3753, 706_367, 713_821, 715_238, 715_268, 907_347, 908_149, 1_004_709, 1_005_061];

const wanted = process.env["SIMULATOR_SEED"];

if (wanted !== undefined) {
  test(`seed ${wanted}`, () => {
    console.log(traceHttpSeed(Number(wanted)));
    simulateHttp(Number(wanted));
  });
} else {
  // Some of them would have a policy today, and another course.
  test.each(FOUND)("%s (seed %d)", (_, seed) => void simulateHttp(seed, false));
  test.each(FAILED)("seed %d, which failed once", (seed) => void simulateHttp(seed, false));
  test.each(POLICIES)("%s (seed %d)", (_, seed) => void simulateHttp(seed));

  for (let first = 1; first <= SEEDS; first += SEEDS_PER_TEST) {
    const last = first + SEEDS_PER_TEST - 1;
    test(
      `every whole request is served once and in order, or accounted for, seeds ${first} to ${last}`,
      () => {
        let served = 0;
        for (let seed = first; seed <= last; seed++) served += simulateHttp(seed).served;
        // In a world without events, every rule holds.
        expect(served).toBeGreaterThan(SEEDS_PER_TEST);
      },
      TIMEOUT_MS,
    );
  }
}
