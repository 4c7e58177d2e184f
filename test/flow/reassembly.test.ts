/** The rules of DESIGN.md's section Reassembly, one by one, at sequence numbers that wrap and that do not. */
import { describe, expect, test } from "bun:test";
import { data, type Event, fin, FLUSH, Flows, type FlowsOptions, pause, reset, syn } from "./flows.ts";

interface Rule {
  name: string;
  options?: FlowsOptions;
  events: Event[];
  streams: string[];
  /** The counters of `reassembly` that are not zero. */
  counts?: Record<string, number>;
}

/** ISNs at which the first bytes of each rule, or its last ones, wrap around 2^31 or 2^32. */
const ISNS = [0, 1_000_000, 0x7fff_fffd, 0xffff_fff0, 0xffff_fffd, 0xffff_ffff];

function check(title: string, rules: Rule[]): void {
  describe(title, () => {
    test.each(rules)("$name", ({ options = {}, events, streams, counts }) => {
      for (const isn of ISNS) {
        const flows = new Flows({ ...options, isn }).play(...events);
        expect({ isn, streams: flows.streams }).toEqual({ isn, streams });
        if (counts === undefined) continue;
        const { delivered_bytes: _, ...rest } = flows.counters.reassembly;
        const counted = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== 0));
        expect({ isn, ...counted }).toEqual({ isn, ...counts });
      }
    });
  });
}

const many = (count: number, event: (i: number) => Event): Event[] => Array.from({ length: count }, (_, i) => event(i));

check("bytes in order", [
  { name: "come at once", events: [syn(0), data(1, "abc"), data(4, "def")], streams: ["SYN abcdef …"], counts: {} },
  {
    name: "that are repeated are dropped",
    events: [syn(0), data(1, "abc"), data(1, "abc"), data(2, "b")],
    streams: ["SYN abc …"],
    counts: { retransmitted_bytes: 4 },
  },
  {
    name: "the first copy of a byte wins",
    events: [syn(0), data(1, "abc"), data(1, "XYZ")],
    streams: ["SYN abc …"],
    counts: { retransmitted_bytes: 3 },
  },
  {
    name: "an overlap is trimmed in front",
    events: [syn(0), data(1, "abc"), data(2, "XYde")],
    streams: ["SYN abcde …"],
    counts: { overlap_bytes: 2 },
  },
  {
    name: "a keep-alive probe's byte is a retransmission",
    events: [syn(0), data(1, "abc"), data(3, "\0"), data(4, "d")],
    streams: ["SYN abcd …"],
    counts: { retransmitted_bytes: 1 },
  },
  {
    name: "a segment without bytes changes nothing",
    events: [syn(0), data(1, ""), data(1, "a"), data(2, "")],
    streams: ["SYN a …"],
    counts: {},
  },
  { name: "a bare segment opens no flow", events: [data(1, ""), fin(1), reset(1)], streams: [] },
]);

check("bytes out of order", [
  {
    name: "wait for the bytes before them",
    events: [syn(0), data(4, "def"), data(7, "ghi"), data(1, "abc")],
    streams: ["SYN abcdefghi …"],
    counts: { out_of_order: 2 },
  },
  {
    name: "come in any order",
    events: [syn(0), data(7, "ghi"), data(4, "def"), data(10, "j"), data(1, "abc")],
    streams: ["SYN abcdefghij …"],
    counts: { out_of_order: 3 },
  },
  {
    name: "pending bytes came first, and win",
    events: [syn(0), data(4, "def"), data(1, "abcXYZ")],
    streams: ["SYN abcdef …"],
    counts: { out_of_order: 1, overlap_bytes: 3 },
  },
  {
    name: "pending bytes win in the middle of a segment",
    events: [syn(0), data(4, "def"), data(1, "abcXYZghi")],
    streams: ["SYN abcdefghi …"],
    counts: { out_of_order: 1, overlap_bytes: 3 },
  },
  {
    name: "pending bytes win over later pending bytes",
    events: [syn(0), data(4, "def"), data(3, "cXXXg"), data(1, "ab")],
    streams: ["SYN abcdefg …"],
    counts: { out_of_order: 2, overlap_bytes: 3 },
  },
  {
    name: "one segment fills several holes",
    events: [syn(0), data(3, "c"), data(6, "f"), data(1, "abXdeXg")],
    streams: ["SYN abcdefg …"],
    counts: { out_of_order: 2, overlap_bytes: 2 },
  },
  {
    name: "one segment fills several holes between pending bytes",
    events: [syn(0), data(3, "c"), data(6, "f"), data(2, "bXdeXg"), data(1, "a")],
    streams: ["SYN abcdefg …"],
    counts: { out_of_order: 3, overlap_bytes: 2 },
  },
  {
    name: "repeated pending bytes are dropped",
    events: [syn(0), data(4, "def"), data(4, "XYZ"), data(5, "X"), data(1, "abc")],
    streams: ["SYN abcdef …"],
    counts: { out_of_order: 3, retransmitted_bytes: 4 },
  },
  {
    name: "a segment begins in delivered bytes and ends in pending ones",
    events: [syn(0), data(1, "ab"), data(4, "de"), data(2, "XcXXf")],
    streams: ["SYN abcdef …"],
    counts: { out_of_order: 1, overlap_bytes: 3 },
  },
]);

