/**
 * The outcomes of requests that should be forwarded: each is counted once, and given to its exchange if it is compared.
 */
import type { ForwardCounters, RequestDrop } from "./counters.ts";
import type { Request } from "./request.ts";
import type { UpstreamEnd } from "./upstream.ts";

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
