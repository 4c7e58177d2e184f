import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { join } from "node:path";
import { canIsolate, run, start, type StartOptions, TemporaryDirectory } from "./program.ts";
import { RecordingEndpoint, refusingAddress } from "./recording-endpoint.ts";
import { pcap } from "../support/frames.ts";
import { oneRequest, PORT, QUICK_TCP, REQUEST, session, VNI } from "./sessions.ts";

const endpoint = new RecordingEndpoint();
const directory = new TemporaryDirectory();
const capture = directory.file("one.pcap", oneRequest);

afterAll(() => {
  endpoint.stop();
  directory[Symbol.dispose]();
});

const ours = [String(VNI), String(PORT), endpoint.address];

/** Checks that the program refuses: its exit status, and its message. Returns the message. */
async function check(args: string[], status: number, words: string[], options: StartOptions = {}): Promise<string> {
  const got = await run(args, options);
  for (const part of words) expect(got.stderr).toContain(part);
  expect({ status: got.status, stdout: got.stdout }).toEqual({ status, stdout: "" });
  return got.stderr;
}

test("a flag without an effect is reported in the log, and the run goes on", async () => {
  const { status, stderr } = await run([...QUICK_TCP, "--read", capture, "--ignore", "header:etag", ...ours]);
  expect(stderr).toContain("WARN  --ignore does nothing here: it needs --compare");
  expect({ status, bytes: stderr.includes(`${REQUEST.length} bytes on 1 connection`) }).toEqual({
    status: 0,
    bytes: true,
  });
});

describe.concurrent("wrong usage is refused in two lines, with exit status 2", () => {
  const cases: [string, string[], string[], Record<string, string>?][] = [
    ["no arguments", [], ["<interface> is missing"]],
    ["too few", ["no-if", "42", "80"], ["<forward_addr> is missing"]],
    ["too many", ["no-if", ...ours, "more"], [`"more"`]],
    ["VNI 2^24", ["no-if", "16777216", "80", "h:1"], ["<vni>", `"16777216"`, "16777215"]],
    ["port 0", ["no-if", "42", "0", "h:1"], ["<original_destination_port>", `"0"`, "65535"]],
    ["port 70000", ["no-if", "42", "70000", "h:1"], ["<original_destination_port>", `"70000"`, "65535"]],
    ["a host without port", ["no-if", "42", "80", "host"], ["<forward_addr>", `"host"`, "host:port"]],
    ["an unknown flag", ["--nope", "no-if", ...ours], ["--nope"]],
    ["an unknown letter", ["-x", "no-if", ...ours], ["-x"]],
    ["a flag's value", ["--max-retries", "many", "no-if", ...ours], ["--max-retries", `"many"`, "whole number"]],
    ["a flag without value", ["no-if", ...ours, "--summary"], ["--summary"]],
    ["MAX_RETRIES=abc", ["no-if", ...ours], ["MAX_RETRIES", `"abc"`, "whole number"], { MAX_RETRIES: "abc" }],
    [
      "VXLAN_TO_HTTP_MODE=udp",
      ["no-if", ...ours],
      ["VXLAN_TO_HTTP_MODE", `"udp"`, "http, tcp"],
      { VXLAN_TO_HTTP_MODE: "udp" },
    ],
    [
      "VXLAN_TO_HTTP_MARK=maybe",
      ["no-if", ...ours],
      ["VXLAN_TO_HTTP_MARK", `"maybe"`, "yes", "no"],
      { VXLAN_TO_HTTP_MARK: "maybe" },
    ],
    ["two that set a field", ["--host", "b", "--set-header", "Host: a", "no-if", ...ours], [`"Host: a"`, "--host"]],
    ["LOG_LEVEL=nonsense", ["--read", "x", ...ours], ["LOG_LEVEL", `"nonsense"`, "debug"], { LOG_LEVEL: "nonsense" }],
    ["the summary over the savefile", ["--read", capture, "--summary", capture, ...ours], ["--summary for", "--read"]],
    ["a name that JavaScript knows", ["--__proto__", "no-if", ...ours], ["--__proto__"]],
    ["a name that the parser knows", ["--_", "no-if", ...ours], ["--_"]],
  ];
  test.each(cases)("%s", async (_name, args, words, env = {}) => {
    const said = await check(args, 2, words, { env });
    expect(said.trimEnd().split("\n")).toEqual([
      expect.stringMatching(/^vxlan-to-http: Cannot /),
      "Try vxlan-to-http --help",
    ]);
  });
});

