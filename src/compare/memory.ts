/** The memory of a shard's comparison: a share of the budget, so that forwarding never lacks memory because of it. */
import { costOf } from "../memory/array-pool.ts";
import { type Budget, Cost } from "../memory/budget.ts";
import { Kept, NOTHING } from "./response.ts";

/** The share of the budget that responses and requests waiting to be compared may take. */
export const COMPARE_SHARE = 1 / 4;
/** When this share of it is held, a source that can wait (a savefile) should. */
export const FULL_SHARE = 3 / 4;
/**
 * How many responses are kept to be used again, as far as they fit into a share of this memory, and the longest arrays
 * that each keeps: most responses fit into them. Others are made anew: nothing is lost, or counted.
 */
export const SPARE_MAX = 4096;
export const SPARE_ARRAY_BYTES_MAX = 512;
export const SPARE_SHARE = 1 / 2;
const SPARE_COST_BYTES = 2 * (SPARE_ARRAY_BYTES_MAX + Cost.ARRAY);

/** Charges held bytes, and provides them. */
export interface Account {
  readonly budget: Budget;
  take(bytes: number): void;
  giveBack(bytes: number): void;
  allocate(length: number): Uint8Array;
  free(array: Uint8Array): void;
}

/** Charges all that a shard's comparison holds, and keeps responses to be used again. */
export class ComparedMemory {
  /** All bytes held. */
  heldBytes = 0;
  private readonly limitBytes: number;
  private readonly spareMax: number;
  private readonly spare: Kept[] = [];

  constructor(private readonly account: Account) {
    this.limitBytes = account.budget.limitBytes * COMPARE_SHARE;
    this.spareMax = Math.min(SPARE_MAX, Math.floor((this.limitBytes * SPARE_SHARE) / SPARE_COST_BYTES));
  }

  hasRoomFor(bytes: number): boolean {
    return this.heldBytes + bytes <= this.limitBytes && this.account.budget.hasRoomFor(bytes);
  }

  /** Whether not much more can be held. */
  get isNearlyFull(): boolean {
    return this.heldBytes > this.limitBytes * FULL_SHARE;
  }

  take(bytes: number): void {
    this.heldBytes += bytes;
    this.account.take(bytes);
  }

  giveBack(bytes: number): void {
    if (bytes === 0) return;
    this.heldBytes -= bytes;
    this.account.giveBack(bytes);
  }

  /** An array of at least `length` bytes. Its holder frees it. */
  allocate(length: number): Uint8Array {
    const array = this.account.allocate(length);
    this.heldBytes += costOf(array);
    return array;
  }

  free(array: Uint8Array): void {
    if (array === NOTHING) return;
    this.heldBytes -= costOf(array);
    this.account.free(array);
  }

  /** An empty response. It belongs to the caller until {@link giveBackKept}. */
  takeKept(): Kept {
    const kept = this.spare.pop() ?? new Kept();
    this.take(kept.heldBytes);
    return kept;
  }

  /** Takes a response back when no object reads it any more. */
  giveBackKept(kept: Kept | null): void {
    if (kept === null) return;
    kept.clear();
    const isSpare = this.spare.length < this.spareMax;
    if (!isSpare || kept.headBytes.length > SPARE_ARRAY_BYTES_MAX) this.freeHead(kept);
    if (!isSpare || kept.bodyBytes.length > SPARE_ARRAY_BYTES_MAX) this.freeBody(kept);
    this.giveBack(kept.heldBytes);
    if (isSpare) this.spare.push(kept);
  }

  freeHead(kept: Kept): void {
    this.free(kept.headBytes);
    kept.headBytes = NOTHING;
    kept.headLength = 0;
  }

  freeBody(kept: Kept): void {
    this.free(kept.bodyBytes);
    kept.bodyBytes = NOTHING;
    kept.keptLength = 0;
  }
}
