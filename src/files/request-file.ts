/**
 * Requests on their way to a file. Those that come together are written together, in the background, and the caller
 * that brought a request hears when it is in the file. A request that is written with production's response waits for
 * that first; its caller hears at once, unless the disk is busy. When a file is full, the next one has the next number.
 */
import { extname } from "node:path";
import { writeFailure } from "../errors.ts";
import type { FileCounters } from "./counters.ts";
import type { FiledRequest } from "./filed-request.ts";
import type { FiledResponse } from "./filed-response.ts";
import { type FileFormat, HAR, NDJSON } from "./formats.ts";
import { TwinFile } from "./twin-file.ts";

/** The most bytes that wait for the disk; beyond it requests are dropped. */
export const WAITING_BYTES_MAX = 64 << 20;
/**
 * The most bytes among them that wait for production's responses; beyond it, the request that has waited longest is
 * written without its response.
 */
export const AWAITING_BYTES_MAX = WAITING_BYTES_MAX / 2;
/** While more bytes wait for the disk, the callers of new requests wait, too. */
export const AHEAD_BYTES_MAX = 8 << 20;
/** The most bytes that are written at a time, unless one request has more. */
const PART_BYTES_MAX = 4 << 20;

/** Hears when a file cannot be written. */
export interface FileReport {
  fileFailed(path: string, reason: string): void;
}

/** The options of a file of requests. */
export interface FileOptions {
  readonly path: string;
  /** The most bytes of a file, unless one request has more. */
  readonly fileBytesMax: number;
  /** The number of the thread, if several threads write files; undefined: there is one thread. */
  readonly thread: number | undefined;
}

/** Called when a request is in the file, or cannot be written, or waits for its response. */
export type Filed = (isWritten: boolean) => void;
/** Calls back once with production's response; null: it is not known. */
export type Responding = (tell: (response: FiledResponse | null) => void) => void;

interface Entry {
  readonly timeMs: number;
  /** The whole entry; its beginning, as long as its response is not known. */
  bytes: Buffer;
  /** The caller's callback; null: it was called. */
  filed: Filed | null;
  hasResponse: boolean;
}

/** A file of requests. End it when the run has ended. */
export class RequestFile {
  private readonly format: FileFormat;
  private file: TwinFile;
  private number = 0;
  private hasEntries = false;
  /** The entries that are to be written. */
  private waiting: Entry[] = [];
  /** The entries without a known response, the one that has waited longest first. */
  private readonly awaiting = new Set<Entry>();
  private awaitingBytes = 0;
  /** The bytes of both. */
  private waitingBytes = 0;
  /** Entries that wait for their response, and their callers have not heard yet. */
  private untold: Entry[] = [];
  /** The write under way; null: there is none. */
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
   * Takes a request, and calls `filed` later. False: there is no room, and `filed` is not called. `responding`: calls
   * back with the response that is written with it; null: it is written without.
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

  /** Writes all entries that wait, and closes the file. */
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

  /** Its response is known, or is not waited for any more. */
  private respond(entry: Entry, response: FiledResponse | null): void {
    if (!this.awaiting.delete(entry)) return;
    this.awaitingBytes -= entry.bytes.length;
    this.complete(entry, response);
  }

  /** Completes an entry, to be written: with its response, if there is room for that. */
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
    // The requests of one batch are written together.
    this.writing ??= Promise.resolve().then(() => this.writeAll());
  }

  /** The callers of requests that wait for their response hear so, unless the disk is busy. */
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

  /** The first entries that wait, as many as one write and the file take; one at the least. */
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
      // Somebody has moved the file away: a new one takes its place.
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

  /**
   * The path of the current file: requests.har, requests.1.har …; with several threads requests.t1.har,
   * requests.t1.1.har …
   */
  private get path(): string {
    const { path, thread } = this.options;
    const extension = extname(path);
    const stem = path.slice(0, path.length - extension.length);
    const threadName = thread === undefined ? "" : `.t${thread}`;
    return `${stem}${threadName}${this.number === 0 ? "" : `.${this.number}`}${extension}`;
  }
}
