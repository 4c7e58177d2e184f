/** The totals of a run in words, as they are written at its end. */
import type { ScheduleCounters } from "../capture/paced-source.ts";
import { type ForwardCounters, isByPolicy, POLICY_DROPS } from "../forward/counters.ts";
import type { CountersSnapshot } from "./counters.ts";
import { counted, named } from "./words.ts";

/** The lines about the totals. */
export function totalLines(totals: CountersSnapshot): string[] {
  const { frames, refused, flows, reassembly, destinations, schedule } = totals;
  const dropped = named(frames.dropped);
  return [
    `Totals: ${frames.captured} frames captured, of which ${frames.segments} were segments of ours`,
    ...(dropped === "" ? [] : [`Not ours: ${dropped}`]),
    ...(refused.frames > 0 ? [`Rejected by the kernel's filter: ${rejected(refused)}`] : []),
    `Flows: ${flows.opened} opened, ${flows.picked_up} picked up, ${flows.closed} closed, ${flows.evicted} evicted`,
    `Reassembly: ${reassembly.gaps} gaps (${reassembly.gap_bytes} bytes), ${reassembly.out_of_order} segments out of order, ${reassembly.retransmitted_bytes} bytes retransmitted`,
    ...destinationLines(totals, "Requests", "Responses", "Endpoint", leftOut(totals)),
    ...destinations.flatMap((each) =>
      destinationLines(each, `${each.address}: requests`, `${each.address}: responses`, each.address, []),
    ),
    ...scheduleLines(schedule),
  ];
}

/** Words about requests and connections that policy dropped: these are neither damage nor loss. */
export function leftOut({ requests, streams }: Pick<ForwardCounters, "requests" | "streams">): string[] {
  const connections = Object.values(streams.dropped).reduce((sum, count) => sum + count, 0);
  return [
    ...POLICY_DROPS.filter((reason) => requests.dropped[reason] > 0).map(
      (reason) => `${counted(requests.dropped[reason], "request")} ${reason}`,
    ),
    ...(connections > 0 ? [counted(connections, "connection")] : []),
  ];
}

/** Lines about the outcomes of requests at one destination, and about its connections; each begins with its name. */
function destinationLines(
  { requests, responses, upstream }: Pick<CountersSnapshot, "requests" | "responses" | "upstream">,
  ofRequests: string,
  ofResponses: string,
  ofConnections: string,
  chosenAway: readonly string[],
): string[] {
  const unsent = Object.entries(requests.dropped).filter(([reason, count]) => count > 0 && !isByPolicy(reason));
  const classes = (["1xx", "2xx", "3xx", "4xx", "5xx"] as const).map((group) => `${responses[group]} ${group}`);
  return [
    ...(requests.seen > 0
      ? [
          `${ofRequests}: ${requests.seen} seen, ${requests.forwarded} forwarded, ${requests.damaged} damaged` +
            unsent.map(([reason, count]) => `, ${count} dropped (${reason})`).join("") +
            (requests.skipped_request_lines > 0
              ? `, ${requests.skipped_request_lines} skipped behind gaps (skipped_request_lines)`
              : ""),
          `${ofResponses}: ${requests.answered} (${classes.join(", ")}), ${responses.unanswered} requests unanswered` +
            (responses.cancelled > 0 ? `, ${responses.cancelled} cancelled` : ""),
        ]
      : []),
    ...(chosenAway.length > 0 ? [`Left out by policy: ${chosenAway.join(", ")}`] : []),
    `${ofConnections}: ${upstream.bytes} bytes on ${upstream.connects} connections, ${upstream.connect_errors} could not be made, ${upstream.broken} broke, ${upstream.given_up} were given up, ${upstream.lost_bytes} bytes lost`,
  ];
}

/** Lines about --speed: how the schedule was kept, and why not. */
function scheduleLines({ on_time, late, held }: ScheduleCounters): string[] {
  if (on_time + late + held === 0) return [];
  return [`Schedule: ${on_time} frames on time, ${late} late, ${held} held back by the endpoint`];
}

/** Words about the frames that the kernel's filter rejected, and the findings of a sample. */
function rejected({ frames, sampled, dropped }: CountersSnapshot["refused"]): string {
  return `${frames} mirror frames${sampled === 0 ? "" : ` (of ${sampled} in a sample: ${named(dropped)})`}`;
}
