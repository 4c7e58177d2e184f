/** The budget says at which byte it is tight, and full. What an object costs: test/hostile/budget.test.ts. */
import { describe, expect, test } from "bun:test";
import { Budget, CONNECTIONS_SHARE_MAX, Cost, PENDING_SHARE_MAX, TIGHT_SHARE } from "../../src/memory/budget.ts";

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

test("given-back memory counts as if it had not been taken", () => {
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

test.each([0, 1 / 4, 1 / 2])("with %d of it set aside, the rest is the room, beside connections too", (share) => {
  const budget = budgetWith(CONNECTIONS / 10);
  budget.setAside(1 / 8);
  budget.setAside(share);
  const roomBytes = budget.limitBytes * 0.9 * (1 - share);
  expect([budget.hasRoomFor(roomBytes), budget.hasRoomFor(roomBytes + 1)]).toEqual([true, false]);
  const pendingBytes = budget.limitBytes * PENDING_SHARE_MAX * (1 - share);
  budget.takePending(pendingBytes);
  expect(budget.isWithin).toBe(true);
  budget.takePending(1);
  expect(budget.isWithin).toBe(false);
});

const CONNECTIONS = 100;
const SHARE = CONNECTIONS * CONNECTIONS_SHARE_MAX;

function budgetWith(connections: number): Budget {
  const budget = new Budget(CONNECTIONS * Cost.CONNECTION);
  for (let i = 0; i < connections; i++) budget.takeConnection();
  return budget;
}

describe("incarnations leave less room for other bytes", () => {
  test.each([
    ["none", 0, 100],
    ["one", 1, 99],
    ["their share of the limit", SHARE, 100 - SHARE],
    ["more than their share", SHARE + 1, 100 - SHARE],
    ["more than all of it", 1000, 100 - SHARE],
  ])("%s", (_what, connections, room) => {
    const roomBytes = room * Cost.CONNECTION;
    const budget = budgetWith(connections);
    expect(budget.hasRoomFor(roomBytes)).toBe(true);
    expect(budget.hasRoomFor(roomBytes + 1)).toBe(false);
    budget.take(roomBytes);
    expect([budget.overBytes, budget.isWithin]).toEqual([0, true]);
    budget.take(1);
    expect([budget.overBytes, budget.isWithin]).toEqual([1, false]);
  });

  test("until they are forgotten", () => {
    const budget = budgetWith(60);
    for (let i = 0; i < 60; i++) budget.giveBackConnection();
    expect([budget.roomBytes, budget.chargedBytes]).toEqual([budget.limitBytes, 0]);
  });
});
