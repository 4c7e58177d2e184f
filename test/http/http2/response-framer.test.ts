/** An HTTP/2 server's bytes, as responses to the requests of its streams. */
import { describe, expect, test } from "bun:test";
import { FrameType, Flag } from "../../../src/http/http2/frames.ts";
import { ENTRY_OVERHEAD } from "../../../src/http/http2/hpack-decoder.ts";
import { type Http2Response, Http2ResponseFramer } from "../../../src/http/http2/response-framer.ts";
import {
  RESPONSE_BLOCK_BYTES_MAX,
  RESPONSE_LIST_BYTES_MAX,
  type ResponseHead,
} from "../../../src/http/http2/response-head.ts";
import { Random } from "../../support/random.ts";
import {
  block,
  data,
  type Fields,
  frame,
  headers,
  inserted,
  PING,
  reset,
  SETTINGS,
  SETTINGS_ACK,
  windowUpdate,
  word,
} from "./client-frames.ts";

/** Bytes, or a gap of this length. */
type Piece = Uint8Array | number;

const STREAMS = [1, 3, 5];

/** Writes down the events of the responses to {@link STREAMS}. */
class Recorder {
  readonly events: string[] = [];
  readonly statuses: number[] = [];
  readonly framer: Http2ResponseFramer;

  constructor(isLate = false) {
    const awaited = new Map(STREAMS.map((stream) => [stream, this.response(stream)]));
    this.framer = new Http2ResponseFramer({ status: (code) => this.statuses.push(code) }, awaited, isLate);
  }

  private response(stream: number): Http2Response {
    const { events } = this;
    let text = "";
    const of = (section: ResponseHead) => section.lines.replaceAll("\r\n", ";");
    return {
      isBegun: false,
      head(section) {
        (this as { isBegun: boolean }).isBegun = true;
        text = `${section.status} ${section.isTooLong ? "too long " : of(section)}`;
      },
      body(bytes, offset, length) {
        text += Buffer.from(bytes.subarray(offset, offset + length)).toString("latin1");
      },
      whole(trailer) {
        events.push(`${stream} ${text}${trailer === null ? "" : ` + ${of(trailer)}`}`.trim());
      },
      damaged(isSeen) {
        events.push(`${stream} ${isSeen ? "damaged" : "missing"}`);
      },
    };
  }

  feed(...pieces: readonly Piece[]): this {
    for (const piece of pieces) {
      if (typeof piece === "number") this.framer.gap(piece);
      else this.framer.push(Uint8Array.from(piece), 0, piece.length);
    }
    return this;
  }
}

const status = (code: number, ...fields: Fields): Fields => [[":status", String(code)], ...fields];
const ok = (stream: number, options = {}) => headers(stream, status(200), options);
const GRPC: Fields = [["grpc-status", "0"]];
/** PUSH_PROMISE of stream 2 for a request of stream 1. */
const promise = (fields: Fields | Buffer, { flags = Flag.END_HEADERS as number, padding = 0 } = {}) => {
  const fragment = Buffer.isBuffer(fields) ? fields : block(fields);
  const padded = padding > 0 ? [Buffer.from([padding])] : [];
  const payload = Buffer.concat([...padded, word(2), fragment, Buffer.alloc(padding)]);
  return frame(FrameType.PUSH_PROMISE, flags | (padding > 0 ? Flag.PADDED : 0), 1, payload);
};

const inOrder: [what: string, frames: Buffer[], want: string[]][] = [
  ["only a head", [SETTINGS, headers(1, status(204, ["x", "y"]), { end: true })], ["1 204 x: y;"]],
  ["a body", [ok(1), data(1, "body", true)], ["1 200 body"]],
  [
    "a body in frames, with padding",
    [ok(1), data(1, "bo", false, 7), data(1, ""), data(1, "dy", true, 0)],
    ["1 200 body"],
  ],
  ["an end in an empty frame", [ok(1), data(1, "body"), data(1, "", true)], ["1 200 body"]],
  [
    "a head in frames",
    [headers(1, status(200, ["a", "b"]), { continuations: 3, padding: 5 }), data(1, "x", true)],
    ["1 200 a: b;x"],
  ],
  ["a trailer section", [ok(1), data(1, "x"), headers(1, GRPC, { end: true })], ["1 200 x + grpc-status: 0;"]],
  ["only a trailer section", [headers(1, status(200, ...GRPC), { end: true })], ["1 200 grpc-status: 0;"]],
  [
    "interim responses",
    [headers(1, status(103, ["link", "a"])), headers(1, status(100)), ok(1, { end: true })],
    ["1 200"],
  ],
  [
    "streams in turn",
    [ok(1), ok(5), data(1, "a"), headers(3, status(404), { end: true }), data(5, "c", true), data(1, "d", true)],
    ["3 404", "5 200 c", "1 200 ad"],
  ],
  ["an unknown stream", [ok(7), data(7, "x", true), ok(1, { end: true })], ["1 200"]],
  [
    "frames between that do not concern responses",
    [
      ok(1),
      PING,
      windowUpdate(0),
      data(1, "a"),
      SETTINGS_ACK,
      frame(0x42, 0xff, 7, "unknown"),
      windowUpdate(1),
      data(1, "b", true),
    ],
    ["1 200 ab"],
  ],
  [
    "a push",
    [ok(1), promise(status(0)), ok(2), data(1, "a"), data(2, "pushed", true), data(1, "b", true)],
    ["1 200 ab"],
  ],
  [
    "a push with a head that fills the table",
    [ok(1), promise(inserted("x", "1"), { padding: 9 }), headers(1, Buffer.from([0xbe]), { end: true })],
    ["1 200  + x: 1;"],
  ],
  [
    "the same in two frames",
    [
      ok(1),
      promise(inserted("x", "1").subarray(0, 2), { flags: 0 }),
      frame(FrameType.CONTINUATION, Flag.END_HEADERS, 1, inserted("x", "1").subarray(2)),
      headers(1, Buffer.from([0xbe]), { end: true }),
    ],
    ["1 200  + x: 1;"],
  ],
  ["a line's end in a value", [headers(1, status(200, ["a", "b\r\nc: d"]), { end: true })], ["1 200 a: b%0D%0Ac: d;"]],
];

