/** The limit of held bytes, and the part of it that incarnations take. What an object costs: test/hostile/budget.test.ts. */
import { describe, expect, test } from "bun:test";
import { Budget, Cost } from "../../src/memory/budget.ts";

const LIMIT_BYTES = 100 * Cost.CONNECTION;

function budgetWith(connections: number): Budget {
  const budget = new Budget(LIMIT_BYTES);
  for (let i = 0; i < connections; i++) budget.takeConnection();
  return budget;
}

describe("incarnations leave less room for other bytes", () => {
  test.each([
    ["none", 0, LIMIT_BYTES],
    ["one", 1, LIMIT_BYTES - Cost.CONNECTION],
    ["half of the limit", 50, LIMIT_BYTES / 2],
    ["more than half of it: the others keep a half", 51, LIMIT_BYTES / 2],
    ["more than all of it", 1000, LIMIT_BYTES / 2],
  ])("%s", (_, connections, roomBytes) => {
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
    expect([budget.roomBytes, budget.chargedBytes]).toEqual([LIMIT_BYTES, 0]);
  });
});
