/** The part that the requests of all conversations share, for all versions of HTTP. */
import type { Deadlines } from "../memory/deadlines.ts";
import type { Client } from "../policy/client.ts";
import type { DryRun } from "../policy/dry-run.ts";
import type { PipeHost } from "./pipe-host.ts";

/** The part that the requests of all conversations share. */
export interface RequestHost extends PipeHost {
  /** Null: requests are forwarded. */
  readonly dryRun: DryRun | null;
  /** Larger requests are streamed when it is their turn. */
  readonly maxRequestBytes: number;
  /** Time limits in the capture's time. */
  readonly heads: Deadlines;
  /** The capture's time. */
  readonly captureMs: number;
  /** The time that --max-rate goes by, for a request that was captured at `timestampMs`. */
  rateMs(timestampMs: number): number;
  /** Whether a request that would hold `bytes` more is better streamed. */
  mustStream(bytes: number): boolean;
}

/** The conversation that requests belong to. */
export interface RequestOwner {
  /** Makes room for `bytes` more, if needed. Returns whether there is room. */
  makeRoom(bytes: number): boolean;
  /** The client as policy knows it. */
  knownClient(): Client;
}
