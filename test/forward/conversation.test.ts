/**
 * The outcome of requests that have begun: time limits and memory limits, at the limit; offers of another protocol;
 * PROXY headers.
 */
import { expect, test } from "bun:test";
import { AWAITED_MS, REQUEST_SHARE_MAX, SMALL_REQUEST_BYTES, UNSENT_SHARE } from "../../src/forward/http-mode.ts";
import { LINGER_MS } from "../../src/forward/upstream.ts";
import { STALLED_MS } from "../../src/forward/waiter.ts";
import { Cost } from "../../src/memory/budget.ts";
import type { StreamConsumer } from "../../src/flow/stream.ts";
import { Clients } from "./clients.ts";
import { EPOCH_MS } from "./scripted.ts";

const GET = "GET / HTTP/1.1\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const UPGRADE = "GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

test("a head that does not come within --header-timeout-s is damaged once, and the bytes behind it are never taken for a request", () => {
  const world = new Clients({ headerTimeoutMs: 60_000 });
  const client = world.open();
  world.say(client, "GET / HTTP/1.1\r\nA: b\r\n");
  world.pass(59_990);
  expect(world.requests.damaged).toBe(0);
  world.pass(20);
  expect(world.requests).toMatchObject({ seen: 1, damaged: 1, damage: { header_timeout: 1 } });
  world.say(client, `\r\n${GET}`);
  client.end("fin");
  world.settle();
  expect(world.requests).toMatchObject({ seen: 1, damaged: 1, forwarded: 0, skipped_bytes: 2 + GET.length });
  expect(world.budget.usedBytes).toBe(0);
});

test("a body may take longer, and a head that comes in time is not damaged", () => {
  const world = new Clients({ headerTimeoutMs: 1000 });
  const client = world.open();
  world.say(client, "POST / HTTP/1.1\r\n");
  world.pass(900);
  world.say(client, "Content-Length: 2\r\n\r\na");
  world.pass(5000);
  world.say(client, "b");
  world.respond(world.connector.accept(), OK);
  expect(world.requests).toMatchObject({ seen: 1, forwarded: 1, answered: 1, damaged: 0 });
});

const PLENTY_BYTES = 2 ** 30;

test.each([
  ["--max-request-bytes", PLENTY_BYTES, 1000, 1000],
  ["a share of the budget", 2 ** 24, PLENTY_BYTES, 2 ** 24 * REQUEST_SHARE_MAX],
  ["a small request, with any small budget", 2 ** 19, PLENTY_BYTES, SMALL_REQUEST_BYTES],
])("a request is held up to %s, and sent as it comes if it is a byte longer", (_what, bufferBytes, asked, most) => {
  const world = new Clients({ bufferBytes, maxRequestBytes: asked });
  const head = `POST / HTTP/1.1\r\nContent-Length: ${PLENTY_BYTES}\r\n\r\n`;
  const client = world.open();
  world.say(client, head + "x".repeat(most - head.length));
  expect(world.connector.attempts).toHaveLength(0);
  world.say(client, "x");
  expect(world.connector.accept().bytes).toHaveLength(most + 1);
});

test("if the source waits, a request is streamed before it takes the memory that unsent bytes need", () => {
  const bufferBytes = 2 ** 24;
  const heldBytes = bufferBytes * (1 - UNSENT_SHARE);
  for (const sourceWaits of [true, false]) {
    const { mode } = new Clients({ bufferBytes, sourceWaits });
    expect([mode.mustStream(heldBytes), mode.mustStream(heldBytes + 1)]).toEqual([false, sourceWaits]);
  }
});

test("a connection that is not needed any more is closed when its endpoint has not ended it for so long", () => {
  const world = new Clients();
  const client = world.open();
  world.say(client, GET);
  const socket = world.connector.accept();
  world.respond(socket, OK);
  client.end("fin");
  world.settle();
  expect([socket.shutdowns, socket.terminated]).toEqual([1, false]);
  world.pass(LINGER_MS - 1);
  expect(socket.terminated).toBe(false);
  world.pass(20);
  expect(socket.terminated).toBe(true);
});

