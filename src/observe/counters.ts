/**
 * Everything the program counts. Each frame, flow and byte ends in exactly one of these, so that
 * they add up:
 *
 *     frames.captured = frames.segments + Σ frames.dropped
 *     flows.opened + flows.picked_up = flows.closed + flows.evicted + flows.active   (less those that still wait for their SYN)
 *     requests.seen = requests.forwarded + requests.damaged + Σ requests.dropped     (once drained; --mode http)
 *     requests.forwarded = requests.answered + responses.unanswered                  (likewise)
 *     reassembly.delivered_bytes = upstream.bytes + upstream.lost_bytes              (once drained; --mode tcp)
 *
 * Names are those of --summary; a name with `dropped` by reason is an array in the order of
 * DROP_REASONS until it is shown.
 */
import { DAMAGE_REASONS, type DamageReason } from "../http/request-sink.ts";
import { DROP_REASONS, type DropReason } from "../decode/drop-reason.ts";

/** Why a whole request was not sent. */
export const REQUEST_DROPS = [
  /** --max-waiting-requests of its flow waited already. */
  "waiting_limit",
  /** --max-buffer-mib were held already, or the request was too large to wait for its turn. */
  "buffer_limit",
  /** The endpoint could not be reached. */
  "endpoint_down",
  /** It was being streamed, and the endpoint ended the connection before it was whole. */
  "endpoint_closed",
  /** It carried the mark of a mirrored request (--mark). */
  "loop",
  /** The program was stopped. */
  "stopped",
] as const;
export type RequestDrop = (typeof REQUEST_DROPS)[number];

export interface FragmentCounters {
  /** Datagrams put together. */
  completed: number;
  /** Datagrams given up after FRAGMENT_TIMEOUT_MS. */
  expired: number;
  /** Datagrams given up because the table was full. */
  evicted: number;
}

/** Upper bounds of the delay histogram's buckets, in milliseconds; one more bucket is behind the last. */
export const DELAY_BUCKETS_MS = [0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 25, 50, 100, 250, 500, 1000, 5000] as const;

export class Counters {
  readonly frames = {
    captured: 0,
    /** Frames that the kernel or the interface dropped before they were read; not in `captured`. */
    kernel_dropped: 0,
    segments: 0,
    /** Of the segments, those whose tail the mirror cut off. */
    truncated: 0,
    dropped: DROP_REASONS.map(() => 0),
  };
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
  readonly fragments: FragmentCounters = { completed: 0, expired: 0, evicted: 0 };
  readonly flows = {
    /** Begun by their SYN. */
    opened: 0,
    /** Begun in their middle: the SYN was never seen. */
    picked_up: 0,
    closed: 0,
    /** Ended because more than --max-flows were open. */
    evicted: 0,
    active: 0,
  };
  readonly reassembly = {
    delivered_bytes: 0,
    /** Segments that came before the bytes they follow. */
    out_of_order: 0,
    /** Bytes of segments that brought nothing new. */
    retransmitted_bytes: 0,
    /** Bytes seen before in segments that brought something new. */
    overlap_bytes: 0,
    /** Holes given up. */
    gaps: 0,
    gap_bytes: 0,
    /** Bytes that waited behind a hole when a reset ended their flow, and were no next one's either. */
    discarded_bytes: 0,
    /** Segments too far from their flow's sequence numbers to belong to it. */
    out_of_window: 0,
    /** Holes given up because --max-pending-packets segments waited. */
    pending_limit: 0,
    /** Holes given up because --max-buffer-mib were held. */
    buffer_limit: 0,
  };
  /** --mode http. */
  readonly requests = {
    /** Requests that were begun, whatever became of them. */
    seen: 0,
    /** Sent whole; those that were sent again count once. */
    forwarded: 0,
    /** Answered to the answer's end. */
    answered: 0,
    /** Not whole, and so not sent as if they were. */
    damaged: 0,
    /** Of those that were seen whole: servers are known to disagree about where they end. */
    isolated: 0,
    /** Of those that were seen whole: with something that RFC 9112 does not allow, forwarded as it is. */
    odd: 0,
    /** Bytes in which no request was looked for, or of damaged requests. */
    skipped_bytes: 0,
    /** Why. */
    damage: Object.fromEntries(DAMAGE_REASONS.map((reason) => [reason, 0])) as Record<DamageReason, number>,
    /** Whole, but not sent. */
    dropped: Object.fromEntries(REQUEST_DROPS.map((reason) => [reason, 0])) as Record<RequestDrop, number>,
  };
  readonly responses = {
    "1xx": 0,
    "2xx": 0,
    "3xx": 0,
    "4xx": 0,
    "5xx": 0,
    /** Requests whose answer did not come, or not to its end. */
    unanswered: 0,
  };
  /** Connections on our port that are no HTTP/1. */
  readonly foreign = {
    tls: 0,
    /** Forwarded as it is if it was seen from its start. */
    http2: 0,
    unknown: 0,
    /** Bytes of such connections that were not forwarded. */
    discarded_bytes: 0,
  };
  readonly upstream = {
    connects: 0,
    /** Connections that could not be made. */
    connect_errors: 0,
    /** Writes of which the kernel took nothing. */
    would_block: 0,
    /** Connections given up: --max-retries, --max-buffer-mib or the time limit for an answer. */
    given_up: 0,
    /** Connections that the endpoint reset or closed before everything was written. */
    broken: 0,
    closed: 0,
    bytes: 0,
    /** Bytes for connections that could not be made, were given up or broke. */
    lost_bytes: 0,
    response_bytes: 0,
  };
  readonly delay = {
    /** First writes within each of DELAY_BUCKETS_MS, not cumulated. */
    buckets: [...DELAY_BUCKETS_MS.map(() => 0), 0],
    count: 0,
    sum_ms: 0,
  };

  /** Counts one first write `delayMs` after the capture of what it wrote. */
  countDelay(delayMs: number): void {
    let bucket = 0;
    while (bucket < DELAY_BUCKETS_MS.length && delayMs > DELAY_BUCKETS_MS[bucket]!) bucket++;
    this.delay.buckets[bucket]!++;
    this.delay.count++;
    this.delay.sum_ms += delayMs;
  }

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
      foreign: { ...this.foreign },
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
