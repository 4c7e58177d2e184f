/** The behaviour of clients and endpoints in public reports: our own input of each kind, and that of ../shared. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY, TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import { forward, identityFaults, type Mirror, type Outcome } from "../servers/mirror.ts";
import { OK, RawEndpoint, type Respond } from "../servers/raw-endpoint.ts";
import { type CapturedFrame, pcap } from "../support/frames.ts";

const SHARED = join(REPOSITORY, "../shared/captures/reports");
const SHARED_VNI = 5_569_041;
/** The port of the server in java_h2c.pcap. */
const JAVA_PORT = 19_001;
const LOST_MAX = 5;
const POSTS = 60;
const POST_BYTES = 200_000;
const SEGMENT_BYTES = 1400;
const YEARS_80_MS = 80 * 365 * 24 * 3600 * 1000;

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

interface Report {
  name: string;
  /** In ../shared; its port is 80 unless `port` is given. */
  file?: string;
  port?: number;
  /** A capture of the same kind, made here. */
  own: CapturedFrame[];
  flags?: string[];
  respond?: Respond;
  check: (endpoint: RawEndpoint, outcome: Outcome) => void;
}

function get(target: string, fields = ""): string {
  return `GET ${target} HTTP/1.1\r\nHost: prod.example\r\n${fields}\r\n`;
}

function post(target: string, body: string, fields = ""): string {
  return `POST ${target} HTTP/1.1\r\n${fields}Content-Length: ${body.length}\r\nHost: prod.example\r\n\r\n${body}`;
}