/** The cost of a connection with a short request in flight; and of each request that waits behind it. */
const SHORT = Cost.REQUEST + Cost.ARRAY + 64;
const IN_FLIGHT = Cost.STREAM + Cost.UPSTREAM + SHORT;

/** The cost of a connection with a short piece of a request. */
const BEGINNING = Cost.STREAM + Cost.REQUEST + Cost.ARRAY + 64;

test("if memory is short, the request that has stood still longest gives way to requests that move", () => {
  const world = new Clients({ bufferBytes: 4 * BEGINNING + Cost.UPSTREAM + 1000 });
  const begun = Array.from({ length: 4 }, () => world.open());
  for (const client of begun) {
    world.say(client, "GET /half HTTP/1.1\r\n");
    world.pass(10);
  }
  world.pass(STALLED_MS);
  world.say(begun[0]!, "A: b\r\n");
  const other = world.open();
  world.say(other, GET);
  // The second one: the first one has gone on.
  expect(world.requests).toMatchObject({ damage: { evicted: 1 }, dropped: { buffer_limit: 0 } });
  world.respond(world.connector.accept(), OK);
  world.say(begun[0]!, "\r\n");
  world.respond(world.connector.accept(), OK);
  expect(world.requests).toMatchObject({ seen: 3, forwarded: 2, damaged: 1 });
  // The rest of the request that gave way is skipped, and the next request is found.
  world.say(begun[1]!, "A: b\r\n\r\n");
  world.say(begun[1]!, GET);
  world.respond(world.connector.accept(), OK);
  expect(world.requests).toMatchObject({ forwarded: 3, skipped_bytes: "A: b\r\n\r\n".length });
});

test.each([
  ["in one piece", (body: string) => [body]],
  ["in segments that each begin with a request line", (body: string) => body.match(new RegExp(GET, "g"))!],
])("the rest of a body that gave way still counts as that body, %s", (_, pieces) => {
  const world = new Clients({ bufferBytes: 3 * BEGINNING + Cost.UPSTREAM });
  const client = world.open();
  const body = GET.repeat(3);
  world.say(client, `POST / HTTP/1.1\r\nContent-Length: ${1 + body.length}\r\n\r\n.`);
  world.pass(STALLED_MS + 10);
  for (let i = 0; i < 3; i++) world.say(world.open(), "GET / HTTP/1.1\r\n");
  expect(world.requests).toMatchObject({ seen: 1, damage: { evicted: 1 } });
  world.pass(STALLED_MS + 10);
  for (const piece of pieces(body)) world.say(client, piece);
  // Another one gave way to its framer.
  expect(world.requests).toMatchObject({ seen: 2, damage: { evicted: 2 }, skipped_bytes: body.length });
  expect(world.connector.attempts).toEqual([]);
  world.pass(STALLED_MS + 10);
  world.say(client, GET);
  world.respond(world.connector.accept(), OK);
  expect(world.requests).toMatchObject({ forwarded: 1 });
});

