/** Repaired faults that the simulator found, each as short as possible. */
import { expect, test } from "bun:test";
import { data, type Event, fin, FLUSH, Flows, type FlowsOptions, pause, reset, syn } from "./flows.ts";

function mended(name: string, events: Event[], streams: string[], options: FlowsOptions = {}): void {
  test(name, () => {
    expect(new Flows(options).play(...events).streams).toEqual(streams);
  });
}

mended(
  "a late copy of a SYN does not open the next connection",
  [syn(0), fin(1), syn(0), data(50_001, "x", { acknowledgment: 900_000_000 }), pause(1000)],
  ["SYN fin", "- x …"],
);
mended(
  "a late copy of a SYN does not open the next connection before its own SYN does",
  [syn(0), fin(1), syn(0), data(50_001, "x", { acknowledgment: 900_000_000 }), syn(50_000), pause(1000)],
  ["SYN fin", "SYN x …"],
);

mended(
  "a late copy of a SYN does not open the next connection that waits for its own",
  [syn(0), fin(1), data(5001, "x"), syn(0), syn(5000)],
  ["SYN fin", "SYN x …"],
);

mended(
  "a truncated segment that overtakes its SYN is no hole of the connection before",
  [syn(0), data(1, "a"), data(5001, "x", { missing: 7 }), syn(5000), FLUSH],
  ["SYN a flushed", "SYN x <7> flushed"],
);

mended(
  "what late bare segments of the connection before acknowledge is not this one's",
  [
    syn(0),
    fin(1),
    syn(5000),
    data(5001, "abc", { acknowledgment: 795_867_480 }),
    data(1, "", { acknowledgment: 2_689_051_766 }),
    data(2, "", { acknowledgment: 3_000_000_000 }),
    reset(5004),
    data(5001, "abc", { acknowledgment: 795_867_480 }),
    FLUSH,
  ],
  ["SYN fin", "SYN abc reset"],
);

mended(
  "bytes that overtake their SYN are not lost with the reset of the connection before",
  [syn(0), data(1, "a"), data(5001, "abc"), reset(2), syn(5000), data(5004, "d")],
  ["SYN a reset", "SYN abcd …"],
);

mended(
  "a truncated segment that overtakes its SYN does not hide the tail that the connection before lacks",
  [syn(0), data(1, "a", { missing: 3 }), data(5001, "x", { missing: 7 }), syn(5000), FLUSH],
  ["SYN a <3> flushed", "SYN x <7> flushed"],
);
mended(
  "a FIN that overtakes its SYN does not hide the FIN of the connection before",
  [syn(0), data(1, "a"), fin(5001), fin(2), syn(5000)],
  ["SYN a fin", "SYN fin"],
);
mended(
  "bytes that overtake their SYN stay together when the connection before ends",
  [syn(0), data(5001, "abc"), fin(3), data(5004, "def"), data(1, "ab"), syn(5000)],
  ["SYN ab fin", "SYN abcdef …"],
);
mended(
  "what a segment that overtakes its SYN acknowledges is not the connection before's",
  [
    syn(0),
    { ...data(1, "abc"), flags: "" },
    data(5001, "x", { acknowledgment: 934_550_190 }),
    reset(4),
    data(3, "\0", { acknowledgment: 2_418_343_883 }),
    FLUSH,
  ],
  ["SYN abc reset"],
);

mended(
  "a keep-alive probe with a byte that overtakes the SYN whose number it repeats is no connection",
  [data(0, "x"), syn(0), data(1, "abc"), FLUSH],
  ["SYN abc flushed"],
);
mended(
  "a keep-alive probe with a byte and the SYN's number is no connection when its own has ended",
  [syn(0), data(1, "abc"), fin(4), data(0, "x"), FLUSH],
  ["SYN abc fin"],
);
mended(
  "a keep-alive probe with a byte and the SYN's number is no connection when its own has begun",
  [syn(0), data(1, "abc"), data(0, "x"), fin(4), FLUSH],
  ["SYN abc fin"],
);

mended(
  "a SYN with the same ISN that overtakes the FIN of the connection before opens the next one",
  [
    syn(0),
    data(1, "abc", { acknowledgment: 21_001 }),
    syn(0),
    fin(4, "", { acknowledgment: 21_024 }),
    data(1, "xyz", { acknowledgment: 23_001 }),
    FLUSH,
  ],
  ["SYN abc fin", "SYN xyz flushed"],
);

mended(
  "a late FIN is its own connection's where the next one has bytes of the same numbers",
  [
    syn(0),
    data(1, "a".repeat(100), { acknowledgment: 1 }),
    fin(101, "", { acknowledgment: 1 }),
    syn(50),
    data(51, "x".repeat(10), { acknowledgment: 900_000_000 }),
    fin(101, "", { acknowledgment: 1 }),
    data(61, "y".repeat(60), { acknowledgment: 900_000_000 }),
    FLUSH,
  ],
  [`SYN ${"a".repeat(100)} fin`, `SYN ${"x".repeat(10)}${"y".repeat(60)} flushed`],
);

