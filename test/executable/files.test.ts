/** Files as destinations: the requests of a savefile in them. */
import { expect, test } from "bun:test";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import { Random } from "../support/random.ts";
import { type CapturedFrame, mirroredSegment, pcap } from "../support/frames.ts";
import { PROGRAM, run, TemporaryDirectory } from "./program.ts";

const VNI = 7;
const START_MS = 1_750_000_000_000;
const PASSWORD = "hunter2hunter2";

const RESPONSE_BEGINNING = "HTTP/1.1";
const SERVER_START = 5000;

/**
 * One connection for each list of requests, or parts of requests; the connections begin a millisecond apart. Text that
 * begins as a response is the server's.
 */
function savefile(connections: readonly (readonly string[])[]): Uint8Array {
  const frames: CapturedFrame[] = [];
  connections.forEach((texts, connection) => {
    let [sequence, acknowledgment] = [1000, SERVER_START];
    const port = 40_000 + connection;
    const send = (flags: string, text: string, timestampMs: number) => {
      const payload = new TextEncoder().encode(text);
      const ports = { sourcePort: port, destinationPort: 80 };
      const addresses = { source: "10.0.0.1", destination: "10.0.0.2" };
      const segment = { ...addresses, ...ports, sequence, acknowledgment, flags, payload };
      frames.push({ frame: mirroredSegment(segment, VNI), timestampMs });
      sequence += payload.length + (flags === "A" ? 0 : 1);
    };
    const respond = (flags: string, text: string, timestampMs: number) => {
      const payload = new TextEncoder().encode(text);
      const ports = { sourcePort: 80, destinationPort: port };
      const addresses = { source: "10.0.0.2", destination: "10.0.0.1" };
      const numbers = { sequence: acknowledgment, acknowledgment: sequence };
      frames.push({ frame: mirroredSegment({ ...addresses, ...ports, ...numbers, flags, payload }, VNI), timestampMs });
      acknowledgment += payload.length;
    };
    const startMs = START_MS + connection;
    send("S", "", startMs);
    texts.forEach((text, i) => (text.startsWith(RESPONSE_BEGINNING) ? respond : send)("A", text, startMs + i * 10));
    send("FA", "", startMs + texts.length * 10);
  });
  return pcap(frames);
}

