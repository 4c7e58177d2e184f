/** The pairing of production's responses with requests: complete if everything was seen, and never wrong otherwise. */
import { describe, expect, test } from "bun:test";
import { NOISE, type Outcome, simulate, simulateAny, type SimulationOptions } from "./simulation.ts";
import { PLANTS } from "./world.ts";

/** More seeds: TRIALS=20000 bun test --timeout 3600000 test/compare/pairing.test.ts */
const TRIALS = Number(process.env["TRIALS"] ?? 16);
const isMany = process.env["TRIALS"] !== undefined;

const CALM: SimulationOptions = {
  connections: 4,
  talksMax: 10,
  pipelines: true,
  segmentBytesMax: 1400,
  lost: 0,
  late: 0,
  twice: 0,
};

const A_LITTLE = { lost: 0.01, late: 0.02, twice: 0.01 };

/** One outcome at a time: the outcomes of many seeds do not fit into memory. */
function* outcomes(from: number, options: SimulationOptions): Generator<[seed: number, outcome: Outcome]> {
  // An HTTP/2 connection has three times as many requests, because its header tables need some to fill.
  const trials = options.http2 === undefined || isMany ? TRIALS : Math.ceil(TRIALS / 3);
  for (let seed = from; seed < from + trials; seed++) yield [seed, simulate(seed, options)];
}

/** Sums over all outcomes, in one pass. */
function totals<T extends string>(
  from: number,
  options: SimulationOptions,
  of: (outcome: Outcome) => Record<T, number>,
) {
  const sums: Partial<Record<T, number>> = {};
  for (const [, outcome] of outcomes(from, options))
    for (const [name, count] of Object.entries(of(outcome)) as [T, number][]) sums[name] = (sums[name] ?? 0) + count;
  return sums as Record<T, number>;
}

const planted = ({ world }: Outcome) => world.talks.filter(({ plant }) => plant !== "none").length;

test("all seen requests are compared, and every planted difference is found, with its kind and place", () => {
  for (const [seed, outcome] of outcomes(0, CALM)) {
    const { page, counters, world } = outcome;
    expect({ seed, compared: page.compared }).toEqual({ seed, compared: counters.requests.seen });
    expect({ seed, different: page.different }).toEqual({ seed, different: planted(outcome) });
    for (const [plant, found] of Object.entries(PLANTS)) {
      const routes = page.routes.filter(({ path }) => path === `/${plant}/{}`);
      const counts = routes.flatMap(({ differences }) => differences.map(({ count }) => count));
      const talks = world.talks.filter((talk) => talk.plant === plant).length;
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(found.length === 0 ? 0 : talks);
    }
  }
});

/** Nothing but the client's bytes says where the server's begin. */
const PATIENT = { losesSynAcks: true, shard: { gapTimeoutMs: Infinity, maxPendingPackets: 1000 } };

test("without any SYN-ACK, all seen requests are compared", () => {
  for (const [seed, { page, counters }] of outcomes(0, { ...CALM, ...PATIENT }))
    expect({ seed, compared: page.compared }).toEqual({ seed, compared: counters.requests.seen });
});

describe("losses, delays and repetitions of the mirror make fewer comparisons, and not one wrong one", () => {
  // simulation.ts checks each outcome.
  test.each([
    ["a little", A_LITTLE, 0.85],
    ["much", { lost: 0.1, late: 0.1, twice: 0.1 }, 0.3],
    // Here a SYN may come up to 5 ms late, and responses take less time. If the client of a connection is unknown, its
    // server's bytes are skipped (flow-table.ts): of 14,062 requests of 640 seeds, 97.9 % were compared; of 16 seeds
    // each, at least 94.3 %. If the SYN comes in time: 99.9 % of 7,027 requests of 320 seeds. The rest are
    // acknowledgments that overtake the request before them.
    ["nothing but order", { lost: 0, late: 0.3, twice: 0.1 }, isMany ? 0.97 : 0.93],
    ["nothing but order, behind a SYN", { lost: 0, late: 0.3, twice: 0.1, isSynInTime: true }, 0.99],
    ["a little, of clients that wait", { ...A_LITTLE, pipelines: false }, 0.9],
    ["in small segments", { ...A_LITTLE, segmentBytesMax: 300 }, 0.6],
  ])("%s", (_name, mirror, share) => {
    const { compared, seen } = totals(10_000, { ...CALM, ...mirror }, ({ page, counters }) => ({
      compared: page.compared,
      seen: counters.requests.seen,
    }));
    expect(compared).toBeGreaterThan(share * seen);
  });
});

