/** Further destinations: each gets every request, with its own connections and limits; bytes are held once. */
import { describe, expect, test } from "bun:test";
import type { StreamConsumer } from "../../src/flow/stream.ts";
import { Destination } from "../../src/forward/destination.ts";
import { reportOf } from "../../src/forward/destination-options.ts";
import { HeldMemory } from "../../src/forward/held-memory.ts";
import { HttpMode } from "../../src/forward/http-mode.ts";
import type { HttpOptions } from "../../src/forward/http-options.ts";
import { TcpMode } from "../../src/forward/tcp-mode.ts";
import { ArrayPool } from "../../src/memory/array-pool.ts";
import { Budget, Cost } from "../../src/memory/budget.ts";
import { Counters } from "../../src/observe/counters.ts";
import { USUAL } from "../support/usual.ts";
import { EPOCH_MS, ScriptedConnector, type ScriptedSocket, Told } from "./scripted.ts";

const GET = (path: string) => `GET ${path} HTTP/1.1\r\n\r\n`;
/** Idempotent: it follows another request at once, and may be sent again. */
const PUT = (length: number) => `PUT / HTTP/1.1\r\nContent-Length: ${length}\r\n\r\n`;
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const UPGRADE = "GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const FURTHER = 2;

const HTTP = {
  ...USUAL,
  pipelineDepth: 1,
  maxWaitingRequests: 100,
  maxRequestBytes: 1000,
  maxHeaderBytes: 1000,
  responseTimeoutMs: 30_000,
  policy: null,
} satisfies Partial<HttpOptions>;

interface WorldOptions extends Partial<HttpOptions> {
  /** The memory of each further destination. */
  furtherBytes?: number;
  /** How many further destinations there are. */
  furtherCount?: number;
}

/** An endpoint and further destinations, each of them scripted. */
class World {
  nowMs = EPOCH_MS;
  readonly counters = new Counters(["a", "b"]);
  readonly told = new Told();
  readonly connectors: ScriptedConnector[];
  readonly destinations: Destination[];
  readonly mode: HttpMode;
  private allocated = 0;

  constructor({ furtherBytes = 1 << 24, furtherCount = FURTHER, ...http }: WorldOptions = {}) {
    const pool = new ArrayPool();
    const { allocate } = pool;
    pool.allocate = (length) => {
      this.allocated += length;
      return allocate.call(pool, length);
    };
    this.connectors = Array.from(
      { length: 1 + furtherCount },
      () => new ScriptedConnector(() => this.nowMs - EPOCH_MS),
    );
    this.destinations = this.connectors.map((connector, i) => {
      const options = { ...USUAL, address: { host: `d${i}`, port: 80 }, maxRetries: 10, connectTimeoutMs: 2000 };
      const own = i === 0 ? this.counters : this.counters.destinations[i - 1]!;
      const memory = new HeldMemory(new Budget(i === 0 ? 1 << 24 : furtherBytes), pool);
      const whole = { ...options, measuresDelay: false };
      return new Destination(whole, own, memory, reportOf(this.told, i), connector, () => this.nowMs);
    });
    const [endpoint, ...further] = this.destinations as [Destination, ...Destination[]];
    this.mode = new HttpMode(endpoint, { ...HTTP, ...http }, { foreign() {} }, this, further);
  }

  open(): StreamConsumer {
    return this.mode.open({ identity: new Int32Array(9), hasSyn: true });
  }

  say(client: StreamConsumer, ...texts: string[]): void {
    for (const text of texts) client.data(new TextEncoder().encode(text), 0, text.length, this.nowMs);
    this.settle();
  }

  respond(socket: ScriptedSocket, text: string): void {
    socket.events.received(new TextEncoder().encode(text));
    this.settle();
  }

  end(client: StreamConsumer): void {
    client.end("fin");
    this.settle();
  }

  settle(): void {
    this.mode.flush();
    this.mode.flushFurther();
    for (const destination of this.destinations) destination.flush();
  }

  pass(ms: number): void {
    this.nowMs += ms;
    for (const destination of this.destinations) destination.tick();
    this.settle();
  }

  /** The bytes of the arrays that were taken since the last call. */
  takeAllocated(): number {
    const { allocated } = this;
    this.allocated = 0;
    return allocated;
  }

  get used(): number[] {
    return this.destinations.map(({ memory }) => memory.budget.usedBytes);
  }

  at(destination: number) {
    return destination === 0 ? this.counters : this.counters.destinations[destination - 1]!;
  }
}

