/** The counters of forward: requests, their responses, and the connections that carry them. */
import { DAMAGE_REASONS } from "../http/request-sink.ts";
import { POLICY_DROPS, STREAM_DROPS } from "../policy/policy.ts";

/** The reasons why a whole request was not sent. */
const REQUEST_DROPS = [
  /** As many requests of its flow as --max-waiting-requests allows waited already. */
  "waiting_limit",
  /** The memory of --max-buffer-mib was full, or the request was too large to wait for its turn. */
  "buffer_limit",
  /** The endpoint could not be reached. */
  "endpoint_down",
  /** The request was being streamed, and the endpoint ended the connection before it was whole. */
  "endpoint_closed",
  /** The endpoint does not speak the request's version of HTTP (by its first bytes, or by ALPN of TLS). */
  "endpoint_protocol",
  /** HTTP/2: the endpoint's SETTINGS do not allow the length of the head, a CONNECT of this kind, or any request. */
  "endpoint_settings",
  /** HTTP/2: the client took the request back (RST_STREAM) before all of it was sent. */
  "cancelled",
  /** The program was stopped. */
  "stopped",
  ...POLICY_DROPS,
] as const;
export { POLICY_DROPS };
/** One of {@link REQUEST_DROPS}. */
export type RequestDrop = (typeof REQUEST_DROPS)[number];

/** Whether policy has dropped a request with this reason: then nothing was wrong. */
export function isByPolicy(reason: string): boolean {
  return (POLICY_DROPS as readonly string[]).includes(reason);
}

/** The versions of HTTP, as messages name them. */
export type HttpVersion = "HTTP/1" | "HTTP/2";

/** Upper bounds of the delay histogram's buckets, in milliseconds; one more bucket follows the last. */
export const DELAY_BUCKETS_MS = [0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 25, 50, 100, 250, 500, 1000, 5000] as const;

/** Upper bounds of the buckets of the endpoint's response time, in milliseconds; one more bucket follows the last. */
export const RESPONSE_TIME_BUCKETS_MS = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000,
] as const;

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}

/** The counters of requests, in --mode http. */
const requestCounters = () => ({
  /** Requests that were begun, with any outcome. */
  seen: 0,
  /** Requests that were sent whole; one that was sent again counts once. */
  forwarded: 0,
  /** Requests with a response that came to its end. */
  answered: 0,
  /** Requests that were not whole, and not sent as if they were. */
  damaged: 0,
  /** Requests, seen whole, with an end that servers are known to disagree about. */
  isolated: 0,
  /** Requests, seen whole, with something that RFC 9112 does not allow; they are forwarded as they are. */
  odd: 0,
  /** Bytes that were skipped unread, or belong to damaged requests. */
  skipped_bytes: 0,
  /** Request lines among the skipped bytes behind gaps: probably, that many more requests came. */
  skipped_request_lines: 0,
  /** Damaged requests by reason. */
  damage: zeros(DAMAGE_REASONS),
  /** Whole requests that were not sent, by reason. */
  dropped: zeros(REQUEST_DROPS),
});

/** The counters of responses. */
const responseCounters = () => ({
  "1xx": 0,
  "2xx": 0,
  "3xx": 0,
  "4xx": 0,
  "5xx": 0,
  /** Requests without a response, or with one that did not come to its end. */
  unanswered: 0,
  /** HTTP/2: requests that the client took back (RST_STREAM) before their response came. */
  cancelled: 0,
});

/** The status codes of gRPC, by number: https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
const GRPC_STATUSES = [
  "ok",
  "cancelled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
] as const;
const OTHER_STATUS = "other";

/** The counters of gRPC's statuses. */
const grpcCounters = () => ({
  /** Responses with a grpc-status, by status. */
  status: zeros([...GRPC_STATUSES, OTHER_STATUS]),
});

/** Counts a gRPC status by its number. */
export function countGrpcStatus({ grpc }: ForwardCounters, code: number): void {
  grpc.status[GRPC_STATUSES[code] ?? OTHER_STATUS]++;
}

/** Counters of HTTP/2, if it is framed into requests. */
const http2Counters = () => ({
  /** Clients' connections of HTTP/2. */
  connections: 0,
  /** Connections of HTTP/2 that were joined in their middle. */
  picked_up: 0,
  /** GOAWAY frames of the endpoint. */
  goaways: 0,
  /** Requests that the endpoint ended (RST_STREAM) before their response was complete. */
  resets: 0,
  /** Requests that were sent again because the endpoint had not processed them (GOAWAY, REFUSED_STREAM). */
  resent: 0,
});

/** Connections on our port that are not HTTP/1. */
const foreignCounters = () => ({
  tls: 0,
  /** HTTP/2: forwarded as it is if it was seen from its start. */
  http2: 0,
  /** Also those that go on in another protocol behind an offer that the endpoint has declined. */
  unknown: 0,
  /** Bytes of foreign connections that were not forwarded. */
  discarded_bytes: 0,
});

/**
 * Connections that policy left out as a whole. In mode tcp policy decides about all connections, else about those of
 * other protocols.
 */
const streamCounters = () => ({
  dropped: zeros(STREAM_DROPS),
  /** Bytes of connections that policy left out, and behind upgrades that were not forwarded. */
  dropped_bytes: 0,
});

/** The counters of upstream connections. */
const upstreamCounters = () => ({
  connects: 0,
  /** Connections that could not be made. */
  connect_errors: 0,
  /** Writes without a byte that the kernel took. */
  would_block: 0,
  /** Connections given up: --max-retries, --max-buffer-mib or the time limit for a response. */
  given_up: 0,
  /** Connections that the endpoint reset or closed before everything was written. */
  broken: 0,
  closed: 0,
  bytes: 0,
  /** Bytes for connections that could not be made, were given up or broke. */
  lost_bytes: 0,
  response_bytes: 0,
});

/** Times, counted by their length. */
export interface Histogram {
  /** Times within each bound, not cumulated. */
  readonly buckets: number[];
  count: number;
  sum_ms: number;
}

const histogram = (boundsMs: readonly number[]): Histogram => ({
  buckets: [...boundsMs.map(() => 0), 0],
  count: 0,
  sum_ms: 0,
});

/** Counts one time in the first bucket that holds it. */
export function countTime(times: Histogram, boundsMs: readonly number[], ms: number): void {
  let bucket = 0;
  while (bucket < boundsMs.length && ms > boundsMs[bucket]!) bucket++;
  times.buckets[bucket]!++;
  times.count++;
  times.sum_ms += ms;
}

/** The counters of forward, for one destination. */
export class ForwardCounters {
  readonly requests = requestCounters();
  readonly responses = responseCounters();
  readonly grpc = grpcCounters();
  readonly http2 = http2Counters();
  readonly foreign = foreignCounters();
  readonly streams = streamCounters();
  readonly upstream = upstreamCounters();
  /** The time from the capture of bytes to the first write that they cause. */
  readonly delay = histogram(DELAY_BUCKETS_MS);
  /**
   * The time from the write of a request's last byte to the first byte of its final response, for requests that are
   * alone on their connection. --mode http.
   */
  readonly response_time = histogram(RESPONSE_TIME_BUCKETS_MS);
}
