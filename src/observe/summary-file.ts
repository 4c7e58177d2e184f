/** --summary's file: opened at the start, so that a bad path is told then, and written at the end. */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeFileSync } from "node:fs";
import { RefusalError } from "../errors.ts";
import type { CountersSnapshot } from "./counters.ts";

/** Not through a link, which another user may have laid where root writes; and without waiting for a FIFO's reader. */
const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const REASONS: Record<string, string> = {
  ELOOP: "it is a symbolic link, which is not followed",
  EISDIR: "it is a directory",
  // A FIFO that nobody reads, or a socket.
  ENXIO: "it is not a regular file",
  ENOENT: "there is no such directory",
  EACCES: "permission denied",
};

export class SummaryFile {
  private constructor(
    private readonly path: string,
    private fd: number,
  ) {}

  /** Empties the file, or makes it. Throws RefusalError where it is not a regular file, or cannot be written. */
  static open(path: string): SummaryFile {
    return new SummaryFile(path, openEmpty(path));
  }

  /** Writes all counters as one JSON object; to a new file where the opened one is gone. Throws RefusalError. */
  write(counters: CountersSnapshot): void {
    const { path } = this;
    if (fstatSync(this.fd).nlink === 0) {
      closeSync(this.fd);
      this.fd = openEmpty(path);
    }
    try {
      writeFileSync(this.fd, `${JSON.stringify(counters)}\n`);
      closeSync(this.fd);
    } catch (error) {
      throw refusal(path, error);
    }
  }
}

function openEmpty(path: string): number {
  let fd: number | undefined;
  try {
    fd = openSync(path, FLAGS, 0o666);
    if (!fstatSync(fd).isFile()) throw Object.assign(new Error(), { code: "ENXIO" });
    ftruncateSync(fd);
    return fd;
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw refusal(path, error);
  }
}

function refusal(path: string, error: unknown): RefusalError {
  const { code = "", message } = error as Partial<NodeJS.ErrnoException>;
  return new RefusalError(`Cannot write the summary to ${path}: ${REASONS[code] ?? message}`);
}