const json = JSON.stringify({ user: "ü", password: PASSWORD });
const fields = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(json)}\r\n`;
const REQUESTS = [
  [
    `GET /a?q=1&password=${PASSWORD} HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer ${PASSWORD}\r\n\r\n`,
    `POST /b HTTP/1.1\r\nHost: shop.test\r\n${fields}\r\n${json}`,
  ],
  ["POST /c HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"],
];

test("each request is in every file once, with its time, its connection and no secret", async () => {
  using directory = new TemporaryDirectory();
  const [ndjson, har, summary] = ["requests.ndjson", "requests.har", "summary.json"].map((name) =>
    join(directory.path, name),
  ) as [string, string, string];
  const read = directory.file("mirror.pcap", savefile(REQUESTS));
  const args = ["--read", read, "--also", `file:${har}`, "--summary", summary, String(VNI), "80", `file:${ndjson}`];
  const { status, stderr } = await run(args);
  expect({ status, stderr: /error|warn/i.exec(stderr)?.[0] }).toEqual({ status: 0, stderr: undefined });

  const lines = readFileSync(ndjson, "utf8").trimEnd().split("\n");
  const filed = lines.map((line) => JSON.parse(line)).toSorted((a, b) => a.time.localeCompare(b.time));
  const time = (ms: number) => new Date(START_MS + ms).toISOString();
  const first = filed[0].connection;
  const second = filed[1].connection;
  expect(first).not.toBe(second);
  expect(filed).toEqual([
    {
      time: time(0),
      connection: first,
      method: "GET",
      target: "/a?q=1&password=[redacted]",
      headers: [
        ["Host", "shop.test"],
        ["Authorization", "[redacted]"],
      ],
    },
    {
      time: time(1),
      connection: second,
      method: "POST",
      target: "/c",
      headers: [
        ["Host", "shop.test"],
        ["Transfer-Encoding", "chunked"],
      ],
      body: "abcde",
    },
    {
      time: time(10),
      connection: first,
      method: "POST",
      target: "/b",
      headers: [
        ["Host", "shop.test"],
        ["Content-Type", "application/json"],
        ["Content-Length", String(Buffer.byteLength(json))],
      ],
      body: '{"user":"ü","password":"[redacted]"}',
    },
  ]);

  const { entries } = JSON.parse(readFileSync(har, "utf8")).log;
  const urls = entries.map(({ request }: { request: { url: string } }) => request.url).toSorted();
  expect(urls).toEqual(["http://shop.test/a?q=1&password=[redacted]", "http://shop.test/b", "http://shop.test/c"]);
  expect(readFileSync(har, "utf8")).not.toContain(PASSWORD);

  const counters = JSON.parse(readFileSync(summary, "utf8"));
  expect(counters.file).toMatchObject({ requests: 6, dropped_requests: 0 });
  expect(counters.requests).toMatchObject({ seen: 3, forwarded: 3, answered: 3 });
  expect(counters.destinations[0]).toMatchObject({ address: `file:${har}`, requests: { forwarded: 3, answered: 3 } });
  for (const path of [ndjson, har]) {
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect([existsSync(`${path}.a`), existsSync(`${path}.b`)]).toEqual([false, false]);
  }
});

test("a file that cannot be created is reported at once", async () => {
  using directory = new TemporaryDirectory();
  const read = directory.file("mirror.pcap", savefile(REQUESTS));
  const { status, stderr } = await run(["--read", read, String(VNI), "80", `file:${directory.path}/none/requests.har`]);
  expect(status).toBe(1);
  expect(stderr).toContain(`Cannot write requests to ${directory.path}/none/requests.har: `);
});

/** `KILLS=50 bun test test/executable/files.test.ts` for more. */
const KILLS = Number(process.env.KILLS ?? 5);
const KILL_DELAY_MS_MAX = Number(process.env.KILL_DELAY_MS_MAX ?? 250);
/** More than the kernel writes at a time, and more than a page. */
const BODY_LENGTHS = [0, 1, 5000, 60_000, 1, 200_000, 300, 0];
const SEGMENT_LENGTH = 60_000;
/** More than can be written before the last kill. */
const CONNECTIONS = 4;
const ROUNDS = 40;

/** Requests that name the lengths of their bodies and of their responses' bodies, again and again. */
function lengthy(): Uint8Array {
  const texts = BODY_LENGTHS.flatMap((length, i) => {
    const said = Math.min(BODY_LENGTHS.at(-1 - i)!, SEGMENT_LENGTH - 100);
    const fields = (bytes: number) => `Content-Length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`;
    const request = `POST /${said}/${length} HTTP/1.1\r\nHost: a\r\n${fields(length)}`;
    return [request, `${RESPONSE_BEGINNING} 200 OK\r\n${fields(said)}`];
  });
  const pieces = texts.flatMap((text) => text.match(new RegExp(`[^]{1,${SEGMENT_LENGTH}}`, "g"))!);
  return savefile(Array.from({ length: CONNECTIONS }, () => Array.from({ length: ROUNDS }, () => pieces).flat()));
}

interface Entry {
  request: { url: string; postData?: { text: string } };
  response: { content: { text?: string } };
}

/** The requests in all files of a directory. Each must be whole, and its response too, if it has one. */
function wholeEntries(directory: string, extension: string): { requests: number; responses: number } {
  const count = { requests: 0, responses: 0 };
  for (const name of readdirSync(directory).filter((each) => each.endsWith(extension))) {
    const text = readFileSync(join(directory, name), "utf8");
    const lines = text.split("\n").slice(0, -1);
    const bodies: [target: string, body: string, said: string | undefined][] =
      extension === ".har"
        ? (JSON.parse(text).log.entries as Entry[]).map(({ request, response }) => [
            request.url,
            request.postData?.text ?? "",
            response.content.text,
          ])
        : lines
            .map((line) => JSON.parse(line))
            .map(({ target, body, response }) => [target, body ?? "", response?.body]);
    for (const [target, body, said] of bodies) {
      const [wanted, length] = target.split("/").slice(-2).map(Number) as [number, number];
      expect(body.length).toBe(length);
      if (said === undefined) continue;
      expect(said.length).toBe(wanted);
      count.responses++;
    }
    count.requests += bodies.length;
  }
  return count;
}

test.concurrent.each([".har", ".ndjson"])(
  "%s is whole after kill -9 at any moment",
  async (extension) => {
    using directory = new TemporaryDirectory();
    const read = directory.file("mirror.pcap", lengthy());
    const random = new Random(KILLS);
    for (let kill = 0; kill < KILLS; kill++) {
      using target = new TemporaryDirectory();
      const watcher = watch(target.path);
      const begun = once(watcher, "change");
      const options = ["--read", read, "--no-redact", "--compare", "--file-max-mib", "1"];
      const path = `file:${target.path}/requests${extension}`;
      const program = Bun.spawn([PROGRAM, ...options, String(VNI), "80", path], { stdout: "ignore", stderr: "ignore" });
      await begun;
      watcher.close();
      await Bun.sleep(random.int(0, KILL_DELAY_MS_MAX));
      program.kill("SIGKILL");
      await program.exited;
      const { requests, responses } = wholeEntries(target.path, extension);
      if (process.env.KILLS !== undefined)
        console.log(`${requests} requests, ${responses} responses in ${readdirSync(target.path).join(", ")}`);
    }
  },
  60_000 + KILLS * 1000,
);
