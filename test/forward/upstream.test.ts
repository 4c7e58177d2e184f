/** DESIGN.md's section Upstream sockets, against an endpoint that each test controls. */
import { describe, expect, test } from "bun:test";
import {
  CONNECT_RETRY_MS,
  CONNECTIONS_MAX,
  CONNECTS_IN_FLIGHT_MAX,
  HANDSHAKES_BEGUN_MAX,
  LIVELY_MS,
  OUTAGE_PROBES_MAX,
} from "../../src/forward/destination.ts";
import { RETRY_DELAY_FIRST_MS, RETRY_DELAY_MAX_MS, type Upstream } from "../../src/forward/upstream.ts";
import { Scripted } from "./scripted.ts";

describe("writes", () => {
  test("all bytes for one connection in one batch leave in one write", () => {
    const world = new Scripted();
    const a = world.connect();
    const b = world.connect();
    world.batch(
      [a.upstream, "one "],
      [b.upstream, "eins "],
      [a.upstream, "two "],
      [b.upstream, "zwei"],
      [a.upstream, "three"],
    );
    expect(a.socket.writes.map(({ length }) => length)).toEqual([13]);
    expect(b.socket.writes.map(({ length }) => length)).toEqual([9]);
    expect([a.socket.text, b.socket.text]).toEqual(["one two three", "eins zwei"]);
    expect(world.heldBytes).toBe(0);
  });

  test("a single piece is offered without a copy", () => {
    const world = new Scripted();
    const { upstream, socket } = world.connect();
    const buffer = new TextEncoder().encode("....GET / HTTP/1.1....");
    upstream.write(buffer, 4, 14, world.nowMs);
    world.destination.flush();
    expect(socket.writes).toHaveLength(1);
    expect(socket.writes[0]!.array).toBe(buffer);
    expect(socket.writes[0]).toMatchObject({ offset: 4, length: 14 });
    expect(world.heldBytes).toBe(0);
  });

  test("a batch without bytes writes nothing", () => {
    const world = new Scripted();
    const { upstream, socket } = world.connect();
    world.batch([upstream, "a"]);
    world.destination.flush();
    world.pass(100);
    expect(socket.writes).toHaveLength(1);
  });

  test("bytes that came before the connection was established leave in one write afterwards", () => {
    const world = new Scripted();
    const upstream = world.destination.connect(null);
    world.batch([upstream, "one "]);
    world.batch([upstream, "two "], [upstream, "three"]);
    const socket = world.connector.accept();
    expect(socket.writes).toHaveLength(1);
    expect(socket.text).toBe("one two three");
    expect(world.heldBytes).toBe(0);
  });

  test.each([1, 2, 3, 5, 8])("untaken bytes go first, in order, when it takes %d bytes at a time", (size) => {
    const world = new Scripted();
    const { upstream, socket } = world.connect(new Array<number>(100).fill(size));
    for (const text of ["abc", "defgh", "i", "jklmnop"]) world.batch([upstream, text]);
    upstream.finish(1000, 0);
    world.destination.flush();
    for (let i = 0; i < 30; i++) socket.events.writable();
    expect(socket.text).toBe("abcdefghijklmnop");
    expect(socket.shutdowns).toBe(1);
    expect(world.upstream.bytes).toBe(16);
    expect(world.heldBytes).toBe(0);
  });

  test("while a connection is blocked nothing is offered until the kernel wants it", () => {
    const world = new Scripted();
    const { upstream, socket } = world.connect([1]);
    world.batch([upstream, "abc"]);
    world.batch([upstream, "def"]);
    expect(socket.writes).toHaveLength(1);
    socket.events.writable();
    expect(socket.writes).toHaveLength(2);
    expect(socket.text).toBe("abcdef");
    socket.events.writable();
    expect(socket.writes).toHaveLength(2);
  });

  test("the delay is counted at the write that takes the first bytes", () => {
    const world = new Scripted();
    const { upstream, socket } = world.connect([0]);
    world.batch([upstream, "abc"]);
    expect(world.counters.delay.count).toBe(0);
    world.nowMs += 7;
    socket.events.writable();
    expect(world.counters.delay).toMatchObject({ count: 1, sum_ms: 7 });
    const savefile = new Scripted({ measuresDelay: false });
    savefile.batch([savefile.connect().upstream, "abc"]);
    expect(savefile.counters.delay.count).toBe(0);
  });
});

