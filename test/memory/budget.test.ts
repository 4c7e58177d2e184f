/** The budget says at which byte it is tight, and full. */
import { expect, test } from "bun:test";
import { Budget, PENDING_SHARE_MAX, TIGHT_SHARE } from "../../src/memory/budget.ts";

const LIMIT_BYTES = 1 << 20;

test.each<[what: string, limit: number, (budget: Budget, bytes: number) => boolean]>([
  ["full", LIMIT_BYTES, (budget, bytes) => (budget.take(bytes), !budget.hasRoomFor(0))],
  ["too small for more", LIMIT_BYTES, (budget, bytes) => !budget.hasRoomFor(bytes)],
  ["tight", LIMIT_BYTES * TIGHT_SHARE, (budget, bytes) => (budget.take(bytes), budget.isTight)],
  [
    "over its pending share",
    LIMIT_BYTES * PENDING_SHARE_MAX,
    (budget, bytes) => (budget.takePending(bytes), !budget.isWithin),
  ],
  ["not within", LIMIT_BYTES, (budget, bytes) => (budget.take(bytes), !budget.isWithin)],
])("it is %s over the limit, and not at it", (_what, limit, isOver) => {
  expect([isOver(new Budget(LIMIT_BYTES), limit), isOver(new Budget(LIMIT_BYTES), limit + 1)]).toEqual([false, true]);
});

test("what is given back is as if it had not been taken", () => {
  const budget = new Budget(LIMIT_BYTES);
  budget.takePending(LIMIT_BYTES + 1);
  budget.giveBackPending(LIMIT_BYTES + 1);
  expect([budget.usedBytes, budget.isWithin, budget.isTight, budget.hasRoomFor(LIMIT_BYTES)]).toEqual([
    0,
    true,
    false,
    true,
  ]);
});
