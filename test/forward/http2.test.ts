/**
 * HTTP/2 requests on their way: the endpoint's limits are obeyed, requests that it did not process are sent again, and
 * everything is counted.
 */
import { describe, expect, test } from "bun:test";
import { Flag, FRAME_BYTES_DEFAULT, FRAME_HEADER_LEN, FrameType, Setting } from "../../src/http/http2/frames.ts";
import { CALLS_IN_FLIGHT_MAX } from "../../src/forward/http2-call-limit.ts";
import { HEAD_TOO_LONG, REPLIES_BYTES_MAX } from "../../src/forward/http2-connection.ts";
import { BACKLOG_BYTES_MAX } from "../../src/forward/http2-sender.ts";
import { HELD_MS_MAX, RESTS_MAX } from "../../src/forward/http2-conversation.ts";
import { UNPROCESSED_MAX } from "../../src/forward/http2-pipe.ts";
import { RESPONSE_BLOCK_BYTES_MAX } from "../../src/http/http2/response-head.ts";
import { STALLED_MS } from "../../src/forward/waiter.ts";
import { RESENDS_MAX } from "../../src/forward/lost-requests.ts";
import { AGAIN_MAX_MS } from "../../src/forward/spoken.ts";
import { OtherProtocolError } from "../../src/forward/tls.ts";
import {
  block,
  data,
  frame,
  get,
  headers,
  inserted,
  PING,
  PREFACE,
  pseudo,
  reset,
  SETTINGS,
  word,
} from "../http/http2/client-frames.ts";
import { editsOf, policyFor, ruleOf } from "../support/policies.ts";
import { Http2Clients, type Http2Endpoint, setting } from "./scripted-http2.ts";

const POST = pseudo("POST", "/p");
const WINDOW = 65_535;
const REFUSED = 7;
const CANCEL = 8;
/** RFC 7541, section 6.3: the size of the dynamic table is 0. */
const NO_TABLE = 0x20;
const NO_HTTP2 = Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n");

const post = (stream: number, body: string) => [headers(stream, POST), data(stream, body, true)];
const gets = (count: number) => Array.from({ length: count }, (_, i) => get(2 * i + 1, `/${i}`));

describe("the sent requests", () => {
  test("nothing before the endpoint's SETTINGS, then each request as production received it", () => {
    const world = new Http2Clients();
    const fields = [...pseudo("POST", "/a?b=c"), ["x-a", "1"], ["cookie", "d"], ["cookie", "e"]] as const;
    world.start(
      SETTINGS,
      headers(1, fields),
      data(1, "bo"),
      PING,
      data(1, "dy"),
      headers(1, [["x-t", "2"]], { end: true }),
    );
    const endpoint = world.acceptSilently();
    expect(endpoint.frames.map(({ type }) => type)).toEqual([FrameType.SETTINGS, FrameType.WINDOW_UPDATE]);
    expect(endpoint.frames[0]!.payload.subarray(0, 6)).toEqual(setting(Setting.ENABLE_PUSH, 0));
    endpoint.settings();
    expect(endpoint.of(FrameType.SETTINGS).map(({ flags }) => flags)).toEqual([0, Flag.ACK]);
    expect([...endpoint.requests.values()]).toEqual([
      {
        stream: 1,
        fields: [
          ":method: POST",
          ":scheme: http",
          ":authority: production",
          ":path: /a?b=c",
          "x-a: 1",
          "cookie: d",
          "cookie: e",
        ],
        body: "body",
        trailer: ["x-t: 2"],
        isEnded: true,
        isReset: false,
      },
    ]);
    endpoint.respond(1, 200, "response");
    expect(world.outcome).toEqual({ seen: 1, forwarded: 1, answered: 1, "2xx": 1 });
    expect(world.heldBytes).toBeGreaterThan(0);
  });

  test("requests of a client are under way together; those of another on another connection", () => {
    const world = new Http2Clients();
    world.start(...gets(3));
    const [first, second] = [world.accept(), (world.start(...gets(2)), world.accept())];
    expect([first.paths, second.paths]).toEqual([
      ["/0", "/1", "/2"],
      ["/0", "/1"],
    ]);
    first.respond(5, 404);
    first.respond(1, 301);
    first.respond(3, 500);
    expect(world.outcome).toEqual({ seen: 5, forwarded: 3, answered: 3, "3xx": 1, "4xx": 1, "5xx": 1 });
  });

  test("interim responses are counted, but not as responses", () => {
    const world = new Http2Clients();
    world.start(...gets(1));
    const endpoint = world.accept();
    endpoint.say(headers(1, [[":status", "103"]]));
    expect(world.outcome).toEqual({ seen: 1, "1xx": 1 });
    endpoint.respond(1, 200);
    expect(world.outcome).toEqual({ seen: 1, forwarded: 1, answered: 1, "1xx": 1, "2xx": 1 });
  });

  test("the status of a gRPC call is counted, in its trailer section or its only section", () => {
    const world = new Http2Clients();
    world.start(...gets(3));
    const endpoint = world.accept();
    endpoint.respond(1, 200, "message", [["grpc-status", "0"]]);
    endpoint.say(
      headers(
        3,
        [
          [":status", "200"],
          ["grpc-status", "14"],
        ],
        { end: true },
      ),
    );
    endpoint.respond(5, 200, "", [["grpc-status", "99"]]);
    expect(world.outcome).toMatchObject({ answered: 3, "2xx": 3, grpc_ok: 1, grpc_unavailable: 1, grpc_other: 1 });
  });

  test("edits are made in the head, in both versions of HTTP", () => {
    const headEdits = editsOf({ host: "test.example", setHeader: [["X-Test", "1"]], mark: true });
    const world = new Http2Clients({ policy: policyFor({ headEdits }) });
    world.start(get(1, "/a"), headers(3, [...pseudo("GET", "/b"), ["x-mirrored-from", "x"]], { end: true }));
    const endpoint = world.accept();
    expect(endpoint.requests.get(1)!.fields).toEqual([
      ":method: GET",
      ":scheme: http",
      ":authority: test.example",
      ":path: /a",
      "x-test: 1",
      "x-mirrored-from: ::",
    ]);
    expect(world.outcome).toEqual({ seen: 2, loop: 1 });
  });

  test("policy decides about each request by its head", () => {
    const policy = policyFor({ deny: [ruleOf("path:/private/**")], allow: [ruleOf("host:production")] });
    const world = new Http2Clients({ policy });
    const other = headers(5, [...pseudo("GET", "/b").slice(0, 3), ["host", "other"]], { end: true });
    world.start(get(1, "/private/a"), get(3, "/a"), other, ...post(7, "body"));
    expect(world.accept().paths).toEqual(["/a", "/p"]);
    expect(world.outcome).toEqual({ seen: 4, filtered: 2 });
  });

  test("the rate limits sent requests", () => {
    const world = new Http2Clients({ policy: policyFor({ maxRate: 1 }), maxRequestBytes: 10 });
    world.start(get(1, "/a"), get(3, "/b"), headers(5, POST), data(5, "x".repeat(20), true));
    expect(world.accept().paths).toEqual(["/a"]);
    expect(world.outcome).toEqual({ seen: 3, rate_limit: 2 });
  });

  test("a dry run makes no connection", () => {
    const world = new Http2Clients({ policy: policyFor({ dryRun: true, deny: [ruleOf("method:POST")] }) });
    world.start(get(1, "/a?q=1"), ...post(3, "body"));
    expect(world.connector.attempts.length).toBe(0);
    expect(world.outcome).toEqual({ seen: 2, dry_run: 1, filtered: 1 });
    expect(world.mode.dryRun!.results.map(({ by, examples }) => [by, examples])).toEqual([
      ["would be forwarded", ["GET /a"]],
      ["--deny method:POST", ["POST /p"]],
    ]);
  });

  test("a PROXY protocol header goes before the preface", () => {
    const world = new Http2Clients();
    const header = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    const client = world.open();
    world.give(client, Buffer.from(header), PREFACE, ...gets(1));
    expect(world.acceptSilently(header).settings().paths).toEqual(["/0"]);
  });
});

