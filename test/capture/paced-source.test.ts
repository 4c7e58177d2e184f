/** A savefile at its pace, on a clock that the test moves. */
import { expect, test } from "bun:test";
import { ON_TIME_MS, PacedSource, PAUSE_MS_MAX, scheduleCounters } from "../../src/capture/paced-source.ts";
import type { WaitingSource } from "../../src/capture/record-source.ts";

const START_MS = 1_700_000_000_000;

/** Records without content, in batches. */
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

/** Reads everything; `onRecord` may let time pass. Returns each record's arrival, and the time stamp that it has. */
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
  // At most half a millisecond early, and never late on an exact clock.
  came.forEach((time, i) => expect(Math.abs(time - want[i]!)).toBeLessThanOrEqual(0.5));
  expect(rounded(bears)).toEqual(want);
  expect(counters).toEqual({ on_time: 5, late: 0, held: 0 });
});

test("late records come at once, and the schedule stays: the reader was busy", async () => {
  const { came, counters } = await read([[0, 10, 20, 30, 200]], 1, ({ nowMs, pass }) => nowMs === 0 && pass(100));
  expect(rounded(came)).toEqual([0, 100, 100, 100, 200]);
  expect(counters).toEqual({ on_time: 2, late: 3, held: 0 });
});

test.each([
  [ON_TIME_MS, { on_time: 2, late: 0, held: 0 }],
  [ON_TIME_MS + 0.5, { on_time: 1, late: 1, held: 0 }],
])("a record that comes %d ms late is counted accordingly", async (ms, want) => {
  const { counters } = await read([[0, 10]], 1, ({ nowMs, pass }) => nowMs === 0 && pass(10 + ms));
  expect(counters).toEqual(want);
});

test("records that the endpoint delayed have their own counter, also those that are late while the program catches up", async () => {
  const { counters } = await read([[0, 10, 20, 121, 122, 500, 510]], 1, ({ nowMs, paced, pass }) => {
    if (nowMs === 0) {
      // The endpoint takes 120 ms; then the reader takes 5 ms for each record.
      pass(120);
      paced.held();
    } else if (nowMs < 200) {
      pass(5);
    } else if (nowMs < 505) {
      pass(50);
    }
  });
  // 0 and 500 are on time; the endpoint delays 10, 20, 121 and 122; the reader delays 510.
  expect(counters).toEqual({ on_time: 2, held: 4, late: 1 });
});

test("times that run backward, and a wrong clock, delay nothing", async () => {
  const { came } = await read([[0, 100, 50, 120, PAUSE_MS_MAX + 1000, PAUSE_MS_MAX + 1010]], 1);
  expect(rounded(came)).toEqual([0, 100, 100, 120, 120, 130]);
});
