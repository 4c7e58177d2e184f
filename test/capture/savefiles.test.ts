/** Savefiles that are compressed, several savefiles, and savefiles that grow. */
import { afterAll, describe, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { compressionOf, UnpackedBytes } from "../../src/capture/byte-source.ts";
import type { WaitingSource } from "../../src/capture/record-source.ts";
import { BLOCK_BYTES_MAX } from "../../src/capture/savefile.ts";
import { BATCH_BYTES, BATCH_RECORDS_MAX, FollowedSavefile, openSavefiles } from "../../src/capture/savefiles.ts";
import { RefusalError } from "../../src/errors.ts";
import { bytes, pcap } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { enhancedPacket, interfaceBlock, LITTLE, section } from "./savefile-builder.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "savefiles-test-"));
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));
const START_MS = 1_700_000_000_000;

/** A source that has ended. */
const NO_BYTES = { position: 0, read: () => Promise.resolve(0), close: () => {} };

let files = 0;
function file(content: Uint8Array): string {
  const path = join(FOLDER, `${files++}.pcap`);
  writeFileSync(path, content);
  return path;
}

/** A savefile whose frames contain their own times. */
const savefile = (times: number[], linkType = 1, name = "") =>
  pcap(
    times.map((time) => ({ frame: bytes(`${name}${time}`), timestampMs: START_MS + time })),
    linkType,
  );

/** The rest of a batch: the content of its frames. */
function batch(source: WaitingSource): string[] {
  const found: string[] = [];
  while (source.next()) {
    const { bytes: all, offset, length, timestampMs, linkType } = source;
    const text = Buffer.from(all.subarray(offset, offset + length)).toString();
    expect(timestampMs - START_MS).toBe(Number(/\d+$/.exec(text)![0]));
    found.push(linkType === 1 ? text : `${text}/${linkType}`);
  }
  return found;
}

async function readAll(paths: string[]): Promise<{ frames: string[]; refusal?: string }> {
  const source = await openSavefiles(paths, false, () => {});
  const frames: string[] = [];
  try {
    while (await source.fill()) frames.push(...batch(source));
    return { frames };
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    return { frames, refusal: error.message };
  } finally {
    source.close();
  }
}

describe("compressed", () => {
  const random = new Random(1);
  const times = Array.from({ length: 3000 }, (_, i) => i);
  const plain = bytes(
    savefile([]),
    ...times.map((time) =>
      pcap([{ frame: bytes(random.bytes(random.int(0, 1500)), `${time}`), timestampMs: START_MS + time }]).slice(24),
    ),
  );
  const halves = [plain.slice(0, 1_000_001), plain.slice(1_000_001)];
  const table: [name: string, content: Uint8Array][] = [
    ["gzip", gzipSync(plain)],
    ["gzip of two members", bytes(...halves.map((half) => gzipSync(half)))],
    ["zstd", zstdCompressSync(plain)],
    ["zstd of two frames", bytes(...halves.map((half) => zstdCompressSync(half)))],
  ];
  test.each(table)("%s is unpacked as it is read", async (_name, content) => {
    const source = await openSavefiles([file(content)], false, () => {});
    let count = 0;
    while (await source.fill())
      while (source.next()) {
        const { bytes: all, offset, length } = source;
        const text = `${count}`;
        expect(Buffer.from(all.subarray(offset + length - text.length, offset + length)).toString()).toBe(text);
        count++;
      }
    expect(count).toBe(times.length);
    expect(source.position).toBe(content.length);
  });

  test.each(table)("%s that is cut, or damaged, is reported after its earlier records", async (_name, content) => {
    const path = file(content.slice(0, -1000));
    const source = await openSavefiles([path], false, () => {});
    const refused = async () => {
      while (await source.fill()) while (source.next());
    };
    expect(refused()).rejects.toThrow(`Cannot read all of ${path}: `);
  });

  const short = plain.slice(0, 200_000);
  const [gzip, zstd] = [gzipSync(short).subarray(0, -20_000), zstdCompressSync(short).subarray(0, -20_000)];
  /** `slackBytes`: with damage, the runtime forgets the chunk that it was unpacking. */
  const faults: [name: string, content: Uint8Array, unpackedBytes: number, slackBytes: number][] = [
    ["gzip is cut", gzip, gunzipSync(gzip, { finishFlush: constants.Z_SYNC_FLUSH }).length, 0],
    ["zstd is cut", zstd, zstdDecompressSync(zstd).length, 0],
    ["gzip is followed by no gzip", bytes(gzipSync(short), "junk"), short.length, 16 << 10],
  ];
  test.each(faults)(
    "where %s, a slow reader gets what is before",
    async (_name, content, unpackedBytes, slackBytes) => {
      const source = new UnpackedBytes("x", compressionOf(Buffer.from(content).readUInt32BE())!, NO_BYTES, content);
      const read = new Uint8Array(short.length);
      let length = 0;
      const readAll = async () => {
        for (let count = 1; count > 0; length += count) {
          await Bun.sleep(1);
          count = await source.read(read, length, 8 << 10);
        }
      };
      await readAll().catch(({ message }: Error) => expect(message).toStartWith("Cannot read all of x: "));
      expect(length).toBeGreaterThanOrEqual(unpackedBytes - slackBytes);
      expect(Buffer.compare(read.subarray(0, length), short.subarray(0, length))).toBe(0);
    },
  );
});

