/** What one pipe adds to the load of its destination, and its place among the pipes whose requests wait. */
import type { PipeHost } from "./pipe-host.ts";
import type { Waiter } from "./waiter.ts";

/** A pipe whose requests are counted. */
interface CountedPipe extends Waiter {
  readonly waiting: number;
}

export class PipeLoad {
  // What it has counted.
  private isBusy = false;
  private waiting = 0;
  private isAwaiting = false;
  /** The pipe's progress when it was put among those that wait. */
  private filedMs = 0;

  constructor(
    private readonly mode: PipeHost,
    private readonly pipe: CountedPipe,
  ) {}

  /**
   * Keeps the counts true. `isBusy`: the pipe has requests, of which so many wait; `isAwaiting`: it waits for a
   * response; `holds`: it has something that could give way to others. Returns whether the last one has come to its
   * end.
   */
  note(isBusy: boolean, waiting: number, isAwaiting: boolean, holds = waiting > 0): boolean {
    const { load } = this.mode;
    const wasBusy = this.isBusy;
    if (isBusy !== wasBusy) load.busyPipes += isBusy ? 1 : -1;
    this.isBusy = isBusy;
    if (waiting !== this.waiting) this.noteWaiting(waiting);
    this.file(holds);
    if (isAwaiting !== this.isAwaiting) load.awaitingPipes += isAwaiting ? 1 : -1;
    this.isAwaiting = isAwaiting;
    return wasBusy && !isBusy;
  }

  private noteWaiting(waiting: number): void {
    const { pipe } = this;
    const { load, destination } = this.mode;
    load.waitingRequests += waiting - this.waiting;
    // Requests that come are no progress of those before them.
    if (this.waiting === 0 || waiting < this.waiting) pipe.progressMs = destination.tickedMs;
    this.waiting = waiting;
    if (waiting > load.longestWaiting) load.noteLongest(pipe);
  }

  /** Puts the pipe where it is found when others need room. */
  private file(holds: boolean): void {
    const { pipe } = this;
    if (!holds) pipe.list?.remove(pipe);
    else if (this.mode.isTight && (pipe.list === null || pipe.progressMs !== this.filedMs))
      this.mode.waiters.append(pipe);
    this.filedMs = pipe.progressMs;
  }
}