describe("a refusal by the machine has exit status 1", () => {
  test("a missing savefile", () =>
    check(["--read", "/no/such.pcap", ...ours], 1, ["Cannot read /no/such.pcap: no such file"]));
  test("a directory", () =>
    check(["--read", directory.path, ...ours], 1, [`Cannot read ${directory.path}: it is a directory`]));
  test("an empty savefile", () => check(["--read", directory.file("empty", ""), ...ours], 1, ["empty: it is empty"]));
  test("an empty standard input", () =>
    check(["--read", "-", ...ours], 1, ["Cannot read standard input: it is empty"]));
  test("a file that is no capture", () =>
    check(["--read", directory.file("text", "some text, rather long\n"), ...ours], 1, [
      "it is neither pcap nor pcapng",
    ]));
  test("a file that is too short for a capture", () =>
    check(["--read", directory.file("short", "ab"), ...ours], 1, ["it is neither pcap nor pcapng"]));
  test("a compressed file that is no capture", () =>
    check(["--read", directory.file("gz", gzipSync("text")), ...ours], 1, ["it is neither pcap nor pcapng"]));
  test("a header that is cut", () =>
    check(["--read", directory.file("header", oneRequest.subarray(0, 23)), ...ours], 1, ["ends in the middle"]));

  test("a cut record, after the records before it were forwarded", async () => {
    const before = endpoint.connections.length;
    const cut = directory.file("cut.pcap", oneRequest.subarray(0, -7));
    const said = await check(["--read", cut, ...ours, ...QUICK_TCP], 1, [
      `Cannot read all of ${cut}: it ends in the middle of a record`,
      "Totals: 2 frames",
    ]);
    expect(said).toMatch(/at byte \d+/);
    expect(endpoint.connections.slice(before).map(({ chunks }) => Buffer.concat(chunks).toString())).toEqual([
      expect.stringContaining("GET /hello"),
    ]);
  });

  test("a missing libpcap", () =>
    check(["--libpcap", "/no/libpcap.so", "lo", ...ours], 1, ["Cannot load libpcap from /no/libpcap.so"]));
  test("a libpcap file that is no library", () =>
    check(["--libpcap", directory.file("libpcap.so", "text"), "lo", ...ours], 1, [
      "Cannot load libpcap from",
      "libpcap.so",
    ]));
  test("another library", () =>
    check(["--libpcap", "libc.so.6", "lo", ...ours], 1, ["Cannot load libpcap from libc.so.6"]));

  test("a summary that cannot be written, before anything is forwarded", async () => {
    const before = endpoint.connections.length;
    const [link, fifo, target] = [
      join(directory.path, "link"),
      join(directory.path, "fifo"),
      directory.file("target", "someone else's"),
    ];
    symlinkSync(target, link);
    expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
    const paths: [string, string][] = [
      ["/no/such/summary.json", "there is no such directory"],
      [directory.path, "it is a directory"],
      [link, "it is a symbolic link"],
      [fifo, "it is not a regular file"],
      ["/dev/null", "it is not a regular file"],
    ];
    for (const [path, why] of paths)
      await check(["--read", capture, "--summary", path, ...ours], 1, [`Cannot write the summary to ${path}: ${why}`]);
    expect(endpoint.connections).toHaveLength(before);
    expect(readFileSync(target, "utf8")).toBe("someone else's");
  });

  test("a file of --record, and a file: destination, that cannot be created: the reason in words", async () => {
    await check(["--read", capture, "--record", "/no/such/mirror.pcapng", ...ours], 1, [
      "Cannot record to /no/such/mirror.0.pcapng: there is no such directory",
    ]);
    await check(["--read", capture, ...ours.slice(0, 2), "file:/no/such/requests.har"], 1, [
      "Cannot write requests to /no/such/requests.har: there is no such directory",
    ]);
  });

  test("an endpoint that refuses: its address, the reason, the loss", async () => {
    const address = refusingAddress();
    const summary = join(directory.path, "refused.json");
    const args = ["--mode", "tcp", "--connect-timeout-ms", "200", "--outage-timeout-s", "1", "--summary", summary];
    const said = await check([...args, "--read", capture, ...ours.slice(0, 2), address], 1, [
      `Cannot connect to ${address}: connection refused`,
      "1 could not be made",
    ]);
    expect(said.split("Cannot connect")).toHaveLength(2);
    expect(said.trimEnd().split("\n").at(-1)).toEndWith(" ERROR Not all was forwarded: 1 connection could not be made");
    const { upstream, reassembly } = JSON.parse(readFileSync(summary, "utf8"));
    expect(upstream).toMatchObject({ connects: 0, connect_errors: 1, lost_bytes: reassembly.delivered_bytes });
  });

  // A forbidden attempt fails before Bun.connect has returned.
  test.each(["tcp", "http"])(
    "an endpoint without a route to it: all is counted, and the program ends, in mode %s",
    async (mode) => {
      const summary = join(directory.path, "no-route.json");
      const requests = 5000;
      const many = directory.file("many.pcap", pcap(session(new Array<string>(requests).fill(REQUEST))));
      const args = [
        "--mode",
        mode,
        "--connect-timeout-ms",
        "1",
        "--outage-timeout-s",
        "1",
        "--summary",
        summary,
        "--read",
        many,
        ...ours.slice(0, 2),
        "[fe80::1]:80",
      ];
      // A link-local address without an interface.
      const said = await check(args, 1, ["Cannot connect to [fe80::1]:80"]);
      const lost =
        mode === "tcp" ? "1 connection could not be made" : `${requests} whole requests (${requests} endpoint_down)`;
      expect(said.trimEnd().split("\n").at(-1)).toEndWith(` ERROR Not all was forwarded: ${lost}`);
      const { upstream, requests: counted, reassembly } = JSON.parse(readFileSync(summary, "utf8"));
      expect(upstream.connects).toBe(0);
      if (mode === "tcp") expect(upstream.lost_bytes).toBe(reassembly.delivered_bytes);
      else expect(counted).toMatchObject({ seen: requests, dropped: { endpoint_down: requests } });
    },
  );

  test("too few open files: the reason is logged, and connections wait for a descriptor", async () => {
    using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("ok") });
    const summary = join(directory.path, "files.json");
    const sessions = Array.from({ length: 200 }, (_, i) => session([REQUEST, REQUEST], 10_000 + i));
    const many = directory.file("sessions.pcap", pcap(sessions.flat()));
    const args = ["--summary", summary, "--read", many, ...ours.slice(0, 2), `127.0.0.1:${server.port}`];
    await check(args, 0, ["too many open files (raise ulimit -n)"], {
      through: ["sh", "-c", `ulimit -n 40 && exec "$@"`, "sh"],
    });
    const { requests } = JSON.parse(readFileSync(summary, "utf8"));
    expect(requests).toMatchObject({ seen: 400, answered: 400 });
  });

  test("an endpoint with an unknown name", async () => {
    const args = [
      "--mode",
      "tcp",
      "--connect-timeout-ms",
      "200",
      "--outage-timeout-s",
      "1",
      "--read",
      capture,
      ...ours.slice(0, 2),
    ];
    await check([...args, "nowhere.invalid:80"], 1, ["Cannot connect to nowhere.invalid:80"]);
  });
});

