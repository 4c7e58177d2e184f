import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { SIGNAL_ECHO_MS } from "../../src/run/stop.ts";
import { canIsolate, run, type Running, start, TemporaryDirectory } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { oneRequest, PORT, QUICK_TCP, REQUEST, session, VNI } from "./sessions.ts";
import { pcap } from "../support/frames.ts";

const directory = new TemporaryDirectory();
const capture = directory.file("one.pcap", oneRequest);
afterAll(() => directory[Symbol.dispose]());

const command = (endpoint: RecordingEndpoint, read = "-") => [
  ...QUICK_TCP,
  "--read",
  read,
  String(VNI),
  String(PORT),
  endpoint.address,
];

test("--version is one line: name, version, commit, Bun", async () => {
  for (const flag of ["--version", "-v"]) {
    const { status, stdout, stderr } = await run([flag]);
    expect(stdout).toMatch(/^vxlan-to-http \d+\.\d+\.\d+\S* \(commit \w+(-dirty)?, Bun \d+\.\d+\.\d+\)\n$/);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  }
});

test("--help is the usage, on standard output", async () => {
  for (const flag of ["--help", "-h"]) {
    const { status, stdout, stderr } = await run([flag]);
    expect(stdout).toContain(
      "\nUsage:\n  vxlan-to-http [options] <interface> <vni> <original_destination_port> <forward_addr>\n",
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  }
});

test("a savefile is forwarded, and standard error reports the run", async () => {
  using endpoint = new RecordingEndpoint();
  const { status, stdout, stderr } = await run(command(endpoint, capture));
  expect(endpoint.text()).toBe(REQUEST);
  expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
  expect(stderr).toContain("Totals: 3 frames captured, of which 3 were segments of ours");
  expect(stderr).toContain(`Endpoint: ${REQUEST.length} bytes on 1 connections`);
});

test("each form of forward_addr reaches its endpoint", async () => {
  const forms: [hostname: string, form: (port: number) => string][] = [
    ["127.0.0.1", (port) => `127.0.0.1:${port}`],
    ["127.0.0.1", (port) => `http://127.0.0.1:${port}/`],
    ["localhost", (port) => `localhost:${port}`],
    ["localhost", (port) => `HTTP://LOCALHOST:${port}`],
    ["::1", (port) => `[::1]:${port}`],
    ["::1", (port) => `http://[::1]:${port}`],
  ];
  const reach = async ([hostname, form]: (typeof forms)[number]) => {
    using endpoint = new RecordingEndpoint({ hostname });
    const { status } = await run([...command(endpoint, capture).slice(0, -1), form(endpoint.port)]);
    return { form: form(0), status, received: endpoint.text() };
  };
  const want = forms.map(([, form]) => ({ form: form(0), status: 0, received: REQUEST }));
  expect(await Promise.all(forms.map(reach))).toEqual(want);
});

test("a savefile without a frame of ours is no error", async () => {
  using endpoint = new RecordingEndpoint();
  const { status, stderr } = await run([
    ...QUICK_TCP,
    "--read",
    capture,
    String(VNI + 1),
    String(PORT),
    endpoint.address,
  ]);
  expect(status).toBe(0);
  expect(stderr).toContain("Not ours: 3 other_vni");
  expect(endpoint.connections).toHaveLength(0);
});

test("a savefile without a frame is no error", async () => {
  using endpoint = new RecordingEndpoint();
  const { status, stderr } = await run(command(endpoint), { stdin: pcap([]) });
  expect(status).toBe(0);
  expect(stderr).toContain("Totals: 0 frames captured");
});

test("--summary is one JSON object with the counters of the run, and replaces the file's content", async () => {
  using endpoint = new RecordingEndpoint();
  const summary = directory.file("summary.json", "what was there before, and is longer".repeat(1000));
  expect((await run([...command(endpoint, capture), "--summary", summary])).status).toBe(0);
  const text = readFileSync(summary, "utf8");
  expect(text.endsWith("}\n")).toBe(true);
  const counters = JSON.parse(text);
  expect(counters.frames).toMatchObject({ captured: 3, kernel_dropped: 0, segments: 3 });
  expect(counters.flows).toMatchObject({ opened: 1, picked_up: 0, closed: 1, evicted: 0, active: 0 });
  expect(counters.reassembly).toMatchObject({ out_of_order: 0, retransmitted_bytes: 0, gaps: 0, gap_bytes: 0 });
  expect(counters.upstream).toMatchObject({ connects: 1, connect_errors: 0, given_up: 0, bytes: REQUEST.length });
});

test("--log-format json: each line is an object, the last has all counters", async () => {
  using endpoint = new RecordingEndpoint();
  const { stderr } = await run([...command(endpoint, capture), "--log-format", "json", "--log-level", "trace"]);
  const objects = stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  for (const object of objects)
    expect(object).toMatchObject({
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      level: expect.stringMatching(/^(info|debug|warn)$/),
      message: expect.any(String),
    });
  expect(objects.at(-1)).toMatchObject({ level: "info", frames: { captured: 3 }, upstream: { bytes: REQUEST.length } });
});

test("RUST_LOG=off, and LOG_LEVEL=error: a successful run logs nothing", async () => {
  using endpoint = new RecordingEndpoint();
  for (const env of [{ RUST_LOG: "off" }, { LOG_LEVEL: "error", RUST_LOG: "trace" }]) {
    expect(await run(command(endpoint, capture), { env })).toEqual({ status: 0, stdout: "", stderr: "" });
  }
});

describe.concurrent("standard input", () => {
  test("bytes are forwarded while the pipe stays open, in any pieces", async () => {
    using endpoint = new RecordingEndpoint();
    const running = start(command(endpoint), { stdin: "open" });
    const pieces = ["POST /slow HTTP/1.1\r\nContent-Length: 4\r\n\r\n", "ab", "cd"];
    let expected = "";
    let sent = 0;
    // A savefile grows by whole frames; each addition is written in two parts, cut at any place.
    for (let count = 0; count <= pieces.length; count++) {
      const savefile = pcap(session(pieces.slice(0, count)).slice(0, 1 + count));
      const middle = sent + Math.ceil((savefile.length - sent) / (count + 2));
      await running.write(savefile.subarray(sent, middle));
      await running.write(savefile.subarray(middle));
      sent = savefile.length;
      expected += pieces[count - 1] ?? "";
      await endpoint.until(() => endpoint.connections.length === 1 && endpoint.text() === expected);
    }
    expect(endpoint.connections[0]).toMatchObject({ ended: false, closed: false });
    await running.closeStdin();
    await endpoint.until(() => endpoint.connections[0]!.closed);
    expect((await running.outcome).status).toBe(0);
    expect(endpoint.text()).toBe(expected);
  });

  test("one byte at a time", async () => {
    using endpoint = new RecordingEndpoint();
    const running = start(command(endpoint), { stdin: "open" });
    for (const byte of oneRequest) await running.write(Uint8Array.of(byte));
    await endpoint.until(() => endpoint.text() === REQUEST);
    await running.closeStdin();
    expect((await running.outcome).status).toBe(0);
  });
});

describe.concurrent("signals", () => {
  const totals = "Totals: 2 frames captured, of which 2 were segments of ours";
  const open = pcap(session([REQUEST]).slice(0, 2));

  /** Starts with a pipe that contains a connection without its end, and waits until its bytes have arrived. */
  async function underWay(endpoint: RecordingEndpoint, args: string[] = []): Promise<Running> {
    const running = start([...command(endpoint), ...args], { stdin: "open" });
    await running.write(open);
    await endpoint.until(() => endpoint.text() === REQUEST);
    return running;
  }

  for (const [signal, secondStatus] of Object.entries({ SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const)) {
    test(`${signal}: no more is read, connections end in order, totals and summary are written, exit status 0`, async () => {
      using endpoint = new RecordingEndpoint();
      const summary = join(directory.path, `${signal}.json`);
      const running = await underWay(endpoint, ["--summary", summary]);
      running.signal(signal as NodeJS.Signals);
      const { status, stderr } = await running.outcome;
      expect(status).toBe(0);
      expect(stderr).toContain(`${signal}: stopped capturing`);
      expect(stderr).toContain(totals);
      expect(JSON.parse(readFileSync(summary, "utf8")).upstream).toMatchObject({
        bytes: REQUEST.length,
        closed: 1,
        lost_bytes: 0,
      });
      await endpoint.until(() => endpoint.connections[0]!.closed);
      expect(endpoint.connections[0]!.ended).toBe(true);
    });

    test(`a second ${signal} ends it at once, although the endpoint goes on`, async () => {
      using endpoint = new RecordingEndpoint({ staysOpen: true });
      const running = await underWay(endpoint);
      running.signal(signal as NodeJS.Signals);
      await running.says(`${signal}: stopped capturing`);
      await endpoint.until(() => endpoint.connections[0]!.ended);
      await Bun.sleep(SIGNAL_ECHO_MS + 50);
      running.signal(signal as NodeJS.Signals);
      const { status, stderr } = await running.outcome;
      expect(status).toBe(secondStatus);
      expect(stderr).not.toContain("Totals");
    });
  }

  test("SIGHUP does nothing if the parent process ignores it, as nohup(1) does", async () => {
    const through = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"];
    using endpoint = new RecordingEndpoint();
    const running = start(command(endpoint), { stdin: "open", through });
    await running.says("Reading standard input");
    running.signal("SIGHUP");
    running.signal("SIGTERM");
    const { status, stderr } = await running.outcome;
    expect(status).toBe(0);
    expect(stderr).toContain("SIGTERM: stopped capturing");
    expect(stderr).not.toContain("SIGHUP");
  });

  test("a signal that comes twice, as with timeout(1), ends it in order", async () => {
    using endpoint = new RecordingEndpoint();
    const running = await underWay(endpoint);
    running.signal("SIGINT");
    await running.says("SIGINT: stopped capturing");
    running.signal("SIGINT");
    const { status, stderr } = await running.outcome;
    expect(status).toBe(0);
    expect(stderr).toContain(totals);
  });

  test("before the first byte has come", async () => {
    using endpoint = new RecordingEndpoint();
    const running = start(command(endpoint), { stdin: "open" });
    await running.says("Reading standard input");
    running.signal("SIGINT");
    expect(await running.outcome).toMatchObject({
      status: 0,
      stderr: expect.stringContaining("Totals: 0 frames captured"),
    });
  });
});

describe.if(canIsolate("a stop while many threads start"))("a stop while many threads start", () => {
  /** The longest drain, and one second. */
  const ENDED_WITHIN_MS = 6000;
  const THREADS = 256;
  const onLoopback = ["unshare", "-n", "sh", "-c", `ip link set lo up && exec "$@"`, "sh"];

  test.each([0, 3000])(
    "%i ms after the first of them: it ends in order, and at once",
    async (afterMs) => {
      const summary = join(directory.path, "starting.json");
      const running = start(
        ["--threads", String(THREADS), "--summary", summary, "lo", String(VNI), String(PORT), "127.0.0.1:9"],
        { through: onLoopback },
      );
      await running.says(`WARN  ${THREADS} threads for ${availableParallelism()} core`);
      await Bun.sleep(afterMs);
      const begun = performance.now();
      running.signal("SIGTERM");
      const { status, stderr } = await running.outcome;
      expect(performance.now() - begun).toBeLessThan(ENDED_WITHIN_MS);
      expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining("Totals: 0 frames captured") });
      expect(stderr).not.toContain("Capturing on");
      expect(JSON.parse(readFileSync(summary, "utf8")).frames).toMatchObject({ captured: 0, segments: 0 });
    },
    30_000,
  );
});

test("the work is done, even if standard error is closed or full", async () => {
  using endpoint = new RecordingEndpoint();
  for (const redirection of ["2>&-", "2>/dev/full"]) {
    const { status } = await run(command(endpoint, capture), {
      through: ["sh", "-c", `exec "$@" ${redirection}`, "sh"],
    });
    expect(status, redirection).toBe(0);
  }
  expect(endpoint.text()).toBe(REQUEST + REQUEST);
});

test("the work is done, even if the reader of standard error goes away", async () => {
  using endpoint = new RecordingEndpoint();
  const through = ["sh", "-c", `exec 3>&1; { "$@"; echo "status $?" >&3; } 2>&1 | true`, "sh"];
  expect(await run(command(endpoint, capture), { through })).toMatchObject({ stdout: "status 0\n" });
  expect(endpoint.text()).toBe(REQUEST);
});
