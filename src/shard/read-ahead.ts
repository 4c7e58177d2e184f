/**
 * How far a source that can wait (a savefile) is read ahead of the endpoint: no whole request is dropped because it was
 * read too fast, and none waits for ever.
 *
 * - A source is ahead if more bytes are held, more requests wait, or more connections are unsettled than the limits
 *   below. It waits while the endpoint has work that it was given. 512 requests are few enough that they are still in
 *   the processor's cache when their turn comes.
 * - An endpoint that has done nothing for 20 ms may be one that serves a limited number of connections at a time, and
 *   waits for their ends or the rest of an upload. These come only if more is read. So reading goes on,
 * - up to the most that may be held, of waiting or of compared bytes: there it waits until the endpoint goes on, or a
 *   time limit ends the wait.
 */
import type { Destination } from "../forward/destination.ts";
import type { Load } from "../forward/load.ts";

/** The most bytes that are held before the source waits. */
export const AHEAD_BYTES_MAX = 8 << 20;
/** The most bytes ahead, as a share of a small budget. */
export const AHEAD_SHARE_MAX = 1 / 4;
/** The most connections that are being made or ended, or wait for a response, before the source waits. */
export const AHEAD_CONNECTIONS_MAX = 512;
/** The most requests that wait before the source waits. */
export const AHEAD_REQUESTS_MAX = 512;
/** How long an endpoint with work may do nothing before reading goes on. */
export const SILENCE_MS_MAX = 20;
/** The share of the budget's room that may be held, however long the endpoint is silent: the rest is for a batch. */
export const HELD_SHARE_MAX = 3 / 4;
/** The most connections that are being made or ended, however long the endpoint is silent. */
export const UNSETTLED_CONNECTIONS_MAX = 4096;

/** Decides whether a source that can wait should. */
export class ReadAhead {
  private readonly aheadBytesMax: number;

  constructor(
    private readonly destination: Destination,
    private readonly load: Load,
    /** The memory of bytes held to be compared; null: responses are not compared. */
    private readonly compared: { readonly isNearlyFull: boolean } | null = null,
  ) {
    const { limitBytes } = destination.memory.budget;
    this.aheadBytesMax = Math.min(AHEAD_BYTES_MAX, limitBytes * AHEAD_SHARE_MAX);
  }

  /** Whether the source should wait. Cheap enough to be asked for each record. */
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
    if (memory.heldBytes > memory.budget.roomBytes * HELD_SHARE_MAX || unsettledCount > UNSETTLED_CONNECTIONS_MAX)
      return true;
    return this.compared !== null && this.compared.isNearlyFull;
  }

  /** Whether the endpoint has work that does not need more to be read first (the rest of an upload does). */
  private get isAwaited(): boolean {
    const { load, destination } = this;
    if (load.awaitingPipes > 0 || load.waitingRequests > load.requestsBehindParts) return true;
    return destination.unsettledCount > 0 || destination.isAwaited;
  }
}
