/**
 * HTTP/2 clients that use everything that the protocol allows, and endpoints that behave strangely within it: each call
 * is served once, or is in the counter with the reason.
 */
import { afterAll, expect, test } from "bun:test";
import { FrameType, Setting } from "../../src/http/http2/frames.ts";
import { TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import {
  block,
  data,
  type Fields,
  frame,
  get,
  headers,
  PING,
  PREFACE,
  pseudo,
  reset,
  SETTINGS,
  windowUpdate,
  word,
} from "../http/http2/client-frames.ts";
import { pcap } from "../support/frames.ts";
import { forward, identityFaults } from "./mirror.ts";
import { RawHttp2, type RawHttp2Connection, type RawHttp2Script } from "./raw-http2.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const PRIORITY_UPDATE = 0x10;
const GREASE = 0xab;
const REFUSED = 7;
const PAUSE_MS = 600_000;
/** RFC 7541, section 6.3: the table's size is 0, then 4096 again. */
const TABLE_SIZES = Buffer.from([0x20, 0x3f, 0xe1, 0x1f]);
const WEBSOCKET: Fields = [
  [":method", "CONNECT"],
  [":protocol", "websocket"],
  [":scheme", "http"],
  [":path", "/websocket"],
  [":authority", "production"],
];

/** The paths of the requests that each endpoint must get, and the lengths of their bodies. */
const WANTED: Readonly<Record<string, number>> = {
  ...Object.fromEntries([1, 3, 5, 7, 9, 11].map((stream) => [`/get/${stream}`, 0])),
  "/padded": 301,
  "/trailer": 3,
  "/long-head": 0,
  "/table": 0,
  "/behind": 0,
  "/websocket": 12,
  "/idle": 0,
  "/idle-again": 0,
  "/behind-cancelled": 0,
};
const CANCELLED = 2;
/** The requests that may not be sent twice. */
const ONCE = ["/padded", "/trailer", "/websocket"];

function clients() {
  const odd = [
    PREFACE,
    SETTINGS,
    Buffer.concat([1, 3, 5, 7, 9, 11].map((stream) => get(stream, `/get/${stream}`))),
    headers(13, pseudo("POST", "/padded"), { padding: 7, priority: true }),
    Buffer.concat([data(13, "x".repeat(300), false, 200), data(13, "y", true, 0)]),
    frame(PRIORITY_UPDATE, 0, 0, Buffer.concat([word(13), Buffer.from("u=1, i")])),
    Buffer.concat([
      headers(15, pseudo("POST", "/trailer")),
      data(15, "abc"),
      headers(15, [["x-t", "1"]], { end: true }),
    ]),
    headers(17, [...pseudo("GET", "/long-head"), ["x-long", "v".repeat(20_000)]], { end: true, continuations: 2 }),
    headers(19, Buffer.concat([TABLE_SIZES, block(pseudo("GET", "/table"))]), { end: true }),
    Buffer.concat([PING, windowUpdate(0), frame(GREASE, 0xff, 21, "grease")]),
    get(21, "/behind"),
  ];
  const cancelling = [
    Buffer.concat([headers(1, pseudo("POST", "/cut")), data(1, "some"), reset(1)]),
    Buffer.concat([get(3, "/taken-back"), reset(3)]),
    get(5, "/behind-cancelled"),
  ];
  const websocket = [headers(1, WEBSOCKET), data(1, "frame1"), data(1, "frame2"), data(1, "", true)];
  const idle = session([PREFACE, SETTINGS, get(1, "/idle"), get(3, "/idle-again")], 40_001);
  for (const later of idle.slice(-2)) later.timestampMs += PAUSE_MS;
  const frames = [
    ...session(odd, 40_000),
    ...session([PREFACE, SETTINGS, ...cancelling], 40_002),
    ...session([PREFACE, SETTINGS, ...websocket], 40_003),
    ...idle,
  ];
  return pcap(frames.sort((one, other) => one.timestampMs - other.timestampMs));
}

const setting = (name: number, value: number) => Buffer.concat([Buffer.from([0, name]), word(value)]);
const settings = (...all: Buffer[]) => frame(FrameType.SETTINGS, 0, 0, Buffer.concat(all));
const goAway = (stream: number) => frame(FrameType.GOAWAY, 0, 0, Buffer.concat([word(stream), word(0)]));
const takesConnect = setting(Setting.ENABLE_CONNECT_PROTOCOL, 1);

/** An endpoint that responds to each call, or behaves as `rest` says. */
const endpoint = (allowed: Buffer[], rest: Partial<RawHttp2Script> = {}): RawHttp2Script => ({
  opened: (connection) => connection.say(settings(takesConnect, ...allowed)),
  called: (connection, { stream }) => connection.respond(stream),
  data: (connection, stream, length) => {
    if (length > 0) connection.say(frame(FrameType.WINDOW_UPDATE, 0, stream, word(length)));
  },
  ...rest,
});

const onlyFirst = (then: (connection: RawHttp2Connection, stream: number) => void): RawHttp2Script =>
  endpoint([], {
    called: (connection, { stream }) => {
      if (connection.whole.length > 1) return;
      connection.respond(stream);
      then(connection, stream);
    },
  });

function refusing(): RawHttp2Script {
  const refused = new Set<string>();
  return endpoint([], {
    called: (connection, { stream, path }) => {
      if (refused.has(path)) return connection.respond(stream);
      refused.add(path);
      connection.say(reset(stream, REFUSED));
    },
  });
}

const all = Object.keys(WANTED).length;
const served = { forwarded: all, answered: all };
interface Odd {
  readonly script: RawHttp2Script;
  readonly requests: object;
  readonly rest?: object;
  /** The most calls that it may leave unserved. */
  readonly lostMax?: number;
}
const ODD: Readonly<Record<string, Odd>> = {
  "takes all": { script: endpoint([]), requests: served },
  "says all that it may before, within and behind a response": {
    script: endpoint([setting(0x99, 5)], {
      called: (connection, { stream }) => {
        const interim = (status: string) => headers(stream, [[":status", status]]);
        connection.say(interim("100"), frame(GREASE, 0xff, 0, "grease"), interim("103"), PING);
        connection.respond(stream, headers(stream, [[":status", "200"]], { padding: 9 }), [
          data(stream, "body", false, 100),
          data(stream, ""),
          headers(stream, [["grpc-status", "5"]], { end: true }),
        ]);
        connection.say(frame(FrameType.WINDOW_UPDATE, 0, stream, word(1)), reset(stream, 0));
      },
    }),
    requests: served,
    rest: { responses: { "1xx": 2 * all }, grpc: { status: { not_found: all } } },
  },
  "takes one call at a time": { script: endpoint([setting(Setting.MAX_CONCURRENT_STREAMS, 1)]), requests: served },
  "has windows of one byte": { script: endpoint([setting(Setting.INITIAL_WINDOW_SIZE, 1)]), requests: served },
  "changes its SETTINGS with each response": {
    script: endpoint([], {
      called: (connection, { stream }) => {
        const { length } = connection.whole;
        connection.say(
          settings(
            setting(Setting.INITIAL_WINDOW_SIZE, length % 3),
            setting(Setting.MAX_CONCURRENT_STREAMS, 1 + (length % 3)),
            setting(Setting.HEADER_TABLE_SIZE, length % 2 === 0 ? 4096 : 0),
          ),
        );
        connection.respond(stream);
      },
    }),
    requests: served,
  },
  "goes away behind each response": {
    script: onlyFirst((connection, stream) => {
      connection.say(goAway(stream));
      connection.end();
    }),
    requests: served,
  },
  "ends the connection behind each response": {
    script: onlyFirst((connection) => connection.end()),
    requests: { forwarded: all },
    lostMax: ONCE.length,
  },
  "refuses each call once": { script: refusing(), requests: served, rest: { http2: { resent: all, resets: all } } },
  "goes away before it takes a call": {
    script: endpoint([], { opened: (connection) => connection.say(settings(takesConnect), goAway(0)) }),
    requests: { forwarded: 0, dropped: { endpoint_closed: all, cancelled: CANCELLED } },
    lostMax: all,
  },
};

test("clients that use the whole protocol, with strange endpoints", async () => {
  const rows = Object.entries(ODD);
  const endpoints = await Promise.all(rows.map(([, { script }]) => RawHttp2.listen(script)));
  const [first, ...others] = endpoints.map(({ address }) => address);
  const flags = [...others.flatMap((address) => ["--also", address]), "--response-timeout-ms", "1000"];
  const mirror = { savefile: clients(), vni: VNI, port: PORT };
  const { counters, status } = await forward(mirror, first!, directory, flags);
  for (const each of endpoints) each[Symbol.dispose]();
  expect(status).toBe(0);
  for (const [i, [name, { requests, rest = {}, lostMax = 0 }]] of rows.entries()) {
    const counted = i === 0 ? counters : counters.destinations[i - 1];
    const got = endpoints[i]!.served;
    const lost = Object.keys(WANTED).filter((path) => !got.some((call) => call.path === path));
    const wrong = got.filter(({ path, length }) => WANTED[path] !== length);
    expect({ name, faults: identityFaults(counted), wrong, twice: got.length + lost.length - all }).toEqual({
      name,
      faults: [],
      wrong: [],
      twice: 0,
    });
    expect(lost.length).toBeLessThanOrEqual(lostMax);
    expect({ name, ...counted }).toMatchObject({
      name,
      requests: { seen: all + CANCELLED, dropped: { cancelled: CANCELLED }, answered: all - lost.length, ...requests },
      ...rest,
    });
  }
}, 30_000);
