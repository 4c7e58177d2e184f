/** What a shard's comparison may hold: a share of its budget, so that forwarding never lacks what compares. */
import type { Budget } from "../memory/budget.ts";

/** Of the budget, what responses and requests that wait to be compared may take. */
export const COMPARE_SHARE = 1 / 4;

/** Where what is held is charged. */
export interface Account {
  readonly budget: Budget;
  take(bytes: number): void;
  giveBack(bytes: number): void;
}

export class ComparedMemory {
  /** All that is held. */
  heldBytes = 0;
  private readonly limitBytes: number;

  constructor(private readonly account: Account) {
    this.limitBytes = account.budget.limitBytes * COMPARE_SHARE;
  }

  hasRoomFor(bytes: number): boolean {
    return this.heldBytes + bytes <= this.limitBytes && this.account.budget.hasRoomFor(bytes);
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
}