describe("the endpoint's limits", () => {
  test("streams: not more at once than it allows, and 256 if it sets no limit", () => {
    for (const [settings, most] of [
      [[setting(Setting.MAX_CONCURRENT_STREAMS, 2)], 2],
      [[], CALLS_IN_FLIGHT_MAX],
    ] as const) {
      const world = new Http2Clients({ maxWaitingRequests: 1000 });
      world.start(...gets(CALLS_IN_FLIGHT_MAX + 3));
      const endpoint = world.accept(...settings);
      expect(endpoint.paths.length).toBe(most);
      endpoint.respond(3);
      expect(endpoint.paths.length).toBe(most + 1);
    }
  });

  test("streams: none allowed for a while", () => {
    const world = new Http2Clients();
    world.start(...gets(2));
    const endpoint = world.accept(setting(Setting.MAX_CONCURRENT_STREAMS, 0));
    expect(endpoint.paths).toEqual([]);
    endpoint.settings(setting(Setting.MAX_CONCURRENT_STREAMS, 1));
    expect(endpoint.paths).toEqual(["/0"]);
  });

  test("streams: none for the time of a response: waiting requests are dropped, later ones get their own time", () => {
    const world = new Http2Clients({ responseTimeoutMs: 1000 });
    const client = world.start(...gets(2));
    const endpoint = world.accept(setting(Setting.MAX_CONCURRENT_STREAMS, 0));
    world.pass(1100);
    expect(world.outcome).toEqual({ seen: 2, endpoint_settings: 2 });
    world.give(client, get(5, "/5"));
    world.pass(900);
    endpoint.settings(setting(Setting.MAX_CONCURRENT_STREAMS, 1));
    world.pass(200);
    expect(endpoint.paths).toEqual(["/5"]);
    endpoint.respond(1);
    expect(world.outcome).toEqual({ seen: 3, endpoint_settings: 2, forwarded: 1, answered: 1, "2xx": 1 });
    expect(world.upstream).toMatchObject({ connects: 1, given_up: 0 });
  });

  test("the dynamic table: the first block after SETTINGS with a smaller table says that it is not used", () => {
    const world = new Http2Clients();
    const trailer = headers(3, [["x-t", "1"]], { end: true });
    const client = world.start(...gets(1), headers(3, POST), trailer);
    const size = (bytes: number) => setting(Setting.HEADER_TABLE_SIZE, bytes);
    const endpoint = world.accept(size(4096)).settings(size(100));
    world.give(client, get(5, "/5"));
    endpoint.settings(size(0)).settings(size(4096)).settings(size(10));
    world.give(client, get(7, "/7"));
    expect(
      endpoint
        .read()
        .of(FrameType.HEADERS)
        .map(({ payload }) => payload[0] === NO_TABLE),
    ).toEqual([...[false, false, false], ...[true, false]]);
    expect(endpoint.requests.get(5)!.fields[0]).toBe(":method: GET");
  });

  test("windows: of a stream, changed while it is under way, and of the connection", () => {
    const world = new Http2Clients();
    const body = "x".repeat(100_000);
    world.start(...post(1, body), ...post(3, "y".repeat(50)));
    const endpoint = world.accept(setting(Setting.INITIAL_WINDOW_SIZE, 10));
    const lengths = () => [...endpoint.requests.values()].map((request) => request.body.length);
    expect(lengths()).toEqual([10, 10]);
    endpoint.windowUpdate(1, 5);
    expect(lengths()).toEqual([15, 10]);
    // All streams' windows grow by 15, also those that have been used.
    endpoint.settings(setting(Setting.INITIAL_WINDOW_SIZE, 25));
    expect(lengths()).toEqual([30, 25]);
    endpoint.settings(setting(Setting.INITIAL_WINDOW_SIZE, 0));
    endpoint.windowUpdate(1, 20);
    expect(lengths()).toEqual([30, 25]);
    endpoint.windowUpdate(1, 100_000).windowUpdate(3, 100);
    expect(lengths()[0]! + lengths()[1]!).toBe(WINDOW);
    endpoint.windowUpdate(0, 100_000);
    expect(lengths()).toEqual([100_000, 50]);
    expect(endpoint.requests.get(1)!.isEnded).toBe(true);
  });

  test("an end without content needs no window", () => {
    const world = new Http2Clients();
    world.start(headers(1, POST), data(1, "x", true), headers(3, POST), data(3, "", true));
    const endpoint = world.accept(setting(Setting.INITIAL_WINDOW_SIZE, 0));
    expect([...endpoint.requests.values()].map(({ isEnded }) => isEnded)).toEqual([false, true]);
  });

  test("frames: none is longer than 16 KiB, even if it allows more; a long head is continued", () => {
    const world = new Http2Clients();
    const long = ["x-long", "y".repeat(40_000)] as const;
    world.start(headers(1, [...POST, long]), data(1, "x".repeat(60_000), true));
    const endpoint = world.accept(setting(Setting.MAX_FRAME_SIZE, 1 << 20));
    expect(Math.max(...endpoint.frames.map(({ payload }) => payload.length))).toBe(16_384);
    expect(endpoint.of(FrameType.CONTINUATION).length).toBe(2);
    expect(endpoint.requests.get(1)).toMatchObject({ isEnded: true });
    expect(endpoint.requests.get(1)!.fields.at(-1)).toBe(long.join(": "));
  });

  test("heads: a head longer than its limit is not sent, and is counted", () => {
    const size = pseudo("GET", "/0").reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
    for (const [limit, paths] of [
      [size, ["/0"]],
      [size - 1, []],
    ] as const) {
      const world = new Http2Clients();
      world.start(...gets(1));
      const endpoint = world.accept(setting(Setting.MAX_HEADER_LIST_SIZE, limit));
      expect(endpoint.paths).toEqual([...paths]);
      expect(world.outcome).toEqual(paths.length === 1 ? { seen: 1 } : { seen: 1, endpoint_settings: 1 });
    }
  });

  test("extended CONNECT: only if it allows it", () => {
    for (const isAllowed of [false, true]) {
      const world = new Http2Clients();
      world.start(headers(1, [...pseudo("CONNECT", "/chat"), [":protocol", "websocket"]], { end: true }));
      const endpoint = world.accept(setting(Setting.ENABLE_CONNECT_PROTOCOL, Number(isAllowed)));
      expect(endpoint.paths).toEqual(isAllowed ? ["/chat"] : []);
      if (isAllowed) expect(endpoint.requests.get(1)!.fields).toContain(":protocol: websocket");
      else expect(world.outcome).toEqual({ seen: 1, endpoint_settings: 1 });
    }
  });

  test("PING is responded to with the same bytes; an acknowledgment is not", () => {
    const world = new Http2Clients();
    world.start(...gets(1));
    const endpoint = world.accept().say(PING, frame(FrameType.PING, Flag.ACK, 0, "87654321"));
    expect(endpoint.of(FrameType.PING).map(({ flags, payload }) => [flags, payload.toString()])).toEqual([
      [Flag.ACK, "12345678"],
    ]);
  });

  test("a long response gets more window, of the stream and of the connection", () => {
    const world = new Http2Clients();
    world.start(...gets(1));
    const endpoint = world.accept().say(headers(1, [[":status", "200"]]));
    const half = 1 << 23;
    for (let sent = 0; sent < half; sent += 16_384) endpoint.say(data(1, "x".repeat(16_384)));
    const updates = endpoint.of(FrameType.WINDOW_UPDATE).slice(1);
    expect(updates.map(({ stream, payload }) => [stream, payload.readUInt32BE()])).toEqual([
      [0, half],
      [1, half],
    ]);
  });
});

