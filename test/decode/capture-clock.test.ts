/** The time of a capture, as its frames show it. */
import { expect, test } from "bun:test";
import { CaptureClock, LEAP_MS_MIN, LEAP_WITNESSES } from "../../src/decode/capture-clock.ts";

const START_MS = 1_750_000_000_000;
const YEARS_80_MS = 80 * 365 * 86_400_000;

interface Rule {
  name: string;
  /** Seconds from the start. */
  frames: number[];
  nowS: number;
}

const steady = (fromS: number, toS: number) => Array.from({ length: toS - fromS }, (_, i) => fromS + i);
const repeated = (count: number, fromS: number) => Array.from({ length: count }, (_, i) => fromS + i / 1000);
const leapS = LEAP_MS_MIN / 1000;
const startS = START_MS / 1000;

const RULES: Rule[] = [
  { name: "ordinary frames move it", frames: steady(0, 20), nowS: 19 },
  { name: "it never runs back", frames: [...steady(0, 20), 15], nowS: 19 },
  { name: "a step at the limit is ordinary", frames: [...steady(0, 20), 19 + leapS], nowS: 19 + leapS },
  { name: "one that is longer is not", frames: [...steady(0, 20), 19 + leapS + 0.001], nowS: 19 },
  { name: "one frame 301 s ahead is not time passing", frames: [...steady(0, 10), 310, ...steady(10, 20)], nowS: 19 },
  {
    name: "one frame 80 years ahead does not count either",
    frames: [...steady(0, 10), YEARS_80_MS / 1000, ...steady(10, 20)],
    nowS: 19,
  },
  {
    name: "frames of 1970 do not count",
    frames: [...steady(0, 10), -startS, -startS, ...steady(10, 20), -startS],
    nowS: 19,
  },
  {
    name: "frames ahead that others contradict do not count",
    frames: steady(0, 20).flatMap((s) => [s, s + 301, s + 302]),
    nowS: 19,
  },
  {
    name: "frames ahead, one less than are believed",
    frames: [...steady(0, 10), ...repeated(LEAP_WITNESSES - 1, 400)],
    nowS: 9,
  },
  {
    name: "enough frames in a row are believed",
    frames: [...steady(0, 10), ...repeated(LEAP_WITNESSES, 400)],
    nowS: 400 + (LEAP_WITNESSES - 1) / 1000,
  },
  {
    name: "the least of their times counts",
    frames: [...steady(0, 10), ...repeated(LEAP_WITNESSES - 1, 4000), 400],
    nowS: 400,
  },
  { name: "a first frame that is wrong is nothing", frames: [YEARS_80_MS / 1000, ...steady(0, 20)], nowS: 19 },
  { name: "a first frame of 1970 is nothing", frames: [-startS, ...steady(0, 20)], nowS: 19 },
  {
    name: "a clock that was set back: time goes on",
    frames: [...steady(10_000, 10_020), ...steady(0, 20)],
    nowS: 10_019 + 20 - LEAP_WITNESSES,
  },
];

test.each(RULES)("$name", ({ frames, nowS }) => {
  const clock = new CaptureClock();
  for (const second of frames) clock.tell(START_MS + second * 1000);
  expect(Math.abs(clock.nowMs - START_MS - nowS * 1000)).toBeLessThan(1);
});

test("frames that are each far from the previous one move the clock, a few frames later", () => {
  const clock = new CaptureClock();
  const stepMs = 4 * LEAP_MS_MIN;
  for (let i = 0; i < 1000; i++) {
    clock.tell(START_MS + i * stepMs);
    if (i < 2 * LEAP_WITNESSES) continue;
    const behindMs = START_MS + i * stepMs - clock.nowMs;
    expect(behindMs).toBeGreaterThanOrEqual(0);
    expect(behindMs).toBeLessThanOrEqual(2 * LEAP_WITNESSES * stepMs);
  }
});

test("times before a leap and times after it are distinguished", () => {
  const clock = new CaptureClock();
  const leaps: [number, number][] = [];
  clock.listen({ leapt: (fromMs, toMs) => leaps.push([fromMs, toMs]) });
  clock.advance(START_MS);
  leaps.length = 0;
  const beforeMs = clock.nowMs;
  clock.tell(START_MS + 400_000);
  const seenMs = clock.nowMs;
  for (let i = 1; i < LEAP_WITNESSES; i++) clock.tell(START_MS + 400_000 + i);
  const [[fromMs, toMs]] = leaps as [[number, number]];
  expect(leaps).toHaveLength(1);
  expect(beforeMs).toBeLessThan(fromMs);
  expect(seenMs).toBeGreaterThanOrEqual(fromMs);
  expect(toMs).toBe(START_MS + 400_000);
});

test("the program's own clock moves it at once, and not back", () => {
  const clock = new CaptureClock();
  clock.advance(START_MS);
  clock.advance(START_MS + 1_000_000);
  clock.advance(START_MS);
  expect(clock.nowMs).toBe(START_MS + 1_000_000);
});
