/**
 * A file that is whole at every moment, also after kill -9, when the kernel may stop within a write. So there are two
 * files with the same content, and one of them has the name. New entries are written to the other, which is not seen,
 * and then that one takes the name, atomically (rename).
 *
 *     requests.har        the file            → written to next
 *     requests.har.a      (or .b) the other   → gets the name
 */
import {
  closeSync,
  constants,
  ftruncate,
  link as linkFile,
  linkSync,
  lstatSync,
  openSync,
  rename as renameFile,
  renameSync,
  rmSync,
  write as writeFile,
  writeSync,
} from "node:fs";
import { promisify } from "node:util";
import { RefusalError, writeFailure } from "../errors.ts";

/**
 * Only for its owner, because the file holds clients' data. It is created new, so that a link in its place is not
 * followed.
 */
const MODE = 0o600;
const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

const [link, rename, truncate, write] = [linkFile, renameFile, ftruncate, writeFile].map((call) =>
  promisify(call as never),
) as unknown as [
  link: (from: string, to: string) => Promise<void>,
  rename: (from: string, to: string) => Promise<void>,
  truncate: (fd: number, length: number) => Promise<void>,
  write: (fd: number, bytes: Uint8Array, from: number, length: number, at: number) => Promise<{ bytesWritten: number }>,
];

const NOTHING = Buffer.alloc(0);

/** A pair of files with the same content. Close it when all is written. */
export class TwinFile {
  /** The index of the file that has the name. */
  private shown: number;
  private hidden: number;
  private hiddenName: string;
  private freeName: string;
  /** The bytes that the hidden file lacks. */
  private lacking: Buffer = NOTHING;
  /** The length of the hidden file, without the text behind all entries. */
  private hiddenLength: number;
  /** The hidden file may have more bytes than that. */
  private isRagged = false;
  private readonly behind: Buffer;

  /**
   * Makes the file anew, in place of one that exists. Throws RefusalError if that is not possible, or if the path is no
   * plain file.
   */
  constructor(
    private readonly path: string,
    before: string,
    behind: string,
  ) {
    this.behind = Buffer.from(behind);
    this.hiddenName = `${path}.a`;
    this.freeName = `${path}.b`;
    this.hiddenLength = Buffer.byteLength(before);
    if (!mayBeReplaced(path)) throw refusal(path, "it exists, and is not a regular file");
    const opened: number[] = [];
    try {
      for (const name of [this.hiddenName, this.freeName]) {
        rmSync(name, { force: true });
        opened.push(openSync(name, FLAGS, MODE));
        writeSync(opened.at(-1)!, before + behind);
      }
      renameSync(this.freeName, path);
      // This fails now if the file system has no hard links.
      linkSync(path, this.freeName);
      rmSync(this.freeName);
    } catch (error) {
      opened.forEach(closeSync);
      for (const name of [this.hiddenName, this.freeName].slice(0, opened.length)) rmSync(name, { force: true });
      throw refusal(path, writeFailure(error));
    }
    [this.hidden, this.shown] = opened as [number, number];
  }

  /** The file's length, without the text behind all entries. */
  get length(): number {
    return this.hiddenLength + this.lacking.length;
  }

  /** Appends bytes. If that fails, the file stays as it was. One call at a time. */
  async append(bytes: Buffer): Promise<void> {
    if (this.isRagged) await truncate(this.hidden, this.hiddenLength);
    this.isRagged = true;
    await this.write(Buffer.concat([this.lacking, bytes, this.behind]));
    await link(this.path, this.freeName);
    try {
      await rename(this.hiddenName, this.path);
    } catch (error) {
      rmSync(this.freeName, { force: true });
      throw error;
    }
    this.isRagged = false;
    const { shown, hiddenName, length } = this;
    this.hiddenLength = length;
    this.shown = this.hidden;
    this.hidden = shown;
    this.hiddenName = this.freeName;
    this.freeName = hiddenName;
    this.lacking = bytes;
  }

  /** Closes both files, and removes the hidden one, if this user may (--user). Failed writes were reported already. */
  close(): void {
    closeSync(this.shown);
    closeSync(this.hidden);
    try {
      rmSync(this.hiddenName, { force: true });
    } catch {}
  }

  private async write(bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const at = this.hiddenLength + done;
      done += (await write(this.hidden, bytes, done, bytes.length - done, at)).bytesWritten;
    }
  }
}

/** Nothing is there, or a plain file. Throws RefusalError where that cannot be known. */
function mayBeReplaced(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? true;
  } catch (error) {
    throw refusal(path, writeFailure(error));
  }
}

function refusal(path: string, why: string): RefusalError {
  return new RefusalError(`Cannot write requests to ${path}: ${why}`);
}
