/** The same promises with Bun's sockets and servers, over loopback: faults that only a real kernel can cause. */
import { afterEach, expect, test } from "bun:test";
import type { Socket, TCPSocketListener } from "bun";
import { Budget } from "../../src/memory/budget.ts";
import { HeldMemory } from "../../src/forward/held-memory.ts";
import { ArrayPool } from "../../src/memory/array-pool.ts";
import { Destination } from "../../src/forward/destination.ts";
import { bunConnector } from "../../src/forward/socket.ts";
import { TcpMode } from "../../src/forward/tcp-mode.ts";
import type { StreamOpener } from "../../src/flow/stream.ts";
import { Counters } from "../../src/observe/counters.ts";
import { Random } from "../support/random.ts";
import { Told } from "./scripted.ts";
import { USUAL } from "../support/usual.ts";

const LOOPBACK = "127.0.0.1";
const TICK_MS = 2;
const MIB = 1 << 20;
const ORIGIN = { identity: new Int32Array(9), hasSyn: true };

/** The bytes that a connection of the server has received. */
interface Received {
  hash: Bun.CryptoHasher;
  bytes: number;
  ended: boolean;
}

const newReceived = (): Received => ({ hash: new Bun.CryptoHasher("sha256"), bytes: 0, ended: false });
const cleanups: (() => void)[] = [];
const failures: Error[] = [];

afterEach(() => {
  expect(failures.splice(0)).toEqual([]);
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** Bun passes a handler's exception to `error`: it must not count as a reset. */
function fail(_socket: unknown, error: Error & { code?: string }): void {
  if (error.code !== "ECONNRESET") failures.push(error);
}

function listen(socket: Bun.SocketHandler<Received>, port = 0): TCPSocketListener<Received> {
  const server = Bun.listen<Received>({ hostname: LOOPBACK, port, allowHalfOpen: true, socket });
  cleanups.push(() => server.stop(true));
  return server;
}

/** A server that reads everything, sends `greeting` first, and closes after the client's end. */
function reader(all: Received[], greeting: Uint8Array = new Uint8Array(0), port = 0): TCPSocketListener<Received> {
  const unsent = new Map<Socket<Received>, number>();
  const send = (socket: Socket<Received>) => {
    const sent = unsent.get(socket)!;
    if (sent < greeting.length) unsent.set(socket, sent + Math.max(0, socket.write(greeting.subarray(sent))));
    if (socket.data.ended && unsent.get(socket) === greeting.length) socket.end();
  };
  return listen(
    {
      open(socket) {
        socket.data = newReceived();
        all.push(socket.data);
        unsent.set(socket, 0);
        send(socket);
      },
      data(socket, chunk) {
        socket.data.hash.update(chunk);
        socket.data.bytes += chunk.length;
      },
      drain: send,
      end(socket) {
        socket.data.ended = true;
        send(socket);
      },
      error: fail,
    },
    port,
  );
}

function forwarder(
  port: number,
  options: { maxRetries?: number; connectTimeoutMs?: number; bufferBytes?: number } = {},
) {
  const counters = new Counters();
  const told = new Told();
  const budget = new Budget(options.bufferBytes ?? 256 * MIB);
  const now = () => performance.timeOrigin + performance.now();
  const whole = {
    ...USUAL,
    address: { host: LOOPBACK, port },
    maxRetries: options.maxRetries ?? 10,
    connectTimeoutMs: options.connectTimeoutMs ?? 5000,
    measuresDelay: false,
  };
  const endpoint = new Destination(whole, counters, new HeldMemory(budget, new ArrayPool()), told, bunConnector, now);
  const mode: StreamOpener = new TcpMode(endpoint, { ...USUAL, responseTimeoutMs: 5000, finDelayMs: 20 });
  const timer = setInterval(() => endpoint.tick(), TICK_MS);
  cleanups.push(() => clearInterval(timer));
  return { counters, told, budget, endpoint, mode, now };
}

type Forwarder = ReturnType<typeof forwarder>;

async function until(what: string, holds: () => boolean, limitMs = 20_000): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!holds()) {
    if (performance.now() > limit) throw new Error(`Not within ${limitMs} ms: ${what}`);
    await Bun.sleep(TICK_MS);
  }
}

