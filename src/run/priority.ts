/**
 * The process's priority on busy cores: a frame that is not read in time is lost, and requests that are not forwarded
 * in time pile up.
 */
import { closeSync, constants as fileConstants, openSync, writeSync } from "node:fs";
import { constants, getPriority, setPriority } from "node:os";

/** The nice value asked for. */
const CAPTURE_NICE = -10;
/** How much higher the main thread's nice value is while the shards run. */
const MAIN_NICE_MORE = 10;
/**
 * If the kernel groups processes by session (kernel.sched_autogroup_enabled), each session gets its share first, and
 * nice only divides that share. This file sets the session's own nice value, for all of its processes (sched(7)).
 */
const AUTOGROUP = "/proc/self/autogroup";
/** The kernel accepts one such value every 100 ms, from all processes together, unless the caller has CAP_SYS_ADMIN. */
const AUTOGROUP_TRIES = 5;
const AUTOGROUP_RETRY_MS = 100;

/**
 * Asks at once for a higher priority, for this thread and its children; resolves when the session has one too. `told`
 * gets each refusal, with its reason.
 */
export async function hurry(told: (refusal: string) => void): Promise<void> {
  try {
    setPriority(CAPTURE_NICE);
  } catch (error) {
    // Then the session gets no higher priority either.
    told(`The system does not raise the priority (CAP_SYS_NICE): ${(error as Error).message}`);
    return;
  }
  const refusal = await setAutogroup();
  if (refusal !== undefined) told(`The system does not raise the session's priority (${AUTOGROUP}): ${refusal}`);
}

/** Lets the threads that this one has started go before it: the main thread's work can wait. */
export function giveWay(): void {
  setPriority(Math.min(getPriority() + MAIN_NICE_MORE, constants.priority.PRIORITY_LOW));
}

/** Sets the session's nice value. Returns why it is refused; undefined: it is not, or sessions are not grouped. */
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