describe("in order", () => {
  test.each(inOrder)("%s", (_what, frames, want) => {
    const all = Buffer.concat(frames);
    expect(new Recorder().feed(all).events).toEqual(want);
    expect(new Recorder().feed(...Array.from(all, (byte) => Uint8Array.of(byte))).events).toEqual(want);
  });

  test("final heads are given for every waiting request", () => {
    const { statuses } = new Recorder().feed(headers(1, status(103)), ok(1, { end: true }), ok(9), ok(2));
    expect(statuses).toEqual([200, 200, 200]);
  });
});

const ended: [what: string, frames: Piece[], want: string[]][] = [
  ["a reset before it", [reset(1), ok(1, { end: true })], ["1 missing"]],
  ["a reset in it", [ok(1), data(1, "x"), reset(1)], ["1 damaged"]],
  ["a reset after it", [ok(1, { end: true }), reset(1)], ["1 200"]],
  [
    "GOAWAY: later streams are not looked at",
    [frame(FrameType.GOAWAY, 0, 0, Buffer.concat([word(1), word(0)])), ok(1, { end: true })],
    ["3 missing", "5 missing", "1 200"],
  ],
  ["DATA without a head", [data(1, "x", true), ok(1)], ["1 damaged"]],
  ["a trailer section without a head", [headers(1, GRPC, { end: true })], ["1 damaged"]],
  ["a trailer section that ends nothing", [ok(1), headers(1, GRPC)], ["1 damaged"]],
  ["a second head", [ok(1), ok(1, { end: true })], ["1 damaged"]],
  ["an interim response that is the last", [headers(1, status(103), { end: true })], ["1 damaged"]],
  [
    "a block that is too long",
    [
      headers(
        1,
        block([
          [":status", "200"],
          ["a", "b".repeat(RESPONSE_BLOCK_BYTES_MAX)],
        ]),
      ),
      ok(3, { end: true }),
    ],
    ["1 damaged", "3 200"],
  ],
  [
    "malformed bytes",
    [ok(1), frame(FrameType.PING, 0, 0, "short"), ok(3, { end: true })],
    ["1 damaged", "3 missing", "5 missing"],
  ],
  [
    "a block that cannot be read",
    [ok(1), headers(3, Buffer.from([0x80])), data(1, "", true)],
    ["1 damaged", "3 missing", "5 missing"],
  ],
  ["a push with an unreadable head", [ok(1), promise(Buffer.from([0x80]))], ["1 damaged", "3 missing", "5 missing"]],
  [
    "a push of no stream",
    [frame(FrameType.PUSH_PROMISE, Flag.END_HEADERS, 0, word(2))],
    ["1 missing", "3 missing", "5 missing"],
  ],
  [
    "a push that is too short",
    [frame(FrameType.PUSH_PROMISE, Flag.END_HEADERS, 1, "\0\0")],
    ["1 missing", "3 missing", "5 missing"],
  ],
];

test.each(ended)("early ends: %s", (_what, frames, want) => {
  expect(new Recorder().feed(...frames).events).toEqual(want);
});

test("the server's end", () => {
  const recorder = new Recorder().feed(ok(1), ok(3, { end: true }), data(1, "x"));
  recorder.framer.end();
  expect(recorder.events).toEqual(["3 200", "1 damaged", "5 missing"]);
});

test("fields beyond the limit are not kept", () => {
  // With its name and overhead a power of two, as the limit is; the table holds no more.
  const value = "v".repeat(4096 - "a".length - ENTRY_OVERHEAD);
  const fitting = RESPONSE_LIST_BYTES_MAX / 4096;
  const named = (times: number) =>
    Buffer.concat([block(status(200)), inserted0("a", value), Buffer.alloc(times, 0xbe)]);
  const events = (times: number) => new Recorder().feed(headers(1, named(times), { end: true })).events[0]!;
  expect(events(fitting - 1)).toHaveLength("1 200 ".length + fitting * (value.length + "a: ;".length));
  expect(events(fitting)).toBe("1 200 too long");
});

