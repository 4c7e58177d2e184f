/**
 * Each encapsulation on a real interface: the kernel rejects frames that are not ours, and divides flows, not packets.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ENCAPSULATIONS } from "../../src/decode/tunnel.ts";
import type { Inside } from "./encapsulations-inside.ts";
import { canIsolate } from "./program.ts";

describe.if(canIsolate("capturing each encapsulation on lo"))("an interface that two threads share", () => {
  test.each([...ENCAPSULATIONS])(
    "--encapsulation %s",
    async (encapsulation) => {
      const command = [process.execPath, join(import.meta.dir, "encapsulations-inside.ts"), encapsulation];
      const inside = Bun.spawn(["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...command], {
        stdout: "pipe",
        stderr: "inherit",
      });
      const { status, got, sent, recorded, counters } = JSON.parse(await new Response(inside.stdout).text()) as Inside;
      expect(got).toEqual(sent);
      expect(recorded).toEqual(sent);
      expect(counters.record).toMatchObject({ frames: counters.frames.captured, dropped_frames: 0 });
      expect(status).toBe(0);
      // Only segments of ours passed the filter, and each connection came to one thread, whole.
      expect(counters.frames.captured).toBe(counters.frames.segments);
      expect(counters.frames.segments).toBe(3 * sent.length);
      expect(counters.flows).toMatchObject({ opened: sent.length, picked_up: 0, closed: sent.length });
      expect(counters.reassembly.gaps).toBe(0);
    },
    30_000,
  );
});
