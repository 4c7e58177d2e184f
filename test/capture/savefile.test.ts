/** Savefiles: every variant of pcap and pcapng, cut at every byte, and with other content. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { INTERFACES_MAX, Savefile } from "../../src/capture/savefile.ts";
import { RefusalError } from "../../src/errors.ts";
import { bytes } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import {
  BIG,
  block,
  enhancedPacket,
  interfaceBlock,
  KUZNETZOV,
  LITTLE,
  MICROSECONDS,
  NANOSECONDS,
  obsoletePacket,
  pcapHeader,
  pcapRecord,
  section,
  simplePacket,
  type Words,
} from "./savefile-builder.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "savefile-test-"));
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

const FILE = join(FOLDER, "capture");
const MIB = 1 << 20;
const SECONDS = 1_700_000_000;
/** A double holds today's milliseconds with a precision of about 2e-4. */
const MS_DIGITS = 3;

interface Read {
  frames: string[];
  lengths: number[];
  linkTypes: number[];
  timestampsMs: number[];
  /** Bytes read at the end. */
  position: number;
  /** The reason why reading stopped early; undefined: it ended normally. */
  refusal?: string;
}

/** Reads a whole savefile. Any exception except a RefusalError fails the test. */
async function readAll(path: string): Promise<Read> {
  const read: Read = { frames: [], lengths: [], linkTypes: [], timestampsMs: [], position: 0 };
  const savefile = Savefile.open(path);
  try {
    while (await savefile.fill()) {
      while (savefile.next()) {
        const { bytes, view, offset, length } = savefile;
        expect(view.buffer).toBe(bytes.buffer);
        expect(offset + length).toBeLessThanOrEqual(bytes.length);
        read.frames.push(bytes.subarray(offset, offset + length).toHex());
        read.lengths.push(length);
        read.linkTypes.push(savefile.linkType);
        read.timestampsMs.push(savefile.timestampMs);
      }
    }
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    read.refusal = error.message;
  } finally {
    read.position = savefile.position;
    savefile.close();
  }
  return read;
}

function readBytes(content: Uint8Array): Promise<Read> {
  writeFileSync(FILE, content);
  return readAll(FILE);
}

/** The byte that a refusal names. */
function byteNamed({ refusal }: Read): number {
  return Number(/\bat byte (\d+)/.exec(refusal ?? "")?.[1] ?? NaN);
}

const A = bytes("first frame");
const B = bytes("the second one");
const hex = (...frames: Uint8Array[]) => frames.map((frame) => frame.toHex());
const orders: [name: string, to: Words][] = [
  ["little-endian", LITTLE],
  ["big-endian", BIG],
];

