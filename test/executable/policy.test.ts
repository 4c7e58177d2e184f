/** The requests of savefiles that the real executable forwards, and its messages about the others. */
import { afterAll, describe, expect, test } from "bun:test";
import { bytes, type CapturedFrame, mirroredSegment, pcap } from "../support/frames.ts";
import { run, TemporaryDirectory } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { PORT, VNI } from "./sessions.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const START_MS = 1_760_000_000_000;

/** A client's request, captured this long after the first one. */
interface Sent {
  readonly client: string;
  readonly text: string;
  readonly afterMs?: number;
  readonly port?: number;
}

function get(path: string, ...fields: string[]): string {
  return [`GET ${path} HTTP/1.1`, "Host: shop.example", ...fields, "", ""].join("\r\n");
}

/** Each request on a connection of its own. */
function mirrorOf(requests: readonly Sent[]): Uint8Array {
  const frames: CapturedFrame[] = requests.flatMap(({ client, text, afterMs = 0, port }, i) => {
    const destination = client.includes(":") ? "2001:db8::9" : "10.9.9.9";
    const segment = { source: client, destination, sourcePort: port ?? 1024 + i, destinationPort: PORT };
    const frame = (flags: string, sequence: number, payload = bytes()) => ({
      frame: mirroredSegment({ ...segment, sequence, acknowledgment: 1, flags, payload }, VNI),
      timestampMs: START_MS + afterMs,
    });
    return [frame("S", 100), frame("PA", 101, bytes(text)), frame("FA", 101 + text.length)];
  });
  return pcap(frames);
}

let runs = 0;

/** Reads a mirror. Returns the targets of the requests that arrived, sorted, and the counters. */
async function forward(requests: readonly Sent[], ...flags: string[]) {
  const got: string[] = [];
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      got.push(request.url.slice(request.url.indexOf("/", "http://".length)));
      return new Response("ok");
    },
  });
  const number = runs++;
  const summary = directory.file(`summary-${number}.json`, "");
  const capture = directory.file(`mirror-${number}.pcap`, mirrorOf(requests));
  const where = [String(VNI), String(PORT), `127.0.0.1:${server.port}`];
  const { status, stderr } = await run([...flags, "--summary", summary, "--read", capture, ...where]);
  const counters = await Bun.file(summary).json();
  const dropped = Object.values(counters.requests.dropped as Record<string, number>).reduce((sum, n) => sum + n, 0);
  expect(counters.requests.seen).toBe(counters.requests.forwarded + counters.requests.damaged + dropped);
  expect(status).toBe(0);
  return { got: got.sort(), counters, stderr };
}

const SHOP: Sent[] = [
  { client: "10.1.0.1", text: get("/1/users") },
  { client: "10.1.0.2", text: get("/2/users/7", "X-Team: blue") },
  { client: "10.2.0.1", text: get("/3/p%61y") },
  { client: "2001:db8::1", text: get("/4").replace("shop.", "www.") },
  { client: "10.2.0.2", text: "POST /5 HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi" },
  { client: "10.2.0.3", text: get("http://www.example/6") },
];
const ALL = ["/1/users", "/2/users/7", "/3/p%61y", "/4", "/5", "/6"];

const rules: [flags: string[], forwarded: number[]][] = [
  [
    ["--allow", "method:safe"],
    [1, 2, 3, 4, 6],
  ],
  [
    ["--deny", "path:/*/users"],
    [2, 3, 4, 5, 6],
  ],
  [
    ["--deny", "path:/*/users/**", "--deny=path:/*/pay"],
    [1, 4, 5, 6],
  ],
  [
    ["--allow", "path-regex:^/[1-4]/.*[a-z]$"],
    [1, 3],
  ],
  [
    ["--allow", "host:www.*"],
    [4, 6],
  ],
  [["--allow", "header:x-team"], [2]],
  [
    ["--deny", "header:X-TEAM=b*"],
    [1, 3, 4, 5, 6],
  ],
  [
    ["--allow", "client:10.1.0.0/16", "--allow", "client:2001:db8::/32"],
    [1, 2, 4],
  ],
  [
    ["--allow", "method:GET", "--allow", "client:10.0.0.0/8", "--deny", "host:www.example"],
    [1, 2, 3],
  ],
];
test.each(rules)("%j", async (flags, forwarded) => {
  const { got, counters, stderr } = await forward(SHOP, ...flags);
  expect(got).toEqual(forwarded.map((number) => ALL[number - 1]!));
  const filtered = SHOP.length - forwarded.length;
  expect(counters.requests).toMatchObject({ seen: 6, damaged: 0, dropped: { filtered } });
  expect(stderr).toContain(`Left out by policy: ${filtered} request${filtered === 1 ? "" : "s"} filtered`);
  expect(stderr).not.toContain("dropped (filtered)");
});

