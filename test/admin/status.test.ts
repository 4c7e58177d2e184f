/** /status and /healthz: JSON for other programs. */
import { describe, expect, test } from "bun:test";
import { History, ROWS_MAX } from "../../src/admin/history.ts";
import { percentile } from "../../src/admin/histogram.ts";
import { configurationOf, health, statusOf } from "../../src/admin/status.ts";
import type { Phase } from "../../src/admin/view.ts";
import { Counters } from "../../src/observe/counters.ts";
import { type ProblemKind, PROBLEM_KINDS } from "../../src/observe/problems.ts";
import { together } from "../../src/observe/gauges.ts";
import { configOf, lookOf, START_MS, viewOf } from "./views.ts";

const problem = (kind: ProblemKind) => ({ kind, message: `about ${kind}`, since_ms: START_MS });

describe("/healthz", () => {
  const cases: { phase: Phase; problems: ProblemKind[]; reasons: string[] }[] = [
    { phase: "capturing", problems: [], reasons: [] },
    { phase: "reading", problems: [], reasons: [] },
    { phase: "starting", problems: [], reasons: ["starting"] },
    { phase: "stopping", problems: [], reasons: ["stopping"] },
    { phase: "capturing", problems: ["interface_down"], reasons: ["interface_down"] },
    { phase: "capturing", problems: ["endpoint_down"], reasons: ["endpoint_down"] },
    { phase: "stopping", problems: ["endpoint_down"], reasons: ["stopping", "endpoint_down"] },
    {
      phase: "capturing",
      problems: PROBLEM_KINDS.filter((kind) => kind !== "interface_down" && kind !== "endpoint_down"),
      reasons: [],
    },
  ];

  test.each(cases)("%j", ({ phase, problems, reasons }) => {
    const { status, body } = health(viewOf(lookOf(1, undefined, { problems: problems.map(problem) }), { phase }));
    const { reason, message, more = [] } = JSON.parse(body);
    expect(status).toBe(reasons.length === 0 ? 200 : 503);
    const told = [...(reason === undefined ? [] : [{ reason, message }]), ...more];
    expect(told.map((each) => each.reason)).toEqual(reasons);
    for (const { message } of told) expect(message).not.toBe("");
  });
});

test("/healthz is about the endpoint, and shows for the others whether they take connections", () => {
  const gauges = together([]);
  const look = lookOf(
    1,
    undefined,
    { gauges: { ...gauges, destinations: [gauges, { ...gauges, unconnected_ms: 5 }] } },
    ["b:1", "c:2"],
  );
  const down = { ...look, problems: [{ ...problem("destination_down"), destination: "c:2" }] };
  const destinations = [
    { address: "b:1", up: true },
    { address: "c:2", up: false },
  ];
  const { status, body } = health(viewOf(down));
  expect([status, JSON.parse(body)]).toEqual([200, { status: "ok", destinations }]);
  expect(JSON.parse(health(viewOf(down, { phase: "starting" })).body)).toMatchObject({
    reason: "starting",
    destinations,
  });
  const { now, problems } = statusOf(viewOf(down), undefined);
  expect(now.destinations).toMatchObject(destinations);
  expect(problems).toMatchObject([{ kind: "destination_down", destination: "c:2" }]);
});

describe("/status", () => {
  test("has the shape of the summary, with version, uptime and configuration", () => {
    const status = statusOf(viewOf(lookOf(90, ({ requests }) => (requests.seen = 7))), undefined);
    expect(status).toMatchObject({ requests: { seen: 7 } });
    for (const group of Object.keys(new Counters().snapshot())) expect(Object.keys(status)).toContain(group);
    expect(status).toMatchObject({ version: expect.any(String), uptime_s: 90, phase: "capturing", health: "ok" });
    expect(status.configuration).toMatchObject({ interface_name: "eth0", vnis: [42], max_pending_packets: 32 });
  });

  test("shows no value of a header field, which may be a secret", () => {
    const config = configOf(
      ...["--set-header", "Authorization: Basic c2VjcmV0"],
      ...["--allow", "header:X-Api-Key=c2VjcmV0", "--allow", "path:/a=b"],
    );
    const shown = configurationOf(config);
    expect(JSON.stringify(shown)).not.toContain("c2VjcmV0");
    expect(shown).toMatchObject({ set_header: ["Authorization"], allow: ["header:X-Api-Key=…", "path:/a=b"] });
  });

  test("describes a missing limit in words, because JSON has no Infinity", () => {
    expect(configurationOf(configOf()).max_response_seconds).toBe("off");
    expect(configurationOf(configOf("--max-response-seconds", "5")).max_response_seconds).toBe(5);
  });
});

describe("the last ten minutes", () => {
  test("a row has the changes between two looks, per second", () => {
    const history = new History();
    const look = (seconds: number, seen: number, gapBytes: number) =>
      lookOf(seconds, ({ requests, reassembly }) => {
        requests.seen = seen;
        reassembly.gap_bytes = gapBytes;
        reassembly.delivered_bytes = seen * 9;
      });
    history.add(look(10, 100, 0));
    history.add(look(12, 300, 200));
    expect(history.rows).toMatchObject([
      { time_ms: START_MS + 12_000, requests_per_second: 100, loss_share: 200 / 2000, delay_p50_ms: null },
    ]);
  });

  test("has a limited number of rows; a second look at the same time adds no row", () => {
    const history = new History();
    for (let i = 0; i <= ROWS_MAX + 5; i++) {
      history.add(lookOf(i));
      history.add(lookOf(i));
    }
    expect(history.rows).toHaveLength(ROWS_MAX);
    expect(history.rows[0]!.time_ms).toBe(START_MS + 6000);
  });
});

// Three values from 0 to 10, one from 10 to 20, and the values beyond the last bound.
const BOUNDS = [10, 20, Infinity];
test.each([
  [[3, 1, 0], 0.75, 10],
  [[3, 1, 0], 0.25, 10 / 3],
  [[3, 1, 0], 1, 20],
  [[0, 0, 5], 0.5, 20],
  [[0, 4, 0], 0.5, 15],
  [[0, 0, 0], 0.5, null],
] as const)("of %j, %d are within %p", (counts, share, wanted) => {
  const got = percentile(share, BOUNDS, counts);
  if (wanted === null) expect(got).toBeNull();
  else expect(got).toBeCloseTo(wanted, 9);
});
