/**
 * SIGINT, SIGTERM and SIGHUP (the terminal is gone): the first one asks the program to end in order, the second one
 * ends it at once.
 */
import { readFileSync } from "node:fs";

/** A second signal within this time is the same one: timeout(1) sends it twice, to the process and to its group. */
export const SIGNAL_ECHO_MS = 100;

const EXIT_STATUS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/**
 * proc_pid_status(5): the signals that the parent process made this process ignore, a bit for each; SIGHUP is the
 * first.
 */
const IGNORED = /^SigIgn:\s*[0-9a-f]*([0-9a-f])$/m;

/** A stop that may be requested once. */
export class Stop {
  private isRequested = false;
  private readonly waiting = new Set<() => void>();

  get requested(): boolean {
    return this.isRequested;
  }

  request(): void {
    this.isRequested = true;
    for (const stopped of this.waiting) stopped();
    this.waiting.clear();
  }

  /**
   * The result of `promise`; undefined if the stop is requested first. No memory is left behind, for any number of
   * calls: Promise.race would keep each call's objects as long as the longest-lived of its promises.
   */
  unless<T>(promise: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const stopped = () => resolve(undefined);
      // The promise goes on when no caller waits for it any more; if it then fails, that is no error.
      promise.then(resolve, reject).finally(() => this.waiting.delete(stopped));
      if (this.isRequested) stopped();
      else this.waiting.add(stopped);
    });
  }
}

/** A stop that the first signal requests. `told` gets the signal. */
export function stopSignal(told: (signal: string) => void): Stop {
  const stop = new Stop();
  let requestedMs = 0;
  for (const [signal, status] of Object.entries(EXIT_STATUS)) {
    if (signal === "SIGHUP" && ignoresHangUp()) continue;
    process.on(signal, () => {
      if (stop.requested && performance.now() - requestedMs < SIGNAL_ECHO_MS) return;
      if (stop.requested) process.exit(status);
      requestedMs = performance.now();
      stop.request();
      told(signal);
    });
  }
  return stop;
}

/** Whether it is to outlive its terminal, as nohup(1) has it. */
function ignoresHangUp(): boolean {
  try {
    const [, signals = "0"] = IGNORED.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return (parseInt(signals, 16) & 1) === 1;
  } catch {
    return false;
  }
}