describe("EWOULDBLOCK", () => {
  test("is tried again after a moment, doubling to a limit, max-retries times in a row; then the connection is given up", () => {
    const world = new Scripted({ maxRetries: 10 });
    const { upstream, socket } = world.connect();
    const other = world.connect();
    socket.block();
    world.batch([upstream, "abc"]);
    world.pass(60_000);
    const times = socket.writes.map(({ atMs }) => atMs);
    expect(times).toHaveLength(11);
    times.slice(1).forEach((atMs, i) => {
      expect(atMs - times[i]!).toBe(Math.min(RETRY_DELAY_FIRST_MS * 2 ** i, RETRY_DELAY_MAX_MS));
    });
    expect(world.upstream).toMatchObject({ would_block: 11, given_up: 1, lost_bytes: 3, broken: 0, closed: 0 });
    expect(world.told.lines).toEqual(["given up with 3 bytes"]);
    expect(socket.terminated).toBe(true);
    expect(world.heldBytes).toBe(0);
    expect(world.destination.openCount).toBe(1);
    world.batch([other.upstream, "others are unharmed"], [upstream, "lost"]);
    expect(other.socket.text).toBe("others are unharmed");
    expect(world.upstream.lost_bytes).toBe(7);
  });

  test("max-retries 0 gives up at once", () => {
    const world = new Scripted({ maxRetries: 0 });
    const { upstream } = world.connect([0]);
    world.batch([upstream, "abc"]);
    expect(world.upstream).toMatchObject({ would_block: 1, given_up: 1, lost_bytes: 3 });
  });

  test("a taken byte resets the count, and the delay", () => {
    const world = new Scripted({ maxRetries: 3 });
    const { upstream, socket } = world.connect([0, 0, 0, 1, 0, 0, 0, 1, 0, 0]);
    world.batch([upstream, "abcdef"]);
    world.pass(10_000);
    expect(socket.text).toBe("abcdef");
    expect(world.upstream).toMatchObject({ would_block: 8, given_up: 0, lost_bytes: 0 });
    expect(socket.writes.map(({ atMs }) => atMs)).toEqual([0, 10, 30, 70, 80, 90, 110, 150, 160, 170, 190]);
  });

  test("a partly taken write is no failure: it is tried again after 10 ms", () => {
    const world = new Scripted({ maxRetries: 0 });
    const { upstream, socket } = world.connect([1, 1, 1]);
    world.batch([upstream, "abcdef"]);
    world.pass(100);
    expect(socket.text).toBe("abcdef");
    expect(socket.writes.map(({ atMs }) => atMs)).toEqual([0, 10, 20, 30]);
    expect(world.upstream.would_block).toBe(0);
  });

  test("a FIN waits behind the untaken bytes, and is given up with them", () => {
    const world = new Scripted({ maxRetries: 1 });
    const { upstream, socket } = world.connect();
    socket.block();
    world.batch([upstream, "abc"]);
    upstream.finish(1000, 0);
    world.destination.flush();
    world.pass(5000);
    expect(socket.shutdowns).toBe(0);
    expect(world.upstream.given_up).toBe(1);
  });
});

describe("the end of a stream", () => {
  test("half-closes once all is written, and closes when the endpoint does", () => {
    const world = new Scripted();
    const { upstream, socket } = world.connect([1]);
    world.batch([upstream, "abc"]);
    upstream.finish(1000, 0);
    world.destination.flush();
    expect(socket.shutdowns).toBe(0);
    socket.events.writable();
    expect(socket.shutdowns).toBe(1);
    expect(world.destination.unsettledCount).toBe(1);
    socket.events.ended();
    socket.events.closed(undefined);
    expect(world.upstream).toMatchObject({ closed: 1, broken: 0, given_up: 0, lost_bytes: 0 });
    expect(world.destination.openCount).toBe(0);
    expect(world.destination.unsettledCount).toBe(0);
    expect(socket.terminated).toBe(false);
  });

  test("in the batch of its last bytes: the FIN comes after them", () => {
    const world = new Scripted();
    const { upstream, socket } = world.connect();
    upstream.write(new TextEncoder().encode("abc"), 0, 3, world.nowMs);
    upstream.finish(1000, 0);
    expect(socket.shutdowns).toBe(0);
    world.destination.flush();
    expect(socket.text).toBe("abc");
    expect(socket.shutdowns).toBe(1);
  });

  test("without any bytes half-closes too, also before the connection is established", () => {
    const world = new Scripted();
    const upstream = world.destination.connect(null);
    upstream.finish(1000, 0);
    world.destination.flush();
    const socket = world.connector.accept();
    expect(socket.writes).toHaveLength(0);
    expect(socket.shutdowns).toBe(1);
  });

  test("the program reads from an endpoint that goes on sending; its silence is limited", () => {
    const world = new Scripted();
    const { upstream, socket } = world.connect();
    upstream.finish(1000, 0);
    world.destination.flush();
    for (let i = 0; i < 5; i++) {
      world.pass(900);
      socket.events.received(new Uint8Array(10));
    }
    expect(world.destination.openCount).toBe(1);
    world.pass(980);
    expect(socket.terminated).toBe(false);
    world.pass(20);
    expect(socket.terminated).toBe(true);
    expect(world.upstream).toMatchObject({ closed: 1, broken: 0, given_up: 0, response_bytes: 50 });
    expect(world.destination.openCount).toBe(0);
  });

  test("bytes after the end of the connection are lost, and counted", () => {
    const world = new Scripted();
    const { upstream, socket } = world.connect();
    socket.events.closed(new Error("ECONNRESET"));
    world.batch([upstream, "abc"]);
    upstream.finish(1000, 0);
    world.destination.flush();
    expect(world.upstream).toMatchObject({ broken: 1, lost_bytes: 3, bytes: 0 });
  });
});

