/** A shard's report that has no reader. */
import type { ShardReport } from "../../src/shard/shard.ts";

/** Takes everything, and reports nothing. */
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
