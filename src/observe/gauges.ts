/** How things stand at a moment, beside what was counted: each shard tells it with its counters. */

/** What the names say now, and not in all; `_ms` are times, in milliseconds since 1970. */
export interface Gauges {
  /** Whole requests that wait for their turn. */
  readonly waiting_requests: number;
  /** The most that waited on one flow since the gauges were told last: --max-waiting-requests limits it. */
  readonly longest_waiting_requests: number;
  /** Flows that wait for a response. */
  readonly requests_in_flight: number;
  /** Connections to the endpoint that are not closed. */
  readonly upstream_open: number;
  /** Those of them that are being made or ended. */
  readonly upstream_unsettled: number;
  /** What is held: --max-buffer-mib limits it. */
  readonly buffer_bytes: number;
  /** When a connection to the endpoint was made last, and when one could not be; 0: never. */
  readonly connected_ms: number;
  readonly unconnected_ms: number;
}

/** What is the greatest of all, and not their sum. */
const GREATEST: ReadonlySet<keyof Gauges> = new Set(["longest_waiting_requests", "connected_ms", "unconnected_ms"]);

const NONE: Gauges = {
  waiting_requests: 0,
  longest_waiting_requests: 0,
  requests_in_flight: 0,
  upstream_open: 0,
  upstream_unsettled: 0,
  buffer_bytes: 0,
  connected_ms: 0,
  unconnected_ms: 0,
};

/** The shards' gauges as those of one. */
export function together(shares: readonly Gauges[]): Gauges {
  const all: { -readonly [Name in keyof Gauges]: number } = { ...NONE };
  for (const share of shares)
    for (const name of Object.keys(NONE) as (keyof Gauges)[])
      all[name] = GREATEST.has(name) ? Math.max(all[name], share[name]) : all[name] + share[name];
  return all;
}
