/** HTTP/2 requests at further destinations: each gets all of them, with its own connections and limits. */
import { describe, expect, spyOn, test } from "bun:test";
import type { StreamConsumer } from "../../src/flow/stream.ts";
import { Setting } from "../../src/http/http2/frames.ts";
import { OPEN_STREAMS_MAX } from "../../src/http/http2/request-framer.ts";
import { HELD_MS_MAX } from "../../src/forward/http2-conversation.ts";
import { START_MS } from "../../src/policy/rate.ts";
import { data, get, headers, PREFACE, pseudo, reset, SETTINGS } from "../http/http2/client-frames.ts";
import { policyFor, ruleOf } from "../support/policies.ts";
import type { ClientsOptions } from "./clients.ts";
import type { Scripted } from "./scripted.ts";
import { Http2Clients, type Http2Endpoint, setting } from "./scripted-http2.ts";

const FURTHER = 2;
const POST = pseudo("POST", "/p");
const PIECE = "x".repeat(500);
const CANCEL_MS = 50;
/** A rate per second that lets two requests pass at once. */
const TWO_AT_ONCE = 2 * (1000 / START_MS);
/** Longer than the program waits for a destination that takes no connection. */
const OUTAGE_MS = 3000;

/** An endpoint and two further destinations. */
class World extends Http2Clients {
  readonly all: readonly Scripted[];

  constructor(options: ClientsOptions = {}, compares = true) {
    super({ further: FURTHER, ...options }, compares);
    this.all = [this, ...this.further];
  }

  /** Accepts a connection at each destination, or at the given ones, and lets it send its SETTINGS. */
  acceptAll(at: readonly Scripted[] = this.all): Http2Endpoint[] {
    return at.map((each) => this.acceptSilently("", each).settings());
  }

  get outcomes(): Record<string, number>[] {
    return this.all.map((each) => this.outcomeAt(each));
  }

  end(client: StreamConsumer): void {
    client.end("fin");
    this.settle();
  }
}

/** Everything has ended: nothing is held, and each destination's counters add up. */
function finish(world: World, clients: StreamConsumer[]): void {
  for (const client of clients) world.end(client);
  for (const { connector } of world.all) for (const socket of connector.sockets) socket.events.closed(undefined);
  world.settle();
  // Requests that would be sent again are given up if no destination takes them.
  for (const { connector } of world.all) while (connector.attempts.length > 0) connector.refuse();
  world.pass(OUTAGE_MS);
  for (const { budget, counters } of world.all) {
    expect(budget.usedBytes).toBe(0);
    const { requests, responses } = counters;
    const dropped = Object.values(requests.dropped).reduce((sum, count) => sum + count, 0);
    expect(requests.seen).toBe(requests.forwarded + requests.damaged + dropped);
    expect(requests.forwarded).toBe(requests.answered + responses.unanswered + responses.cancelled);
  }
  if (world.comparison !== null) world.checkVerdicts();
  for (const { load } of [world.mode, ...world.mode.further])
    expect(load).toMatchObject({ busyPipes: 0, waitingRequests: 0, awaitingPipes: 0 });
}

const readAll = (endpoints: Http2Endpoint[]) => endpoints.map((endpoint) => endpoint.read().paths);