test.each([
  ["with a known end", "POST /half HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", "cde"],
  ["in chunks", "POST /half HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "cde\r\n0\r\n\r\n"],
  ["with an incomplete head", "GET /half HTTP/1.1\r\n", "A: b\r\n\r\n"],
])("the bytes behind a request that gave way, %s, overtake no request before it", (_, half, rest) => {
  const world = new Clients({ bufferBytes: 2 * (Cost.STREAM + Cost.UPSTREAM) + 4 * SHORT });
  const client = world.open();
  world.say(client, GET);
  const socket = world.connector.accept();
  world.settle();
  world.say(client, half);
  world.pass(STALLED_MS);
  const other = world.open();
  for (let i = 0; i < 3; i++) world.say(other, GET);
  expect(world.requests).toMatchObject({ damage: { evicted: 1 }, dropped: { buffer_limit: 0 } });
  world.respond(world.connector.accept(), OK);
  world.say(client, rest);
  world.say(client, GET);
  // It waits for the response to the first one, and needs no connection of its own.
  expect(world.connector.attempts).toEqual([]);
  expect(socket.text).toBe(GET);
  world.respond(socket, OK);
  expect(socket.text).toBe(GET + GET);
  expect(world.requests).toMatchObject({ damaged: 1 });
});

test("if a conversation between two requests gives way, its next requests overtake nothing at a further destination", () => {
  const world = new Clients({ bufferBytes: 2 * (Cost.STREAM + Cost.UPSTREAM) - 1, further: 1 });
  const further = world.further[0]!;
  const client = world.open();
  world.say(client, GET);
  world.respond(world.connector.accept(), OK);
  const socket = further.connector.accept();
  world.say(client, GET);
  world.respond(world.connector.sockets[0]!, OK);
  world.pass(STALLED_MS);
  world.say(world.open(), "GET / HTTP/1.1\r\n");
  expect(world.connector.sockets[0]!.shutdowns).toBe(1);
  world.pass(STALLED_MS);
  world.say(client, UPGRADE);
  expect(world.requests).toMatchObject({ seen: 3, damaged: 0, dropped: { buffer_limit: 0 } });
  // There, the first of three requests is in flight.
  expect(socket.text).toBe(GET);
  expect(further.connector.attempts).toEqual([]);
  for (const texts of [GET + GET, GET + GET + UPGRADE]) {
    world.respond(socket, OK);
    expect(socket.text).toBe(texts);
  }
});

test("behind a damaged request that gave way without a known end, no bytes are taken for a request", () => {
  const world = new Clients({ bufferBytes: 3 * BEGINNING + Cost.UPSTREAM });
  for (let i = 0; i < 2; i++) world.say(world.open(), "GET / HTTP/1.1\r\n");
  const client = world.open();
  world.say(client, "POST / HTTP/1.1\r\nX: \0\r\nTransfer-Encoding: chunked\r\n\r\n99\r\n");
  expect(world.requests).toMatchObject({ seen: 1, damage: { malformed: 1 } });
  world.say(world.open(), "GET / HTTP/1.1\r\n");
  world.pass(STALLED_MS + 10);
  world.say(client, GET);
  expect(world.requests).toMatchObject({ seen: 1, forwarded: 0 });
  expect(world.connector.attempts).toEqual([]);
});

test("connections between two requests give way first, and lose nothing", () => {
  // Room for two connections and the objects that end meanwhile, not for three.
  const world = new Clients({ bufferBytes: BEGINNING + 2 * (Cost.STREAM + Cost.UPSTREAM) - 1 });
  const [first, second] = [world.open(), world.open()];
  world.say(first, GET);
  world.respond(world.connector.accept(), OK);
  world.say(second, "GET / HTTP/1.1\r\n");
  world.say(world.open(), GET);
  world.respond(world.connector.accept(), OK);
  world.say(first, GET);
  world.respond(world.connector.accept(), OK);
  expect(world.requests).toMatchObject({ seen: 3, forwarded: 3, answered: 3, damaged: 0 });
});

test("requests that stand still do not give way before their time: the newest request is dropped instead", () => {
  const world = new Clients({ bufferBytes: 2 * BEGINNING + Cost.UPSTREAM });
  for (let i = 0; i < 2; i++) world.say(world.open(), "GET /half HTTP/1.1\r\n");
  world.say(world.open(), GET);
  expect(world.requests).toMatchObject({ seen: 1, damaged: 0, dropped: { buffer_limit: 1 } });
});

/** A client with a request in flight, and this many waiting ones. */
function queue(world: Clients, waiting: number): StreamConsumer {
  const client = world.open();
  for (let i = 0; i <= waiting; i++) {
    world.say(client, GET);
    if (i === 0) world.connector.accept();
    world.settle();
  }
  return client;
}

test("if nothing stands still, the last requests of the client that holds most give way to clients that hold much less", () => {
  const world = new Clients({ bufferBytes: IN_FLIGHT + 60 * SHORT + 1 });
  queue(world, 60);
  expect(world.requests.dropped.buffer_limit).toBe(0);
  const [long] = world.connector.sockets;
  const others = [1, 2].map((i) => GET.replace("/", `/${i}`));
  for (const text of others) world.say(world.open(), text);
  const short = others.map(() => world.connector.accept());
  world.settle();
  expect(short.map(({ text }) => text)).toEqual(others);
  const dropped = world.requests.dropped.buffer_limit;
  expect(Math.abs(dropped - (2 * IN_FLIGHT) / SHORT)).toBeLessThan(1);
  for (let i = dropped; i < 61; i++) world.respond(long!, OK);
  for (const socket of short) world.respond(socket, OK);
  expect(world.requests).toMatchObject({ seen: 63, forwarded: 63 - dropped, answered: 63 - dropped, damaged: 0 });
  expect(world.budget.usedBytes).toBe(3 * (Cost.STREAM + Cost.UPSTREAM));
});

test("among clients that hold nearly the same amount, the newest request is dropped", () => {
  const world = new Clients({ bufferBytes: 4 * (IN_FLIGHT + 4 * SHORT) });
  for (let i = 0; i < 4; i++) queue(world, 4);
  world.say(world.open(), GET);
  expect(world.requests).toMatchObject({ seen: 21, dropped: { buffer_limit: 1 } });
  expect(world.connector.attempts).toEqual([]);
});

test.each([
  [STALLED_MS - 10, 1, 0],
  [STALLED_MS, 0, 1],
])(
  "a connection that has been idle for %d ms: %d requests of a queue are dropped, and %d connections ended",
  (ms, dropped, ended) => {
    const world = new Clients({ bufferBytes: 2 * IN_FLIGHT + 2 * SHORT });
    const idle = world.open();
    world.say(idle, GET);
    const socket = world.connector.accept();
    world.settle();
    world.respond(socket, OK);
    const client = queue(world, 0);
    world.pass(ms);
    // The last one finds no room beside the others.
    for (let i = 0; i < 4; i++) world.say(client, GET);
    expect(world.requests).toMatchObject({ seen: 6, dropped: { buffer_limit: dropped } });
    expect(socket.shutdowns).toBe(ended);
  },
);

test.each([
  [AWAITED_MS - 10, 1, 0],
  [AWAITED_MS, 0, 1],
])(
  "a connection on which a response has been awaited for %d ms: %d new ones find no place, %d is given up",
  (ms, dropped, givenUp) => {
    const world = new Clients({ bufferBytes: 2 * IN_FLIGHT });
    for (let i = 0; i < 2; i++) queue(world, 0);
    world.pass(ms);
    world.say(world.open(), GET);
    expect(world.requests).toMatchObject({ seen: 3, dropped: { buffer_limit: dropped } });
    expect(world.counters.upstream.given_up).toBe(givenUp);
    expect(world.counters.responses.unanswered).toBe(givenUp);
  },
);

test("a client that has given way, and has had no response since, takes no other client's place", () => {
  const world = new Clients({ bufferBytes: IN_FLIGHT });
  const [silent, other, last] = [world.open(), world.open(), world.open()];
  const givenUp = () => world.counters.upstream.given_up;
  world.say(silent, GET);
  world.connector.accept();
  world.pass(AWAITED_MS);
  world.say(other, GET);
  expect(givenUp()).toBe(1);
  world.connector.accept();
  world.pass(AWAITED_MS);
  world.say(silent, GET);
  expect(world.requests).toMatchObject({ seen: 3, dropped: { buffer_limit: 1 } });
  expect(givenUp()).toBe(1);
  world.say(last, GET);
  expect(world.requests).toMatchObject({ seen: 4, dropped: { buffer_limit: 1 } });
  expect(givenUp()).toBe(2);
});

test("new requests behind a silent one are no progress, also if those before them have given way", () => {
  const world = new Clients({ bufferBytes: 2 * IN_FLIGHT + SHORT });
  const silent = queue(world, 1);
  world.pass(STALLED_MS);
  const other = world.open();
  world.say(other, GET);
  const socket = world.connector.accept();
  world.say(other, GET);
  expect(world.requests).toMatchObject({ seen: 4, dropped: { buffer_limit: 1 } });
  world.respond(socket, OK);
  world.say(silent, GET);
  world.say(other, GET);
  expect(world.requests).toMatchObject({ seen: 6, dropped: { buffer_limit: 2 } });
  for (let i = 0; i < 2; i++) world.respond(socket, OK);
  expect(world.requests).toMatchObject({ answered: 3, dropped: { buffer_limit: 2 } });
});

test("requests that stood still when they came give way before those that came earlier and do not", () => {
  const world = new Clients({ bufferBytes: 3 * IN_FLIGHT + 2 * SHORT });
  const silent = queue(world, 0);
  world.pass(STALLED_MS);
  queue(world, 1);
  world.say(silent, GET);
  queue(world, 1);
  expect(world.requests).toMatchObject({ seen: 6, dropped: { buffer_limit: 1 } });
  const [, ...sockets] = world.connector.sockets;
  for (const socket of sockets) for (let i = 0; i < 2; i++) world.respond(socket, OK);
  expect(world.requests).toMatchObject({ answered: 4, dropped: { buffer_limit: 1 } });
});

test("requests that wait for a connection give way when they stand still, except the first one", () => {
  const world = new Clients({ bufferBytes: 3 * IN_FLIGHT });
  const client = world.open();
  for (let i = 0; i < 4; i++) world.say(client, GET);
  world.pass(STALLED_MS);
  world.say(world.open(), GET);
  world.say(world.open(), GET);
  expect(world.requests.dropped.buffer_limit).toBe(3);
  for (let i = 0; i < 3; i++) world.respond(world.connector.accept(), OK);
  expect(world.requests).toMatchObject({ seen: 6, forwarded: 3, answered: 3 });
});

test.each([
  ["in the same segment", (world: Clients, client: StreamConsumer) => world.say(client, UPGRADE + GET)],
  [
    "before the endpoint responds",
    (world: Clients, client: StreamConsumer) => (world.say(client, UPGRADE), world.say(client, GET)),
  ],
])(
  "an offer that production declined is a request like any other, also if the endpoint accepts: the next one came %s",
  (_, say) => {
    const world = new Clients();
    const client = world.open();
    say(world, client);
    const first = world.connector.accept();
    world.respond(first, SWITCHING);
    const second = world.connector.accept();
    world.settle();
    world.respond(second, OK);
    expect([first.text, second.text]).toEqual([UPGRADE, GET]);
    expect(world.requests).toMatchObject({ seen: 2, forwarded: 2, answered: 2, damaged: 0 });
  },
);

const OTHER_PROTOCOLS: [name: string, bytes: string][] = [
  ["WebSocket", "\x81\x85\x01\x02\x03\x04hello"],
  ["text", "hello world\r\nGET / HTTP/1.1\r\n\r\n"],
];
const offers: [name: string, offer: string][] = [
  ["Upgrade", UPGRADE],
  ["CONNECT", "CONNECT a:1 HTTP/1.1\r\n\r\n"],
];
for (const [name, offer] of offers) {
  for (const [protocol, bytes] of OTHER_PROTOCOLS) {
    test(`${name}: ${protocol} that production accepted and the endpoint declines is no request`, () => {
      for (const pieceLength of [1, bytes.length]) {
        for (const isEarly of [false, true]) {
          const world = new Clients();
          const client = world.open();
          const goOn = () => {
            for (let at = 0; at < bytes.length; at += pieceLength) world.say(client, bytes.slice(at, at + pieceLength));
          };
          world.say(client, offer);
          const socket = world.connector.accept();
          world.settle();
          if (isEarly) goOn();
          world.respond(socket, "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n");
          if (!isEarly) goOn();
          client.end("fin");
          world.settle();
          expect(socket.text).toBe(offer);
          expect(world.requests).toMatchObject({ seen: 1, forwarded: 1, answered: 1, damaged: 0, skipped_bytes: 0 });
          expect(world.counters.foreign).toMatchObject({ unknown: 1, discarded_bytes: bytes.length });
        }
      }
    });

    test(`${name}: nor is ${protocol} behind an offer that was dropped`, () => {
      const world = new Clients({ maxWaitingRequests: 1 });
      const client = world.open();
      for (const text of [GET, offer, bytes]) world.say(client, text);
      expect(world.requests).toMatchObject({ seen: 2, damaged: 0, skipped_bytes: 0, dropped: { waiting_limit: 1 } });
      expect(world.counters.foreign).toMatchObject({ unknown: 1, discarded_bytes: bytes.length });
    });
  }
}

test.each([
  ["accepts", SWITCHING],
  ["declines", OK],
])("after bytes of another protocol gave way, no request is looked for in the rest: the endpoint %s", (_, response) => {
  const world = new Clients({ bufferBytes: 4 * BEGINNING + Cost.UPSTREAM });
  const client = world.open();
  world.say(client, `${UPGRADE}\x01hello`);
  const socket = world.connector.accept();
  world.settle();
  for (let i = 0; i < 4; i++) world.say(world.open(), "GET / HTTP/1.1\r\n");
  expect(world.counters.foreign.discarded_bytes).toBe("\x01hello".length);
  world.say(client, GET);
  world.respond(socket, response);
  world.say(client, GET);
  expect(socket.text).toBe(UPGRADE);
  expect(world.connector.attempts).toEqual([]);
  expect(world.counters.foreign.discarded_bytes).toBe("\x01hello".length + 2 * GET.length);
  expect(world.requests).toMatchObject({ forwarded: 1, answered: 1, damage: { gap: 0 } });
  client.end("fin");
  world.settle();
  world.pass(2000);
  expect(socket.shutdowns).toBe(1);
});

test.each([1, 100, 5000])(
  "an offer is declined by a request line that is too long, in segments of %d bytes",
  (size) => {
    const world = new Clients({ maxHeaderBytes: 1000 });
    const client = world.open();
    world.say(client, UPGRADE);
    const socket = world.connector.accept();
    world.settle();
    world.respond(socket, SWITCHING);
    const line = `GET /${"x".repeat(2000)} HTTP/1.1\r\n\r\n`;
    for (let at = 0; at < line.length; at += size) world.say(client, line.slice(at, at + size));
    expect(socket.text).toBe(UPGRADE);
    expect(world.requests).toMatchObject({ seen: 2, forwarded: 1, damage: { header_too_long: 1 } });
  },
);

test("the same for a client that waits: its bytes after the endpoint's 101 show production's response", () => {
  const world = new Clients();
  const [declined, accepted] = [world.open(), world.open()];
  const sockets = [declined, accepted].map((client) => {
    world.say(client, UPGRADE);
    const socket = world.connector.accept();
    world.settle();
    world.respond(socket, SWITCHING);
    return socket;
  });
  world.say(declined, GET.slice(0, 6));
  world.say(declined, GET.slice(6));
  world.say(accepted, "\x01\x05hello");
  expect(sockets.map(({ text }) => text)).toEqual([UPGRADE, `${UPGRADE}\x01\x05hello`]);
  world.respond(world.connector.accept(), OK);
  expect(world.requests).toMatchObject({ seen: 3, forwarded: 3, answered: 3 });
});

test("a stream of another protocol stays when it is silent; its end follows when the endpoint has been silent for --fin-delay-ms", () => {
  const world = new Clients({ finDelayMs: 1000 });
  const client = world.open();
  world.say(client, `${UPGRADE}\x01hello`);
  const socket = world.connector.accept();
  world.settle();
  world.respond(socket, SWITCHING);
  expect(client.idle()).toBe(false);
  client.end("fin");
  world.settle();
  world.pass(900);
  world.respond(socket, "still here");
  world.pass(900);
  expect(socket.shutdowns).toBe(0);
  world.pass(200);
  expect(socket.shutdowns).toBe(1);
});

test("an isolated request has a connection of its own, and the requests before and behind it have others", () => {
  const world = new Clients();
  const isolated = "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  world.say(world.open(), GET + isolated + GET);
  const texts = [GET, isolated, GET].map(() => {
    const socket = world.connector.accept();
    world.settle();
    world.respond(socket, OK);
    return socket.text;
  });
  expect(texts).toEqual([GET, isolated, GET]);
  expect(world.requests).toMatchObject({ seen: 3, forwarded: 3, answered: 3, isolated: 1 });
});

test("a 408 on a connection that was used before is the endpoint's time limit: the request goes on another connection, for any method", () => {
  const world = new Clients();
  const post = "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\na";
  const client = world.open();
  for (const text of [GET, GET]) {
    world.say(client, text);
    if (world.connector.attempts.length > 0) world.connector.accept();
  }
  const [socket] = world.connector.sockets;
  world.respond(socket!, OK);
  world.respond(socket!, OK);
  world.say(client, post);
  world.respond(socket!, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  const second = world.connector.accept();
  world.settle();
  world.respond(second, OK);
  expect(second.text).toBe(post);
  expect(world.requests).toMatchObject({ seen: 3, forwarded: 3, answered: 3 });
  // Without a request, on an idle connection, a 408 is only the connection's end.
  world.respond(second, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
  expect(second.shutdowns).toBe(1);
  expect(world.told.lines).toEqual([]);
});

test("a request that must not be repeated waits until the first connection has shown that it stays open", () => {
  const world = new Clients();
  const post = "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\na";
  world.say(world.open(), post + post);
  const socket = world.connector.accept();
  world.settle();
  world.respond(socket, OK);
  expect(socket.text).toBe(post);
  // It closes without an announcement.
  socket.events.ended();
  world.settle();
  const second = world.connector.accept();
  world.settle();
  expect(second.text).toBe(post);
  world.respond(second, OK);
  expect(world.requests).toMatchObject({ forwarded: 2, answered: 2 });
  expect(world.counters.responses.unanswered).toBe(0);
});

test("--max-response-seconds limits the whole of a response, --response-timeout-ms the time between two parts of it", () => {
  const drip = (world: Clients) => {
    world.say(world.open(), GET);
    const socket = world.connector.accept();
    world.settle();
    world.respond(socket, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    for (let i = 0; i < 20; i++) {
      world.pass(500);
      if (!socket.terminated) world.respond(socket, "x");
    }
    return socket.terminated;
  };
  expect(drip(new Clients({ responseTimeoutMs: 1000 }))).toBe(false);
  expect(drip(new Clients({ responseTimeoutMs: 400 }))).toBe(true);
  expect(drip(new Clients({ responseTimeoutMs: 1000, maxResponseMs: 5000 }))).toBe(true);
});

test.each([
  ["pass", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"],
  ["strip", ""],
] as const)("a PROXY protocol header, %s: each connection begins with %j", (proxyProtocol, preface) => {
  const world = new Clients({ proxyProtocol });
  world.say(world.open(), `PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n${GET}${GET}`);
  for (let i = 0; i < 2; i++) {
    const socket = world.connector.accept();
    world.settle();
    expect(socket.text).toBe(preface + GET);
    world.respond(socket, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  }
  expect(world.requests).toMatchObject({ seen: 2, answered: 2 });
});

test("a request behind a PROXY protocol header has its own time of capture, and not its connection's", () => {
  const world = new Clients({ proxyProtocol: "pass" });
  world.say(world.open(), `PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n${GET}${GET}`);
  const socket = world.connector.accept();
  expect(world.counters.delay).toMatchObject({ count: 1, sum_ms: 0 });
  world.pass(20);
  world.respond(socket, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  world.connector.accept();
  expect(world.counters.delay).toMatchObject({ count: 2, sum_ms: 20 });
});

test("a leap of the capture's time ends nothing: only times that the capture confirms reach this place", () => {
  const world = new Clients({ headerTimeoutMs: 1000 });
  const client = world.open();
  client.data(new TextEncoder().encode("GET / HTTP/1.1\r\n"), 0, 16, EPOCH_MS + 301_000);
  world.settle();
  world.pass(500);
  expect(world.requests.damaged).toBe(0);
});
