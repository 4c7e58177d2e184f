/**
 * Everything the program counts, each in its room. Each frame, flow and byte ends in exactly one counter, so that
 * they add up:
 *
 *     frames.captured = frames.segments + Σ frames.dropped
 *     flows.opened + flows.picked_up = flows.closed + flows.evicted + flows.active
 *     requests.seen = requests.forwarded + requests.damaged + Σ requests.dropped     (once drained; --mode http)
 *     requests.forwarded = requests.answered + responses.unanswered + responses.cancelled   (likewise)
 *     reassembly.delivered_bytes = upstream.bytes + upstream.lost_bytes + streams.dropped_bytes
 *                                                                                    (once drained; --mode tcp)
 *
 * The sums of requests, and the one before the last, hold for each further destination as well.
 *
 * Names are those of --summary; a name with `dropped` by reason is an array in the order of
 * DROP_REASONS until it is shown.
 */
import { scheduleCounters } from "../capture/paced-source.ts";
import { recordCounters } from "../capture/recorder.ts";
import { fileCounters } from "../files/counters.ts";
import { type DecodeCounters, fragmentCounters, frameCounters } from "../decode/counters.ts";
import { DROP_REASONS, type DropReason } from "../decode/drop-reason.ts";
import { flowCounters, type FlowTableCounters, reassemblyCounters } from "../flow/counters.ts";
import { DELAY_BUCKETS_MS, ForwardCounters, type Histogram, RESPONSE_TIME_BUCKETS_MS } from "../forward/counters.ts";

class FurtherCounters extends ForwardCounters {
  constructor(readonly address: string) {
    super();
  }
}

/** All counters of a shard, or their sums of all shards. */
export class Counters extends ForwardCounters implements DecodeCounters, FlowTableCounters {
  readonly frames = frameCounters();
  /**
   * Mirror frames that the kernel's filter has rejected, and so not in `frames`: of another VNI or port, from the
   * server, or unreadable. Not counted with --read, which has no such filter.
   */
  readonly refused = {
    frames: 0,
    /** How many of the rejected frames were looked at as a sample, and the findings. */
    sampled: 0,
    dropped: DROP_REASONS.map(() => 0),
  };
  readonly fragments = fragmentCounters();
  readonly flows = flowCounters();
  readonly reassembly = reassemblyCounters();
  /** The counters of --record. */
  readonly record = recordCounters();
  /** The counters of destinations that are files. */
  readonly file = fileCounters();
  /** The counters of --speed. */
  readonly schedule = scheduleCounters();
  /** The counters of further destinations, in the order in which they were given; those above are the endpoint's. */
  readonly destinations: readonly FurtherCounters[];

  /** `further`: the addresses of further destinations. */
  constructor(further: readonly string[] = []) {
    super();
    this.destinations = further.map((address) => new FurtherCounters(address));
  }

  /** Makes these counters the sum of the others. */
  setToSum(others: Counters[]): void {
    setToSum(this, others);
  }

  /** The shape of --summary: plain objects, reasons by name. */
  snapshot() {
    return {
      frames: { ...this.frames, dropped: byName(this.frames.dropped) },
      refused: { ...this.refused, dropped: byName(this.refused.dropped) },
      fragments: { ...this.fragments },
      flows: { ...this.flows },
      reassembly: { ...this.reassembly },
      ...forwardSnapshot(this),
      record: { ...this.record },
      file: { ...this.file },
      schedule: { ...this.schedule },
      destinations: this.destinations.map((each) => ({ address: each.address, ...forwardSnapshot(each) })),
    };
  }
}

function forwardSnapshot(counters: ForwardCounters) {
  const { requests, responses, grpc, http2, foreign, streams, upstream, delay, response_time } = counters;
  return {
    requests: { ...requests, damage: { ...requests.damage }, dropped: { ...requests.dropped } },
    responses: { ...responses },
    grpc: { status: { ...grpc.status } },
    http2: { ...http2 },
    foreign: { ...foreign },
    streams: { ...streams, dropped: { ...streams.dropped } },
    upstream: { ...upstream },
    delay: byBound(delay, DELAY_BUCKETS_MS),
    response_time: byBound(response_time, RESPONSE_TIME_BUCKETS_MS),
  };
}

function byBound({ count, sum_ms, buckets }: Histogram, boundsMs: readonly number[]) {
  const named = buckets.map((times, i) => [`le_${boundsMs[i] ?? "inf"}_ms`, times] as const);
  return { count, sum_ms, buckets: Object.fromEntries(named) as Record<string, number> };
}

type Tree = { [name: string]: number | Tree };

function setToSum(sum: object, parts: object[]): void {
  for (const name of Object.keys(sum)) {
    // A destination's address.
    if (typeof (sum as Tree)[name] === "string") continue;
    const values = parts.map((part) => (part as Tree)[name]!);
    const own = (sum as Tree)[name]!;
    if (typeof own === "number") (sum as Tree)[name] = (values as number[]).reduce((total, value) => total + value, 0);
    else setToSum(own, values as Tree[]);
  }
}

function byName(dropped: number[]): Record<DropReason, number> {
  return Object.fromEntries(DROP_REASONS.map((reason, i) => [reason, dropped[i]!])) as Record<DropReason, number>;
}

/** The counters in the form of --summary. */
export type CountersSnapshot = ReturnType<Counters["snapshot"]>;
