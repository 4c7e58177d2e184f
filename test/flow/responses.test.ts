/** The server's direction: reassembled on request, by SYN-ACKs and acknowledgments. */
import { describe, expect, test } from "bun:test";
import { answer, data, type Event, fin, FLUSH, Flows, type FlowsOptions, pause, reset, syn, synAck } from "./flows.ts";

interface Rule {
  name: string;
  options?: FlowsOptions;
  events: Event[];
  streams: string[];
  responses: string[];
}

/** ISNs of the client; the server's numbers count from 0. */
const ISNS = [0, 1_000_000, 0x7fff_fffd, 0xffff_fffd];

function check(title: string, rules: Rule[]): void {
  describe(title, () => {
    test.each(rules)("$name", ({ options = {}, events, streams, responses }) => {
      for (const isn of ISNS) {
        const flows = new Flows({ isn, acknowledgment: 1, reassemblesServer: true, ...options }).play(...events);
        expect({ isn, streams: flows.streams, responses: flows.responses }).toEqual({ isn, streams, responses });
        const without = new Flows({ isn, acknowledgment: 1, ...options }).play(...events);
        expect({ isn, responses: without.responses }).toEqual({ isn, responses: [] });
      }
    });
  });
}

const open = [syn(0), synAck(0, 1), data(1, "GET")];

check("a response", [
  { name: "begins behind its SYN-ACK", events: [syn(0), synAck(0, 1)], streams: ["SYN …"], responses: ["SYN …"] },
  {
    name: "comes in order",
    events: [...open, answer(1, "200", 4), answer(4, " ok", 4)],
    streams: ["SYN GET …"],
    responses: ["SYN 200 ok …"],
  },
  {
    name: "waits for missing bytes",
    events: [...open, answer(4, " ok", 4), answer(1, "200", 4)],
    streams: ["SYN GET …"],
    responses: ["SYN 200 ok …"],
  },
  {
    name: "has gaps",
    events: [...open, answer(4, " ok", 4), pause(1000)],
    streams: ["SYN GET …"],
    responses: ["SYN <3>  ok …"],
  },
  {
    name: "gives up holes at the limit of its own direction",
    options: { maxPendingPackets: 1 },
    events: [...open, data(9, "x"), answer(4, "a", 4), answer(6, "b", 4)],
    streams: ["SYN GET …"],
    responses: ["SYN <3> a …"],
  },
  {
    name: "drops repeated bytes",
    events: [...open, answer(1, "200", 4), answer(1, "XXXX", 4), synAck(0, 1)],
    streams: ["SYN GET …"],
    responses: ["SYN 200X …"],
  },
  {
    name: "ends at its FIN",
    events: [...open, answer(1, "ok", 4, { flags: "AF" })],
    streams: ["SYN GET …"],
    responses: ["SYN ok fin"],
  },
  {
    name: "goes on after the client's FIN",
    events: [...open, fin(4), answer(1, "ok", 5), answer(3, "!", 5, { flags: "AF" })],
    streams: ["SYN GET fin"],
    responses: ["SYN ok! fin"],
  },
  {
    name: "ends with the client's reset",
    events: [...open, answer(1, "ok", 4), reset(4)],
    streams: ["SYN GET reset"],
    responses: ["SYN ok reset"],
  },
  {
    name: "is none behind a reset that came before it",
    events: [syn(0), data(1, "GET"), reset(4), synAck(0, 1), answer(1, "ok", 4), FLUSH],
    streams: ["SYN GET reset"],
    responses: [],
  },
  {
    name: "ends with the server's reset, if the reset is in order",
    events: [...open, answer(2, "", 4, { flags: "R" }), answer(1, "", 4, { flags: "R" })],
    streams: ["SYN GET …"],
    responses: ["SYN reset"],
  },
  {
    name: "ends with the capture",
    events: [...open, answer(3, "x", 4), FLUSH],
    streams: ["SYN GET flushed"],
    responses: ["SYN <2> x flushed"],
  },
  {
    name: "ends with the capture, also after the client's FIN",
    events: [...open, fin(4), answer(1, "x", 5), FLUSH],
    streams: ["SYN GET fin"],
    responses: ["SYN x flushed"],
  },
  {
    name: "without its SYN-ACK is joined where the client's first byte says",
    events: [syn(0), data(1, "GET"), answer(4, " ok", 4), answer(1, "200", 4)],
    streams: ["SYN GET …"],
    responses: ["- 200 ok …"],
  },
  {
    name: "is joined there also before that byte comes",
    events: [syn(0), answer(1, "200", 4), data(1, "GET")],
    streams: ["SYN GET …"],
    responses: ["- 200 …"],
  },
  {
    name: "is joined there if the SYN-ACK came before all else, or comes late",
    events: [synAck(0, 1), syn(0), data(1, "GET"), answer(1, "200", 4), synAck(0, 1), answer(4, " ok", 4)],
    streams: ["SYN GET …"],
    responses: ["- 200 ok …"],
  },
  {
    name: "without its SYN-ACK is joined at the bytes that the server sent before the client",
    events: [syn(0), answer(1, "hi", 1), data(1, "GET", { acknowledgment: 3 }), answer(3, "200", 4)],
    streams: ["SYN GET …"],
    responses: ["- hi200 …"],
  },
  {
    name: "is not joined where a bare ACK says: bytes before it may still come",
    events: [syn(0), data(1, "", { acknowledgment: 3 }), answer(3, "c", 1), answer(1, "ab", 1), pause(1000)],
    streams: ["SYN …"],
    responses: ["- abc …"],
  },
  {
    name: "is joined at its lowest byte without its SYN-ACK and the client's first byte",
    events: [syn(0), data(2, "ET"), answer(4, " ok", 4), answer(1, "200", 4), pause(1000)],
    streams: ["SYN <1> ET …"],
    responses: ["- 200 ok …"],
  },
  {
    name: "is joined so to a client that was joined",
    events: [data(7, "GET"), pause(1000), answer(1, "200", 10), pause(1000)],
    streams: ["- GET …"],
    responses: ["- 200 …"],
  },
  {
    name: "is joined so at the end of the capture",
    events: [syn(0), data(2, "ET"), answer(4, " ok", 4), answer(1, "200", 4), FLUSH],
    streams: ["SYN <1> ET flushed"],
    responses: ["- 200 ok flushed"],
  },
  {
    name: "to bytes that came with the SYN begins behind a SYN-ACK that acknowledges them",
    events: [syn(0, "GET"), synAck(0, 4), answer(1, "200", 4)],
    streams: ["SYN GET …"],
    responses: ["SYN 200 …"],
  },
  {
    name: "begins behind a SYN-ACK that does not acknowledge the SYN's bytes, which are sent again",
    events: [syn(0, "GET"), synAck(0, 1), data(1, "GET"), answer(1, "200", 4)],
    streams: ["SYN GET …"],
    responses: ["SYN 200 …"],
  },
  {
    name: "without a request belongs to no one",
    events: [synAck(0, 1), answer(1, "200", 1), FLUSH],
    streams: [],
    responses: [],
  },
  {
    name: "of a truncated frame has a gap",
    events: [...open, answer(1, "a", 4, { missing: 3 }), answer(5, "b", 4), pause(1000)],
    streams: ["SYN GET …"],
    responses: ["SYN a <3> b …"],
  },
]);

