/** The state at a moment, in addition to the counters: each shard reports it with its counters. */

/** The gauges of a destination, not summed over the run; `_ms` are times since 1970. */
const NONE = {
  /** Whole requests that wait for their turn. */
  waiting_requests: 0,
  /**
   * The most requests that waited on one flow since the last report of the gauges: --max-waiting-requests limits it.
   */
  longest_waiting_requests: 0,
  /** Flows that wait for a response. */
  requests_in_flight: 0,
  /** Connections to it that are not closed. */
  upstream_open: 0,
  /** Those connections that are being made or ended. */
  upstream_unsettled: 0,
  /** The bytes that are held for it; for the endpoint, also the segments that are pending behind holes. */
  buffer_bytes: 0,
  /**
   * The limit of buffer_bytes: what flows, and what is set aside, leave of the destination's part of --max-buffer-mib.
   */
  max_buffer_bytes: 0,
  /** When a connection to it was last made, and when one last could not be made; 0: never. */
  connected_ms: 0,
  unconnected_ms: 0,
};

/** The state of one destination now. */
export type DestinationGauges = Readonly<typeof NONE>;

/** The endpoint's gauges, and those of further destinations, in the order in which they were given. */
export interface Gauges extends DestinationGauges {
  readonly destinations: readonly DestinationGauges[];
}

/** The gauges that are combined by the greatest value, and not by the sum. */
const GREATEST: ReadonlySet<keyof DestinationGauges> = new Set([
  "longest_waiting_requests",
  "connected_ms",
  "unconnected_ms",
]);

/** Combines the shards' gauges into one. `further`: the number of further destinations. */
export function together(shares: readonly Gauges[], further = shares[0]?.destinations.length ?? 0): Gauges {
  const destinations = Array.from({ length: further }, (_, i) => sumOf(shares.map((share) => share.destinations[i]!)));
  return { ...sumOf(shares), destinations };
}

/** Whether the last attempt to connect to a destination succeeded, or there was none yet. */
export function isUp({ connected_ms, unconnected_ms }: DestinationGauges): boolean {
  return unconnected_ms <= connected_ms;
}

function sumOf(shares: readonly DestinationGauges[]): DestinationGauges {
  const all: { -readonly [Name in keyof DestinationGauges]: number } = { ...NONE };
  for (const share of shares)
    for (const name of Object.keys(NONE) as (keyof DestinationGauges)[])
      all[name] = GREATEST.has(name) ? Math.max(all[name], share[name]) : all[name] + share[name];
  return all;
}
