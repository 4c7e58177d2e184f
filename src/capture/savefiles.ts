/** Several savefiles, read as one: in the order of their times, or one that grows and is replaced. */
import { statSync } from "node:fs";
import { RefusalError } from "../errors.ts";
import { FollowedBytes, nameOf } from "./byte-source.ts";
import { PassedSource, SNAPSHOT_BYTES_MAX, type WaitingSource } from "./record-source.ts";
import { Savefile } from "./savefile.ts";

/** The most records of a batch; the next ones are in the next batch. */
export const BATCH_RECORDS_MAX = 4096;
/** The size of a batch: a few records of the usual largest size fit in. A larger one (in pcapng) has one by itself. */
export const BATCH_BYTES = 4 * SNAPSHOT_BYTES_MAX;

/**
 * Opens savefiles. `follow`: the one path's file grows, and others take its place; `troubled` hears the errors of the
 * files before. Rejects with RefusalError.
 */
export async function openSavefiles(
  paths: readonly string[],
  follow: boolean,
  troubled: (error: RefusalError) => void,
): Promise<WaitingSource> {
  if (follow) return new FollowedSavefile(paths[0]!, troubled);
  return paths.length === 1 ? Savefile.open(paths[0]!) : MergedSavefiles.open(paths);
}

/** The size of all files, in bytes; 0: not known. */
export function sizeOf(paths: readonly string[], follow: boolean): number {
  if (follow || paths.includes("-")) return 0;
  return paths.reduce((sum, path) => sum + statSync(path).size, 0);
}

/** One of several savefiles. */
interface Part {
  readonly path: string;
  /** The time of its first record. */
  readonly firstMs: number;
  /** Undefined: it is opened when its time has come. */
  readonly head: Head | undefined;
}

/** A savefile and its next record. */
class Head {
  /** Whether the savefile stands at a record. */
  has = false;
  private refusal: RefusalError | undefined;

  constructor(readonly savefile: Savefile) {}

  /** Moves to the next record of the batch. {@link fill} reports errors. */
  next(): void {
    this.has = false;
    try {
      this.has = this.savefile.next();
    } catch (error) {
      if (!(error instanceof RefusalError)) throw error;
      this.refusal = error;
    }
  }

  /** Moves to the next record, if it stands at none. Rejects with RefusalError. */
  async fill(): Promise<void> {
    while (!this.has && this.refusal === undefined && (await this.savefile.fill())) this.next();
    if (this.refusal !== undefined) throw this.refusal;
  }
}

/**
 * Several savefiles, with their records in the order of their times. A file is open from its first record's time to its
 * last one's: a long row of files costs no more than the files with overlapping times. If two records have the same
 * time, that of the file named first comes first. The error of a file is told when the others are read.
 */
export class MergedSavefiles implements WaitingSource {
  bytes = new Uint8Array(BATCH_BYTES);
  view = new DataView(this.bytes.buffer);
  offset = 0;
  length = 0;
  linkType = 0;
  timestampMs = 0;

  /** The batch: the places of its records in `bytes`, with their lengths, link types and times. */
  private readonly offsets = new Int32Array(BATCH_RECORDS_MAX);
  private readonly lengths = new Int32Array(BATCH_RECORDS_MAX);
  private readonly linkTypes = new Int32Array(BATCH_RECORDS_MAX);
  private readonly timestamps = new Float64Array(BATCH_RECORDS_MAX);
  private count = 0;
  private usedBytes = 0;
  private at = 0;

  private readonly heads: Head[] = [];
  /** How many bytes the files have that are read to their ends. */
  private doneBytes = 0;
  private failure: RefusalError | undefined;

  /** `waiting`: the files that are not open yet, the first one last. */
  private constructor(private readonly waiting: Part[]) {}

  /** Looks at each file's first record. Rejects with RefusalError. */
  static async open(paths: readonly string[]): Promise<MergedSavefiles> {
    const parts: Part[] = [];
    for (const path of paths) parts.push(await partOf(path));
    // Sorting is stable: among files with the same time, the one named first has to be the last here.
    return new MergedSavefiles(parts.toReversed().toSorted((a, b) => b.firstMs - a.firstMs));
  }

  get position(): number {
    return this.heads.reduce((sum, { savefile }) => sum + savefile.position, this.doneBytes);
  }

