/** The file of --differences: a JSON line for each difference. */
import { closeSync, writeSync } from "node:fs";
import { openEmpty, refusal } from "./output-file.ts";

const WHAT = "differences";

export class DifferencesFile {
  private constructor(
    private readonly path: string,
    private readonly fd: number,
  ) {}

  /** Empties the file, or makes it. Throws RefusalError if it is not a regular file, or cannot be written. */
  static open(path: string): DifferencesFile {
    return new DifferencesFile(path, openEmpty(WHAT, path));
  }

  /** Appends lines. Throws RefusalError. */
  append(lines: readonly string[]): void {
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.fd, bytes, at);
    } catch (error) {
      throw refusal(WHAT, this.path, error);
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}
