/**
 * Connections with the same addresses and ports, one after the other, and the mirror's changes of their order. The
 * simulator found each case before its repair; here each is as short as possible.
 */
import { expect, test } from "bun:test";
import { data, type Event, fin, FLUSH, Flows, type FlowsOptions, pause, reset, syn } from "./flows.ts";

/** ISNs at which the numbers of the rules wrap around 2^31 or 2^32. */
const ISNS = [0, 1_000_000, 0x7fff_f000, 0xffff_f000, 0xffff_fffe];

function check(name: string, events: Event[], streams: string[], options: FlowsOptions = {}): void {
  test(name, () => {
    for (const isn of ISNS)
      expect({ isn, streams: new Flows({ isn, ...options }).play(...events).streams }).toEqual({ isn, streams });
  });
}

// Segments that overtake their SYN.
check(
  "bytes that overtake their SYN, while the connection before is open, are delivered with it",
  [syn(0), data(1, "a"), data(5001, "xyz"), syn(5000)],
  ["SYN a …", "SYN xyz …"],
);
check(
  "bytes that overtake their SYN make no hole of length 0",
  [syn(0), data(5001, "xyz"), syn(5000), FLUSH],
  ["SYN flushed", "SYN xyz flushed"],
);
check(
  "a FIN that overtakes its SYN is not the connection before's",
  [syn(0), data(1, "a"), fin(5001, "xyz"), syn(5000), pause(1000)],
  ["SYN a replaced", "SYN xyz fin"],
);
check(
  "a bare FIN that overtakes its SYN is not the connection before's",
  [syn(0), fin(5001), syn(5000), pause(1000)],
  ["SYN replaced", "SYN fin"],
);
check(
  "bytes that overtake their SYN from far away are not lost",
  [syn(0), data(1 + 2 ** 31, "xyz"), syn(2 ** 31)],
  ["SYN …", "SYN xyz …"],
);
check(
  "a bare FIN that overtakes its SYN ends the flow",
  [fin(4), syn(0), data(1, "abc"), pause(1000)],
  ["SYN abc fin"],
);
check(
  "a bare FIN that overtakes its SYN by more than the time limit keeps it from nothing",
  [fin(4), pause(1000), syn(0), data(1, "abc")],
  ["SYN abc …"],
);
check(
  "a FIN that overtakes its SYN does not hide what the connection before sends",
  [syn(0), fin(5004), data(1, "a"), fin(2), data(5001, "xyz"), syn(5000)],
  ["SYN a fin", "SYN xyz fin"],
);
check(
  "a FIN with bytes that overtakes its SYN, and the bytes before it, is behind them",
  [syn(0), fin(5004, "d"), data(1, "a"), syn(5000), fin(2), data(5001, "xyz")],
  ["SYN a fin", "SYN xyzd fin"],
);
check(
  "a truncated FIN that overtakes its SYN ends the flow behind its tail",
  [syn(0), fin(5001, "x", { missing: 3 }), syn(5000), pause(1000)],
  ["SYN replaced", "SYN x <3> fin"],
);
check(
  "tails of two connections are told apart, whichever is further",
  [
    syn(0),
    data(1, "a", { missing: 3 }),
    data(5001, "x", { missing: 7 }),
    data(1, "a", { missing: 2 }),
    data(5001, "x", { missing: 6 }),
    syn(5000),
    FLUSH,
  ],
  ["SYN a <3> flushed", "SYN x <7> flushed"],
);
check(
  "a tail of which nothing is left waits as bytes would",
  [syn(0), data(5, "", { missing: 4 }), data(5001, "x"), syn(5000), FLUSH],
  ["SYN <8> flushed", "SYN x flushed"],
);
check(
  "bytes that overtake their SYN from far away, as it takes the place of an open connection",
  [syn(0), data(1, "a"), data(1 + 2 ** 31, "xyz"), syn(2 ** 31), pause(1000)],
  ["SYN a replaced", "SYN xyz …"],
);
check(
  "bytes that overtake their SYN, some of them within the window of the connection before",
  [syn(0), data(1 + 2 ** 30, "a"), data(2 + 2 ** 30, "bc"), syn(2 ** 30), FLUSH],
  ["SYN flushed", "SYN abc flushed"],
);

