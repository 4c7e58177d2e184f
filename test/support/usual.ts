/** Options that do not matter to a test, with their defaults. */
import type { DestinationOptions } from "../../src/forward/destination-options.ts";
import type { ShardOptions } from "../../src/shard/setup.ts";

export const USUAL = {
  headerTimeoutMs: 60_000,
  maxResponseMs: Infinity,
  finDelayMs: 1000,
  proxyProtocol: "pass",
  http2: "auto",
  sourceWaits: false,
  comparison: null,
  policy: null,
  tls: null,
  http2Tls: null,
  also: [],
} as const satisfies Partial<ShardOptions & DestinationOptions>;