describe("each gets every request", () => {
  test("in order, with its body and its trailer section, within what its own SETTINGS allow", () => {
    const world = new World();
    const trailer = headers(3, [["x-t", "1"]], { end: true });
    const client = world.start(SETTINGS, get(1, "/a"), headers(3, POST), data(3, "body"), trailer, get(5, "/b"));
    const one = setting(Setting.MAX_CONCURRENT_STREAMS, 1);
    const endpoints = world.all.map((each, i) => world.acceptSilently("", each).settings(...(i === 1 ? [one] : [])));
    expect(readAll(endpoints)).toEqual([["/a", "/p", "/b"], ["/a"], ["/a", "/p", "/b"]]);
    for (const stream of [1, 3, 5]) endpoints[1]!.respond(stream);
    expect(readAll(endpoints)[1]).toEqual(["/a", "/p", "/b"]);
    const requests = endpoints.map((endpoint) => [...endpoint.requests.values()]);
    expect(requests[1]).toEqual(requests[0]!);
    expect(requests[2]).toEqual(requests[0]!);
    expect(requests[0]![1]).toMatchObject({ body: "body", trailer: ["x-t: 1"], isEnded: true });
    for (const stream of [5, 3, 1]) for (const i of [0, 2]) endpoints[i]!.respond(stream, i === 0 ? 200 : 500);
    const all = { seen: 3, forwarded: 3, answered: 3 };
    expect(world.outcomes).toEqual([
      { ...all, "2xx": 3 },
      { ...all, "2xx": 3 },
      { ...all, "5xx": 3 },
    ]);
    for (const { counters } of world.all) expect(counters.http2.connections).toBe(1);
    finish(world, [client]);
  });

  test("with the bytes of a body held once", () => {
    const world = new World();
    const allocated = world.further.map(({ destination }) => spyOn(destination.memory, "allocate"));
    const client = world.start(headers(1, POST), data(1, PIECE, true));
    for (const { mock } of allocated) expect(mock.calls.filter(([length]) => length >= PIECE.length)).toEqual([]);
    const endpoints = world.acceptAll();
    expect(endpoints.map(({ requests }) => requests.get(1)!.body)).toEqual([PIECE, PIECE, PIECE]);
    // The endpoint's next request does not overwrite bytes that another destination has to send again.
    endpoints[0]!.respond(1);
    world.give(client, headers(3, POST), data(3, "y".repeat(PIECE.length), true));
    endpoints[1]!.goAway(0);
    const [again] = world.acceptAll([world.all[1]!]);
    expect([...again!.requests.values()].map(({ body }) => body)).toEqual([PIECE, "y".repeat(PIECE.length)]);
    expect(world.outcomeAt(world.all[1]!)).toEqual({ seen: 2, h2_goaways: 1, h2_resent: 2 });
    for (const endpoint of [endpoints[0]!, again!, endpoints[2]!])
      for (const stream of [...endpoint.requests.keys()]) endpoint.respond(stream);
    finish(world, [client]);
  });

  test("behind Upgrade: h2c, for any response of each to the offer", () => {
    // The comparison of the offer itself would wait for production's response.
    const world = new World({}, false);
    const client = world.open();
    const offer =
      "GET /first HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n";
    world.give(client, Buffer.from(offer));
    const sockets = world.all.map(({ connector }) => connector.accept());
    const says = (i: number, text: string) => sockets[i]!.events.received(new TextEncoder().encode(text));
    says(1, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
    says(2, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    world.give(client, PREFACE, SETTINGS, get(3, "/second"));
    says(0, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect(sockets.map(({ text }) => text.startsWith("GET /first"))).toEqual([true, true, true]);
    // It may read the request only after HTTP/2's preface.
    expect(sockets.map(({ text }) => text.includes("PRI *"))).toEqual([false, true, false]);
    const endpoints = world.acceptAll();
    expect(readAll(endpoints)).toEqual([["/second"], ["/second"], ["/second"]]);
    for (const endpoint of endpoints) endpoint.respond(1);
    const all = { seen: 2, forwarded: 2, answered: 2 };
    expect(world.outcomes).toEqual([
      { ...all, "2xx": 2 },
      { ...all, "1xx": 1, "2xx": 1 },
      { ...all, "2xx": 2 },
    ]);
    finish(world, [client]);
  });

  test("except those that policy leaves out", () => {
    const world = new World({ policy: policyFor({ maxRate: 1, deny: [ruleOf("path:/private/**")] }) });
    const client = world.start(get(1, "/private/a"), get(3, "/a"), get(5, "/b"));
    const endpoints = world.acceptAll();
    expect(readAll(endpoints)).toEqual([["/a"], ["/a"], ["/a"]]);
    const outcome = { seen: 3, filtered: 1, rate_limit: 1 };
    expect(world.outcomes).toEqual([outcome, outcome, outcome]);
    finish(world, [client]);
  });
});

describe("a fault of one concerns only that one", () => {
  test("the endpoint's queue is full: others get as many requests as the rate allows, and no more", () => {
    const world = new World({ maxWaitingRequests: 1, policy: policyFor({ maxRate: TWO_AT_ONCE }) });
    const client = world.start(get(1, "/1"));
    const endpoints = world.acceptAll(world.further);
    world.give(client, get(3, "/3"), get(5, "/5"));
    expect(readAll(endpoints)).toEqual([
      ["/1", "/3"],
      ["/1", "/3"],
    ]);
    const others = { seen: 3, rate_limit: 1 };
    expect(world.outcomes).toEqual([{ seen: 3, waiting_limit: 1, rate_limit: 1 }, others, others]);
    finish(world, [client]);
  });

  test("a client that begins too many requests: each destination counts it", () => {
    const world = new World();
    const begun = Array.from({ length: OPEN_STREAMS_MAX + 1 }, (_, i) => headers(2 * i + 1, POST));
    const client = world.start(...begun);
    expect(world.outcomes).toEqual(world.all.map(() => ({ seen: 1, waiting_limit: 1 })));
    finish(world, [client]);
  });

  test("one with little memory: idle connections end, the longest idle first", () => {
    const world = new World({ furtherBytes: 68_000 });
    const clients = Array.from({ length: 8 }, () => {
      const client = world.start(get(1, "/a"));
      for (const endpoint of world.acceptAll()) endpoint.respond(1);
      return client;
    });
    world.mode.further[0]!.relieve();
    const [endpoint, relieved] = world.all.map(({ connector }) => connector.sockets.map(({ shutdowns }) => shutdowns));
    expect(endpoint).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    const ended = relieved!.reduce((sum, count) => sum + count, 0);
    expect(ended).toBeGreaterThan(0);
    // In the order in which they became idle: the first ones before memory was short.
    const first = relieved!.indexOf(1);
    expect(relieved!.slice(first, first + ended)).toEqual(new Array<number>(ended).fill(1));
    finish(world, clients);
  });

  test("a further one that takes no connection, and one that never responds", () => {
    const world = new World({ maxWaitingRequests: 2 });
    const client = world.start(get(1, "/1"));
    const [endpoint] = world.acceptAll([world]);
    const still = world.acceptSilently("", world.all[2]);
    world.all[1]!.connector.refuse();
    for (const stream of [3, 5, 7]) {
      endpoint!.respond(stream - 2);
      world.give(client, get(stream, `/${stream}`));
    }
    endpoint!.respond(7);
    world.pass(OUTAGE_MS);
    const [first, away, silent] = world.outcomes;
    expect(first).toEqual({ seen: 4, forwarded: 4, answered: 4, "2xx": 4 });
    expect(away).toEqual({ seen: 4, waiting_limit: 2, endpoint_down: 2 });
    expect(silent).toEqual({ seen: 4, waiting_limit: 2 });
    still.settings();
    expect(still.paths).toEqual(["/1", "/3"]);
    finish(world, [client]);
  });

  test("one keeps to its share of the memory, while the source waits for the endpoint", () => {
    const world = new World({ sourceWaits: true, furtherBytes: 16_000 });
    const client = world.start();
    let endpoints: Http2Endpoint[] = [];
    for (let stream = 1; stream < 60; stream += 2) {
      world.give(client, headers(stream, POST), data(stream, PIECE, true));
      if (endpoints.length === 0) endpoints = world.acceptAll([world, world.all[2]!]);
      for (const endpoint of endpoints) endpoint.respond(stream);
    }
    const [first, full, other] = world.outcomes;
    expect(first).toEqual({ seen: 30, forwarded: 30, answered: 30, "2xx": 30 });
    expect(other).toEqual(first!);
    expect(full!["seen"]).toBe(30);
    expect(full!["buffer_limit"]).toBeGreaterThan(10);
    expect(world.all[1]!.budget.usedBytes).toBeLessThanOrEqual(16_000);
    finish(world, [client]);
  });

  test("the endpoint: others get the requests for which it has no room", () => {
    const world = new World({ maxWaitingRequests: 1 });
    const client = world.start(get(1, "/1"), get(3, "/3"));
    const endpoints = world.acceptAll(world.further);
    expect(readAll(endpoints)).toEqual([["/1"], ["/1"]]);
    world.give(client, get(5, "/5"));
    expect(readAll(endpoints)).toEqual([
      ["/1", "/5"],
      ["/1", "/5"],
    ]);
    expect(world.outcomes).toEqual([
      { seen: 3, waiting_limit: 2 },
      { seen: 3, waiting_limit: 1 },
      { seen: 3, waiting_limit: 1 },
    ]);
    finish(world, [client]);
  });

  test("one with SETTINGS that allow an extended CONNECT, and others without", () => {
    const world = new World();
    const fields = [...pseudo("CONNECT", "/chat"), [":protocol", "websocket"]] as const;
    const client = world.start(headers(1, fields, { end: true }));
    world.all.forEach((each, i) => {
      const endpoint = world.acceptSilently("", each);
      endpoint.settings(setting(Setting.ENABLE_CONNECT_PROTOCOL, i === 1 ? 1 : 0));
      if (i === 1) endpoint.respond(1);
    });
    const refused = { seen: 1, endpoint_settings: 1 };
    expect(world.outcomes).toEqual([refused, { seen: 1, forwarded: 1, answered: 1, "2xx": 1 }, refused]);
    finish(world, [client]);
  });

  test("one with SETTINGS that do not allow such a long head", () => {
    const world = new World();
    const client = world.start(get(1, "/1"));
    const few = setting(Setting.MAX_HEADER_LIST_SIZE, 10);
    for (const [i, each] of world.all.entries()) {
      const endpoint = world.acceptSilently("", each).settings(...(i === 1 ? [few] : []));
      if (i !== 1) endpoint.respond(1);
    }
    const answered = { seen: 1, forwarded: 1, answered: 1, "2xx": 1 };
    expect(world.outcomes).toEqual([answered, { seen: 1, endpoint_settings: 1 }, answered]);
    finish(world, [client]);
  });
});

describe("a streamed request", () => {
  const LONG = 10 * PIECE.length;

  /** Its head and half of its body have come to all destinations. */
  function begun(options: ClientsOptions = {}): { world: World; client: StreamConsumer; endpoints: Http2Endpoint[] } {
    const world = new World({ maxRequestBytes: 1000, ...options });
    const client = world.start(headers(1, POST));
    for (let i = 0; i < 5; i++) world.give(client, data(1, PIECE));
    return { world, client, endpoints: world.acceptAll() };
  }

  const goOn = (world: World, client: StreamConsumer): void => {
    for (let i = 0; i < 5; i++) world.give(client, data(1, PIECE, i === 4));
  };
  const lengths = (endpoints: Http2Endpoint[]) =>
    endpoints.map((endpoint) => endpoint.read().requests.get(1)!.body.length);

  test("is streamed to each", () => {
    const { world, client, endpoints } = begun();
    expect(lengths(endpoints)).toEqual([LONG / 2, LONG / 2, LONG / 2]);
    goOn(world, client);
    expect(lengths(endpoints)).toEqual([LONG, LONG, LONG]);
    for (const endpoint of endpoints) endpoint.respond(1);
    const answered = { seen: 1, forwarded: 1, answered: 1, "2xx": 1 };
    expect(world.outcomes).toEqual([answered, answered, answered]);
    finish(world, [client]);
  });

  test("also because it takes long, and because its head alone is long", () => {
    const world = new World({ maxRequestBytes: 100 });
    const client = world.start(headers(1, [...POST, ["x-long", "y".repeat(200)]]), headers(3, POST));
    const endpoints = world.acceptAll();
    expect(readAll(endpoints)).toEqual([["/p"], ["/p"], ["/p"]]);
    world.pass(HELD_MS_MAX + 100);
    expect(readAll(endpoints)).toEqual([
      ["/p", "/p"],
      ["/p", "/p"],
      ["/p", "/p"],
    ]);
    world.give(client, data(1, "a", true), data(3, "b", true));
    for (const endpoint of endpoints) for (const stream of [1, 3]) endpoint.read().respond(stream);
    const bodies = endpoints.map(({ requests }) => [...requests.values()].map(({ body }) => body));
    expect(bodies).toEqual([
      ["a", "b"],
      ["a", "b"],
      ["a", "b"],
    ]);
    expect(world.outcomes.map(({ answered }) => answered)).toEqual([2, 2, 2]);
    finish(world, [client]);
  });

  for (const lost of [0, 1, 2]) {
    test(`is lost where its stream is reset, and only there: ${lost}`, () => {
      const { world, client, endpoints } = begun();
      endpoints[lost]!.say(reset(1));
      goOn(world, client);
      const others = endpoints.filter((_, i) => i !== lost);
      expect(lengths(others)).toEqual([LONG, LONG]);
      for (const endpoint of others) endpoint.respond(1);
      world.outcomes.forEach((outcome, i) => {
        const answered = { seen: 1, forwarded: 1, answered: 1, "2xx": 1 };
        expect(outcome).toEqual(i === lost ? { seen: 1, endpoint_closed: 1, h2_resets: 1 } : answered);
      });
      finish(world, [client]);
    });
  }

  test("because the source waits and the endpoint's memory is short: each byte goes to each once", () => {
    const world = new World({ sourceWaits: true, bufferBytes: 96_000 });
    const pieces = Array.from({ length: 60 }, (_, i) => String.fromCharCode(0x41 + (i % 26)).repeat(1000 + i));
    const client = world.start(headers(1, POST));
    let endpoints: Http2Endpoint[] = [];
    pieces.forEach((piece, i) => {
      world.give(client, data(1, piece, i === pieces.length - 1));
      if (endpoints.length === 0 && world.connector.attempts.length > 0) endpoints = world.acceptAll();
    });
    const [part] = lengths(endpoints);
    expect(part).toBeGreaterThan(0);
    for (const endpoint of endpoints) expect(endpoint.requests.get(1)!.body).toBe(pieces.join(""));
    for (const endpoint of endpoints) endpoint.respond(1);
    const answered = { seen: 1, forwarded: 1, answered: 1, "2xx": 1 };
    expect(world.outcomes).toEqual([answered, answered, answered]);
    finish(world, [client]);
  });

  test("is cancelled where there is no room for it", () => {
    const furtherBytes = 15_000;
    const world = new World({ maxRequestBytes: 1000, furtherBytes });
    const client = world.start(headers(1, POST));
    const none = setting(Setting.INITIAL_WINDOW_SIZE, 0);
    for (let i = 0; i < 3; i++) world.give(client, data(1, PIECE));
    const endpoints = world.all.map((each, i) => world.acceptSilently("", each).settings(...(i === 1 ? [none] : [])));
    for (let i = 0; i < 40; i++) world.give(client, data(1, PIECE, i === 39));
    expect(endpoints[1]!.read().requests.get(1)).toMatchObject({ body: "", isReset: true });
    for (const i of [0, 2]) endpoints[i]!.read().respond(1);
    const answered = { seen: 1, forwarded: 1, answered: 1, "2xx": 1 };
    expect(world.outcomes).toEqual([answered, { seen: 1, buffer_limit: 1 }, answered]);
    finish(world, [client]);
  });

  test("is reset everywhere by a gap", () => {
    const { world, client, endpoints } = begun();
    client.gap(100);
    world.end(client);
    const damaged = world.outcomes.map(({ seen }) => [seen]);
    expect(damaged).toEqual([[1], [1], [1]]);
    for (const { counters } of world.all) expect(counters.requests.damaged).toBe(1);
    expect(endpoints.map((endpoint) => endpoint.read().requests.get(1)!.isReset)).toEqual([true, true, true]);
    finish(world, []);
  });
});

describe("requests that the client cancels", () => {
  test("before they are whole: a held one goes nowhere, a streamed one is reset everywhere", () => {
    const world = new World({ maxRequestBytes: 1000 });
    const client = world.start(headers(1, POST), data(1, PIECE + PIECE + PIECE), headers(3, POST), data(3, "a"));
    const endpoints = world.acceptAll();
    expect(readAll(endpoints)).toEqual([["/p"], ["/p"], ["/p"]]);
    world.give(client, reset(1), reset(3));
    expect(endpoints.map((endpoint) => endpoint.read().requests.get(1)!.isReset)).toEqual([true, true, true]);
    const cancelled = { seen: 2, cancelled: 2 };
    expect(world.outcomes).toEqual([cancelled, cancelled, cancelled]);
    finish(world, [client]);
  });

  test("when they are whole: in flight, as long after their start as in production; waiting, at once", () => {
    const world = new World();
    const client = world.start(get(1, "/a"));
    const endpoints = world.acceptAll([world, world.all[2]!]);
    const silent = world.acceptSilently("", world.all[1]);
    world.pass(CANCEL_MS);
    world.give(client, reset(1));
    expect(world.outcomeAt(world.all[1]!)).toEqual({ seen: 1, cancelled: 1 });
    endpoints[1]!.respond(1);
    world.pass(2 * CANCEL_MS);
    expect(endpoints[0]!.read().requests.get(1)!.isReset).toBe(true);
    expect(world.outcomes).toEqual([
      { seen: 1, forwarded: 1, response_cancelled: 1 },
      { seen: 1, cancelled: 1 },
      { seen: 1, forwarded: 1, answered: 1, "2xx": 1 },
    ]);
    expect(silent.settings().paths).toEqual([]);
    finish(world, [client]);
  });

  test("when the endpoint has responded already: cancelled where the response is still to come", () => {
    const world = new World();
    const client = world.start(get(1, "/a"));
    const endpoints = world.acceptAll();
    endpoints[0]!.respond(1);
    world.pass(CANCEL_MS);
    world.give(client, reset(1));
    world.pass(CANCEL_MS);
    expect(endpoints.map((endpoint) => endpoint.read().requests.get(1)!.isReset)).toEqual([false, true, true]);
    finish(world, [client]);
  });
});

test("an end of the program: requests for a destination that takes no connection are dropped as stopped", () => {
  const world = new World();
  const client = world.start(get(1, "/a"));
  const [endpoint] = world.acceptAll([world]);
  endpoint!.respond(1);
  for (const { destination } of world.all) destination.terminate();
  world.settle();
  const stopped = { seen: 1, stopped: 1 };
  expect(world.outcomes).toEqual([{ seen: 1, forwarded: 1, answered: 1, "2xx": 1 }, stopped, stopped]);
  finish(world, [client]);
});

test("an end of the client, and silence, end each connection when its last response has come", () => {
  for (const isSilence of [false, true]) {
    const world = new World();
    const client = world.start(get(1, "/a"));
    const endpoints = world.acceptAll();
    if (!isSilence) world.end(client);
    for (const i of [0, 2]) endpoints[i]!.respond(1);
    if (isSilence) client.idle();
    world.settle();
    expect(endpoints.map(({ socket }) => socket.shutdowns)).toEqual([1, 0, 1]);
    endpoints[1]!.respond(1);
    if (isSilence) client.idle();
    world.settle();
    expect(endpoints[1]!.socket.shutdowns).toBe(1);
    finish(world, isSilence ? [client] : []);
  }
});