// Late segments behind other connections.
const twoConnections = [syn(0), data(1, "abc"), fin(4), syn(5000), data(5001, "x"), fin(5002)];
check(
  "late copies of a connection are known when the next one has ended",
  [...twoConnections, data(1, "abc"), FLUSH],
  ["SYN abc fin", "SYN x fin"],
);
check(
  "a late copy of a SYN is known when the next connection has ended",
  [...twoConnections, syn(0), FLUSH],
  ["SYN abc fin", "SYN x fin"],
);
check(
  "late copies are known two connections later",
  [...twoConnections, syn(-5000), data(1, "abc"), FLUSH],
  ["SYN abc fin", "SYN x fin", "SYN flushed"],
);
check(
  "late bytes of a connection reach it when the next one has ended",
  [syn(0), data(4, "def"), syn(5000), fin(5001), data(1, "abc"), pause(1000)],
  ["SYN abcdef replaced", "SYN fin"],
);
check(
  "late copies are known while the next connection waits for its SYN",
  [syn(0), data(1, "abc"), fin(4), data(5001, "x"), data(2, "bc"), pause(1000)],
  ["SYN abc fin", "- x …"],
);
check(
  "late copies are known while the next connection's SYN is on its way",
  [syn(0), data(1, "abc"), fin(4), data(5001, "x"), data(2, "bc"), syn(5000), pause(1000), FLUSH],
  ["SYN abc fin", "SYN x flushed"],
);

// The end of another connection.
check(
  "a late copy of a truncated segment is no hole of the next connection",
  [
    syn(5000),
    data(5001, "abc", { missing: 5 }),
    fin(5009),
    pause(1000),
    syn(0),
    data(5001, "abc", { missing: 5 }),
    FLUSH,
  ],
  ["SYN abc <5> fin", "SYN flushed"],
);
check(
  "a late copy of a FIN is not the next connection's",
  [syn(5000), fin(5001), syn(0), fin(5001), pause(1000)],
  ["SYN fin", "SYN …"],
);
check(
  "a late copy of a FIN with bytes is not the next connection's",
  [syn(5000), fin(5001, "x"), syn(0), fin(5001, "x"), pause(1000)],
  ["SYN x fin", "SYN …"],
);

check(
  "bytes that come after a reset are the next connection's, and do not share the fate of those that waited",
  [syn(0), data(1, "a"), data(5001, "abc"), reset(2), data(5004, "d"), pause(1000), data(5005, "e")],
  ["SYN a reset", "- de …"],
);
check(
  "bytes that waited when the connection before was reset, and those that came after, are one's with their SYN",
  [syn(0), data(1, "a"), data(5001, "abc"), reset(2), data(5004, "d"), syn(5000), data(5005, "e")],
  ["SYN a reset", "SYN abcde …"],
);
check(
  "bytes that waited when the connection before was reset are as any others behind their SYN",
  [syn(0), data(1, "a"), data(5001, "abc"), reset(2), syn(5000), data(5005, "e"), data(5004, "d"), fin(5006)],
  ["SYN a reset", "SYN abcde fin"],
);
check(
  "of the bytes that come after a reset, those that were delivered are taken off, whatever waited",
  [syn(0), data(1, "abc"), data(5001, "x"), reset(4), data(3, "Xdef"), pause(1000)],
  ["SYN abc reset", "- def …"],
);
check(
  "bytes outside of the window of a connection that ends are picked up, with those that follow them",
  [syn(0), data(1, "a"), data(1 + 2 ** 31, "x"), fin(2), data(2 + 2 ** 31, "y"), pause(1000)],
  ["SYN a fin", "- xy …"],
);
check(
  "bytes outside of the window of a connection that stays are nobody's without their SYN",
  [syn(0), data(1, "a"), data(1 + 2 ** 31, "x"), pause(1000), data(2, "b"), FLUSH],
  ["SYN ab flushed"],
);
check(
  "bytes outside of the window of a connection whose FIN waits behind a hole are picked up, whenever the capture ends",
  [syn(0), data(2, "b"), fin(3), data(1 + 2 ** 31, "x"), FLUSH],
  ["SYN <1> b fin", "- x flushed"],
);
check(
  "bytes outside of the window of a connection that is open when the capture ends are nobody's",
  [syn(0), data(1, "a"), data(1 + 2 ** 31, "x"), FLUSH],
  ["SYN a flushed"],
);

