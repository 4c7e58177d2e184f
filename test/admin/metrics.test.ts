/** /metrics follows Prometheus' rules, and has every counter of the summary. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metrics, metricsText, PREFIX } from "../../src/admin/metrics.ts";
import { HELP } from "../../src/admin/metric-help.ts";
import { countLatency } from "../../src/compare/latency.ts";
import { countsOf, newTally } from "../../src/compare/tally.ts";
import { countTime, DELAY_BUCKETS_MS } from "../../src/forward/counters.ts";
import type { Counters } from "../../src/observe/counters.ts";
import { type Gauges, together } from "../../src/observe/gauges.ts";
import { configOf, lookOf, START_MS, viewOf } from "./views.ts";

const ROOT = join(import.meta.dir, "../..");

type Tree = { [name: string]: number | Tree };

/** Gives each counter another value, so that no counter can be mistaken for another. */
function countAll(counters: object, from = 1): number {
  let next = from;
  for (const [name, value] of Object.entries(counters as Tree)) {
    if (typeof value === "number") (counters as Tree)[name] = next++;
    else next = countAll(value, next);
  }
  return next;
}

const full = viewOf(lookOf(5, (counters) => void countAll(counters)));
const text = metricsText(full);
const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
const samples = new Map(
  lines.map((line) => {
    const [, name, value] = /^(.*) (\S+)$/.exec(line)!;
    return [name!.slice(PREFIX.length), Number(value)] as const;
  }),
);

test("each sample's name and labels occur once", () => expect(samples.size).toBe(lines.length));

/** The metric of a counter of the summary, and the factor between their units. */
function metricOf([group, name, reason]: string[]): [sample: string, unitsPerOne: number] {
  const of = ["requests", "responses", "grpc", "http2", "upstream", "delay", "response_time"].includes(group!)
    ? 'destination="endpoint"'
    : "";
  const labels = (...more: string[]) => {
    const all = [of, ...more].filter((label) => label !== "");
    return all.length === 0 ? "" : `{${all.join(",")}}`;
  };
  if (/^\dxx$/.test(name!)) return [`${group}_total${labels(`class="${name}"`)}`, 1];
  if (name === "active") return [`flows_active${labels()}`, 1];
  if (name === "sum_ms") return [`${group}_seconds_sum${labels()}`, 1000];
  if (name === "count") return [`${group}_seconds_count${labels()}`, 1];
  return [`${group}_${name}_total${labels(...(reason === undefined ? [] : [`reason="${reason}"`]))}`, 1];
}

function leaves(tree: Tree, path: string[] = []): [path: string[], value: number][] {
  return Object.entries(tree).flatMap(([name, value]) =>
    typeof value === "number" ? [[[...path, name], value] as [string[], number]] : leaves(value, [...path, name]),
  );
}

const counted = leaves(full.look.counters as unknown as Tree).filter(([path]) => !path.includes("buckets"));

test.each(counted)("%j of the summary", (path, value) => {
  const [sample, unitsPerOne] = metricOf(path);
  expect(samples.get(sample)).toBe(value / unitsPerOne);
});

test("histograms are cumulative, in seconds, up to the count of all values", () => {
  const delays = (counters: Counters) => {
    for (const ms of [0.2, 0.3, 40, 9999]) countTime(counters.delay, DELAY_BUCKETS_MS, ms);
  };
  const told = metricsText(viewOf(lookOf(1, delays)));
  const bucket = (le: string) => `${PREFIX}delay_seconds_bucket{destination="endpoint",le="${le}"}`;
  const wanted: [string, number][] = [
    ["0.00025", 1],
    ["0.0005", 2],
    ["0.025", 2],
    ["0.05", 3],
    ["5", 3],
    ["+Inf", 4],
  ];
  for (const [le, count] of wanted) expect(told).toContain(`${bucket(le)} ${count}\n`);
});