describe("pcap", () => {
  const variants: [name: string, magic: number, fraction: number, fractionMs: number][] = [
    ["microseconds", MICROSECONDS, 123_456, 123.456],
    ["nanoseconds", NANOSECONDS, 123_456_789, 123.456789],
    ["Kuznetzov's", KUZNETZOV, 123_456, 123.456],
  ];
  for (const [order, to] of orders) {
    for (const [name, magic, fraction, fractionMs] of variants) {
      test(`${name}, ${order}`, async () => {
        const first = pcapRecord(to, { seconds: SECONDS, fraction, frame: A }, magic);
        const second = pcapRecord(to, { seconds: SECONDS + 1, fraction: 0, frame: B }, magic);
        const file = bytes(pcapHeader(to, magic), first, second);
        const read = await readBytes(file);
        expect(read).toMatchObject({ frames: hex(A, B), linkTypes: [1, 1], position: file.length });
        expect(read.refusal).toBeUndefined();
        expect(read.timestampsMs[0]).toBeCloseTo(SECONDS * 1000 + fractionMs, MS_DIGITS);
        expect(read.timestampsMs[1]).toBe(SECONDS * 1000 + 1000);
      });
    }
  }

  // The upper 16 bits may give the length of a frame check sequence, in 16-bit units, and say that it is known.
  for (const [given, linkType] of [
    [1, 1],
    [113, 113],
    [276, 276],
    [0x24000001, 1],
    [0xf4000114, 276],
    [0xffffffff, 65_535],
  ] as const) {
    test(`link type ${linkType} from ${given.toString(16)}`, async () => {
      for (const [, to] of orders) {
        const { linkTypes } = await readBytes(
          bytes(pcapHeader(to, MICROSECONDS, given), pcapRecord(to, { seconds: 1, fraction: 0, frame: A })),
        );
        expect(linkTypes).toEqual([linkType]);
      }
    });
  }

  test("timestamps from 1970 to 2106", async () => {
    const records = [0, 0x7fffffff, 0x80000000, 0xffffffff].map((seconds) =>
      pcapRecord(LITTLE, { seconds, fraction: 999_000, frame: A }),
    );
    const { timestampsMs } = await readBytes(bytes(pcapHeader(LITTLE), ...records));
    expect(timestampsMs).toEqual([999, 2_147_483_647_999, 2_147_483_648_999, 4_294_967_295_999]);
  });

  test("a header alone is a capture without frames", async () => {
    for (const [, to] of orders)
      expect(await readBytes(pcapHeader(to))).toEqual({
        frames: [],
        lengths: [],
        linkTypes: [],
        timestampsMs: [],
        position: 24,
      });
  });

  test("a frame of length 0, and a frame that the snapshot length cut", async () => {
    const cut = pcapRecord(LITTLE, { seconds: 1, fraction: 0, frame: A });
    cut.set(LITTLE.u32(9000), 12);
    const empty = pcapRecord(LITTLE, { seconds: 1, fraction: 0, frame: new Uint8Array(0) });
    expect(await readBytes(bytes(pcapHeader(LITTLE), empty, cut, empty))).toMatchObject({
      frames: ["", A.toHex(), ""],
    });
  });
});

