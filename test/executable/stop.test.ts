/**
 * SIGTERM in every state: the program ends within the time for responses plus a second, with status 0; its counters add
 * up, and its files are whole.
 */
import { expect, test } from "bun:test";
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { brokenIdentities, END_MS_MAX } from "../hostile/attack.ts";
import { block, frame as http2Frame, PREFACE, pseudo } from "../http/http2/client-frames.ts";
import { Flag, FrameType } from "../../src/http/http2/frames.ts";
import { type CapturedFrame, pcap } from "../support/frames.ts";
import { run, start, TemporaryDirectory } from "./program.ts";
import { RecordingEndpoint, refusingAddress } from "./recording-endpoint.ts";
import { PORT, REQUEST, session, VNI } from "./sessions.ts";

const UPLOAD = `POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n${"x".repeat(1000)}`;
const CALL = Buffer.concat([
  PREFACE,
  http2Frame(FrameType.SETTINGS, 0, 0),
  http2Frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, block(pseudo("GET", "/call"))),
]);
const HOUR_MS = 3_600_000;
/** The time for responses, less a tolerance for a busy machine. */
const WAITED_MS_MIN = 4000;

interface Scene {
  /** An endpoint that takes all bytes, and does not respond. */
  readonly silent: RecordingEndpoint;
  readonly directory: TemporaryDirectory;
  /** The path of a file in the directory. */
  path(name: string): string;
}

interface State {
  readonly what: string;
  readonly flags?: (scene: Scene) => string[];
  /** The destination of the requests; unset: the silent endpoint. */
  readonly forwardTo?: (scene: Scene) => string;
  /** The frames that are read; the source stays open. */
  readonly frames?: CapturedFrame[];
  /** From a growing file instead of standard input. */
  readonly isFollowed?: boolean;
  /** The amount that the silent endpoint must have got; unset: anything. */
  readonly until?: (scene: Scene) => boolean;
  /** Instead, the words that the program must have written. */
  readonly says?: string;
  /** The program waits for responses for the whole allowed time. */
  readonly isWaitedFor?: boolean;
  readonly check?: (scene: Scene, summary: any) => void | Promise<void>;
}

const requests = session([REQUEST, REQUEST, REQUEST]).slice(0, -1);
const hasBytes = ({ silent }: Scene) => silent.text().length > 0;
const connections =
  (count: number) =>
  ({ silent }: Scene) =>
    silent.connections.filter(({ chunks }) => chunks.length > 0).length >= count;
const linesOf = (path: string) => readFileSync(path, "utf8").split("\n").filter(Boolean);

