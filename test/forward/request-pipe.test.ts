/**
 * Requests on their way to an endpoint that each test controls. Faults found by test/simulator/http have their smallest
 * case here.
 */
import { expect, test } from "bun:test";
import { AGAIN_MAX_MS, AGAIN_MIN_MS } from "../../src/forward/spoken.ts";
import { OtherProtocolError, type Tls } from "../../src/forward/tls.ts";
import { Mirrored } from "./mirrored.ts";
import type { ScriptedSocket } from "./scripted.ts";

const GET = "GET / HTTP/1.1\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd";
const UPGRADE = "GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const CLOSE = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

test("after an upgrade without an endpoint, requests go on, and nothing is held", () => {
  const world = new Mirrored({ connectTimeoutMs: 500 });
  world.client(UPGRADE);
  world.pass(500);
  expect(world.requests.dropped.endpoint_down).toBe(1);
  world.connector.attempts.shift();
  world.client(GET);
  const socket = world.connector.accept();
  world.answer(socket, OK);
  expect(socket.text).toBe(GET);
  expect(world.requests).toMatchObject({ seen: 2, forwarded: 1, answered: 1 });
  expect(world.heldBytes).toBe(0);
});

test("an endpoint that does not speak HTTP/1.1 over TLS gets no request, and is tried now and then", () => {
  const world = new Mirrored({ tls: {} as Tls });
  for (let i = 1; i <= 3; i++) {
    world.client(GET + POST);
    // After the first refusal, no other client tries.
    expect(world.connector.attempts.length).toBe(i === 2 ? 0 : 1);
    if (i !== 2) world.connector.refuse(new OtherProtocolError("http/1.1"));
    expect(world.requests).toMatchObject({ seen: 2 * i, forwarded: 0, dropped: { endpoint_protocol: 2 * i } });
    if (i === 2) world.pass(AGAIN_MIN_MS);
    else world.tick();
  }
  world.pass(AGAIN_MAX_MS);
  world.client(GET);
  world.answer(world.connector.accept(), OK);
  expect(world.requests).toMatchObject({ seen: 7, forwarded: 1, answered: 1 });
  expect(world.told.lines).toEqual(["speaks no HTTP/1", expect.stringMatching(/^speaks HTTP\/1 after /)]);
  expect(world.heldBytes).toBe(0);
});

test("a request that is streamed after a declined upgrade has the next connection to itself", () => {
  const world = new Mirrored({ maxRequestBytes: 100 });
  const large = `PUT / HTTP/1.1\r\nContent-Length: 200\r\n\r\n${"x".repeat(200)}`;
  world.client(UPGRADE);
  const first = world.connector.accept();
  world.tick();
  world.client(large.slice(0, 150));
  world.answer(first, "HTTP/1.1 403 Forbidden\r\n\r\nno");
  first.events.ended();
  world.tick();
  const second = world.connector.accept();
  world.client(large.slice(150));
  expect(second.text).toBe(large);
  expect(second.shutdowns).toBe(0);
  world.answer(second, OK);
  expect(world.requests).toMatchObject({ seen: 2, forwarded: 2, answered: 2 });
});

test("a connection that is given up for memory in the middle of a pipeline is no exception", () => {
  const world = new Mirrored({ pipelineDepth: 5, bufferBytes: 32_000 });
  const get = `GET /${"x".repeat(1850)} HTTP/1.1\r\n\r\n`;
  world.client(get.repeat(5));
  world.connector.accept();
  world.tick();
  expect(world.upstream.given_up).toBe(1);
  // None of its bytes had left.
  expect(world.requests.dropped.endpoint_closed).toBe(1);
});

test("HTTP/2 without room for its first bytes does not pass through without them", () => {
  const world = new Mirrored({ bufferBytes: 0 });
  const pieces = ["PRI * HTTP/2.0\r\n", "\r\nSM\r\n\r\n", "frames"];
  world.client(...pieces);
  expect(world.connector.attemptsMade).toBe(0);
  expect(world.requests).toMatchObject({
    seen: 1,
    dropped: { buffer_limit: 1 },
    skipped_bytes: pieces.join("").length,
  });
});

test("the time for a response begins when the request has been taken, at any speed", () => {
  const world = new Mirrored({ responseTimeoutMs: 200 });
  world.client(POST);
  // One byte every 10 ms.
  const socket = world.connector.accept(new Array<number>(POST.length - 1).fill(1));
  world.pass(350);
  expect(socket.text.length).toBeLessThan(POST.length);
  expect(world.upstream.given_up).toBe(0);
  world.pass(100);
  expect(socket.text).toBe(POST);
  world.answer(socket, OK);
  expect(world.requests.answered).toBe(1);
  world.client(GET);
  world.pass(300);
  expect(world.upstream.given_up).toBe(1);
});

test.each([
  ["says that it closes", (world: Mirrored, socket: ScriptedSocket) => world.answer(socket, CLOSE)],
  ["closes its side", (_: Mirrored, socket: ScriptedSocket) => socket.events.ended()],
])("if the endpoint %s, the requests in flight come whole on only one connection", (_, leave) => {
  const world = new Mirrored({ pipelineDepth: 2 });
  world.client(POST + GET);
  const first = world.connector.accept([POST.length, 4]);
  world.tick();
  leave(world, first);
  world.tick();
  const second = world.connector.accept();
  first.takes = [];
  first.events.writable();
  world.pass(100);
  expect(first.text).toBe(`${POST}GET `.slice(0, first.text.length));
  expect(second.text).toBe(GET);
});

test("if the endpoint ends a pipeline, unsent requests are sent, and partly sent ones are not sent again", () => {
  for (const [taken, text] of [
    [0, POST],
    [1, ""],
  ] as const) {
    const world = new Mirrored({ pipelineDepth: 2 });
    world.client(POST + POST);
    // The first one is taken at once, without a copy; the next one waits.
    const first = world.connector.accept([POST.length + taken]);
    world.tick();
    world.answer(first, CLOSE);
    const second = text === "" ? null : world.connector.accept();
    world.tick();
    if (second !== null) world.answer(second, OK);
    expect(second?.text ?? "").toBe(text);
    // A request that the endpoint got in part was not forwarded.
    const forwarded = text === "" ? 1 : 2;
    expect(world.requests).toMatchObject({
      seen: 2,
      forwarded,
      answered: forwarded,
      dropped: { endpoint_closed: 2 - forwarded },
    });
    expect(world.counters.responses.unanswered).toBe(0);
    expect(world.connector.attempts).toHaveLength(0);
  }
});

test("a flow that ends before its upgrade's response is finished after the response", () => {
  const world = new Mirrored();
  world.client(UPGRADE);
  const socket = world.connector.accept();
  world.tick();
  world.end();
  expect(socket.shutdowns).toBe(0);
  world.answer(socket, OK);
  expect(socket.shutdowns).toBe(1);
});
