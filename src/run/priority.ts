/**
 * The process's share of busy cores: a frame that is not read in time is lost, and a request not forwarded in time
 * piles up.
 */
import { closeSync, constants as fileConstants, openSync, writeSync } from "node:fs";
import { constants, getPriority, setPriority } from "node:os";

/** The nice value asked for. */
const CAPTURE_NICE = -10;
/** How much higher the main thread's is, when the shards run. */
const MAIN_NICE_MORE = 10;
/**
 * Where the kernel groups processes by session (kernel.sched_autogroup_enabled), each session gets its share first, and
 * nice divides that share alone. The session's own nice value, for all of its processes, is set here (sched(7)).
 */
const AUTOGROUP = "/proc/self/autogroup";
/** The kernel takes one such value every 100 ms, from all processes together, unless CAP_SYS_ADMIN gives it. */
const AUTOGROUP_TRIES = 5;
const AUTOGROUP_RETRY_MS = 100;

/**
 * Asks for a higher priority, for this thread and those that it starts, at once; resolves when the session has been
 * given one too. `told` hears what is refused, and why.
 */
export async function hurry(told: (refusal: string) => void): Promise<void> {
  try {
    setPriority(CAPTURE_NICE);
  } catch (error) {
    // Its session gets none either, then.
    told(`The system gives no priority (CAP_SYS_NICE): ${(error as Error).message}`);
    return;
  }
  const refusal = await setAutogroup();
  if (refusal !== undefined) told(`The system gives the session no priority (${AUTOGROUP}): ${refusal}`);
}

/** Lets those that this thread has started go before it: what the main thread does can wait. */
export function giveWay(): void {
  setPriority(Math.min(getPriority() + MAIN_NICE_MORE, constants.priority.PRIORITY_LOW));
}

/** Returns why it is refused; undefined where it is not, or sessions are not grouped. */
async function setAutogroup(): Promise<string | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      writeAutogroup();
      return undefined;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return undefined;
      if (code !== "EAGAIN" || tries === AUTOGROUP_TRIES) return message;
    }
    await Bun.sleep(AUTOGROUP_RETRY_MS);
  }
}

function writeAutogroup(): void {
  const fd = openSync(AUTOGROUP, fileConstants.O_WRONLY);
  try {
    writeSync(fd, String(CAPTURE_NICE));
  } finally {
    closeSync(fd);
  }
}