describe("--sample by a key agrees on three servers, if each sees a part of the mirror", () => {
  const KEYS = 150;
  const keys: [sample: string, request: (key: number) => Sent][] = [
    ["client", (key) => ({ client: `10.3.${key >> 6}.${key & 63}`, text: get(`/${key}`) })],
    ["connection", (key) => ({ client: "10.0.0.1", port: 2000 + key, text: get(`/${key}`) })],
    ["header=X-User", (key) => ({ client: "10.0.0.1", text: get(`/${key}`, `X-User: user ${key}`) })],
    ["cookie=session", (key) => ({ client: "10.0.0.1", text: get(`/${key}`, `Cookie: a=b; session=${key}`) })],
  ];
  test.each(keys)("by %s", async (key, request) => {
    // Each key has a request on every server, in another order.
    const orders = [1, 7, 11].map((step) => Array.from({ length: KEYS }, (_, i) => (i * step) % KEYS));
    const parts = await Promise.all(orders.map((order) => forward(order.map(request), "--sample", `40%:${key}`)));
    const [first, ...others] = parts.map(({ got }) => got);
    for (const other of others) expect(other).toEqual(first!);
    // Four standard deviations.
    expect(Math.abs(first!.length - KEYS * 0.4)).toBeLessThan(4 * Math.sqrt(KEYS * 0.4 * 0.6));
    expect(parts[0]!.counters.requests.dropped.sampled_out).toBe(KEYS - first!.length);
  });
});

test("--max-rate uses the capture's seconds, at any reading speed", async () => {
  const [perSecond, offered, seconds] = [50, 150, 10];
  const requests = Array.from({ length: offered * seconds }, (_, i) => ({
    client: "10.0.0.1",
    text: get(`/${i}`),
    afterMs: (i * 1000) / offered,
  }));
  const { got, counters } = await forward(requests, "--max-rate", String(perSecond));
  // And 50 ms worth of requests, which are available at the start.
  expect(Math.abs(got.length - perSecond * seconds)).toBeLessThanOrEqual((perSecond * seconds) / 100);
  expect(counters.requests.dropped.rate_limit).toBe(requests.length - got.length);
});

test("heads are edited, also of streamed requests", async () => {
  using endpoint = new RecordingEndpoint();
  const body = "x".repeat(5000);
  const large = `POST /v1/large HTTP/1.1\r\nHost: shop.example\r\nCookie: a=b\r\nContent-Length: 5000\r\n\r\n${body}`;
  const capture = directory.file("large.pcap", mirrorOf([{ client: "10.1.0.1", text: large }]));
  const edits = ["--rewrite-path", "^/v1=>/v2", "--remove-header=cookie", "--forwarded", "--host=test.example"];
  const running = run([
    ...[...edits, "--max-request-bytes", "100", "--response-timeout-ms", "200"],
    ...["--read", capture, String(VNI), String(PORT), endpoint.address],
  ]);
  await running;
  expect(endpoint.text()).toBe(
    "POST /v2/large HTTP/1.1\r\nHost: test.example\r\nX-Forwarded-Port: 80\r\nX-Forwarded-Proto: http\r\n" +
      `X-Forwarded-Host: shop.example\r\nX-Forwarded-For: 10.1.0.1\r\nContent-Length: 5000\r\n\r\n${body}`,
  );
});

test("--dry-run reports the requests that would be forwarded, and reasons for the others, without an endpoint", async () => {
  const capture = directory.file("dry.pcap", mirrorOf(SHOP));
  const flags = ["--dry-run", "--deny", "path:/*/pay", "--allow", "method:safe", "--max-rate", "20"];
  const summary = directory.file("dry.json", "");
  const { status, stderr } = await run([
    ...[...flags, "--summary", summary, "--read", capture],
    ...[String(VNI), String(PORT), "nobody.invalid:80"],
  ]);
  expect(status).toBe(0);
  for (const line of [
    "Dry run: 1 request: --deny path:/*/pay (GET /3/p%61y)",
    "Dry run: 1 request: --allow method: (POST /5)",
    "Dry run: 1 request: would be forwarded (GET /1/users)",
    "Dry run: 3 requests: --max-rate (GET /2/users/7, GET /4, GET http://www.example/6)",
  ])
    expect(stderr).toContain(line);
  const { requests, upstream } = await Bun.file(summary).json();
  expect(requests).toMatchObject({ seen: 6, forwarded: 0, dropped: { filtered: 2, rate_limit: 3, dry_run: 1 } });
  expect(upstream).toMatchObject({ connects: 0, connect_errors: 0 });
});

test("in mode tcp, client: rules and samples decide about whole connections", async () => {
  using endpoint = new RecordingEndpoint();
  const capture = directory.file("tcp.pcap", mirrorOf(SHOP));
  const summary = directory.file("tcp.json", "");
  const { status, stderr } = await run([
    ...["--mode", "tcp", "--deny", "client:10.2.0.0/16", "--fin-delay-ms", "10", "--summary", summary],
    ...["--read", capture, String(VNI), String(PORT), endpoint.address],
  ]);
  expect(status).toBe(0);
  const others = [SHOP[0]!, SHOP[1]!, SHOP[3]!].map(({ text }) => text);
  expect(
    endpoint
      .streams()
      .map((stream) => Buffer.from(stream).toString())
      .sort(),
  ).toEqual(others.toSorted());
  const { streams, reassembly, upstream } = await Bun.file(summary).json();
  expect(streams.dropped).toMatchObject({ filtered: 3, sampled_out: 0 });
  expect(reassembly.delivered_bytes).toBe(upstream.bytes + upstream.lost_bytes + streams.dropped_bytes);
  expect(stderr).toContain("Left out by policy: 3 connections");
});

test("a rule that cannot be read is refused at the start, and the place is marked", async () => {
  const { status, stderr } = await run(["--deny", "path-regex:^/(a", "eth0", "1", "80", "localhost:1"]);
  expect(status).toBe(2);
  expect(stderr).toContain(
    `Cannot use --deny="path-regex:^/(a": a group that is not closed, here: "path-regex:^/>>>(a"`,
  );
});