/** Streams bytes through a buffer that is overwritten after each batch, as in a capture. */
async function stream(
  { mode, endpoint, now }: Forwarder,
  content: Uint8Array,
  how: "fin" | "reset" = "fin",
  batchBytes = 64 << 10,
): Promise<void> {
  const consumer = mode.open(ORIGIN);
  const buffer = new Uint8Array(batchBytes);
  for (let at = 0; at < content.length; at += batchBytes) {
    const length = Math.min(batchBytes, content.length - at);
    buffer.set(content.subarray(at, at + length));
    // In three segments.
    const third = Math.ceil(length / 3);
    for (let from = 0; from < length; from += third) consumer.data(buffer, from, Math.min(third, length - from), now());
    endpoint.flush();
    buffer.fill(0x21);
    if (at % (16 * batchBytes) === 0) await Bun.sleep(0);
  }
  consumer.end(how);
  endpoint.flush();
}

const digest = (content: Uint8Array) => new Bun.CryptoHasher("sha256").update(content).digest("hex");
const content = (bytes: number, seed: number) => new Random(seed).bytes(bytes);

test("every byte of every stream arrives, for any sizes of batches and kernel buffers", async () => {
  const all: Received[] = [];
  const world = forwarder(reader(all).port);
  const contents = [0, 1, 1000, 100_000, 3 * MIB].map(content);
  await Promise.all(contents.map((bytes) => stream(world, bytes)));
  await until("the connections have ended", () => world.endpoint.openCount === 0);
  expect(all.map(({ hash }) => hash.digest("hex")).toSorted()).toEqual(contents.map(digest).toSorted());
  expect(world.counters.upstream).toMatchObject({ connects: 5, closed: 5, broken: 0, given_up: 0, lost_bytes: 0 });
  expect(world.budget.usedBytes).toBe(0);
  expect(world.told.lines).toEqual([]);
}, 30_000);

test("a half-close loses no byte while the endpoint is still talking", async () => {
  const all: Received[] = [];
  const greeting = new Uint8Array(8 * MIB).fill(0x67);
  const world = forwarder(reader(all, greeting).port);
  const bytes = content(2 * MIB, 1);
  await stream(world, bytes);
  await until("the connection has ended", () => world.endpoint.openCount === 0);
  expect(all).toHaveLength(1);
  expect(all[0]!.bytes).toBe(bytes.length);
  expect(all[0]!.hash.digest("hex")).toBe(digest(bytes));
  expect(world.counters.upstream).toMatchObject({
    closed: 1,
    broken: 0,
    lost_bytes: 0,
    response_bytes: greeting.length,
  });
}, 30_000);

test("a mirrored reset loses no byte that came before it", async () => {
  const all: Received[] = [];
  const world = forwarder(reader(all).port);
  const bytes = content(MIB, 2);
  await stream(world, bytes, "reset");
  await until("the connection has ended", () => world.endpoint.openCount === 0);
  expect(all[0]!.bytes).toBe(bytes.length);
  expect(world.counters.upstream.lost_bytes).toBe(0);
}, 30_000);

test("a slow reader gets all bytes, and the waiting bytes' memory is given back", async () => {
  const received = newReceived();
  const server = listen({
    open(socket) {
      socket.data = received;
    },
    data(socket, chunk) {
      received.hash.update(chunk);
      received.bytes += chunk.length;
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    },
    end(socket) {
      socket.end();
    },
    error: fail,
  });
  const world = forwarder(server.port);
  const bytes = content(16 * MIB, 3);
  await stream(world, bytes, "fin", 512 << 10);
  expect(world.budget.usedBytes).toBeGreaterThan(0);
  await until("the connection has ended", () => world.endpoint.openCount === 0, 60_000);
  expect(received.bytes).toBe(bytes.length);
  expect(received.hash.digest("hex")).toBe(digest(bytes));
  expect(world.budget.usedBytes).toBe(0);
}, 90_000);

test("an endpoint that stops reading is given up, its memory given back, and others go on", async () => {
  const all: Received[] = [];
  const stopped = listen({
    open(socket) {
      socket.data = newReceived();
      socket.pause();
    },
    data() {},
    error: fail,
  });
  const stuck = forwarder(stopped.port, { maxRetries: 3 });
  const well = forwarder(reader(all).port);
  const bytes = content(16 * MIB, 4);
  await Promise.all([stream(stuck, bytes), stream(well, bytes)]);
  await until("it is given up", () => stuck.endpoint.openCount === 0);
  await until("the other one has ended", () => well.endpoint.openCount === 0);
  const { upstream } = stuck.counters;
  expect(upstream.given_up).toBe(1);
  expect(upstream.lost_bytes).toBeGreaterThan(0);
  expect(upstream.bytes + upstream.lost_bytes).toBe(bytes.length);
  expect(stuck.budget.usedBytes).toBe(0);
  // Bytes that came for it afterwards are lost too.
  const told = stuck.told.lines.map((line) => Number(/^given up with (\d+) bytes$/.exec(line)?.[1]));
  expect(told).toHaveLength(1);
  expect(told[0]).toBeGreaterThan(0);
  expect(told[0]).toBeLessThanOrEqual(upstream.lost_bytes);
  expect(all[0]!.hash.digest("hex")).toBe(digest(bytes));
}, 60_000);

