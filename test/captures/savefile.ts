/** pcap savefiles as lists of frames: they are read, impaired, and written again by test/support/frames.ts. */
import { readFileSync } from "node:fs";
import type { CapturedFrame } from "../support/frames.ts";
import type { Random } from "../support/random.ts";

const MAGIC = 0xa1b2c3d4;
const FILE_HEADER_LEN = 24;
const RECORD_HEADER_LEN = 16;

/** The frames of a savefile with microseconds, in either byte order. */
export function readPcap(path: string): CapturedFrame[] {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const littleEndian = view.getUint32(0, true) === MAGIC;
  if (!littleEndian && view.getUint32(0, false) !== MAGIC)
    throw new Error(`${path} is no pcap savefile with microseconds`);
  const frames: CapturedFrame[] = [];
  let record = FILE_HEADER_LEN;
  while (record < bytes.length) {
    const word = (index: number) => view.getUint32(record + 4 * index, littleEndian);
    const begin = record + RECORD_HEADER_LEN;
    frames.push({ frame: bytes.subarray(begin, begin + word(2)), timestampMs: word(0) * 1000 + word(1) / 1000 });
    record = begin + word(2);
  }
  return frames;
}

export interface Impairment {
  drop?: number;
  duplicate?: number;
  reorder?: number;
}

/** The most frames by which a duplicate, or an overtaken frame, is late. */
const WINDOW = 4;

/** Loses, doubles and swaps frames, each with its probability; the times stay in order. */
export function impaired(
  frames: CapturedFrame[],
  { drop = 0, duplicate = 0, reorder = 0 }: Impairment,
  random: Random,
): CapturedFrame[] {
  const kept = frames.filter(() => !random.chance(drop)).map(({ frame }, i) => ({ frame, place: i }));
  const doubled = kept
    .filter(() => random.chance(duplicate))
    .map(({ frame, place }) => ({ frame, place: place + random.int(1, WINDOW) + 0.5 }));
  const order = [...kept, ...doubled].sort((a, b) => a.place - b.place).map(({ frame }) => frame);
  for (let i = 0; i < order.length; i++) {
    if (!random.chance(reorder)) continue;
    const other = Math.min(i + random.int(1, WINDOW), order.length - 1);
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  const firstMs = frames[0]?.timestampMs ?? 0;
  const lengthMs = (frames.at(-1)?.timestampMs ?? 0) - firstMs;
  return order.map((frame, i) => ({ frame, timestampMs: firstMs + (lengthMs * i) / order.length }));
}
