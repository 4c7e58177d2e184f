/** A request on its way to a file gets production's response once, in any order of events. */
import { expect, test } from "bun:test";
import { FileExchange } from "../../src/compare/file-exchange.ts";
import { ComparedMemory } from "../../src/compare/memory.ts";
import { HeldMemory } from "../../src/forward/held-memory.ts";
import { ArrayPool } from "../../src/memory/array-pool.ts";
import { Budget } from "../../src/memory/budget.ts";
import { keptOf } from "./kept.ts";

const HELD_BYTES = 1000;
const REQUEST_MS = 7;
const KEPT = Object.assign(keptOf({ body: "text" }), { firstMs: 8, lastMs: 9 });
const TOLD = {
  code: 200,
  head: "HTTP/1.1 200 Whatever\r\n\r\n",
  body: new TextEncoder().encode("text"),
  bodyLength: 4,
  digest: null,
  requestMs: REQUEST_MS,
  firstMs: 8,
  lastMs: 9,
};

type Step = "asked" | "released" | "produced" | "unproduced" | "no room";
/** The response that it gets, and whether production's response is kept after each step. */
const ORDERS: [steps: Step[], told: (typeof TOLD | null)[], isWaiting: boolean[]][] = [
  [["asked", "released", "produced"], [TOLD], [true, true, false]],
  [["asked", "produced", "released"], [TOLD], [true, false, false]],
  [["produced", "asked", "released"], [TOLD], [true, false, false]],
  [["produced", "produced", "asked"], [TOLD], [true, true, false]],
  [["asked", "released", "unproduced"], [null], [true, true, false]],
  [["unproduced", "asked", "released"], [null], [true, false, false]],
  [["no room", "asked", "released"], [null], [true, false, false]],
  [["released", "produced"], [], [false, false]],
  [["released", "asked", "produced"], [null], [false, false, false]],
  [["produced", "released"], [], [true, false]],
];

test.each(ORDERS)("%p", (steps, want, isWaiting) => {
  const budget = new Budget(2 ** 20);
  const memory = new ComparedMemory(new HeldMemory(budget, new ArrayPool()));
  const exchange = new FileExchange(memory);
  const told: unknown[] = [];
  const does: Record<Step, () => void> = {
    asked: () => exchange.whenKnown((response) => told.push(response)),
    released: () => exchange.released(),
    produced: () => exchange.produced(KEPT, HELD_BYTES, REQUEST_MS),
    unproduced: () => exchange.produced(null, 0, REQUEST_MS),
    "no room": () => exchange.produced(KEPT, budget.limitBytes, REQUEST_MS),
  };
  const waited = steps.map((step) => {
    does[step]();
    return exchange.isWaiting;
  });
  expect({ told, waited }).toEqual({ told: want, waited: isWaiting });
  // The held memory is given back.
  expect(memory.heldBytes).toBe(0);
});