const isolated = canIsolate("interfaces that are missing or down, and missing rights");

describe.if(isolated)("refusals of the machine, for root and for the user nobody", () => {
  /** In a network namespace of its own, where lo is the only interface, and down. */
  const alone = ["unshare", "-n", "-m", "sh", "-c", `mount -t sysfs none /sys && exec "$@"`, "sh"];
  const asNobody: StartOptions = {
    through: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    executable: directory.copyOfProgram(),
    cwd: directory.path,
  };

  test("an unknown interface: the message names the existing ones", async () => {
    await check(["eth7", ...ours], 1, ["Cannot capture on eth7: no such interface (this host has lo)"], {
      through: alone,
    });
    const said = await check(["no-such-if", ...ours], 1, ["no such interface"]);
    for (const name of readdirSync("/sys/class/net")) if (name !== "bonding_masters") expect(said).toContain(name);
  });

  test("an impossible name of an interface", async () => {
    await check(["x".repeat(500), ...ours], 1, ["Cannot capture on xxx"]);
    await check(["../../etc", ...ours], 1, ["Cannot capture on ../../etc"]);
  });

  test("an interface that is down, with how to bring it up", () =>
    check(["lo", ...ours], 1, ["Cannot capture on lo: the interface is down", "ip link set lo up"], {
      through: alone,
    }));

  test("an interface that disappears", async () => {
    const withPair = [
      "unshare",
      "-n",
      "sh",
      "-c",
      `ip link add pair0 up type veth peer name pair1 && ip link set pair1 up && exec "$@"`,
      "sh",
    ];
    using running = start(["pair0", ...ours], { through: withPair });
    await running.says("Capturing on pair0");
    expect(
      Bun.spawnSync(["nsenter", "--net", "--target", String(running.pid), "ip", "link", "del", "pair0"]).success,
    ).toBe(true);
    const { status, stderr } = await running.outcome;
    expect(stderr).toMatch(/Cannot capture on pair0: .*disappeared/);
    // Once, because the summary and the totals are still to come.
    expect(stderr.split("Cannot capture")).toHaveLength(2);
    expect(status).toBe(1);
  });

  test("an interface that is set down and up again", async () => {
    const withPair = [
      "unshare",
      "-n",
      "-m",
      "sh",
      "-c",
      `mount -t sysfs none /sys && ip link add pair0 up type veth peer name pair1 && ip link set pair1 up && exec "$@"`,
      "sh",
    ];
    using running = start(["pair0", ...ours], { through: withPair });
    await running.says("Capturing on pair0");
    const set = (state: string) =>
      expect(
        Bun.spawnSync(["nsenter", "--net", "--target", String(running.pid), "ip", "link", "set", "pair0", state])
          .success,
      ).toBe(true);
    set("down");
    await running.says("pair0 is down");
    set("up");
    await running.says("pair0 is up again");
    running.signal("SIGINT");
    expect((await running.outcome).status).toBe(0);
  });

  test("no permission to capture: the message names the needed capability", async () => {
    await check(["lo", ...ours], 1, ["Cannot capture on lo: not permitted", "CAP_NET_RAW"], asNobody);
  });

  test("no permission to read a savefile", async () => {
    const secret = directory.file("secret.pcap", oneRequest);
    chmodSync(secret, 0o600);
    await check(["--read", secret, ...ours], 1, [`Cannot read ${secret}: permission denied`], asNobody);
  });

  test("no permission to write a summary", async () => {
    const closed = join(directory.path, "closed");
    mkdirSync(closed, { mode: 0o700 });
    await check(
      ["--summary", join(closed, "s.json"), "--read", "-", ...ours],
      1,
      ["Cannot write the summary to"],
      asNobody,
    );
  });

  test("a full disk for the summary, after the totals", async () => {
    const full = join(directory.path, "full");
    mkdirSync(full);
    const onFullDisk = [
      "unshare",
      "-m",
      "sh",
      "-c",
      `mount -t tmpfs -o size=4k none ${full} && head -c 4096 /dev/zero >${full}/other && exec "$@"`,
      "sh",
    ];
    const args = [...QUICK_TCP, "--summary", `${full}/summary.json`, "--read", capture, ...ours];
    await check(args, 1, ["Totals:", `Cannot write the summary to ${full}/summary.json`], { through: onFullDisk });
  });
});
