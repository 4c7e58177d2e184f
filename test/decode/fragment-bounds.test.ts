/** The table of fragments at its limits: number, bytes and time. */
import { describe, expect, test } from "bun:test";
import { CaptureClock } from "../../src/decode/capture-clock.ts";
import { type Datagram, Layer } from "../../src/decode/datagram.ts";
import { DATAGRAMS_MAX, FRAGMENT_BYTES_MAX, FRAGMENT_TIMEOUT_MS, FragmentTable } from "../../src/decode/fragments.ts";
import { IpHeader } from "../../src/decode/ip.ts";
import { Counters } from "../../src/observe/counters.ts";
import { ip, TCP } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { Decoding, segmentOf } from "./decoding.ts";
import { FRAGMENT, innerFragments, mirror, SEGMENT } from "./fragmenting.ts";

const EPOCH_MS = 1_700_000_000_000;

const first = (i: number) => innerFragments(SEGMENT, [80], { identification: i })[0]!;
const second = (i: number) => innerFragments(SEGMENT, [80], { identification: i })[1]!;

test("DATAGRAMS_MAX datagrams can wait, and all of them can be completed", () => {
  const decoding = new Decoding();
  for (let i = 0; i < DATAGRAMS_MAX; i++) expect(decoding.feed(first(i))).toEqual(FRAGMENT);
  for (let i = 0; i < DATAGRAMS_MAX; i++) expect(decoding.feed(second(i))).toEqual(segmentOf(SEGMENT));
  expect(decoding.counters.fragments).toEqual({ completed: DATAGRAMS_MAX, expired: 0, evicted: 0 });
});

test("one more: the oldest is given up and counted, the others are not", () => {
  const decoding = new Decoding();
  for (let i = 0; i <= DATAGRAMS_MAX; i++) expect(decoding.feed(first(i))).toEqual(FRAGMENT);
  expect(decoding.counters.fragments).toEqual({ completed: 0, expired: 0, evicted: 1 });
  for (let i = 1; i <= DATAGRAMS_MAX; i++) expect(decoding.feed(second(i))).toEqual(segmentOf(SEGMENT));
  expect(decoding.feed(second(0))).toEqual(FRAGMENT);
  expect(decoding.counters.fragments).toEqual({ completed: DATAGRAMS_MAX, expired: 0, evicted: 1 });
});

test("a full table completes a datagram of one more fragment without giving up another", () => {
  const decoding = new Decoding();
  for (let i = 0; i < DATAGRAMS_MAX; i++) decoding.feed(first(i));
  expect(decoding.feed(second(DATAGRAMS_MAX - 1))).toEqual(segmentOf(SEGMENT));
  expect(decoding.feed(first(DATAGRAMS_MAX))).toEqual(FRAGMENT);
  expect(decoding.counters.fragments.evicted).toBe(0);
});

test("an oversize fragment takes no place in the table", () => {
  const decoding = new Decoding();
  for (let i = 0; i < DATAGRAMS_MAX * 2; i++) {
    decoding.feed(
      mirror(
        ip(SEGMENT.source, SEGMENT.destination, TCP, new Uint8Array(8), { fragmentOffset: 65_528, identification: i }),
      ),
    );
  }
  expect(decoding.counters.fragments.evicted).toBe(0);
});

/** A table, and fragments that are put into it without a frame around them. */
class Table {
  readonly counters = new Counters().fragments;
  readonly clock = new CaptureClock();
  readonly table = new FragmentTable(this.counters, this.clock);
  private readonly bytes = new Uint8Array(65_536 + 8);
  private readonly view = new DataView(this.bytes.buffer);
  private readonly header = new IpHeader();

  constructor() {
    this.clock.advance(EPOCH_MS);
  }

  /** Sets the content of all fragments from now on. */
  fill(byte: number): void {
    this.bytes.fill(byte, 8);
  }