describe("pcapng", () => {
  const RESOLUTION = 9;
  const OFFSET = 14;
  const packets: [name: string, packet: typeof enhancedPacket][] = [
    ["enhanced", enhancedPacket],
    ["obsolete", (to, what) => obsoletePacket(to, what)],
  ];

  for (const [order, to] of orders) {
    for (const [name, packet] of packets) {
      test(`${name} packets, ${order}`, async () => {
        const timestamp = BigInt(SECONDS) * 1_000_000n + 123_456n;
        const file = bytes(
          section(to),
          interfaceBlock(to, 1),
          packet(to, { timestamp, frame: A }),
          packet(to, { timestamp: timestamp + 1_000_000n, frame: B }),
        );
        const read = await readBytes(file);
        expect(read).toMatchObject({ frames: hex(A, B), linkTypes: [1, 1], position: file.length });
        expect(read.timestampsMs[0]).toBeCloseTo(SECONDS * 1000 + 123.456, MS_DIGITS);
        expect(read.timestampsMs[1]).toBeCloseTo(SECONDS * 1000 + 1123.456, MS_DIGITS);
      });
    }

    // if_tsresol: a power of ten, or a power of two if the highest bit is set. if_tsoffset: signed seconds.
    const resolutions: [name: string, resolution: number, unitsPerSecond: bigint][] = [
      ["seconds", 0, 1n],
      ["milliseconds", 3, 1000n],
      ["microseconds", 6, 1_000_000n],
      ["nanoseconds", 9, 1_000_000_000n],
      ["2^-0 s", 0x80, 1n],
      ["2^-10 s", 0x8a, 1024n],
      ["2^-30 s", 0x9e, 2n ** 30n],
    ];
    for (const [name, resolution, unitsPerSecond] of resolutions) {
      test(`timestamps in ${name}, ${order}, with and without an offset`, async () => {
        const plain = interfaceBlock(to, 1, [{ code: RESOLUTION, value: [resolution] }]);
        const later = interfaceBlock(to, 1, [
          { code: OFFSET, value: to.i64(1000n) },
          { code: RESOLUTION, value: [resolution] },
        ]);
        const earlier = interfaceBlock(to, 1, [
          { code: RESOLUTION, value: [resolution] },
          { code: OFFSET, value: to.i64(-1000n) },
        ]);
        const timestamp = BigInt(SECONDS) * unitsPerSecond + unitsPerSecond / 4n;
        const times = [0, 1, 2].map((interfaceId) => enhancedPacket(to, { interfaceId, timestamp, frame: A }));
        const { timestampsMs } = await readBytes(bytes(section(to), plain, later, earlier, ...times));
        const fractionMs = (Number(unitsPerSecond / 4n) / Number(unitsPerSecond)) * 1000;
        expect(timestampsMs[0]).toBeCloseTo(SECONDS * 1000 + fractionMs, MS_DIGITS);
        expect(timestampsMs[1]).toBeCloseTo(SECONDS * 1000 + 1_000_000 + fractionMs, MS_DIGITS);
        expect(timestampsMs[2]).toBeCloseTo(SECONDS * 1000 - 1_000_000 + fractionMs, MS_DIGITS);
      });
    }

    test(`several interfaces, each with its own link type and resolution, ${order}`, async () => {
      const file = bytes(
        section(to),
        interfaceBlock(to, 1),
        interfaceBlock(to, 113, [{ code: RESOLUTION, value: [9] }]),
        enhancedPacket(to, { interfaceId: 1, timestamp: 5_000_000_000n, frame: A }),
        interfaceBlock(to, 276, [{ code: RESOLUTION, value: [3] }]),
        enhancedPacket(to, { interfaceId: 2, timestamp: 6000n, frame: B }),
        enhancedPacket(to, { interfaceId: 0, timestamp: 7_000_000n, frame: A }),
        obsoletePacket(to, { interfaceId: 1, timestamp: 8_000_000_000n, frame: B }),
      );
      expect(await readBytes(file)).toMatchObject({
        frames: hex(A, B, A, B),
        linkTypes: [113, 276, 1, 113],
        timestampsMs: [5000, 6000, 7000, 8000],
      });
    });

    test(`simple packets belong to the first interface, and are cut to its snapshot length, ${order}`, async () => {
      const cut = (frame: Uint8Array) => frame.slice(0, 6);
      const snapped = bytes(
        section(to),
        interfaceBlock(to, 101, [], 6),
        interfaceBlock(to, 1),
        simplePacket(to, cut(A), A.length),
        simplePacket(to, cut(B), B.length),
        simplePacket(to, A.slice(0, 5)),
      );
      expect(await readBytes(snapped)).toMatchObject({
        frames: hex(cut(A), cut(B), A.slice(0, 5)),
        linkTypes: [101, 101, 101],
      });
      const unlimited = bytes(section(to), interfaceBlock(to, 1), simplePacket(to, A), simplePacket(to, B));
      expect(await readBytes(unlimited)).toMatchObject({ frames: hex(A, B) });
    });

    test(`a simple packet has no time, and gets the time of the previous packet, ${order}`, async () => {
      const file = bytes(
        section(to),
        interfaceBlock(to, 1),
        enhancedPacket(to, { timestamp: 7_000_000n, frame: A }),
        simplePacket(to, B),
      );
      expect((await readBytes(file)).timestampsMs).toEqual([7000, 7000]);
    });

    test(`options, and blocks of other types, are skipped, ${order}`, async () => {
      const comment = { code: 1, value: bytes("a comment") };
      const unknown = { code: 0x8123, value: new Uint8Array(3) };
      const file = bytes(
        section(to, [comment, unknown]),
        block(to, 4, new Uint8Array(20)), // name resolution
        interfaceBlock(to, 1, [{ code: 2, value: bytes("eth0") }, comment, unknown]),
        block(to, 0x0bad, new Uint8Array(8)), // custom
        enhancedPacket(to, { frame: A, options: [comment, { code: 2, value: [0, 0, 0, 1] }] }),
        block(to, 5, new Uint8Array(12)), // interface statistics
        obsoletePacket(to, { frame: B, options: [comment] }),
        block(to, 0x80000001, new Uint8Array(0)), // a private type, without a body
        block(to, 10, new Uint8Array(8)), // decryption secrets
      );
      const read = await readBytes(file);
      expect(read).toMatchObject({ frames: hex(A, B), linkTypes: [1, 1], position: file.length });
      expect(read.refusal).toBeUndefined();
    });

    test(`frames of every length from 0 to 9: their padding is not part of them, ${order}`, async () => {
      const frames = Array.from({ length: 10 }, (_, length) => new Uint8Array(length).fill(0x61));
      const file = bytes(
        section(to),
        interfaceBlock(to, 1),
        ...frames.flatMap((frame) => [
          enhancedPacket(to, { frame }),
          obsoletePacket(to, { frame }),
          simplePacket(to, frame),
        ]),
      );
      expect((await readBytes(file)).lengths).toEqual(frames.flatMap(({ length }) => [length, length, length]));
    });
  }

  test("a section with the other byte order, and its own interfaces", async () => {
    const part = (to: Words, linkType: number, frame: Uint8Array) =>
      bytes(section(to), interfaceBlock(to, linkType), enhancedPacket(to, { timestamp: 1_000_000n, frame }));
    const read = await readBytes(bytes(part(LITTLE, 1, A), part(BIG, 113, B), part(LITTLE, 276, A), section(BIG)));
    expect(read).toMatchObject({ frames: hex(A, B, A), linkTypes: [1, 113, 276], timestampsMs: [1000, 1000, 1000] });
    expect(read.refusal).toBeUndefined();
  });

  test("the interfaces of one section are not valid in the next", async () => {
    const start = bytes(section(LITTLE), interfaceBlock(LITTLE, 1), interfaceBlock(LITTLE, 1));
    const next = bytes(section(LITTLE), interfaceBlock(LITTLE, 1));
    const read = await readBytes(
      bytes(
        start,
        enhancedPacket(LITTLE, { interfaceId: 1, frame: A }),
        next,
        enhancedPacket(LITTLE, { interfaceId: 1, frame: B }),
      ),
    );
    expect(read.frames).toEqual(hex(A));
    expect(byteNamed(read)).toBe(start.length + enhancedPacket(LITTLE, { frame: A }).length + next.length);
  });

  test("a section without packets is a capture without frames", async () => {
    for (const [, to] of orders) {
      expect((await readBytes(section(to))).refusal).toBeUndefined();
      expect(await readBytes(bytes(section(to), interfaceBlock(to, 1)))).toMatchObject({ frames: [] });
    }
  });

  test("a frame of 262,144 bytes, and a foreign block of 16 MiB", async () => {
    const large = new Uint8Array(262_144).fill(0x61);
    const file = bytes(
      section(LITTLE),
      interfaceBlock(LITTLE, 1),
      enhancedPacket(LITTLE, { frame: large }),
      block(LITTLE, 0x0bad, new Uint8Array(16 * MIB - 12)),
      enhancedPacket(LITTLE, { frame: B }),
    );
    const read = await readBytes(file);
    expect(read.lengths).toEqual([262_144, B.length]);
    expect(read.refusal).toBeUndefined();
  });

  test("as many interfaces as a section may describe, and one more", async () => {
    const described = interfaceBlock(LITTLE, 1);
    const start = bytes(section(LITTLE), ...Array<Uint8Array>(INTERFACES_MAX).fill(described));
    const packet = enhancedPacket(LITTLE, { interfaceId: INTERFACES_MAX - 1, frame: A });
    expect(await readBytes(bytes(start, packet))).toMatchObject({ frames: hex(A) });
    const more = await readBytes(bytes(start, described, packet));
    expect([more.frames, byteNamed(more)]).toEqual([[], start.length]);
    expect(more.refusal).toContain(`describes more than ${INTERFACES_MAX} interfaces`);
  });
});

