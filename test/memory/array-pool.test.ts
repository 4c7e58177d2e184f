import { expect, test } from "bun:test";
import { ArrayPool } from "../../src/memory/array-pool.ts";

const MIB = 1 << 20;

test.each([
  ["of a small request", 100, 1],
  ["of a request as long as may be held", MIB, 1],
  ["of one that has just outgrown that", MIB + 1, 1],
  ["that is longer than any request's", 2 * MIB + 1, 0],
])("an array %s is used again, if it may be", (_, length, used) => {
  const pool = new ArrayPool();
  const array = pool.allocate(length);
  pool.free(array);
  expect(pool.allocate(length) === array).toBe(used === 1);
});

test("kept arrays cost at most 8 MiB, and at most a share of the budget", () => {
  for (const [budgetBytes, kept] of [
    [Infinity, 7],
    [256 * MIB, 7],
    [64 * MIB, 1],
  ] as const) {
    const pool = new ArrayPool(budgetBytes);
    const arrays = Array.from({ length: 12 }, () => pool.allocate(MIB));
    for (const array of arrays) pool.free(array);
    const again = new Set(Array.from({ length: 12 }, () => pool.allocate(MIB)));
    expect(arrays.filter((array) => again.has(array))).toHaveLength(kept);
  }
});
