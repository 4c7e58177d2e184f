/**
 * --mode tcp over a mirror that the kernel makes: the endpoint gets on each connection the same bytes as production,
 * digest for digest.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Capture, ENDPOINT_PORT, Lab, PRODUCTION_PORT, type Program, whyNotLive } from "./lab.ts";
import type { RecordedConnection } from "./recorder.ts";
import { trueConnections } from "./truth.ts";

const why = whyNotLive();
if (why !== undefined) console.log(`live tests are skipped: ${why}`);

const RECORDER = join(import.meta.dir, "recorder.ts");
const VNI = 42;
/** A busy test machine reorders more than a network does. */
const MAX_PENDING_PACKETS = "1024";
const ENDPOINT = `127.0.0.1:${ENDPOINT_PORT}`;

interface Recorded {
  recorder: Program;
  forwarder: Program;
  capture: Capture;
}

async function start(lab: Lab, ...options: string[]): Promise<Recorded> {
  // A location that reads whole bodies before it responds: proxied to a neighbour that ignores them.
  await lab.nginx("production", `listen 80; listen [::]:80;`, 1_000_000, `proxy_pass http://127.0.0.1:81;`);
  await lab.nginx("production", `listen 127.0.0.1:81;`, 1_000_000, `return 200 "hello";`);
  const recorder = lab.start("replay", process.execPath, RECORDER, String(ENDPOINT_PORT));
  await recorder.until(({ stdout }) => stdout.includes("ready"));
  const forwarder = await lab.forwarder(
    "--mode",
    "tcp",
    "--max-pending-packets",
    MAX_PENDING_PACKETS,
    ...options,
    "eth0",
    String(VNI),
    String(PRODUCTION_PORT),
    ENDPOINT,
  );
  const capture = await lab.capture(
    "production",
    `dst port ${PRODUCTION_PORT} or (vlan and dst port ${PRODUCTION_PORT})`,
  );
  return { recorder, forwarder, capture };
}

/** Stops everything. Returns the counters, the arrived connections, and production's connections. */
async function stop(lab: Lab, { recorder, forwarder, capture }: Recorded) {
  await lab.endCapture(capture);
  expect(await forwarder.end("SIGINT")).toBe(0);
  const counters = await lab.summary(forwarder);
  await recorder.until(({ stdout }) => stdout.split("\n").length - 2 >= counters.upstream.connects);
  const arrived = recorder.stdout
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => JSON.parse(line) as RecordedConnection);
  const truth = trueConnections(capture.file, PRODUCTION_PORT);
  expect(truth.filter(({ hasHole }) => hasHole)).toEqual([]);
  return { counters, arrived, truth };
}

/** Stops everything and compares the arrived bytes with production's. Returns the counters. */
async function compare(lab: Lab, recorded: Recorded) {
  const { counters, arrived, truth } = await stop(lab, recorded);
  expect(counters.frames.kernel_dropped).toBe(0);
  expect(counters.reassembly).toMatchObject({ gaps: 0, gap_bytes: 0, pending_limit: 0 });
  expect(arrived.map(({ sha256 }) => sha256).sort()).toEqual(truth.map(({ sha256 }) => sha256).sort());
  expect(counters.upstream.lost_bytes).toBe(0);
  expect(counters.frames.captured).toBe(
    counters.frames.segments +
      Object.values(counters.frames.dropped as Record<string, number>).reduce((a, b) => a + b, 0),
  );
  return { counters, connections: truth };
}

/** More than the kernel buffers for one connection, in both directions (tcp_rmem and tcp_wmem: 6 and 4 MiB). */
const LARGE_BYTES = 12 << 20;

const KINDS = [
  { name: "IPv4 in IPv4", lab: [], host: "192.0.2.2" },
  { name: "IPv6 in IPv4", lab: [], host: "[2001:db8:1::2]" },
  { name: "IPv4 in IPv6", lab: ["--outer", "6"], host: "192.0.2.2" },
  { name: "IPv6 in IPv6", lab: ["--outer", "6"], host: "[2001:db8:1::2]" },
  { name: "IPv4 with a VLAN tag in IPv4", lab: ["--vlan", "7"], host: "192.0.2.2" },
];

/** At full load this machine may do other work for a moment, and the kernel then drops frames. */
const FULL_LOAD = { timeout: 60_000, retry: 2 };