describe("more than one batch", () => {
  test("records of random lengths over several MiB, both formats: every byte, in order", async () => {
    for (let seed = 1; seed <= 3; seed++) {
      const random = new Random(seed);
      const frames = Array.from({ length: 2000 }, () =>
        random.bytes(random.chance(0.02) ? random.int(20_000, 60_000) : random.int(0, 1600)),
      );
      const classic = bytes(
        pcapHeader(BIG),
        ...frames.map((frame, i) => pcapRecord(BIG, { seconds: i, fraction: 0, frame })),
      );
      const next = bytes(
        section(LITTLE),
        interfaceBlock(LITTLE, 1),
        ...frames.map((frame, i) => enhancedPacket(LITTLE, { timestamp: BigInt(i) * 1_000_000n, frame })),
      );
      for (const file of [classic, next]) {
        expect(file.length, `seed ${seed}`).toBeGreaterThan(2 * MIB);
        const read = await readBytes(file);
        expect(read.frames.length, `seed ${seed}`).toBe(frames.length);
        expect(Bun.hash(read.frames.join()), `seed ${seed}`).toBe(Bun.hash(hex(...frames).join()));
        expect(read.timestampsMs, `seed ${seed}`).toEqual(frames.map((_, i) => i * 1000));
        expect(read.position, `seed ${seed}`).toBe(file.length);
      }
    }
  }, 60_000);

  test("a record that begins at each byte around the first MiB", async () => {
    for (let at = MIB - 34; at <= MIB + 2; at++) {
      // Header 24, the filler's record header 16, and filler up to the wanted place.
      const rest = at - 24;
      const filler: Uint8Array[] = [];
      for (let left = rest; left > 0;) {
        const length = Math.min(left - 16, 200_000);
        const take = left - 16 - length < 16 && left - 16 - length > 0 ? length - 16 : length;
        filler.push(pcapRecord(LITTLE, { seconds: 0, fraction: 0, frame: new Uint8Array(take) }));
        left -= 16 + take;
      }
      const read = await readBytes(
        bytes(pcapHeader(LITTLE), ...filler, pcapRecord(LITTLE, { seconds: 1, fraction: 0, frame: B })),
      );
      expect(read.refusal, `at ${at}`).toBeUndefined();
      expect(read.frames.length, `at ${at}`).toBe(filler.length + 1);
      expect(read.frames.at(-1), `at ${at}`).toBe(B.toHex());
    }
  });

  test("frames of 262,144 bytes, the longest, one after another", async () => {
    const frames = Array.from({ length: 9 }, (_, i) => new Uint8Array(262_144).fill(i));
    const read = await readBytes(
      bytes(pcapHeader(LITTLE), ...frames.map((frame) => pcapRecord(LITTLE, { seconds: 0, fraction: 0, frame }))),
    );
    expect(read.lengths).toEqual(frames.map(({ length }) => length));
    expect(read.frames.every((frame, i) => frame === frames[i]!.toHex())).toBe(true);
  });

  test("a pipe that gives a few bytes at a time", async () => {
    const classic = bytes(
      pcapHeader(LITTLE),
      pcapRecord(LITTLE, { seconds: 1, fraction: 0, frame: A }),
      pcapRecord(LITTLE, { seconds: 2, fraction: 0, frame: B }),
    );
    const next = bytes(
      section(BIG),
      interfaceBlock(BIG, 1),
      enhancedPacket(BIG, { timestamp: 1_000_000n, frame: A }),
      simplePacket(BIG, B),
    );
    for (const [i, file] of [classic, next, classic.slice(0, -1)].entries()) {
      writeFileSync(FILE, file);
      const pipe = join(FOLDER, `pipe-${i}`);
      expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
      const writer = Bun.spawn([
        "sh",
        "-c",
        `for at in $(seq 0 7 ${file.length}); do tail -c +$((at + 1)) "$1" | head -c 7; sleep 0.002; done > "$2"`,
        "sh",
        FILE,
        pipe,
      ]);
      const read = await readAll(pipe);
      expect(await writer.exited).toBe(0);
      expect(read.frames).toEqual(i < 2 ? hex(A, B) : hex(A));
      if (i < 2) expect(read.refusal).toBeUndefined();
      else expect(byteNamed(read)).toBe(24 + 16 + A.length);
    }
  });
});

