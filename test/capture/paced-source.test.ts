/** A savefile at its pace: on a clock that the test moves. */
import { expect, test } from "bun:test";
import { ON_TIME_MS, PacedSource, PAUSE_MS_MAX, scheduleCounters } from "../../src/capture/paced-source.ts";
import type { WaitingSource } from "../../src/capture/record-source.ts";

const START_MS = 1_700_000_000_000;

/** Records with nothing in them, in batches. */
class Times implements WaitingSource {
  bytes = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);
  offset = 0;
  length = 0;
  linkType = 1;
  position = 0;
  timestampMs = 0;
  private batch: number[] = [];

  constructor(private readonly batches: number[][]) {}

  async fill(): Promise<boolean> {
    this.batch = [...(this.batches.shift() ?? [])];
    return this.batch.length > 0;
  }

  next(): boolean {
    const time = this.batch.shift();
    if (time === undefined) return false;
    this.timestampMs = START_MS + time;
    return true;
  }

  close(): void {}
}

interface Hand {
  readonly nowMs: number;
  readonly paced: PacedSource;
  pass(ms: number): void;
}

/** Reads all; `onRecord` may have time pass. Returns when each record came, and the time that it bears. */
async function read(batches: number[][], factor: number, onRecord: (hand: Hand) => void = () => {}) {
  let nowMs = 5000;
  const counters = scheduleCounters();
  const pass = (ms: number) => void (nowMs += ms);
  const paced = new PacedSource(
    new Times(batches),
    factor,
    counters,
    () => nowMs,
    async (ms) => pass(ms),
  );
  const came: number[] = [];
  const bears: number[] = [];
  while (await paced.fill())
    while (paced.next()) {
      came.push(nowMs - 5000);
      bears.push(paced.timestampMs - 5000);
      onRecord({ nowMs: nowMs - 5000, paced, pass });
    }
  return { came, bears, counters };
}

const rounded = (times: number[]) => times.map(Math.round);

test.each([
  [1, [0, 10, 10, 250, 1000]],
  [2, [0, 5, 5, 125, 500]],
  [0.5, [0, 20, 20, 500, 2000]],
])("at %d, records come as far apart as they were captured", async (factor, want) => {
  const { came, bears, counters } = await read(
    [
      [100, 110],
      [110, 350, 1100],
    ],
    factor,
  );
  // Not earlier than half a millisecond, and never later on a clock that is exact.
  came.forEach((time, i) => expect(Math.abs(time - want[i]!)).toBeLessThanOrEqual(0.5));
  expect(rounded(bears)).toEqual(want);
  expect(counters).toEqual({ on_time: 5, late: 0, held: 0 });
});

test("what comes late comes at once, and the schedule stays: the reader was busy", async () => {
  const { came, counters } = await read([[0, 10, 20, 30, 200]], 1, ({ nowMs, pass }) => nowMs === 0 && pass(100));
  expect(rounded(came)).toEqual([0, 100, 100, 100, 200]);
  expect(counters).toEqual({ on_time: 2, late: 3, held: 0 });
});

test.each([
  [ON_TIME_MS, { on_time: 2, late: 0, held: 0 }],
  [ON_TIME_MS + 0.5, { on_time: 1, late: 1, held: 0 }],
])("what comes %d ms late is counted so", async (ms, want) => {
  const { counters } = await read([[0, 10]], 1, ({ nowMs, pass }) => nowMs === 0 && pass(10 + ms));
  expect(counters).toEqual(want);
});

test("what the endpoint kept waiting is told apart, what is late while that is made up for included", async () => {
  const { counters } = await read([[0, 10, 20, 121, 122, 500, 510]], 1, ({ nowMs, paced, pass }) => {
    if (nowMs === 0) {
      // The endpoint takes 120 ms; then each record takes the reader 5 ms.
      pass(120);
      paced.held();
    } else if (nowMs < 200) {
      pass(5);
    } else if (nowMs < 505) {
      pass(50);
    }
  });
  // 0 and 500 are on time; 10, 20, 121 and 122 are late for the endpoint, 510 for the reader.
  expect(counters).toEqual({ on_time: 2, held: 4, late: 1 });
});

test("times that run back, and a wrong clock, keep nothing waiting", async () => {
  const { came } = await read([[0, 100, 50, 120, PAUSE_MS_MAX + 1000, PAUSE_MS_MAX + 1010]], 1);
  expect(rounded(came)).toEqual([0, 100, 100, 120, 120, 130]);
});