describe("requests that the endpoint did not process", () => {
  test("GOAWAY: requests above its last stream go on another connection, in order; those below wait", () => {
    const world = new Http2Clients();
    const client = world.start(...post(1, "a"), get(3, "/3"), ...post(5, "c"));
    const first = world.accept();
    first.goAway(1);
    world.give(client, get(7, "/7"));
    const second = world.accept();
    expect(second.paths).toEqual(["/3", "/p", "/7"]);
    expect(second.requests.get(3)!.body).toBe("c");
    first.respond(1);
    expect(first.socket.shutdowns).toBe(1);
    for (const stream of [1, 3, 5]) second.respond(stream);
    expect(world.outcome).toEqual({ seen: 4, forwarded: 4, answered: 4, "2xx": 4, h2_goaways: 1, h2_resent: 2 });
  });

  const early: [what: string, end: (endpoint: Http2Endpoint) => void][] = [
    ["GOAWAY", (endpoint) => endpoint.goAway(1)],
    ["the end of the connection", () => {}],
  ];
  test.each(early)("%s after each response: all requests are served, and few are sent in vain", (_what, end) => {
    const count = 60;
    const world = new Http2Clients();
    world.start(...gets(count));
    const served: string[] = [];
    let sent = 0;
    while (world.connector.attempts.length > 0) {
      const endpoint = world.accept().respond(1);
      served.push(endpoint.paths[0]!);
      end(endpoint);
      endpoint.socket.events.ended();
      world.settle();
      sent += endpoint.read().requests.size;
    }
    expect(served).toEqual(Array.from({ length: count }, (_, i) => `/${i}`));
    expect(world.outcome).toMatchObject({ seen: count, forwarded: count, answered: count });
    // All requests on the first two connections, then two on each.
    expect(sent).toBeLessThanOrEqual(4 * count);
  });

  test("a connection that responds gets more requests at a time, although earlier ones went away", () => {
    const world = new Http2Clients({ maxWaitingRequests: 1000 });
    const client = world.start(...gets(10));
    for (let i = 0; i < 2; i++) {
      world.accept().goAway(0).socket.events.ended();
      world.settle();
    }
    const endpoint = world.accept();
    world.give(client, ...Array.from({ length: 100 }, (_, i) => get(21 + 2 * i, "/")));
    const open = () => endpoint.requests.size - responded;
    let [responded, most] = [0, 0];
    for (; responded < 110; endpoint.respond(2 * responded++ + 1)) {
      expect(open()).toBeLessThanOrEqual(Math.max(responded, 1));
      most = Math.max(most, open());
    }
    expect(most).toBeGreaterThan(50);
    expect(world.outcome).toMatchObject({ answered: 110 });
  });

  test("a long call delays others only for a moment, although earlier connections went away", () => {
    const world = new Http2Clients();
    world.start(...gets(4));
    for (let i = 0; i < 2; i++) {
      world.accept().goAway(0).socket.events.ended();
      world.settle();
    }
    const endpoint = world.accept();
    expect(endpoint.paths).toEqual(["/0"]);
    world.pass(1100);
    expect(endpoint.read().paths).toEqual(["/0", "/1"]);
    endpoint.respond(3);
    expect(endpoint.paths).toEqual(["/0", "/1", "/2"]);
    endpoint.respond(5).respond(7).respond(1);
    expect(world.outcome).toMatchObject({ answered: 4 });
  });

  test("GOAWAY before any call, again and again: waiting requests are dropped, and it is tried now and then", () => {
    const world = new Http2Clients();
    const client = world.start(...gets(2));
    const none = frame(FrameType.SETTINGS, 0, 0, setting(Setting.MAX_CONCURRENT_STREAMS, 0));
    const away = frame(FrameType.GOAWAY, 0, 0, Buffer.concat([word(0), word(0)]));
    let connections = 0;
    const refuseAll = () => {
      for (; world.connector.attempts.length > 0 && connections < 1000; connections++)
        world.acceptSilently().say(none, away);
    };
    refuseAll();
    expect(connections).toBe(RESENDS_MAX + 1);
    for (let stream = 5; stream < 405; stream += 2) {
      world.pass(100);
      world.give(client, get(stream, "/"));
      refuseAll();
    }
    expect(connections).toBeLessThanOrEqual(10 * (RESENDS_MAX + 1));
    expect(world.outcome).toMatchObject({ seen: 202, endpoint_closed: 202 });
    expect(world.told.lines.filter((line) => line.startsWith("speaks"))).toEqual(["speaks no HTTP/2"]);
  });

  test("GOAWAY that only announces the end: all requests under way wait, new ones go on another connection", () => {
    const world = new Http2Clients();
    const client = world.start(...gets(2));
    const first = world.accept().goAway(0x7fff_ffff);
    world.give(client, get(5, "/5"));
    const second = world.accept();
    expect(second.paths).toEqual(["/5"]);
    first.respond(1).respond(3);
    second.respond(1);
    expect(world.outcome).toMatchObject({ forwarded: 3, answered: 3 });
  });

  test("REFUSED_STREAM: sent again on the same connection, but not for ever", () => {
    const world = new Http2Clients();
    world.start(...post(1, "body"));
    const endpoint = world.accept();
    for (let i = 0; i <= UNPROCESSED_MAX; i++) endpoint.say(reset(2 * i + 1, REFUSED));
    expect(endpoint.requests.size).toBe(UNPROCESSED_MAX + 1);
    expect(new Set([...endpoint.requests.values()].map(({ body }) => body))).toEqual(new Set(["body"]));
    expect(world.outcome).toEqual({
      seen: 1,
      endpoint_closed: 1,
      h2_resets: UNPROCESSED_MAX + 1,
      h2_resent: UNPROCESSED_MAX,
    });
  });

  test.each([
    ["GET", true],
    ["POST", false],
  ])("the connection is lost before %s's response: it is sent again: %p", (method, isAgain) => {
    const world = new Http2Clients();
    world.start(headers(1, pseudo(method, "/"), { end: true }));
    const endpoint = world.accept();
    endpoint.socket.events.closed(undefined);
    world.settle();
    if (isAgain) expect(world.accept().paths).toEqual(["/"]);
    else expect(world.outcome).toEqual({ seen: 1, forwarded: 1, unanswered: 1 });
  });

  test("the connection is lost again and again", () => {
    const world = new Http2Clients();
    world.start(...gets(1));
    for (let i = 0; i <= RESENDS_MAX; i++) {
      world.accept().socket.events.closed(undefined);
      world.settle();
    }
    expect(world.connector.attempts.length).toBe(0);
    expect(world.outcome).toEqual({ seen: 1, forwarded: 1, unanswered: 1 });
  });

  test("the kernel took no byte of a POST: it is sent again", () => {
    const world = new Http2Clients();
    const client = world.start(SETTINGS);
    world.give(client, get(1, "/"));
    const endpoint = world.accept();
    endpoint.respond(1);
    endpoint.socket.block();
    world.give(client, ...post(3, "x"));
    endpoint.socket.events.closed(new Error("reset"));
    world.settle();
    expect(world.accept().paths).toEqual(["/p"]);
  });
});

