/** Threads that share an interface by PACKET_FANOUT, and the frames that the kernel's filter rejects. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { ENDPOINT_PORT, grown, Lab, PRODUCTION_PORT, type Program, whyNotLive } from "./lab.ts";
import { loggedRequests, sendLoad, sendLoadUntil } from "./load.ts";

const why = whyNotLive();
const VNI = 42;
const OURS = ["eth0", String(VNI), String(PRODUCTION_PORT), `127.0.0.1:${ENDPOINT_PORT}`];
/** The endpoints of a busy test machine are slower than production's mirror. */
const PATIENCE = ["--max-pending-packets", "1024", "--max-waiting-requests", "100000"];
/** Connections of the test in which each carries one request. */
const CONNECTIONS = 600;

/** Starts the program; it is capturing when this returns. */
function forwarder(lab: Lab, threads: number): Promise<Program> {
  return lab.forwarder("--log-level", "debug", ...PATIENCE, "--threads", String(threads), ...OURS);
}

/** The requests in an nginx log, sorted: method and path of each request. */
function requestsOf({ log }: { log: string }): string[] {
  return loggedRequests(log)
    .map(({ line }) => line)
    .sort();
}

/** The flows of each thread, as the program logs them at its end. */
function shares({ stderr }: Program): number[] {
  return [...stderr.matchAll(/Thread \d+: \d+ segments of (\d+) flows/g)].map(([, flows]) => Number(flows));
}

describe.skipIf(why !== undefined)("threads that share an interface", () => {
  test("two threads get half of the flows each, split no flow, and together count the same as one thread", async () => {
    const lab = await Lab.up("v2h-shards");
    try {
      const production = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
      const endpoint = await lab.nginx("replay", `listen 127.0.0.1:${ENDPOINT_PORT};`, 1000, `return 200 "served";`);
      // Two instances at once: their groups are not the same.
      const [two, one] = await Promise.all([forwarder(lab, 2), forwarder(lab, 1)]);
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
      const { delay: _, response_time: __, upstream: ofTwo, refused: ___, ...totals } = await lab.summary(two);
      const { delay: ____, response_time: _____, upstream: ofOne, refused: ______, ...same } = await lab.summary(one);
      expect(totals).toEqual(same);
      expect(ofTwo.bytes).toBe(ofOne.bytes);
      expect(totals.flows).toMatchObject({ opened: CONNECTIONS, picked_up: 0, closed: CONNECTIONS });
      expect(totals.reassembly.gaps).toBe(0);
      expect(totals.requests).toMatchObject({ seen: CONNECTIONS, answered: CONNECTIONS });
      const served = requestsOf(production);
      expect(requestsOf(endpoint)).toEqual([...served, ...served].sort());
    } finally {
      await lab.down();
    }
  }, 60_000);

  test("starting and stopping under load loses no frame, and sees none twice", async () => {
    const lab = await Lab.up("v2h-shards");
    try {
      const production = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
      const endpoint = await lab.nginx(
        "replay",
        `listen 127.0.0.1:${ENDPOINT_PORT};`,
        1_000_000,
        `return 200 "served";`,
      );
      let servedBytes = 0;
      const startAndStop = async () => {
        const program = await forwarder(lab, 4);
        // Joined flows wait for their beginning; then requests arrive.
        await grown(endpoint.log, servedBytes + 20_000);
        expect(await program.end("SIGINT")).toBe(0);
        const { frames, reassembly, requests, responses } = await lab.summary(program);
        expect(frames.kernel_dropped).toBe(0);
        expect(reassembly).toMatchObject({ gaps: 0, overlap_bytes: 0, out_of_window: 0 });
        expect(requests.seen).toBeGreaterThan(1000);
        expect(requests.answered + responses.unanswered).toBe(requests.forwarded);
        servedBytes = statSync(endpoint.log).size;
      };
      await sendLoadUntil(lab, { pauseMs: 10, kind: "get" }, async () => {
        for (let run = 0; run < 2; run++) await startAndStop();
      });
      const served = requestsOf(endpoint);
      expect(new Set(served).size).toBe(served.length);
      expect(new Set(served).difference(new Set(requestsOf(production))).size).toBe(0);
    } finally {
      await lab.down();
    }
  }, 60_000);

  test("a second without reading loses no frame at a low rate: each MiB of the buffer bridges 16 ms", async () => {
    const lab = await Lab.up("v2h-shards");
    try {
      const production = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
      await lab.nginx("replay", `listen 127.0.0.1:${ENDPOINT_PORT};`, 1_000_000, `return 200 "served";`);
      const program = await lab.forwarder(...PATIENCE, "--threads", "1", "--capture-buffer-mib", "128", ...OURS);
      program.child.kill("SIGSTOP");
      await sendLoad(lab, { seconds: 1, pauseMs: 2, kind: "get" });
      program.child.kill("SIGCONT");
      expect(await program.end("SIGINT")).toBe(0);
      const { frames, requests } = await lab.summary(program);
      expect(frames.kernel_dropped).toBe(0);
      // wrk leaves unfinished requests when its time is over.
      expect(requests.seen).toBeGreaterThanOrEqual(requestsOf(production).length);
    } finally {
      await lab.down();
    }
  }, 30_000);

  describe("with wrong arguments", () => {
    let lab: Lab;
    let programs: Program[];
    const MISTAKES = [
      { name: "VNI", asked: ["eth0", "7", "80"], says: /\d+ mirror frames carried VNI 42, none 7/ },
      {
        name: "port",
        asked: ["eth0", "42", "81"],
        says: /\d+ mirrored segments of VNI 42 were for port 80, none for 81/,
      },
    ];
    // Both read the same mirror.
    beforeAll(async () => {
      lab = await Lab.up("v2h-shards");
      await lab.nginx("production", "listen 80;", 1000, `return 200 "hello";`);
      programs = await Promise.all(MISTAKES.map(({ asked }) => lab.forwarder(...asked, `127.0.0.1:${ENDPOINT_PORT}`)));
      await lab.run("client", "curl", "-sS", "http://192.0.2.2/[1-20]");
    }, 30_000);
    afterAll(() => lab.down());

    test.each(MISTAKES.map((mistake, i) => ({ ...mistake, i })))(
      "a wrong $name is named, and which one there is",
      async ({ says, i }) => {
        const program = programs[i]!;
        await program.until(({ stderr }) => says.test(stderr));
        expect(await program.end("SIGINT")).toBe(0);
        const { frames, refused } = await lab.summary(program);
        expect(frames.captured).toBe(0);
        // Each at least with SYN, request, response and FIN.
        expect(refused.frames).toBeGreaterThan(40);
        expect(refused.sampled).toBeGreaterThan(40);
      },
      30_000,
    );
  });
});