check("the limit of segments that wait", [
  {
    name: "0: a hole is given up at once",
    options: { maxPendingPackets: 0 },
    events: [syn(0), data(4, "def")],
    streams: ["SYN <3> def …"],
    counts: { out_of_order: 1, gaps: 1, gap_bytes: 3, pending_limit: 1 },
  },
  {
    name: "0: bytes in order pass",
    options: { maxPendingPackets: 0 },
    events: [syn(0), data(1, "abc"), data(4, "def")],
    streams: ["SYN abcdef …"],
    counts: {},
  },
  {
    name: "1: one segment is pending",
    options: { maxPendingPackets: 1 },
    events: [syn(0), data(4, "def")],
    streams: ["SYN …"],
    counts: { out_of_order: 1 },
  },
  {
    name: "1: with a second one, the hole before the first is given up",
    options: { maxPendingPackets: 1 },
    events: [syn(0), data(4, "def"), data(8, "h")],
    streams: ["SYN <3> def …"],
    counts: { out_of_order: 2, gaps: 1, gap_bytes: 3, pending_limit: 1 },
  },
  {
    name: "1: the second one is before the first",
    options: { maxPendingPackets: 1 },
    events: [syn(0), data(8, "h"), data(4, "def")],
    streams: ["SYN <3> def …"],
    counts: { out_of_order: 2, gaps: 1, gap_bytes: 3, pending_limit: 1 },
  },
  {
    name: "3: at the limit nothing is given up",
    options: { maxPendingPackets: 3 },
    events: [syn(0), ...many(3, (i) => data(3 + 2 * i, "x")), data(1, "ab")],
    streams: ["SYN abx …"],
    counts: { out_of_order: 3 },
  },
  {
    name: "3: over the limit one hole is given up, the first",
    options: { maxPendingPackets: 3 },
    events: [syn(0), ...many(4, (i) => data(3 + 2 * i, "x"))],
    streams: ["SYN <2> x …"],
    counts: { out_of_order: 4, gaps: 1, gap_bytes: 2, pending_limit: 1 },
  },
  {
    name: "3: copies of pending segments do not count",
    options: { maxPendingPackets: 3 },
    events: [syn(0), ...many(3, (i) => data(3 + 2 * i, "x")), ...many(9, () => data(3, "x"))],
    streams: ["SYN …"],
    counts: { out_of_order: 12, retransmitted_bytes: 9 },
  },
  {
    name: "nothing is pending when the hole is filled",
    options: { maxPendingPackets: 3 },
    events: [
      syn(0),
      ...many(3, (i) => data(2 + i, "x")),
      data(1, "a"),
      ...many(3, (i) => data(6 + i, "y")),
      data(5, "b"),
    ],
    streams: ["SYN axxxbyyy …"],
    counts: { out_of_order: 6 },
  },
]);

