/** What the main thread and the threads of the shards say to each other. None of it is per packet. */
import type { Tally } from "../compare/tally.ts";
import type { Config } from "../config.ts";
import type { SharedConnections } from "../forward/own-connections.ts";
import type { ShardReport } from "./shard.ts";
import type { Counters } from "../observe/counters.ts";
import type { Gauges } from "../observe/gauges.ts";

/** What the shards of a run have in common. */
export interface Shared {
  /** Of --max-rate (policy/rate.ts). */
  readonly rate: SharedArrayBuffer;
  /** Our connections that may be among the frames; null: none can be. */
  readonly own: SharedConnections | null;
  /** A counter of threads, of which each takes its number: for what each has of its own in the file system. */
  readonly threads: SharedArrayBuffer;
}

export type ToShard =
  /** Open the interface, refusing every frame. `fanoutId` null: make the group (if there are several shards). */
  | { kind: "open"; config: Config; shards: number; fanoutId: number | null; shared: Shared }
  /** Have the kernel accept our frames; those from before `begin`'s time are passed over. */
  | { kind: "accept" }
  | { kind: "begin"; sinceMs: number }
  /** Instead of `begin`: close the interface. */
  | { kind: "close" }
  /** Have the kernel refuse every frame. */
  | { kind: "refuse" }
  /** Forward what was captured, wait for its responses, and end. */
  | { kind: "finish" };

export type FromShard =
  | { kind: "opened"; libraryName: string; fanoutId: number | null }
  | { kind: "accepting" }
  | { kind: "closed" }
  | { kind: "refusing" }
  | { kind: "finished"; counters: Counters; gauges: Gauges }
  /** Sent every now and then. */
  | { kind: "counters"; counters: Counters; gauges: Gauges }
  /** With --compare, likewise: all that was counted, and the lines of --differences since the last time. */
  | { kind: "compared"; tally: Tally; lines: string[] }
  /** A call of {@link ShardReport}, for the main thread to tell. */
  | { kind: "told"; call: ReportCall }
  /** The machine refuses (RefusalError): the shard has ended. */
  | { kind: "refused"; message: string };

export type ReportCall = {
  [Name in keyof ShardReport]: { name: Name; args: Parameters<ShardReport[Name]> };
}[keyof ShardReport];

/** The answers that {@link ToShard} gets. */
export type Answer = Extract<FromShard, { kind: "opened" | "accepting" | "closed" | "refusing" | "finished" }>;
