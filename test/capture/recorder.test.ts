/** --record: its files give back the recorded frames, in a ring of bounded files. */
import { afterAll, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  FRAME_BYTES_MAX,
  PARTS_MAX,
  Recorder,
  recordCounters,
  type RecordOptions,
} from "../../src/capture/recorder.ts";
import { Savefile } from "../../src/capture/savefile.ts";
import { CaptureClock } from "../../src/decode/capture-clock.ts";
import { RefusalError } from "../../src/errors.ts";
import { turn } from "../../src/shard/drain.ts";
import { Random } from "../support/random.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "recorder-test-"));
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));
const PATH = join(FOLDER, "ring/mirror.pcapng");
beforeEach(() => {
  rmSync(join(FOLDER, "ring"), { recursive: true, force: true });
  mkdirSync(join(FOLDER, "ring"));
});

const usual: RecordOptions = { path: PATH, fileBytesMax: 1 << 20, fileMsMax: Infinity, files: 3, thread: undefined };
const START_MS = 1_760_000_000_000;

interface Frame {
  linkType: number;
  hex: string;
  timestampMs: number;
}

async function framesOf(path: string): Promise<Frame[]> {
  const savefile = Savefile.open(path);
  const frames: Frame[] = [];
  while (await savefile.fill())
    while (savefile.next()) {
      const { bytes, offset, length, linkType, timestampMs } = savefile;
      frames.push({ linkType, hex: bytes.subarray(offset, offset + length).toHex(), timestampMs });
    }
  savefile.close();
  return frames;
}

const names = () => readdirSync(join(FOLDER, "ring")).toSorted();
const failures: string[] = [];
const report = { recordFailed: (reason: string) => void failures.push(reason) };

test("frames of any length, time and link type come back unchanged", async () => {
  const random = new Random(3);
  const counters = recordCounters();
  const recorder = await Recorder.open(usual, counters, report);
  const put: Frame[] = [];
  for (let i = 0; i < 500; i++) {
    const surroundings = random.bytes(4000);
    const [offset, length] = [random.int(0, 1000), random.pick([0, 1, 2, 3, 4, 5, random.int(0, 3000)])];
    const linkType = random.pick([1, 1, 113, 276, 101]);
    const timestampMs = START_MS + i * 1000 + random.int(0, 999) + 0.125;
    recorder.add(surroundings, offset, length, linkType, timestampMs, timestampMs);
    put.push({ linkType, hex: surroundings.subarray(offset, offset + length).toHex(), timestampMs });
    if (random.chance(0.2)) recorder.flush();
  }
  await recorder.end();
  expect(names()).toEqual(["mirror.0.pcapng"]);
  const got = await framesOf(join(FOLDER, "ring/mirror.0.pcapng"));
  const contents = (frames: Frame[]) => frames.map(({ linkType, hex }) => `${linkType} ${hex}`);
  expect(contents(got)).toEqual(contents(put));
  got.forEach(({ timestampMs }, i) => expect(Math.abs(timestampMs - put[i]!.timestampMs)).toBeLessThan(0.001));
  expect(counters).toEqual({
    frames: 500,
    bytes: statSync(join(FOLDER, "ring/mirror.0.pcapng")).size,
    dropped_frames: 0,
    files: 1,
  });
  expect(statSync(join(FOLDER, "ring/mirror.0.pcapng")).mode & 0o777).toBe(0o600);
});

test("files are rotated by size, each can be read alone, and the ring keeps the newest", async () => {
  const recorder = await Recorder.open({ ...usual, fileBytesMax: 10_000 }, recordCounters(), report);
  for (let i = 0; i < 100; i++) {
    recorder.add(new Uint8Array(1000).fill(i), 0, 1000, 1, START_MS + i, START_MS);
    recorder.flush();
    // As with real batches: the disk has taken the one before.
    await recorder["disk"];
  }
  await recorder.end();
  expect(names()).toEqual(["mirror.0.pcapng", "mirror.1.pcapng", "mirror.2.pcapng"]);
  const kept: number[] = [];
  for (const name of names()) {
    const path = join(FOLDER, "ring", name);
    expect(statSync(path).size).toBeLessThan(10_000 + 1032);
    kept.push(...(await framesOf(path)).map(({ timestampMs }) => Math.round(timestampMs - START_MS)));
  }
  kept.sort((a, b) => a - b);
  // The last frames, without a gap: nearly all of two files, and the present part of the third.
  expect(kept.at(-1)).toBe(99);
  expect(kept.length).toBe(100 - kept[0]!);
  expect(kept.length).toBeGreaterThanOrEqual(18);
});