check("the time limit of a hole", [
  {
    name: "just before it, the hole waits",
    events: [syn(0), data(4, "def"), pause(899), pause(100), data(1, "abc")],
    streams: ["SYN abcdef …"],
    counts: { out_of_order: 1 },
  },
  {
    name: "at it, the hole is given up although no segment comes",
    events: [syn(0), data(4, "def"), pause(900), pause(100)],
    streams: ["SYN <3> def …"],
    counts: { out_of_order: 1, gaps: 1, gap_bytes: 3 },
  },
  {
    name: "at it, a segment's own time gives the hole up",
    events: [syn(0), data(4, "def"), pause(900), pause(100), data(7, "ghi")],
    streams: ["SYN <3> defghi …"],
  },
  {
    name: "late bytes of a gap are dropped",
    events: [syn(0), data(4, "def"), pause(1000), data(1, "abc")],
    streams: ["SYN <3> def …"],
    counts: { out_of_order: 1, gaps: 1, gap_bytes: 3, retransmitted_bytes: 3 },
  },
  {
    name: "each hole has its own time",
    events: [syn(0), data(3, "c"), pause(500), data(5, "e"), pause(500), pause(400)],
    streams: ["SYN <2> c …"],
  },
  {
    name: "each hole is given up at its own time",
    events: [syn(0), data(3, "c"), pause(500), data(5, "e"), pause(500), pause(500)],
    streams: ["SYN <2> c <1> e …"],
    counts: { out_of_order: 2, gaps: 2, gap_bytes: 3 },
  },
  {
    name: "none: pending segments stay pending",
    options: { gapTimeoutMs: Infinity },
    events: [syn(0), data(4, "def"), pause(200_000), data(1, "abc")],
    streams: ["SYN abcdef …"],
  },
]);

check("FIN", [
  { name: "ends the stream", events: [syn(0), data(1, "abc"), fin(4)], streams: ["SYN abc fin"] },
  { name: "ends an empty stream", events: [syn(0), fin(1)], streams: ["SYN fin"] },
  { name: "with bytes ends behind them", events: [syn(0), data(1, "abc"), fin(4, "def")], streams: ["SYN abcdef fin"] },
  { name: "on a SYN is no client's", events: [{ ...syn(0, "abc"), flags: "SF" }], streams: [] },
  {
    name: "takes effect when the bytes before it have come",
    events: [syn(0), fin(4), data(1, "abc")],
    streams: ["SYN abc fin"],
  },
  {
    name: "with bytes waits behind a hole",
    events: [syn(0), fin(4, "def"), data(1, "abc")],
    streams: ["SYN abcdef fin"],
  },
  {
    name: "takes effect when the bytes before it are given up",
    events: [syn(0), data(1, "a"), fin(4), pause(1000)],
    streams: ["SYN a <2> fin"],
    counts: { gaps: 1, gap_bytes: 2 },
  },
  {
    name: "waits for its time",
    events: [syn(0), data(1, "a"), fin(4), pause(899), pause(100), data(2, "bc")],
    streams: ["SYN abc fin"],
    counts: {},
  },
  {
    name: "behind two holes",
    events: [syn(0), data(3, "c"), fin(6), pause(1000)],
    streams: ["SYN <2> c <2> fin"],
    counts: { out_of_order: 1, gaps: 2, gap_bytes: 4 },
  },
  {
    name: "that is repeated changes nothing",
    events: [syn(0), fin(4), fin(4), data(1, "abc"), fin(4), fin(2, "bc")],
    streams: ["SYN abc fin"],
  },
  {
    name: "the first one sets the end",
    events: [syn(0), data(1, "abc"), fin(5), fin(9), data(4, "d")],
    streams: ["SYN abcd fin"],
  },
  {
    name: "below the delivered bytes is ignored",
    events: [syn(0), data(1, "abc"), fin(2), data(4, "d")],
    streams: ["SYN abcd …"],
  },
  {
    name: "bytes beyond it do not belong to the stream",
    events: [syn(0), fin(4), data(1, "abcdef"), FLUSH],
    streams: ["SYN abc fin"],
  },
]);

check("RST", [
  {
    name: "at exactly the next sequence number ends the stream",
    events: [syn(0), data(1, "abc"), reset(4)],
    streams: ["SYN abc reset"],
  },
  {
    name: "with the ACK flag as well",
    events: [syn(0), data(1, "abc"), { ...reset(4), flags: "RA" }],
    streams: ["SYN abc reset"],
  },
  { name: "below it is forged", events: [syn(0), data(1, "abc"), reset(3), data(4, "d")], streams: ["SYN abcd …"] },
  { name: "above it is forged", events: [syn(0), data(1, "abc"), reset(5), data(4, "d")], streams: ["SYN abcd …"] },
  {
    name: "at a pending byte is forged",
    events: [syn(0), data(4, "def"), reset(7), data(1, "abc")],
    streams: ["SYN abcdef …"],
  },
  {
    name: "discards pending bytes",
    events: [syn(0), data(4, "def"), reset(1), FLUSH],
    streams: ["SYN reset"],
    counts: { out_of_order: 1, discarded_bytes: 3 },
  },
  { name: "of no flow is nothing", events: [reset(1), pause(0)], streams: [] },
  { name: "after the end has no effect", events: [syn(0), fin(1), reset(2), reset(1)], streams: ["SYN fin"] },
]);