mended(
  "late bytes from before the first that were seen are no connection of their own when its SYN came later still",
  [data(5, "b"), pause(1000), syn(0), reset(6), data(1, "aaaa"), FLUSH],
  ["- b reset"],
);

// The acknowledgments of the first connection's client, and of the second's, whose SYN has the same ISN.
const X = { acknowledgment: 21_001 };
const Y = { acknowledgment: 900_000_000 };
mended(
  "first bytes that overtake their SYN, and the end of the connection before, of which they have the numbers, wait for it",
  [syn(0), data(1, "ab", X), data(1, "x", Y), syn(0), data(3, "c", X), fin(4, "", X), data(2, "yz", Y), FLUSH],
  ["SYN abc fin", "SYN xyz flushed"],
);
mended(
  "first bytes that overtake their SYN, where bytes of the same numbers wait, wait for it",
  [
    syn(0),
    data(1, "a", X),
    data(3, "cd", X),
    data(5, "e", X),
    data(3, "xyz", Y),
    data(2, "b", X),
    fin(6, "", X),
    syn(2),
    FLUSH,
  ],
  ["SYN abcde fin", "SYN xyz flushed"],
);
mended(
  "of two copies that overtake their SYN the first is right, though the connection before has it wait",
  [syn(0), data(1, "a", X), data(3, "x", Y), data(3, "y", Y), syn(2), FLUSH],
  ["SYN a flushed", "SYN x flushed"],
);
mended(
  "first bytes behind a second SYN with the same ISN open the next connection before the end of the one before",
  [syn(0), data(1, "ab", X), syn(0), data(1, "x", Y), data(3, "c", X), fin(4, "", X), data(2, "yz", Y), FLUSH],
  ["SYN abc fin", "SYN xyz flushed"],
);
mended(
  "so do those that reach further than the connection before",
  [syn(0), data(1, "ab", X), syn(0), data(1, "xyz", Y), fin(3, "", X), data(4, "z", Y), FLUSH],
  ["SYN ab fin", "SYN xyzz flushed"],
);
mended(
  "bytes that overtake the first ones and a SYN with the same ISN wait for both",
  [syn(0), data(1, "ab", X), fin(3, "", X), data(2, "yz", Y), syn(0), data(1, "x", Y), FLUSH],
  ["SYN ab fin", "SYN xyz flushed"],
);
mended(
  "bytes that overtake the first ones, behind a SYN with the same ISN, wait for them",
  [syn(0), data(1, "ab", X), fin(3, "", X), syn(0), data(2, "yz", Y), data(1, "x", Y), FLUSH],
  ["SYN ab fin", "SYN xyz flushed"],
);
mended(
  "what a bare segment acknowledges that overtakes its SYN, and the end of the connection before, is not that one's",
  [syn(0), data(1, "abc", X), data(1, "", Y), syn(0), fin(4, "", X), data(1, "xyz", Y), FLUSH],
  ["SYN abc fin", "SYN xyz flushed"],
);
mended(
  "a late FIN is its own connection's where the next one's client has acknowledged nothing yet",
  [syn(0), data(1, "abc", X), fin(4, "", X), syn(2), fin(4, "", X), data(3, "wxyz", Y), FLUSH],
  ["SYN abc fin", "SYN wxyz flushed"],
);
mended(
  "what waits when the next one's SYN comes stays its own connection's, though it has numbers of the next one's",
  [
    syn(0),
    data(1, "abc", X),
    data(5, "e", X),
    fin(6, "", X),
    syn(2),
    data(1, "", X),
    data(3, "", Y),
    data(4, "d", X),
    data(3, "vwxyz", Y),
    FLUSH,
  ],
  ["SYN abcde fin", "SYN vwxyz flushed"],
);
mended(
  "late bytes are their own connection's where the next one's client has acknowledged nothing yet",
  [syn(0), data(1, "ab", X), data(3, "cde", X), fin(6, "", X), syn(1), data(3, "cde", X), data(2, "wxyz", Y), FLUSH],
  ["SYN abcde fin", "SYN wxyz flushed"],
);
mended(
  "bytes that overtake their SYN are not those of the connection before the last, though its client acknowledged the like",
  [
    syn(0),
    data(1, "a", X),
    fin(2, "", X),
    syn(5000),
    data(9001, "xyz", X),
    data(5001, "b", Y),
    fin(5002, "", Y),
    syn(9000),
    FLUSH,
  ],
  ["SYN a fin", "SYN b fin", "SYN xyz flushed"],
);
mended(
  "a late copy of a FIN that waited is known, whatever SYN came again",
  [
    syn(0),
    fin(2, "", { acknowledgment: 21_100 }),
    data(1, "a", X),
    syn(0),
    fin(2, "", { acknowledgment: 21_100 }),
    data(1, "xyz", Y),
    FLUSH,
  ],
  ["SYN a fin", "SYN xyz flushed"],
);
mended(
  "bytes that overtake a SYN with the same ISN are kept also if they acknowledge but a little more than the connection before",
  [
    syn(0),
    data(1, "abc", X),
    fin(4, "", X),
    data(1, "x", { acknowledgment: 23_001 }),
    data(2, "y", { acknowledgment: 23_001 }),
    syn(0),
    FLUSH,
  ],
  ["SYN abc fin", "SYN xy flushed"],
);