describe("connections and streams that the endpoint ends", () => {
  const reasons: [what: string, say: (endpoint: Http2Endpoint) => void, want: Record<string, number>][] = [
    ["RST_STREAM", (endpoint) => endpoint.say(reset(1, 2)), { forwarded: 1, unanswered: 1, h2_resets: 1 }],
    [
      "RST_STREAM in its response",
      (endpoint) => endpoint.say(headers(1, [[":status", "200"]]), data(1, "x"), reset(1, 2)),
      { forwarded: 1, unanswered: 1, h2_resets: 1 },
    ],
    [
      "its end in a response",
      (endpoint) => {
        endpoint.say(headers(1, [[":status", "200"]]));
        endpoint.socket.events.ended();
      },
      { forwarded: 1, unanswered: 1 },
    ],
    [
      "a response without a status",
      (endpoint) => endpoint.say(headers(1, [["a", "b"]])),
      { forwarded: 1, unanswered: 1 },
    ],
    ["DATA before a response", (endpoint) => endpoint.say(data(1, "x")), { forwarded: 1, unanswered: 1 }],
    ["101", (endpoint) => endpoint.respond(1, 101), { forwarded: 1, unanswered: 1 }],
    [
      "a frame that is too long",
      (endpoint) => endpoint.say(data(1, "x".repeat(16_385))),
      { forwarded: 1, unanswered: 1 },
    ],
    [
      "a push",
      (endpoint) => endpoint.say(frame(FrameType.PUSH_PROMISE, 4, 1, "\0\0\0\x02")),
      { forwarded: 1, unanswered: 1 },
    ],
    [
      "a window that is too large",
      (endpoint) => endpoint.windowUpdate(0, 0x7fff_ffff),
      { forwarded: 1, unanswered: 1 },
    ],
    [
      "a header block that cannot be read",
      (endpoint) => endpoint.say(headers(1, Buffer.from([0x80]))),
      { forwarded: 1, unanswered: 1 },
    ],
  ];

  test.each(reasons)("%s", (_what, say, want) => {
    const world = new Http2Clients();
    world.start(...post(1, "body"));
    say(world.accept());
    world.settle();
    expect(world.outcome).toEqual({ seen: 1, ...want });
  });

  test("the rest of a request with a complete response: it counts as responded to", () => {
    const world = new Http2Clients();
    world.start(...post(1, "x".repeat(100_000)));
    const endpoint = world.accept().respond(1, 413);
    expect(world.outcome).toEqual({ seen: 1 });
    endpoint.say(reset(1, 0));
    expect(world.outcome).toEqual({ seen: 1, forwarded: 1, answered: 1, "4xx": 1 });
  });

  test("no HTTP/2: it gets no request, and waiting requests are dropped", () => {
    const world = new Http2Clients();
    const client = world.start(...gets(2));
    const endpoint = world.acceptSilently();
    endpoint.socket.events.received(Uint8Array.from(NO_HTTP2));
    world.settle();
    expect(endpoint.read().requests.size).toBe(0);
    expect(world.outcome).toEqual({ seen: 2, endpoint_protocol: 2 });
    // It also gets no other connection, for any client.
    world.give(client, get(5, "/5"));
    world.start(...gets(1));
    expect(world.connector.attempts.length).toBe(0);
    expect(world.outcome).toEqual({ seen: 4, endpoint_protocol: 4 });
    expect(world.told.lines).toEqual(["speaks no HTTP/2"]);
  });

  const deaf: [what: string, end: (endpoint: Http2Endpoint) => void, connections: number, dropped: string][] = [
    ["responds in HTTP/1", ({ socket }) => socket.events.received(Uint8Array.from(NO_HTTP2)), 1, "endpoint_protocol"],
    ["ends each connection", ({ socket }) => socket.events.ended(), RESENDS_MAX + 1, "endpoint_closed"],
    [
      "resets each connection",
      ({ socket }) => socket.events.closed(new Error("reset")),
      RESENDS_MAX + 1,
      "endpoint_closed",
    ],
  ];

  test.each(deaf)("one that %s is tried now and then, by one client for all, until it speaks HTTP/2", (...row) => {
    const [_what, end, connections, dropped] = row;
    const world = new Http2Clients();
    const clients = [1, 2, 3].map(() => world.start(...gets(1)));
    let [stream, seen, tries] = [1, 3, 0];
    const refuseAll = () => {
      for (; world.connector.attempts.length > 0; tries++) {
        end(world.acceptSilently());
        world.settle();
      }
    };
    refuseAll();
    expect(tries).toBeLessThanOrEqual(3 * connections);
    expect(world.outcome).toEqual({ seen, [dropped]: seen });
    // As often as it is worth it: one connection for each client's calls would be thousands.
    tries = 0;
    for (let passedMs = 0; passedMs < 4 * AGAIN_MAX_MS; passedMs += 100) {
      world.pass(100);
      stream += 2;
      seen += clients.length;
      for (const client of clients) world.give(client, get(stream, "/"));
      refuseAll();
    }
    expect(tries).toBeGreaterThanOrEqual(4);
    expect(tries).toBeLessThanOrEqual(10 * connections);
    expect(world.outcome).toEqual({ seen, [dropped]: seen });
    expect(world.told.lines.filter((line) => line.startsWith("speaks"))).toEqual(["speaks no HTTP/2"]);
    world.pass(AGAIN_MAX_MS);
    // New requests are not held while it is tried: the time for the trial is unknown.
    for (const client of clients) world.give(client, get(stream + 2, "/last"));
    const endpoint = world.accept();
    expect(world.connector.attempts.length).toBe(0);
    expect(endpoint.paths).toEqual(["/last"]);
    expect(world.outcome).toEqual({ seen: seen + 3, [dropped]: seen + 2 });
    endpoint.respond(1);
    for (const client of clients) world.give(client, get(stream + 4, "/again"));
    expect(endpoint.read().paths).toEqual(["/last", "/again"]);
    expect(world.connector.attempts.length).toBe(2);
    expect(world.told.lines.at(-1)).toStartWith("speaks HTTP/2 after ");
  });

  test("the version that it did not speak before an outage is tried again after it", () => {
    const world = new Http2Clients();
    const client = world.start(...gets(1));
    world.acceptSilently().socket.events.received(Uint8Array.from(NO_HTTP2));
    world.settle();
    const other = world.open();
    world.give(other, Buffer.from("GET / HTTP/1.1\r\n\r\n"));
    world.connector.refuse();
    world.pass(100);
    world.connector.accept();
    world.give(client, get(3, "/3"));
    expect(world.accept().paths).toEqual(["/3"]);
  });

  test("no HTTP/2 over TLS: waiting requests are dropped at once, and this is no outage", () => {
    const world = new Http2Clients();
    world.start(...gets(2));
    world.connector.refuse(new OtherProtocolError("h2"));
    expect(world.outcome).toEqual({ seen: 2, endpoint_protocol: 2 });
    expect(world.upstream).toMatchObject({ connect_errors: 1, lost_bytes: expect.any(Number) });
    expect(world.told.lines).toEqual(["speaks no HTTP/2"]);
    expect(world.destination.unconnectedMs).toBe(0);
  });

  test("no SETTINGS: waiting requests are dropped when their time is over", () => {
    const world = new Http2Clients({ responseTimeoutMs: 1000 });
    world.start(...gets(1));
    world.acceptSilently();
    world.pass(1100);
    expect(world.outcome).toEqual({ seen: 1, endpoint_closed: 1 });
    expect(world.upstream.given_up).toBe(1);
  });

  test("no listener: waiting requests are dropped as with HTTP/1", () => {
    const world = new Http2Clients();
    world.start(...gets(2));
    world.connector.refuse();
    for (let i = 0; i < 30; i++) {
      world.pass(100);
      if (world.connector.attempts.length > 0) world.connector.refuse();
    }
    expect(world.outcome).toEqual({ seen: 2, endpoint_down: 2 });
  });
});

