import { expect, test } from "bun:test";
import { Budget, WITHHELD_SHARE_MAX } from "../../src/memory/budget.ts";

const LIMIT_BYTES = 1000;

test.each([
  { share: 0, granted: 1000 },
  { share: 0.25, granted: 750 },
  { share: WITHHELD_SHARE_MAX, granted: 500 },
  { share: 0.9, granted: 500 },
])("of a budget of which $share is withheld, $granted thousandths are granted", ({ share, granted }) => {
  const budget = new Budget(LIMIT_BYTES);
  budget.withhold(share);
  expect(budget.grantedBytes).toBe(granted);
  expect([budget.hasRoomFor(granted), budget.hasRoomFor(granted + 1)]).toEqual([true, false]);
  // Of what is granted, pending segments have half.
  budget.takePending(granted / 2);
  expect(budget.isWithin).toBe(true);
  budget.takePending(1);
  expect(budget.isWithin).toBe(false);
  budget.withhold(0);
  expect(budget.grantedBytes).toBe(LIMIT_BYTES);
});
