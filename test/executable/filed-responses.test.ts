/** Files as destinations with --compare: each request has production's response beside it, or none. */
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { bytes, type CapturedFrame, mirroredSegment, pcap } from "../support/frames.ts";
import { run, TemporaryDirectory } from "./program.ts";
import { PORT, VNI } from "./sessions.ts";

const START_MS = 1_750_000_000_000;
const PASSWORD = "hunter2hunter2";
const MAX_COMPARE_BYTES = 2000;
/** When the request's second half and the response's halves come, from the request's first half on. */
const [REQUEST_MS, FIRST_MS, LAST_MS] = [5, 25, 40];

/** One connection with one request, in two segments, and its response in two; null: no response. */
function exchange(request: string, response: Uint8Array | null, connection: number, hasGap: boolean): CapturedFrame[] {
  const startMs = START_MS + connection * 1000;
  const port = 40_000 + connection;
  let [client, server] = [1000, 5000];
  const send = (isClient: boolean, flags: string, payload: Uint8Array, ms: number): CapturedFrame => {
    const [near, far] = isClient ? [port, PORT] : [PORT, port];
    const [source, destination] = isClient ? ["10.0.0.1", "10.0.0.2"] : ["10.0.0.2", "10.0.0.1"];
    const [sequence, acknowledgment] = isClient ? [client, server] : [server, client];
    const ports = { sourcePort: near!, destinationPort: far! };
    const segment = { source: source!, destination: destination!, ...ports, sequence, acknowledgment, flags, payload };
    const taken = payload.length + (/[SF]/.test(flags) ? 1 : 0);
    if (isClient) client += taken;
    else server += taken;
    return { frame: mirroredSegment(segment, VNI), timestampMs: startMs + ms };
  };
  const halves = (whole: Uint8Array) => [whole.slice(0, whole.length >> 1), whole.slice(whole.length >> 1)] as const;
  const [asked, more] = halves(bytes(request));
  const frames = [
    send(true, "S", bytes(), -10),
    send(false, "SA", bytes(), -9),
    send(true, "A", asked, 0),
    send(true, "A", more, REQUEST_MS),
  ];
  if (response !== null) {
    const [first, last] = halves(response);
    frames.push(send(false, "A", first, FIRST_MS));
    const rest = send(false, "A", last, LAST_MS);
    if (!hasGap) frames.push(rest);
  }
  return [...frames, send(true, "FA", bytes(), 50), send(false, "FA", bytes(), 51)];
}

interface Case {
  readonly what: string;
  readonly response: Uint8Array | null;
  readonly hasGap?: boolean;
  readonly method?: string;
  /** The line's `response`; null: it has none. */
  readonly want: Record<string, unknown> | null;
  /** The HAR's `content`. */
  readonly content?: Record<string, unknown>;
}

const response = (head: string, body: string | Uint8Array = "", code = "200 OK") =>
  bytes(`HTTP/1.1 ${code}\r\n${head}Content-Length: ${bytes(body).length}\r\n\r\n`, body);
const sha256 = (of: Uint8Array) => createHash("sha256").update(of).digest("hex");
const json = JSON.stringify({ user: "ü", password: PASSWORD });
const shownJson = '{"user":"ü","password":"[redacted]"}';
const zipped = gzipSync(json);
const long = "x".repeat(MAX_COMPARE_BYTES + 1);
const zippedLong = gzipSync(long);
const comment = (body: Uint8Array) => ({
  comment: `too long to stand here; SHA-256 of the bytes that came: ${sha256(body)}`,
});

const CASES: Case[] = [
  {
    what: "JSON, with secrets in it",
    response: response(`Content-Type: application/json\r\nSet-Cookie: a=${PASSWORD}\r\n`, json),
    want: { status: 200, body: shownJson },
    content: { size: Buffer.byteLength(json), mimeType: "application/json", text: shownJson },
  },
  {
    what: "compressed",
    response: response("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", zipped),
    want: { status: 200, body: shownJson },
    content: { size: Buffer.byteLength(json), mimeType: "application/json", text: shownJson },
  },
  {
    what: "compressed in a way that nobody knows",
    response: response("Content-Encoding: x\r\n", "abc"),
    want: { status: 200, body: "[redacted]" },
    content: { size: 3, mimeType: "", text: "[redacted]" },
  },
  {
    what: "in chunks",
    response: bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
    want: { status: 200, body: "abcde" },
    content: { size: 5, mimeType: "", text: "abcde" },
  },
  {
    what: "bytes",
    response: response("", Uint8Array.of(255, 0)),
    want: { status: 200, body_base64: "/wA=" },
    content: { size: 2, mimeType: "", text: "/wA=", encoding: "base64" },
  },
  {
    what: "nothing",
    response: response("", "", "404 Not Found"),
    want: { status: 404 },
    content: { size: 0, mimeType: "" },
  },
  {
    what: "nothing, but its length",
    method: "HEAD",
    response: bytes("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
    want: { status: 200 },
    content: { size: 0, mimeType: "" },
  },
  {
    what: "as long as it may be",
    response: response("", long.slice(1)),
    want: { status: 200, body: long.slice(1) },
    content: { size: MAX_COMPARE_BYTES, mimeType: "", text: long.slice(1) },
  },
  {
    what: "longer",
    response: response("", long),
    want: { status: 200, body_bytes: long.length, body_sha256: sha256(bytes(long)) },
    content: { size: long.length, mimeType: "", ...comment(bytes(long)) },
  },
  {
    what: "longer when it is unpacked",
    response: response("Content-Encoding: gzip\r\n", zippedLong),
    want: { status: 200, body_bytes: long.length, body_sha256: sha256(zippedLong) },
    content: {
      size: long.length,
      compression: long.length - zippedLong.length,
      mimeType: "",
      ...comment(zippedLong),
    },
  },
  {
    what: "behind an interim one",
    response: bytes("HTTP/1.1 100 Continue\r\n\r\n", response("Location: /there\r\n", "", "302 Found")),
    want: { status: 302 },
    content: { size: 0, mimeType: "" },
  },
  { what: "none", response: null, want: null },
  { what: "one that is not whole", response: response("", "abc"), hasGap: true, want: null },
];

const known = CASES.filter(({ want }) => want !== null).length;
const savefile = pcap(
  CASES.flatMap(({ method = "GET", response: said, hasGap = false }, i) =>
    exchange(`${method} /${i} HTTP/1.1\r\nHost: shop.test\r\n\r\n`, said, i, hasGap),
  ),
);
/** The reasons of responses that are not compared, by the counters. */
const NOT_SEEN = { production_response_missing: 1, production_response_damaged: 1 };

/** The reasons that are not zero. */
function counted(reasons: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(reasons).filter(([, count]) => count !== 0));
}

