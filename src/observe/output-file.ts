/** Output files: opened at the start, so that a bad path is refused then. */
import { closeSync, constants, fstatSync, ftruncateSync, openSync } from "node:fs";
import { RefusalError, writeFailure } from "../errors.ts";

/**
 * Links are not followed, because another user may have put one where root writes; and a FIFO's reader is not waited
 * for.
 */
const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Empties the file, or makes it. Returns its descriptor. Throws RefusalError if it is not a regular file, or cannot be
 * written.
 */
export function openEmpty(what: string, path: string): number {
  let fd: number | undefined;
  try {
    fd = openSync(path, FLAGS, 0o666);
    if (!fstatSync(fd).isFile()) throw Object.assign(new Error(), { code: "ENXIO" });
    ftruncateSync(fd);
    return fd;
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw refusal(what, path, error);
  }
}

/** The error for a file that cannot be written. */
export function refusal(what: string, path: string, error: unknown): RefusalError {
  return new RefusalError(`Cannot write ${what} to ${path}: ${writeFailure(error)}`);
}
