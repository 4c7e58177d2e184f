/**
 * The memory that a shard may hold (--max-buffer-mib): bytes that are pending behind holes, bytes that wait for
 * a destination, and what the objects cost that stand for them. Who holds something charges it here, with all that
 * it costs, and gives it back when it is let go.
 */

/** The most that pending segments may take of the limit: so that no hole costs another connection its requests. */
const PENDING_SHARE_MAX = 0.5;
/** Of the limit, the most that is withheld. */
export const WITHHELD_SHARE_MAX = 0.5;

/**
 * What objects cost beside their bytes, in bytes: the engine's cells, their slots in tables, and a share of the
 * garbage that stands between two collections. test/hostile/budget.test.ts compares them with the process.
 */
export const Cost = {
  /** An array of a pool, beside its length. */
  ARRAY: 128,
  /** A pending segment. */
  PIECE: 256,
  /** A connection of the flow table. */
  CONNECTION: 896,
  /** What frames a connection's bytes, and its queue of requests. */
  STREAM: 2304,
  /** What policy knows of a connection's client. */
  CLIENT: 384,
  /** What a further destination gets of a connection: its queue of requests. */
  BRANCH: 1024,
  /** A request that waits or is in flight. */
  REQUEST: 384,
  /** A connection to a destination that is open, or waits for its turn to be opened. */
  UPSTREAM: 2048,
  /** What reads the frames and header blocks of one direction of an HTTP/2 connection, beside its tables. */
  HTTP2: 4096,
  /** A request of HTTP/2, beside {@link REQUEST}. */
  CALL: 512,
} as const;

export class Budget {
  /** All that is held. */
  usedBytes = 0;
  /** What may be held now: the limit, or less where the process has grown by more than what is charged. */
  grantedBytes: number;
  private pendingBytes = 0;

  constructor(readonly limitBytes: number) {
    this.grantedBytes = limitBytes;
  }

  /** Withholds this share of the limit, up to {@link WITHHELD_SHARE_MAX}. What is held beyond the rest gives way. */
  withhold(share: number): void {
    this.grantedBytes = this.limitBytes * (1 - Math.min(share, WITHHELD_SHARE_MAX));
  }

  /** More than a quarter is used: who may have to give way is to be known from now on. */
  get isTight(): boolean {
    return this.usedBytes > this.limitBytes / 4;
  }

  hasRoomFor(bytes: number): boolean {
    return this.usedBytes + bytes <= this.grantedBytes;
  }

  /** Whether pending segments are within their share, and all is within the limit. */
  get isWithin(): boolean {
    return this.usedBytes <= this.grantedBytes && this.pendingBytes <= this.grantedBytes * PENDING_SHARE_MAX;
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
}
