/** The state of a shard, as it reports it. */
import { expect, test } from "bun:test";
import { Cost } from "../../src/memory/budget.ts";
import { MemorySource } from "../simulator/memory-source.ts";
import { mirroredSegment } from "../support/frames.ts";
import { SHARD_PORT, SHARD_VNI, shardOnItsOwn } from "../support/shard.ts";

const NOW_MS = 1_750_000_000_000;
const LIMIT_MIB = 16;

test("the limit of held bytes is what connections, and what is set aside, leave of it", () => {
  const { shard } = shardOnItsOwn({ mode: "http", maxBufferMib: LIMIT_MIB }, () => NOW_MS);
  const limitBytes = LIMIT_MIB * 2 ** 20;
  expect(shard.takeGauges().max_buffer_bytes).toBe(limitBytes);
  const source = new MemorySource(1);
  const segment = { source: "10.0.0.1", destination: "10.1.0.1", destinationPort: SHARD_PORT, sequence: 0, flags: "S" };
  source.fill(
    [1, 2, 3].map((sourcePort) => ({
      bytes: mirroredSegment({ ...segment, sourcePort }, SHARD_VNI),
      timestampMs: NOW_MS,
    })),
  );
  shard.process(source, 100);
  const roomBytes = limitBytes - 3 * Cost.CONNECTION;
  expect(shard.takeGauges().max_buffer_bytes).toBe(roomBytes);
  shard.setAside(1 / 4);
  expect(shard.takeGauges().max_buffer_bytes).toBe((roomBytes * 3) / 4);
});
