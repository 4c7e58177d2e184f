/**
 * Requests on their way to a file: those that come together are written together, beside everything else, and whoever
 * brought one hears when it is in the file. A file that is full is left, and the next has the next number.
 */
import { extname } from "node:path";
import type { FileCounters } from "./counters.ts";
import type { FiledRequest } from "./filed-request.ts";
import { type FileFormat, HAR, NDJSON } from "./formats.ts";
import { TwinFile } from "./twin-file.ts";

/** What waits for the disk at most; over it requests are dropped. */
export const WAITING_BYTES_MAX = 64 << 20;
/** What is written at a time, or one request. */
const PART_BYTES_MAX = 4 << 20;

/** Told when a file cannot be written. */
export interface FileReport {
  fileFailed(path: string, reason: string): void;
}

export interface FileOptions {
  readonly path: string;
  /** A file has so much at most, or one request. */
  readonly fileBytesMax: number;
  /** Which of several threads' files they are; undefined: there is one. */
  readonly thread: number | undefined;
}

/** Called when a request is in the file, or cannot be. */
export type Filed = (isWritten: boolean) => void;

interface Entry {
  readonly bytes: Buffer;
  readonly filed: Filed;
}

export class RequestFile {
  private readonly format: FileFormat;
  private file: TwinFile;
  private number = 0;
  private hasEntries = false;
  private waiting: Entry[] = [];
  private waitingBytes = 0;
  /** What is under way to the disk; null: nothing is. */
  private writing: Promise<void> | null = null;
  private hasFailed = false;

  /** Throws RefusalError. */
  constructor(
    private readonly options: FileOptions,
    private readonly counters: FileCounters,
    private readonly report: FileReport,
  ) {
    this.format = extname(options.path) === ".har" ? HAR : NDJSON;
    this.file = this.open();
  }

  /** Takes a request; `filed` is called later, unless there is no room: then this returns false. */
  add(request: FiledRequest, filed: Filed): boolean {
    const bytes = Buffer.from(this.format.entry(request));
    if (this.waitingBytes > 0 && this.waitingBytes + bytes.length > WAITING_BYTES_MAX) {
      this.counters.dropped_requests++;
      return false;
    }
    this.waiting.push({ bytes, filed });
    this.waitingBytes += bytes.length;
    // What comes of one batch is written together.
    this.writing ??= Promise.resolve().then(() => this.writeAll());
    return true;
  }

  /** Writes what waits, and leaves the file. */
  async end(): Promise<void> {
    await this.writing;
    this.file.close();
  }

  private async writeAll(): Promise<void> {
    while (this.waiting.length > 0) {
      const part = this.takePart();
      const isWritten = await this.writePart(part);
      for (const { bytes, filed } of part) {
        this.waitingBytes -= bytes.length;
        filed(isWritten);
      }
    }
    this.writing = null;
  }

  /** The first of those that wait, as many as one write and the file take; one at least. */
  private takePart(): Entry[] {
    const room = this.options.fileBytesMax - this.file.length - Buffer.byteLength(this.format.behind);
    const first = this.waiting[0]!.bytes.length + this.format.between.length;
    const most = Math.min(PART_BYTES_MAX, first > room ? this.options.fileBytesMax : room);
    let [count, bytes] = [1, first];
    while (count < this.waiting.length) {
      bytes += this.waiting[count]!.bytes.length + this.format.between.length;
      if (bytes > most) break;
      count++;
    }
    return this.waiting.splice(0, count);
  }

  private async writePart(part: readonly Entry[]): Promise<boolean> {
    try {
      await this.writeEntries(part);
      this.hasFailed = false;
      return true;
    } catch (error) {
      this.counters.dropped_requests += part.length;
      if (!this.hasFailed) this.report.fileFailed(this.path, (error as Error).message);
      this.hasFailed = true;
      return false;
    }
  }

  private async writeEntries(part: readonly Entry[]): Promise<void> {
    const { between, behind } = this.format;
    const length = part.reduce((sum, { bytes }) => sum + bytes.length + between.length, behind.length);
    if (this.hasEntries && this.file.length + length > this.options.fileBytesMax) this.rotate();
    const bytes = this.joined(part);
    try {
      await this.file.append(bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      // Somebody has moved the file away: another takes its place.
      this.reopen();
      await this.file.append(this.joined(part));
    }
    this.hasEntries = true;
    this.counters.requests += part.length;
    this.counters.bytes += bytes.length;
  }

  private joined(part: readonly Entry[]): Buffer {
    const between = Buffer.from(this.format.between);
    const all = part.flatMap(({ bytes }, i) => (i > 0 || this.hasEntries ? [between, bytes] : [bytes]));
    return Buffer.concat(all);
  }

  private rotate(): void {
    this.number++;
    try {
      this.reopen();
    } catch (error) {
      this.number--;
      throw error;
    }
  }

  private reopen(): void {
    const file = this.open();
    this.file.close();
    this.file = file;
    this.hasEntries = false;
  }

  private open(): TwinFile {
    return new TwinFile(this.path, this.format.before, this.format.behind);
  }

  /** requests.har, requests.1.har …; of several threads requests.t1.har, requests.t1.1.har … */
  private get path(): string {
    const { path, thread } = this.options;
    const extension = extname(path);
    const stem = path.slice(0, path.length - extension.length);
    const threadName = thread === undefined ? "" : `.t${thread}`;
    return `${stem}${threadName}${this.number === 0 ? "" : `.${this.number}`}${extension}`;
  }
}