describe("an endpoint that goes away", () => {
  test.each([
    ["resets", new Error("ECONNRESET"), "broken (reset) with 5 bytes"],
    ["closes", undefined, "broken (closed) with 5 bytes"],
  ])("and %s: the waiting bytes are lost and counted, and their memory is given back", (_, error, line) => {
    const world = new Scripted();
    const { upstream, socket } = world.connect([1, 0]);
    world.batch([upstream, "abcdef"]);
    socket.events.closed(error);
    expect(world.told.lines).toEqual([line]);
    expect(world.upstream).toMatchObject({ broken: 1, bytes: 1, lost_bytes: 5, closed: 0 });
    expect(world.heldBytes).toBe(0);
    expect(world.destination.openCount).toBe(0);
    expect(world.destination.backlogBytes).toBe(0);
    world.pass(5000);
    expect(socket.writes).toHaveLength(1);
  });

  test("a write that fails before the event counts no loss twice", () => {
    const world = new Scripted();
    const { upstream, socket } = world.connect();
    socket.write = () => -1;
    world.batch([upstream, "abc"]);
    world.batch([upstream, "def"]);
    world.pass(100);
    expect(world.upstream.lost_bytes).toBe(0);
    socket.events.closed(undefined);
    expect(world.upstream).toMatchObject({ broken: 1, bytes: 0, lost_bytes: 6 });
    expect(world.heldBytes).toBe(0);
  });
});