describe.skipIf(why !== undefined)("mode tcp over a kernel mirror", () => {
  for (const kind of KINDS) {
    test(`${kind.name}: every connection arrives byte for byte, small and large, kept open and closed`, async () => {
      const lab = await Lab.up("v2h-tcp", kind.lab);
      try {
        const recorded = await start(lab);
        const bodies = { empty: 0, small: 1 << 10, medium: 1 << 20, large: LARGE_BYTES };
        for (const [name, bytes] of Object.entries(bodies))
          await Bun.write(
            join(lab.directory, name),
            crypto
              .getRandomValues(Buffer.alloc(Math.min(bytes, 65536)))
              .toString("latin1")
              .padEnd(bytes, "x")
              .slice(0, bytes),
          );
        const posts = Object.keys(bodies).map((name) => ["--data-binary", `@${name}`, `http://${kind.host}/${name}`]);
        // On one connection, one after the other; then each on its own connection.
        await lab.run(
          "client",
          "curl",
          "-sS",
          "-g",
          ...posts.flatMap((post, i) => (i === 0 ? post : ["--next", "-sS", "-g", ...post])),
        );
        for (const post of posts) await lab.run("client", "curl", "-sS", "-g", "-H", "Connection: close", ...post);
        const { connections } = await compare(lab, recorded);
        expect(connections.length).toBe(1 + posts.length);
        expect(connections.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(2 * (LARGE_BYTES + (1 << 20)));
      } finally {
        await lab.down();
      }
    }, 60_000);
  }

  test(
    "64 connections at full load, with another VNI and another port on the same mirror: nothing is lost, nothing else arrives",
    async () => {
      const lab = await Lab.up("v2h-tcp", ["--second-vni", "43"]);
      try {
        await lab.nginx("production", `listen 8080;`, 1_000_000, `return 200 "other";`);
        const recorded = await start(lab);
        await lab.run("client", "curl", "-sS", "http://192.0.2.2:8080/[1-50]");
        await lab.run("client", "wrk", "-t1", "-c64", "-d2", "http://192.0.2.2/");
        const { counters, connections } = await compare(lab, recorded);
        expect(connections.length).toBeGreaterThanOrEqual(64);
        // The kernel's filter let nothing else pass; a sample of the rejected frames was still decoded.
        expect(counters.frames.captured).toBe(counters.frames.segments);
        expect(counters.refused.frames).toBeGreaterThan(2 * counters.frames.segments);
        const { sampled, dropped } = counters.refused;
        for (const reason of ["other_vni", "other_port", "from_server"])
          expect(dropped[reason], reason).toBeGreaterThan(0);
        expect(sampled).toBe(Object.values(dropped as Record<string, number>).reduce((a, b) => a + b, 0));
      } finally {
        await lab.down();
      }
    },
    FULL_LOAD,
  );

  test("if the mirror loses packets, connections without a loss are exact, and the gaps of the others are exactly their missing bytes", async () => {
    const lab = await Lab.up("v2h-tcp", ["--drop", "1"]);
    try {
      const recorded = await start(lab);
      await Bun.write(join(lab.directory, "body"), crypto.getRandomValues(Buffer.alloc(50_000)));
      // One connection for each of 200 uploads.
      const urls = "http://192.0.2.2/[1-200]";
      await lab.run(
        "client",
        "curl",
        "-sS",
        "-H",
        "Connection: close",
        "--limit-rate",
        "20M",
        "--data-binary",
        "@body",
        urls,
      );
      const { counters, arrived, truth } = await stop(lab, recorded);

      const exact = new Set(truth.map(({ sha256 }) => sha256)).intersection(
        new Set(arrived.map(({ sha256 }) => sha256)),
      );
      const bytes = (connections: { bytes: number }[]) =>
        connections.reduce((sum, connection) => sum + connection.bytes, 0);
      const lacking = bytes(truth) - bytes(arrived);
      expect(exact.size).toBeGreaterThan(20);
      expect(counters.reassembly.gaps).toBeGreaterThan(20);
      // If the FIN was lost too, no counter has the missing last bytes of the connection.
      const unknowable = lacking - counters.reassembly.gap_bytes;
      expect(unknowable).toBeGreaterThanOrEqual(0);
      expect(unknowable).toBeLessThan(3 * 1460);
    } finally {
      await lab.down();
    }
  }, 60_000);
});
