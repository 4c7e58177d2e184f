/**
 * Everything the program counts, each in its room. Each frame, flow and byte ends in exactly one of these, so that
 * they add up:
 *
 *     frames.captured = frames.segments + Σ frames.dropped
 *     flows.opened + flows.picked_up = flows.closed + flows.evicted + flows.active   (less those that still wait for their SYN)
 *     requests.seen = requests.forwarded + requests.damaged + Σ requests.dropped     (once drained; --mode http)
 *     requests.forwarded = requests.answered + responses.unanswered + responses.cancelled   (likewise)
 *     reassembly.delivered_bytes = upstream.bytes + upstream.lost_bytes + streams.dropped_bytes
 *                                                                                    (once drained; --mode tcp)
 *
 * Names are those of --summary; a name with `dropped` by reason is an array in the order of
 * DROP_REASONS until it is shown.
 */
import { type DecodeCounters, fragmentCounters, frameCounters } from "../decode/counters.ts";
import { DROP_REASONS, type DropReason } from "../decode/drop-reason.ts";
import { flowCounters, type FlowTableCounters, reassemblyCounters } from "../flow/counters.ts";
import {
  DELAY_BUCKETS_MS,
  delayCounters,
  foreignCounters,
  type ForwardCounters,
  grpcStatusCounters,
  http2Counters,
  requestCounters,
  responseCounters,
  streamCounters,
  upstreamCounters,
} from "../forward/counters.ts";

export class Counters implements DecodeCounters, FlowTableCounters, ForwardCounters {
  readonly frames = frameCounters();
  /**
   * Mirror frames that the kernel's filter has refused, and so not in `frames`: of another VNI or port, from
   * the server, or unreadable. Not counted with --read, where there is no such filter.
   */
  readonly refused = {
    frames: 0,
    /** Of these, a sample that was looked at, and what they were. */
    sampled: 0,
    dropped: DROP_REASONS.map(() => 0),
  };
  readonly fragments = fragmentCounters();
  readonly flows = flowCounters();
  readonly reassembly = reassemblyCounters();
  readonly requests = requestCounters();
  readonly responses = responseCounters();
  readonly grpc_status = grpcStatusCounters();
  readonly http2 = http2Counters();
  readonly foreign = foreignCounters();
  readonly streams = streamCounters();
  readonly upstream = upstreamCounters();
  readonly delay = delayCounters();

  /** Makes these counters the sum of the others. */
  setToSum(others: Counters[]): void {
    setToSum(this, others);
  }

  /** The shape of --summary: plain objects, reasons by name. */
  snapshot() {
    const buckets: Record<string, number> = {};
    this.delay.buckets.forEach((count, i) => (buckets[`le_${DELAY_BUCKETS_MS[i] ?? "inf"}_ms`] = count));
    return {
      frames: { ...this.frames, dropped: byName(this.frames.dropped) },
      refused: { ...this.refused, dropped: byName(this.refused.dropped) },
      fragments: { ...this.fragments },
      flows: { ...this.flows },
      reassembly: { ...this.reassembly },
      requests: { ...this.requests, damage: { ...this.requests.damage }, dropped: { ...this.requests.dropped } },
      responses: { ...this.responses },
      grpc_status: { ...this.grpc_status },
      http2: { ...this.http2 },
      foreign: { ...this.foreign },
      streams: { ...this.streams, dropped: { ...this.streams.dropped } },
      upstream: { ...this.upstream },
      delay: { count: this.delay.count, sum_ms: this.delay.sum_ms, buckets },
    };
  }
}

type Tree = { [name: string]: number | Tree };

function setToSum(sum: object, parts: object[]): void {
  for (const name of Object.keys(sum)) {
    const values = parts.map((part) => (part as Tree)[name]!);
    const own = (sum as Tree)[name]!;
    if (typeof own === "number") (sum as Tree)[name] = (values as number[]).reduce((total, value) => total + value, 0);
    else setToSum(own, values as Tree[]);
  }
}

function byName(dropped: number[]): Record<DropReason, number> {
  return Object.fromEntries(DROP_REASONS.map((reason, i) => [reason, dropped[i]!])) as Record<DropReason, number>;
}

export type CountersSnapshot = ReturnType<Counters["snapshot"]>;
