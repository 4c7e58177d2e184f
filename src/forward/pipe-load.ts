/**
 * One pipe's part of the load of its destination, and its places among the pipes with waiting requests: by the time of
 * their last progress, and by the bytes that they hold.
 */
import { Holder } from "../memory/holders.ts";
import type { PipeHost } from "./pipe-host.ts";
import { STALLED_MS, type Waiter } from "./waiter.ts";

/** A pipe with requests that are counted. */
interface CountedPipe extends Waiter {
  readonly waiting: number;
  /** The bytes that waiting requests hold. */
  readonly waitingBytes: number;
}

/** One pipe's part of the load. */
export class PipeLoad extends Holder {
  // The last counted state.
  private isBusy = false;
  private waiting = 0;
  private isAwaiting = false;
  private behindParts = 0;
  /** The pipe's progress when it was put among those that wait. */
  private filedMs = 0;

  constructor(
    private readonly mode: PipeHost,
    private readonly pipe: CountedPipe,
  ) {
    super();
  }

  /** The last of the waiting requests gives way to others (Holder). */
  giveWay(): void {
    this.pipe.giveWay(1);
  }

  /**
   * Keeps the counts true. `isBusy`: the pipe has requests; `waiting` of them wait. `isAwaiting`: it waits for a
   * response to a whole request. `holds`: it has requests that could give way to others (one that waits for a
   * connection could not). `behindParts`: how many wait behind requests of which the rest has not come yet. Returns
   * whether the last request has come to its end.
   */
  note(
    isBusy: boolean,
    waiting: number,
    isAwaiting: boolean,
    holds = waiting > (isAwaiting ? 0 : 1),
    behindParts = 0,
  ): boolean {
    const { load } = this.mode;
    const wasBusy = this.isBusy;
    if (isBusy !== wasBusy) load.busyPipes += isBusy ? 1 : -1;
    this.isBusy = isBusy;
    if (waiting !== this.waiting) this.noteWaiting(waiting);
    this.file(holds, isAwaiting && waiting === 0);
    if (isAwaiting !== this.isAwaiting) load.awaitingPipes += isAwaiting ? 1 : -1;
    this.isAwaiting = isAwaiting;
    load.requestsBehindParts += behindParts - this.behindParts;
    this.behindParts = behindParts;
    return wasBusy && !isBusy;
  }

  /** `count` of the waiting requests have given way: that is no progress of the others. */
  gaveWay(count: number): void {
    this.mode.load.waitingRequests -= count;
    this.waiting -= count;
  }

  private noteWaiting(waiting: number): void {
    const { pipe } = this;
    const { load, destination } = this.mode;
    load.waitingRequests += waiting - this.waiting;
    // New requests are no progress of those before them, whether those wait or are in flight.
    if (waiting < this.waiting || (this.waiting === 0 && !this.isAwaiting)) pipe.progressMs = destination.tickedMs;
    else if (this.waiting === 0 && pipe.awaitedSinceMs < Infinity)
      pipe.progressMs = Math.max(pipe.progressMs, pipe.awaitedSinceMs);
    this.waiting = waiting;
    if (waiting > load.longestWaiting) load.noteLongest(pipe);
  }

  /** Puts the pipe in the lists where it is found when others need room. */
  private file(holds: boolean, isAwaiting: boolean): void {
    const { pipe, mode } = this;
    const { isTight, waiters, stalled } = mode;
    if (!isTight && this.list === null && pipe.list === null) return;
    this.heldBytes = pipe.waitingBytes;
    mode.holders.file(this);
    if (!holds && isTight && isAwaiting && pipe.awaitedSinceMs < Infinity) mode.awaited.append(pipe);
    else if (!holds) pipe.list?.remove(pipe);
    else if (isTight && ((pipe.list !== waiters && pipe.list !== stalled) || pipe.progressMs !== this.filedMs))
      (mode.destination.tickedMs - pipe.progressMs < STALLED_MS ? waiters : stalled).append(pipe);
    this.filedMs = pipe.progressMs;
  }
}
