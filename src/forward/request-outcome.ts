/** What has become of requests that were to be forwarded: each is counted once, and told where it is compared. */
import type { ForwardCounters, RequestDrop } from "./counters.ts";
import type { Request } from "./request.ts";
import type { UpstreamEnd } from "./upstream.ts";

/** It was forwarded, and its response is complete. */
export function countResponded({ requests }: ForwardCounters, request: Request): void {
  requests.forwarded++;
  requests.answered++;
  request.exchange?.forwarded();
}

/**
 * The destination has taken all of it, at one time or another, and gives no response any more; or its client took it
 * back.
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

/** The destination has never taken all of it. */
export function countNotForwarded({ requests }: ForwardCounters, request: Request, reason: RequestDrop): void {
  requests.dropped[reason]++;
  request.exchange?.notForwarded();
}

/** Why requests are not sent whose connection has ended so. */
export function dropReasonOf(how: UpstreamEnd): "endpoint_down" | "endpoint_protocol" | "endpoint_closed" {
  if (how === "unconnected") return "endpoint_down";
  return how === "other_protocol" ? "endpoint_protocol" : "endpoint_closed";
}

/** A response, by its status code. */
export function countStatus({ responses }: ForwardCounters, code: number): void {
  const hundreds = Math.floor(code / 100);
  if (hundreds === 1) responses["1xx"]++;
  else if (hundreds === 2) responses["2xx"]++;
  else if (hundreds === 3) responses["3xx"]++;
  else if (hundreds === 4) responses["4xx"]++;
  else responses["5xx"]++;
}
