/**
 * Requests on their way to a file: those that come together are written together, beside everything else, and whoever
 * brought one hears when it is in the file. One that is written with production's response waits for that first; who
 * brought it hears at once then, unless the disk has enough to do. A file that is full is left, and the next has the next
 * number.
 */
import { extname } from "node:path";
import { writeFailure } from "../errors.ts";
import type { FileCounters } from "./counters.ts";
import type { FiledRequest } from "./filed-request.ts";
import type { FiledResponse } from "./filed-response.ts";
import { type FileFormat, HAR, NDJSON } from "./formats.ts";
import { TwinFile } from "./twin-file.ts";

/** What waits for the disk at most; over it requests are dropped. */
export const WAITING_BYTES_MAX = 64 << 20;
/** Of it, what waits for responses of production; over it, the one that has waited longest is written without. */
export const AWAITING_BYTES_MAX = WAITING_BYTES_MAX / 2;
/** While more waits for the disk, whoever brings a request waits, too. */
const AHEAD_BYTES_MAX = 8 << 20;
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

/** Called when a request is in the file, or cannot be; or waits for its response. */
export type Filed = (isWritten: boolean) => void;
/** Calls back once with production's response; null: it has none that is known. */
export type Responding = (tell: (response: FiledResponse | null) => void) => void;

interface Entry {
  readonly timeMs: number;
  /** All of it; its beginning, as long as its response is not known. */
  bytes: Buffer;
  /** Null: whoever brought it has heard. */
  filed: Filed | null;
  hasResponse: boolean;
}

export class RequestFile {
  private readonly format: FileFormat;
  private file: TwinFile;
  private number = 0;
  private hasEntries = false;
  /** Those that are to be written. */
  private waiting: Entry[] = [];
  /** Those whose response is not known, the one that has waited longest first. */
  private readonly awaiting = new Set<Entry>();
  private awaitingBytes = 0;
  /** Of both. */
  private waitingBytes = 0;
  /** Entries that wait for their response, and of which nobody has heard yet. */
  private untold: Entry[] = [];
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

  /**
   * Takes a request; `filed` is called later, unless there is no room: then this returns false. `responding`: it is
   * written with its response.
   */
  add(request: FiledRequest, filed: Filed, responding: Responding | null = null): boolean {
    const bytes = Buffer.from(this.format.request(request));
    if (this.waitingBytes > 0 && this.waitingBytes + bytes.length > WAITING_BYTES_MAX) {
      this.counters.dropped_requests++;
      return false;
    }
    this.waitingBytes += bytes.length;
    const entry: Entry = { timeMs: request.timeMs, bytes, filed, hasResponse: false };
    if (responding === null) this.complete(entry, null);
    else this.await(entry, responding);
    return true;
  }

  /** Writes what waits, and leaves the file. */
  async end(): Promise<void> {
    for (const entry of this.awaiting) this.respond(entry, null);
    await this.writing;
    this.file.close();
  }

  private await(entry: Entry, responding: Responding): void {
    this.awaiting.add(entry);
    this.awaitingBytes += entry.bytes.length;
    responding((response) => this.respond(entry, response));
    for (const oldest of this.awaiting) {
      if (this.awaitingBytes <= AWAITING_BYTES_MAX) break;
      this.counters.dropped_responses++;
      this.respond(oldest, null);
    }
    if (!this.awaiting.has(entry)) return;
    this.untold.push(entry);
    this.tell();
  }

  /** It has waited enough. */
  private respond(entry: Entry, response: FiledResponse | null): void {
    if (!this.awaiting.delete(entry)) return;
    this.awaitingBytes -= entry.bytes.length;
    this.complete(entry, response);
  }

  /** It is to be written: with its response, if there is room for that. */
  private complete(entry: Entry, response: FiledResponse | null): void {
    let rest = Buffer.from(this.format.response(response, entry.timeMs));
    entry.hasResponse = response !== null;
    if (response !== null && this.waitingBytes + rest.length > WAITING_BYTES_MAX && this.waiting.length > 0) {
      this.counters.dropped_responses++;
      entry.hasResponse = false;
      rest = Buffer.from(this.format.response(null, entry.timeMs));
    }
    entry.bytes = Buffer.concat([entry.bytes, rest]);
    this.waitingBytes += rest.length;
    this.waiting.push(entry);
    // What comes of one batch is written together.
    this.writing ??= Promise.resolve().then(() => this.writeAll());
  }

  /** Those who brought requests that wait for their response hear so, unless the disk has enough to do. */
  private tell(): void {
    if (this.waitingBytes - this.awaitingBytes > AHEAD_BYTES_MAX) return;
    const { untold } = this;
    this.untold = [];
    for (const entry of untold) {
      entry.filed?.(true);
      entry.filed = null;
    }
  }

  private async writeAll(): Promise<void> {
    while (this.waiting.length > 0) {
      const part = this.takePart();
      const isWritten = await this.writePart(part);
      for (const entry of part) {
        this.waitingBytes -= entry.bytes.length;
        entry.filed?.(isWritten);
        entry.filed = null;
      }
      this.tell();
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
      if (!this.hasFailed) this.report.fileFailed(this.path, writeFailure(error));
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
    for (const { hasResponse } of part) if (hasResponse) this.counters.responses++;
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
