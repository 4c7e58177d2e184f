/** The system's clock is set while the program runs. */
import { expect, spyOn, test } from "bun:test";
import { Clock } from "../src/clock.ts";

test("the clock does not follow a change of the system's clock, but reports it", () => {
  const clock = new Clock();
  expect(clock.aheadMs).toBe(0);
  for (const setByMs of [3_600_000, -3_600_000]) {
    const realNow = Date.now();
    const set = spyOn(Date, "now").mockImplementation(() => realNow + setByMs);
    const before = clock.now();
    expect(Math.abs(clock.aheadMs - setByMs)).toBeLessThan(1000);
    expect(clock.now()).toBeGreaterThanOrEqual(before);
    expect(clock.now() - before).toBeLessThan(1000);
    set.mockRestore();
  }
});