  /** A fragment at `at` that claims `length` bytes; `last`: it is the last one. */
  add(identification: number, at: number, length: number, last = false) {
    Object.assign(this.header, {
      version: 4,
      sourceOffset: 0,
      destinationOffset: 4,
      identification,
      fragmentOffset: at,
      moreFragments: !last,
      missingLength: 0,
    });
    const datagram = this.table.add(Layer.INNER, 0, this.bytes, this.view, this.header, TCP, 8, length);
    expect(this.table.bytes).toBeLessThanOrEqual(FRAGMENT_BYTES_MAX);
    expect(this.table.size).toBeLessThanOrEqual(DATAGRAMS_MAX);
    return datagram;
  }
}

test("FRAGMENT_BYTES_MAX can be filled, and one byte more gives up the oldest", () => {
  // The capacity of an array before it grows.
  const length = 32 << 10;
  const probe = new Table();
  probe.add(0, 0, length);
  const charge = probe.table.bytes;
  expect(charge).toBeGreaterThanOrEqual(length);

  const full = new Table();
  const count = Math.floor(FRAGMENT_BYTES_MAX / charge);
  for (let i = 0; i < count; i++) full.add(i, 0, length);
  expect(full.table.bytes).toBe(count * charge);
  expect(FRAGMENT_BYTES_MAX - full.table.bytes).toBeLessThan(length);
  expect(full.counters).toEqual({ completed: 0, expired: 0, evicted: 0 });

  full.add(count - 1, length, 1);
  expect(full.counters.evicted).toBe(1);
  expect(full.table.size).toBe(count - 1);
  // The second is still there; the first is not.
  expect(full.add(1, length, 7, true)).toHaveProperty("presentLength", length + 7);
  expect(full.add(0, length, 7, true)).toBeNull();
});

test("datagrams with costs of FRAGMENT_BYTES_MAX together wait, and one more gives up the oldest", () => {
  // Arrays of powers of two, and what each datagram costs beside its own.
  const lengths = [...Array<number>(251).fill(65_535), 32_768, 16_384, 4096, 2048, 2048];
  const full = new Table();
  lengths.forEach((length, i) => full.add(i, 0, length));
  expect([full.table.bytes, full.table.size, full.counters.evicted]).toEqual([FRAGMENT_BYTES_MAX, lengths.length, 0]);
  full.add(lengths.length, 0, 8);
  expect([full.table.size, full.counters.evicted]).toEqual([lengths.length, 1]);
});

test("a datagram waits for its fragments as long as it may, and no longer", () => {
  const table = new Table();
  table.add(0, 0, 8);
  for (const [ms, size] of [
    [FRAGMENT_TIMEOUT_MS - 1, 1],
    [FRAGMENT_TIMEOUT_MS, 0],
  ] as const) {
    table.clock.advance(EPOCH_MS + ms);
    table.table.expire();
    expect([table.table.size, table.counters.expired]).toEqual([size, 1 - size]);
  }
});

test.each(["in order", "backwards", "at random", "every second first"])(
  "a datagram in as many fragments as there can be, %s, is put together, and costs no more a fragment than a few",
  (order) => {
    const fragments = 65_528 / 8;
    const random = new Random(1);
    const places = Array.from({ length: fragments }, (_, i) => i);
    if (order === "backwards") places.reverse();
    if (order === "at random") places.sort(() => random.next() - 0.5);
    if (order === "every second first") places.sort((a, b) => (b & 1) - (a & 1) || a - b);
    const table = new Table();
    table.fill(7);
    const addAll = (identification: number, of: number[]) =>
      of.reduce<Datagram | null | undefined>(
        (_, place) => table.add(identification, 8 * place, 8, place === fragments - 1),
        null,
      );
    const whole = addAll(0, places)!;
    expect(whole.presentLength).toBe(65_528);
    expect(whole.bytes.subarray(whole.payloadOffset).every((byte) => byte === 7)).toBe(true);
    const nsOf = (run: () => void) => {
      const begunNs = Bun.nanoseconds();
      run();
      return (Bun.nanoseconds() - begunNs) / fragments;
    };
    // Each run has the same number of fragments; other work on the machine makes no run faster.
    const runs = (run: () => void) => Math.min(...Array.from({ length: 5 }, () => nsOf(run)));
    let identification = 1;
    const few = runs(() =>
      places.forEach((place, i) => (i % 8 === 0 && identification++, table.add(identification, 8 * (place & 7), 8))),
    );
    const many = runs(() => addAll(++identification, places));
    expect(many).toBeLessThan(20 * few);
  },
);