describe("seeds that have failed", () => {
  test.each([
    ["a request is given up while the response to the one before it comes", 777_086, null],
    ["behind a lost HEAD, its response and the next one are taken for one", 20_936, A_LITTLE],
  ])("%s: %d", (_name, seed, options) => {
    if (options === null) simulateAny(seed);
    else simulate(seed, { ...CALM, ...options });
  });
});

/** HTTP/2: the requests that were sent, and those with a response of production and of the endpoint. */
const sent = ({ world }: Outcome) => world.talks.filter(({ isLeftOut }) => !isLeftOut);
const whole = (outcome: Outcome) => sent(outcome).filter(({ isWhole, isAccepted }) => isWhole && !isAccepted);

const SAMPLED = { lost: 0.01, comparison: { share: 0.5 } };
const sampledOf = ({ page, counters }: Outcome) => ({ seen: counters.requests.seen, out: page.sampled_out });

/** Little memory: some responses are not kept. */
const SCANT = { connections: 10, maxBufferMib: 0.1 };
const comparedOf = ({ page, counters }: Outcome) => ({ seen: counters.requests.seen, compared: page.compared });

describe("HTTP/2", () => {
  const HTTP2 = { ...CALM, http2: 1, talksMax: 30 };
  test("without any SYN-ACK, all that came whole on both sides is compared", () => {
    for (const [seed, outcome] of outcomes(100_000, { ...HTTP2, ...PATIENT }))
      expect({ seed, compared: outcome.page.compared }).toEqual({ seed, compared: whole(outcome).length });
  });

  test("all requests that came whole on both sides are compared, and every planted difference is found", () => {
    for (const [seed, outcome] of outcomes(100_000, HTTP2)) {
      const { page, counters } = outcome;
      const all = whole(outcome);
      expect({ seed, seen: counters.requests.seen }).toEqual({ seed, seen: sent(outcome).length });
      expect({ seed, compared: page.compared }).toEqual({ seed, compared: all.length });
      const different = all.filter(({ plant }) => plant !== "none").length;
      expect({ seed, different: page.different }).toEqual({ seed, different });
      const accepted = sent(outcome).filter(({ isWhole, isAccepted }) => isWhole && isAccepted).length;
      expect({ seed, passed: page.not_comparable.pass_through }).toEqual({ seed, passed: accepted });
    }
  });

  test.each([
    ["a little is lost", A_LITTLE, 0.5],
    ["much is lost", { lost: 0.1, late: 0.1, twice: 0.1 }, 0.02],
    ["nothing but order is", { lost: 0, late: 0.3, twice: 0.1 }, 0.8],
    ["a little is lost, in small segments", { ...A_LITTLE, segmentBytesMax: 300 }, 0.2],
    ["a little is lost, beside HTTP/1", { ...A_LITTLE, http2: 0.5 }, 0.5],
  ])("where %s, fewer are compared, and not one wrongly", (_name, mirror, share) => {
    const sums = totals(110_000, { ...HTTP2, ...mirror }, (outcome) => ({
      compared: outcome.page.compared,
      sent: sent(outcome).length,
    }));
    expect(sums.compared).toBeGreaterThan(share * sums.sent);
  });

  test("a share of the requests is compared, and the others are counted", () => {
    const { seen, out } = totals(120_000, { ...HTTP2, ...SAMPLED }, sampledOf);
    expect(Math.abs(out / seen - 0.5)).toBeLessThan(0.1);
  });

  test("a difference that also occurs at the control is noise", () => {
    for (const [seed, outcome] of outcomes(130_000, { ...HTTP2, comparison: { hasControl: true } })) {
      const { page } = outcome;
      const isNoise = (path: string) => path === `/${NOISE}/{}`;
      for (const { path, differences } of page.routes)
        for (const { count, control_count } of differences)
          expect({ seed, path, control_count }).toEqual({ seed, path, control_count: isNoise(path) ? count : 0 });
      const real = whole(outcome).filter(({ plant }) => plant !== "none" && plant !== NOISE).length;
      expect({ seed, different: page.different }).toEqual({ seed, different: real });
    }
  });

  test.each([
    ["a control", { hasControl: true }],
    ["an endpoint", {}],
  ])("%s that does not respond to all requests hides no difference", (_name, comparison) => {
    for (const [seed, { page, counters }] of outcomes(140_000, { ...HTTP2, silent: 0.2, comparison })) {
      const unanswered = counters.responses.unanswered + counters.responses.cancelled;
      expect({ seed, unanswered: page.not_comparable.unanswered }).toEqual({ seed, unanswered });
    }
  });

  test("with little memory, fewer are compared, and the held memory stays within the limit", () => {
    const { seen, compared } = totals(160_000, { ...HTTP2, ...SCANT }, comparedOf);
    expect(compared).toBeGreaterThan(0);
    expect(compared).toBeLessThan(seen / 2);
  });
});