test("an endpoint that resets in the middle costs only that connection, and is reported", async () => {
  let connections = 0;
  const all: Received[] = [];
  const server = listen({
    open(socket) {
      socket.data = newReceived();
      all.push(socket.data);
      if (connections++ === 0) setTimeout(() => socket.terminate(), 20);
    },
    data(socket, chunk) {
      socket.data.bytes += chunk.length;
    },
    end(socket) {
      socket.end();
    },
    error: fail,
  });
  const world = forwarder(server.port);
  const bytes = content(4 * MIB, 5);
  await stream(world, content(200 * 1024, 6));
  const consumer = world.mode.open(ORIGIN);
  consumer.data(bytes, 0, bytes.length, world.now());
  world.endpoint.flush();
  consumer.end("fin");
  world.endpoint.flush();
  await until("both have ended", () => world.endpoint.openCount === 0);
  expect(all[1]!.bytes).toBe(bytes.length);
  const { upstream } = world.counters;
  expect(upstream.bytes + upstream.lost_bytes).toBe(bytes.length + 200 * 1024);
  expect(upstream.closed + upstream.broken).toBe(2);
  expect(world.budget.usedBytes).toBe(0);
}, 30_000);

test("a write to an endpoint that has reset is no exception, and is counted", async () => {
  const server = listen({ open: (socket) => void setTimeout(() => socket.terminate(), 10), data() {}, error: fail });
  const world = forwarder(server.port);
  const consumer = world.mode.open(ORIGIN);
  const bytes = new Uint8Array(1000);
  let given = 0;
  const limit = performance.now() + 5000;
  while (world.counters.upstream.broken === 0 && performance.now() < limit) {
    consumer.data(bytes, 0, bytes.length, world.now());
    given += bytes.length;
    world.endpoint.flush();
    await Bun.sleep(1);
  }
  consumer.end("fin");
  world.endpoint.flush();
  const { upstream } = world.counters;
  expect(upstream).toMatchObject({ broken: 1, closed: 0 });
  expect(upstream.bytes + upstream.lost_bytes).toBe(given);
  expect(world.endpoint.openCount).toBe(0);
});

test("an endpoint that refuses and then comes up gets everything; the outage is reported once", async () => {
  const probe = listen({ data() {} });
  const { port } = probe;
  probe.stop(true);
  const world = forwarder(port);
  const contents = Array.from({ length: 20 }, (_, i) => content(10_000, 100 + i));
  await Promise.all(contents.map((bytes) => stream(world, bytes)));
  await Bun.sleep(300);
  expect(world.counters.upstream).toMatchObject({ connects: 0, connect_errors: 0, lost_bytes: 0 });
  const all: Received[] = [];
  reader(all, undefined, port);
  await until("the connections have ended", () => world.endpoint.openCount === 0);
  expect(all.map(({ hash }) => hash.digest("hex")).toSorted()).toEqual(contents.map(digest).toSorted());
  expect(world.told.lines).toHaveLength(2);
  expect(world.told.lines[0]).toStartWith("outage: ");
  expect(world.told.lines[1]).toMatch(/^outage over after .* 0 lost$/);
}, 30_000);

test("an endpoint that stays away costs its connections after the time limit", async () => {
  const probe = listen({ data() {} });
  const { port } = probe;
  probe.stop(true);
  const world = forwarder(port, { connectTimeoutMs: 300 });
  await stream(world, content(1000, 7));
  await until("it is given up", () => world.endpoint.openCount === 0);
  expect(world.counters.upstream).toMatchObject({ connects: 0, connect_errors: 1, lost_bytes: 1000 });
  expect(world.told.lines).toHaveLength(1);
});

test("a thousand connections come and go: all arrive, nothing is held", async () => {
  const all: Received[] = [];
  const world = forwarder(reader(all).port, { connectTimeoutMs: 20_000 });
  const contents = Array.from({ length: 1000 }, (_, i) => content(100 + i, 1000 + i));
  for (const bytes of contents) void stream(world, bytes);
  await until("the connections have ended", () => world.endpoint.openCount === 0);
  expect(all.map(({ hash }) => hash.digest("hex")).toSorted()).toEqual(contents.map(digest).toSorted());
  expect(world.counters.upstream).toMatchObject({ connects: 1000, closed: 1000, lost_bytes: 0 });
  expect(world.budget.usedBytes).toBe(0);
}, 30_000);
