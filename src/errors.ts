/** Errors that a person meets. Every other error that is thrown is a bug in this program. */

/** The options are wrong: exit status 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The machine refuses a request of the operator: exit status 1. */
export class RefusalError extends Error {
  override name = "RefusalError";
}

/** A shard's thread has died, which is a bug: exit status 1 at once, because its share of the frames is being lost. */
export class ShardError extends Error {
  override name = "ShardError";
}

const WRITE_FAILURES: Record<string, string> = {
  ELOOP: "it is a symbolic link, which is not followed",
  EISDIR: "it is a directory",
  ENAMETOOLONG: "its name is too long",
  // A FIFO without a reader, or a socket.
  ENXIO: "it is not a regular file",
  ENOENT: "there is no such directory",
  ENOTDIR: "there is no such directory",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "its file system is read-only",
  ENOSPC: "its file system is full",
  EDQUOT: "its owner's quota is used up",
  EFBIG: "it may not grow any more (ulimit -f)",
};

/** The reason why a file could not be made, or written: in words, if the system's code is known. */
export function writeFailure(error: unknown): string {
  const { code = "", message = "" } = error as Partial<NodeJS.ErrnoException>;
  return WRITE_FAILURES[code] ?? message;
}