/** An inserted field with a value longer than 126 bytes. */
function inserted0(name: string, value: string): Buffer {
  const rest = value.length - 0x7f;
  const length = [0x7f, 0x80 | (rest & 0x7f), rest >> 7];
  return Buffer.concat([Buffer.from([0x40, name.length]), Buffer.from(name), Buffer.from(length), Buffer.from(value)]);
}

const NAMED = Buffer.concat([block(status(200)), Buffer.from([0xbe])]);
const FILLED = headers(9, Buffer.concat([block(status(200)), inserted("x", "1")]), { end: true });

const gaps: [what: string, pieces: Piece[], want: string[]][] = [
  [
    "within DATA",
    [ok(1), data(1, "abcdef", true).subarray(0, 11), 2, Buffer.from("ef"), ok(3, { end: true })],
    ["1 damaged", "3 200"],
  ],
  [
    "that is the rest of DATA",
    [ok(1), data(1, "abcdef").subarray(0, 11), 4, ok(3, { end: true })],
    ["1 damaged", "3 200"],
  ],
  ["within padding", [ok(1), data(1, "ab", true, 9).subarray(0, 14), 5, Buffer.alloc(2)], ["1 200 ab"]],
  [
    "within a head",
    [
      headers(1, status(200, ["a", "bcd"]), { end: true }).subarray(0, 12),
      headers(1, status(200, ["a", "bcd"])).length - 12,
      ok(3, { end: true }),
    ],
    ["1 damaged", "3 200"],
  ],
  [
    "beyond a frame: begun responses are damaged, new ones are whole",
    [ok(1), 30, ok(3), data(3, "x", true)],
    ["1 damaged", "3 200 x"],
  ],
  [
    "in which a head was",
    [ok(1, { end: true }), 30, data(3, "x", true), ok(5, { end: true })],
    ["1 200", "3 damaged", "5 200"],
  ],
  [
    "after which a segment begins within a frame",
    [ok(1), 30, Buffer.concat([Buffer.from("tail"), ok(3, { end: true })]), ok(5, { end: true })],
    ["1 damaged", "5 200"],
  ],
  [
    "after which an unknown entry is named",
    [FILLED, ok(1), 30, headers(3, NAMED, { end: true }), ok(5, { end: true })],
    ["1 damaged", "3 damaged", "5 200"],
  ],
  [
    "after which an entry is named that came after it",
    [ok(1), 30, FILLED, headers(3, NAMED, { end: true })],
    ["1 damaged", "3 200 x: 1;"],
  ],
  [
    "within DATA: entries stay known",
    [FILLED, ok(1), data(1, "abcdef").subarray(0, 11), 4, headers(3, NAMED, { end: true })],
    ["1 damaged", "3 200 x: 1;"],
  ],
  [
    "within a head of a response that no request awaits: entries are not known",
    [FILLED, ok(7).subarray(0, 9), ok(7).length - 9, headers(3, NAMED, { end: true })],
    ["3 damaged"],
  ],
  [
    "within a push's head",
    [FILLED, promise(inserted("a", "b")).subarray(0, 14), 4, headers(3, NAMED, { end: true })],
    ["3 damaged"],
  ],
  ["within RST_STREAM", [ok(1), reset(1).subarray(0, 10), 3, ok(3, { end: true })], ["1 damaged", "3 200"]],
  ["within PING", [ok(1), PING.subarray(0, 10), PING.length - 10, data(1, "x", true)], ["1 200 x"]],
];

test.each(gaps)("a gap %s", (_what, pieces, want) => {
  expect(new Recorder().feed(...pieces).events).toEqual(want);
});

test("a connection that is joined in its middle: from frames on that prove themselves, with entries inserted since then", () => {
  const recorder = new Recorder(true);
  recorder.feed(
    Buffer.from("the middle of a body"),
    headers(1, NAMED, { end: true }),
    FILLED,
    headers(3, NAMED, { end: true }),
  );
  expect(recorder.events).toEqual(["1 damaged", "3 200 x: 1;"]);
});

test("for any input, each response is given once, and nothing fails", () => {
  const frames = [
    SETTINGS,
    ok(1),
    data(1, "abc"),
    FILLED,
    promise(inserted("x", "1")),
    headers(1, GRPC, { end: true }),
  ];
  const whole = Buffer.concat([...frames, ok(3), data(3, "x".repeat(50), true), headers(5, NAMED, { end: true })]);
  for (let seed = 0; seed < 2000; seed++) {
    const random = new Random(seed);
    const recorder = new Recorder(random.chance(0.1));
    const bytes = Buffer.from(whole);
    if (random.chance(0.5)) bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
    for (let at = 0; at < bytes.length;) {
      const to = Math.min(bytes.length, at + random.int(1, 40));
      recorder.feed(random.chance(0.2) ? to - at : bytes.subarray(at, to));
      at = to;
    }
    recorder.framer.end();
    const streams = recorder.events.map((event) => event.slice(0, 1)).sort();
    expect({ seed, streams }).toEqual({ seed, streams: ["1", "3", "5"] });
  }
});
