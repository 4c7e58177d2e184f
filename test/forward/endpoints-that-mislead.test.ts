/**
 * Endpoints that respond at the wrong moment, and the consequences that must not follow: other clients' bytes, requests
 * that wait for ever, a crash.
 */
import { expect, test } from "bun:test";
import { Clients } from "./clients.ts";
import { Scripted, type ScriptedSocket } from "./scripted.ts";
import { editsOf, policyFor } from "../support/policies.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
const OFFER = "Connection: Upgrade\r\nUpgrade: h2c\r\n";

function post(length: number, fields = ""): string {
  return `POST / HTTP/1.1\r\n${fields}Content-Length: ${length}\r\n\r\n${"x".repeat(length)}`;
}

test("an offer that is accepted before it was read never sends another client's bytes", () => {
  const world = new Clients();
  const [first, second] = [world.open(), world.open()];
  world.say(first, post(1000, OFFER));
  const socket = world.connector.accept([100]);
  socket.block();
  world.respond(socket, SWITCHING);
  world.say(second, post(1000).replaceAll("x", "S"));
  socket.takes = [];
  socket.events.writable();
  world.pass(2000);
  expect(socket.text).not.toContain("S".repeat(10));
});

test("a request is sent behind one with a response that came before the kernel took it", () => {
  const world = new Clients();
  const client = world.open();
  world.say(client, post(1000));
  const socket = world.connector.accept([100]);
  socket.block();
  world.respond(socket, OK);
  world.say(client, post(10));
  socket.takes = [];
  socket.events.writable();
  world.settle();
  world.pass(1000);
  world.respond(world.connector.sockets.at(-1)!, OK);
  expect(world.requests).toMatchObject({ seen: 2, forwarded: 2, answered: 2 });
});

test("a streamed request's offer that is accepted before it is whole", () => {
  const world = new Clients({ maxRequestBytes: 100, maxHeaderBytes: 100 });
  const client = world.open();
  world.say(client, post(10_000, OFFER).slice(0, 1000));
  world.respond(world.connector.accept(), SWITCHING);
  client.end("fin");
  world.settle();
  world.pass(40_000);
  expect(world.requests).toMatchObject({ seen: 1, damaged: 1, forwarded: 0 });
  expect(world.budget.usedBytes).toBe(0);
});

test("a streamed request's offer that the endpoint accepts and production declined", () => {
  const world = new Clients({ maxRequestBytes: 100, maxHeaderBytes: 200 });
  const client = world.open();
  world.say(client, post(10_000, OFFER));
  world.respond(world.connector.accept(), SWITCHING);
  world.say(client, post(10));
  world.respond(world.connector.accept(), OK);
  client.end("fin");
  world.settle();
  world.pass(40_000);
  expect(world.requests).toMatchObject({ seen: 2, forwarded: 2, answered: 2 });
  expect(world.budget.usedBytes).toBe(0);
});

test("a streamed request is not forwarded if its end was not taken", () => {
  const world = new Clients({ maxRequestBytes: 100, maxHeaderBytes: 65_536 });
  const client = world.open();
  const request = post(10_000);
  world.say(client, request.slice(0, 9000));
  const socket = world.connector.accept();
  world.settle();
  socket.block();
  world.say(client, request.slice(9000));
  socket.events.closed(undefined);
  world.settle();
  expect(world.requests).toMatchObject({ seen: 1, forwarded: 0, dropped: { endpoint_closed: 1 } });
});

test("a connection that moves in this batch does not give way as an idle one", () => {
  const world = new Clients({ bufferBytes: 20_000 });
  const [first, second] = [world.open(), world.open()];
  world.say(first, "GET / HTTP/1.1\r\n\r\n");
  const socket = world.connector.accept();
  world.respond(socket, OK);
  world.take(first, "GET /half HTTP/1.1\r\n");
  world.take(second, post(20_000).slice(0, 9000));
  world.settle();
  world.say(first, "\r\n");
  world.respond(socket, OK);
  expect(world.requests).toMatchObject({ damaged: 0, answered: 2 });
});

