/** Routes, histograms and reservoirs. */
import { expect, test } from "bun:test";
import {
  addLatencies,
  countLatency,
  cumulated,
  type LatencyHistogram,
  quantilesOf,
  TIME_MS_MAX,
  TIME_MS_MIN,
} from "../../src/compare/latency.ts";
import { type Drawn, EXAMPLES_MAX, isKept, keep } from "../../src/compare/reservoir.ts";
import { pathOfTarget, ROUTE_PATH_LEN_MAX, routeOf } from "../../src/compare/routes.ts";
import { Random } from "../support/random.ts";

test.each([
  ["/", "/"],
  ["/users", "/users"],
  ["/users/17/orders/0", "/users/{}/orders/{}"],
  ["/v1/items", "/v1/items"],
  ["/u/0b5f7f2e-3c1d-4a6b-9e8f-0a1b2c3d4e5f", "/u/{}"],
  ["/u/0B5F7F2E-3C1D-4A6B-9E8F-0A1B2C3D4E5F/", "/u/{}/"],
  ["/c/deadbeef0123", "/c/{}"],
  ["/c/deadbeefcafe", "/c/deadbeefcafe"],
  ["/t/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/t/{}"],
  ["/articles/a-long-name-without-any-digits", "/articles/a-long-name-without-any-digits"],
  ["/2026/11/25", "/{}/{}/{}"],
  ["//a", "//a"],
])("the route of %p is %p", (path, route) => expect(routeOf(path)).toBe(route));

test.each([
  ["/a?b=/c", "/a"],
  ["/a#b", "/a"],
  ["http://host/a?b", "/a"],
  ["http://host", "/"],
  ["*", "*"],
  ["host:443", "host:443"],
])("the path of target %p is %p", (target, path) => expect(pathOfTarget(target)).toBe(path));

test("a route has a maximum length", () => expect(routeOf(`/${"a/".repeat(1000)}`)).toHaveLength(ROUTE_PATH_LEN_MAX));

test.each<[name: string, limitMs: number, beyondMs: number[]]>([
  ["shorter", TIME_MS_MIN, [TIME_MS_MIN / 2, 0, -1]],
  ["longer", TIME_MS_MAX, [TIME_MS_MAX * 2, Infinity]],
])("times that are %s than the limit of the histogram count as the limit", (_name, limitMs, beyondMs) => {
  const histogram: LatencyHistogram = new Map();
  for (const timeMs of [limitMs, ...beyondMs]) countLatency(histogram, timeMs);
  expect([...histogram.values()]).toEqual([1 + beyondMs.length]);
  countLatency(histogram, limitMs === TIME_MS_MIN ? limitMs * 1.01 : limitMs / 1.01);
  expect(histogram.size).toBe(2);
});

test("quantiles are exact to a millisecond in half a second", () => {
  for (const timeMs of [0.05, 1, 7.3, 50, 133.37, 499.5]) {
    const histogram: LatencyHistogram = new Map();
    for (let i = 0; i < 100; i++) countLatency(histogram, timeMs);
    const { p50_ms, p99_ms } = quantilesOf(histogram);
    expect(Math.abs(p50_ms! - timeMs)).toBeLessThanOrEqual(Math.max(timeMs / 500, 0.01));
    expect(p99_ms).toBe(p50_ms);
  }
});

test("quantiles of many values, of none, and of several threads", () => {
  const [all, odd, even]: LatencyHistogram[] = [new Map(), new Map(), new Map()];
  for (let i = 1; i <= 1000; i++) {
    countLatency(all!, i);
    countLatency(i % 2 === 0 ? even! : odd!, i);
  }
  const { p50_ms, p90_ms, p99_ms } = quantilesOf(all!);
  expect([Math.round(p50_ms! / 10), Math.round(p90_ms! / 10), Math.round(p99_ms! / 10)]).toEqual([50, 90, 99]);
  addLatencies(odd!, even!);
  expect(odd).toEqual(all!);
  expect(quantilesOf(new Map())).toEqual({ p50_ms: null, p90_ms: null, p99_ms: null });
  expect(cumulated(all!, [100.5, 10_000])).toEqual([100, 1000, 1000]);
});

test("impossible times count as the shortest or the longest", () => {
  const histogram: LatencyHistogram = new Map();
  for (const timeMs of [-1, 0, Number.MIN_VALUE, 1e300, Infinity]) countLatency(histogram, timeMs);
  expect([...histogram.values()]).toEqual([3, 2]);
});

test("each occurrence has the same chance to be an example, also after the merge of several threads", () => {
  const OCCURRENCES = 20;
  const ROUNDS = 4000;
  const random = new Random(7);
  const kept = new Array<number>(OCCURRENCES).fill(0);
  for (let round = 0; round < ROUNDS; round++) {
    const [a, b]: [Drawn<number>[], Drawn<number>[]] = [[], []];
    for (let item = 0; item < OCCURRENCES; item++) {
      const draw = random.next();
      // One thread sees a quarter of the occurrences.
      const reservoir = item < OCCURRENCES / 4 ? a : b;
      if (isKept(reservoir, draw)) keep(reservoir, { draw, item });
    }
    for (const drawn of b) if (isKept(a, drawn.draw)) keep(a, drawn);
    expect(a).toHaveLength(EXAMPLES_MAX);
    for (const { item } of a) kept[item]!++;
  }
  const expected = (ROUNDS * EXAMPLES_MAX) / OCCURRENCES;
  // Five standard deviations of a binomial count.
  for (const count of kept) expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected * 0.75));
});