const YEARS_MS = 80 * 365 * 86_400_000;

/** The delay of frames on an interface, and of their time stamps if they differ. */
const TIME_CASES: [what: string, frames: (number | [cameMs: number, stampMs: number])[], want: number[][]][] = [
  ["at the limit, and not before it", [0, 9999, 10_000, 19_999, 20_000], [[0, 9999], [10_000, 19_999], [20_000]]],
  ["by the first frame of each file", [0, 15_000, 24_999], [[0], [15_000, 24_999]]],
  ["but silence makes no files", [0, 100_000], [[0], [100_000]]],
  ["frames that come late stay", [5000, [5000, 3000], 14_999], [[5000, 3000, 14_999]]],
  ["a frame years ahead changes nothing", [0, [1, YEARS_MS], 2, 10_000], [[0, YEARS_MS, 2], [10_000]]],
  [
    "every second frame is years ahead, or behind",
    [0, [1, YEARS_MS], 2, [3, -YEARS_MS / 4], 4, [9999, YEARS_MS], 10_000],
    [[0, YEARS_MS, 2, -YEARS_MS / 4, 4, YEARS_MS], [10_000]],
  ],
  [
    "a clock that is set back goes on",
    [60_000, [60_001, 0], [60_002, 1], [60_003, 2], [69_999, 9998], [70_000, 9999]],
    [[60_000, 0, 1, 2, 9998], [9999]],
  ],
];

/** The same for a savefile, which has only time stamps: three that agree are believed. */
const READ_CASES: [what: string, stampsMs: number[], want: number[][]][] = [
  ["at the limit, and not before it", [0, 1, 2, 9999, 10_000], [[0, 1, 2, 9999], [10_000]]],
  ["a frame years ahead changes nothing", [0, 1, 2, YEARS_MS, 3, 10_000], [[0, 1, 2, YEARS_MS, 3], [10_000]]],
  ["the first one is years ahead", [YEARS_MS, 1, 2, 3, 10_000, 10_001], [[YEARS_MS, 1, 2, 3, 10_000], [10_001]]],
  [
    "a leap that three agree on",
    [0, 1, 2, 60_000, 60_001, 60_002, 60_003],
    [
      [0, 1, 2, 60_000, 60_001],
      [60_002, 60_003],
    ],
  ],
];

test.each([
  ...TIME_CASES.map(([what, frames, want]) => ["an interface", what, frames, want] as const),
  ...READ_CASES.map(([what, frames, want]) => ["a savefile", what, frames, want] as const),
])("files of %s are rotated by time: %s", async (source, _what, frames, want) => {
  // Also if all come in one batch.
  for (const isOneBatch of [false, true]) {
    rmSync(join(FOLDER, "ring"), { recursive: true });
    mkdirSync(join(FOLDER, "ring"));
    const counters = recordCounters();
    const recorder = await Recorder.open({ ...usual, fileMsMax: 10_000 }, counters, report);
    const clock = new CaptureClock();
    clock.listen(recorder);
    for (const frame of frames) {
      const [cameMs, stampMs] = typeof frame === "number" ? [frame, frame] : frame;
      if (source === "an interface") clock.advance(START_MS + cameMs);
      clock.tell(START_MS + stampMs);
      recorder.add(new Uint8Array(10), 0, 10, 1, START_MS + stampMs, clock.nowMs);
      if (!isOneBatch) recorder.flush();
    }
    await recorder.end();
    const found = await Promise.all(names().map((name) => framesOf(join(FOLDER, "ring", name))));
    expect(found.map((frames) => frames.map(({ timestampMs }) => timestampMs - START_MS))).toEqual(want);
    expect(counters).toMatchObject({ frames: frames.length, dropped_frames: 0, files: want.length });
  }
});

test("if the disk is behind, a file goes on beyond its time, and no frame is lost", async () => {
  const counters = recordCounters();
  const recorder = await Recorder.open({ ...usual, fileMsMax: 1000, files: 100 }, counters, report);
  // All frames before the disk's first turn.
  for (let i = 0; i < 50; i++) recorder.add(new Uint8Array(10), 0, 10, 1, START_MS + i * 1000, START_MS + i * 1000);
  await recorder.end();
  const found = await Promise.all(names().map((name) => framesOf(join(FOLDER, "ring", name))));
  expect(found.flat().length).toBe(50);
  expect(counters).toMatchObject({ frames: 50, dropped_frames: 0, files: names().length });
  expect(names().length).toBeLessThan(50);
});

