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

  constructor(
    private readonly mode: PipeHost,
    private readonly pipe: CountedPipe,
  ) {}

  /**
   * Keeps the counts true. `isBusy`: the pipe has requests, of which so many wait; `isAwaiting`: it waits for a
   * response. Returns whether the last one has come to its end.
   */
  note(isBusy: boolean, waiting: number, isAwaiting: boolean): boolean {
    const { load } = this.mode;
    const wasBusy = this.isBusy;
    if (isBusy !== wasBusy) load.busyPipes += isBusy ? 1 : -1;
    this.isBusy = isBusy;
    if (waiting !== this.waiting) this.noteWaiting(waiting);
    if (isAwaiting !== this.isAwaiting) load.awaitingPipes += isAwaiting ? 1 : -1;
    this.isAwaiting = isAwaiting;
    return wasBusy && !isBusy;
  }

  private noteWaiting(waiting: number): void {
    const { pipe } = this;
    const { load, waiters, destination, isTight } = this.mode;
    load.waitingRequests += waiting - this.waiting;
    // Requests that come are no progress of those before them.
    if (this.waiting === 0 || waiting < this.waiting) pipe.progressMs = destination.tickedMs;
    if (waiting === 0) pipe.list?.remove(pipe);
    else if (isTight && (pipe.list === null || waiting < this.waiting)) waiters.append(pipe);
    this.waiting = waiting;
    if (waiting > load.longestWaiting) load.noteLongest(pipe);
  }
}
