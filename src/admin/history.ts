/** The last ten minutes, a row a second: the data of the page's plots. */
import type { CountersSnapshot } from "../observe/counters.ts";
import type { Look } from "../observe/look.ts";
import { boundsOf, percentile } from "./histogram.ts";

export const ROWS_MAX = 600;
const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;

/** The rates between two looks, for each second, and the state at the second look. Null: there is no value. */
export interface Row {
  readonly time_ms: number;
  readonly frames_per_second: number;
  readonly requests_per_second: number;
  readonly bytes_per_second: number;
  readonly responses_per_second: Readonly<Record<(typeof CLASSES)[number] | "unanswered", number>>;
  readonly damaged_per_second: number;
  readonly dropped_per_second: number;
  readonly kernel_dropped_per_second: number;
  /** The share of the mirrored bytes that are missing. */
  readonly loss_share: number;
  readonly waiting_requests: number;
  readonly flows_active: number;
  readonly upstream_open: number;
  readonly delay_p50_ms: number | null;
  readonly delay_p99_ms: number | null;
  readonly response_time_p50_ms: number | null;
  readonly response_time_p99_ms: number | null;
}

export class History {
  private readonly kept: Row[] = [];
  private before: Look | undefined;

  /** The rows, the oldest first. */
  get rows(): readonly Row[] {
    return this.kept;
  }

  add(look: Look): void {
    const { before } = this;
    this.before = look;
    if (before === undefined || look.timeMs <= before.timeMs) return;
    this.kept.push(rowOf(before, look));
    if (this.kept.length > ROWS_MAX) this.kept.shift();
  }
}

function rowOf(before: Look, { timeMs, counters, gauges }: Look): Row {
  const seconds = (timeMs - before.timeMs) / 1000;
  const old = before.counters;
  const perSecond = (read: (snapshot: CountersSnapshot) => number) => (read(counters) - read(old)) / seconds;
  const lost = counters.reassembly.gap_bytes - old.reassembly.gap_bytes;
  const came = counters.reassembly.delivered_bytes - old.reassembly.delivered_bytes;
  return {
    time_ms: Math.round(timeMs),
    frames_per_second: perSecond(({ frames }) => frames.captured),
    requests_per_second: perSecond(({ requests }) => requests.seen),
    bytes_per_second: perSecond(({ upstream }) => upstream.bytes),
    responses_per_second: {
      ...(Object.fromEntries(CLASSES.map((name) => [name, perSecond(({ responses }) => responses[name])])) as Record<
        (typeof CLASSES)[number],
        number
      >),
      unanswered: perSecond(({ responses }) => responses.unanswered),
    },
    damaged_per_second: perSecond(({ requests }) => requests.damaged),
    dropped_per_second: perSecond(({ requests }) => sum(requests.dropped)),
    kernel_dropped_per_second: perSecond(({ frames }) => frames.kernel_dropped),
    loss_share: lost > 0 ? lost / (lost + came) : 0,
    waiting_requests: gauges.waiting_requests,
    flows_active: counters.flows.active,
    upstream_open: gauges.upstream_open,
    ...times("delay", old, counters),
    ...times("response_time", old, counters),
  };
}

function times<Name extends "delay" | "response_time">(name: Name, old: CountersSnapshot, now: CountersSnapshot) {
  const bounds = boundsOf(now[name].buckets);
  const [then, buckets] = [Object.values(old[name].buckets), Object.values(now[name].buckets)];
  const counts = buckets.map((count, i) => count - then[i]!);
  return {
    [`${name}_p50_ms`]: percentile(0.5, bounds, counts),
    [`${name}_p99_ms`]: percentile(0.99, bounds, counts),
  } as Record<`${Name}_p50_ms` | `${Name}_p99_ms`, number | null>;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
