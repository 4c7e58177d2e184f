/** Threads that share an interface by PACKET_FANOUT, and what the kernel's filter does not let through. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ENDPOINT_PORT, EXECUTABLE, Lab, PRODUCTION_PORT, type Program, whyNotLive } from "./lab.ts";

const why = whyNotLive();
const VNI = 42;
const OURS = ["eth0", String(VNI), String(PRODUCTION_PORT), `127.0.0.1:${ENDPOINT_PORT}`];
const LOAD = join(import.meta.dir, "unique.lua");
/** A loaded test machine has slower endpoints than production's mirror has. */
const PATIENCE = ["--max-pending-packets", "1024", "--max-waiting-requests", "100000"];
/** Connections of the test in which each carries one request. */
const CONNECTIONS = 600;

/** Starts the program; it is capturing when this returns. */
async function forwarder(lab: Lab, name: string, ...options: string[]): Promise<Program> {
  const program = lab.start("replay", EXECUTABLE, "--summary", join(lab.directory, name), "--log-level", "debug", ...PATIENCE, ...options, ...OURS);
  await program.until(({ stderr }) => stderr.includes("Capturing on"));
  return program;
}

async function summary(lab: Lab, name: string): Promise<any> {
  return Bun.file(join(lab.directory, name)).json();
}

function lines(log: string): string[] {
  return readFileSync(log, "utf8").trim().split("\n").sort();
}

/** Flows of each thread, as the program tells them at its end. */
function shares({ stderr }: Program): number[] {
  return [...stderr.matchAll(/Thread \d+: \d+ segments of (\d+) flows/g)].map(([, flows]) => Number(flows));
}

describe.skipIf(why !== undefined)("threads that share an interface", () => {
  test("two get half of the flows each, split none, and together count what one counts", async () => {
    const lab = await Lab.up("v2h-shards");
    try {
      const production = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
      const endpoint = await lab.nginx("replay", `listen 127.0.0.1:${ENDPOINT_PORT};`, 1000, `return 200 "served";`);
      // Two instances at once: the groups that they make are not the same.
      const [two, one] = await Promise.all([forwarder(lab, "two", "--threads", "2"), forwarder(lab, "one", "--threads", "1")]);
      await lab.run("client", "curl", "-sS", "-H", "Connection: close", `http://192.0.2.2/[1-${CONNECTIONS}]`);
      for (const program of [two, one]) expect(await program.end("SIGINT")).toBe(0);

      const flows = shares(two);
      expect(flows.length).toBe(2);
      expect(flows[0]! + flows[1]!).toBe(CONNECTIONS);
      for (const share of flows) {
        expect(share / CONNECTIONS).toBeGreaterThan(0.4);
        expect(share / CONNECTIONS).toBeLessThan(0.6);
      }
      expect(shares(one)).toEqual([CONNECTIONS]);
      const { delay: _, upstream: ofTwo, refused: __, ...totals } = await summary(lab, "two");
      const { delay: ___, upstream: ofOne, refused: ____, ...same } = await summary(lab, "one");
      expect(totals).toEqual(same);
      expect(ofTwo.bytes).toBe(ofOne.bytes);
      expect(totals.flows).toMatchObject({ opened: CONNECTIONS, picked_up: 0, closed: CONNECTIONS });
      expect(totals.reassembly.gaps).toBe(0);
      expect(totals.requests).toMatchObject({ seen: CONNECTIONS, answered: CONNECTIONS });
      const served = lines(production.log);
      expect(lines(endpoint.log)).toEqual([...served, ...served].sort());
    } finally {
      await lab.down();
    }
  }, 60_000);

  test("starting and stopping under load loses no frame, and none is seen twice", async () => {
    const lab = await Lab.up("v2h-shards");
    try {
      const production = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
      const endpoint = await lab.nginx("replay", `listen 127.0.0.1:${ENDPOINT_PORT};`, 1_000_000, `return 200 "served";`);
      const load = lab.run("client", "wrk", "-t1", "-c64", "-d8", "-s", LOAD, "http://192.0.2.2/", "--", "10");
      for (const name of ["first", "second"]) {
        const program = await forwarder(lab, name, "--threads", "4");
        // Flows that are picked up wait for their beginning; then requests arrive.
        await lab.grown(endpoint.log, 20_000);
        expect(await program.end("SIGINT")).toBe(0);
        const { frames, reassembly, requests, responses } = await summary(lab, name);
        expect(frames.kernel_dropped).toBe(0);
        expect(reassembly).toMatchObject({ gaps: 0, overlap_bytes: 0, out_of_window: 0 });
        expect(requests.seen).toBeGreaterThan(1000);
        expect(requests.answered + responses.unanswered).toBe(requests.forwarded);
      }
      await load;
      const served = lines(endpoint.log);
      expect(new Set(served).size).toBe(served.length);
      expect(new Set(served).difference(new Set(lines(production.log))).size).toBe(0);
    } finally {
      await lab.down();
    }
  }, 60_000);

  const MISTAKES = [
    { name: "VNI", asked: ["eth0", "7", "80"], says: /\d+ mirror frames carried VNI 42, none 7/ },
    { name: "port", asked: ["eth0", "42", "81"], says: /\d+ mirrored segments of VNI 42 were for port 80, none for 81/ },
  ];
  test.each(MISTAKES)("a wrong $name is named, and which one there is", async ({ asked, says }) => {
    const lab = await Lab.up("v2h-shards");
    try {
      await lab.nginx("production", "listen 80;", 1000, `return 200 "hello";`);
      const program = await lab.forwarder(...asked, `127.0.0.1:${ENDPOINT_PORT}`);
      await lab.run("client", "curl", "-sS", "http://192.0.2.2/[1-20]");
      await program.until(({ stderr }) => says.test(stderr));
      expect(await program.end("SIGINT")).toBe(0);
      const { frames, refused } = await lab.summary();
      expect(frames.captured).toBe(0);
      // Each way: SYN, request, answer and FIN at the least.
      expect(refused.frames).toBeGreaterThan(40);
      expect(refused.sampled).toBeGreaterThan(40);
    } finally {
      await lab.down();
    }
  }, 30_000);
});