describe("time limits", () => {
  test("a request that the endpoint takes slowly is still being sent: the time is over when it takes no more", () => {
    const world = new Http2Clients({ responseTimeoutMs: 1000 });
    world.start(...post(1, "x".repeat(WINDOW + 100)), ...post(3, "y"));
    const endpoint = world.accept();
    for (let i = 0; i < 10; i++) {
      world.pass(800);
      endpoint.windowUpdate(0, 8).windowUpdate(1, 8);
    }
    expect(endpoint.requests.get(1)!.body.length).toBe(WINDOW + 79);
    expect(endpoint.requests.get(1)!.isReset).toBe(false);
    // It was sent long before.
    expect(endpoint.requests.get(3)!.isReset).toBe(true);
    world.pass(900);
    expect(endpoint.read().requests.get(1)!.isReset).toBe(false);
    world.pass(200);
    expect(world.outcome).toMatchObject({ seen: 2, forwarded: 1, unanswered: 1, endpoint_closed: 1 });
  });

  test("of a response, while others come: only that call is cancelled", () => {
    const world = new Http2Clients({ responseTimeoutMs: 1000 });
    world.start(...gets(2));
    const endpoint = world.accept().say(headers(3, [[":status", "200"]]));
    for (let i = 0; i < 12; i++) {
      world.pass(100);
      endpoint.say(data(3, "x"));
    }
    expect(endpoint.requests.get(1)!.isReset).toBe(true);
    expect(endpoint.of(FrameType.RST_STREAM).map(({ payload }) => payload.readUInt32BE())).toEqual([CANCEL]);
    endpoint.say(data(3, "", true));
    expect(world.outcome).toEqual({ seen: 2, forwarded: 2, answered: 1, "2xx": 1, unanswered: 1 });
    expect(world.upstream.given_up).toBe(0);
  });

  test("of a response, if no bytes come at all: the connection is given up", () => {
    const world = new Http2Clients({ responseTimeoutMs: 1000 });
    world.start(...gets(2));
    world.accept();
    world.pass(1100);
    expect(world.outcome).toEqual({ seen: 2, forwarded: 2, unanswered: 2 });
    expect(world.upstream.given_up).toBe(1);
  });

  test("of a whole response", () => {
    const world = new Http2Clients({ responseTimeoutMs: 1000, maxResponseMs: 2000 });
    world.start(...gets(1));
    const endpoint = world.accept().say(headers(1, [[":status", "200"]]));
    for (let i = 0; i < 25; i++) {
      world.pass(100);
      if (!endpoint.requests.get(1)!.isReset) endpoint.say(data(1, "x"));
    }
    expect(world.outcome).toEqual({ seen: 1, forwarded: 1, unanswered: 1 });
  });
});

