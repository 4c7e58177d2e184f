/** Nothing goes back to production. The endpoint is on the replay server, so that whatever leaves it is a fault. */
import { expect, test } from "bun:test";
import { BUN, serverEndpoint } from "./endpoints.ts";
import { ENDPOINT_PORT, Lab, PRODUCTION_PORT, whyNotLive } from "./lab.ts";

const REQUESTS = 20;

test.skipIf(whyNotLive() !== undefined)(
  "while it captures and forwards, no packet leaves by the mirror's interface",
  async () => {
    const lab = await Lab.up("v2h-back");
    try {
      await serverEndpoint(lab, BUN, PRODUCTION_PORT, 0, "production");
      const endpoint = await serverEndpoint(lab, BUN, ENDPOINT_PORT, 0);
      const sent = async () => Number(await lab.run("replay", "cat", "/sys/class/net/eth0/statistics/tx_packets"));
      const forwarder = await lab.forwarder("eth0", "42", String(PRODUCTION_PORT), `127.0.0.1:${ENDPOINT_PORT}`);
      const before = await sent();
      const urls = Array.from({ length: REQUESTS }, (_, i) => `http://192.0.2.2/${i}`);
      await lab.run("client", "curl", "--silent", "--fail", ...urls);
      expect(await forwarder.end("SIGINT")).toBe(0);
      expect(await sent()).toBe(before);
      expect(await endpoint.stop()).toHaveLength(REQUESTS);
    } finally {
      await lab.down();
    }
  },
  30_000,
);
