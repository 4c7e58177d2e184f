/**
 * The memory that all flows and connections of a shard may hold together (--max-buffer-mib): bytes
 * that wait behind a hole, and bytes that the endpoint has not taken yet.
 */
export class BufferBudget {
  usedBytes = 0;

  constructor(readonly limitBytes: number) {}

  hasRoomFor(bytes: number): boolean {
    return this.usedBytes + bytes <= this.limitBytes;
  }

  take(bytes: number): void {
    this.usedBytes += bytes;
  }

  giveBack(bytes: number): void {
    this.usedBytes -= bytes;
  }
}
