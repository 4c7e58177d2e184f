/** Plain frames of an interface by which our own connections leave: none of their bytes is forwarded again. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { canIsolate } from "./program.ts";

describe.if(canIsolate("plain frames with our own connections among them"))("--encapsulation none", () => {
  test.each(["http", "tcp"])(
    "mode %s: if production is the endpoint, each request comes exactly twice",
    async (mode) => {
      const command = [process.execPath, join(import.meta.dir, "own-connections-inside.ts"), mode];
      const inside = Bun.spawn(["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...command], {
        stdout: "pipe",
        stderr: "inherit",
      });
      const { status, requests, counts, counters } = JSON.parse(await new Response(inside.stdout).text());
      expect({ status, requests, counts }).toEqual({ status: 0, requests: 200, counts: [2] });
      expect(counters.frames.dropped.own_connection).toBeGreaterThan(0);
      // A SYN to an address to which one of our connections is being established counts as ours: that connection is
      // joined at its first byte.
      expect(counters.flows.opened + counters.flows.picked_up).toBe(50);
      expect(counters.reassembly.gaps).toBe(0);
    },
    30_000,
  );
});