test("the program does not wait for a destination that goes on sending when no client needs it", () => {
  const world = new Clients();
  const client = world.open();
  world.say(client, "GET / HTTP/1.1\r\n\r\n");
  const socket = world.connector.accept();
  world.respond(socket, OK);
  client.end("fin");
  world.settle();
  for (let i = 0; i < 100; i++) {
    world.pass(100);
    if (!socket.terminated) socket.events.received(new Uint8Array(10));
  }
  expect(world.destination.openCount).toBe(0);
});

test("a stream of another protocol holds nothing after its connection has ended", () => {
  const world = new Clients();
  const client = world.open();
  world.say(client, "GET / HTTP/1.1\r\n" + OFFER + "\r\n");
  const socket = world.connector.accept();
  world.respond(socket, SWITCHING);
  world.say(client, "\x82\x85abcdefgh");
  socket.events.closed(undefined);
  world.settle();
  expect(client.idle!()).toBe(true);
});

test("the address that responds late takes nothing from the first one", () => {
  const world = new Scripted({ address: { host: "name", port: 80 } });
  world.connector.find = () => ["10.0.0.1", "10.0.0.2"];
  world.destination.connect(null);
  world.pass(300);
  expect(world.connector.addresses).toEqual(["10.0.0.1", "10.0.0.2"]);
  const [late, early] = world.connector.attempts.splice(0);
  early!.opened({ write: (_bytes, _offset, length) => length, shutdown() {}, terminate() {} });
  late!.opened({ write: (_bytes, _offset, length) => length, shutdown() {}, terminate: () => late!.closed(undefined) });
  expect(world.upstream).toMatchObject({ connects: 1, closed: 0, broken: 0 });
  expect(world.destination.openCount).toBe(1);
});

test.each([1, 20])("if the source waits and memory is short, %d uploads at once go on as streams", (count) => {
  const world = new Clients({ bufferBytes: 1 << 20, sourceWaits: true });
  const request = post(300_000);
  const clients = Array.from({ length: count }, () => world.open());
  const sockets: ScriptedSocket[] = [];
  for (let at = 0; at < request.length; at += 10_000) {
    for (const client of clients) {
      world.take(client, request.slice(at, at + 10_000));
      // As a source does that checks whether it is too far ahead.
      if (world.destination.memory.heldBytes < (world.budget.limitBytes * 3) / 4) continue;
      world.settle();
      while (world.connector.attempts.length > 0) sockets.push(world.connector.accept());
    }
  }
  world.settle();
  while (world.connector.attempts.length > 0) sockets.push(world.connector.accept());
  for (const socket of sockets) world.respond(socket, OK);
  expect(world.requests).toMatchObject({ seen: count, forwarded: count, answered: count });
});

test("a head in several pieces is edited as a whole", () => {
  const fields = `A: ${"a".repeat(520_000)}\r\nB: ${"b".repeat(9000)}\r\n`;
  const policy = policyFor({ headEdits: editsOf({ setHeader: [["X-Added", "1"]] }) });
  const world = new Clients({ maxRequestBytes: 1, maxHeaderBytes: 530_000, policy });
  const client = world.open();
  const request = post(20_000, fields);
  for (let at = 0; at < request.length; at += 10_480) world.take(client, request.slice(at, at + 10_480));
  const socket = world.connector.accept();
  world.settle();
  world.respond(socket, OK);
  const line = "POST / HTTP/1.1\r\n";
  expect(socket.text === `${line}X-Added: 1\r\n${request.slice(line.length)}`).toBe(true);
  expect(world.requests).toMatchObject({ seen: 1, forwarded: 1, answered: 1 });
});

/** Requests that ask for the end of their connection: an endpoint that closes need not announce it. */
const LAST = [
  ["Connection: close", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"],
  ["HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"],
] as const;
test.each(LAST)("a close that a request has asked for (%s) proves nothing about other connections", (_how, last) => {
  const world = new Clients();
  const keeping = world.open();
  for (let i = 0; i < 3; i++) {
    world.say(world.open(), last);
    const socket = world.connector.accept();
    world.respond(socket, OK);
    socket.events.closed(undefined);
    world.settle();
  }
  world.say(keeping, "GET / HTTP/1.1\r\n\r\n");
  const socket = world.connector.accept();
  world.respond(socket, OK);
  world.say(keeping, "GET / HTTP/1.1\r\n\r\n");
  world.respond(socket, OK);
  expect(world.requests).toMatchObject({ seen: 5, answered: 5 });
  expect(world.connector.sockets).toHaveLength(4);
});
