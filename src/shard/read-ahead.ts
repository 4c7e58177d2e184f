/**
 * How far a source that can wait (a savefile) is read ahead of the endpoint: nothing whole is dropped because it was
 * read too fast, and nothing waits for ever.
 *
 * - Ahead is who holds more bytes, has more requests waiting, or more connections unsettled than the limits below. It
 *   waits while the endpoint has something to do that it was given. 512 requests are few enough that they are still in
 *   the processor's cache when their turn comes.
 * - An endpoint that has done nothing for 20 ms may be one that serves so many connections at a time, and waits for
 *   their ends or the rest of an upload. Those come only if more is read. So reading goes on then,
 * - up to what may be held at all, by what waits or by what is compared: there it waits until the endpoint goes on, or a
 *   time limit ends the wait.
 */
import type { Destination } from "../forward/destination.ts";
import type { Load } from "../forward/load.ts";

const AHEAD_BYTES_MAX = 8 << 20;
/** The same as a share of a small budget. */
const AHEAD_SHARE_MAX = 1 / 4;
const AHEAD_CONNECTIONS_MAX = 512;
export const AHEAD_REQUESTS_MAX = 512;
export const SILENCE_MS_MAX = 20;
/** Of the budget, what may be held at all: the rest is for what a batch brings. */
const HELD_SHARE_MAX = 3 / 4;
/** Connections that are being made or ended at all. */
const UNSETTLED_CONNECTIONS_MAX = 4096;

export class ReadAhead {
  private readonly aheadBytesMax: number;

  constructor(
    private readonly destination: Destination,
    private readonly load: Load,
    /** What is held to be compared; null: nothing is. */
    private readonly compared: { readonly isNearlyFull: boolean } | null = null,
  ) {
    const { limitBytes } = destination.memory.budget;
    this.aheadBytesMax = Math.min(AHEAD_BYTES_MAX, limitBytes * AHEAD_SHARE_MAX);
  }

  /** Whether the source should wait; cheap enough to be asked for each record. */
  get isFar(): boolean {
    return this.isAhead && this.isAwaited && (this.isFull || this.destination.silenceMs < SILENCE_MS_MAX);
  }

  private get isAhead(): boolean {
    const { destination, load } = this;
    if (load.waitingRequests >= AHEAD_REQUESTS_MAX || destination.memory.heldBytes > this.aheadBytesMax) return true;
    return destination.unsettledCount + load.awaitingPipes > AHEAD_CONNECTIONS_MAX;
  }

  private get isFull(): boolean {
    const { memory, unsettledCount } = this.destination;
    if (memory.heldBytes > memory.budget.grantedBytes * HELD_SHARE_MAX || unsettledCount > UNSETTLED_CONNECTIONS_MAX)
      return true;
    return this.compared !== null && this.compared.isNearlyFull;
  }

  /**
   * Whether the endpoint has something to do that does not need more to be read first, as the rest of an upload does.
   */
  private get isAwaited(): boolean {
    const { load, destination } = this;
    return (
      load.awaitingPipes > 0 || load.waitingRequests > 0 || destination.unsettledCount > 0 || destination.isAwaited
    );
  }
}