test("the totals of --compare: by verdict and reason, and times to the last byte", () => {
  const tally = newTally();
  const names = [
    "compared",
    "same",
    "different",
    "sampled_out",
    "production_responses",
    "differences_left_out",
  ] as const;
  names.forEach((name, i) => (tally[name] = 20 + i));
  tally.not_comparable.request_damaged = 31;
  tally.not_comparable.pass_through = 32;
  for (const ms of [1.5, 2, 40, 60_000]) countLatency(tally.latency.production, ms);
  countLatency(tally.latency.endpoint, 300);
  const told = metricsText(viewOf(lookOf(1), { compared: countsOf(tally) }));
  const values: [string, number][] = [
    ...names.map((name, i) => [`${name}_total`, 20 + i] as [string, number]),
    ['not_comparable_total{reason="request_damaged"}', 31],
    ['not_comparable_total{reason="pass_through"}', 32],
    ['not_comparable_total{reason="too_large"}', 0],
    ['latency_production_seconds_bucket{le="0.001"}', 0],
    ['latency_production_seconds_bucket{le="0.0025"}', 2],
    ['latency_production_seconds_bucket{le="0.05"}', 3],
    ['latency_production_seconds_bucket{le="30"}', 3],
    ['latency_production_seconds_bucket{le="+Inf"}', 4],
    ["latency_production_seconds_count", 4],
    ['latency_endpoint_seconds_bucket{le="0.25"}', 0],
    ['latency_endpoint_seconds_bucket{le="0.5"}', 1],
  ];
  for (const [name, value] of values) expect(told).toContain(`\n${PREFIX}comparison_${name} ${value}\n`);
  const [, sum] = /comparison_latency_endpoint_seconds_sum (.*)/.exec(told)!;
  expect(Math.abs(Number(sum) - 0.3)).toBeLessThan(0.3 * 0.002);
});

test("further destinations differ by their addresses, also after another run", () => {
  for (const further of [["b:1", "c:2"], ["d:3"], []]) {
    const seen = lookOf(
      1,
      ({ destinations }) => destinations.forEach(({ requests }, i) => (requests.seen = i + 7)),
      {},
      further,
    );
    const told = [...(metricsText(viewOf(seen)).match(/^vxlan_to_http_requests_seen_total.*$/gm) ?? [])];
    expect(told).toEqual(
      ["endpoint", ...further].map(
        (name, i) => `${PREFIX}requests_seen_total{destination="${name}"} ${i === 0 ? 0 : i + 6}`,
      ),
    );
  }
});

test("limits stand beside the limited amounts, in base units", () => {
  const config = configOf("--max-buffer-mib", "3", "--max-waiting-requests", "7", "--max-flows", "9");
  const gauges = { ...together([]), buffer_bytes: 5, max_buffer_bytes: 3_145_728 };
  const told = metricsText(viewOf(lookOf(0, undefined, { gauges }), { config }));
  const lines = [
    'max_buffer_bytes{destination="endpoint"} 3145728',
    "max_waiting_requests 7",
    "max_flows 9",
    'buffer_bytes{destination="endpoint"} 5',
  ];
  for (const line of lines) expect(told).toContain(`\n${PREFIX}${line}\n`);
});

test("each destination has its gauges", () => {
  const own = (from: number) => Object.fromEntries(Object.keys(plain).map((name, i) => [name, from + i]));
  const { destinations: _, ...plain } = together([]);
  const gauges = { ...own(100), destinations: [own(200), { ...plain, unconnected_ms: 7000 }] } as unknown as Gauges;
  const told = metricsText(viewOf(lookOf(1, undefined, { gauges }, ["b:1", "c:2"])));
  const valuesOf = (name: string) =>
    [...told.matchAll(new RegExp(`^${PREFIX}${name}\\{destination="(.*)"\\} (.*)$`, "gm"))].map(
      ([, destination, value]) => [destination, Number(value)],
    );
  const all = (endpoint: number, b: number, c: number) => [
    ["endpoint", endpoint],
    ["b:1", b],
    ["c:2", c],
  ];
  // In the order of the names: upstream_open is the fourth, buffer_bytes the sixth; the last two are times.
  expect(valuesOf("upstream_open")).toEqual(all(103, 203, 0));
  expect(valuesOf("buffer_bytes")).toEqual(all(105, 205, 0));
  expect(valuesOf("upstream_unconnected_timestamp_seconds")).toEqual(all(0.108, 0.208, 7));
  // The last try succeeded if the connected time is the later one.
  expect(valuesOf("destination_up")).toEqual(all(0, 0, 0));
  const up = {
    ...plain,
    connected_ms: 9,
    unconnected_ms: 9,
    destinations: [{ ...plain }, { ...plain, unconnected_ms: 1 }],
  };
  const later = metricsText(viewOf(lookOf(1, undefined, { gauges: up }, ["b:1", "c:2"])));
  expect(later.match(/^vxlan_to_http_destination_up\{.*$/gm)!.map((line) => line.slice(-1))).toEqual(["1", "1", "0"]);
});

test("the start and the last frame are times, not ages", () => {
  expect(samples.get("start_time_seconds")).toBe(START_MS / 1000);
  expect(samples.get("last_frame_timestamp_seconds")).toBe(START_MS / 1000 + 5);
});

describe("names", () => {
  const names = metrics(full).map(({ name }) => name);

  test("each metric has a help text, and no help text lacks its metric", () => {
    expect(names.toSorted()).toEqual(Object.keys(HELP).toSorted());
  });

  test("counters end in _total, and nothing else does; labels are few", () => {
    for (const { name, type, samples } of metrics(full)) {
      expect([name, name.endsWith("_total")]).toEqual([name, type === "counter"]);
      const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels)));
      const allowed = name === "build_info" ? ["version", "commit"] : ["reason", "destination", "class", "le"];
      expect([...labels].filter((label) => !allowed.includes(label))).toEqual([]);
    }
  });

  test("the guide's table has each metric, with its type and its meaning", () => {
    const guide = readFileSync(join(ROOT, "scripts/monitoring/README.md"), "utf8");
    const rows = [...guide.matchAll(/^\| `vxlan_to_http_(\w+)` \| (\w+) \| (.*) \|$/gm)].map(([, ...cells]) => cells);
    const types = new Map(metrics(full).map(({ name, type }) => [name, type]));
    expect(rows).toEqual(Object.entries(HELP).map(([name, help]) => [name, types.get(name)!, help]));
  });
});

