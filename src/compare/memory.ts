/** What a shard's comparison may hold: a share of its budget, so that forwarding never lacks what compares. */
import { costOf } from "../memory/array-pool.ts";
import { type Budget, Cost } from "../memory/budget.ts";
import { Kept, NOTHING } from "./response.ts";

/** Of the budget, what responses and requests that wait to be compared may take. */
export const COMPARE_SHARE = 1 / 4;
/** Of that, what is so much that a source which can wait should. */
export const FULL_SHARE = 3 / 4;
/**
 * What keeps responses is used again, each with arrays of up to this length: most fit into them. So many are, as far as
 * they fit into a share of what may be held; others are made anew: nothing is lost, or counted.
 */
export const SPARE_MAX = 4096;
export const SPARE_ARRAY_BYTES_MAX = 512;
export const SPARE_SHARE = 1 / 2;
const SPARE_COST_BYTES = 2 * (SPARE_ARRAY_BYTES_MAX + Cost.ARRAY);

/** Where what is held is charged, and comes from. */
export interface Account {
  readonly budget: Budget;
  take(bytes: number): void;
  giveBack(bytes: number): void;
  allocate(length: number): Uint8Array;
  free(array: Uint8Array): void;
}

export class ComparedMemory {
  /** All that is held. */
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

  /** Much more cannot be held. */
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

  /** An array of at least `length` bytes. Who has it frees it. */
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

  /** A response of which nothing has come. It belongs to the caller until {@link giveBackKept}. */
  takeKept(): Kept {
    const kept = this.spare.pop() ?? new Kept();
    this.take(kept.heldBytes);
    return kept;
  }

  /** Nobody reads it any more. */
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
