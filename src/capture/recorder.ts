/**
 * --record: frames as they came, in a ring of pcapng files
 * (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html). Whole blocks are written, many at a time and in
 * the background. Frames that a slow disk does not take are counted, and not waited for. A run goes on behind the
 * newest file of the run before.
 *
 *     section header   type, length, magic, version (2+2), section length (8: not known), length
 *     interface        type, length, link type (2), reserved (2), snapshot length (0: none), length
 *     enhanced packet  type, length, interface, time (4+4: microseconds), captured length, original length, frame,
 *                      length
 */
import { constants, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { extname } from "node:path";
import { RefusalError, writeFailure } from "../errors.ts";

/** New counters of a recording, all zero. */
export const recordCounters = () => ({
  frames: 0,
  /** Bytes that were written to the files. */
  bytes: 0,
  /** Frames that were not written: the disk was too slow, or refused; or they are over {@link FRAME_BYTES_MAX}. */
  dropped_frames: 0,
  /** Files that were begun. */
  files: 0,
});

/** The counters of a recording. */
export type RecordCounters = ReturnType<typeof recordCounters>;

/** Hears when the files cannot be written any more. */
export interface RecordReport {
  recordFailed(reason: string): void;
}

/** The options of a recording. */
export interface RecordOptions {
  readonly path: string;
  /** The size of a file; it may exceed this by a part of one write. */
  readonly fileBytesMax: number;
  /**
   * A frame that comes this much later than a file's first one, in the capture's time, begins the next file; Infinity:
   * no limit.
   */
  readonly fileMsMax: number;
  /** How many files the ring has. */
  readonly files: number;
  /** The number of the thread, if several threads record; undefined: there is one thread. */
  readonly thread: number | undefined;
}

/** The most bytes that are written at a time; a batch that brought fewer is written as well. */
export const CHUNK_BYTES = 1 << 20;
/** The most parts that are under way to the disk at a time. */
export const PARTS_MAX = 8;

const SECTION_HEADER_BLOCK = 0x0a0d0d0a;
const SECTION_MAGIC = 0x1a2b3c4d;
const SECTION_BLOCK_LEN = 28;
const INTERFACE_BLOCK = 1;
const INTERFACE_BLOCK_LEN = 20;
const ENHANCED_PACKET_BLOCK = 6;
/** The length of a packet block without the frame. */
const PACKET_BLOCK_LEN = 32;
const PACKET_HEADER_LEN = 28;
const ALIGNMENT = 4;
/** The longest frame: a chunk takes it, and the description of its interface. */
export const FRAME_BYTES_MAX = CHUNK_BYTES - PACKET_BLOCK_LEN - INTERFACE_BLOCK_LEN;
const US_PER_MS = 1000;
const LOW_WORD = 2 ** 32;

/**
 * Only for its owner, because the file holds clients' data. Links are not followed: another user may have put one
 * there.
 */
const MODE = 0o600;
const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

/** Writes frames to a ring of pcapng files (--record). Frames are copied; the disk is not waited for. */
export class Recorder {
  private readonly chunk = new Uint8Array(CHUNK_BYTES);
  private readonly view = new DataView(this.chunk.buffer);
  private used = 0;
  /** The link types of a section's interfaces, in the order of their descriptions. */
  private linkTypes: number[] = [];
  private fileBytes = 0;
  /** When the file's first frame came, in the capture's time; NaN: there was none. */
  private firstMs = NaN;
  /** The chunk is for a file that is opened when its first frame comes. */
  private isFresh = false;
  private partsUnderWay = 0;
  private hasFailed = false;
  private slot: number;
  /** All writes, one after the other. */
  private disk: Promise<void>;
  private file: FileHandle | null = null;

  private constructor(
    private readonly options: RecordOptions,
    private readonly counters: RecordCounters,
    private readonly report: RecordReport,
    first: FileHandle,
    slot: number,
  ) {
    this.slot = slot;
    this.file = first;
    counters.files++;
    this.disk = Promise.resolve();
    this.beginFile();
    this.write();
  }

  /** Opens the ring's next file. Rejects with RefusalError. */
  static async open(options: RecordOptions, counters: RecordCounters, report: RecordReport): Promise<Recorder> {
    let slot = 0;
    try {
      if (statSync(options.path, { throwIfNoEntry: false })?.isDirectory() === true)
        throw new RefusalError(`Cannot record to ${options.path}: it is a directory`);
      slot = nextSlot(options);
      return new Recorder(options, counters, report, await open(pathOf(options, slot), FLAGS, MODE), slot);
    } catch (error) {
      if (error instanceof RefusalError) throw error;
      throw new RefusalError(`Cannot record to ${pathOf(options, slot)}: ${writeFailure(error)}`);
    }
  }

  /** Times from `fromMs` on were in truth `toMs`. */
  leapt(fromMs: number, toMs: number): void {
    if (this.firstMs >= fromMs) this.firstMs = toMs;
  }

  /**
   * Records a frame in `bytes`; it is copied. `nowMs`: the capture's time. A frame's own stamp may be wrong: one that
   * is years ahead must not end a file.
   */
  add(bytes: Uint8Array, offset: number, length: number, linkType: number, timestampMs: number, nowMs: number): void {
    const padded = Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    if (nowMs - this.firstMs >= this.options.fileMsMax) this.leaveFile();
    if (this.hasFailed || !this.makeRoom(padded + PACKET_BLOCK_LEN + INTERFACE_BLOCK_LEN)) {
      this.counters.dropped_frames++;
      return;
    }
    const { view, chunk } = this;
    const from = this.interfaceOf(linkType);
    const at = this.used;
    const total = padded + PACKET_BLOCK_LEN;
    const us = Math.round(timestampMs * US_PER_MS);
    view.setUint32(at, ENHANCED_PACKET_BLOCK, true);
    view.setUint32(at + 4, total, true);
    view.setUint32(at + 8, from, true);
    view.setUint32(at + 12, Math.floor(us / LOW_WORD), true);
    view.setUint32(at + 16, us % LOW_WORD, true);
    view.setUint32(at + 20, length, true);
    view.setUint32(at + 24, length, true);
    chunk.set(bytes.subarray(offset, offset + length), at + PACKET_HEADER_LEN);
    chunk.fill(0, at + PACKET_HEADER_LEN + length, at + PACKET_HEADER_LEN + padded);
    view.setUint32(at + total - 4, total, true);
    this.used = at + total;
    if (Number.isNaN(this.firstMs)) this.firstMs = nowMs;
    this.counters.frames++;
  }

  /** The batch is over: its frames are written. */
  flush(): void {
    if (this.used === (this.isFresh ? SECTION_BLOCK_LEN : 0) || this.partsUnderWay === PARTS_MAX) return;
    if (this.isFresh) {
      this.isFresh = false;
      this.slot = (this.slot + 1) % this.options.files;
      const { slot } = this;
      this.counters.files++;
      this.after(() => this.rotate(slot));
    }
    this.write();
    if (this.fileBytes >= this.options.fileBytesMax) this.endFile();
  }

  /** The next frames go to the next file; if the disk is behind, they still go to the current one. */
  private leaveFile(): void {
    this.flush();
    if (this.used === 0) this.endFile();
  }

  private endFile(): void {
    this.beginFile();
    this.isFresh = true;
  }

  /** Writes the frames that are left. */
  async end(): Promise<void> {
    await this.disk;
    this.flush();
    await this.disk;
    await this.file?.close();
    this.file = null;
  }

  private write(): void {
    const part = this.chunk.slice(0, this.used);
    this.used = 0;
    this.fileBytes += part.length;
    this.partsUnderWay++;
    this.after(() => this.writeOut(part));
  }

  private after(action: () => Promise<void>): void {
    this.disk = this.disk.then(action).catch((error: unknown) => this.fail(error));
  }

  private async writeOut(part: Uint8Array): Promise<void> {
    try {
      for (let done = 0; this.file !== null && !this.hasFailed && done < part.length;) {
        const { bytesWritten } = await this.file.write(part, done);
        done += bytesWritten;
        this.counters.bytes += bytesWritten;
      }
    } finally {
      this.partsUnderWay--;
    }
  }

  private async rotate(slot: number): Promise<void> {
    await this.file?.close();
    this.file = null;
    if (!this.hasFailed) this.file = await open(pathOf(this.options, slot), FLAGS, MODE);
  }

  private fail(error: unknown): void {
    if (!this.hasFailed) this.report.recordFailed(writeFailure(error));
    this.hasFailed = true;
  }

  /** Begins a file. Each file is a section of its own, and can be read alone. */
  private beginFile(): void {
    const { view } = this;
    this.linkTypes = [];
    this.fileBytes = 0;
    this.firstMs = NaN;
    view.setUint32(0, SECTION_HEADER_BLOCK, true);
    view.setUint32(4, SECTION_BLOCK_LEN, true);
    view.setUint32(8, SECTION_MAGIC, true);
    view.setUint16(12, 1, true);
    view.setUint16(14, 0, true);
    view.setBigInt64(16, -1n, true);
    view.setUint32(24, SECTION_BLOCK_LEN, true);
    this.used = SECTION_BLOCK_LEN;
  }

  /** The number of the interface that stands for a link type. */
  private interfaceOf(linkType: number): number {
    const known = this.linkTypes.indexOf(linkType);
    if (known >= 0) return known;
    const { view, used } = this;
    view.setUint32(used, INTERFACE_BLOCK, true);
    view.setUint32(used + 4, INTERFACE_BLOCK_LEN, true);
    view.setUint16(used + 8, linkType, true);
    view.setUint16(used + 10, 0, true);
    view.setUint32(used + 12, 0, true);
    view.setUint32(used + 16, INTERFACE_BLOCK_LEN, true);
    this.used = used + INTERFACE_BLOCK_LEN;
    return this.linkTypes.push(linkType) - 1;
  }

  /** Whether there is a chunk with room for `bytes`. */
  private makeRoom(bytes: number): boolean {
    if (this.used + bytes > CHUNK_BYTES) this.flush();
    return this.used + bytes <= CHUNK_BYTES;
  }
}

/** The options that name a ring's files. */
type Ring = Pick<RecordOptions, "path" | "files" | "thread">;

/** The paths of a ring's files, whether or not they exist. */
export function ringPaths(ring: Ring): string[] {
  return Array.from({ length: ring.files }, (_, slot) => pathOf(ring, slot));
}

/** The path of a file: mirror.pcapng becomes mirror.0.pcapng, or mirror.t1.0.pcapng. */
function pathOf({ path, thread }: Ring, slot: number): string {
  const extension = extname(path);
  const stem = path.slice(0, path.length - extension.length);
  return `${stem}${thread === undefined ? "" : `.t${thread}`}.${slot}${extension}`;
}

/** The first file that does not exist, or the oldest one. */
function nextSlot(options: RecordOptions): number {
  let oldest = 0;
  let oldestMs = Infinity;
  for (let slot = 0; slot < options.files; slot++) {
    const stat = statSync(pathOf(options, slot), { throwIfNoEntry: false });
    if (stat === undefined) return slot;
    if (stat.mtimeMs >= oldestMs) continue;
    oldest = slot;
    oldestMs = stat.mtimeMs;
  }
  return oldest;
}
