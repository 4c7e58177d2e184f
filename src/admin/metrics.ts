/**
 * /metrics: Prometheus' text format 0.0.4. Every counter of --summary has a metric with its own words: group and name,
 * `_total`; the reason or class that it counts by is a label. Times are in seconds, sizes in bytes.
 */
import type { CountersSnapshot } from "../observe/counters.ts";
import { type DestinationGauges, isUp } from "../observe/gauges.ts";
import { COMMIT, VERSION } from "../version.ts";
import { CONNECTIONS_MAX } from "./server.ts";
import { boundsOf } from "./histogram.ts";
import { HELP } from "./metric-help.ts";
import type { View } from "./view.ts";

/** The Content-Type of /metrics. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
/** The beginning of every metric's name. */
export const PREFIX = "vxlan_to_http_";

type Labels = Readonly<Record<string, string>>;
type Type = "counter" | "gauge" | "histogram";

interface Sample {
  /** The part behind the metric's name: `_bucket`, `_sum`, `_count` of a histogram. */
  readonly suffix?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** One metric, with its samples. */
export interface Metric {
  /** The name without the prefix. */
  readonly name: string;
  readonly type: Type;
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** The groups of counters that each destination has. */
const OF_DESTINATION: readonly string[] = [
  "requests",
  "responses",
  "grpc",
  "http2",
  "upstream",
  "delay",
  "response_time",
];
const DESTINATION: Labels = { destination: "endpoint" };
/** Counters that can fall. */
const GAUGES: readonly string[] = ["flows_active"];
const CLASS = /^[1-5]xx$/;
const MS = 1000;

type Tree = { readonly [name: string]: number | Tree };

/** The page's text. */
export function metricsText(view: View): string {
  let known = words.get(view.config);
  if (known === undefined) {
    known = new Map();
    words.set(view.config, known);
  }
  let text = "";
  for (const each of metrics(view)) text += textOf(each, known);
  return text;
}

/** All metrics, in the order of the page. */
export function metrics(view: View): Metric[] {
  return [
    ...info(view),
    ...counted(view.look.counters),
    ...ofComparison(view),
    ...standing(view),
    ...ofAdmin(view),
    ...ofProcess(view),
  ];
}

function metric(name: string, type: Type, samples: readonly Sample[]): Metric {
  return { name, type, help: HELP[name] ?? `${name.replace(/_total$/, "")} of --summary`, samples };
}

function gauge(name: string, value: number, labels: Labels = {}): Metric {
  return metric(name, "gauge", [{ labels, value }]);
}

function info({ startedMs, look, phase }: View): Metric[] {
  return [
    gauge("build_info", 1, { version: VERSION, commit: COMMIT }),
    gauge("start_time_seconds", startedMs / MS),
    gauge("capturing", phase === "capturing" || phase === "reading" ? 1 : 0),
    gauge("interface_up", look.isInterfaceUp ? 1 : 0),
    gauge("last_frame_timestamp_seconds", look.lastFrameMs / MS),
  ];
}

/** The metrics of the summary's counters, in any groups. */
function counted({ destinations, ...counters }: CountersSnapshot): Metric[] {
  return Object.entries(counters as Tree).flatMap(([group, counts]) => {
    if (!OF_DESTINATION.includes(group)) return ofGroup(group, counts as Tree, {});
    const further = destinations.map((each) =>
      ofGroup(group, (each as unknown as Tree)[group] as Tree, { destination: each.address }),
    );
    // A metric has the samples of all destinations, which all have the same counters.
    return ofGroup(group, counts as Tree, DESTINATION).map((endpoints, i) => ({
      ...endpoints,
      samples: [endpoints, ...further.map((metrics) => metrics[i]!)].flatMap(({ samples }) => samples),
    }));
  });
}

function ofGroup(group: string, counts: Tree, labels: Labels): Metric[] {
  if ("buckets" in counts) return [histogram(group, counts as Times, labels)];
  const classes = Object.entries(counts).filter(([name]) => CLASS.test(name));
  const others = Object.entries(counts).filter(([name]) => !CLASS.test(name));
  const byClass = classes.map(([name, value]) => ({ labels: { ...labels, class: name }, value: value as number }));
  return [
    ...(byClass.length > 0 ? [metric(`${group}_total`, "counter", byClass)] : []),
    ...others.map(([name, value]) => counter(`${group}_${name}`, value, labels)),
  ];
}

function counter(words: string, value: number | Tree, labels: Labels): Metric {
  if (GAUGES.includes(words)) return gauge(words, value as number, labels);
  if (typeof value === "number") return metric(`${words}_total`, "counter", [{ labels, value }]);
  const samples = Object.entries(value).map(([reason, count]) => ({
    labels: { ...labels, reason },
    value: count as number,
  }));
  return metric(`${words}_total`, "counter", samples);
}

interface Times extends Tree {
  readonly count: number;
  readonly sum_ms: number;
  readonly buckets: Readonly<Record<string, number>>;
}

function histogram(group: string, { count, sum_ms, buckets }: Times, labels: Labels): Metric {
  let within = 0;
  const bounds = boundsOf(buckets);
  const samples = Object.values(buckets).map((times, i) => {
    within += times;
    const le = bounds[i] === Infinity ? "+Inf" : String(bounds[i]! / MS);
    return { suffix: "_bucket", labels: { ...labels, le }, value: within };
  });
  return metric(`${group}_seconds`, "histogram", [
    ...samples,
    { suffix: "_sum", labels, value: sum_ms / MS },
    { suffix: "_count", labels, value: count },
  ]);
}

/** The metrics of --compare; not by route, because there may be too many. */
function ofComparison({ compared: { production_latency, endpoint_latency, ...counts } }: View): Metric[] {
  return [
    ...ofGroup("comparison", counts, {}),
    histogram("comparison_latency_production", production_latency, {}),
    histogram("comparison_latency_endpoint", endpoint_latency, {}),
  ];
}

/** The metrics of the current state, each beside its limit. */
function standing({ look: { gauges, counters }, config }: View): Metric[] {
  const ofDestinations = (name: string, value: (gauges: DestinationGauges) => number): Metric =>
    metric(name, "gauge", [
      { labels: DESTINATION, value: value(gauges) },
      ...counters.destinations.map(({ address }, i) => ({
        labels: { destination: address },
        value: value(gauges.destinations[i]!),
      })),
    ]);
  return [
    ofDestinations("destination_up", (each) => (isUp(each) ? 1 : 0)),
    ofDestinations("upstream_connected_timestamp_seconds", ({ connected_ms }) => connected_ms / MS),
    ofDestinations("upstream_unconnected_timestamp_seconds", ({ unconnected_ms }) => unconnected_ms / MS),
    ofDestinations("upstream_open", ({ upstream_open }) => upstream_open),
    ofDestinations("upstream_unsettled", ({ upstream_unsettled }) => upstream_unsettled),
    ofDestinations("requests_in_flight", ({ requests_in_flight }) => requests_in_flight),
    ofDestinations("waiting_requests", ({ waiting_requests }) => waiting_requests),
    ofDestinations("longest_waiting_requests", ({ longest_waiting_requests }) => longest_waiting_requests),
    gauge("max_waiting_requests", config.maxWaitingRequests),
    ofDestinations("buffer_bytes", ({ buffer_bytes }) => buffer_bytes),
    ofDestinations("max_buffer_bytes", ({ max_buffer_bytes }) => max_buffer_bytes),
    gauge("max_flows", config.maxFlows),
  ];
}

function ofAdmin({ admin }: View): Metric[] {
  return [
    counter("admin_connections", admin.connections, {}),
    counter("admin_requests", admin.requests, {}),
    counter("admin_rejected", admin.rejected, {}),
    gauge("admin_open", admin.open),
    gauge("max_admin_open", CONNECTIONS_MAX),
  ];
}

function ofProcess({ process: figures, config }: View): Metric[] {
  const known = [
    gauge("process_resident_memory_bytes", figures.residentBytes),
    gauge("process_open_fds", figures.openDescriptors),
    gauge("process_max_fds", figures.descriptorsMax),
    gauge("process_threads", figures.threads),
  ].filter(({ samples }) => samples[0]!.value >= 0);
  return [
    metric("process_cpu_seconds_total", "counter", [{ labels: {}, value: figures.cpuSeconds }]),
    ...known,
    gauge("threads", config.threads),
  ];
}

/**
 * The text before each value of a metric, by the metric's name, for each run: a page is made once a second, too seldom
 * for the compiler, and half of its time was spent on the same words.
 */
const words = new WeakMap<View["config"], Words>();
type Words = Map<string, readonly string[]>;

function textOf(metric: Metric, known: Words): string {
  const { name, samples } = metric;
  let before = known.get(name);
  if (before === undefined) {
    before = wordsOf(metric);
    known.set(name, before);
  }
  let text = "";
  for (let i = 0; i < samples.length; i++) text += before[i]! + samples[i]!.value;
  return `${text}\n`;
}

/** The lines up to each value; the metric's own lines stand before the first one. */
function wordsOf({ name, type, help, samples }: Metric): string[] {
  const full = PREFIX + name;
  return samples.map(({ suffix = "", labels }, i) => {
    const lead = i === 0 ? `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n` : "\n";
    return `${lead}${full}${suffix}${textOfLabels(labels)} `;
  });
}

function textOfLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
