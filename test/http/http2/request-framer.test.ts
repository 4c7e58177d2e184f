/** An HTTP/2 client's bytes, as requests. */
import { describe, expect, test } from "bun:test";
import { Flag, FrameType } from "../../../src/http/http2/frames.ts";
import { EMPTY_CONTINUATIONS_MAX } from "../../../src/http/http2/frame-reader.ts";
import { MISSED_MAX, OPEN_STREAMS_MAX, UNTOLD_STREAMS_MAX } from "../../../src/http/http2/request-framer.ts";
import { Random } from "../../support/random.ts";
import {
  block,
  data,
  type Fields,
  frame,
  get,
  headers,
  inserted,
  PING,
  pseudo,
  reset,
  SETTINGS,
  SETTINGS_ACK,
  windowUpdate,
  word,
} from "./client-frames.ts";
import { type Piece, Recorder } from "./recorder.ts";

const POST = pseudo("POST", "/p");
const post = (stream: number, options = {}) => headers(stream, POST, options);

const inOrder: [what: string, frames: Buffer[], want: string[]][] = [
  ["a GET", [SETTINGS, get(1, "/a")], ["1 GET /a"]],
  ["a POST", [post(1), data(1, "body", true)], ["1 POST /p body"]],
  ["a body in frames", [post(1), data(1, "bo"), data(1, ""), data(1, "dy", true)], ["1 POST /p body"]],
  ["an end in an empty frame", [post(1), data(1, "body"), data(1, "", true)], ["1 POST /p body"]],
  ["padding", [post(1, { padding: 7 }), data(1, "body", true, 9)], ["1 POST /p body"]],
  ["only padding", [post(1), data(1, "body"), data(1, "", true, 3)], ["1 POST /p body"]],
  ["no padding, although the flag allows it", [post(1, { padding: 0 }), data(1, "x", true, 0)], ["1 POST /p x"]],
  ["a priority", [post(1, { priority: true, padding: 2 }), data(1, "x", true)], ["1 POST /p x"]],
  ["CONTINUATION frames", [post(1, { continuations: 3, priority: true }), data(1, "x", true)], ["1 POST /p x"]],
  [
    "streams in turn",
    [post(1), post(3), data(1, "a"), get(5, "/b"), data(3, "c", true), data(1, "d", true)],
    ["5 GET /b", "3 POST /p c", "1 POST /p ad"],
  ],
  ["a trailer section", [post(1), data(1, "x"), headers(1, [["a", "b"]], { end: true })], ["1 POST /p xa: b"]],
  [
    "frames between that do not concern requests",
    [
      post(1),
      PING,
      windowUpdate(0),
      data(1, "a"),
      windowUpdate(1),
      SETTINGS_ACK,
      frame(FrameType.PRIORITY, 0, 1, "\0\0\0\0\x01"),
      frame(FrameType.GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0bye"),
      frame(0x42, 0xff, 7, "unknown"),
      data(1, "b", true),
    ],
    ["1 POST /p ab"],
  ],
  ["a cancelled request", [post(1), data(1, "x"), reset(1), get(3, "/a")], ["1 cancelled", "3 GET /a"]],
  ["one that was whole", [get(1, "/a"), reset(1)], ["1 GET /a", "1 cancelled when whole"]],
  ["frames of a cancelled one", [post(1), reset(1), data(1, "x", true), get(3, "/a")], ["1 cancelled", "3 GET /a"]],
  ["numbers that are left out", [get(1, "/a"), get(9, "/b")], ["1 GET /a", "9 GET /b"]],
  [
    "a length that is right",
    [headers(1, [...POST, ["content-length", "4"]]), data(1, "body", true)],
    ["1 POST /p body"],
  ],
];

/** Damage of one request; the others go on after it. */
const ofOne: [what: string, frames: Buffer[], reason: string][] = [
  [
    "a length that is wrong",
    [headers(1, [...POST, ["content-length", "3"]]), data(1, "body", true)],
    "1 damaged ambiguous_length",
  ],
  [
    "a length without a body",
    [headers(1, [...POST, ["content-length", "3"]], { end: true })],
    "damaged ambiguous_length",
  ],
  [
    "two lengths",
    [headers(1, [...POST, ["content-length", "3"], ["content-length", "4"]], { end: true })],
    "damaged ambiguous_length",
  ],
  ["an invalid length", [headers(1, [...POST, ["content-length", "+3"]], { end: true })], "damaged ambiguous_length"],
  [
    "no path",
    [
      headers(
        1,
        POST.filter(([name]) => name !== ":path"),
        { end: true },
      ),
    ],
    "damaged malformed",
  ],
  ["an empty path", [headers(1, pseudo("GET", ""), { end: true })], "damaged malformed"],
  ["no method", [headers(1, POST.slice(1), { end: true })], "damaged malformed"],
  [
    "no scheme",
    [
      headers(
        1,
        POST.filter(([name]) => name !== ":scheme"),
        { end: true },
      ),
    ],
    "damaged malformed",
  ],
  ["two methods", [headers(1, [...POST, [":method", "GET"]], { end: true })], "damaged malformed"],
  ["a pseudo-header after a field", [headers(1, [["a", "b"], ...POST], { end: true })], "damaged malformed"],
  ["a pseudo-header that is not known", [headers(1, [...POST, [":x", "y"]], { end: true })], "damaged malformed"],
  ["a response's", [headers(1, [...POST, [":status", "200"]], { end: true })], "damaged malformed"],
  ["a capital letter in a name", [headers(1, [...POST, ["Host", "x"]], { end: true })], "damaged malformed"],
  ["a blank in a name", [headers(1, [...POST, ["a b", "x"]], { end: true })], "damaged malformed"],
  ["an empty name", [headers(1, [...POST, ["", "x"]], { end: true })], "damaged malformed"],
  ["a line's end in a value", [headers(1, [...POST, ["a", "b\r\nc: d"]], { end: true })], "damaged malformed"],
  ["a line's end in a path", [headers(1, pseudo("GET", "/ HTTP/1.1\r\nHost: x"), { end: true })], "damaged malformed"],
  ["a blank in a method", [headers(1, pseudo("GET /x", "/"), { end: true })], "damaged malformed"],
  ["a NUL in a value", [headers(1, [...POST, ["a", "b\0"]], { end: true })], "damaged malformed"],
  ["CONNECT with a path", [headers(1, pseudo("CONNECT", "/"), { end: true })], "damaged malformed"],
  [
    ":protocol without CONNECT",
    [headers(1, [...POST, [":protocol", "websocket"]], { end: true })],
    "damaged malformed",
  ],
  ["a trailer section that ends nothing", [post(1), headers(1, [["a", "b"]])], "1 damaged malformed"],
  ["a pseudo-header in a trailer section", [post(1), headers(1, POST, { end: true })], "1 damaged malformed"],
];

/** Nothing is read after it; stream 1 is under way. */
const ofAll: [what: string, bytes: Buffer][] = [
  ["DATA on no stream", data(0, "x")],
  ["DATA on a stream that has not begun", data(5, "x")],
  ["DATA on a server's stream", data(2, "x")],
  ["HEADERS on no stream", headers(0, POST)],
  ["HEADERS on a server's stream", headers(2, POST)],
  ["a frame within a header block", Buffer.concat([frame(FrameType.HEADERS, 0, 3, block(POST)), PING])],
  [
    "another stream's CONTINUATION",
    Buffer.concat([frame(FrameType.HEADERS, 0, 3, "\x82"), frame(FrameType.CONTINUATION, 4, 5)]),
  ],
  ["CONTINUATION without HEADERS", frame(FrameType.CONTINUATION, 4, 3, "\x82")],
  [
    "a flood of empty CONTINUATION frames",
    Buffer.concat([
      frame(FrameType.HEADERS, 0, 3),
      ...Array.from({ length: 100 }, () => frame(FrameType.CONTINUATION, 0, 3)),
    ]),
  ],
  ["PUSH_PROMISE", frame(FrameType.PUSH_PROMISE, 4, 3, "\0\0\0\x02\x82")],
  ["more padding than payload in DATA", frame(FrameType.DATA, 8, 1, "\x05abc")],
  ["more padding than payload in HEADERS", frame(FrameType.HEADERS, 0x2c, 3, "\x05\0\0\0\0\x0f\x82")],
  ["no byte for padding's length", frame(FrameType.DATA, 8, 1)],
  ["no bytes for a priority", frame(FrameType.HEADERS, 0x24, 3, "\0\0")],
  ["a PING of 7 bytes", frame(FrameType.PING, 0, 0, "1234567")],
  ["a RST_STREAM of 5 bytes", frame(FrameType.RST_STREAM, 0, 1, "12345")],
  ["a WINDOW_UPDATE of 3 bytes", frame(FrameType.WINDOW_UPDATE, 0, 0, "123")],
  ["a GOAWAY of 7 bytes", frame(FrameType.GOAWAY, 0, 0, "1234567")],
  ["SETTINGS of 7 bytes", frame(FrameType.SETTINGS, 0, 0, "1234567")],
  ["RST_STREAM of a stream that has not begun", reset(9)],
  ["RST_STREAM of no stream", reset(0)],
  ["a header block that cannot be read", headers(3, Buffer.from([0x80]), { end: true })],
];

/** The same bytes in pieces: byte by byte, and cut at random. */
function* cuts(whole: Buffer, random: Random): Generator<Buffer[]> {
  yield [whole];
  yield Array.from(whole, (_, i) => whole.subarray(i, i + 1));
  for (let run = 0; run < 6; run++) {
    const pieces: Buffer[] = [];
    for (let at = 0; at < whole.length;) {
      const to = Math.min(whole.length, at + random.int(1, 30));
      pieces.push(whole.subarray(at, to));
      at = to;
    }
    yield pieces;
  }
}

function checkCuts(frames: Buffer[], want: string[]): void {
  for (const pieces of cuts(Buffer.concat(frames), new Random(1))) {
    const recorder = new Recorder().feed(pieces);
    expect({ pieces: pieces.length, events: recorder.events }).toEqual({ pieces: pieces.length, events: want });
  }
}

describe("in order, cut anywhere", () => {
  test.each(inOrder)("%s", (_what, frames, want) => checkCuts(frames, want));
});

describe("damage of one request", () => {
  test.each(ofOne)("%s", (_what, frames, reason) => {
    checkCuts([...frames, data(1, "more"), get(3, "/next")], [reason, "3 GET /next"]);
  });
});

describe("damage of all", () => {
  test.each(ofAll)("%s", (_what, bytes) => {
    checkCuts([post(1), bytes, data(1, "x", true), get(11, "/next")], ["damaged malformed", "1 damaged malformed"]);
  });
});

describe("heads", () => {
  const head = (fields: Fields) => new Recorder().feed([headers(1, fields, { end: true })]);

  test("are read as in HTTP/1, with :authority as host", () => {
    const recorder = head([...pseudo("GET", "/a?b"), ["cookie", "c=d"], ["cookie", "e=f"]]);
    expect(recorder.requests[0]!.text).toBe(
      "GET /a?b HTTP/1.1\r\nhost: production\r\ncookie: c=d\r\ncookie: e=f\r\n\r\n",
    );
    expect(recorder.scheme).toBe("http");
  });

  test("CONNECT has its authority as target; an extended one has a path", () => {
    const connect: Fields = [
      [":method", "CONNECT"],
      [":authority", "x:1"],
    ];
    expect(head(connect).requests[0]!.text).toBe("CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\n\r\n");
    const extended: Fields = [...pseudo("CONNECT", "/chat"), [":protocol", "websocket"]];
    expect(head(extended).requests[0]!.text).toBe("CONNECT /chat HTTP/1.1\r\nhost: production\r\n\r\n");
  });

  test.each([
    ["a field of connections", "connection", "close", true],
    ["a blank before a value", "a", " b", true],
    ["a control character in a value", "a", "b\x01", true],
    ["a usual one", "a", "b c\xe4", false],
  ])("%s", (_what, name, value, isOdd) => {
    const recorder = head([...pseudo("GET", "/"), [name, value]]);
    expect(recorder.requests[0]).toMatchObject({ isOdd });
    expect(recorder.requests[0]!.text).toContain(`\r\n${name}: ${value}\r\n`);
  });

  test("are at most as long as the limit; after a longer one the table is still known", () => {
    const limit = 300;
    const sized = (bytes: number): Fields => {
      const counted = [...pseudo("GET", "/"), ["a", ""] as const];
      const rest = counted.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
      return [...pseudo("GET", "/"), ["a", "x".repeat(bytes - rest)]];
    };
    const recorder = new Recorder({ maxHeaderBytes: limit }).feed([
      headers(1, sized(limit), { end: true }),
      headers(3, Buffer.concat([block(sized(limit + 1)), inserted("b", "c")]), { end: true }),
      headers(5, Buffer.concat([block(pseudo("GET", "/5")), Buffer.from([0xbe])]), { end: true }),
    ]);
    expect(recorder.events).toEqual(["1 GET /", "damaged header_too_long", "5 GET /5"]);
  });

  test("in a block over the limit are damaged, and its entries are not known", () => {
    const recorder = new Recorder({ maxHeaderBytes: 150 }).feed([
      headers(1, Buffer.concat([inserted("b", "c"), Buffer.alloc(150, 0x82)]), { end: true }),
      headers(3, Buffer.concat([block(pseudo("GET", "/").slice(0, 3)), Buffer.from([0xbe])]), { end: true }),
      headers(5, pseudo("GET", "/").slice(0, 3), { end: true }),
    ]);
    expect(recorder.events).toEqual(["damaged header_too_long", "damaged unknown_header", "5 GET /"]);
  });
});

test("requests under way are read up to a limit", () => {
  const frames = Array.from({ length: OPEN_STREAMS_MAX + 1 }, (_, i) => post(2 * i + 1));
  const last = 2 * OPEN_STREAMS_MAX + 1;
  const recorder = new Recorder().feed([...frames, data(last, "x", true), get(last + 2, "/")]);
  expect(recorder.events).toEqual(["refused", `${last + 2} GET /`]);
  expect(recorder.framer.openCount).toBe(OPEN_STREAMS_MAX);
});

test.each([
  [0, ["3 GET /"]],
  [1, ["damaged malformed"]],
])("a header block of as many empty frames as it may have, and %d more", (more, want) => {
  const empty = (flags: number) => frame(FrameType.CONTINUATION, flags, 3);
  const empties = Array.from({ length: EMPTY_CONTINUATIONS_MAX + more - 1 }, () => empty(0));
  const head = frame(FrameType.HEADERS, Flag.END_STREAM, 3, block(pseudo("GET", "/")));
  expect(new Recorder().feed([head, ...empties, empty(Flag.END_HEADERS)]).events).toEqual(want);
});

test.each([-1, 0, 1])("of a gap, so many lost requests are counted at the most: %d beside that", (more) => {
  const next = 2 * (MISSED_MAX + more) + 3;
  const gap = get(3, "/").length * (MISSED_MAX + more);
  const { events } = new Recorder().feed([get(1, "/"), gap, get(next, "/n")]);
  const lost = Array<string>(Math.min(MISSED_MAX + more, MISSED_MAX)).fill("damaged gap");
  expect(events).toEqual(["1 GET /", ...lost, `${next} GET /n`]);
});

// Gaps.

const KNOWN = Buffer.concat([block(pseudo("GET", "/k").slice(0, 3)), inserted("a", "b")]);
/** Names the table's newest entry. */
const NAMES = Buffer.concat([block(pseudo("GET", "/n").slice(0, 3)), Buffer.from([0xbe])]);
const BODY = data(1, "x".repeat(50), true);
const TRAILER = headers(3, [["a", "b"]], { end: true });
const BODY_3 = data(3, "x".repeat(50));
const HEAD_LEN = 9;
const sized = (stream: number, length: number) => headers(stream, [...POST, ["content-length", String(length)]]);

const gaps: [what: string, pieces: Piece[], want: string[]][] = [
  [
    "in DATA: only that stream",
    [post(1), post(3), BODY.subarray(0, 20), 10, Buffer.concat([BODY.subarray(30), data(3, "y", true), get(5, "/5")])],
    ["1 damaged gap", "3 POST /p y", "5 GET /5"],
  ],
  [
    "all of DATA's payload: only that stream, at once",
    [post(1), post(3), BODY.subarray(0, HEAD_LEN), 50, data(3, "y", true)],
    ["1 damaged gap", "3 POST /p y"],
  ],
  [
    "in DATA with padding, its length included",
    [
      post(1),
      post(3),
      data(1, "x".repeat(40), true, 9).subarray(0, HEAD_LEN),
      10,
      data(1, "x".repeat(40), true, 9).subarray(HEAD_LEN + 10),
      data(3, "y", true),
    ],
    ["1 damaged gap", "3 POST /p y"],
  ],
  [
    "in padding: none",
    [
      post(1),
      data(1, "body", true, 20).subarray(0, HEAD_LEN + 6),
      10,
      data(1, "body", true, 20).subarray(HEAD_LEN + 16),
    ],
    ["1 POST /p body"],
  ],
  ["in PING: none", [post(1), PING.subarray(0, 12), 5, data(1, "x", true)], ["1 POST /p x"]],
  ["in SETTINGS: none", [SETTINGS.subarray(0, 12), 9, get(1, "/1")], ["1 GET /1"]],
  [
    "in RST_STREAM: it was one",
    [post(1), reset(1).subarray(0, HEAD_LEN), 4, get(3, "/3")],
    ["1 cancelled", "3 GET /3"],
  ],
  [
    "in a head: that request, and requests that name an earlier entry",
    [
      headers(1, KNOWN, { end: true }),
      headers(3, KNOWN, { end: true }).subarray(0, 12),
      headers(3, KNOWN).length - 12,
      headers(5, NAMES, { end: true }),
      headers(7, KNOWN, { end: true }),
      headers(9, NAMES, { end: true }),
    ],
    ["1 GET /k", "damaged gap", "damaged unknown_header", "7 GET /k", "9 GET /n"],
  ],
  [
    "in a trailer section: that request",
    [
      post(1),
      headers(1, [["a", "bcd"]], { end: true }).subarray(0, 12),
      headers(1, [["a", "bcd"]]).length - 12,
      get(3, "/3"),
    ],
    ["1 damaged gap", "3 GET /3"],
  ],
  [
    "beyond a frame: all that are under way; reading goes on with the next segment that begins with frames",
    [
      post(1),
      post(3),
      data(1, "x"),
      100,
      Buffer.from("no frame here"),
      Buffer.concat([data(3, "y", true), get(5, "/5")]),
      get(7, "/7"),
    ],
    ["1 damaged gap", "3 damaged gap", "5 GET /5", "7 GET /7"],
  ],
  [
    "that had no head, as the next one's number shows: earlier fields are known",
    [headers(1, KNOWN, { end: true }), 13, headers(3, NAMES, { end: true })],
    ["1 GET /k", "3 GET /n"],
  ],
  [
    "that may have had the trailer section of a request under way",
    [headers(1, KNOWN, { end: true }), post(3), 13, headers(5, NAMES, { end: true })],
    ["1 GET /k", "3 damaged gap", "damaged unknown_header"],
  ],
  [
    "that had none, because the stream under way has gone on",
    [headers(1, KNOWN, { end: true }), post(3), 13, Buffer.concat([data(3, "x"), headers(5, NAMES, { end: true })])],
    ["1 GET /k", "3 damaged gap", "5 GET /n"],
  ],
  [
    "that had none, because the stream under way is a gRPC call",
    [
      headers(1, KNOWN, { end: true }),
      headers(3, [...POST, ["content-type", "application/grpc+proto"]]),
      13,
      headers(5, NAMES, { end: true }),
    ],
    ["1 GET /k", "3 damaged gap", "5 GET /n"],
  ],
  [
    "that was the rest of a body of known length, and no more: there is no room for a trailer section",
    [headers(1, KNOWN, { end: true }), sized(3, 20), HEAD_LEN + 20, headers(5, NAMES, { end: true })],
    ["1 GET /k", "3 damaged gap", "5 GET /n"],
  ],
  [
    "the same, from within DATA on and with an empty frame after it",
    [
      headers(1, KNOWN, { end: true }),
      sized(3, 20),
      data(3, "x".repeat(20)).subarray(0, HEAD_LEN + 5),
      15 + HEAD_LEN,
      headers(5, NAMES, { end: true }),
    ],
    ["1 GET /k", "3 damaged gap", "5 GET /n"],
  ],
  [
    "with a byte more than the shortest trailer section takes",
    [headers(1, KNOWN, { end: true }), sized(3, 20), HEAD_LEN + 20 + HEAD_LEN + 1, headers(5, NAMES, { end: true })],
    ["1 GET /k", "3 damaged gap", "damaged unknown_header"],
  ],
  [
    "followed by bytes without a frame: they may be a trailer section's",
    [
      headers(1, KNOWN, { end: true }),
      sized(3, 20),
      HEAD_LEN + 20,
      Buffer.from("the middle of one"),
      headers(5, NAMES, { end: true }),
    ],
    ["1 GET /k", "3 damaged gap", "damaged unknown_header"],
  ],
  [
    "after the beginning of a frame's header: it may be a trailer section's",
    [headers(1, KNOWN, { end: true }), sized(3, 0), TRAILER.subarray(0, 8), 9, headers(5, NAMES, { end: true })],
    ["1 GET /k", "3 damaged gap", "damaged unknown_header"],
  ],
  [
    "that may have had the trailer section of a stream that went on behind another gap",
    [
      headers(1, KNOWN, { end: true }),
      post(3),
      13,
      data(3, "x"),
      headers(5, NAMES, { end: true }),
      13,
      headers(7, NAMES, { end: true }),
    ],
    ["1 GET /k", "3 damaged gap", "5 GET /n", "damaged unknown_header"],
  ],
  [
    "the same, of one that has lost some of its body",
    [
      headers(1, KNOWN, { end: true }),
      post(3),
      BODY_3.subarray(0, 20),
      10,
      BODY_3.subarray(30),
      13,
      headers(5, NAMES, { end: true }),
    ],
    ["1 GET /k", "3 damaged gap", "damaged unknown_header"],
  ],
  [
    "that may have had the trailer section of a stream whose body went on behind another gap",
    [
      headers(1, KNOWN, { end: true }),
      sized(3, 50),
      HEAD_LEN + 20,
      headers(5, NAMES, { end: true }),
      HEAD_LEN + 30 + TRAILER.length,
      headers(7, NAMES, { end: true }),
    ],
    ["1 GET /k", "3 damaged gap", "5 GET /n", "damaged unknown_header"],
  ],
  [
    "that was the rest of a body, which another gap had cut",
    [
      headers(1, KNOWN, { end: true }),
      sized(3, 50),
      HEAD_LEN + 20,
      headers(5, NAMES, { end: true }),
      HEAD_LEN + 30,
      headers(7, NAMES, { end: true }),
    ],
    ["1 GET /k", "3 damaged gap", "5 GET /n", "7 GET /n"],
  ],
  [
    "in two places: of the first head after both",
    [
      headers(1, KNOWN, { end: true }),
      13,
      PING,
      13,
      headers(3, NAMES, { end: true }),
      headers(5, NAMES, { end: true }),
    ],
    ["1 GET /k", "3 GET /n", "5 GET /n"],
  ],
  [
    "that began within a head",
    [headers(1, KNOWN, { end: true }), headers(3, KNOWN).subarray(0, 12), 99, headers(5, NAMES, { end: true })],
    ["1 GET /k", "damaged gap", "damaged unknown_header"],
  ],
  [
    "that had whole requests: they are counted by their numbers",
    [get(1, "/1"), 100, get(7, "/7")],
    ["1 GET /1", "damaged gap", "damaged gap", "7 GET /7"],
  ],
  [
    "that is too short for as many as there are numbers",
    [get(1, "/1"), 12, get(99, "/7")],
    ["1 GET /1", "damaged gap", "damaged gap", "99 GET /7"],
  ],
  [
    "after which a client that skips numbers goes on",
    [get(1, "/1"), 12, Buffer.concat([post(99), data(99, "x", true)])],
    ["1 GET /1", "damaged gap", "damaged gap", "99 POST /p x"],
  ],
  [
    "that ends within padding: the zeros and what follows look like DATA of streams 3 and 0x1616263",
    [get(1, "/1"), 30, Buffer.concat([Buffer.alloc(6), data(1, "abc")]), get(3, "/3")],
    ["1 GET /1", "3 GET /3"],
  ],
  [
    "after which DATA seems to be of a stream that cannot have begun",
    [get(1, "/1"), 12, data(1001, "x", true), get(3, "/3")],
    ["1 GET /1", "3 GET /3"],
  ],
  [
    "after which DATA is of the highest stream that can have begun: it has, so it does not begin again",
    [get(1, "/1"), 12, data(7, "x", true), get(7, "/7"), get(9, "/9")],
    ["1 GET /1", "damaged gap", "damaged gap", "9 GET /9"],
  ],
  [
    "after which DATA is of the stream above that one: it cannot have begun",
    [get(1, "/1"), 12, data(9, "x", true), get(9, "/9")],
    ["1 GET /1", "damaged gap", "damaged gap", "9 GET /9"],
  ],
  [
    "that had a head, whose DATA comes",
    [get(1, "/1"), 30, data(3, "x", true), get(5, "/5")],
    ["1 GET /1", "damaged gap", "5 GET /5"],
  ],
  [
    "that had several heads, and the first one's DATA comes first",
    [get(1, "/1"), 90, Buffer.concat([data(3, "x", true), data(5, "x", true), get(7, "/7")])],
    ["1 GET /1", "damaged gap", "damaged gap", "7 GET /7"],
  ],
  [
    "that had a head of a cancelled request",
    [get(1, "/1"), 30, Buffer.concat([reset(3), get(5, "/5")])],
    ["1 GET /1", "damaged gap", "5 GET /5"],
  ],
  [
    "that had a HEADERS frame, whose CONTINUATION comes",
    [get(1, "/1"), 30, Buffer.concat([frame(FrameType.CONTINUATION, 4, 3, "\x82"), get(5, "/5")])],
    ["1 GET /1", "damaged gap", "5 GET /5"],
  ],
];

describe("a gap", () => {
  test.each(gaps)("%s", (_what, pieces, want) => {
    expect(new Recorder().feed(pieces).events).toEqual(want);
  });

  test.each([
    ["as many streams as are remembered have ended since", UNTOLD_STREAMS_MAX, "GET /n"],
    ["one more than are remembered goes on", UNTOLD_STREAMS_MAX + 1, "damaged unknown_header"],
  ])("damaged requests, and then a gap: %s", (_what, count, want) => {
    const streams = Array.from({ length: count }, (_, i) => 2 * i + 3);
    const body = (stream: number) => data(stream, "x".repeat(50));
    const cut = streams.flatMap((stream) => [
      post(stream),
      body(stream).subarray(0, 20),
      10,
      body(stream).subarray(30),
    ]);
    const ended = streams.slice(0, UNTOLD_STREAMS_MAX).map((stream) => data(stream, "", true));
    const last = streams.at(-1)! + 2;
    const recorder = new Recorder().feed([headers(1, KNOWN, { end: true }), ...cut, ...ended]);
    recorder.feed([TRAILER.length, headers(last, NAMES, { end: true })]);
    expect(recorder.events.at(-1)).toEndWith(want);
    expect(recorder.events).toHaveLength(1 + count + 1);
  });

  test("and then the end", () => {
    const recorder = new Recorder().feed([post(1), data(1, "x")]);
    recorder.framer.end();
    expect(recorder.events).toEqual(["1 damaged cut_off"]);
  });
});

/**
 * HEADERS with a priority, then CONTINUATION. Without the first six bytes, the rest of the stream's number and the
 * priority look like the header of DATA that ends where the HEADERS frame does.
 */
function likeData(): Buffer {
  const fields = [...pseudo("POST", "/"), ["x", "y".repeat(32)]] as Fields;
  const stream = Math.ceil(block(fields).length / 2) - 1;
  expect(stream % 2).toBe(1);
  return headers(stream, fields, { priority: true, continuations: 1 });
}

const late: [what: string, pieces: Piece[], want: string[]][] = [
  ["at a frame's beginning", [get(101, "/a"), get(103, "/b")], ["101 GET /a", "103 GET /b"]],
  ["within a frame", [Buffer.from("rest of a frame"), get(101, "/a")], ["101 GET /a"]],
  ["within a request", [data(99, "x"), data(99, "y", true), get(101, "/a")], ["damaged gap", "101 GET /a"]],
  [
    "at a head that names an entry",
    [headers(101, NAMES, { end: true }), get(103, "/b")],
    ["damaged unknown_header", "103 GET /b"],
  ],
  [
    "at a frame that is longer than its segment: it proves nothing",
    [data(99, "x".repeat(90)).subarray(0, 50), get(101, "/a")],
    ["101 GET /a"],
  ],
  [
    "at two, the last of which is longer",
    [
      Buffer.concat([PING, data(99, "x".repeat(90)).subarray(0, 50)]),
      data(99, "x".repeat(90)).subarray(50),
      get(101, "/a"),
    ],
    ["damaged gap", "101 GET /a"],
  ],
  [
    "within a header that looks like another, before CONTINUATION that has no HEADERS then",
    [likeData().subarray(6), get(101, "/a")],
    ["101 GET /a"],
  ],
  [
    "at bytes that could be any text",
    [Buffer.from("\0\0\x04\x03\x01\0\0\0\x01abcd", "latin1"), get(1, "/")],
    ["1 GET /"],
  ],
];

describe("joined in its middle", () => {
  test.each(late)("%s", (_what, pieces, want) => {
    expect(new Recorder({ late: true }).feed(pieces).events).toEqual(want);
  });
});

test("no input causes an exception, and each request that has begun ends once", () => {
  const random = new Random(7);
  for (let seed = 0; seed < 300; seed++) {
    const recorder = new Recorder({ late: random.chance(0.3) });
    for (let i = 0; i < 30; i++) {
      const stream = random.int(0, 9);
      const frames = [
        () => headers(stream, random.chance(0.5) ? POST : Buffer.from(random.bytes(8)), { end: random.chance(0.5) }),
        () => data(stream, random.bytes(random.int(0, 20)), random.chance(0.5)),
        () => frame(random.int(0, 12), random.int(0, 255), stream, random.bytes(random.int(0, 20))),
        () => reset(stream),
        () => Buffer.from(random.bytes(random.int(1, 20))),
      ];
      const bytes = random.pick(frames)();
      recorder.feed(random.chance(0.2) ? [random.int(1, 40)] : [bytes]);
    }
    recorder.framer.end();
    expect(recorder.framer.openCount).toBe(0);
    const events = recorder.events.filter((event) => !event.endsWith("when whole"));
    const ended = events.map((event) => Number.parseInt(event, 10)).filter((stream) => stream > 0);
    expect(new Set(ended).size).toBe(ended.length);
    expect(ended.every((stream) => stream % 2 === 1)).toBe(true);
  }
});

test("a setting is written as it is read", () => {
  expect([...word(0x80000001)]).toEqual([0x80, 0, 0, 1]);
});
