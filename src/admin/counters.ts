/** What admin counts. Each connection ends as one request that is responded to, or under one reason. */

/** Why a connection got no response to what it asked, or was closed. */
export const ADMIN_REJECTS = [
  /** CONNECTIONS_MAX were open: the oldest gives way. */
  "connection_limit",
  /** Its head was longer than HEAD_BYTES_MAX. */
  "header_limit",
  /** Its head did not come, or its response was not taken, in time. */
  "time_limit",
  /** It closed before its head was whole. */
  "closed",
  /** What it sent is no HTTP/1 request. */
  "malformed",
  /** Another method than GET and HEAD. */
  "method",
  /** There is no such page. */
  "not_found",
] as const;
export type AdminReject = (typeof ADMIN_REJECTS)[number];

export const adminCounters = () => ({
  connections: 0,
  /** Those that were served. */
  requests: 0,
  rejected: Object.fromEntries(ADMIN_REJECTS.map((reason) => [reason, 0])) as Record<AdminReject, number>,
});

export type AdminCounters = ReturnType<typeof adminCounters>;