test("a run goes on behind the newest file of the previous run", async () => {
  for (const [i, slot] of [0, 1, 2, 0].entries()) {
    const recorder = await Recorder.open(usual, recordCounters(), report);
    recorder.add(new Uint8Array([i]), 0, 1, 1, START_MS, START_MS);
    await recorder.end();
    const path = join(FOLDER, `ring/mirror.${slot}.pcapng`);
    expect(await framesOf(path)).toMatchObject([{ hex: `0${i}` }]);
    utimesSync(path, i, i);
  }
});

test("each thread has a ring", async () => {
  await (await Recorder.open({ ...usual, thread: 2 }, recordCounters(), report)).end();
  expect(names()).toEqual(["mirror.t2.0.pcapng"]);
});

test("a disk that is too slow costs frames, which are counted, and no more memory", async () => {
  const counters = recordCounters();
  const recorder = await Recorder.open(usual, counters, report);
  const frame = new Uint8Array(100_000);
  // All frames before the disk's first turn.
  for (let i = 0; i < 1000; i++) recorder.add(frame, 0, frame.length, 1, START_MS, START_MS);
  expect(counters.frames + counters.dropped_frames).toBe(1000);
  expect(counters.dropped_frames).toBeGreaterThan(900);
  await recorder.end();
  const found = await Promise.all(names().map((name) => framesOf(join(FOLDER, "ring", name))));
  expect(found.flat().length).toBeLessThanOrEqual(counters.frames);
});

test("as many parts go to the disk at a time as may, and a frame that then finds no room is counted", async () => {
  const counters = recordCounters();
  const recorder = await Recorder.open({ ...usual, fileBytesMax: 1 << 30 }, counters, report);
  // The file's beginning is a part as well.
  while (counters.bytes === 0) await turn();
  await turn();
  const frame = new Uint8Array(FRAME_BYTES_MAX);
  const add = (bytes: Uint8Array) => recorder.add(bytes, 0, bytes.length, 1, START_MS, START_MS);
  // Each fills a chunk, and the last one waits.
  for (let i = 0; i < PARTS_MAX + 1; i++) add(frame);
  expect(counters).toMatchObject({ frames: PARTS_MAX + 1, dropped_frames: 0 });
  add(frame);
  expect(counters).toMatchObject({ frames: PARTS_MAX + 1, dropped_frames: 1 });
  await recorder.end();
  expect(await framesOf(join(FOLDER, "ring/mirror.0.pcapng"))).toHaveLength(PARTS_MAX + 1);
});

test("a frame that is longer than can be written is counted, and the next ones are written", async () => {
  const counters = recordCounters();
  const recorder = await Recorder.open(usual, counters, report);
  for (const length of [FRAME_BYTES_MAX + 1, 1, FRAME_BYTES_MAX + 1, 2])
    recorder.add(new Uint8Array(length), 0, length, 1, START_MS, START_MS);
  await recorder.end();
  expect(counters).toMatchObject({ frames: 2, dropped_frames: 2 });
});

test("if nothing can be written, the program refuses at the start, and warns once later", async () => {
  const nowhere = { ...usual, path: join(FOLDER, "none/mirror.pcapng") };
  expect(Recorder.open(nowhere, recordCounters(), report)).rejects.toThrow(RefusalError);
  const tooLong = { ...usual, path: join(FOLDER, "a".repeat(300)) };
  expect(Recorder.open(tooLong, recordCounters(), report)).rejects.toThrow(
    /^Cannot record to .*: its name is too long$/,
  );
  symlinkSync(join(FOLDER, "elsewhere"), join(FOLDER, "ring/mirror.0.pcapng"));
  // Not to a file beside it.
  await expect(Recorder.open({ ...usual, path: FOLDER }, recordCounters(), report)).rejects.toThrow(
    `Cannot record to ${FOLDER}: it is a directory`,
  );
  expect(Recorder.open({ ...usual, files: 1 }, recordCounters(), report)).rejects.toThrow(RefusalError);
  expect(existsSync(join(FOLDER, "elsewhere"))).toBe(false);
  rmSync(join(FOLDER, "ring/mirror.0.pcapng"));

  const counters = recordCounters();
  const recorder = await Recorder.open({ ...usual, files: 3, fileBytesMax: 1 }, counters, report);
  rmSync(join(FOLDER, "ring"), { recursive: true });
  for (let i = 0; i < 3; i++) {
    recorder.add(new Uint8Array(10), 0, 10, 1, START_MS, START_MS);
    recorder.flush();
    await recorder["disk"];
  }
  await recorder.end();
  expect(failures.length).toBe(1);
  expect(counters.dropped_frames).toBeGreaterThan(0);
});
