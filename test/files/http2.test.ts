/** HTTP/2 to files: each call is written once, whole, with its own time, and gets a response. */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileCounters } from "../../src/files/counters.ts";
import { FileConnector } from "../../src/files/file-connector.ts";
import { CALLS_MAX } from "../../src/files/http2-filing.ts";
import { RequestFile } from "../../src/files/request-file.ts";
import type { SocketEvents, UpstreamSocket } from "../../src/forward/socket.ts";
import { type FrameListener, FrameReader } from "../../src/http/http2/frame-reader.ts";
import { Setting } from "../../src/http/http2/frames.ts";
import { HpackDecoder } from "../../src/http/http2/hpack-decoder.ts";
import { ResponseHead } from "../../src/http/http2/response-head.ts";
import { Slices } from "../../src/files/slices.ts";
import { Redactor } from "../../src/redact/redactor.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import { run, TemporaryDirectory } from "../executable/program.ts";
import {
  data,
  type Fields,
  get,
  headers,
  PREFACE,
  pseudo,
  reset,
  SETTINGS,
  windowUpdate,
} from "../http/http2/client-frames.ts";
import { http2Faults, http2Mirror } from "../servers/http2.ts";
import { pcap } from "../support/frames.ts";
import { Random } from "../support/random.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const TIME_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
const LIMITS = { maxHeaderBytes: 1000, maxRequestBytes: 10_000, maxCompareBytes: 1000 };
const FRAME_BYTES = 5000;

const post = (stream: number, path: string, body: string, fields: Fields = []) => [
  headers(stream, [...pseudo("POST", path), ...fields]),
  ...Array.from({ length: Math.ceil(body.length / FRAME_BYTES) }, (_, i) =>
    data(stream, body.slice(i * FRAME_BYTES, (i + 1) * FRAME_BYTES), (i + 1) * FRAME_BYTES >= body.length),
  ),
];
const lines = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

let made = 0;

/** Sends frames on one connection to a file, in pieces, and ends. Returns the file's content, and the responses. */
async function file(frames: readonly Buffer[], pieceBytes: number) {
  const path = join(directory.path, `requests-${made++}.ndjson`);
  const counters = fileCounters();
  const requests = new RequestFile({ path, fileBytesMax: 1 << 20, thread: undefined }, counters, { fileFailed() {} });
  const filing = { file: requests, limits: LIMITS, redactor: new Redactor([], true), counters, slices: new Slices() };
  const said: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const events: SocketEvents = {
    capturedMs: TIME_MS,
    opened(socket: UpstreamSocket) {
      const bytes = Buffer.concat([PREFACE, SETTINGS, ...frames]);
      for (let at = 0; at < bytes.length; at += pieceBytes)
        socket.write(bytes, at, Math.min(pieceBytes, bytes.length - at));
      socket.shutdown();
    },
    failed() {},
    writable() {},
    received: (bytes) => void said.push(Buffer.from(bytes)),
    ended() {},
    closed: () => resolve(),
  };
  new FileConnector(filing).connect(null, events);
  await promise;
  await requests.end();
  const heard = new Heard();
  for (const bytes of said) heard.push(bytes);
  return { filed: lines(path), ...heard, counters };
}

/** The received frames of a connection to a file. */
class Heard implements Partial<FrameListener> {
  /** The statuses of the responses, by the numbers of their streams. */
  readonly statuses: Record<number, number> = {};
  /** The bytes granted for the connection's window. */
  granted = 0;
  readonly #reader = new FrameReader(this as unknown as FrameListener, 1000, 16_384);
  readonly #decoder = new HpackDecoder();

