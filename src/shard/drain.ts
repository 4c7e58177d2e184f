/** The end of a shard: no more frames come, and responses are still on their way. */
import type { MemoryGuard } from "../memory/memory-guard.ts";
import type { Shard } from "./shard.ts";

/** How long responses may come in after a signal. */
export const DRAIN_MS = 5000;
const TICK_MS = 5;
/** How many flows are ended at a time when no more frames come. */
const FINISH_FLOWS = 1024;

/** Whether the program was asked to stop. */
export interface Stopping {
  readonly requested: boolean;
}

/** Ends all flows, no faster than the endpoint takes their last bytes; once `stop` is requested, at once. */
export async function finish(shard: Shard, memory: MemoryGuard, stop: Stopping): Promise<void> {
  while (shard.finish(FINISH_FLOWS)) {
    memory.check();
    while (shard.isBehind && !stop.requested) {
      shard.tick();
      await Bun.sleep(1);
    }
  }
}

/** Waits until all connections have ended; once `stop` is requested, no longer than DRAIN_MS. */
export async function drain(shard: Shard, now: () => number, stop: Stopping): Promise<void> {
  let deadlineMs = Infinity;
  while (!shard.isSettled) {
    const nowMs = now();
    if (stop.requested && deadlineMs === Infinity) deadlineMs = nowMs + DRAIN_MS;
    if (nowMs >= deadlineMs) shard.terminate();
    shard.giveUpSilent(DRAIN_MS);
    shard.tick();
    await Bun.sleep(TICK_MS);
  }
}

/** Lets the event loop do the work that is due. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