describe("a file that ends too early", () => {
  const pcapParts = (to: Words, magic: number) => [
    pcapHeader(to, magic),
    ...[A, new Uint8Array(0), B].map((frame) => pcapRecord(to, { seconds: 1, fraction: 0, frame }, magic)),
  ];
  const files: [name: string, parts: Uint8Array[], isFrame: (part: number) => boolean][] = [
    ["pcap, little-endian", pcapParts(LITTLE, MICROSECONDS), (part) => part > 0],
    ["pcap, big-endian, nanoseconds", pcapParts(BIG, NANOSECONDS), (part) => part > 0],
    ["pcap, Kuznetzov's", pcapParts(LITTLE, KUZNETZOV), (part) => part > 0],
    [
      "pcapng",
      [
        section(LITTLE, [{ code: 1, value: bytes("comment") }]),
        interfaceBlock(LITTLE, 1, [{ code: 9, value: [9] }]),
        enhancedPacket(LITTLE, { frame: A }),
        simplePacket(LITTLE, B),
        block(LITTLE, 0x0bad, new Uint8Array(16)),
        obsoletePacket(LITTLE, { frame: A }),
        section(BIG),
        interfaceBlock(BIG, 1),
        enhancedPacket(BIG, { frame: B, options: [{ code: 1, value: bytes("comment") }] }),
      ],
      (part) => [2, 3, 5, 8].includes(part),
    ],
  ];
  for (const [name, parts, isFrame] of files) {
    test(`${name}: cut at every byte: whole records are read, and the message names the place of the cut record`, async () => {
      const file = bytes(...parts);
      const ends = parts.map((_, i) => bytes(...parts.slice(0, i + 1)).length);
      for (let length = 1; length <= file.length; length++) {
        const whole = ends.filter((end) => end <= length);
        const read = await readBytes(file.slice(0, length));
        expect(read.frames.length, `cut to ${length}`).toBe(whole.filter((_, part) => isFrame(part)).length);
        if (whole.at(-1) === length) {
          expect(read.refusal, `cut to ${length}`).toBeUndefined();
        } else if (length < 4) {
          // No magic number, so the format is unknown.
          expect(read.refusal, `cut to ${length}`).toBe(`Cannot read ${FILE}: it is neither pcap nor pcapng`);
        } else {
          expect(read.refusal, `cut to ${length}`).toBe(
            `Cannot read all of ${FILE}: it ends in the middle of a record (at byte ${whole.at(-1) ?? 0})`,
          );
        }
      }
    });
  }

  test("an empty one", async () => {
    expect((await readBytes(new Uint8Array(0))).refusal).toBe(`Cannot read ${FILE}: it is empty`);
  });

  test("cut behind the first batch, the place counts from the file's beginning", async () => {
    const record = pcapRecord(LITTLE, { seconds: 1, fraction: 0, frame: new Uint8Array(100_000) });
    const file = bytes(pcapHeader(LITTLE), ...new Array<Uint8Array>(30).fill(record));
    const read = await readBytes(file.slice(0, -1));
    expect(read.frames.length).toBe(29);
    expect(byteNamed(read)).toBe(24 + 29 * record.length);
  });
});