  push(bytes: Buffer): void {
    this.#reader.push(bytes, 0, bytes.length);
  }
  readonly settings = new Map<number, number>();
  setting(name: number, value: number): void {
    this.settings.set(name, value);
  }
  settingsEnd(): void {}
  windowUpdate(stream: number, increment: number): void {
    if (stream === 0) this.granted += increment;
  }
  headers(stream: number, block: Buffer, length: number, endsStream: boolean): void {
    const head = new ResponseHead();
    head.begin(false);
    expect([this.#decoder.decode(block, length, head), endsStream]).toEqual([true, true]);
    this.statuses[stream] = head.status;
  }
}

const EXTENDED: Fields = [
  [":method", "CONNECT"],
  [":protocol", "websocket"],
  [":scheme", "http"],
  [":path", "/chat"],
  [":authority", "production"],
];
const HOST = ["host", "production"];
const ordinary = (method: string, target: string, more: object = {}) => ({
  time: new Date(TIME_MS).toISOString(),
  connection: 1,
  method,
  target,
  headers: [HOST],
  ...more,
});

describe("the frames of a connection", () => {
  const large = "x".repeat(LIMITS.maxRequestBytes);
  const huge = "y".repeat(LIMITS.maxRequestBytes + LIMITS.maxHeaderBytes);
  const cases: [what: string, frames: Buffer[], filed: object[], statuses: Record<number, number>, taken: number][] = [
    ["a GET", [get(1, "/a?b=c")], [ordinary("GET", "/a?b=c")], { 1: 204 }, 0],
    [
      "two at a time, in the order of their ends",
      [headers(1, pseudo("POST", "/1")), get(3, "/3"), data(1, "a"), windowUpdate(0), data(1, "b", true)],
      [ordinary("GET", "/3"), ordinary("POST", "/1", { body: "ab" })],
      { 1: 204, 3: 204 },
      2,
    ],
    ["bytes", post(1, "/", "\xff"), [ordinary("POST", "/", { body_base64: "/w==" })], { 1: 204 }, 1],
    [
      "fields in their order",
      post(1, "/", "a", [
        ["b", "1"],
        ["a", "2"],
        ["b", "3"],
      ]),
      [ordinary("POST", "/", { headers: [HOST, ["b", "1"], ["a", "2"], ["b", "3"]], body: "a" })],
      { 1: 204 },
      1,
    ],
    [
      "a trailer section, which no file has",
      [headers(1, pseudo("POST", "/")), data(1, "a"), headers(1, [["x-t", "1"]], { end: true })],
      [ordinary("POST", "/", { body: "a" })],
      { 1: 204 },
      1,
    ],
    ["the largest", post(1, "/", large), [ordinary("POST", "/", { body: large })], { 1: 204 }, large.length],
    [
      "too large a one",
      [...post(1, "/", huge), get(3, "/3")],
      [ordinary("GET", "/3")],
      { 1: 413, 3: 204 },
      huge.length,
    ],
    ["a cancelled one", [headers(1, pseudo("POST", "/")), data(1, "a"), reset(1)], [], {}, 1],
    ["one that is cut off", [headers(1, pseudo("POST", "/")), data(1, "a")], [], {}, 1],
    [
      "an extended CONNECT",
      [headers(1, EXTENDED), data(1, "hi", true)],
      [ordinary("CONNECT", "/chat", { body: "hi" })],
      { 1: 204 },
      2,
    ],
    ["other bytes than HTTP/2", [get(1, "/1"), Buffer.alloc(100, 0xff)], [ordinary("GET", "/1")], { 1: 204 }, 0],
  ];
  test.each(cases)("%s", async (_what, frames, filed, statuses, taken) => {
    for (const pieceBytes of [1 << 20, 7]) {
      const outcome = await file(frames, pieceBytes);
      expect(outcome).toMatchObject({ filed, statuses });
      // The window gets the taken bytes back at once; otherwise a long call would stand still.
      expect(outcome.granted).toBe(taken);
      expect(outcome.settings.get(Setting.MAX_CONCURRENT_STREAMS)).toBe(CALLS_MAX);
      expect(outcome.counters).toMatchObject({
        requests: filed.length,
        dropped_requests: Object.values(statuses).filter((status) => status === 413).length,
      });
    }
  });
});

test("calls of a mirror are in every file once, with their own times, beside requests of HTTP/1", async () => {
  const body = "b".repeat(100_000);
  const long = "c".repeat(300_000);
  const calls = [get(1, "/1"), Buffer.concat(post(3, "/3", body)), get(5, "/5"), Buffer.concat(post(7, "/7", long))];
  const pieces = [Buffer.concat([PREFACE, SETTINGS]), ...calls.flatMap(segments)].map((piece) =>
    Uint8Array.from(piece),
  );
  const http2 = session(pieces);
  const http1 = session(["GET /plain HTTP/1.1\r\nHost: production\r\n\r\n"], 41_000);
  const savefile = directory.file("mirror.pcap", pcap([...http2, ...http1]));
  const [ndjson, har, summary] = ["calls.ndjson", "calls.har", "summary.json"].map((name) =>
    join(directory.path, name),
  );
  const files = ["--also", `file:${har}`, `--summary`, summary!, String(VNI), String(PORT), `file:${ndjson}`];
  const { status, stderr } = await run(["--read", savefile, "--max-request-bytes", "200000", ...files]);
  expect({ status, warnings: /error|warn/i.exec(stderr)?.[0] }).toEqual({ status: 0, warnings: undefined });

  // Each call's first segment gives its time.
  const timeOf = (piece: number) => new Date(http2[1 + piece]!.timestampMs!).toISOString();
  const filed = lines(ndjson!).toSorted((a, b) => a.target.localeCompare(b.target));
  expect(filed.map(({ method, target, body = "" }) => `${method} ${target} ${body.length}`)).toEqual([
    "GET /1 0",
    `POST /3 ${body.length}`,
    "GET /5 0",
    "GET /plain 0",
  ]);
  const [one, three, five] = filed;
  const behind = 2 + segments(calls[1]!).length;
  expect([one.time, three.time, five.time]).toEqual([timeOf(1), timeOf(2), timeOf(behind)]);
  expect(new Set([one, three, five].map(({ connection }) => connection)).size).toBe(1);
  const { entries } = JSON.parse(readFileSync(har!, "utf8")).log;
  const shown = entries.map(({ request: { url, httpVersion } }: { request: Record<string, string> }) => [
    url,
    httpVersion,
  ]);
  expect(shown.toSorted()).toEqual([
    ["http://production/1", "HTTP/2.0"],
    ["http://production/3", "HTTP/2.0"],
    ["http://production/5", "HTTP/2.0"],
    ["http://production/plain", "HTTP/1.1"],
  ]);
  const counters = JSON.parse(readFileSync(summary!, "utf8"));
  const all = { seen: 5, forwarded: 5, answered: 5 };
  expect(counters.requests).toMatchObject(all);
  expect(counters.destinations[0].requests).toMatchObject(all);
  expect(counters.responses).toMatchObject({ "2xx": 4, "4xx": 1 });
  expect(counters.file).toMatchObject({ requests: 8, dropped_requests: 2 });
});

test("requests of every kind, several at a time, are in a file as a server would have served them", async () => {
  const { savefile, wanted } = http2Mirror(new Random(41), { connections: 4, requests: 30, hasTrailers: true });
  const [read, path] = [directory.file("kinds.pcap", savefile), join(directory.path, "kinds.ndjson")];
  const { status } = await run(["--read", read, "--no-redact", String(VNI), String(PORT), `file:${path}`]);
  expect(status).toBe(0);
  const filed = lines(path).map(({ method, target, headers, body = "", body_base64: bytes }) => {
    const content = bytes === undefined ? Buffer.from(body) : Buffer.from(bytes, "base64");
    const id = headers.find(([name]: string[]) => name === "x-id")[1];
    return { method, target, id, length: content.length, digest: Bun.SHA256.hash(content, "hex"), port: 0 };
  });
  expect(http2Faults(wanted, filed)).toEqual([]);
});

const SEGMENT_BYTES = 60_000;

function segments(bytes: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / SEGMENT_BYTES) }, (_, i) =>
    bytes.subarray(i * SEGMENT_BYTES, (i + 1) * SEGMENT_BYTES),
  );
}
