/** The memory of what waits for a destination: arrays of the shard's pool, charged to its budget. */
import { type ArrayPool, costOf } from "../memory/array-pool.ts";
import type { Budget } from "../memory/budget.ts";

export class HeldMemory {
  /** What forward holds, in all, as it is charged. */
  heldBytes = 0;

  constructor(
    readonly budget: Budget,
    private readonly pool: ArrayPool,
  ) {}

  /** An array of at least `length` bytes. Who has it frees it. */
  allocate(length: number): Uint8Array {
    const array = this.pool.allocate(length);
    this.take(costOf(array));
    return array;
  }

  free(array: Uint8Array): void {
    this.giveBack(costOf(array));
    this.pool.free(array);
  }

  /** Gives an array back to the pool that others have charged as well, and that nobody holds any more. */
  recycle(array: Uint8Array): void {
    this.pool.free(array);
  }

  /** Charges what is held beside arrays. */
  take(bytes: number): void {
    this.heldBytes += bytes;
    this.budget.take(bytes);
  }

  giveBack(bytes: number): void {
    this.heldBytes -= bytes;
    this.budget.giveBack(bytes);
  }
}