/** Everything has ended, and each destination's counters add up. */
function finish(world: World, clients: StreamConsumer[]): void {
  for (const client of clients) world.end(client);
  for (const { sockets } of world.connectors) for (const socket of sockets) socket.events.closed(undefined);
  world.settle();
  expect(world.used).toEqual([0, 0, 0]);
  for (let i = 0; i <= FURTHER; i++) {
    const { requests } = world.at(i);
    const dropped = Object.values(requests.dropped).reduce((sum, count) => sum + count, 0);
    expect(requests.seen).toBe(requests.forwarded + requests.damaged + dropped);
  }
}

test("each gets every request, in order, after its own response to the previous one", () => {
  const world = new World();
  const client = world.open();
  world.say(client, GET("/1"), GET("/2"));
  const sockets = world.connectors.map((connector) => connector.accept());
  expect(sockets.map(({ text }) => text)).toEqual([GET("/1"), GET("/1"), GET("/1")]);
  world.respond(sockets[1]!, OK);
  expect(sockets.map(({ text }) => text)).toEqual([GET("/1"), GET("/1") + GET("/2"), GET("/1")]);
  world.respond(sockets[0]!, OK);
  expect(sockets.map(({ text }) => text)).toEqual([GET("/1") + GET("/2"), GET("/1") + GET("/2"), GET("/1")]);
  for (const socket of [sockets[0]!, sockets[1]!, sockets[2]!, sockets[2]!]) world.respond(socket, OK);
  finish(world, [client]);
  for (let i = 0; i <= FURTHER; i++)
    expect(world.at(i).requests).toMatchObject({ seen: 2, forwarded: 2, answered: 2, damaged: 0 });
});

test("the bytes of a request are held once, until no destination needs them any more", () => {
  const world = new World();
  const client = world.open();
  world.takeAllocated();
  const text = PUT(600) + "x".repeat(600);
  world.say(client, text);
  // One array, as with one destination.
  expect(world.takeAllocated()).toBe(text.length);
  const sockets = world.connectors.map((connector) => connector.accept());
  const [first] = sockets[0]!.writes;
  for (const { writes } of sockets) expect(writes[0]!.array).toBe(first!.array);
  world.respond(sockets[0]!, OK);
  world.respond(sockets[2]!, OK);
  // The endpoint's next request does not overwrite the bytes that the second destination has to send again.
  const next = PUT(600) + "y".repeat(600);
  world.say(client, next);
  sockets[1]!.events.closed(undefined);
  world.settle();
  const again = world.connectors[1]!.accept();
  expect(again.text).toBe(text);
  world.respond(again, OK);
  expect(again.text).toBe(text + next);
  for (const socket of [sockets[0]!, again, sockets[2]!]) world.respond(socket, OK);
  finish(world, [client]);
});

describe("a fault of a further destination concerns only that destination", () => {
  test("one that does not respond: it keeps to --max-waiting-requests, and the endpoint gets all requests", () => {
    const world = new World({ maxWaitingRequests: 2 });
    const client = world.open();
    const text = Array.from({ length: 5 }, (_, i) => GET(`/${i}`));
    world.say(client, text[0]!);
    const sockets = world.connectors.map((connector) => connector.accept());
    for (const one of text.slice(1)) {
      for (const i of [0, 2]) world.respond(sockets[i]!, OK);
      world.say(client, one);
    }
    for (const i of [0, 2]) world.respond(sockets[i]!, OK);
    expect(sockets[0]!.text).toBe(text.join(""));
    expect(world.at(0).requests).toMatchObject({ forwarded: 5, dropped: { waiting_limit: 0 } });
    expect(world.at(1).requests).toMatchObject({ seen: 5, dropped: { waiting_limit: 2 } });
    for (let i = 0; i < 3; i++) world.respond(sockets[1]!, OK);
    expect(sockets[1]!.text).toBe(text.slice(0, 3).join(""));
    finish(world, [client]);
  });

  test("one that does not respond, while the source waits: it keeps to its share of the memory", () => {
    const world = new World({ sourceWaits: true, furtherBytes: 8000 });
    const client = world.open();
    const text = PUT(600) + "x".repeat(600);
    world.say(client, text);
    const sockets = world.connectors.map((connector) => connector.accept());
    for (let i = 0; i < 20; i++) {
      for (const each of [0, 2]) world.respond(sockets[each]!, OK);
      world.say(client, text);
    }
    for (const each of [0, 2]) world.respond(sockets[each]!, OK);
    expect(world.at(0).requests).toMatchObject({ forwarded: 21 });
    const { dropped, seen } = world.at(1).requests;
    expect(seen).toBe(21);
    expect(dropped.buffer_limit).toBeGreaterThan(10);
    expect(world.used[1]).toBeLessThanOrEqual(8000);
    while (world.at(1).requests.answered + dropped.buffer_limit < 21) world.respond(sockets[1]!, OK);
    finish(world, [client]);
  });

  test("one that is away: its requests are dropped there as endpoint_down, and its name is logged once", () => {
    const world = new World();
    const client = world.open();
    world.say(client, GET("/1"));
    const socket = world.connectors[0]!.accept();
    world.connectors[2]!.accept();
    world.respond(socket, OK);
    world.connectors[1]!.refuse();
    world.pass(3000);
    expect(world.at(0).requests).toMatchObject({ forwarded: 1 });
    expect(world.at(1).requests).toMatchObject({ seen: 1, dropped: { endpoint_down: 1 } });
    expect(world.told.lines).toEqual(["outage: ECONNREFUSED"]);
    world.respond(world.connectors[2]!.sockets[0]!, OK);
    finish(world, [client]);
  });

  test("the endpoint's own fault concerns only the endpoint", () => {
    const world = new World({ maxWaitingRequests: 1 });
    const client = world.open();
    world.say(client, GET("/1"));
    const sockets = world.connectors.map((connector) => connector.accept());
    for (const path of ["/2", "/3", "/4"]) {
      for (const i of [1, 2]) world.respond(sockets[i]!, OK);
      world.say(client, GET(path));
    }
    for (const i of [1, 2]) world.respond(sockets[i]!, OK);
    expect(world.at(0).requests).toMatchObject({ seen: 4, dropped: { waiting_limit: 2 } });
    expect(world.at(1).requests).toMatchObject({ seen: 4, forwarded: 4, dropped: { waiting_limit: 0 } });
    for (let i = 0; i < 2; i++) world.respond(sockets[0]!, OK);
    finish(world, [client]);
  });
});

