/** --max-rate: at most the given number of requests a second, for all threads together, and without bursts. */
import { expect, test } from "bun:test";
import { BURST_MS, BURST_PLACES_MIN, LEAP_MS, Rate, sharedRate, START_MS } from "../../src/policy/rate.ts";
import { Random } from "../support/random.ts";

const EPOCH_MS = Date.UTC(2026, 0, 1);
const burstOf = (perSecond: number) =>
  Math.max(Math.ceil((perSecond * BURST_MS) / 1000), Math.min(perSecond, BURST_PLACES_MIN));

/** Times of requests, at this average rate, in one of these ways: evenly, at random, or in batches. */
function* arrivals(kind: string, perSecond: number, forMs: number, random: Random): Generator<number> {
  const batchMs = 10;
  const left = (ms: number) => ms < forMs;
  if (kind === "even") for (let i = 0; left((i * 1000) / perSecond); i++) yield (i * 1000) / perSecond;
  if (kind === "random") for (let ms = 0; left(ms); ms += (-Math.log(1 - random.next()) * 1000) / perSecond) yield ms;
  if (kind === "batches")
    for (let ms = 0; left(ms); ms += batchMs)
      for (let i = (perSecond * batchMs) / 1000; i > 0; i--) if (i >= 1 || random.chance(i)) yield ms;
}

/** Sends requests to the threads, in turn or as `thread` says. Returns the times of those that passed. */
function run(perSecond: number, times: Iterable<number>, threads: number, thread: (i: number) => number): number[] {
  const shared = sharedRate();
  const rates = Array.from({ length: threads }, () => new Rate(perSecond, shared));
  const passed: number[] = [];
  let i = 0;
  for (const ms of times) if (rates[thread(i++)]!.take(EPOCH_MS + ms)) passed.push(ms);
  return passed;
}

const MINUTE_MS = 60_000;
const loads: [kind: string, perSecond: number, load: number, threads: number][] = [
  ["even", 1, 10, 1],
  ["even", 7, 100, 2],
  ["even", 1000, 1500, 2],
  ["random", 10, 100, 1],
  ["random", 100, 150, 4],
  ["random", 1000, 3000, 8],
  ["batches", 300, 1000, 4],
  ["batches", 2000, 2500, 2],
];
test.each(loads)(
  "%s requests: of %d/s at most, with %d/s on %d threads, all pass in a minute within 1 %%",
  (...load) => {
    const [kind, perSecond, offered, threads] = load;
    for (const isUneven of [false, true]) {
      const random = new Random(perSecond);
      const thread = (i: number) => (isUneven ? (random.chance(0.95) ? 0 : random.int(0, threads - 1)) : i % threads);
      const passed = run(perSecond, arrivals(kind, offered, MINUTE_MS, random), threads, thread);
      const want = perSecond * 60;
      expect(Math.abs(passed.length - want)).toBeLessThanOrEqual(Math.max(want / 100, 1));
    }
  },
);

test.each(loads)(
  "%s requests: %d/s are smooth, with %d/s on %d threads: no stretch has more than its share and the kept places",
  (kind, perSecond, offered, threads) => {
    const random = new Random(perSecond);
    const passed = run(perSecond, arrivals(kind, offered, MINUTE_MS, random), threads, (i) => i % threads);
    for (const stretchMs of [100, 1000, 10_000]) {
      let most = 0;
      for (let from = 0, to = 0; to < passed.length; to++) {
        while (passed[to]! - passed[from]! >= stretchMs) from++;
        most = Math.max(most, to - from + 1);
      }
      expect(most).toBeLessThanOrEqual((perSecond * stretchMs) / 1000 + burstOf(perSecond) + 1);
    }
  },
);

test("fewer than the rate all pass", () => {
  for (const kind of ["even", "batches"]) {
    const times = [...arrivals(kind, 900, 10_000, new Random(1))];
    expect(run(1000, times, 2, (i) => i % 2)).toHaveLength(times.length);
  }
});

test("after a silence, only the kept places pass at once", () => {
  const atOnce = (ms: number) => [0, ...Array.from({ length: 1000 }, () => ms)];
  // The first request has the oldest of the places that are free then.
  const placeMs = 10;
  const longestMs = LEAP_MS - (START_MS - placeMs);
  expect(run(100, atOnce(longestMs), 1, () => 0)).toHaveLength(1 + burstOf(100));
  expect(run(100, atOnce(longestMs + placeMs), 1, () => 0)).toHaveLength(1 + (100 * START_MS) / 1000);
  // At a low rate, places of more than that time are kept.
  expect(run(20, atOnce(LEAP_MS / 2), 1, () => 0)).toHaveLength(1 + BURST_PLACES_MIN);
});

test("a thread with a slightly late clock takes the remaining places, and a clock that is set back starts anew", () => {
  const rate = new Rate(100, sharedRate());
  for (let ms = 0; ms < 1000; ms++) rate.take(EPOCH_MS + ms);
  const passes = (fromMs: number) => {
    let passed = 0;
    for (let ms = 0; ms < 1000; ms++) if (rate.take(EPOCH_MS + fromMs + ms)) passed++;
    return passed;
  };
  // Half of the second is over already.
  expect(Math.abs(passes(500) - 50)).toBeLessThanOrEqual(1);
  const atFirst = (100 * START_MS) / 1000;
  expect(Math.abs(passes(-LEAP_MS) - 100 - atFirst)).toBeLessThanOrEqual(1);
});