describe("several", () => {
  test("rotated files are read in the order of their times, not of their names", async () => {
    const parts = [[1, 2, 3], [3, 4], [], [5, 6]].map((times) => file(savefile(times)));
    const want = { frames: ["1", "2", "3", "3", "4", "5", "6"] };
    expect(await readAll(parts)).toEqual(want);
    expect(await readAll(parts.toReversed())).toEqual(want);
  });

  test("files whose times overlap are merged; at equal times, the file that is named first comes first", async () => {
    const [a, b, c] = [
      file(savefile([1, 4, 4, 9], 1, "a")),
      file(gzipSync(savefile([1, 4, 5], 101, "b"))),
      file(savefile([2, 4], 1, "c")),
    ];
    expect((await readAll([a, b, c])).frames).toEqual([
      "a1",
      "b1/101",
      "c2",
      "a4",
      "a4",
      "b4/101",
      "c4",
      "b5/101",
      "a9",
    ]);
    expect((await readAll([c, b, a])).frames.slice(0, 3)).toEqual(["b1/101", "a1", "c2"]);
  });

  test("random files: the records of each in their own order, and all in the order of time", async () => {
    const random = new Random(7);
    for (let run = 0; run < 50; run++) {
      const all = Array.from({ length: random.int(2, 6) }, () => {
        let time = random.int(0, 50);
        return Array.from({ length: random.int(0, 40) }, () => (time += random.int(0, 5)));
      });
      const { frames } = await readAll(all.map((times) => file(savefile(times))));
      expect(frames.map(Number)).toEqual(all.flat().toSorted((x, y) => x - y));
    }
  });

  test("more than a batch holds", async () => {
    const times = Array.from({ length: 20_000 }, (_, i) => i);
    const [even, odd] = [0, 1].map((rest) => file(savefile(times.filter((time) => time % 2 === rest))));
    const { frames } = await readAll([odd!, even!]);
    expect(frames.length).toBe(times.length);
    expect(frames.every((text, i) => text === `${i}`)).toBe(true);
  });

  test.each([
    ["of so many records, and one more", Array<number>(BATCH_RECORDS_MAX + 1).fill(1), [BATCH_RECORDS_MAX, 1]],
    ["of so many bytes", [BATCH_BYTES - 1, 1], [2]],
    ["of so many bytes, and one more", [BATCH_BYTES - 1, 2], [1, 1]],
    ["of a record that is larger, by itself", [1, BATCH_BYTES + 1, 1], [1, 1, 1]],
    ["of the largest record that a block may hold", [BLOCK_BYTES_MAX - 32], [1]],
  ] as [string, lengths: number[], batches: number[]][])("a batch %s", async (_name, lengths, batches) => {
    const start = bytes(section(LITTLE), interfaceBlock(LITTLE, 1));
    const packets = lengths.map((length) => enhancedPacket(LITTLE, { frame: new Uint8Array(length) }));
    const source = await openSavefiles([file(bytes(start, ...packets)), file(start)], false, () => {});
    const found: number[][] = [];
    while (await source.fill()) {
      found.push([]);
      while (source.next())
        found.at(-1)!.push(source.bytes.subarray(source.offset, source.offset + source.length).length);
    }
    source.close();
    expect(found.map(({ length }) => length)).toEqual(batches);
    expect(found.flat()).toEqual(lengths);
  });

  test("a fault of one file is reported after the others are read", async () => {
    const cut = file(savefile([1, 2, 3]).slice(0, -1));
    const { frames, refusal } = await readAll([cut, file(savefile([2, 5]))]);
    expect(frames).toEqual(["1", "2", "2", "5"]);
    expect(refusal).toContain(`Cannot read all of ${cut}: it ends in the middle of a record`);
    expect(openSavefiles([cut, file(bytes("no capture at all, but text"))], false, () => {})).rejects.toThrow(
      "it is neither pcap nor pcapng",
    );
  });
});

describe("a file that grows", () => {
  /** The next content. */
  async function told(source: WaitingSource): Promise<string[]> {
    for (;;) {
      expect(await source.fill()).toBe(true);
      const found = batch(source);
      if (found.length > 0) return found;
    }
  }

  test("is followed, also when another file replaces it, and when it is truncated", async () => {
    const path = file(savefile([1, 2]));
    const troubles: string[] = [];
    const source = new FollowedSavefile(path, (error) => troubles.push(error.message));
    expect(await told(source)).toEqual(["1", "2"]);
    const waits = told(source);
    const third = savefile([3]).slice(24);
    appendFileSync(path, third.slice(0, 5));
    appendFileSync(path, third.slice(5));
    expect(await waits).toEqual(["3"]);

    // Rotated by name, with the bytes that were written last; the new file is written bit by bit.
    const next = told(source);
    appendFileSync(path, bytes(savefile([4]).slice(24), savefile([0]).slice(24, 30)));
    renameSync(path, `${path}.1`);
    writeFileSync(path, savefile([]).slice(0, 10));
    expect(await next).toEqual(["4"]);
    const after = told(source);
    appendFileSync(path, savefile([5, 6]).slice(10));
    expect(await after).toEqual(["5", "6"]);
    // The old file ended with half a record.
    expect(troubles).toEqual([
      expect.stringContaining(`Cannot read all of ${path}: it ends in the middle of a record`),
    ]);

    // Written anew, and larger than before, before the next look.
    const larger = told(source);
    truncateSync(path, 0);
    appendFileSync(path, savefile([8, 9, 10, 11]));
    expect(await larger).toEqual(["8", "9", "10", "11"]);

    const last = told(source);
    truncateSync(path, 0);
    appendFileSync(path, savefile([7]));
    expect(await last).toEqual(["7"]);
    source.close();
  });
});