check("several incarnations", [
  {
    name: "each has its own response, by its SYN-ACK",
    events: [
      syn(0),
      synAck(0, 1),
      data(1, "a"),
      syn(5000),
      synAck(70_000, 5001),
      data(5001, "b", { acknowledgment: 70_001 }),
      answer(70_001, "B", 5002),
      answer(1, "A", 2),
      pause(1000),
    ],
    streams: ["SYN a replaced", "SYN b …"],
    responses: ["SYN A replaced", "SYN B …"],
  },
  {
    name: "a SYN-ACK that comes before its SYN may acknowledge the SYN's bytes",
    events: [
      syn(0),
      synAck(0, 1),
      data(1, "a"),
      synAck(70_000, 5004),
      syn(5000, "bcd"),
      answer(70_001, "B", 5004),
      pause(1000),
    ],
    streams: ["SYN a replaced", "SYN bcd …"],
    responses: ["SYN replaced", "SYN B …"],
  },
  {
    name: "a SYN-ACK with another ISN distinguishes a second SYN with the same ISN from a late copy",
    events: [
      syn(0),
      synAck(0, 1),
      data(1, "ab"),
      fin(3),
      syn(0),
      synAck(500, 1),
      data(1, "xy", { acknowledgment: 501 }),
      answer(501, "B", 3),
      FLUSH,
    ],
    streams: ["SYN ab fin", "SYN xy flushed"],
    responses: ["SYN flushed", "SYN B flushed"],
  },
  {
    name: "a late SYN-ACK opens none if the response was joined behind its ISN",
    events: [syn(0), fin(1), answer(4, "b", 2), pause(1000), syn(0), synAck(0, 1), FLUSH],
    streams: ["SYN fin"],
    responses: ["- b flushed"],
  },
  {
    name: "a late SYN-ACK that acknowledges the SYN's bytes does not hide the incarnation that was joined",
    events: [syn(0, "abc"), fin(4), answer(4, "b", 5), pause(1000), synAck(0, 4), answer(5, "c", 5), FLUSH],
    streams: ["SYN abc fin"],
    responses: ["- bc flushed"],
  },
  {
    name: "each has its own pending bytes and FIN at the same numbers, also before its SYN",
    events: [
      ...[syn(0), synAck(0, 1), data(1, "a"), answer(3, "C", 2)],
      ...[synAck(0, 5001), answer(3, "c", 5001), answer(4, "", 5001, { flags: "AF" }), syn(5000)],
      ...[answer(1, "AB", 2), answer(1, "ab", 5001)],
      FLUSH,
    ],
    streams: ["SYN a flushed", "SYN flushed"],
    responses: ["SYN ABC flushed", "SYN abc fin"],
  },
]);

test("connections of two VNIs are two", () => {
  const other = { vni: 8 };
  const flows = new Flows({ reassemblesServer: true, acknowledgment: 1 }).play(
    syn(0),
    syn(0, "", other),
    synAck(0, 1),
    data(1, "a"),
    data(1, "b", other),
    answer(1, "A", 2),
    FLUSH,
  );
  expect([flows.streams, flows.responses]).toEqual([["SYN a flushed", "SYN b flushed"], ["SYN A flushed"]]);
});

test("the counters of the client's direction are the same with and without the server's", () => {
  const events: Event[] = [...open, answer(4, " ok", 4), answer(1, "200", 4), fin(4), FLUSH];
  const [on, off] = [true, false].map((reassemblesServer) =>
    new Flows({ reassemblesServer, acknowledgment: 1 }).play(...events),
  );
  expect(on!.counters).toEqual(off!.counters);
  expect(on!.table.serverCounters).toMatchObject({ delivered_bytes: 6, out_of_order: 1, gaps: 0 });
  expect([on!.budget.usedBytes, on!.table.pendingCount, on!.table.liveCount]).toEqual([0, 0, 0]);
});