  async fill(): Promise<boolean> {
    this.count = 0;
    this.usedBytes = 0;
    this.at = 0;
    for (;;) {
      if (this.mustRead) await this.readOn();
      const head = this.earliest();
      if (head === undefined || !this.take(head.savefile)) break;
      head.next();
    }
    if (this.count > 0) return true;
    if (this.failure !== undefined) throw this.failure;
    return false;
  }

  next(): boolean {
    const { at } = this;
    if (at === this.count) return false;
    this.offset = this.offsets[at]!;
    this.length = this.lengths[at]!;
    this.linkType = this.linkTypes[at]!;
    this.timestampMs = this.timestamps[at]!;
    this.at = at + 1;
    return true;
  }

  close(): void {
    for (const { savefile } of this.heads) savefile.close();
    for (const { head } of this.waiting) head?.savefile.close();
  }

  /** The open file with the earliest record. */
  private earliest(): Head | undefined {
    let earliest: Head | undefined;
    for (const head of this.heads)
      if (earliest === undefined || head.savefile.timestampMs < earliest.savefile.timestampMs) earliest = head;
    return earliest;
  }

  /** Whether a file's batch has ended, or the next file's time has come. */
  private get mustRead(): boolean {
    for (const head of this.heads) if (!head.has) return true;
    const next = this.waiting.at(-1);
    if (next === undefined) return false;
    const earliest = this.earliest();
    return earliest === undefined || next.firstMs <= earliest.savefile.timestampMs;
  }

  private async readOn(): Promise<void> {
    for (const head of this.heads.slice()) await this.fillHead(head);
    while (this.heads.every(({ has }) => has) && this.mustRead) {
      const { path, head } = this.waiting.pop()!;
      const opened = head ?? new Head(Savefile.open(path));
      // Files with the same time stay in the order in which they were named.
      this.heads.push(opened);
      await this.fillHead(opened);
    }
  }

  /** Reads a file's next record, and removes the file if it has ended. */
  private async fillHead(head: Head): Promise<void> {
    try {
      await head.fill();
    } catch (error) {
      if (!(error instanceof RefusalError)) throw error;
      this.failure ??= error;
    }
    if (head.has) return;
    this.doneBytes += head.savefile.position;
    head.savefile.close();
    this.heads.splice(this.heads.indexOf(head), 1);
  }

  /** Copies the record that a file stands at into the batch. False: there is no room for it. */
  private take({ bytes, offset, length, linkType, timestampMs }: Savefile): boolean {
    const { count, usedBytes } = this;
    if (count === BATCH_RECORDS_MAX || (count > 0 && usedBytes + length > BATCH_BYTES)) return false;
    if (length > this.bytes.length) this.growTo(length);
    this.bytes.set(bytes.subarray(offset, offset + length), usedBytes);
    this.offsets[count] = usedBytes;
    this.lengths[count] = length;
    this.linkTypes[count] = linkType;
    this.timestamps[count] = timestampMs;
    this.usedBytes = usedBytes + length;
    this.count = count + 1;
    return true;
  }

  private growTo(length: number): void {
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
  }
}

async function partOf(path: string): Promise<Part> {
  const head = new Head(Savefile.open(path));
  await head.fill();
  const firstMs = head.has ? head.savefile.timestampMs : Infinity;
  // Standard input and pipes cannot be read again.
  if (path === "-" || !statSync(path).isFile()) return { path, firstMs, head };
  head.savefile.close();
  return { path, firstMs, head: undefined };
}

/** A file that grows, and those that take its place, one after the other. It has no end. */
export class FollowedSavefile extends PassedSource<Savefile> {
  private isOver = false;

  /** `troubled` hears the error of a file that another one has replaced. Throws RefusalError. */
  constructor(
    private readonly path: string,
    private readonly troubled: (error: RefusalError) => void,
  ) {
    super(new Savefile(nameOf(path), FollowedBytes.open(path)));
  }

  get timestampMs(): number {
    return this.source.timestampMs;
  }

  next(): boolean {
    try {
      return this.source.next();
    } catch (error) {
      this.end(error);
      return false;
    }
  }

  async fill(): Promise<boolean> {
    try {
      if (!this.isOver && (await this.source.fill())) return true;
    } catch (error) {
      this.end(error);
    }
    this.source.close();
    this.source = new Savefile(nameOf(this.path), FollowedBytes.open(this.path));
    this.isOver = false;
    return true;
  }

  /** Another file has replaced this one, which was not whole. Damage in the middle of a file still ends the run. */
  private end(error: unknown): void {
    if (!(error instanceof RefusalError) || !this.source.isAtEnd) throw error;
    this.troubled(error);
    this.isOver = true;
  }
}