describe("streamed requests", () => {
  test("when they are long", () => {
    const world = new Http2Clients({ maxRequestBytes: 1000 });
    const client = world.start(headers(1, POST), data(1, "x".repeat(600)));
    expect(world.connector.attempts.length).toBe(0);
    world.give(client, data(1, "y".repeat(600)));
    const endpoint = world.accept();
    expect(endpoint.requests.get(1)).toMatchObject({ body: "x".repeat(600) + "y".repeat(600), isEnded: false });
    world.give(client, data(1, "z"), get(3, "/3"));
    expect(endpoint.read().requests.get(1)!.body.length).toBe(1201);
    expect(endpoint.paths).toEqual(["/p", "/3"]);
    world.give(client, headers(1, [["a", "b"]], { end: true }));
    endpoint.read().respond(1).respond(3);
    expect(endpoint.requests.get(1)).toMatchObject({ isEnded: true, trailer: ["a: b"] });
    expect(world.outcome).toEqual({ seen: 2, forwarded: 2, answered: 2, "2xx": 2 });
  });

  test("if they are not whole for a long time; a response may come before their end", () => {
    const world = new Http2Clients();
    const client = world.start(headers(1, POST), data(1, "a"));
    world.pass(HELD_MS_MAX - 100);
    expect(world.connector.attempts.length).toBe(0);
    world.pass(200);
    const endpoint = world.accept();
    expect(endpoint.requests.get(1)).toMatchObject({ body: "a", isEnded: false });
    endpoint.respond(1, 200, "all");
    expect(world.outcome).toEqual({});
    world.give(client, data(1, "b", true));
    expect(endpoint.read().requests.get(1)).toMatchObject({ body: "ab", isEnded: true });
    expect(world.outcome).toEqual({ seen: 1, forwarded: 1, answered: 1, "2xx": 1 });
  });

  test("a gap resets only their stream", () => {
    const world = new Http2Clients({ maxRequestBytes: 10 });
    const client = world.start(headers(1, POST), data(1, "x".repeat(20)), get(3, "/3"));
    const endpoint = world.accept();
    const cut = data(1, "y".repeat(20));
    world.give(client, cut.subarray(0, 12));
    client.gap(10);
    world.give(client, cut.subarray(22), get(5, "/5"));
    endpoint.read().respond(3).respond(5);
    expect(endpoint.requests.get(1)).toMatchObject({ isReset: true, isEnded: false });
    expect(world.outcome).toEqual({ seen: 3, forwarded: 2, answered: 2, "2xx": 2, gap: 1 });
  });

  test("the endpoint ends the stream: it is counted when its end comes", () => {
    const world = new Http2Clients({ maxRequestBytes: 10 });
    const client = world.start(headers(1, POST), data(1, "x".repeat(20)));
    world.accept().say(reset(1, 2));
    expect(world.outcome).toEqual({ h2_resets: 1 });
    world.give(client, data(1, "y", true));
    expect(world.outcome).toEqual({ seen: 1, endpoint_closed: 1, h2_resets: 1 });
  });

  test("their bytes are released as the endpoint takes them", () => {
    const world = new Http2Clients({ maxRequestBytes: 1000 });
    const client = world.start(headers(1, POST));
    const endpoint = (world.give(client, data(1, "x".repeat(2000))), world.accept());
    const before = world.budget.usedBytes;
    for (let i = 0; i < 30; i++) world.give(client, data(1, "x".repeat(1000)));
    expect(world.budget.usedBytes).toBeLessThanOrEqual(before);
    expect(endpoint.read().requests.get(1)!.body.length).toBe(32_000);
  });
});

describe("requests that the client cancels", () => {
  test("before they are whole", () => {
    const world = new Http2Clients();
    world.start(headers(1, POST), data(1, "x"), reset(1));
    expect(world.outcome).toEqual({ seen: 1, cancelled: 1 });
  });

  test("when they wait", () => {
    const world = new Http2Clients();
    const client = world.start(...gets(2));
    world.give(client, reset(1));
    expect(world.accept().paths).toEqual(["/1"]);
    expect(world.outcome).toEqual({ seen: 2, cancelled: 1 });
  });

  test("when they are sent: as long after that as in production", () => {
    const world = new Http2Clients();
    const client = world.start(...gets(1));
    world.pass(300);
    const endpoint = world.accept();
    world.pass(200);
    // 500 ms after its head; it was sent 200 ms before.
    world.give(client, reset(1));
    world.pass(250);
    expect(endpoint.read().requests.get(1)!.isReset).toBe(false);
    world.pass(100);
    expect(endpoint.read().requests.get(1)!.isReset).toBe(true);
    expect(world.outcome).toEqual({ seen: 1, forwarded: 1, response_cancelled: 1 });
  });

  test("when their response has come: nothing", () => {
    const world = new Http2Clients();
    const client = world.start(...gets(1));
    world.accept().respond(1);
    world.give(client, reset(1));
    world.pass(1000);
    expect(world.outcome).toEqual({ seen: 1, forwarded: 1, answered: 1, "2xx": 1 });
  });

  test("when they are streamed", () => {
    const world = new Http2Clients({ maxRequestBytes: 10 });
    const client = world.start(headers(1, POST), data(1, "x".repeat(20)));
    const endpoint = world.accept();
    world.give(client, reset(1));
    expect(endpoint.read().requests.get(1)!.isReset).toBe(true);
    expect(world.outcome).toEqual({ seen: 1, cancelled: 1 });
  });
});

