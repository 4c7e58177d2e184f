import { expect, test } from "bun:test";
import {
  ARRAY_BYTES_MIN,
  ArrayPool,
  costOf,
  LONG_FACTOR,
  SHORT_BYTES_MAX,
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
  ["short", "so many bytes", 128, Infinity, SPARE_BYTES_MAX],
  ["short", "a share of the budget", 128, MIB / SPARE_SHARE_MAX, MIB],
  ["the longest short", "the same", SHORT_BYTES_MAX, MIB / SPARE_SHARE_MAX, MIB],
  ["the shortest long", "some times as much", 2 * SHORT_BYTES_MAX, MIB / SPARE_SHARE_MAX, LONG_FACTOR * MIB],
  ["long", "some times as much", MIB, Infinity, LONG_FACTOR * SPARE_BYTES_MAX],
])("%s arrays that are kept cost no more than %s", (_kind, _what, length, budgetBytes, mostBytes) => {
  const pool = new ArrayPool(budgetBytes);
  const kept = Math.floor(mostBytes / costOf(new Uint8Array(length)));
  const take = () => Array.from({ length: kept + 1 }, () => pool.allocate(length));
  const arrays = take();
  for (const array of arrays) pool.free(array);
  const again = new Set(take());
  expect(arrays.filter((array) => again.has(array))).toHaveLength(kept);
});

test("long arrays leave the room of short ones alone", () => {
  const pool = new ArrayPool(MIB / SPARE_SHARE_MAX);
  const long = Array.from({ length: LONG_FACTOR }, () => pool.allocate(MIB));
  const short = pool.allocate(1);
  for (const array of [...long, short]) pool.free(array);
  expect(pool.allocate(1)).toBe(short);
});

test("an array is as long as a power of two, and so long at the least", () => {
  const lengths = [0, 1, ARRAY_BYTES_MIN, ARRAY_BYTES_MIN + 1].map((length) => new ArrayPool().allocate(length).length);
  expect(lengths).toEqual([ARRAY_BYTES_MIN, ARRAY_BYTES_MIN, ARRAY_BYTES_MIN, 2 * ARRAY_BYTES_MIN]);
});