async function files(forwardAddress: (ndjson: string) => string[]) {
  using directory = new TemporaryDirectory();
  const [ndjson, har, summary] = ["requests.ndjson", "requests.har", "summary.json"].map((name) =>
    join(directory.path, name),
  ) as [string, string, string];
  const flags = ["--compare", "--max-compare-bytes", String(MAX_COMPARE_BYTES), "--summary", summary];
  const destinations = forwardAddress(`file:${ndjson}`);
  const args = [...flags, "--also", `file:${har}`, "--read", directory.file("mirror.pcap", savefile)];
  const { status, stderr } = await run([
    ...args,
    ...destinations.slice(1),
    String(VNI),
    String(PORT),
    destinations[0]!,
  ]);
  expect(status, stderr).toBe(0);
  const lines = readFileSync(ndjson, "utf8").trimEnd().split("\n");
  const filed = lines.map((line) => JSON.parse(line)).toSorted((a, b) => a.time.localeCompare(b.time));
  const text = readFileSync(har, "utf8");
  for (const written of [text, ...lines]) expect(written).not.toContain(PASSWORD);
  const { entries } = JSON.parse(text).log;
  const byTime = (a: { startedDateTime: string }, b: { startedDateTime: string }) =>
    a.startedDateTime.localeCompare(b.startedDateTime);
  return { filed, entries: entries.toSorted(byTime), counters: JSON.parse(readFileSync(summary, "utf8")) };
}

function checkResponses({ filed, entries }: Awaited<ReturnType<typeof files>>): void {
  expect(filed.length).toBe(CASES.length);
  expect(entries.length).toBe(CASES.length);
  const times = { first_byte_ms: FIRST_MS - REQUEST_MS, last_byte_ms: LAST_MS - REQUEST_MS };
  const timings = { send: REQUEST_MS, wait: FIRST_MS - REQUEST_MS, receive: LAST_MS - FIRST_MS };
  CASES.forEach(({ what, want, content }, i) => {
    const { headers: _headers, ...said } = filed[i].response ?? { headers: [] };
    expect([what, said]).toEqual([what, want === null ? {} : { ...want, ...times }]);
    const { response: shown, time, timings: shownTimings } = entries[i];
    const none = { status: 0, content: { size: 0, mimeType: "" } };
    const wanted = want === null ? none : { status: want.status, content };
    expect([what, { status: shown.status, content: shown.content }]).toEqual([what, wanted as typeof none]);
    expect([what, time, shownTimings]).toEqual(
      want === null ? [what, 0, { send: 0, wait: 0, receive: 0 }] : [what, LAST_MS, timings],
    );
  });
  expect(filed[0].response.headers).toEqual([
    ["Content-Type", "application/json"],
    ["Set-Cookie", "[redacted]"],
    ["Content-Length", String(Buffer.byteLength(json))],
  ]);
  const redirected = CASES.findIndex(({ want }) => want?.status === 302);
  expect(entries[redirected].response).toMatchObject({
    statusText: "Found",
    httpVersion: "HTTP/1.1",
    redirectURL: "/there",
    headersSize: "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".length,
    bodySize: 0,
  });
}

test("only files: each has production's responses, and nothing is compared", async () => {
  const found = await files((ndjson) => [ndjson]);
  checkResponses(found);
  const { file, comparison, requests } = found.counters;
  expect(file).toMatchObject({ requests: 2 * CASES.length, responses: 2 * known, dropped_responses: 0 });
  expect(requests).toMatchObject({ seen: CASES.length, forwarded: CASES.length, answered: CASES.length });
  const { compared, not_comparable: reasons, production_responses: seen } = comparison;
  expect(compared).toBe(0);
  expect(counted(reasons)).toEqual({ endpoint_is_file: known, ...NOT_SEEN });
  expect(seen).toBe(known);
});

test("beside an endpoint: its responses are compared", async () => {
  // The endpoint's own status differs from production's.
  using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(null, { status: 418 }) });
  const found = await files((ndjson) => [`127.0.0.1:${server.port}`, "--also", ndjson]);
  checkResponses(found);
  const { file, comparison } = found.counters;
  expect(file).toMatchObject({ requests: 2 * CASES.length, responses: 2 * known });
  const { compared, different, not_comparable: reasons } = comparison;
  expect({ compared, different }).toEqual({ compared: known, different: known });
  expect(counted(reasons)).toEqual(NOT_SEEN);
});
