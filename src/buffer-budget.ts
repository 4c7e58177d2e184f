/**
 * The memory that all flows and connections of a shard may hold together (--max-buffer-mib): bytes
 * that wait behind a hole, and bytes that the endpoint has not taken yet.
 */

/** Of the limit, what bytes behind holes may take at most: so that no hole costs a connection. */
const BEHIND_HOLES_MAX = 0.5;

export class BufferBudget {
  /** All that is held. */
  usedBytes = 0;
  private behindHolesBytes = 0;

  constructor(readonly limitBytes: number) {}

  hasRoomFor(bytes: number): boolean {
    return this.usedBytes + bytes <= this.limitBytes;
  }

  /** Whether bytes behind holes are within their share, and all within the limit. */
  get isWithin(): boolean {
    return this.usedBytes <= this.limitBytes && this.behindHolesBytes <= this.limitBytes * BEHIND_HOLES_MAX;
  }

  take(bytes: number): void {
    this.usedBytes += bytes;
  }

  giveBack(bytes: number): void {
    this.usedBytes -= bytes;
  }

  takeBehindHole(bytes: number): void {
    this.behindHolesBytes += bytes;
    this.take(bytes);
  }

  giveBackBehindHole(bytes: number): void {
    this.behindHolesBytes -= bytes;
    this.giveBack(bytes);
  }
}