describe("connecting", () => {
  test("an outage and its end are reported once; refused connections are tried again and lose nothing", () => {
    const world = new Scripted({ connectTimeoutMs: 2000 });
    const upstreams = Array.from({ length: 5 }, () => world.destination.connect(null));
    for (const upstream of upstreams) world.batch([upstream, "abc"]);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 5; i++) world.connector.refuse();
      expect(world.connector.attempts).toHaveLength(0);
      world.pass(CONNECT_RETRY_MS - 10);
      expect(world.connector.attempts).toHaveLength(0);
      world.pass(20);
      expect(world.connector.attempts).toHaveLength(5);
    }
    const sockets = upstreams.map(() => world.connector.accept());
    expect(sockets.map(({ text }) => text)).toEqual(new Array<string>(5).fill("abc"));
    expect(world.told.lines).toEqual(["outage: ECONNREFUSED", "outage over after 550 ms, 0 lost"]);
    expect(world.upstream).toMatchObject({ connects: 5, connect_errors: 0, lost_bytes: 0 });
  });

  test.each([
    [OUTAGE_PROBES_MAX, 0],
    [OUTAGE_PROBES_MAX + 1, 1],
  ])("while the destination is away, of %d connections, all except %d are tried at once", (count, later) => {
    const world = new Scripted({ connectTimeoutMs: 2000 });
    for (let i = 0; i < count; i++) world.destination.connect(null);
    while (world.connector.attempts.length > 0) world.connector.refuse();
    world.pass(CONNECT_RETRY_MS);
    expect(world.connector.attempts).toHaveLength(count - later);
    // The one that succeeds lets the others go on.
    world.connector.accept();
    world.pass(10);
    expect(world.connector.attempts).toHaveLength(count - 1);
  });

  test("an outage beyond the time limit costs its connections, and new ones at their first refusal", () => {
    const world = new Scripted({ connectTimeoutMs: 1000 });
    const upstream = world.destination.connect(null);
    world.batch([upstream, "abc"]);
    for (let elapsed = 0; elapsed <= 1000; elapsed += 110) {
      if (world.connector.attempts.length > 0) world.connector.refuse();
      world.pass(110);
    }
    expect(world.upstream).toMatchObject({ connects: 0, connect_errors: 1, lost_bytes: 3 });
    expect(world.destination.openCount).toBe(0);
    expect(world.heldBytes).toBe(0);
    world.batch([world.destination.connect(null), "defg"]);
    world.connector.refuse();
    expect(world.upstream).toMatchObject({ connect_errors: 2, lost_bytes: 7 });
    world.batch([world.destination.connect(null), "h"]);
    const socket = world.connector.accept();
    expect(socket.text).toBe("h");
    expect(world.told.lines).toEqual([
      "outage: ECONNREFUSED",
      expect.stringMatching(/^outage over after \d+ ms, 2 lost$/),
    ]);
  });

  test("no result within the time limit: the connection is given up; a later one is closed at once", () => {
    const world = new Scripted({ connectTimeoutMs: 1000 });
    const upstream = world.destination.connect(null);
    world.batch([upstream, "abc"]);
    world.pass(990);
    expect(world.upstream.connect_errors).toBe(0);
    world.pass(20);
    expect(world.upstream).toMatchObject({ connect_errors: 1, lost_bytes: 3 });
    expect(world.heldBytes).toBe(0);
    const socket = world.connector.accept();
    expect(socket.terminated).toBe(true);
    expect(socket.writes).toHaveLength(0);
    socket.events.closed(undefined);
    expect(world.upstream).toMatchObject({ connects: 0, broken: 0, closed: 0 });
  });

  test("a stream that ended before its connection is established waits for it, and costs no search meanwhile", () => {
    const world = new Scripted();
    const upstream = world.destination.connect(null);
    world.batch([upstream, "abc"]);
    upstream.finish(1000, 500);
    world.destination.flush();
    expect([world.destination.unsettledCount, world.destination.finishing.size]).toEqual([1, 0]);
    const socket = world.connector.accept();
    expect([world.destination.unsettledCount, world.destination.finishing.size]).toEqual([1, 1]);
    world.pass(510);
    expect([socket.text, socket.shutdowns, world.destination.finishing.size]).toEqual(["abc", 1, 0]);
  });

  test("the attempts in flight have a limit; the others wait, in order, and lose nothing", () => {
    const world = new Scripted();
    const count = CONNECTS_IN_FLIGHT_MAX + 100;
    for (let i = 0; i < count; i++) world.batch([world.destination.connect(null), `${i};`]);
    expect(world.connector.attempts).toHaveLength(CONNECTS_IN_FLIGHT_MAX);
    expect(world.destination.openCount).toBe(count);
    const texts: string[] = [];
    while (world.connector.attempts.length > 0) {
      for (let i = 0; i < 10 && world.connector.attempts.length > 0; i++) texts.push(world.connector.accept().text);
      world.pass(10);
      expect(world.connector.attempts.length).toBeLessThanOrEqual(CONNECTS_IN_FLIGHT_MAX);
    }
    expect(texts.join("")).toBe(Array.from({ length: count }, (_, i) => `${i};`).join(""));
    expect(world.upstream.connects).toBe(count);
  });

  test("with TLS, so many are begun in a round of events that none of them has to wait for newer ones", () => {
    const world = new Scripted({ address: { host: "endpoint", port: 443, isSecure: true } });
    let endRound = () => {};
    world.connector.afterEvents = (callback) => void (endRound = callback);
    const whole = 2 * HANDSHAKES_BEGUN_MAX + 1;
    for (let i = 0; i < whole; i++) world.destination.connect(null);
    const begun: number[] = [];
    for (let round = 0; round < 4; round++, endRound()) {
      world.destination.tick();
      begun.push(world.connector.attemptsMade);
    }
    expect(begun).toEqual([HANDSHAKES_BEGUN_MAX, 2 * HANDSHAKES_BEGUN_MAX, whole, whole]);
  });

  test("attempts without a result still count against the limit", () => {
    const world = new Scripted({ connectTimeoutMs: 1000 });
    for (let i = 0; i < CONNECTS_IN_FLIGHT_MAX; i++) world.destination.connect(null);
    world.pass(1100);
    expect(world.upstream.connect_errors).toBe(CONNECTS_IN_FLIGHT_MAX);
    world.destination.connect(null);
    expect(world.connector.attemptsMade).toBe(CONNECTS_IN_FLIGHT_MAX);
    world.connector.refuse();
    world.pass(20);
    expect(world.connector.attemptsMade).toBe(CONNECTS_IN_FLIGHT_MAX + 1);
  });
});