describe("ends and limits", () => {
  test("the client's end ends the connection after the last response", () => {
    const world = new Http2Clients();
    const client = world.start(...gets(2));
    client.end("fin");
    world.settle();
    const endpoint = world.accept().respond(3);
    expect(endpoint.socket.shutdowns).toBe(0);
    endpoint.respond(1);
    expect(endpoint.socket.shutdowns).toBe(1);
    endpoint.socket.events.closed(undefined);
    expect(world.budget.usedBytes).toBe(0);
    expect(world.mode.load).toMatchObject({
      busyPipes: 0,
      waitingRequests: 0,
      requestsBehindParts: 0,
      awaitingPipes: 0,
    });
  });

  test("the client's end cuts off requests under way", () => {
    const world = new Http2Clients();
    const client = world.start(headers(1, POST), data(1, "x"));
    client.end("fin");
    world.settle();
    expect(world.outcome).toEqual({ seen: 1, cut_off: 1 });
    expect(world.budget.usedBytes).toBe(0);
  });

  test("the waiting requests have a limit", () => {
    const world = new Http2Clients({ maxWaitingRequests: 3 });
    world.start(...gets(5));
    expect(world.outcome).toEqual({ seen: 5, waiting_limit: 2 });
    expect(world.accept().paths).toEqual(["/0", "/1", "/2"]);
  });

  test("if memory is short, requests with bytes that no destination takes give way", () => {
    const limit = 400_000;
    const world = new Http2Clients({ bufferBytes: limit, maxRequestBytes: 1000 });
    const stuck = world.start(headers(1, POST), data(1, "x".repeat(2000)));
    const endpoint = world.accept(setting(Setting.INITIAL_WINDOW_SIZE, 0));
    for (let i = 0; i < 15; i++) world.give(stuck, data(1, "x".repeat(16_000)));
    world.nowMs += STALLED_MS;
    world.destination.tick();
    // The client did not stand still: the endpoint takes no bytes.
    world.give(stuck, PING);
    const other = world.start(headers(1, POST));
    for (let i = 0; i < 9; i++) world.give(other, data(1, "y".repeat(16_000)));
    expect(endpoint.read().requests.get(1)!.isReset).toBe(true);
    world.give(stuck, data(1, "x", true));
    expect(world.outcome).toEqual({ seen: 1, buffer_limit: 1 });
    world.give(other, data(1, "y", true));
    const body = world.accept().requests.get(1)!.body;
    expect(body.length).toBe(WINDOW);
    expect(world.budget.usedBytes).toBeLessThanOrEqual(limit);
  });

  test("if nothing stands still, the last of many waiting requests give way, and at most an eighth of them", () => {
    const waiting = 80;
    const queued = (bufferBytes: number) => {
      const world = new Http2Clients({ bufferBytes });
      world.start(...gets(waiting));
      const endpoint = world.accept(setting(Setting.MAX_CONCURRENT_STREAMS, 0));
      return { world, endpoint };
    };
    const { world, endpoint } = queued(queued(1 << 24).world.budget.usedBytes);
    const other = world.open();
    world.say(other, "GET /other HTTP/1.1\r\n\r\n");
    expect(world.connector.accept().text).toContain("/other");
    const dropped = world.requests.dropped.buffer_limit;
    expect(dropped).toBeGreaterThan(0);
    expect(dropped).toBeLessThanOrEqual(waiting / 8);
    endpoint.settings(setting(Setting.MAX_CONCURRENT_STREAMS, waiting));
    expect(endpoint.requests.size).toBe(waiting - dropped);
    expect([...endpoint.requests.values()].at(-1)!.fields).toContain(`:path: /${waiting - dropped - 1}`);
  });

  describe("if memory is short, parts of requests that have not grown for a second give way", () => {
    const LIMIT = 170_000;
    const openBlock = (bytes: number) => frame(FrameType.HEADERS, 0, 1, Buffer.alloc(bytes, 0x61));
    const parts: [what: string, parts: Buffer[], reason: string, behind: Buffer[], damaged: number][] = [
      [
        "a body",
        [headers(1, POST), data(1, "x".repeat(16_000)), data(1, "x".repeat(16_000))],
        "evicted",
        [data(1, "x", true)],
        1,
      ],
      [
        "many heads",
        Array.from({ length: 40 }, (_, i) => headers(2 * i + 1, POST)),
        "evicted",
        [data(1, "x", true)],
        40,
      ],
      ["a header block", [openBlock(60_000)], "evicted", [frame(FrameType.CONTINUATION, Flag.END_HEADERS, 1)], 1],
    ];
    test.each(parts)("%s", (_what, frames, reason, behind, damaged) => {
      const world = new Http2Clients({ bufferBytes: LIMIT });
      const standing = world.start(...frames);
      world.pass(STALLED_MS);
      const other = world.start(headers(1, POST), data(1, "y".repeat(16_000)), data(1, "y".repeat(16_000)));
      world.give(other, data(1, "y".repeat(10_000), true));
      // The ones that stood still were streamed, if their heads were whole.
      let endpoint = world.accept();
      while (world.connector.attempts.length > 0) endpoint = world.accept();
      expect(endpoint.requests.get(1)!.body.length).toBe(42_000);
      world.give(standing, ...behind);
      expect(world.outcome).toEqual({ seen: damaged + 1, [reason]: damaged });
      endpoint.respond(1);
      expect(world.outcome).toMatchObject({ forwarded: 1, answered: 1 });
      expect(world.budget.usedBytes).toBeLessThanOrEqual(LIMIT);
    });
  });

  test("heads without memory are refused, and their requests are not read", () => {
    const world = new Http2Clients({ bufferBytes: 40_000 });
    const count = 200;
    const client = world.start(...Array.from({ length: count }, (_, i) => headers(2 * i + 1, POST)));
    const { seen, buffer_limit: dropped } = world.outcome as Record<string, number>;
    expect(seen).toBe(dropped!);
    expect(dropped).toBeGreaterThan(count / 2);
    expect(world.budget.usedBytes).toBeLessThanOrEqual(40_000);
    world.give(client, data(2 * count - 1, "x", true));
    expect(world.outcome).toEqual({ seen: dropped!, buffer_limit: dropped! });
  });

  test("an idle client gives up its connection, then its header table, and is joined when it goes on", () => {
    const world = new Http2Clients({ bufferBytes: 40_000 });
    const told = Buffer.concat([block(pseudo("GET", "/1")), inserted("x-a", "1")]);
    const client = world.start(headers(1, told, { end: true }));
    world.accept().respond(1);
    expect(world.mode.idle.size).toBe(1);
    world.nowMs += STALLED_MS;
    world.destination.tick();
    const other = world.start(headers(1, POST));
    for (let i = 0; i < 20 && world.mode.idle.size > 0; i++) world.give(other, data(1, "y".repeat(1000)));
    world.give(other, data(1, "", true));
    world.accept().respond(1);
    expect(world.outcome).toMatchObject({ seen: 2, answered: 2 });
    world.give(client, headers(3, Buffer.concat([block(pseudo("GET", "/3")), Buffer.from([0xbe])]), { end: true }));
    expect(world.outcome).toMatchObject({ seen: 3, answered: 2, unknown_header: 1 });
    world.give(client, get(5, "/5"));
    world.accept().respond(1);
    expect(world.outcome).toMatchObject({ seen: 4, answered: 3, unknown_header: 1, h2_picked_up: 1 });
  });

  test("calls that never end and hold no bytes give way too, because of their cost", () => {
    const limit = 2 << 20;
    const world = new Http2Clients({ bufferBytes: limit });
    const [connections, calls, pauseMs] = [40, 60, 100];
    const clients = Array.from({ length: connections }, () => world.start());
    for (let i = 0; i < calls; i++) {
      for (const client of clients) world.give(client, headers(2 * i + 1, POST));
      world.pass(pauseMs);
      while (world.connector.attempts.length > 0) world.accept();
      expect(world.budget.usedBytes).toBeLessThan(1.1 * limit);
    }
    for (const client of clients) client.end("fin");
    world.settle();
    const {
      seen,
      buffer_limit: dropped = 0,
      cut_off: cutOff = 0,
      evicted = 0,
    } = world.outcome as Record<string, number>;
    expect(seen).toBe(connections * calls);
    expect(dropped + cutOff + evicted).toBe(seen!);
    expect(dropped).toBeGreaterThan(0);
  });

  test("an endpoint that asks for replies and does not read them is given up, when so much waits for it", () => {
    const world = new Http2Clients();
    world.start(...gets(1));
    const endpoint = world.accept();
    endpoint.socket.block();
    // Each is replied to with as many bytes.
    const waiting = Math.floor(REPLIES_BYTES_MAX / PING.length) + 1;
    endpoint.say(Buffer.concat(Array.from({ length: waiting }, () => PING)));
    expect(world.upstream.given_up).toBe(0);
    endpoint.say(PING);
    expect(world.upstream.given_up).toBe(1);
    expect(world.told.reasons).toEqual(["it sends frames that need replies, and does not read the replies"]);
    expect(world.budget.usedBytes).toBeLessThan(2 * REPLIES_BYTES_MAX);
  });

  test("of bodies no more is handed over than may wait for the kernel, and a frame", () => {
    const world = new Http2Clients();
    world.start(headers(1, POST), ...Array.from({ length: 64 }, () => data(1, "x".repeat(FRAME_BYTES_DEFAULT))));
    const endpoint = world.accept();
    world.pass(HELD_MS_MAX + 20);
    endpoint.socket.block();
    endpoint.settings(setting(Setting.INITIAL_WINDOW_SIZE, 2 ** 24)).windowUpdate(0, 2 ** 24);
    const { backlogBytes } = world.destination;
    expect(backlogBytes).toBeGreaterThanOrEqual(BACKLOG_BYTES_MAX);
    expect(backlogBytes).toBeLessThan(BACKLOG_BYTES_MAX + FRAME_HEADER_LEN + FRAME_BYTES_DEFAULT);
  });

  test("a client that is silent keeps its connection for so many idle times", () => {
    const world = new Http2Clients();
    const client = world.start(...gets(1));
    world.accept().respond(1);
    const rests = (count: number) => Array.from({ length: count }, () => client.idle());
    expect(rests(RESTS_MAX - 1)).not.toContain(true);
    world.give(client, PING);
    expect(rests(RESTS_MAX - 1)).not.toContain(true);
    expect(client.idle()).toBe(true);
  });

  test.each([
    ["the longest there may be", RESPONSE_BLOCK_BYTES_MAX, 1, []],
    ["a byte longer", RESPONSE_BLOCK_BYTES_MAX + 1, 0, [HEAD_TOO_LONG]],
  ])("a response's header section, as it is encoded: %s", (_what, length, answered, reasons) => {
    const world = new Http2Clients();
    world.start(...gets(1));
    // :status 200, and a field with a name of a byte and a value whose length takes 4 bytes.
    const valueLength = length - 8;
    const rest = valueLength - 0x7f;
    const lengthBytes = [0x7f, (rest & 0x7f) | 0x80, ((rest >>> 7) & 0x7f) | 0x80, rest >>> 14];
    const section = Buffer.concat([Buffer.from([0x88, 0, 1, 0x61, ...lengthBytes]), Buffer.alloc(valueLength, "v")]);
    expect(section).toHaveLength(length);
    world.accept().say(headers(1, section, { end: true, continuations: 4 }));
    expect([world.counters.requests.answered, world.told.reasons]).toEqual([answered, reasons]);
  });

  test("a connection that is joined in its middle is read from the beginning of frames on", () => {
    const world = new Http2Clients();
    const client = world.open(false);
    world.give(client, Buffer.from([0xbe, 0, 1]));
    world.give(client, get(101, "/a"));
    expect(world.accept().paths).toEqual(["/a"]);
    expect(world.counters.http2).toMatchObject({ connections: 1, picked_up: 1 });
  });

  test("without its first bytes, it is read from the beginning of frames on, and earlier fields are unknown", () => {
    const world = new Http2Clients();
    const client = world.open();
    client.gap(100);
    const named = Buffer.concat([block(pseudo("GET", "/a").slice(0, 3)), Buffer.from([0xbe])]);
    world.give(client, headers(3, named, { end: true }), get(5, "/b"));
    expect(world.accept().paths).toEqual(["/b"]);
    expect(world.outcome).toMatchObject({ unknown_header: 1, h2_picked_up: 1 });
  });

  test("its first bytes found no room, but its protocol is known from the first byte", () => {
    const world = new Http2Clients({ bufferBytes: 9000 });
    const client = world.open();
    world.give(client, PREFACE, SETTINGS, ...gets(1));
    expect(world.counters.http2).toMatchObject({ connections: 1, picked_up: 0 });
  });

  test("--http2 pass: bytes pass through as they come", () => {
    const world = new Http2Clients({ http2: "pass" });
    const client = world.start(SETTINGS);
    world.give(client, ...gets(1));
    expect(world.connector.accept().bytes).toEqual(Buffer.concat([PREFACE, SETTINGS, ...gets(1)]));
    expect(world.counters.foreign.http2).toBe(1);
  });
});

