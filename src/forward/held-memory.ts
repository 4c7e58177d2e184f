/** The memory of bytes that wait for a destination: arrays of the shard's pool, charged to its budget. */
import { type ArrayPool, costOf } from "../memory/array-pool.ts";
import type { Budget } from "../memory/budget.ts";

/** The memory of one destination. */
export class HeldMemory {
  /** All that forward holds, in charged bytes. */
  heldBytes = 0;

  constructor(
    readonly budget: Budget,
    private readonly pool: ArrayPool,
  ) {}

  /** An array of at least `length` bytes. Its holder frees it. */
  allocate(length: number): Uint8Array {
    const array = this.pool.allocate(length);
    this.take(costOf(array));
    return array;
  }

  free(array: Uint8Array): void {
    this.giveBack(costOf(array));
    this.pool.free(array);
  }

  /** Gives back to the pool an array that several destinations had charged, and that no destination holds any more. */
  recycle(array: Uint8Array): void {
    this.pool.free(array);
  }

  /** Charges held memory other than arrays. */
  take(bytes: number): void {
    this.heldBytes += bytes;
    this.budget.take(bytes);
  }

  giveBack(bytes: number): void {
    this.heldBytes -= bytes;
    this.budget.giveBack(bytes);
  }
}
