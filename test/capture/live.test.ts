/** Frames of all sizes, more than a batch holds. The test needs root, for a network namespace of its own. */
import { expect, test } from "bun:test";
import { join } from "node:path";

const isPossible = process.getuid?.() === 0 && Bun.which("unshare") !== null && Bun.which("ip") !== null;

test.skipIf(!isPossible)("each frame is captured once, whole and in order, even if few fit into a batch", async () => {
  const command = `ip link set lo up && exec "$0" ${join(import.meta.dir, "live-inside.ts")}`;
  const inside = Bun.spawn(["unshare", "-n", "sh", "-c", command, process.execPath], { stderr: "inherit" });
  expect(JSON.parse(await inside.stdout.text())).toEqual({ frames: 60, whole: 60, hasSeveralBatches: true });
});
