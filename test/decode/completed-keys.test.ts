/** Which datagrams' keys are known. */
import { expect, test } from "bun:test";
import { CompletedKeys, KEYS_MAX } from "../../src/decode/completed-keys.ts";

const LIFE_MS = 100;
const key = (n: number) => Int32Array.of(n, 0);

test("a key counts as often as it came, each time within its life", () => {
  const keys = new CompletedKeys(2, LIFE_MS);
  for (const [nowMs, before] of [
    [0, 0],
    [LIFE_MS - 1, 1],
    [2 * LIFE_MS - 2, 2],
    [3 * LIFE_MS - 2, 0],
    [3 * LIFE_MS - 1, 1],
  ] as const) {
    expect(keys.countOf(key(1), 7, nowMs)).toBe(before);
    keys.add(key(1), 7, nowMs);
  }
});

test("keys with the same hash are two", () => {
  const keys = new CompletedKeys(2, LIFE_MS);
  keys.add(key(1), 7, 0);
  expect([1, 2].map((n) => keys.countOf(key(n), 7, 0))).toEqual([1, 0]);
});

test("KEYS_MAX are known; one more, and the one that is known longest is forgotten", () => {
  const keys = new CompletedKeys(2, LIFE_MS);
  for (let n = 0; n < KEYS_MAX; n++) keys.add(key(n), n, 0);
  const known = () => Array.from({ length: KEYS_MAX + 1 }, (_, n) => keys.countOf(key(n), n, 0));
  expect(known()).toEqual([...new Array<number>(KEYS_MAX).fill(1), 0]);
  keys.add(key(KEYS_MAX), KEYS_MAX, 0);
  expect(known()).toEqual([0, ...new Array<number>(KEYS_MAX).fill(1)]);
});
