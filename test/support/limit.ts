/** Budgets of tests. */
import type { Budget } from "../../src/memory/budget.ts";

/** Gives a shard's budget a finer limit than --max-buffer-mib, so that a small world meets it. */
export function limitTo(budget: Budget, limitBytes: number): void {
  Object.assign(budget, { limitBytes });
  // The room is computed when it changes.
  budget.setAside(0);
}