const STATES: State[] = [
  { what: "requests in flight, and others that wait behind them", isWaitedFor: true },
  {
    what: "a streamed request",
    flags: () => ["--max-request-bytes", "100"],
    frames: session([UPLOAD]).slice(0, -1),
  },
  { what: "mode tcp", flags: () => ["--mode", "tcp"] },
  {
    what: "--compare, and responses of neither side",
    flags: ({ path }) => ["--compare", "--differences", path("differences")],
    check: ({ path }, { comparison, requests: { seen } }) => {
      const { compared, not_comparable: not } = comparison;
      const uncompared = Object.values(not as Record<string, number>).reduce((sum, count) => sum + count, 0);
      expect(compared + uncompared).toBe(seen);
      expect(linesOf(path("differences"))).toEqual([]);
    },
  },
  {
    what: "--control that says nothing",
    flags: ({ silent }) => ["--compare", "--control", silent.address],
    until: connections(2),
  },
  { what: "--also that says nothing", flags: ({ silent }) => ["--also", silent.address], until: connections(2) },
  { what: "--also that takes no connection", flags: () => ["--also", refusingAddress()] },
  {
    what: "--also to a file",
    flags: ({ path }) => ["--also", `file:${path("also.ndjson")}`],
    check: ({ path }) => {
      for (const line of linesOf(path("also.ndjson"))) JSON.parse(line);
    },
  },
  { what: "an endpoint that takes no connection", forwardTo: () => refusingAddress(), says: "Cannot connect to" },
  {
    what: "lines of JSON as the endpoint",
    forwardTo: ({ path }) => `file:${path("requests.ndjson")}`,
    says: "Reading",
    check: ({ path }, { requests: { forwarded } }) => {
      expect(linesOf(path("requests.ndjson")).map((line) => JSON.parse(line))).toHaveLength(forwarded);
    },
  },
  {
    what: "a HAR as the endpoint",
    forwardTo: ({ path }) => `file:${path("requests.har")}`,
    says: "Reading",
    check: ({ path }, { requests: { forwarded } }) => {
      expect(JSON.parse(readFileSync(path("requests.har"), "utf8")).log.entries).toHaveLength(forwarded);
    },
  },
  {
    what: "--record",
    flags: ({ path }) => ["--record", path("kept.pcapng")],
    async check({ path }, { frames }) {
      const again = path("again.json");
      const args = ["--dry-run", "--summary", again, "--read", path("kept.0.pcapng"), String(VNI), String(PORT), "a:1"];
      expect((await run(args)).status).toBe(0);
      expect(JSON.parse(readFileSync(again, "utf8")).frames.segments).toBe(frames.segments);
    },
  },
  { what: "a TLS handshake that is not responded to", forwardTo: ({ silent }) => `https://${silent.address}` },
  {
    what: "calls of HTTP/2",
    frames: session([CALL]).slice(0, -1),
    until: ({ silent }) => silent.text().includes("PRI * "),
  },
  {
    what: "--speed 1, and an hour until the next record",
    flags: () => ["--speed", "1"],
    frames: [
      ...requests,
      ...session([REQUEST], 40_001).map((each) => ({ ...each, timestampMs: each.timestampMs + HOUR_MS })),
    ],
  },
  { what: "--follow", isFollowed: true, flags: () => ["--follow"] },
  { what: "--loop", isFollowed: true, flags: () => ["--loop", "1000"] },
];

/** Connections to --admin with no request, half a request, and a whole one. */
async function askAdmin(port: number): Promise<void> {
  for (const text of ["", "GET /met", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"])
    await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { open: (socket) => void socket.write(text), data() {}, error() {} },
    });
}

async function stopIn({
  what,
  flags,
  forwardTo,
  frames = requests,
  isFollowed,
  until,
  says,
  isWaitedFor,
  check,
}: State): Promise<void> {
  using silent = new RecordingEndpoint({ staysOpen: true });
  using directory = new TemporaryDirectory();
  const scene: Scene = { silent, directory, path: (name) => join(directory.path, name) };
  const summary = scene.path("summary.json");
  const savefile = isFollowed === true ? directory.file("growing.pcap", pcap(frames)) : "-";
  const common = ["--admin", "0", "--summary", summary, ...(flags?.(scene) ?? [])];
  const address = forwardTo?.(scene) ?? silent.address;
  using running = start([...common, "--read", savefile, String(VNI), String(PORT), address], { stdin: "open" });
  const [, port] = (await running.line("status page at ")).match(/http:\S+:(\d+)/)!;
  await askAdmin(Number(port));
  if (isFollowed === true) appendFileSync(savefile, "");
  else await running.write(pcap(frames));
  if (says === undefined) await silent.until(() => (until ?? hasBytes)(scene));
  else await running.says(says);
  const beganMs = performance.now();
  running.signal("SIGTERM");
  const { status, stderr } = await running.outcome;
  const endMs = performance.now() - beganMs;
  expect([what, status, stderr.includes("Totals: ")]).toEqual([what, 0, true]);
  expect(endMs, what).toBeLessThan(END_MS_MAX);
  if (isWaitedFor === true) expect(endMs, what).toBeGreaterThan(WAITED_MS_MIN);
  const counted = JSON.parse(readFileSync(summary, "utf8"));
  const broken = [counted, ...(counted.destinations ?? [])].flatMap((each) =>
    brokenIdentities({ ...counted, ...each }),
  );
  expect([what, broken]).toEqual([what, []]);
  await check?.(scene, counted);
}

test("SIGTERM ends it in each state, within the time for responses", async () => {
  await Promise.all(STATES.map(stopIn));
}, 60_000);