describe("files that are no captures", () => {
  const neither = "it is neither pcap nor pcapng";
  const capture = bytes(pcapHeader(LITTLE), pcapRecord(LITTLE, { seconds: 1, fraction: 0, frame: A }));
  const table: [name: string, content: Uint8Array, refusal: string][] = [
    ["text", bytes("GET / HTTP/1.1\r\nHost: not a capture\r\n\r\n"), neither],
    ["one byte", bytes("x"), neither],
    ["zeros", new Uint8Array(4096), neither],
    ["2 MiB of zeros", new Uint8Array(2 * MIB), neither],
    ["a capture behind one more byte", bytes("x", capture), neither],
    ["a pcap magic number in mixed byte order", bytes([0xb2, 0xa1, 0xd4, 0xc3], capture.slice(4)), neither],
    ["text in gzip", Bun.gzipSync(Uint8Array.from(bytes("GET / HTTP/1.1\r\nHost: not a capture\r\n\r\n"))), neither],
    ["gzip of nothing", Bun.gzipSync(new Uint8Array(0)), "it is empty"],
    ["gzip in gzip", Bun.gzipSync(Bun.gzipSync(Uint8Array.from(capture))), neither],
  ];
  for (const [name, content, refusal] of table) {
    test(name, async () => {
      expect(await readBytes(content)).toMatchObject({ frames: [], refusal: `Cannot read ${FILE}: ${refusal}` });
    });
  }

  test("no such file", () => {
    const path = join(FOLDER, "none");
    expect(() => Savefile.open(path)).toThrow(new RefusalError(`Cannot read ${path}: no such file`));
  });

  test("a directory", async () => {
    const refused = async () => {
      const savefile = Savefile.open(FOLDER);
      await savefile.fill();
    };
    await expect(refused()).rejects.toThrow(new RefusalError(`Cannot read ${FOLDER}: it is a directory`));
  });

  test("a directory for part of the path", () => {
    writeFileSync(FILE, "");
    expect(() => Savefile.open(join(FILE, "capture"))).toThrow(RefusalError);
  });
});

