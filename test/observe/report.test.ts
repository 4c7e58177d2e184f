/** Messages about several threads, and about frames for others: seen as log lines on standard error. */
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { Drop } from "../../src/decode/drop-reason.ts";
import { Strangers } from "../../src/decode/strangers.ts";
import type { RequestDrop } from "../../src/forward/counters.ts";
import { Counters } from "../../src/observe/counters.ts";
import { Log } from "../../src/observe/log.ts";
import { type Problem, STRANGERS_MIN } from "../../src/observe/problems.ts";
import { DROP_BURST_MS, PROBLEM_AGAIN_MS, RunReport, SUMMARY_LINE_MS } from "../../src/observe/report.ts";

let lines: string[] = [];
let nowMs = 0;
let written: ReturnType<typeof spyOn>;

beforeEach(() => {
  lines = [];
  nowMs = 0;
  written = spyOn(process.stderr, "write").mockImplementation((line) => {
    // Time, level, message.
    lines.push(String(line).trim().replace(/^\S+ /, ""));
    return true;
  });
});

afterEach(() => {
  written.mockRestore();
});

function reportOf(threads: number): { counters: Counters; report: RunReport } {
  const counters = new Counters();
  const options = { address: { host: "endpoint", port: 1 }, also: [], vnis: [42], ports: [80], threads };
  const now = () => nowMs;
  return { counters, report: new RunReport(new Log("info", "plain", now), counters, options, now) };
}

test("an outage that several threads see is reported once, and its end by the first thread that connects again", () => {
  const { counters, report } = reportOf(3);
  for (let thread = 0; thread < 3; thread++) report.outageBegan("connection refused");
  expect(lines).toEqual([
    "WARN  Cannot connect to endpoint:1: connection refused; the program tries again, and counts the losses (upstream.connect_errors)",
  ]);
  // Counted by all threads; this thread's own counter may be ahead.
  counters.upstream.connect_errors = 6;
  report.outageEnded(2000, 1);
  report.outageEnded(2500, 2);
  expect(lines.slice(1)).toEqual([
    "INFO  endpoint:1 takes connections again after 2.0 s; 6 connections could not be made",
  ]);
  nowMs = 5000;
  report.outageBegan("connection refused");
  report.outageEnded(1000, 4);
  expect(lines[3]).toBe("INFO  endpoint:1 takes connections again after 1.0 s; 4 connections could not be made");
});

test("a version of HTTP that the endpoint does not speak is reported once for all threads, and its end when one thread hears it", () => {
  const { report } = reportOf(3);
  for (let thread = 0; thread < 3; thread++) report.speaksNot("HTTP/2", "it does not speak it");
  expect(lines).toEqual([
    "WARN  Cannot send requests of HTTP/2 to endpoint:1: it does not speak it; the program tries now and then, and drops these requests meanwhile (requests.dropped)",
  ]);
  report.speaks("HTTP/2", 2000);
  report.speaks("HTTP/2", 3000);
  expect(lines.slice(1)).toEqual(["INFO  endpoint:1 speaks HTTP/2 now, after 2.0 s"]);
});

test("an outage that comes and goes is reported twice a second, and the final state at the end", () => {
  const { counters, report } = reportOf(1);
  for (let i = 0; i < 100; i++, nowMs += 5) {
    report.outageBegan("connection refused");
    report.outageEnded(4, 1);
  }
  expect(lines).toHaveLength(2);
  report.outageBegan("connection refused");
  nowMs += 1000;
  report.tick();
  expect(lines.slice(2)).toEqual([
    "INFO  endpoint:1 takes connections again after 0.0 s; 1 connections could not be made (and 98 more like this since the last line)",
    "WARN  Cannot connect to endpoint:1: connection refused; the program tries again, and counts the losses (upstream.connect_errors) (and 99 more like this since the last line)",
  ]);
  report.outageEnded(500, 1);
  counters.frames.captured = 1;
  report.totals();
  expect(lines[4]).toStartWith("INFO  endpoint:1 takes connections again after 0.5 s");
});

