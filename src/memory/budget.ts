/**
 * The memory that a shard may hold (--max-buffer-mib): bytes that are pending behind holes, bytes that wait for a
 * destination, and the objects for them. A holder charges here all that it holds, with all costs, and gives it back
 * when it releases it.
 */

/** The share of the limit that pending segments may take: so no hole costs another connection its requests. */
export const PENDING_SHARE_MAX = 0.5;
/** The used share from which on the lists of those that may have to give way are kept. */
export const TIGHT_SHARE = 1 / 4;
/**
 * The largest share of the limit that the flow table's incarnations take from all others. Their number has its own
 * limits, so they need not ask for room.
 */
export const CONNECTIONS_SHARE_MAX = 0.5;

/**
 * The costs of objects without their bytes, in bytes: the engine's cells, their slots in tables, and a share of the
 * garbage between two collections. test/hostile/budget.test.ts compares them with the process.
 */
export const Cost = {
  /** An array of a pool, without its length. */
  ARRAY: 128,
  /** A pending segment. */
  PIECE: 256,
  /** An incarnation of the flow table, with its connection. */
  CONNECTION: 896,
  /** The framer of a connection's bytes, and its queue of requests. */
  STREAM: 2304,
  /** A connection's client, for policy. */
  CLIENT: 384,
  /** A connection's branch to a further destination: its queue of requests. */
  BRANCH: 1024,
  /** A request that waits or is in flight. */
  REQUEST: 384,
  /** A connection to a destination that is open, or waits for its turn to be opened. */
  UPSTREAM: 2048,
  /** The reader of frames and header blocks of one direction of an HTTP/2 connection, without its tables. */
  HTTP2: 4096,
  /** A request of HTTP/2, in addition to {@link REQUEST}. */
  CALL: 1536,
} as const;

/** The budget of a shard. */
export class Budget {
  /** All charged bytes, without incarnations. */
  usedBytes = 0;
  private pendingBytes = 0;
  private connectionBytes = 0;
  private asideShare = 0;
  /** The limit without the part that incarnations take, and without what is set aside. */
  roomBytes = 0;
  private tightBytes = 0;

  constructor(readonly limitBytes: number) {
    this.noteRoom();
  }

  /** All charged bytes. */
  get chargedBytes(): number {
    return this.usedBytes + this.connectionBytes;
  }

  /** How far the use is above the limit; negative: the amount that may still be taken. */
  get overBytes(): number {
    return this.usedBytes - this.roomBytes;
  }

  /** Whether more than {@link TIGHT_SHARE} is used. */
  get isTight(): boolean {
    return this.usedBytes > this.tightBytes;
  }

  hasRoomFor(bytes: number): boolean {
    return this.usedBytes + bytes <= this.roomBytes;
  }

  /** Whether pending segments are within their share, and all bytes within the limit. */
  get isWithin(): boolean {
    const pendingMax = this.limitBytes * PENDING_SHARE_MAX * (1 - this.asideShare);
    return this.usedBytes <= this.roomBytes && this.pendingBytes <= pendingMax;
  }

  take(bytes: number): void {
    this.usedBytes += bytes;
  }

  giveBack(bytes: number): void {
    this.usedBytes -= bytes;
  }

  takePending(bytes: number): void {
    this.pendingBytes += bytes;
    this.take(bytes);
  }

  giveBackPending(bytes: number): void {
    this.pendingBytes -= bytes;
    this.giveBack(bytes);
  }

  /**
   * Sets this share of the room aside, instead of what was set aside before: the process has more memory than the
   * charges account for.
   */
  setAside(share: number): void {
    this.asideShare = share;
    this.noteRoom();
  }

  /** An incarnation was opened. */
  takeConnection(): void {
    this.connectionBytes += Cost.CONNECTION;
    this.noteRoom();
  }

  /** An incarnation was forgotten. */
  giveBackConnection(): void {
    this.connectionBytes -= Cost.CONNECTION;
    this.noteRoom();
  }

  private noteRoom(): void {
    const restBytes = this.limitBytes - Math.min(this.connectionBytes, this.limitBytes * CONNECTIONS_SHARE_MAX);
    this.roomBytes = restBytes * (1 - this.asideShare);
    this.tightBytes = this.roomBytes * TIGHT_SHARE;
  }
}
