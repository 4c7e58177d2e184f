import { describe, expect, test } from "bun:test";
import {
  ASIDE_SHARE_MAX,
  BESIDE_BUFFERS_BYTES,
  GROWTH_BYTES_MAX,
  GROWTH_BYTES_MIN,
  LEFT_MIB_MIN,
  MemoryGuard,
  SHRINK_MS,
} from "../../src/memory/memory-guard.ts";

const MIB = 1 << 20;
const START_BYTES = 30 * MIB;
/** The longest interval between two questions to the guard. */
const STEP_MS = 10;

/** A process that makes garbage, on its own clock. */
class Machine {
  nowMs = 0;
  garbageBytes = 0;
  livingBytes = START_BYTES;
  peakBytes = 0;
  collections = 0;
  collectingMs = 0;
  shrinks = 0;
  /** The share of the budgets that is set aside. */
  asideShare = 0;
  readonly guard: MemoryGuard;

  constructor(maxBufferMib: number, collectionMs: number, isKnown = true, shards = 1, sourceWaits = false) {
    const read = () => (isKnown ? this.livingBytes + this.garbageBytes : 0);
    const collect = () => {
      this.collections++;
      this.nowMs += collectionMs;
      this.collectingMs += collectionMs;
      this.garbageBytes = 0;
    };
    this.guard = new MemoryGuard(
      maxBufferMib,
      shards,
      sourceWaits,
      (share) => (this.asideShare = share),
      { read },
      () => this.nowMs,
      collect,
      () => this.shrinks++,
    );
  }

  run(ms: number, garbageBytesPerMs: number, livingBytesPerMs = 0): void {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      this.guard.check();
      this.nowMs += STEP_MS;
      this.garbageBytes += garbageBytesPerMs * STEP_MS;
      this.livingBytes += livingBytesPerMs * STEP_MS;
      this.peakBytes = Math.max(this.peakBytes, this.livingBytes + this.garbageBytes);
    }
  }
}