check("SYN", [
  { name: "opens the flow", events: [syn(0)], streams: ["SYN …"] },
  { name: "with bytes: they count", events: [syn(0, "abc"), data(4, "def")], streams: ["SYN abcdef …"] },
  {
    name: "with bytes that the server did not take: they are sent again",
    events: [syn(0, "abc"), data(1, "abcdef")],
    streams: ["SYN abcdef …"],
    counts: { overlap_bytes: 3 },
  },
  {
    name: "that is repeated changes nothing",
    events: [syn(0), syn(0), data(1, "abc"), syn(0), data(4, "d")],
    streams: ["SYN abcd …"],
  },
  {
    name: "that is repeated without its bytes changes nothing",
    events: [syn(0, "abc"), syn(0), data(4, "d")],
    streams: ["SYN abcd …"],
  },
  {
    name: "that is repeated with its bytes: they are retransmissions",
    events: [syn(0, "abc"), syn(0, "abc"), data(4, "d")],
    streams: ["SYN abcd …"],
    counts: { retransmitted_bytes: 3 },
  },
  { name: "only the second one has bytes", events: [syn(0), syn(0, "abc")], streams: ["SYN abc …"] },
  { name: "with ACK is a server's", events: [{ ...syn(0), flags: "SA" }], streams: [] },
  { name: "with RST belongs to no flow", events: [{ ...syn(0), flags: "SR" }], streams: [] },
  {
    name: "with a new ISN ends the flow and opens another",
    events: [syn(0), data(1, "abc"), syn(5000), data(5001, "xyz"), pause(1000), fin(5004)],
    streams: ["SYN abc replaced", "SYN xyz fin"],
  },
  {
    name: "with a new ISN below the old one",
    events: [syn(0), data(1, "abc"), syn(-5000), data(-4999, "xyz"), pause(1000)],
    streams: ["SYN abc replaced", "SYN xyz …"],
  },
  {
    name: "with a new ISN far away",
    events: [syn(0), data(1, "abc"), syn(2 ** 31), data(2 ** 31 + 1, "xyz"), pause(1000)],
    streams: ["SYN abc replaced", "SYN xyz …"],
  },
  {
    name: "with a new ISN: late bytes of the flow before still reach it",
    events: [syn(0), data(4, "def"), syn(5000), data(5001, "xyz"), data(1, "abc"), pause(1000)],
    streams: ["SYN abcdef replaced", "SYN xyz …"],
  },
  {
    name: "with a new ISN: the holes of the flow before are given up in time",
    events: [syn(0), data(4, "def"), syn(5000), pause(1000)],
    streams: ["SYN <3> def replaced", "SYN …"],
  },
  {
    name: "with a new ISN: the flow before still ends at its FIN",
    events: [syn(0), data(1, "abc"), syn(5000), fin(4), data(5001, "x")],
    streams: ["SYN abc fin", "SYN x …"],
  },
  {
    name: "with a new ISN: late copies of the flow before change nothing",
    events: [syn(0), data(1, "abc"), fin(4), syn(5000), data(1, "abc"), syn(0), data(5001, "x")],
    streams: ["SYN abc fin", "SYN x …"],
  },
  {
    name: "with a new ISN opens another after a FIN",
    events: [syn(0), data(1, "abc"), fin(4), syn(5000), data(5001, "x"), fin(5002)],
    streams: ["SYN abc fin", "SYN x fin"],
  },
  {
    name: "with a new ISN opens another after a RST",
    events: [syn(0), data(1, "abc"), reset(4), syn(5000), data(5001, "x")],
    streams: ["SYN abc reset", "SYN x …"],
  },
]);

