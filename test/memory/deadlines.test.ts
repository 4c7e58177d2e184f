/**
 * Time limits: each is reported once, when it is due and not earlier, whatever timers are set and cleared meanwhile.
 */
import { expect, test } from "bun:test";
import { Deadlines, SLOT_MS, Timer } from "../../src/memory/deadlines.ts";
import { Random } from "../support/random.ts";

const START_MS = 1_750_000_000_000;

function recording(told: number[]): Timer {
  return new Timer({ expire: (nowMs) => told.push(nowMs) });
}

test("a timer is reported once, in the slot after its time", () => {
  const deadlines = new Deadlines(START_MS);
  const told: number[] = [];
  const timer = recording(told);
  deadlines.set(timer, START_MS + 25);
  for (let ms = 0; ms <= 100; ms++) deadlines.advance(START_MS + ms);
  expect(told).toHaveLength(1);
  expect(told[0]!).toBeGreaterThanOrEqual(START_MS + 25);
  expect(told[0]!).toBeLessThanOrEqual(START_MS + 25 + SLOT_MS);
  expect(timer.dueMs).toBe(Infinity);
});

test("a timer that is cleared or removed is not reported, and can be set again", () => {
  const deadlines = new Deadlines(START_MS);
  const told: number[] = [];
  const [cleared, removed] = [recording(told), recording(told)];
  deadlines.set(cleared, START_MS + 50);
  deadlines.set(removed, START_MS + 50);
  deadlines.clear(cleared);
  deadlines.remove(removed);
  deadlines.advance(START_MS + 1000);
  expect(told).toEqual([]);
  deadlines.set(cleared, START_MS + 1100);
  deadlines.advance(START_MS + 2000);
  expect(told).toEqual([START_MS + 2000]);
});

test("an owner may set its own and every other timer during the report", () => {
  const deadlines = new Deadlines(START_MS);
  const told: string[] = [];
  const other = new Timer({ expire: () => told.push("other") });
  const timer: Timer = new Timer({
    expire(nowMs) {
      told.push("own");
      deadlines.set(other, nowMs + 100);
      if (told.length < 3) deadlines.set(timer, nowMs + 30);
    },
  });
  // In the same slot, so that one timer is found while the other is reported.
  deadlines.set(other, START_MS + 20);
  deadlines.set(timer, START_MS + 20);
  for (let ms = 0; ms <= 1000; ms += 5) deadlines.advance(START_MS + ms);
  expect(told).toEqual(["own", "own", "own", "other"]);
});

test("a model with one time for each timer agrees, after any sets, moves and clears", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = new Random(seed);
    const deadlines = new Deadlines(START_MS);
    const due = new Map<Timer, number>();
    const timers = Array.from({ length: 50 }, () => {
      const timer: Timer = new Timer({
        expire(nowMs) {
          if (!(due.get(timer)! <= nowMs)) throw new Error(`seed ${seed}: told at ${nowMs}, due at ${due.get(timer)}`);
          due.delete(timer);
        },
      });
      return timer;
    });
    let nowMs = START_MS;
    for (let step = 0; step < 2000; step++) {
      const timer = random.pick(timers);
      if (random.chance(0.3)) {
        deadlines.clear(timer);
        due.delete(timer);
      } else {
        const dueMs = nowMs + random.pick([0, 5, 100, 3000, 30_000, 300_000]) * random.next();
        deadlines.set(timer, dueMs);
        due.set(timer, dueMs);
      }
      if (!random.chance(0.3)) continue;
      nowMs += random.pick([1, 7, 50, 20_000]);
      deadlines.advance(nowMs);
      for (const [, dueMs] of due)
        if (dueMs < nowMs - SLOT_MS) throw new Error(`seed ${seed}: due at ${dueMs}, not told at ${nowMs}`);
    }
    expect(due.size).toBeLessThanOrEqual(timers.length);
  }
});
