/**
 * What one pipe adds to the load of its destination, and its places among the pipes whose requests wait: by when they
 * made progress last, and by what they hold.
 */
import { Holder } from "../memory/holders.ts";
import type { PipeHost } from "./pipe-host.ts";
import type { Waiter } from "./waiter.ts";

/** A pipe whose requests are counted. */
interface CountedPipe extends Waiter {
  readonly waiting: number;
  /** What those hold that wait. */
  readonly waitingBytes: number;
}

export class PipeLoad extends Holder {
  // What it has counted.
  private isBusy = false;
  private waiting = 0;
  private isAwaiting = false;
  /** The pipe's progress when it was put among those that wait. */
  private filedMs = 0;

  constructor(
    private readonly mode: PipeHost,
    private readonly pipe: CountedPipe,
  ) {
    super();
  }

  /** The last of what waits gives way to others (Holder). */
  giveWay(): void {
    this.pipe.giveWay(1);
  }

  /**
   * Keeps the counts true. `isBusy`: the pipe has requests, of which so many wait; `isAwaiting`: it waits for a
   * response; `holds`: it has something that could give way to others, which the request that waits for a connection
   * does not. Returns whether the last one has come to its end.
   */
  note(isBusy: boolean, waiting: number, isAwaiting: boolean, holds = waiting > (isAwaiting ? 0 : 1)): boolean {
    const { load } = this.mode;
    const wasBusy = this.isBusy;
    if (isBusy !== wasBusy) load.busyPipes += isBusy ? 1 : -1;
    this.isBusy = isBusy;
    if (waiting !== this.waiting) this.noteWaiting(waiting);
    this.file(holds, isAwaiting && waiting === 0);
    if (isAwaiting !== this.isAwaiting) load.awaitingPipes += isAwaiting ? 1 : -1;
    this.isAwaiting = isAwaiting;
    return wasBusy && !isBusy;
  }

  /** So many of the requests that wait have given way: that is no progress of the others. */
  gaveWay(count: number): void {
    this.mode.load.waitingRequests -= count;
    this.waiting -= count;
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
  private file(holds: boolean, isAwaiting: boolean): void {
    const { pipe, mode } = this;
    const { isTight } = mode;
    if (!isTight && this.list === null && pipe.list === null) return;
    this.heldBytes = pipe.waitingBytes;
    mode.holders.file(this);
    if (!holds && isTight && isAwaiting && pipe.awaitedSinceMs < Infinity) mode.awaited.append(pipe);
    else if (!holds) pipe.list?.remove(pipe);
    else if (isTight && (pipe.list !== mode.waiters || pipe.progressMs !== this.filedMs)) mode.waiters.append(pipe);
    this.filedMs = pipe.progressMs;
  }
}