describe("impossible lengths", () => {
  const start = bytes(pcapHeader(LITTLE), pcapRecord(LITTLE, { seconds: 1, fraction: 0, frame: A }));
  const claimed = (length: number) =>
    bytes(start, pcapRecord(LITTLE, { seconds: 1, fraction: 0, frame: B, claimed: length }), new Uint8Array(300_000));
  const ng = bytes(section(LITTLE), interfaceBlock(LITTLE, 1), enhancedPacket(LITTLE, { frame: A }));
  const after = (...blocks: Uint8Array[]) => bytes(ng, ...blocks, new Uint8Array(64));
  const table: [name: string, file: Uint8Array, at: number][] = [
    ["pcap: a frame of 262,145 bytes", claimed(262_145), start.length],
    ["pcap: a frame of 2^31 bytes", claimed(2 ** 31), start.length],
    ["pcap: a frame of 2^32 - 1 bytes", claimed(2 ** 32 - 1), start.length],
    ...[0, 4, 8, 11].map((total): [string, Uint8Array, number] => [
      `pcapng: a block of ${total} bytes`,
      after(block(LITTLE, 6, new Uint8Array(40), total)),
      ng.length,
    ]),
    ["pcapng: a block of 33 bytes, no multiple of 4", after(block(LITTLE, 4, new Uint8Array(40), 33)), ng.length],
    ["pcapng: a block of 16 MiB and 4 bytes", after(block(LITTLE, 4, new Uint8Array(40), 16 * MIB + 4)), ng.length],
    ["pcapng: a block of 2^32 - 4 bytes", after(block(LITTLE, 4, new Uint8Array(40), 2 ** 32 - 4)), ng.length],
    [
      "pcapng: an enhanced packet longer than its block",
      after(enhancedPacket(LITTLE, { frame: A, claimed: 13 })),
      ng.length,
    ],
    [
      "pcapng: an enhanced packet of 2^32 - 1 bytes",
      after(enhancedPacket(LITTLE, { frame: A, claimed: 2 ** 32 - 1 })),
      ng.length,
    ],
    [
      "pcapng: an obsolete packet longer than its block",
      after(obsoletePacket(LITTLE, { frame: A, claimed: 13 })),
      ng.length,
    ],
    [
      "pcapng: an enhanced packet block without room for its fields",
      after(block(LITTLE, 6, new Uint8Array(16))),
      ng.length,
    ],
    ["pcapng: an enhanced packet block without a body", after(block(LITTLE, 6, new Uint8Array(0))), ng.length],
    ["pcapng: an obsolete packet block without a body", after(block(LITTLE, 2, new Uint8Array(0))), ng.length],
    ["pcapng: a simple packet block without a body", after(block(LITTLE, 3, new Uint8Array(0))), ng.length],
    ["pcapng: an interface block without a body", after(block(LITTLE, 1, new Uint8Array(0))), ng.length],
    [
      "pcapng: an interface that is not described",
      after(enhancedPacket(LITTLE, { interfaceId: 1, frame: B })),
      ng.length,
    ],
    ["pcapng: interface 2^32 - 1", after(enhancedPacket(LITTLE, { interfaceId: 2 ** 32 - 1, frame: B })), ng.length],
    [
      "pcapng: obsolete packet of interface 65535",
      after(obsoletePacket(LITTLE, { interfaceId: 65_535, frame: B })),
      ng.length,
    ],
    ["pcapng: a section without a byte order", after(block(LITTLE, 0x0a0d0d0a, new Uint8Array(16))), ng.length],
  ];
  for (const [name, file, at] of table) {
    test(name, async () => {
      const read = await readBytes(file);
      expect(read.frames).toEqual(hex(A));
      expect(byteNamed(read)).toBe(at);
    });
  }

  test("pcapng: a block whose two lengths differ is refused, and not read as one block with the next ones", async () => {
    const swallowing = enhancedPacket(LITTLE, { frame: A });
    swallowing.set(LITTLE.u32(2 * swallowing.length), 4);
    const read = await readBytes(
      bytes(ng, swallowing, enhancedPacket(LITTLE, { frame: A }), enhancedPacket(LITTLE, { frame: B })),
    );
    expect(read.frames).toEqual(hex(A));
    expect(byteNamed(read)).toBe(ng.length);
  });

  test("pcapng: packets before any interface", async () => {
    for (const packet of [
      enhancedPacket(LITTLE, { frame: A }),
      obsoletePacket(LITTLE, { frame: A }),
      simplePacket(LITTLE, A),
    ]) {
      const read = await readBytes(bytes(section(LITTLE), packet));
      expect(read.frames).toEqual([]);
      expect(byteNamed(read)).toBe(section(LITTLE).length);
    }
  });

  test("pcapng: a simple packet that claims more than its block holds gets the block's bytes", async () => {
    expect(
      await readBytes(
        bytes(section(LITTLE), interfaceBlock(LITTLE, 1), simplePacket(LITTLE, bytes("12345678"), 2 ** 32 - 1)),
      ),
    ).toMatchObject({
      frames: hex(bytes("12345678")),
    });
  });

  test("pcapng: interface options beyond the end of their block are ignored", async () => {
    const option = bytes(LITTLE.u16(9), LITTLE.u16(200), [3, 0, 0, 0]);
    const damaged = block(LITTLE, 1, bytes(LITTLE.u16(1), LITTLE.u16(0), LITTLE.u32(0), option));
    expect(
      await readBytes(bytes(section(LITTLE), damaged, enhancedPacket(LITTLE, { timestamp: 1_000_000n, frame: A }))),
    ).toMatchObject({
      frames: hex(A),
      timestampsMs: [1000],
    });
  });
});

