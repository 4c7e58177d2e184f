/** The program learns how an endpoint keeps its connections. */
import { expect, test } from "bun:test";
import { KeepAlive, PROBE_MS, PROMPT_MS, QUIET_MS } from "../../src/forward/keep-alive.ts";

const NOW_MS = 1_750_000_000_000;
/** A connection that has carried this many responses, the last of them just now. */
const carried = (responded: number, respondedMs = NOW_MS) => ({ responded, respondedMs });
const MAY_REPEAT = true;

test("a connection without a response takes any request", () => {
  const keepAlive = new KeepAlive();
  expect(keepAlive.reuseFromMs(carried(0), false, NOW_MS)).toBeLessThanOrEqual(NOW_MS);
});

test("a request that may be repeated follows at once; another one follows when the connection has been quiet", () => {
  const keepAlive = new KeepAlive();
  const connection = carried(1);
  expect(keepAlive.reuseFromMs(connection, MAY_REPEAT, NOW_MS)).toBe(NOW_MS);
  expect(keepAlive.reuseFromMs(connection, false, NOW_MS)).toBe(NOW_MS + QUIET_MS);
});

test("only one connection at a time waits to be proven; the others are not used again until it is", () => {
  const keepAlive = new KeepAlive();
  const [first, second] = [carried(1), carried(1)];
  keepAlive.reuseFromMs(first, false, NOW_MS);
  expect(keepAlive.reuseFromMs(second, false, NOW_MS)).toBe(Infinity);
  keepAlive.responded(carried(2));
  expect(keepAlive.reuseFromMs(second, false, NOW_MS)).toBe(NOW_MS);
});

test.each([1, 3])("connections that are closed without notice after %d responses get no more than that", (count) => {
  const keepAlive = new KeepAlive();
  if (count > 1) keepAlive.responded(carried(2));
  keepAlive.closed(carried(count), NOW_MS + 1);
  // A single close may be an accident, after the connections were seen to be kept.
  expect(keepAlive.reuseFromMs(carried(count), MAY_REPEAT, NOW_MS) === Infinity).toBe(count === 1);
  keepAlive.closed(carried(count), NOW_MS + 1);
  expect(keepAlive.reuseFromMs(carried(count), MAY_REPEAT, NOW_MS + 1)).toBe(Infinity);
  expect(keepAlive.reuseFromMs(carried(count - 1), MAY_REPEAT, NOW_MS + 1)).toBe(NOW_MS + 1);
});

test.each([
  ["soon behind the response is the server's habit", PROMPT_MS, Infinity],
  ["later is a time limit for idle connections, and proves nothing", PROMPT_MS + 1, NOW_MS],
])("a close %s", (_name, ms, fromMs) => {
  const keepAlive = new KeepAlive();
  for (let i = 0; i < 2; i++) keepAlive.closed(carried(1), NOW_MS + ms);
  expect(keepAlive.reuseFromMs(carried(1), MAY_REPEAT, NOW_MS)).toBe(fromMs);
});

test.each([
  [PROBE_MS - 1, true],
  [PROBE_MS, false],
])("%d ms after the last connection that was tried, another is not", (ms, isRefused) => {
  const limited = new KeepAlive();
  limited.closed(carried(1), NOW_MS);
  expect(limited.reuseFromMs(carried(1), MAY_REPEAT, NOW_MS + ms) === Infinity).toBe(isRefused);
  const unproven = new KeepAlive();
  unproven.reuseFromMs(carried(1), false, NOW_MS);
  expect(unproven.reuseFromMs(carried(1), false, NOW_MS + ms) === Infinity).toBe(isRefused);
});

test("the limit is tested now and then; a further response ends it", () => {
  const keepAlive = new KeepAlive();
  keepAlive.closed(carried(1), NOW_MS + 1);
  const probe = carried(1);
  const laterMs = NOW_MS + 60_000;
  expect(keepAlive.reuseFromMs(probe, MAY_REPEAT, laterMs)).toBe(laterMs);
  expect(keepAlive.reuseFromMs(carried(1), MAY_REPEAT, laterMs)).toBe(Infinity);
  keepAlive.responded(carried(2));
  expect(keepAlive.reuseFromMs(carried(1), false, laterMs)).toBe(laterMs);
});
