/** A report of a shard that nobody reads. */
import type { ShardReport } from "../../src/shard/shard.ts";

/** Takes everything, and tells nothing. */
export const UNTOLD: ShardReport = {
  outageBegan() {},
  outageEnded() {},
  speaksNot() {},
  speaks() {},
  givenUp() {},
  broken() {},
  foreign() {},
  recordFailed() {},
  fileFailed() {},
};
