/** The effect of policy on the requests of a conversation, in any pieces. */
import { describe, expect, test } from "bun:test";
import { editsOf, policyFor, ruleOf } from "../support/policies.ts";
import { Clients } from "./clients.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: prod.example\r\n${fields}\r\n`;
const post = (path: string, body: string) => `POST ${path} HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunked = (path: string, body: string) =>
  `PUT ${path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
const upgrade = (path: string) => get(path, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
const FRAME = "\x01\x05hello";
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const deny = (...rules: string[]) => policyFor({ deny: rules.map(ruleOf) });
const allow = (...rules: string[]) => policyFor({ allow: rules.map(ruleOf) });

/** Sends a text in pieces of a length, and responds to every request that arrives. Returns the requests, in order. */
function served(world: Clients, text: string, pieceLength = Infinity): string {
  const client = world.open();
  const { sockets, attempts } = world.connector;
  const before = sockets.length;
  for (let at = 0; at < text.length; at += pieceLength) world.say(client, text.slice(at, at + pieceLength));
  const responded = new Map<unknown, number>();
  for (let more = true; more;) {
    more = attempts.length > 0;
    while (attempts.length > 0) world.connector.accept();
    world.settle();
    for (const socket of sockets.slice(before)) {
      if (socket.text.length === (responded.get(socket) ?? 0)) continue;
      responded.set(socket, socket.text.length);
      world.respond(socket, OK);
      more = true;
    }
  }
  return sockets
    .slice(before)
    .map((socket) => socket.text)
    .join("");
}

describe.each([Infinity, 1, 7, 50])("in pieces of %p bytes", (pieceLength) => {
  const sorts: [name: string, request: (path: string) => string][] = [
    ["without a body", get],
    ["with a body", (path) => post(path, "x".repeat(300))],
    ["chunked", (path) => chunked(path, "y".repeat(300))],
    ["isolated", (path) => chunked(path, "z").replace("Transfer", "Content-Length: 3\r\nTransfer")],
  ];

  test.each(sorts)("a request %s is left out, and those around it are not", (_, request) => {
    const world = new Clients({ policy: deny("path:/charge") });
    const text = get("/a") + request("/charge") + get("/b") + request("/c");
    expect(served(world, text, pieceLength)).toBe(get("/a") + get("/b") + request("/c"));
    expect(world.requests).toMatchObject({ seen: 4, forwarded: 3, answered: 3, damaged: 0, dropped: { filtered: 1 } });
  });

  test.each(sorts)("a request %s has another head, and the body it had", (_, request) => {
    for (const maxRequestBytes of [1 << 20, 10]) {
      const headEdits = editsOf({ rewritePath: [{ regex: "^/v1", text: "/version/1" }], setHeader: [["X-A", "b"]] });
      const world = new Clients({ policy: policyFor({ headEdits }), maxRequestBytes });
      const edited = (text: string) => text.replace("/v1/", "/version/1/").replace("\r\n", "\r\nX-A: b\r\n");
      const text = [request("/v1/a"), get("/v1/b"), request("/v2")];
      expect(served(world, text.join(""), pieceLength)).toBe(text.map(edited).join(""));
      expect(world.requests).toMatchObject({ seen: 3, forwarded: 3, answered: 3 });
    }
  });

  test("if an upgrade is left out, the bytes that follow in the other protocol are left out too", () => {
    const world = new Clients({ policy: deny("path:/chat") });
    const text = get("/a") + upgrade("/chat") + FRAME.repeat(20) + get("/b");
    expect(served(world, text, pieceLength)).toBe(get("/a"));
    expect(world.requests).toMatchObject({ seen: 2, forwarded: 1, damaged: 0, dropped: { filtered: 1 } });
    expect(world.counters.streams.dropped_bytes).toBe(20 * FRAME.length + get("/b").length);
  });

  test("if an upgrade is left out and production declined it, nothing else is left out", () => {
    const world = new Clients({ policy: deny("path:/chat") });
    expect(served(world, upgrade("/chat") + get("/b"), pieceLength)).toBe(get("/b"));
    expect(world.requests).toMatchObject({ seen: 2, forwarded: 1, damaged: 0, dropped: { filtered: 1 } });
    expect(world.counters.streams.dropped_bytes).toBe(0);
  });
});

test("requests that are left out are not held, at any length", () => {
  const world = new Clients({ policy: deny("method:POST") });
  const client = world.open();
  world.say(client, `POST /large HTTP/1.1\r\nContent-Length: ${1 << 20}\r\n\r\n`);
  const before = world.destination.memory.heldBytes;
  for (let i = 0; i < 1023; i++) world.say(client, "x".repeat(1024));
  expect(world.destination.memory.heldBytes).toBe(before);
  world.say(client, "x".repeat(1024));
  expect(world.requests).toMatchObject({ seen: 1, dropped: { filtered: 1 } });
});

test("a damaged request that would be left out counts as damaged, once", () => {
  const world = new Clients({ policy: deny("path:/charge") });
  const client = world.open();
  world.say(client, post("/charge", "x".repeat(100)).slice(0, -50));
  client.gap(20);
  world.say(client, "x".repeat(30) + get("/a"));
  const socket = world.connector.accept();
  world.settle();
  expect(socket.text).toBe(get("/a"));
  world.respond(socket, OK);
  expect(world.requests).toMatchObject({ seen: 2, damaged: 1, forwarded: 1, dropped: { filtered: 0 } });
});

test("an upgrade that is left out ends with its connection, after any part of it", () => {
  for (const rest of ["", "GET /half", FRAME]) {
    const world = new Clients({ policy: deny("path:/chat") });
    const client = world.open();
    world.say(client, upgrade("/chat") + rest);
    client.end("fin");
    world.settle();
    const damaged = rest === "GET /half" ? 1 : 0;
    expect(world.requests).toMatchObject({ seen: 1 + damaged, damaged, dropped: { filtered: 1 } });
    expect(world.destination.memory.budget.usedBytes).toBe(0);
  }
});

test("the mark of an upgrade also leaves out the bytes behind it", () => {
  const world = new Clients({ policy: policyFor({ headEdits: editsOf({ mark: true }) }) });
  const marked = upgrade("/chat").replace("\r\n\r\n", "\r\nX-Mirrored-From: 192.0.2.1\r\n\r\n");
  expect(served(world, marked + FRAME)).toBe("");
  expect(world.requests).toMatchObject({ seen: 1, damaged: 0, dropped: { loop: 1 } });
});

const clients: [name: string, policy: ReturnType<typeof deny>, isForwarded: boolean][] = [
  ["its client is allowed", allow("client:::/96"), true],
  ["its client is denied", deny("client:::/96"), false],
  ["another client is allowed", allow("client:10.0.0.0/8"), false],
  ["another client is denied", deny("client:10.0.0.0/8"), true],
  ["only requests are spoken of", deny("method:POST"), false],
  ["it is in the sample", policyFor({ sample: { percent: 100, key: "header", name: "x" } }), true],
  ["it is not", policyFor({ sample: { percent: 0.000_001, key: "connection", name: "" } }), false],
  ["only heads are changed", policyFor({ headEdits: editsOf({ host: "a" }) }), true],
];
test.each(clients)("HTTP/2 that passes is forwarded or left out as a whole: %s", (_, policy, isForwarded) => {
  const world = new Clients({ policy, http2: "pass" });
  const client = world.open();
  for (const text of [PREFACE.slice(0, 10), PREFACE.slice(10), FRAME]) world.say(client, text);
  if (isForwarded) world.connector.accept();
  world.settle();
  expect(world.connector.sockets.map(({ text }) => text)).toEqual(isForwarded ? [PREFACE + FRAME] : []);
  const { streams, foreign } = world.counters;
  expect(foreign).toMatchObject({ http2: 1, discarded_bytes: 0 });
  expect(streams.dropped.filtered + streams.dropped.sampled_out).toBe(isForwarded ? 0 : 1);
  expect(streams.dropped_bytes).toBe(isForwarded ? 0 : PREFACE.length + FRAME.length);
});

test("the client is the one that a PROXY protocol header names", () => {
  const header = "PROXY TCP4 192.0.2.7 192.0.2.2 1 2\r\n";
  const of = (policy: ReturnType<typeof deny>) =>
    served(new Clients({ policy, proxyProtocol: "strip" }), header + get("/"));
  expect(of(deny("client:192.0.2.7"))).toBe("");
  expect(of(allow("client:192.0.2.0/24"))).toBe(get("/"));
  expect(of(policyFor({ headEdits: editsOf({ mark: true }) }))).toContain("\r\nX-Mirrored-From: 192.0.2.7\r\n");
});

test("requests over the rate are dropped at the moment of sending, also upgrades", () => {
  const world = new Clients({ policy: policyFor({ maxRate: 20 }) });
  // One request is available at the start: 50 ms of 20 a second.
  expect(served(world, get("/a") + get("/b"))).toBe(get("/a"));
  world.pass(50);
  expect(served(world, get("/c") + upgrade("/d") + FRAME)).toBe(get("/c"));
  expect(world.requests).toMatchObject({ seen: 4, forwarded: 2, damaged: 0, dropped: { rate_limit: 2 } });
  expect(world.counters.streams.dropped_bytes).toBe(FRAME.length);
});

test("requests over the rate are not streamed either", () => {
  const world = new Clients({ policy: policyFor({ maxRate: 20 }), maxRequestBytes: 10 });
  const [first, second] = [post("/a", "x".repeat(100)), chunked("/b", "y".repeat(100))];
  expect(served(world, first + second + get("/c"))).toBe(first);
  expect(world.requests).toMatchObject({ seen: 3, forwarded: 1, dropped: { rate_limit: 2 } });
});

test("order: requests that rules or the sample leave out do not use up the rate", () => {
  const sample = { percent: 50, key: "random", name: "" } as const;
  const turns = [0.9, 0.1, 0.9, 0.1];
  const policy = policyFor({ deny: [ruleOf("path:/no")], sample, maxRate: 20 }, () => turns.shift()!);
  const world = new Clients({ policy });
  expect(served(world, ["/no", "/a", "/b", "/no", "/c", "/d"].map((path) => get(path)).join(""))).toBe(get("/b"));
  expect(world.requests.dropped).toMatchObject({ filtered: 2, sampled_out: 2, rate_limit: 1 });
  expect(turns).toEqual([]);
});

test("a dry run makes no connection, and reports the reason for each decision", () => {
  const policy = policyFor({ deny: [ruleOf("path:/no")], allow: [ruleOf("method:safe")], maxRate: 20, dryRun: true });
  const world = new Clients({ policy });
  const text = [get("/no?secret"), get("/a"), post("/b", "x"), get("/c"), upgrade("/d"), FRAME].join("");
  expect(served(world, text)).toBe("");
  world.say(world.open(), PREFACE + FRAME);
  expect(world.connector.attempts).toEqual([]);
  expect(world.requests).toMatchObject({
    seen: 5,
    forwarded: 0,
    damaged: 0,
    dropped: { filtered: 2, rate_limit: 2, dry_run: 1 },
  });
  expect(world.mode.dryRun!.results.toSorted((one, other) => (one.by < other.by ? -1 : 1))).toEqual([
    { by: "--allow method:", count: 1, examples: ["POST /b"] },
    { by: "--deny path:/no", count: 1, examples: ["GET /no"] },
    { by: "--max-rate", count: 2, examples: ["GET /c", "GET /d"] },
    { by: "would be forwarded", count: 1, examples: ["GET /a"] },
  ]);
});