check("a flow without its SYN", [
  { name: "waits", events: [data(1, "abc")], streams: [] },
  {
    name: "is only early: the SYN opens it",
    events: [data(1, "abc"), syn(0), data(4, "d")],
    streams: ["SYN abcd …"],
  },
  { name: "is opened by a SYN with bytes", events: [data(4, "def"), syn(0, "abc")], streams: ["SYN abcdef …"] },
  {
    name: "is opened by a SYN below a hole",
    events: [data(4, "def"), syn(0), data(1, "abc")],
    streams: ["SYN abcdef …"],
  },
  {
    name: "is joined at its lowest byte, in time",
    events: [data(7, "ghi"), data(4, "def"), pause(1000), data(10, "j")],
    streams: ["- defghij …"],
    counts: {},
  },
  {
    name: "is joined at its lowest byte, at the limit of segments",
    options: { maxPendingPackets: 2 },
    events: [data(7, "ghi"), data(4, "def"), data(12, "l")],
    streams: ["- defghi …"],
    counts: { pending_limit: 1 },
  },
  {
    name: "0: is joined at once",
    options: { maxPendingPackets: 0 },
    events: [data(7, "ghi"), data(10, "j")],
    streams: ["- ghij …"],
    counts: { pending_limit: 1 },
  },
  {
    name: "is joined at the end of the capture",
    events: [data(7, "ghi"), data(11, "k"), FLUSH],
    streams: ["- ghi <1> k flushed"],
    counts: { gaps: 1, gap_bytes: 1 },
  },
  { name: "ends at its FIN", events: [data(7, "ghi"), fin(10), pause(1000)], streams: ["- ghi fin"] },
  {
    name: "ends at a FIN that came with its first bytes",
    events: [fin(7, "ghi"), pause(1000)],
    streams: ["- ghi fin"],
  },
  { name: "ends at its FIN when the SYN comes", events: [data(1, "abc"), fin(4), syn(0)], streams: ["SYN abc fin"] },
  {
    name: "is not reset while it waits",
    events: [data(7, "ghi"), reset(10), data(10, "j"), pause(1000)],
    streams: ["- ghij …"],
  },
  {
    name: "a late SYN belongs to the joined flow",
    events: [data(4, "def"), pause(1000), syn(0), data(7, "g"), fin(8)],
    streams: ["- defg fin"],
    counts: { gaps: 1, gap_bytes: 3 },
  },
  {
    name: "a late SYN at the first byte: nothing was lost",
    events: [data(1, "abc"), pause(1000), syn(0), data(4, "d")],
    streams: ["- abcd …"],
    counts: {},
  },
  {
    name: "bytes below the place of joining come too late",
    events: [data(4, "def"), pause(1000), data(1, "abc"), data(2, "bcdefg")],
    streams: ["- defg …"],
  },
  {
    name: "a SYN above its bytes belongs to another connection",
    events: [data(1, "abc"), syn(5000), data(5001, "x"), pause(1000)],
    streams: ["SYN x …", "- abc replaced"],
  },
  {
    name: "a SYN far below its bytes belongs to another connection",
    events: [data(1, "abc"), syn(-2_000_000), data(-1_999_999, "x"), pause(1000)],
    streams: ["SYN x …", "- abc replaced"],
  },
]);

