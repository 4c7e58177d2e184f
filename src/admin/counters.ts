/** The counters of admin. Each connection ends as one request with a response, or under one reason. */

/** The reasons why a connection got no page, or was closed. */
export const ADMIN_REJECTS = [
  /** CONNECTIONS_MAX connections were open: the oldest gave way. */
  "connection_limit",
  /** Its head was longer than HEAD_BYTES_MAX. */
  "header_limit",
  /** Its head did not come, or its response was not taken, in time. */
  "time_limit",
  /** It closed before its head was whole. */
  "closed",
  /** Its bytes were no HTTP/1 request. */
  "malformed",
  /** The method was not GET or HEAD. */
  "method",
  /** There is no such page. */
  "not_found",
] as const;
export type AdminReject = (typeof ADMIN_REJECTS)[number];

export const adminCounters = () => ({
  connections: 0,
  /** Requests that were served. */
  requests: 0,
  rejected: Object.fromEntries(ADMIN_REJECTS.map((reason) => [reason, 0])) as Record<AdminReject, number>,
});

export type AdminCounters = ReturnType<typeof adminCounters>;