test("random damage: the file is read to the end or refused, and nothing else happens", async () => {
  const originals = [
    bytes(pcapHeader(LITTLE), ...[A, B, A, B].map((frame) => pcapRecord(LITTLE, { seconds: 1, fraction: 0, frame }))),
    bytes(
      section(BIG),
      interfaceBlock(BIG, 1, [{ code: 9, value: [9] }]),
      enhancedPacket(BIG, { frame: A }),
      simplePacket(BIG, B),
      section(LITTLE),
      interfaceBlock(LITTLE, 1),
      obsoletePacket(LITTLE, { frame: B }),
    ),
  ];
  for (let seed = 1; seed <= 400; seed++) {
    const random = new Random(seed);
    const file = random.pick(originals).slice();
    for (let edits = random.int(1, 4); edits > 0; edits--)
      file[random.int(0, file.length - 1)] = random.pick([0, 1, 4, 8, 0x7f, 0x80, 0xff, random.int(0, 255)]);
    const read = await readBytes(file.slice(0, random.chance(0.3) ? random.int(0, file.length) : file.length)).catch(
      (error: unknown) => {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      },
    );
    expect(
      read.lengths.reduce((sum, length) => sum + length, 0),
      `seed ${seed}`,
    ).toBeLessThanOrEqual(file.length);
  }
});
