/** The thread of one shard: does the main thread's (shards.ts) requests. */
import { RefusalError } from "../errors.ts";
import { LiveShard } from "./live-shard.ts";
import type { ShardReport } from "./shard.ts";
import type { FromShard, ReportCall, ToShard } from "./messages.ts";

declare const self: Worker;

/** The shortest pause after a report of the comparisons, as a multiple of the time that the report took. */
const COMPARED_PAUSE_FACTOR = 50;

let shard: LiveShard | undefined;
let comparedDueMs = 0;
let running: Promise<void> = Promise.resolve();

function say(message: FromShard): void {
  self.postMessage(message);
}

/** Reports the comparisons, but only so often that it takes a small share of the time, for any number of them. */
function sayCompared(isLast: boolean): void {
  const { comparison } = shard!;
  const fromMs = performance.now();
  if (comparison === null || (fromMs < comparedDueMs && !isLast)) return;
  say({ kind: "compared", tally: comparison.tally, lines: comparison.takeLines() });
  const nowMs = performance.now();
  comparedDueMs = nowMs + (nowMs - fromMs) * COMPARED_PAUSE_FACTOR;
}

function tell(call: ReportCall): void {
  say({ kind: "told", call });
}

const report: ShardReport = {
  outageBegan: (...args) => tell({ name: "outageBegan", args }),
  outageEnded: (...args) => tell({ name: "outageEnded", args }),
  speaksNot: (...args) => tell({ name: "speaksNot", args }),
  speaks: (...args) => tell({ name: "speaks", args }),
  givenUp: (...args) => tell({ name: "givenUp", args }),
  broken: (...args) => tell({ name: "broken", args }),
  foreign: (...args) => tell({ name: "foreign", args }),
  fileFailed: (...args) => tell({ name: "fileFailed", args }),
  recordFailed: (...args) => tell({ name: "recordFailed", args }),
};

async function follow(message: ToShard): Promise<void> {
  switch (message.kind) {
    case "open": {
      const { config, shards, fanoutId, shared } = message;
      shard = new LiveShard(config, shards, report, shared);
      const { libraryName } = shard;
      say({ kind: "opened", libraryName, fanoutId: shards > 1 ? shard.shareInterface(fanoutId) : null });
      return;
    }
    case "accept":
      await shard!.accept();
      say({ kind: "accepting" });
      return;
    case "begin":
      // Frames that were captured before the machine refuses to go on are still to be forwarded.
      running = shard!.run(message.sinceMs, () => sayCounters("counters")).catch(refused);
      return running;
    case "close":
      shard!.close();
      say({ kind: "closed" });
      return;
    case "reject":
      shard!.reject();
      say({ kind: "rejecting" });
      return;
    case "finish":
      await running;
      await shard!.finish();
      sayCounters("finished");
  }
}

function sayCounters(kind: "counters" | "finished"): void {
  sayCompared(kind === "finished");
  say({ kind, counters: shard!.counters, gauges: shard!.takeGauges() });
}

/** Reports a refusal by the machine. Every other error is a bug, and ends the program (shards.ts). */
function refused(error: unknown): void {
  if (!(error instanceof RefusalError)) throw error;
  say({ kind: "refused", message: error.message });
}

self.onmessage = ({ data }: MessageEvent<ToShard>) => follow(data).catch(refused);