/** Prometheus' own tool, unpacked by scripts/unpack, or installed. */
const unpacked = join(ROOT, ".tools/prometheus/usr/bin/promtool");
const promtool = Bun.which("promtool") ?? (existsSync(unpacked) ? unpacked : null);
if (promtool === null) console.warn("skipped: what promtool says of metrics and alerts (scripts/unpack prometheus)");

describe.if(promtool !== null)("promtool", () => {
  function check(args: string[], stdin = ""): string {
    const { exitCode, stdout, stderr } = Bun.spawnSync([promtool!, ...args], { stdin: Buffer.from(stdin) });
    return exitCode === 0 ? String(stderr) : `exit status ${exitCode}: ${stdout}${stderr}`;
  }

  test("finds no fault in the metrics", () => expect(check(["check", "metrics"], text)).toBe(""));

  test("reads the dashboard's queries", () => {
    const rules = queries().map((expr, i) => ({ record: `query_${i}`, expr }));
    expect(rules.length).toBeGreaterThan(20);
    const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-"));
    const file = join(directory, "rules.yml");
    writeFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    expect(check(["check", "rules", file])).toBe("");
    rmSync(directory, { recursive: true });
  });

  test("accepts the alert rules, and they fire at the right time", () => {
    const rules = join(ROOT, "scripts/monitoring/alerts.yml");
    expect(check(["check", "rules", rules])).toBe("");
    expect(check(["test", "rules", join(import.meta.dir, "alerts-test.yml")])).toBe("");
  });
});

/** The queries of Grafana's panels, as Prometheus gets them. */
function queries(): string[] {
  const { panels } = JSON.parse(readFileSync(join(ROOT, "scripts/monitoring/grafana-dashboard.json"), "utf8"));
  return (panels as { targets: { expr: string }[] }[])
    .flatMap(({ targets }) => targets.map(({ expr }) => expr))
    .map((query) => query.replaceAll("$__rate_interval", "1m").replaceAll("$instance", ".*"));
}

describe("the use of the metrics", () => {
  const names = new Set(
    metrics(full).flatMap(({ name, type }) =>
      type === "histogram" ? ["_bucket", "_sum", "_count"].map((suffix) => PREFIX + name + suffix) : [PREFIX + name],
    ),
  );

  test.each(["scripts/monitoring/alerts.yml", "scripts/monitoring/grafana-dashboard.json"])(
    "%s uses no other metric",
    (file) => {
      const used = new Set(readFileSync(join(ROOT, file), "utf8").match(/\bvxlan_to_http_\w+/g));
      expect(used.size).toBeGreaterThan(5);
      expect([...used].filter((name) => !names.has(name))).toEqual([]);
    },
  );

  test("no query adds up destinations, because all of them have the same requests", () => {
    const ofDestinations = new Set(
      metrics(full)
        .filter(({ samples }) => samples[0]!.labels["destination"] !== undefined)
        .map(({ name }) => PREFIX + name),
    );
    const addsUp = (query: string) =>
      !/\bby \([^)]*\bdestination\b/.test(query) &&
      [...query.matchAll(/\b(vxlan_to_http_\w+)\{([^}]*)\}/g)].some(
        ([, name, selector]) =>
          ofDestinations.has(name!.replace(/_(bucket|sum|count)$/, "")) && !/\bdestination=/.test(selector!),
      );
    expect(queries().filter(addsUp)).toEqual([]);
  });
});
