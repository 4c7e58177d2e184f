/** What forward counts: requests, their responses, and the connections that carry them. */
import { DAMAGE_REASONS, type DamageReason } from "../http/request-sink.ts";

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

/** Upper bounds of the delay histogram's buckets, in milliseconds; one more bucket is behind the last. */
export const DELAY_BUCKETS_MS = [0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 25, 50, 100, 250, 500, 1000, 5000] as const;

/** --mode http. */
export const requestCounters = () => ({
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
});

export const responseCounters = () => ({
  "1xx": 0,
  "2xx": 0,
  "3xx": 0,
  "4xx": 0,
  "5xx": 0,
  /** Requests whose answer did not come, or not to its end. */
  unanswered: 0,
});

/** Connections on our port that are no HTTP/1. */
export const foreignCounters = () => ({
  tls: 0,
  /** Forwarded as it is if it was seen from its start. */
  http2: 0,
  unknown: 0,
  /** Bytes of such connections that were not forwarded. */
  discarded_bytes: 0,
});

export const upstreamCounters = () => ({
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
});

export const delayCounters = () => ({
  /** First writes within each of DELAY_BUCKETS_MS, not cumulated. */
  buckets: [...DELAY_BUCKETS_MS.map(() => 0), 0],
  count: 0,
  sum_ms: 0,
});

export type DelayCounters = ReturnType<typeof delayCounters>;

/** Counts one first write `delayMs` after the capture of what it wrote. */
export function countDelay(delay: DelayCounters, delayMs: number): void {
  let bucket = 0;
  while (bucket < DELAY_BUCKETS_MS.length && delayMs > DELAY_BUCKETS_MS[bucket]!) bucket++;
  delay.buckets[bucket]!++;
  delay.count++;
  delay.sum_ms += delayMs;
}

export interface ForwardCounters {
  readonly requests: ReturnType<typeof requestCounters>;
  readonly responses: ReturnType<typeof responseCounters>;
  readonly foreign: ReturnType<typeof foreignCounters>;
  readonly upstream: ReturnType<typeof upstreamCounters>;
  readonly delay: DelayCounters;
}
