/** Errors that a person meets. Everything else that is thrown is a bug in this program. */

/** Something was asked wrongly: exit status 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The machine refuses what was asked: exit status 1. */
export class RefusalError extends Error {
  override name = "RefusalError";
}

/** A shard's thread has died, which is a bug: exit status 1 at once, for its share of the frames is being lost. */
export class ShardError extends Error {
  override name = "ShardError";
}
