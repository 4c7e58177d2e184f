/** The messages between the main thread and the shards' threads. None is per packet. */
import type { Tally } from "../compare/tally.ts";
import type { Config } from "../config.ts";
import type { SharedConnections } from "../forward/own-connections.ts";
import type { ShardReport } from "./shard.ts";
import type { Counters } from "../observe/counters.ts";
import type { Gauges } from "../observe/gauges.ts";

/** The memory that the shards of a run share. */
export interface Shared {
  /** The memory of --max-rate (policy/rate.ts). */
  readonly rate: SharedArrayBuffer;
  /** Our connections that may be among the frames; null: none can be. */
  readonly own: SharedConnections | null;
  /** A counter of threads, from which each thread takes its number: for its own files. */
  readonly threads: SharedArrayBuffer;
}

/** The messages to a shard's thread. */
export type ToShard =
  /**
   * Open the interface, which rejects every frame at first. `fanoutId` null: make the group (if there are several
   * shards).
   */
  | { kind: "open"; config: Config; shards: number; fanoutId: number | null; shared: Shared }
  /** Make the kernel accept our frames; those from before `begin`'s time are skipped. */
  | { kind: "accept" }
  | { kind: "begin"; sinceMs: number }
  /** Instead of `begin`: close the interface. */
  | { kind: "close" }
  /** Make the kernel reject every frame. */
  | { kind: "reject" }
  /** Forward all captured frames, wait for the responses, and end. */
  | { kind: "finish" };

/** The messages from a shard's thread. */
export type FromShard =
  | { kind: "opened"; libraryName: string; fanoutId: number | null }
  | { kind: "accepting" }
  | { kind: "closed" }
  | { kind: "rejecting" }
  | { kind: "finished"; counters: Counters; gauges: Gauges }
  /** Sent now and then. */
  | { kind: "counters"; counters: Counters; gauges: Gauges }
  /** Sent now and then with --compare: all counts so far, and the lines of --differences since the last message. */
  | { kind: "compared"; tally: Tally; lines: string[] }
  /** A call of {@link ShardReport}, which the main thread makes. */
  | { kind: "told"; call: ReportCall }
  /** The machine refuses (RefusalError): the shard has ended. */
  | { kind: "refused"; message: string };

/** A call of {@link ShardReport}, as plain data. */
export type ReportCall = {
  [Name in keyof ShardReport]: { name: Name; args: Parameters<ShardReport[Name]> };
}[keyof ShardReport];

/** The answers to {@link ToShard}. */
export type Answer = Extract<FromShard, { kind: "opened" | "accepting" | "closed" | "rejecting" | "finished" }>;