check("an ended flow", [
  {
    name: "its bytes are repeated: nothing",
    events: [syn(0), data(1, "abc"), fin(4), pause(59_000), data(1, "abc"), data(2, "b"), fin(3, "c")],
    streams: ["SYN abc fin"],
    counts: { retransmitted_bytes: 5 },
  },
  {
    name: "its SYN is repeated: nothing",
    events: [syn(0), data(1, "abc"), fin(4), pause(59_000), syn(0), FLUSH],
    streams: ["SYN abc fin"],
    counts: {},
  },
  {
    name: "its bare FIN and ACK are repeated: nothing",
    events: [syn(0), data(1, "abc"), fin(4), fin(4), data(5, ""), FLUSH],
    streams: ["SYN abc fin"],
  },
  {
    name: "a keep-alive probe after it: nothing",
    events: [syn(0), data(1, "abc"), reset(4), data(3, "\0"), FLUSH],
    streams: ["SYN abc reset"],
  },
  {
    name: "newer bytes without a SYN are joined",
    events: [syn(0), data(1, "abc"), fin(4), data(5001, "xyz"), pause(1000)],
    streams: ["SYN abc fin", "- xyz …"],
  },
  {
    name: "newer bytes wait for their SYN",
    events: [syn(0), data(1, "abc"), fin(4), data(5001, "xyz"), syn(5000)],
    streams: ["SYN abc fin", "SYN xyz …"],
  },
  {
    name: "newer bytes that overlap its own lose the overlap",
    events: [syn(0), data(1, "abc"), reset(4), data(3, "Xdef"), pause(1000)],
    streams: ["SYN abc reset", "- def …"],
    counts: { overlap_bytes: 1 },
  },
  {
    name: "after 60 s it is forgotten",
    events: [syn(0), data(1, "abc"), fin(4), pause(60_000), data(1, "abc"), pause(1000)],
    streams: ["SYN abc fin", "- abc …"],
  },
  {
    name: "after 60 s the same ISN opens another",
    events: [syn(0), data(1, "abc"), fin(4), pause(60_000), syn(0), data(1, "abc")],
    streams: ["SYN abc fin", "SYN abc …"],
  },
  {
    name: "without a SYN, lower bytes are late too",
    events: [data(4, "def"), fin(7), pause(1000), data(1, "abc"), FLUSH],
    streams: ["- def fin"],
    counts: { retransmitted_bytes: 3 },
  },
]);

check("the same ISN again", [
  {
    name: "is another connection, by its acknowledgment",
    events: [
      syn(0),
      data(1, "abc"),
      fin(4),
      syn(0),
      data(1, "abc", { acknowledgment: 900_000_000 }),
      fin(4, "", { acknowledgment: 900_000_000 }),
    ],
    streams: ["SYN abc fin", "SYN abc fin"],
  },
  {
    name: "without its SYN as well",
    events: [syn(0), data(1, "abc"), fin(4), data(1, "abc", { acknowledgment: 900_000_000 }), pause(1000)],
    streams: ["SYN abc fin", "- abc …"],
  },
  {
    name: "is a late copy, if it acknowledges the same",
    events: [syn(0), data(1, "abc"), fin(4), syn(0), data(1, "abc"), fin(4), FLUSH],
    streams: ["SYN abc fin"],
  },
  {
    name: "is a late copy, if it acknowledges a number in between",
    events: [
      syn(0),
      data(1, "a"),
      data(2, "bc", { acknowledgment: 9000 }),
      fin(4, "", { acknowledgment: 9000 }),
      data(1, "a", { acknowledgment: 7000 }),
      FLUSH,
    ],
    streams: ["SYN abc fin"],
  },
  {
    name: "is a late copy, if it acknowledges a little more",
    events: [syn(0), data(1, "abc"), fin(4), data(1, "abc", { acknowledgment: 9000 }), FLUSH],
    streams: ["SYN abc fin"],
  },
]);

check("the window", [
  {
    name: "bytes 2^30 ahead wait",
    events: [syn(0), data(1 + 2 ** 30, "x"), data(1, "a")],
    streams: ["SYN a …"],
    counts: { out_of_order: 1 },
  },
  {
    name: "bytes more than 2^30 ahead do not belong to the flow",
    events: [syn(0), data(2 + 2 ** 30, "x"), data(1, "a"), FLUSH],
    streams: ["SYN a flushed"],
    counts: { out_of_window: 1 },
  },
  {
    name: "bytes more than 2^30 behind do not belong to the flow",
    events: [syn(0), data(-(2 ** 30), "x"), data(1, "a"), FLUSH],
    streams: ["SYN a flushed"],
    counts: { out_of_window: 1 },
  },
  {
    name: "a FIN outside of it does not belong to the flow",
    events: [syn(0), fin(2 + 2 ** 30), data(1, "a"), FLUSH],
    streams: ["SYN a flushed"],
    counts: { out_of_window: 1 },
  },
]);