describe("a request over --max-request-bytes", () => {
  const BODY = 5000;
  const PIECE = "x".repeat(500);

  /** Sends a long request piece by piece; `between` is called after each. */
  function upload(world: World, client: StreamConsumer, between: () => void = () => {}): string {
    world.say(client, PUT(BODY));
    for (let i = 0; i < BODY / PIECE.length; i++) {
      world.say(client, PIECE);
      between();
    }
    return PUT(BODY) + PIECE.repeat(BODY / PIECE.length);
  }

  test("is streamed to each", () => {
    const world = new World();
    const client = world.open();
    const accepted: ScriptedSocket[] = [];
    const text = upload(world, client, () => {
      for (const connector of world.connectors) if (connector.attempts.length > 0) accepted.push(connector.accept());
    });
    expect(accepted.map((socket) => socket.text)).toEqual([text, text, text]);
    for (const socket of accepted) world.respond(socket, OK);
    finish(world, [client]);
    for (let i = 0; i <= FURTHER; i++) expect(world.at(i).requests).toMatchObject({ forwarded: 1, answered: 1 });
  });

  test("waits where it is not its turn, and is streamed elsewhere", () => {
    const world = new World();
    const client = world.open();
    // Connections that have shown that they are kept.
    world.say(client, GET("/1"), GET("/1"), GET("/1"));
    const sockets = world.connectors.map((connector) => connector.accept());
    for (const socket of sockets) for (let i = 0; i < 2; i++) world.respond(socket, OK);
    world.respond(sockets[1]!, OK);
    const before = GET("/1").repeat(3);
    const text = upload(world, client, () => {
      // The endpoint becomes ready in the middle of it; the third destination only at its end.
      if (sockets[1]!.text.length > 3000 && world.at(0).requests.answered === 2) world.respond(sockets[0]!, OK);
    });
    expect(sockets.map((socket) => socket.text)).toEqual([before + text, before + text, before]);
    world.respond(sockets[2]!, OK);
    expect(sockets[2]!.text).toBe(before + text);
    for (const socket of sockets) world.respond(socket, OK);
    finish(world, [client]);
    for (let i = 0; i <= FURTHER; i++) expect(world.at(i).requests).toMatchObject({ forwarded: 4, answered: 4 });
  });

  test("a gap in it resets the connections that had its beginning", () => {
    const world = new World();
    const client = world.open();
    world.say(client, PUT(BODY), PIECE, PIECE, PIECE);
    const sockets = world.connectors.map((connector) => connector.accept());
    client.gap(100);
    world.settle();
    expect(sockets.map(({ terminated }) => terminated)).toEqual([true, true, true]);
    finish(world, [client]);
    for (let i = 0; i <= FURTHER; i++)
      expect(world.at(i).requests).toMatchObject({ seen: 1, damaged: 1, damage: { gap: 1 } });
  });

  test("is lost where its connection breaks, and only there", () => {
    const world = new World();
    const client = world.open();
    world.say(client, PUT(BODY), PIECE, PIECE, PIECE);
    const sockets = world.connectors.map((connector) => connector.accept());
    sockets[1]!.events.closed(new Error("ECONNRESET"));
    world.say(client, PIECE.repeat(7));
    for (const i of [0, 2]) world.respond(sockets[i]!, OK);
    expect(world.at(0).requests).toMatchObject({ forwarded: 1 });
    expect(world.at(1).requests).toMatchObject({ seen: 1, forwarded: 0, dropped: { endpoint_closed: 1 } });
    finish(world, [client]);
  });
});