/** Numbers from 0 on. */
function count(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

const H2C =
  "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\nUpgrade: h2c\r\n";
/** The bytes of an endpoint that goes on in HTTP/2: the switch, and its settings. */
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const closesSilently: Respond = ({ socket }) => void socket.end(OK);
const says: (response: string) => Respond =
  (response) =>
  ({ socket }) =>
    void socket.end(response, "latin1");
const CLOSING = OK.replace("200 OK\r\n", "200 OK\r\nConnection: close\r\n");

/** POSTs and GETs in turn. */
const offers = session(count(4).flatMap((i) => [post(`/${i + 1}`, `hello${i + 1}`, H2C), get(`/g${i + 1}`, H2C)]));
const OFFERING = count(4).flatMap((i) => [`/${i + 1}`, `/g${i + 1}`]);

function targets(endpoint: RawEndpoint): string[] {
  return endpoint.lines().map((line) => line.split(" ")[1]!);
}
const PROXY_LINE = "PROXY TCP4 203.0.113.7 10.0.0.3 51000 80\r\n";
const proxied = session([PROXY_LINE + get("/1"), get("/2"), get("/3")]);

/** A large POST, and in its middle a frame of another connection with a time stamp this far ahead. */
function stepped(aheadMs: number): CapturedFrame[] {
  const body = post("/2", "y".repeat(POST_BYTES));
  const pieces = Array.from({ length: Math.ceil(body.length / SEGMENT_BYTES) }, (_, i) =>
    body.slice(i * SEGMENT_BYTES, (i + 1) * SEGMENT_BYTES),
  );
  const frames = session([get("/1"), ...pieces]);
  const middle = frames.length >> 1;
  const [stray] = session([], 50_000) as [CapturedFrame];
  return frames.toSpliced(middle, 0, { ...stray, timestampMs: frames[middle]!.timestampMs + aheadMs });
}

function expectAll(outcome: Outcome, requests: number): void {
  expect(outcome.status).toBe(0);
  expect(outcome.counters.requests).toMatchObject({
    seen: requests,
    forwarded: requests,
    answered: requests,
    damaged: 0,
  });
}

const arrives = (endpoint: RawEndpoint, outcome: Outcome) => {
  const isOfTheOther = (line: string) => line === "GET /3";
  expect(endpoint.lines().filter((line) => !isOfTheOther(line))).toEqual(["GET /1", "POST /2"]);
  expect(endpoint.requests().filter((request) => request.endsWith(`\r\n\r\n${"y".repeat(POST_BYTES)}`))).toHaveLength(
    1,
  );
  expectAll(outcome, endpoint.lines().length);
};

const REPORTS: Report[] = [
  {
    name: "offers of h2c on every request, which the endpoint ignores",
    file: "java_h2c.pcap",
    port: JAVA_PORT,
    own: offers,
    check: (endpoint, outcome) => {
      expect(targets(endpoint)).toEqual(OFFERING);
      expectAll(outcome, 8);
    },
  },
  {
    name: "offers of h2c on every request, which the endpoint accepts",
    file: "java_h2c.pcap",
    port: JAVA_PORT,
    own: offers,
    respond: ({ socket }) => void socket.write(SWITCHED, "latin1"),
    check: (endpoint, outcome) => {
      expect(targets(endpoint)).toEqual(OFFERING);
      expect(endpoint.connections.map(({ rest }) => rest)).toEqual(count(8).map(() => ""));
      expectAll(outcome, 8);
    },
  },
  {
    name: "a PROXY protocol line, passed on each connection to the endpoint",
    file: "pp1.pcap",
    own: proxied,
    respond: says(CLOSING),
    check: (endpoint, outcome) => {
      expect(endpoint.lines()).toEqual(["GET /1", "GET /2", "GET /3"]);
      expect(endpoint.connections.map(({ preamble }) => preamble)).toEqual([PROXY_LINE, PROXY_LINE, PROXY_LINE]);
      expectAll(outcome, 3);
    },
  },
  {
    name: "a PROXY protocol line, stripped",
    file: "pp1.pcap",
    own: proxied,
    flags: ["--proxy-protocol", "strip"],
    check: (endpoint, outcome) => {
      expect(endpoint.lines()).toEqual(["GET /1", "GET /2", "GET /3"]);
      expect(endpoint.connections.map(({ preamble }) => preamble)).toEqual([""]);
      expectAll(outcome, 3);
    },
  },
  {
    name: "a control character in a cookie",
    file: "ctlcookie.pcap",
    own: session(count(5).map((i) => get(`/${i}`, "Cookie: sid=1; ___utmva=w\x01Dn\r\n"))),
    check: (endpoint, outcome) => {
      expect(endpoint.lines()).toEqual(count(5).map((i) => `GET /${i}`));
      expect(endpoint.requests().filter((request) => request.includes("\x01"))).toHaveLength(5);
      expectAll(outcome, 5);
    },
  },
  {
    name: "POSTs to an endpoint that closes after each response without an announcement",
    file: "posts60.pcap",
    own: session(count(POSTS).map((i) => post(`/${i}`, "x".repeat(50)))),
    respond: closesSilently,
    check: (endpoint, { counters, status }) => {
      const { unanswered } = counters.responses;
      expect(status).toBe(0);
      expect(counters.requests).toMatchObject({ seen: POSTS, forwarded: POSTS, damaged: 0 });
      expect(unanswered).toBeLessThanOrEqual(LOST_MAX);
      expect(endpoint.lines()).toHaveLength(POSTS - unanswered);
      expect(new Set(endpoint.lines()).size).toBe(POSTS - unanswered);
    },
  },
  {
    name: "an absolute-form target, with --host",
    file: "abs.pcap",
    own: session([get("http://prod.example/ready")]),
    flags: ["--host", "test.example"],
    check: (endpoint, outcome) => {
      const [request] = endpoint.requests();
      expect(request).not.toContain("prod.example");
      expect(request).toStartWith("GET http://test.example/ready HTTP/1.1\r\n");
      expect(request).toMatch(/\r\nHost: test\.example\r\n/);
      expectAll(outcome, 1);
    },
  },
  { name: "a frame of another connection 301 s ahead", file: "r_step.pcap", own: stepped(301_000), check: arrives },
  { name: "a frame of another connection 80 years ahead", own: stepped(YEARS_80_MS), check: arrives },
];

async function check(mirror: Mirror, { flags = [], respond, check }: Report): Promise<void> {
  using endpoint = await RawEndpoint.listen(respond === undefined ? {} : { respond });
  const outcome = await forward(mirror, endpoint.address, directory, ["--response-timeout-ms", "1500", ...flags]);
  check(endpoint, outcome);
  expect(identityFaults(outcome.counters)).toEqual([]);
}

describe("our own input", () => {
  for (const report of REPORTS)
    test(report.name, () => check({ savefile: pcap(report.own), vni: VNI, port: PORT }, report), 20_000);
});

const isShared = existsSync(SHARED);
if (!isShared)
  console.warn("skipped: inputs after public reports (there is no ../shared/captures/reports beside this repository)");

describe.if(isShared)("the input of ../shared", () => {
  for (const report of REPORTS.filter(({ file }) => file !== undefined)) {
    test(
      `${report.name}: ${report.file}`,
      () => check({ savefile: join(SHARED, report.file!), vni: SHARED_VNI, port: report.port ?? PORT }, report),
      20_000,
    );
  }
});
