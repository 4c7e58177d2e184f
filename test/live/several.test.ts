/**
 * Several replay servers behind a load balancer that hashes the mirror's outer addresses and ports, and does not know
 * the connections inside: one server is added, and one is removed, under load.
 */
import { expect, test } from "bun:test";
import { BUN, serverEndpoint } from "./endpoints.ts";
import { ENDPOINT_PORT, grown, Lab, PRODUCTION_PORT, whyNotLive } from "./lab.ts";
import { CONNECTIONS, loggedRequests, sendLoadUntil, withDigest } from "./load.ts";

const VNI = 42;
const SERVERS = 3;
/** Each change moves connections from one server to another. */
const CHANGES = 2;
/** Production's log, at the first change, at the second, and at the end. */
const LOG_BYTES = [8000, 24_000, 40_000] as const;

test.skipIf(whyNotLive() !== undefined)(
  "one replay server is added and one is removed under load: only requests in flight are lost, and they are counted",
  async () => {
    const lab = await Lab.up("v2h-several", ["--replays", String(SERVERS)]);
    try {
      await lab.balance(1, 2);
      const { log } = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
      const numbers = Array.from({ length: SERVERS }, (_, i) => i + 1);
      const given = ["eth0", String(VNI), String(PRODUCTION_PORT), `127.0.0.1:${ENDPOINT_PORT}`];
      const servers = await Promise.all(
        numbers.map(async (i) => ({
          endpoint: await serverEndpoint(lab, BUN, ENDPOINT_PORT, 0, `replay${i}`),
          forwarder: await lab.forwarderOn(`replay${i}`, "--max-pending-packets", "1024", ...given),
        })),
      );
      const changing = async () => {
        await grown(log, LOG_BYTES[0]);
        await lab.balance(1, 2, 3);
        await grown(log, LOG_BYTES[1]);
        await lab.balance(2, 3);
        await grown(log, LOG_BYTES[2]);
      };
      await sendLoadUntil(lab, { pauseMs: 40, kind: "mixed" }, changing);

      const outcomes: { counters: any; served: string[]; complaints: string[] }[] = [];
      for (const { endpoint, forwarder } of servers) {
        expect(await forwarder.end("SIGINT")).toBe(0);
        const counters = await lab.summary(forwarder);
        outcomes.push({ counters, served: await endpoint.stop(), complaints: endpoint.complaints() });
      }
      const sent = loggedRequests(log).map(({ line }) => withDigest(line));
      const served = outcomes.flatMap((outcome) => outcome.served);
      expect(outcomes.flatMap(({ complaints }) => complaints)).toEqual([]);
      expect(sent.length).toBeGreaterThan(1000);
      // Only sent requests, and none twice.
      expect(new Set(served).difference(new Set(sent))).toEqual(new Set());
      expect(new Set(served).size).toBe(served.length);
      // Each server had a share.
      for (const outcome of outcomes) expect(outcome.served.length).toBeGreaterThan(sent.length / 20);
      const lacking = sent.length - served.length;
      expect(lacking).toBeLessThanOrEqual(CHANGES * CONNECTIONS);
      const sum = (of: (counters: any) => number) => outcomes.reduce((all, { counters }) => all + of(counters), 0);
      expect(sum(({ requests }) => requests.damaged)).toBeGreaterThanOrEqual(lacking);
      expect(sum(({ requests }) => requests.answered)).toBe(served.length);
    } finally {
      await lab.down();
    }
  },
  60_000,
);