test.each([
  [0, "Requests: 2 seen, 1 forwarded, 1 damaged, 1 dropped (waiting_limit)"],
  [
    29,
    "Requests: 2 seen, 1 forwarded, 1 damaged, 1 dropped (waiting_limit), 29 skipped behind gaps (skipped_request_lines)",
  ],
])("the totals show %d requests that a gap cost beside the damaged one", (skipped, told) => {
  const { counters, report } = reportOf(1);
  Object.assign(counters.requests, { seen: 2, forwarded: 1, damaged: 1, skipped_request_lines: skipped });
  counters.requests.dropped.waiting_limit = 1;
  counters.frames.captured = 1;
  report.totals();
  expect(lines.filter((line) => line.includes("Requests:"))).toEqual([`INFO  ${told}`]);
});

const UNFORWARDED: {
  name: string;
  mode: "http" | "tcp";
  dropped?: Partial<Record<RequestDrop, number>>;
  connects?: number;
  connectErrors?: number;
  file?: { refused: number };
  told: string[];
}[] = [
  { name: "nothing was lost", mode: "http", told: [] },
  { name: "loops and requests left at the stop are no loss", mode: "http", dropped: { loop: 3, stopped: 4 }, told: [] },
  {
    name: "the endpoint was away",
    mode: "http",
    dropped: { endpoint_down: 1 },
    told: ["ERROR Not all was forwarded: 1 whole request (1 endpoint_down)"],
  },
  {
    name: "several reasons",
    mode: "http",
    dropped: { endpoint_down: 4, endpoint_closed: 3, buffer_limit: 2, waiting_limit: 1, loop: 9 },
    told: [
      "ERROR Not all was forwarded: 10 whole requests (4 endpoint_down, 3 endpoint_closed, 2 buffer_limit, 1 waiting_limit)",
    ],
  },
  { name: "a file that has all", mode: "http", file: { refused: 0 }, told: [] },
  {
    name: "a file that the disk had no room for",
    mode: "http",
    file: { refused: 3 },
    told: ["ERROR Not all was written: 3 whole requests"],
  },
  { name: "a connection that was tried again", mode: "http", connects: 1, connectErrors: 1, told: [] },
  {
    name: "no connection at all, for a stream that passes through",
    mode: "http",
    connectErrors: 2,
    told: ["ERROR Not all was forwarded: 2 connections could not be made"],
  },
  {
    name: "one connection of some, in mode tcp",
    mode: "tcp",
    connects: 9,
    connectErrors: 1,
    told: ["ERROR Not all was forwarded: 1 connection could not be made"],
  },
];

test.each(UNFORWARDED)(
  "requests that could not be forwarded: $name",
  ({ mode, dropped, connects = 0, connectErrors = 0, file, told }) => {
    const { counters, report } = reportOf(1);
    Object.assign(counters.requests.dropped, dropped);
    Object.assign(counters.upstream, { connects, connect_errors: connectErrors });
    counters.responses["5xx"] = file?.refused ?? 7;
    expect(report.unforwarded(mode, file !== undefined)).toBe(told.length > 0);
    expect(lines).toEqual(told);
  },
);

test("an interface that is set down, and up again, is reported once each time", () => {
  const { report } = reportOf(1);
  for (const isUp of [true, true, false, false, true, false]) {
    report.interfaceIs(isUp, "eth0");
    nowMs += 1000;
  }
  const down = "WARN  eth0 is down: the program captures nothing until it is up again (ip link set eth0 up)";
  expect(lines).toEqual([down, "INFO  eth0 is up again: the program captures again", down]);
});

function strangers(vnis: [number, number][], ports: [number, number][]): Strangers {
  const found = new Strangers();
  for (const [vni, count] of vnis) for (let i = 0; i < count; i++) found.countVni(vni);
  for (const [port, count] of ports) for (let i = 0; i < count; i++) found.countPort(port);
  return found;
}

