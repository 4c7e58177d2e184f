/** Policy over a mirror that the kernel makes, with real servers: a sample that two programs agree on, and a rate. */
import { expect, test } from "bun:test";
import { nginxEndpoint } from "./endpoints.ts";
import { ENDPOINT_PORT, Lab, PRODUCTION_PORT, whyNotLive } from "./lab.ts";
import { loggedRequests, sendLoad } from "./load.ts";

const VNI = 42;
const SECONDS = Number(process.env["POLICY_SECONDS"] ?? 5);
const RATE = 200;
/** A busy test machine reorders more than a network does, and has slower endpoints. */
const PATIENCE = ["--max-pending-packets", "1024", "--max-waiting-requests", "100000", "--capture-buffer-mib", "256"];
/** The possible excess of the load's duration in seconds, and the requests that are available at its start. */
const EDGE_SECONDS = 0.3;
/** The smallest share that a stalling machine lets pass: unused places of the rate expire. */
const SHARE_MIN = 0.75;

const why = whyNotLive();
if (why !== undefined) console.log(`skipped: policy over a live mirror (${why})`);

test.if(why === undefined)(
  "two programs take the same connections of a sample, and threads that share a rate keep to it",
  async () => {
    const lab = await Lab.up("v2h-policy", []);
    try {
      const { log } = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
      const programs = [
        ["--sample", "40%:connection", "--threads", "1"],
        ["--sample", "40%:connection", "--threads", "3"],
        ["--max-rate", String(RATE), "--threads", "4"],
      ];
      const started = await Promise.all(
        programs.map(async (flags, i) => {
          const port = ENDPOINT_PORT + i;
          const endpoint = await nginxEndpoint(lab, port, 1_000_000);
          const where = ["eth0", String(VNI), String(PRODUCTION_PORT), `127.0.0.1:${port}`];
          return { endpoint, forwarder: await lab.forwarder(...PATIENCE, ...flags, ...where) };
        }),
      );
      await sendLoad(lab, { seconds: SECONDS, pauseMs: 50, kind: "get" });
      const ended = await Promise.all(
        started.map(async ({ endpoint, forwarder }) => {
          expect(await forwarder.end("SIGINT")).toBe(0);
          return { counters: await lab.summary(forwarder), served: await endpoint.stop() };
        }),
      );
      const production = loggedRequests(log);
      for (const { counters, served } of ended) {
        const { seen, forwarded, answered, damaged, dropped } = counters.requests;
        const left = dropped.sampled_out + dropped.rate_limit;
        expect({ seen, forwarded, answered, damaged, kernel: counters.frames.kernel_dropped }).toEqual({
          seen: production.length,
          forwarded: production.length - left,
          answered: served.length,
          damaged: 0,
          kernel: 0,
        });
      }
      const [one, other, limited] = ended;
      expect(one!.served.toSorted()).toEqual(other!.served.toSorted());
      const isServed = new Set(one!.served);
      for (const requests of Map.groupBy(production, ({ connection }) => connection).values())
        expect(new Set(requests.map(({ line }) => isServed.has(line))).size).toBe(1);
      expect(isServed.size).toBeGreaterThan(0);
      expect(isServed.size).toBeLessThan(production.length);
      const { forwarded, dropped } = limited!.counters.requests;
      expect(dropped.rate_limit).toBeGreaterThan(0);
      expect(forwarded).toBeLessThanOrEqual(RATE * (SECONDS * 1.01 + EDGE_SECONDS));
      expect(forwarded).toBeGreaterThan(RATE * SECONDS * SHARE_MIN);
    } finally {
      await lab.down();
    }
  },
  120_000,
);
