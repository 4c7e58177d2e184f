import { expect, test } from "bun:test";
import { countTime, DELAY_BUCKETS_MS } from "../../src/forward/counters.ts";
import { Counters } from "../../src/observe/counters.ts";

test("the sum of several shards' counters has each leaf's sum, in any way of sending, and starts anew each time", () => {
  const one = new Counters();
  one.frames.captured = 3;
  one.frames.dropped[2] = 1;
  one.requests.damage.gap = 4;
  countTime(one.delay, DELAY_BUCKETS_MS, 1.5);
  const two = new Counters();
  two.frames.captured = 4;
  two.frames.dropped[2] = 2;
  countTime(two.delay, DELAY_BUCKETS_MS, 100);
  const sum = new Counters();
  for (let round = 0; round < 2; round++) sum.setToSum([one, structuredClone(two) as Counters]);
  expect(sum.frames.captured).toBe(7);
  expect(sum.frames.dropped[2]).toBe(3);
  expect(sum.requests.damage.gap).toBe(4);
  expect(sum.snapshot().delay).toMatchObject({ count: 2, sum_ms: 101.5, buckets: { le_2_ms: 1, le_100_ms: 1 } });
  sum.setToSum([]);
  expect(sum.snapshot()).toEqual(new Counters().snapshot());
});
