/**
 * Nothing goes back to production. The endpoint is on the replay server, so every packet that leaves this server is a
 * fault.
 */
import { expect, test } from "bun:test";
import { ENDPOINT_PORT, Lab, PRODUCTION_PORT, whyNotLive } from "./lab.ts";

const REQUESTS = 20;

test.skipIf(whyNotLive() !== undefined)(
  "while it captures and forwards, no packet leaves by the mirror's interface",
  async () => {
    const lab = await Lab.up("v2h-back");
    try {
      await lab.nginx("production", "listen 80;", 1000, `return 200 "hello";`);
      await lab.nginx("replay", `listen 127.0.0.1:${ENDPOINT_PORT};`, 1000, `return 200 "served";`);
      const forwarder = await lab.forwarder("eth0", "42", String(PRODUCTION_PORT), `127.0.0.1:${ENDPOINT_PORT}`);
      // The kernel's own multicast packets (neighbours, groups) do not count.
      const sniffer = ["tcpdump", "-n", "-l", "-Q", "out", "-i", "eth0", "not ether multicast"];
      const leaving = lab.start("replay", ...sniffer);
      await leaving.until(({ stderr }) => stderr.includes("listening on"));
      const urls = Array.from({ length: REQUESTS }, (_, i) => `http://192.0.2.2/${i}`);
      await lab.run("client", "curl", "--silent", "--fail", ...urls);
      expect(leaving.stdout).toBe("");
      expect(await forwarder.end("SIGINT")).toBe(0);
      expect((await lab.summary(forwarder)).requests.answered).toBeGreaterThan(0);
      // Without the program, the kernel refuses the mirror's packets, and the refusals are seen.
      await lab.run("client", "curl", "--silent", "--fail", urls[0]!);
      await leaving.until(({ stdout }) => stdout.includes("unreachable"));
    } finally {
      await lab.down();
    }
  },
  30_000,
);