describe("the limit of held bytes", () => {
  test("gives up the connection that holds most, and no other", () => {
    const world = new Scripted({ bufferBytes: 100_000 });
    const [small, large, third] = [world.connect(), world.connect(), world.connect()];
    for (const { socket } of [small, large, third]) socket.block();
    world.batch([small.upstream, "s".repeat(10_000)]);
    world.batch([large.upstream, "l".repeat(50_000)]);
    expect(world.upstream.given_up).toBe(0);
    world.batch([third.upstream, "t".repeat(30_000)]);
    expect(world.upstream).toMatchObject({ given_up: 1, lost_bytes: 50_000 });
    expect(large.socket.terminated).toBe(true);
    expect(world.heldBytes).toBeLessThanOrEqual(100_000);
    for (const { socket } of [small, third]) {
      socket.takes = [];
      socket.events.writable();
    }
    expect([small.socket.text.length, third.socket.text.length]).toEqual([10_000, 30_000]);
    expect(world.heldBytes).toBe(0);
  });

  test.each([1, 2, 3])("holds for one connection that is written to piece by piece, %d a batch", (pieces) => {
    const world = new Scripted({ bufferBytes: 50_000 });
    const { upstream, socket } = world.connect();
    socket.block();
    const text = "x".repeat(1000);
    let written = 0;
    for (let i = 0; i < 100; i++) {
      world.batch(...Array.from({ length: pieces }, () => [upstream, text] as [typeof upstream, string]));
      written += pieces * 1000;
      expect(world.heldBytes).toBeLessThanOrEqual(50_000);
      expect(world.upstream.lost_bytes + upstream.backlogBytes).toBe(written);
    }
    expect(world.upstream.given_up).toBe(1);
    expect(world.heldBytes).toBe(0);
  });

  test("holds while connections are being established", () => {
    const world = new Scripted({ bufferBytes: 100_000 });
    const upstreams = Array.from({ length: 10 }, () => world.destination.connect(null));
    for (const upstream of upstreams) {
      world.batch([upstream, "x".repeat(20_000)]);
      expect(world.heldBytes).toBeLessThanOrEqual(100_000);
    }
    expect(world.upstream.connect_errors).toBeGreaterThan(0);
    while (world.connector.attempts.length > 0) world.connector.accept();
    expect(world.upstream.bytes + world.upstream.lost_bytes).toBe(200_000);
    expect(world.heldBytes).toBe(0);
  });
});

test("an endpoint is lively until it has done nothing for so long", () => {
  const world = new Scripted();
  world.connect();
  world.pass(LIVELY_MS - 1);
  expect(world.destination.isLively).toBe(true);
  world.pass(1);
  expect(world.destination.isLively).toBe(false);
});

test("of connections of mode tcp there are so many, and one more loses its bytes, counted", () => {
  const world = new Scripted({ bufferBytes: 2 ** 40 });
  let last!: Upstream;
  for (let i = 0; i < CONNECTIONS_MAX; i++) last = world.destination.connect(null);
  expect([world.destination.openCount, last.isClosed]).toEqual([CONNECTIONS_MAX, false]);
  const more = world.destination.connect(null);
  expect([world.destination.openCount, more.isClosed]).toEqual([CONNECTIONS_MAX, true]);
  world.batch([more, "abc"]);
  expect(world.upstream).toMatchObject({ connect_errors: 1, lost_bytes: 3 });
  last.giveUp("the test has seen enough");
  expect(world.destination.connect(null).isClosed).toBe(false);
});

test("terminate gives up every connection at once, also those that are being established", () => {
  const world = new Scripted();
  const { upstream, socket } = world.connect();
  socket.block();
  const connecting = world.destination.connect(null);
  world.batch([upstream, "abc"], [connecting, "defg"]);
  world.destination.terminate();
  expect(socket.terminated).toBe(true);
  expect(world.destination.openCount).toBe(0);
  expect(world.upstream).toMatchObject({ connects: 1, given_up: 1, connect_errors: 1, lost_bytes: 7 });
  expect(world.heldBytes).toBe(0);
});
