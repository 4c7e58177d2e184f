/**
 * Counts requests: that they were seen, and their outcomes. The outcome of a request that should be forwarded is also
 * given to its exchange, if it is compared.
 */
import type { DamageReason } from "../http/request-sink.ts";
import type { ForwardCounters, RequestDrop } from "./counters.ts";
import type { Request } from "./request.ts";
import type { UpstreamEnd } from "./upstream.ts";

/** A whole request was seen; its outcome follows. */
export function countWhole({ requests }: ForwardCounters, isOdd: boolean, isIsolated: boolean): void {
  requests.seen++;
  if (isOdd) requests.odd++;
  if (isIsolated) requests.isolated++;
}

/** A damaged request was seen. */
export function countDamaged({ requests }: ForwardCounters, reason: DamageReason): void {
  requests.seen++;
  requests.damaged++;
  requests.damage[reason]++;
}

/** A request was seen, and is dropped before it is whole. */
export function countUnread({ requests }: ForwardCounters, reason: RequestDrop): void {
  requests.seen++;
  requests.dropped[reason]++;
}

/** The request was forwarded, and its response is complete. */
export function countResponded({ requests }: ForwardCounters, request: Request): void {
  requests.forwarded++;
  requests.answered++;
  request.exchange?.forwarded();
}

/**
 * The destination has taken the whole request at some time, and gives no response; or the client took the request back.
 */
export function countUnanswered(
  { requests, responses }: ForwardCounters,
  request: Request,
  how: "unanswered" | "cancelled" = "unanswered",
): void {
  requests.forwarded++;
  responses[how]++;
  request.exchange?.unanswered();
}

/** The destination has never taken the whole request. */
export function countNotForwarded({ requests }: ForwardCounters, request: Request, reason: RequestDrop): void {
  requests.dropped[reason]++;
  request.exchange?.notForwarded();
}

/** The drop reason of requests with a connection that has ended so. */
export function dropReasonOf(how: UpstreamEnd): "endpoint_down" | "endpoint_protocol" | "endpoint_closed" {
  if (how === "unconnected") return "endpoint_down";
  return how === "other_protocol" ? "endpoint_protocol" : "endpoint_closed";
}

/** Counts a response by its status code. */
export function countStatus({ responses }: ForwardCounters, code: number): void {
  const hundreds = Math.floor(code / 100);
  if (hundreds === 1) responses["1xx"]++;
  else if (hundreds === 2) responses["2xx"]++;
  else if (hundreds === 3) responses["3xx"]++;
  else if (hundreds === 4) responses["4xx"]++;
  else responses["5xx"]++;
}
