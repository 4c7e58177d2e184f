/** The memory of the comparison has limits, and each object that meets a limit is counted. */
import { expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { AWAITED_MAX, Comparison, PRODUCTION_TIMEOUT_MS } from "../../src/compare/comparison.ts";
import { CALL_COST_BYTES, PairedCalls } from "../../src/compare/calls.ts";
import { CODINGS_MAX, decodeContent } from "../../src/compare/content.ts";
import { ComparedExchange, EXCHANGE_COST_BYTES } from "../../src/compare/exchange.ts";
import { Ignored } from "../../src/compare/ignore.ts";
import {
  KNOWN_ROUTES_MAX,
  KNOWN_TARGET_LEN_MAX,
  KNOWN_TARGETS_MAX,
  KnownTargets,
} from "../../src/compare/known-targets.ts";
import {
  COMPARE_SHARE,
  ComparedMemory,
  SPARE_ARRAY_BYTES_MAX,
  SPARE_MAX,
  SPARE_SHARE,
} from "../../src/compare/memory.ts";
import {
  LINES_PER_MINUTE_MAX,
  newTally,
  OTHER_ROUTE,
  PLACES_MAX,
  routeIn,
  ROUTES_MAX,
} from "../../src/compare/tally.ts";
import { HeldMemory } from "../../src/forward/held-memory.ts";
import { ArrayPool } from "../../src/memory/array-pool.ts";
import { Budget, Cost } from "../../src/memory/budget.ts";
import { headers } from "../http/http2/client-frames.ts";
import { Redactor } from "../../src/redact/redactor.ts";
import { keptOf } from "./kept.ts";

const PLENTY_BYTES = 2 ** 30;
const MINUTE_MS = 60_000;
const MAX_COMPARE_BYTES = 1 << 20;

/** A comparison alone, and the numbers of the exchanges that it gave up, in order. */
function comparing(budgetBytes = PLENTY_BYTES, endpointIsFile = false) {
  const clock = { nowMs: 0 };
  const expired: ComparedExchange[] = [];
  const options = { maxCompareBytes: MAX_COMPARE_BYTES, share: 1, hasControl: false, endpointIsFile, wantsLines: true };
  const memory = new HeldMemory(new Budget(budgetBytes), new ArrayPool());
  const comparison = new Comparison(options, new Ignored([]), new Redactor([]), memory, clock, () => 0.5);
  const stream = { clientAddress: "192.0.2.1", expire: (exchange: ComparedExchange) => void expired.push(exchange) };
  const exchange = (target = "/") => {
    const made = new ComparedExchange(comparison, stream, "GET", 1, 0, null, false, false, clock.nowMs);
    made.target = target;
    return made;
  };
  const awaiting = (count: number) =>
    Array.from({ length: count }, () => {
      const made = exchange();
      comparison.await(made);
      return made;
    });
  return { clock, comparison, expired, exchange, awaiting };
}

const kept = (field: string) => keptOf({ fields: [field] });

test("if too many requests wait for production's response, the oldest is given up", () => {
  const { awaiting, expired } = comparing();
  const [oldest] = awaiting(AWAITED_MAX);
  expect(expired).toEqual([]);
  awaiting(1);
  expect(expired).toEqual([oldest!]);
});

test("the same if they hold more than the comparison's share of the budget", () => {
  const fitting = 10;
  const { awaiting, expired } = comparing((fitting * EXCHANGE_COST_BYTES) / COMPARE_SHARE);
  const [oldest] = awaiting(fitting);
  expect(expired).toEqual([]);
  awaiting(1);
  expect(expired).toEqual([oldest!]);
});

test.each(["notForwarded", "damaged"] as const)(
  "for a file that does not get a request, nothing is held: %s",
  (how) => {
    const { comparison, exchange } = comparing(PLENTY_BYTES, true);
    const made = exchange();
    made[how]();
    made.unproduced("production_response_missing");
    expect(comparison.memory.heldBytes).toBe(0);
  },
);

test("HTTP/2: without room for the framer of the server's bytes, the framer begins in their middle later", () => {
  const { comparison } = comparing((3 * Cost.HTTP2) / COMPARE_SHARE);
  const calls = new PairedCalls(comparison, { clientAddress: "192.0.2.1" });
  const say = (bytes: Uint8Array) => calls.data(bytes, 0, bytes.length, 1, false);
  const respond = (stream: number) => say(headers(stream, [[":status", "200"]], { end: true }));
  const exchanges = [1, 3].map((stream) => calls.head(stream, "GET", "/") as ComparedExchange);
  for (const exchange of exchanges) exchange.forwarded();
  comparison.memory.take(2 * Cost.HTTP2);
  respond(1);
  expect(comparison.tally.production_responses).toBe(0);
  comparison.memory.giveBack(2 * Cost.HTTP2);
  respond(3);
  expect(comparison.tally.production_responses).toBe(1);
  calls.end();
  expect(comparison.tally.not_comparable).toMatchObject({ production_response_missing: 1, unanswered: 1 });
  expect(comparison.memory.heldBytes).toBe(0);
});

test("the memory of a call is charged until production's side and the verdict are known", () => {
  const { comparison } = comparing();
  const calls = new PairedCalls(comparison, { clientAddress: "192.0.2.1" });
  const exchange = calls.head(1, "GET", "/")!;
  expect(comparison.memory.heldBytes).toBe(CALL_COST_BYTES);
  exchange.notForwarded();
  expect(comparison.memory.heldBytes).toBe(CALL_COST_BYTES);
  calls.cancelled(1);
  expect(comparison.memory.heldBytes).toBe(0);
});

test("the wait for production's response has this length, in the capture's time", () => {
  const { clock, comparison, awaiting, expired } = comparing();
  const [only] = awaiting(1);
  clock.nowMs = PRODUCTION_TIMEOUT_MS - 1;
  comparison.advance(0);
  expect(expired).toEqual([]);
  clock.nowMs++;
  comparison.advance(0);
  expect(expired).toEqual([only!]);
});

test("routes beyond the limit count as one, and the known ones keep their names", () => {
  const tally = newTally();
  const first = routeIn(tally, "GET", "/0");
  for (let i = 1; i < ROUTES_MAX; i++) expect(routeIn(tally, "GET", `/${i}`).path).toBe(`/${i}`);
  const [other, another] = [routeIn(tally, "GET", "/one-more"), routeIn(tally, "PUT", "/and-another")];
  expect(other).toBe(another);
  expect(other.path).toBe(OTHER_ROUTE);
  for (const method of ["GET", "PUT"]) expect(routeIn(tally, method, OTHER_ROUTE)).toBe(other);
  expect(routeIn(tally, "GET", "/0")).toBe(first);
  expect(tally.routes.size).toBe(ROUTES_MAX + 1);
});

test("places of a route beyond the limit are counted together", () => {
  const { comparison, exchange } = comparing();
  const further = 3;
  for (let i = 0; i < PLACES_MAX + further; i++)
    expect(comparison.compare(exchange(), kept(`X-${i}: a`), kept(`X-${i}: b`), null)).toBe(true);
  const [route] = comparison.tally.routes.values();
  expect([route!.places.size, route!.other_differences]).toEqual([PLACES_MAX, further]);
  expect(route!.different).toBe(PLACES_MAX + further);
});

test("the lines of differences have a limit per minute, and the ones left out are counted", () => {
  const { comparison, exchange } = comparing();
  const left = 2;
  const differ = () => comparison.compare(exchange(), kept("X: a"), kept("X: b"), null);
  comparison.advance(0);
  for (let i = 0; i < LINES_PER_MINUTE_MAX + left; i++) differ();
  expect(comparison.takeLines()).toHaveLength(LINES_PER_MINUTE_MAX);
  expect(comparison.tally.differences_left_out).toBe(left);
  comparison.advance(MINUTE_MS);
  differ();
  expect(comparison.takeLines()).toHaveLength(1);
  expect(comparison.tally.differences_left_out).toBe(left);
});

test.each([0, 1])("a body is kept up to --max-compare-bytes, and its digest alone if it is %d longer", (more) => {
  const { comparison } = comparing();
  const recorder = comparison.newRecorder();
  const body = new Uint8Array(MAX_COMPARE_BYTES + more);
  recorder.begin();
  recorder.body(body, 0, body.length - 1);
  recorder.body(body, body.length - 1, body.length);
  const { keptLength, bodyLength, digest } = recorder.take(200);
  expect([keptLength, bodyLength, digest !== null]).toEqual([more === 0 ? body.length : 0, body.length, more === 1]);
});

test("nested content codings are decoded up to a limit", () => {
  const coded = (times: number) => {
    let bytes: Uint8Array = new TextEncoder().encode("text");
    for (let i = 0; i < times; i++) bytes = gzipSync(bytes);
    return decodeContent(bytes, new Array<string>(times).fill("gzip"));
  };
  expect(coded(CODINGS_MAX)).toEqual(Buffer.from("text"));
  expect(coded(CODINGS_MAX + 1)).toBeNull();
});

test("targets beyond the number or length that is remembered are read again, with the same result", () => {
  const known = new KnownTargets(new Redactor([]));
  const first = known.of("/users/0?page=1");
  for (let i = 1; i < KNOWN_TARGETS_MAX; i++) known.of(`/users/${i}`);
  expect(known.of("/users/0?page=1")).toBe(first);
  known.of("/one-more");
  const again = known.of("/users/0?page=1");
  expect(again).not.toBe(first);
  expect(again).toEqual(first);
  const [longest, longer] = [`/${"a".repeat(KNOWN_TARGET_LEN_MAX - 1)}`, `/${"a".repeat(KNOWN_TARGET_LEN_MAX)}`];
  expect(known.of(longest)).toBe(known.of(longest));
  expect(known.of(longer)).not.toBe(known.of(longer));
  expect(known.of(longer)).toEqual(known.of(longer));
});

test("the redacted form of routes beyond the limit is computed again", () => {
  const told: string[] = [];
  const known = new KnownTargets({ text: (route) => (told.push(route), `${route} redacted`) });
  // These targets are too long to be remembered.
  const query = "q".repeat(KNOWN_TARGET_LEN_MAX);
  const route = (i: number) => known.of(`/r${i}?${query}`).routePath;
  for (let i = 0; i < KNOWN_ROUTES_MAX; i++) route(i);
  const first = route(0);
  expect([first, told.length]).toEqual([`${told[0]} redacted`, KNOWN_ROUTES_MAX]);
  route(KNOWN_ROUTES_MAX);
  expect([route(0), told.length]).toEqual([first, KNOWN_ROUTES_MAX + 2]);
});

test.each([
  ["so many", PLENTY_BYTES, SPARE_MAX],
  [
    "as fit into their share of the memory",
    (100 * 2 * (SPARE_ARRAY_BYTES_MAX + Cost.ARRAY)) / SPARE_SHARE / COMPARE_SHARE,
    100,
  ],
])("of the objects that keep responses, %s are used again", (_name, budgetBytes, count) => {
  const memory = new ComparedMemory(new HeldMemory(new Budget(budgetBytes), new ArrayPool()));
  const take = () => Array.from({ length: count + 1 }, () => memory.takeKept());
  const all = take();
  for (const each of all) memory.giveBackKept(each);
  const known = new Set(all);
  expect(take().filter((each) => known.has(each))).toHaveLength(count);
});

test("arrays longer than most responses are not kept for others", () => {
  const memory = new ComparedMemory(new HeldMemory(new Budget(PLENTY_BYTES), new ArrayPool()));
  for (const [length, isKept] of [
    [SPARE_ARRAY_BYTES_MAX, true],
    [SPARE_ARRAY_BYTES_MAX + 1, false],
  ] as const) {
    const kept = memory.takeKept();
    kept.bodyBytes = memory.allocate(length);
    memory.giveBackKept(kept);
    expect(memory.heldBytes).toBe(0);
    const again = memory.takeKept();
    expect(again.bodyBytes.length > 0).toBe(isKept);
    memory.freeBody(again);
    memory.giveBackKept(again);
  }
});