check("a truncated segment", [
  {
    name: "its tail is a hole before the next",
    events: [syn(0), data(1, "abc", { missing: 5 }), data(9, "xyz"), pause(1000)],
    streams: ["SYN abc <5> xyz …"],
    counts: { out_of_order: 1, gaps: 1, gap_bytes: 5 },
  },
  {
    name: "its tail may be repeated",
    events: [syn(0), data(1, "abc", { missing: 3 }), data(7, "ghi"), data(1, "abcdef")],
    streams: ["SYN abcdefghi …"],
    counts: { out_of_order: 1, overlap_bytes: 3 },
  },
  {
    name: "at the end its tail is a hole too",
    events: [syn(0), data(1, "abc", { missing: 5 }), FLUSH],
    streams: ["SYN abc <5> flushed"],
    counts: { gaps: 1, gap_bytes: 5 },
  },
  {
    name: "the furthest of several tails counts",
    events: [syn(0), data(1, "abc", { missing: 5 }), data(1, "ab", { missing: 3 }), FLUSH],
    streams: ["SYN abc <5> flushed"],
    counts: { gaps: 1, gap_bytes: 5, retransmitted_bytes: 2 },
  },
  {
    name: "a FIN behind its tail has its own time",
    events: [
      syn(0),
      data(4, "de", { missing: 3 }),
      pause(600),
      fin(9),
      pause(300),
      data(1, "abc"),
      pause(600),
      data(6, "fgh"),
    ],
    streams: ["SYN abcdefgh fin"],
  },
  {
    name: "a tail behind a hole is the same hole",
    events: [syn(0), data(4, "", { missing: 3 }), data(7, "x"), FLUSH],
    streams: ["SYN <6> x flushed"],
    counts: { out_of_order: 1, gaps: 1, gap_bytes: 6 },
  },
  {
    name: "the same at the end",
    events: [syn(0), data(1, "a", { missing: 3 }), data(7, "", { missing: 4 }), FLUSH],
    streams: ["SYN a <9> flushed"],
    counts: { gaps: 1, gap_bytes: 9 },
  },
  {
    name: "its FIN is behind its tail",
    events: [syn(0), fin(1, "abc", { missing: 5 }), pause(1000)],
    streams: ["SYN abc <5> fin"],
    counts: { gaps: 1, gap_bytes: 5 },
  },
  {
    name: "none of its bytes is left",
    events: [syn(0), data(1, "", { missing: 8 }), data(9, "x"), pause(1000)],
    streams: ["SYN <8> x …"],
  },
  {
    name: "none of its bytes is left, at the end",
    events: [syn(0), data(1, "", { missing: 8 }), FLUSH],
    streams: ["SYN <8> flushed"],
  },
  {
    name: "a tail that was given up and behind a RST is no hole",
    events: [syn(0), data(1, "abc", { missing: 5 }), data(4, "defgh"), reset(9)],
    streams: ["SYN abcdefgh reset"],
    counts: {},
  },
]);

check("the end of the capture", [
  {
    name: "delivers all pending bytes, with their holes",
    events: [syn(0), data(3, "c"), data(5, "e"), FLUSH],
    streams: ["SYN <2> c <1> e flushed"],
  },
  { name: "ends at a FIN that waits", events: [syn(0), data(3, "c"), fin(6), FLUSH], streams: ["SYN <2> c <2> fin"] },
  {
    name: "ends every flow",
    events: [syn(0), syn(0, "x", { sourcePort: 2 }), data(1, "y", { sourcePort: 3 }), FLUSH],
    streams: ["SYN flushed", "SYN x flushed", "- y flushed"],
  },
]);

check("flows are told apart", [
  {
    name: "by the source port",
    events: [syn(0), syn(0, "", { sourcePort: 2 }), data(1, "a"), data(1, "b", { sourcePort: 2 })],
    streams: ["SYN a …", "SYN b …"],
  },
  {
    name: "by the source",
    events: [syn(0), syn(0, "", { source: 2 }), data(1, "a"), data(1, "b", { source: 2 })],
    streams: ["SYN a …", "SYN b …"],
  },
  {
    name: "by the destination: two mirrored hosts are two",
    events: [syn(0), syn(0, "", { destination: 2 }), data(1, "a"), data(1, "b", { destination: 2 }), fin(2)],
    streams: ["SYN a fin", "SYN b …"],
  },
]);

test("bytes in order are delivered without a copy", () => {
  const flows = new Flows();
  flows.play(syn(0));
  const given: [Uint8Array, number, number][] = [];
  flows.recorder.streams[0]!.data = (bytes, offset, length) => given.push([bytes, offset, length]);
  flows.play(data(1, "abc"), data(3, "cdef"));
  expect(given.map(([, offset, length]) => [offset, length])).toEqual([
    [10, 3],
    [11, 3],
  ]);
  expect(given[1]![0]).toBe(flows.segment.bytes);
});