// The next connection's ISN is near.
check(
  "a retransmission is its own connection's, however near the one before ended",
  [syn(0), syn(100), data(101, "a".repeat(1000)), data(101, "aaa"), pause(1000)],
  ["SYN replaced", `SYN ${"a".repeat(1000)} …`],
);
check(
  "late bytes are their own connection's, however near the next one began",
  [syn(0), data(500, "b"), syn(502), data(400, "a".repeat(100)), data(1, "a".repeat(399)), pause(1000)],
  [`SYN ${"a".repeat(499)}b replaced`, "SYN …"],
);

// A SYN after its connection's end.
check(
  "behind a late copy of its SYN, a retransmission that acknowledges less is no new connection",
  [syn(0), fin(1, "abc"), syn(0), data(1, "abc", { acknowledgment: 4000 }), FLUSH],
  ["SYN abc fin"],
);
check(
  "a flow that ended without its SYN is not at ISN 0",
  [data(8, "abc"), pause(1000), reset(11), syn(7), data(9, "b", { acknowledgment: 4000 }), FLUSH],
  ["- abc reset"],
  { isn: 1_000_000 },
);

// Limits and counters.
check(
  "an idle flow is remembered for 60 s from its end",
  [syn(0), data(1, "abc"), pause(300_000), data(3, "\0"), FLUSH],
  ["SYN abc idle"],
);
check("a SYN's bytes that the mirror cut off are a hole", [syn(0, "", { missing: 8 }), FLUSH], ["SYN <8> flushed"]);

test("bytes of a SYN that comes after the end are counted", () => {
  const { counters } = new Flows().play(syn(0, "abc"), fin(4), syn(0, "abc"));
  expect(counters.reassembly.retransmitted_bytes).toBe(3);
});

test("pending bytes below a SYN are counted when it opens the flow", () => {
  const { counters } = new Flows().play(data(5, "x"), data(-20, "abc"), syn(4), FLUSH);
  const { delivered_bytes, retransmitted_bytes, overlap_bytes, discarded_bytes } = counters.reassembly;
  expect(delivered_bytes + retransmitted_bytes + overlap_bytes + discarded_bytes).toBe(4);
});

test("a SYN with more bytes than its flow's FIN allows is no exception", () => {
  expect(() => new Flows().play(fin(1, "abc"), syn(0, "abcdef"))).not.toThrow();
});

test("bytes that are pending exactly at a FIN's number belong to nobody, and open no flow", () => {
  const flows = new Flows().play(syn(0), fin(3), data(3, "x"), data(1, "ab"), pause(2000), FLUSH);
  expect(flows.streams).toEqual(["SYN ab fin"]);
  expect(flows.counters.reassembly).toMatchObject({ out_of_window: 1, retransmitted_bytes: 0 });
});

test("eviction of a flow with a pending FIN stays within the limit", () => {
  const flows = new Flows({ maxFlows: 1 });
  flows.play(syn(0), fin(3), data(5, "xyz"), syn(0, "", { sourcePort: 2 }));
  expect(flows.table.liveCount).toBe(1);
});

test("eviction of the replaced flow leaves the index consistent", () => {
  const flows = new Flows({ maxFlows: 1, gapTimeoutMs: Infinity, idleTimeoutMs: 60_000 });
  flows.play(
    syn(0),
    fin(3),
    data(5, "xyz"),
    syn(5000),
    pause(50_000),
    data(5001, "a"),
    pause(10_000),
    data(5002, "b"),
    FLUSH,
  );
  expect(flows.streams).toContain("SYN ab flushed");
});