test("bytes that could belong to the next connection are retransmissions if its SYN does not come", () => {
  const { counters, streams } = new Flows().play(
    syn(0),
    data(1, "abc", X),
    fin(4, "", X),
    data(1, "abc", { acknowledgment: 23_001 }),
    FLUSH,
  );
  expect(streams).toEqual(["SYN abc fin"]);
  expect(counters.reassembly).toMatchObject({ retransmitted_bytes: 3, discarded_bytes: 0, out_of_window: 0 });
});

const gib = (count: number) => ({ acknowledgment: count * 2 ** 30 });
mended(
  "a late copy is known also when the client has acknowledged more than sequence numbers can tell",
  [
    syn(0),
    data(1, "a", gib(0)),
    ...[0.9, 1.8, 2.7].map((count) => data(2, "", gib(count))),
    data(1, "a", gib(2.7)),
    fin(2, "b", gib(2.7)),
    pause(1000),
  ],
  ["SYN ab fin"],
);

test("a FIN that is pending twice, alone and behind truncated bytes, is no byte out of the window", () => {
  const flows = new Flows().play(syn(0), fin(5), data(2, "bcd"), fin(3, "c", { missing: 1 }), data(1, "a"));
  expect(flows.streams).toEqual(["SYN abcd fin"]);
  expect(flows.counters.reassembly.out_of_window).toBe(0);
});

mended(
  "of bytes that overtake their SYN the first copy wins, in whichever of the connections before it waited",
  [
    syn(0),
    data(1, "a", X),
    syn(5000),
    data(5001, "b", Y),
    { ...data(9001, "xyz"), flags: "" },
    pause(1),
    data(9003, "G", X),
    fin(2, "", X),
    syn(9000),
    FLUSH,
  ],
  ["SYN a fin", "SYN b flushed", "SYN xyz flushed"],
);

// A connection whose first bytes have the numbers of the previous one, which has not ended yet.
mended(
  "first bytes that overtake their SYN, and begin with numbers of the connection before but reach further, wait for it",
  [syn(0), data(1, "ab", X), data(1, "xyz", Y), syn(0), fin(3, "", X), FLUSH],
  ["SYN ab fin", "SYN xyz flushed"],
);
mended(
  "a late FIN is its own connection's where the next one has come just as far",
  [syn(0), data(1, "ab", X), data(1, "xy", Y), syn(0), fin(3, "", X), data(3, "z", Y), FLUSH],
  ["SYN ab fin", "SYN xyz flushed"],
);
mended(
  "a late FIN is its own connection's where the next one, of which only the SYN has come, begins",
  [syn(0), data(1, "a", X), syn(1), fin(2, "", X), data(2, "xy", Y), FLUSH],
  ["SYN a fin", "SYN xy flushed"],
);
mended(
  "so is a late copy of it",
  [syn(0), data(1, "a", X), fin(2, "", X), syn(1), fin(2, "", X), data(2, "xy", Y), FLUSH],
  ["SYN a fin", "SYN xy flushed"],
);
mended(
  "a SYN with the same ISN opens the next connection also where all that came of the one before waits behind a hole",
  [syn(0), data(2, "b", X), syn(0), data(1, "a", X), fin(3, "", X), data(1, "xy", Y), FLUSH],
  ["SYN ab fin", "SYN xy flushed"],
);
mended(
  "bytes that wait in the connection before come to the next one with the same ISN when it opens",
  [syn(0), data(1, "a", X), data(3, "z", Y), syn(0), data(1, "xy", Y), fin(2, "", X), FLUSH],
  ["SYN a fin", "SYN xyz flushed"],
);
mended(
  "what a bare segment acknowledges that overtakes its SYN is not the connection before's, of which bytes wait",
  [
    syn(0),
    data(1, "", X),
    data(2, "b", X),
    data(1, "", Y),
    syn(0),
    data(1, "xy", Y),
    data(1, "a", X),
    fin(3, "", X),
    FLUSH,
  ],
  ["SYN ab fin", "SYN xy flushed"],
);
mended(
  "what waits when the next one's SYN comes stays its own connection's where bytes of the next one wait that acknowledge other things",
  [syn(0), data(1, "a", X), data(3, "cd", X), data(3, "xyz", Y), syn(2), data(2, "b", X), fin(5, "", X), FLUSH],
  ["SYN abcd fin", "SYN xyz flushed"],
);
mended(
  "what a late bare segment behind a FIN acknowledges is not the next connection's that begins there",
  [
    syn(0),
    data(1, "a", X),
    fin(2, "", X),
    syn(2),
    data(3, "", X),
    data(4, "y", Y),
    data(3, "", Y),
    fin(5, "", Y),
    data(3, "x", Y),
    FLUSH,
  ],
  ["SYN a fin", "SYN xy fin"],
);