const CASES: { name: string; vnis: [number, number][]; ports: [number, number][]; segments: number; told: string[] }[] =
  [
    {
      name: "another VNI",
      vnis: [[7, 300]],
      ports: [],
      segments: 0,
      told: ["WARN  300 mirror frames carried VNI 7, none 42: is it the mirror session's VNI?"],
    },
    {
      name: "several VNIs, the most frequent first",
      vnis: [
        [1, 2],
        [2, 9],
        [3, 5],
        [4, 3],
      ],
      ports: [],
      segments: 0,
      told: ["WARN  19 mirror frames carried VNI 2, 3, 4 …, none 42: is it the mirror session's VNI?"],
    },
    {
      name: "our VNI, another port",
      vnis: [[7, 300]],
      ports: [[8080, 12]],
      segments: 0,
      told: [
        "WARN  12 mirrored segments of VNI 42 were for port 8080, none for 80: is original_destination_port the one that production listens on?",
      ],
    },
    {
      name: "too few to mean anything",
      vnis: [[7, STRANGERS_MIN - 1]],
      ports: [[8080, STRANGERS_MIN - 1]],
      segments: 0,
      told: [],
    },
    {
      name: "just enough",
      vnis: [[7, STRANGERS_MIN]],
      ports: [],
      segments: 0,
      told: [`WARN  ${STRANGERS_MIN} mirror frames carried VNI 7, none 42: is it the mirror session's VNI?`],
    },
    { name: "others beside our own", vnis: [[7, 300]], ports: [[8080, 300]], segments: 1, told: [] },
  ];

test.each(CASES)("$name", ({ vnis, ports, segments, told }) => {
  const { counters, report } = reportOf(1);
  counters.frames.segments = segments;
  // Reported once, for any number of looks.
  for (let look = 0; look < 3; look++) report.strangers(strangers(vnis, ports));
  expect(lines).toEqual(told);
});

test("at a savefile's end few frames are enough for a report", () => {
  const few = [strangers([[7, 1]], []), strangers([], [[443, 3]]), new Strangers()];
  for (const found of few) {
    const { counters, report } = reportOf(1);
    counters.frames.captured = 4;
    counters.frames.dropped[found === few[2] ? Drop.NOT_UDP : Drop.OTHER_VNI] = 4;
    report.ended(found);
  }
  const { counters, report } = reportOf(1);
  counters.frames.captured = counters.frames.dropped[Drop.FROM_SERVER] = 5;
  report.ended(new Strangers());
  expect(lines.splice(3)).toEqual([
    "WARN  All 5 mirrored segments come from port 80, none goes to it: the mirror's filter must accept inbound traffic to this port",
  ]);
  expect(lines).toEqual([
    "WARN  1 mirror frame carried VNI 7, none 42: is it the mirror session's VNI?",
    "WARN  3 mirrored segments of VNI 42 were for port 443, none for 80: is original_destination_port the one that production listens on?",
    "WARN  None of the 4 frames belongs to a vxlan mirror: is --encapsulation the mirror's (none: plain frames), and --vxlan-port its port?",
  ]);
});

test("frames that the kernel drops are reported once a burst: a drop soon after belongs to the same burst", () => {
  const { counters, report } = reportOf(1);
  const drop = (ms: number) => {
    nowMs += ms;
    counters.frames.kernel_dropped++;
    report.tick();
    return lines.filter((line) => line.includes("The kernel dropped")).length;
  };
  expect([drop(1), drop(DROP_BURST_MS), drop(DROP_BURST_MS), drop(DROP_BURST_MS + 1)]).toEqual([1, 1, 1, 2]);
});

test("a line says how much has come, each time when so long has passed", () => {
  const { counters, report } = reportOf(1);
  const told = (ms: number) => {
    nowMs += ms;
    counters.frames.captured += 1;
    report.tick();
    return lines.filter((line) => line.includes("frames/s")).length;
  };
  expect([told(SUMMARY_LINE_MS - 1), told(1), told(SUMMARY_LINE_MS - 1), told(1)]).toEqual([0, 1, 1, 2]);
});

test("a problem that comes and goes is reported again after a while", () => {
  const { report } = reportOf(1);
  const loss: Problem = { kind: "loss", message: "some are missing", since_ms: 0 };
  const told = (ms: number) => {
    nowMs += ms;
    report.problems([loss], []);
    report.problems([], [loss]);
    return lines.filter((line) => line.includes("some are missing")).length;
  };
  expect([told(0), told(PROBLEM_AGAIN_MS - 1), told(1)]).toEqual([1, 1, 2]);
});

test("the warning about fragments comes if several threads divide flows, and only then", () => {
  for (const threads of [1, 2]) {
    const { counters, report } = reportOf(threads);
    counters.fragments.completed = 1;
    report.tick();
    report.tick();
    expect(lines.filter((line) => line.includes("--threads 1")).length).toBe(threads - 1);
  }
});