test("the bytes of completed, expired or evicted datagrams are given back", () => {
  const { table, clock, counters, add } = withAdd(new Table());
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 100; i++) add(i, 0, 1480);
    for (let i = 0; i < 100; i++) expect(add(i, 1480, 100, true)).not.toBeNull();
  }
  expect([table.size, table.bytes]).toEqual([0, 0]);
  for (let i = 0; i < 5000; i++) add(i, 8 * (i % 8000), 1480);
  clock.advance(EPOCH_MS + FRAGMENT_TIMEOUT_MS);
  table.expire();
  expect([table.size, table.bytes]).toEqual([0, 0]);
  expect(counters.completed).toBe(300);
  expect(counters.expired + counters.evicted).toBe(5000);
});

function withAdd(of: Table) {
  return { table: of.table, clock: of.clock, counters: of.counters, add: of.add.bind(of) };
}

test("a flood of fragments that each claim a whole datagram: memory reaches a level and stays there", () => {
  const { table, counters, add } = withAdd(new Table());
  const [warmUp, flood] = [5000, 40_000];
  let level = 0;
  let highest = 0;
  for (let i = 0; i < flood; i++) {
    add(i, 65_000, 8);
    if (i % 100 !== 0) continue;
    const { rss } = process.memoryUsage();
    if (i < warmUp) level = Math.max(level, rss);
    else highest = Math.max(highest, rss);
  }
  expect(counters.evicted + table.size).toBe(flood);
  // About 4 GiB were allocated meanwhile; the amount of garbage varies with the machine's load.
  expect(highest - level).toBeLessThan(256 * 2 ** 20);
}, 60_000);

describe("the time of fragments is the capture's", () => {
  const steady = innerFragments({ ...SEGMENT, destinationPort: 81 }, [])[0]!;
  /** Other frames, one a second. */
  const pass = (decoding: Decoding, fromMs: number, seconds: number) => {
    for (let i = 0; i < seconds; i++) decoding.feed(steady, 1, fromMs + i * 1000);
  };

  test("one frame with another time, ahead or behind, gives nothing up", () => {
    const decoding = new Decoding();
    pass(decoding, EPOCH_MS, 5);
    expect(decoding.feed(first(1), 1, EPOCH_MS + 5000)).toEqual(FRAGMENT);
    for (const wrongMs of [EPOCH_MS + 301_000, EPOCH_MS * 2.5, 0]) decoding.feed(steady, 1, wrongMs);
    expect(decoding.feed(second(1), 1, EPOCH_MS + 5001)).toHaveProperty("outcome", "segment");
    expect(decoding.counters.fragments.expired).toBe(0);
  });

  test("a datagram is given up after 30 s even if the clock that stamped its frames was set back", () => {
    const decoding = new Decoding();
    pass(decoding, EPOCH_MS + 3_600_000, 5);
    pass(decoding, EPOCH_MS, 5);
    expect(decoding.feed(first(2), 1, EPOCH_MS + 5000)).toEqual(FRAGMENT);
    pass(decoding, EPOCH_MS + 5000, 31);
    expect(decoding.feed(second(2), 1, EPOCH_MS + 36_000)).toEqual(FRAGMENT);
    expect(decoding.counters.fragments).toEqual({ completed: 0, expired: 1, evicted: 0 });
  });

  test("after a long silence, the fragments of a datagram are as close together as they were captured", () => {
    const decoding = new Decoding();
    pass(decoding, EPOCH_MS, 5);
    const silentMs = EPOCH_MS + 400_000;
    expect(decoding.feed(first(3), 1, silentMs)).toEqual(FRAGMENT);
    pass(decoding, silentMs, 5);
    expect(decoding.feed(second(3), 1, silentMs + 5000)).toHaveProperty("outcome", "segment");
  });
});