describe("the memory guard", () => {
  test("does nothing while memory changes by less than its allowed growth", () => {
    const machine = new Machine(256, 20);
    for (let i = 0; i < 100; i++) {
      machine.run(1000, 0.03 * MIB);
      machine.garbageBytes = 0;
    }
    expect(machine.collections).toBe(0);
  });

  // Bytes per second, the duration, and the highest number of collections: one whenever 32 MiB have come.
  test.each([
    { what: "an hour of an ordinary load", perMs: 200, ms: 3_600_000, often: 22 },
    { what: "a flood", perMs: 0.1 * MIB, ms: 30_000, often: 94 },
  ])("$what levels off at 32 MiB more than the live memory", ({ perMs, ms, often }) => {
    const machine = new Machine(256, 20);
    machine.run(ms, perMs);
    expect(machine.peakBytes).toBeLessThan(START_BYTES + 32 * MIB + perMs * 100);
    expect(machine.collections).toBeGreaterThan(often / 2);
    expect(machine.shrinks).toBe(0);
    expect(machine.collections).toBeLessThanOrEqual(often);
  });

  test("collects earlier if the limit leaves less room", () => {
    const machine = new Machine(16, 20);
    machine.run(10_000, 0.02 * MIB);
    expect(machine.peakBytes).toBeLessThan(64 * MIB);
  });

  // As long as the last collection took; a quarter of it, if the source waits.
  test.each([
    ["half", false, 1 / 2, 1 / 4],
    ["four fifths if the source waits", true, 4 / 5, 1 / 2],
  ])("above the limit it takes no more of the time than %s", (_what, sourceWaits, most, least) => {
    const machine = new Machine(1, 50, true, 1, sourceWaits);
    machine.livingBytes = 300 * MIB;
    machine.run(10_000, MIB);
    expect(machine.collectingMs).toBeLessThanOrEqual(10_100 * most);
    expect(machine.collectingMs).toBeGreaterThan(10_000 * least);
    expect(machine.shrinks).toBe(1);
    expect(machine.collections).toBeGreaterThan(10);
  });

  test.each([
    // Half of the room would be more, and half of what lives less.
    ["far from the limit", 256, 40 * MIB, GROWTH_BYTES_MAX],
    ["at the limit", 8, BESIDE_BUFFERS_BYTES + 8 * MIB, GROWTH_BYTES_MIN],
  ])("%s it collects when memory has grown by so much, and not by less", (_what, maxBufferMib, livingBytes, growth) => {
    const machine = new Machine(maxBufferMib, 0);
    machine.livingBytes = livingBytes;
    machine.run(STEP_MS, 0);
    machine.garbageBytes = growth - 1;
    machine.run(STEP_MS, 0);
    expect(machine.collections).toBe(0);
    machine.garbageBytes = growth;
    machine.run(STEP_MS, 0);
    expect(machine.collections).toBe(1);
  });

  test("compiled code is given up once in this time, for any number of collections above the limit", () => {
    const machine = new Machine(1, 0);
    machine.livingBytes = 300 * MIB;
    machine.run(SHRINK_MS - STEP_MS, 2 * MIB);
    const { collections } = machine;
    expect([machine.shrinks, collections > 10]).toEqual([1, true]);
    machine.run(SHRINK_MS / 2, 2 * MIB);
    expect([machine.shrinks, machine.collections > collections]).toEqual([2, true]);
  });

  test("more than two shards get more room", () => {
    const [two, eight] = [2, 8].map((shards) => new Machine(64, 20, true, shards)) as [Machine, Machine];
    for (const machine of [two, eight]) {
      machine.livingBytes = 110 * MIB;
      machine.run(10_000, 0.1 * MIB);
    }
    expect([two.shrinks, eight.shrinks]).toEqual([1, 0]);
    expect(two.collections).toBeGreaterThan(eight.collections);
  });

  test("held memory rises, and is freed by itself: afterwards the remaining memory counts", () => {
    const machine = new Machine(256, 20);
    machine.run(1000, 0, 0.2 * MIB);
    const { collections } = machine;
    expect(collections).toBeLessThanOrEqual(7);
    machine.livingBytes = START_BYTES;
    machine.run(300, 0.1 * MIB);
    expect(machine.collections).toBe(collections);
    machine.run(100, 0.1 * MIB);
    expect(machine.collections).toBe(collections + 1);
  });

  test.each([
    ["half of much", 1024, ASIDE_SHARE_MAX],
    ["the least is left", 160, 1 - LEFT_MIB_MIN / 160],
    ["nothing of the least", LEFT_MIB_MIN, 0],
    ["nor of less", 1, 0],
  ])(
    "of budgets of a process that stays above its limit, no more than a share is set aside: %s",
    (_what, maxBufferMib, share) => {
      const machine = new Machine(maxBufferMib, 0);
      machine.livingBytes = 1000 * MIB;
      machine.run(10_000, MIB);
      expect(machine.asideShare).toBe(share);
    },
  );

  test("what is set aside falls as the process comes below its limit, to nothing", () => {
    const machine = new Machine(256, 0);
    machine.livingBytes = 256 * MIB + BESIDE_BUFFERS_BYTES + 8 * MIB;
    machine.run(10_000, MIB);
    const most = machine.asideShare;
    expect(most).toBeGreaterThan(0);
    machine.livingBytes = 256 * MIB;
    machine.run(500, MIB);
    expect(machine.asideShare).toBeLessThan(most);
    machine.run(10_000, MIB);
    expect(machine.asideShare).toBe(0);
  });

  test("if the held bytes follow what is set aside, the process stays within its limit, whatever they cost", () => {
    for (const costPerByte of [1.2, 1.5, 2]) {
      const machine = new Machine(256, 0);
      for (let i = 0; i < 2000; i++) {
        machine.livingBytes = START_BYTES + 256 * MIB * (1 - machine.asideShare) * costPerByte;
        machine.run(STEP_MS, MIB);
        if (i === 1000) machine.peakBytes = 0;
      }
      expect(machine.peakBytes).toBeLessThan(256 * MIB + BESIDE_BUFFERS_BYTES + 40 * MIB);
    }
  });

  test("does nothing if the memory cannot be read", () => {
    const machine = new Machine(1, 20, false);
    machine.run(1000, MIB);
    expect(machine.collections).toBe(0);
  });
});
