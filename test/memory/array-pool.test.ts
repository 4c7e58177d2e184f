import { expect, test } from "bun:test";
import {
  ARRAY_BYTES_MIN,
  ArrayPool,
  costOf,
  SPARE_ARRAY_BYTES_MAX,
  SPARE_BYTES_MAX,
  SPARE_SHARE_MAX,
} from "../../src/memory/array-pool.ts";

const MIB = 1 << 20;

test.each([
  ["of a small request", 100, 1],
  ["of a request as long as may be held", MIB, 1],
  ["of one that has just outgrown that", MIB + 1, 1],
  ["of the longest that is kept", SPARE_ARRAY_BYTES_MAX, 1],
  ["that is longer than any request's", SPARE_ARRAY_BYTES_MAX + 1, 0],
])("an array %s is used again, if it may be", (_, length, used) => {
  const pool = new ArrayPool();
  const array = pool.allocate(length);
  pool.free(array);
  expect(pool.allocate(length) === array).toBe(used === 1);
});

test.each([
  ["so many bytes", Infinity, SPARE_BYTES_MAX],
  ["a share of the budget", MIB / SPARE_SHARE_MAX, MIB],
])("arrays that are kept cost no more than %s", (_, budgetBytes, mostBytes) => {
  const pool = new ArrayPool(budgetBytes);
  const length = 128;
  const kept = mostBytes / costOf(new Uint8Array(length));
  expect(Number.isInteger(kept)).toBe(true);
  const take = () => Array.from({ length: kept + 1 }, () => pool.allocate(length));
  const arrays = take();
  for (const array of arrays) pool.free(array);
  const again = new Set(take());
  expect(arrays.filter((array) => again.has(array))).toHaveLength(kept);
});

test("an array is as long as a power of two, and so long at the least", () => {
  const lengths = [0, 1, ARRAY_BYTES_MIN, ARRAY_BYTES_MIN + 1].map((length) => new ArrayPool().allocate(length).length);
  expect(lengths).toEqual([ARRAY_BYTES_MIN, ARRAY_BYTES_MIN, ARRAY_BYTES_MIN, 2 * ARRAY_BYTES_MIN]);
});
