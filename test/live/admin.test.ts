/** --admin over a mirror that the kernel makes: its pages are right, and no client of its port costs a request. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ENDPOINT_PORT, Lab, PRODUCTION_PORT, whyNotLive } from "./lab.ts";
import { loggedRequests, sendLoad } from "./load.ts";

const why = whyNotLive();
const VNI = 42;
const ADMIN_PORT = 9100;
const ADMIN = `http://127.0.0.1:${ADMIN_PORT}`;
const SLOW_CLIENTS = 200;
const ASKED = 200;
const SECONDS = 3;
/** A busy test machine reorders more than a network does, and has slower endpoints. */
const PATIENCE = ["--max-pending-packets", "1024", "--max-waiting-requests", "100000", "--capture-buffer-mib", "256"];
const OURS = ["eth0", String(VNI), String(PRODUCTION_PORT), `127.0.0.1:${ENDPOINT_PORT}`];

describe.skipIf(why !== undefined)("--admin on an interface", () => {
  test(`${SLOW_CLIENTS} clients that send a byte a second, and one that asks all the time, cost no request, and are distinguished`, async () => {
    const lab = await Lab.up("v2h-admin");
    try {
      const production = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
      const endpoint = await lab.nginx("replay", `listen 127.0.0.1:${ENDPOINT_PORT};`, 1000, `return 200 "served";`);
      const forwarder = await lab.forwarder("--admin", String(ADMIN_PORT), ...PATIENCE, ...OURS);
      const slow = lab.start(
        "replay",
        process.execPath,
        join(import.meta.dir, "slow-clients.ts"),
        String(ADMIN_PORT),
        String(SLOW_CLIENTS),
      );
      await slow.until(({ stdout }) => stdout.includes("connected"));
      const load = sendLoad(lab, { seconds: SECONDS, pauseMs: 10, kind: "get" });
      const asked = ["curl", "-sSf", "-m", "20", "-o", "/dev/null", `${ADMIN}/metrics?[1-${ASKED}]`];
      await Promise.all([load, lab.run("replay", ...asked)]);
      const health = await lab.run("replay", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", `${ADMIN}/healthz`);
      await slow.end("SIGKILL");
      expect(await forwarder.end("SIGINT")).toBe(0);

      const { frames, requests, admin } = await lab.summary(forwarder);
      const sent = loggedRequests(production.log).map(({ line }) => line);
      expect(sent.length).toBeGreaterThan(1000);
      expect(
        loggedRequests(endpoint.log)
          .map(({ line }) => line)
          .sort(),
      ).toEqual(sent.sort());
      expect(requests).toMatchObject({ seen: sent.length, answered: sent.length, damaged: 0 });
      expect(frames.kernel_dropped).toBe(0);
      expect(health).toBe("200");
      expect(admin.requests).toBeGreaterThan(ASKED);
      const { connection_limit: limited, time_limit: late, closed } = admin.rejected;
      expect(limited + late + closed).toBeGreaterThanOrEqual(SLOW_CLIENTS);
    } finally {
      await lab.down();
    }
  }, 60_000);
});
