/** The file of --summary: opened at the start, so that a bad path is refused then, and written at the end. */
import { closeSync, fstatSync, writeFileSync } from "node:fs";
import { openEmpty, refusal } from "./output-file.ts";

const WHAT = "the summary";

/** The open file of --summary. */
export class SummaryFile {
  private constructor(
    private readonly path: string,
    private fd: number,
  ) {}

  /** Empties the file, or makes it. Throws RefusalError if it is not a regular file, or cannot be written. */
  static open(path: string): SummaryFile {
    return new SummaryFile(path, openEmpty(WHAT, path));
  }

  /** Writes all counters as one JSON object; to a new file if the opened one is gone. Throws RefusalError. */
  write(summary: object): void {
    const { path } = this;
    if (fstatSync(this.fd).nlink === 0) {
      closeSync(this.fd);
      this.fd = openEmpty(WHAT, path);
    }
    try {
      writeFileSync(this.fd, `${JSON.stringify(summary)}\n`);
      closeSync(this.fd);
    } catch (error) {
      throw refusal(WHAT, path, error);
    }
  }
}