describe("an offer of h2c that production has accepted", () => {
  const OFFER =
    "GET /offer HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
  const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

  test.each([
    ["accepted", SWITCHED, 1],
    ["declined", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 2],
  ])("and the endpoint has %s: HTTP/2 requests follow", (_what, response, twoHundreds) => {
    for (const isCut of [false, true]) {
      const world = new Http2Clients();
      const client = world.open();
      world.say(client, OFFER);
      const http1 = world.connector.accept();
      world.respond(http1, response);
      const follows = Buffer.concat([PREFACE, SETTINGS, get(3, "/3")]);
      if (isCut) for (const byte of follows) world.give(client, Buffer.from([byte]));
      else world.give(client, follows);
      const endpoint = world.accept().respond(1);
      expect(endpoint.paths).toEqual(["/3"]);
      // Some servers serve the request only after they have read the preface.
      expect(http1.text.includes("PRI * HTTP/2.0\r\n\r\nSM")).toBe(twoHundreds === 1);
      expect(world.requests).toMatchObject({ seen: 2, forwarded: 2, answered: 2, damaged: 0 });
      expect(world.counters.responses["2xx"]).toBe(twoHundreds);
    }
  });

  test("and that was dropped: HTTP/2 requests follow", () => {
    const world = new Http2Clients({ maxWaitingRequests: 1 });
    const client = world.open();
    const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    world.say(client, GET);
    const http1 = world.connector.accept();
    for (const text of [GET, OFFER]) world.say(client, text);
    expect(world.requests.dropped.waiting_limit).toBe(1);
    world.give(client, Buffer.concat([PREFACE, SETTINGS, get(3, "/3")]));
    for (let i = 0; i < 2; i++) world.respond(http1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect(world.accept().respond(1).paths).toEqual(["/3"]);
    expect(world.requests).toMatchObject({ seen: 4, forwarded: 3, answered: 3, damaged: 0 });
  });
});

test("a setting of the endpoint is read as it is written", () => {
  expect(word(WINDOW).readUInt32BE()).toBe(WINDOW);
});