describe("an upgrade", () => {
  test("passes through to the destinations that accept it, also to one that accepts later; another one is left out", () => {
    const world = new World();
    const client = world.open();
    world.say(client, UPGRADE);
    const sockets = world.connectors.map((connector) => connector.accept());
    world.respond(sockets[0]!, SWITCHING);
    world.say(client, "\x01\x02a");
    world.respond(sockets[2]!, OK);
    world.say(client, "\x01\x02b");
    expect(sockets.map(({ text }) => text)).toEqual([`${UPGRADE}\x01\x02a\x01\x02b`, UPGRADE, UPGRADE]);
    world.respond(sockets[1]!, SWITCHING);
    expect(sockets[1]!.text).toBe(`${UPGRADE}\x01\x02a\x01\x02b`);
    world.say(client, "\x01\x02c");
    expect(sockets[1]!.text).toBe(`${UPGRADE}\x01\x02a\x01\x02b\x01\x02c`);
    expect(sockets[2]!.text).toBe(UPGRADE);
    expect(world.at(2).foreign.discarded_bytes).toBeGreaterThan(0);
    finish(world, [client]);
  });

  test("that production declined passes to no destination: requests go on everywhere", () => {
    const world = new World();
    const client = world.open();
    world.say(client, UPGRADE);
    const sockets = world.connectors.map((connector) => connector.accept());
    world.respond(sockets[1]!, SWITCHING);
    world.respond(sockets[0]!, OK);
    world.say(client, GET("/2"));
    world.respond(sockets[2]!, OK);
    const other = world.connectors[1]!.accept();
    expect([sockets[0]!, other, sockets[2]!].map(({ text }) => text.endsWith(GET("/2")))).toEqual([true, true, true]);
    for (const socket of [sockets[0]!, other, sockets[2]!]) world.respond(socket, OK);
    finish(world, [client]);
    for (let i = 0; i <= FURTHER; i++) expect(world.at(i).requests).toMatchObject({ seen: 2, forwarded: 2 });
  });
});

describe("an upgrade whose connection to the endpoint is over", () => {
  test.each([0, FURTHER])("later bytes count at the endpoint in one way, with %i others that go on", (furtherCount) => {
    const world = new World({ furtherCount });
    const client = world.open();
    world.say(client, UPGRADE);
    const sockets = world.connectors.map((connector) => connector.accept());
    for (const socket of sockets) world.respond(socket, SWITCHING);
    world.say(client, "\x01");
    const [endpoint, ...others] = sockets;
    endpoint!.events.closed(undefined);
    world.say(client, "\x02\x02");
    world.say(client, "\x03\x03\x03");
    expect(endpoint!.text).toBe(`${UPGRADE}\x01`);
    for (const { text } of others) expect(text).toBe(`${UPGRADE}\x01\x02\x02\x03\x03\x03`);
    const { foreign, upstream } = world.at(0);
    expect([foreign.discarded_bytes, upstream.lost_bytes]).toEqual([5, 0]);
    world.end(client);
    for (const socket of others) socket.events.closed(undefined);
    world.settle();
    expect(world.used).toEqual(sockets.map(() => 0));
  });
});

test("mode tcp: each gets the bytes, and one that takes no bytes loses its own", () => {
  const world = new World({ furtherBytes: 5 * Cost.UPSTREAM });
  const [endpoint, ...further] = world.destinations as [Destination, ...Destination[]];
  const mode = new TcpMode(
    endpoint,
    { responseTimeoutMs: 1000, finDelayMs: 0, proxyProtocol: "pass", policy: null },
    further,
  );
  const client = mode.open({ identity: new Int32Array(9), hasSyn: true });
  const sockets = world.connectors.map((connector) => connector.accept());
  sockets[1]!.block();
  for (let i = 0; i < 10; i++) {
    world.say(client, "x".repeat(1000));
    for (const destination of further) destination.relieve();
  }
  expect(sockets.map(({ text }) => text.length)).toEqual([10_000, 0, 10_000]);
  expect(world.at(1).upstream).toMatchObject({ given_up: 1, lost_bytes: 10_000 });
  expect(world.at(0).upstream).toMatchObject({ given_up: 0, lost_bytes: 0, bytes: 10_000 });
  client.end("fin");
  world.settle();
  expect([sockets[0]!.shutdowns, sockets[2]!.shutdowns]).toEqual([1, 1]);
});