test("a share of the requests is compared, and the others are counted", () => {
  const { seen, out } = totals(20_000, { ...CALM, ...SAMPLED }, sampledOf);
  expect(Math.abs(out / seen - 0.5)).toBeLessThan(0.1);
});

test("requests without a response of the endpoint have their own reason", () => {
  const { told, counted } = totals(30_000, { ...CALM, silent: 0.2 }, ({ page, counters }) => ({
    told: page.not_comparable.unanswered,
    counted: counters.responses.unanswered,
  }));
  expect(told).toBe(counted);
  expect(told).toBeGreaterThan(0);
});

test("an array that is used again has only one owner at a time: slow and pipelining endpoints, endpoints that break off, streamed uploads", () => {
  // simulation.ts checks the differences of each response, and the missed ones.
  for (const hasControl of [false, true]) {
    const options = {
      ...CALM,
      lost: 0.01,
      late: 0.05,
      broken: 0.1,
      slowSteps: 10,
      comparison: { hasControl },
      shard: { pipelineDepth: 3, maxRequestBytes: 300, maxWaitingRequests: 3 },
    };
    expect(totals(90_000, options, ({ page: { compared } }) => ({ compared })).compared).toBeGreaterThan(0);
  }
});

test("bodies beyond the limit are compared by their digest", () => {
  const options = { ...CALM, isLong: true, comparison: { maxCompareBytes: 10 } };
  for (const [seed, { page }] of outcomes(40_000, options)) {
    const counts = page.routes.map(({ path, compared, different }) => [
      path,
      path.startsWith("/none/") ? different : compared - different,
    ]);
    expect({ seed, counts }).toEqual({ seed, counts: counts.map(([path]) => [path, 0]) as typeof counts });
  }
});

test("with little memory, fewer are compared, and the held memory stays within the limit", () => {
  const { seen, compared } = totals(50_000, { ...CALM, ...SCANT }, comparedOf);
  expect(compared).toBeGreaterThan(seen / 2);
  expect(compared).toBeLessThan(seen);
});

test("each difference is a line", () => {
  const all: string[] = [];
  for (const [seed, { page, lines }] of outcomes(60_000, { ...CALM, comparison: { wantsLines: true } })) {
    const counts = page.routes.flatMap(({ differences }) => differences.map(({ count }) => count));
    const found = counts.reduce((sum, count) => sum + count, 0);
    expect({ seed, lines: lines.length }).toEqual({ seed, lines: found });
    all.push(...lines.slice(0, 1));
  }
  const line = JSON.parse(all[0]!);
  expect(Object.keys(line)).toEqual([
    "time",
    "method",
    "target",
    "route",
    "client",
    "kind",
    "where",
    "production",
    "endpoint",
  ]);
  expect(line.route).toBe(`/${line.target.split("/")[1]}/{}`);
  expect(line.client).toMatch(/^10\.0\.0\.\d$/);
});

test("a difference that also occurs at the control is noise: it is counted, and makes no response different", () => {
  const options = { ...CALM, comparison: { hasControl: true } };
  for (const [seed, { page, counters, world }] of outcomes(70_000, options)) {
    expect({ seed, compared: page.compared }).toEqual({ seed, compared: counters.requests.seen });
    for (const { path, different, differences } of page.routes) {
      const isNoise = path === `/${NOISE}/{}`;
      for (const { count, control_count } of differences)
        expect({ seed, path, control_count }).toEqual({ seed, path, control_count: isNoise ? count : 0 });
      if (isNoise) expect(different).toBe(0);
    }
    const real = world.talks.filter(({ plant }) => plant !== "none" && plant !== NOISE).length;
    expect({ seed, different: page.different }).toEqual({ seed, different: real });
  }
});

test("a control that does not respond, or not to all requests, hides no difference", () => {
  const options = { ...CALM, silent: 0.2, comparison: { hasControl: true } };
  for (const [, { page, world }] of outcomes(80_000, options)) {
    expect(page.compared + page.not_comparable.unanswered).toBe(world.talks.length);
  }
});
