/** The sources of a savefile's bytes: a file or pipe, a compressed one, or a file that grows. */
import { closeSync, fstatSync, open, openSync, read, readSync, statSync } from "node:fs";
import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { RefusalError } from "../errors.ts";

/** A source of bytes that is read by waiting. */
export interface ByteSource {
  /** How many bytes of the file were read so far. */
  readonly position: number;
  /**
   * Reads up to `max` bytes into `bytes`, from `at` on, and waits for at least one. Resolves with their number; 0: the
   * end. Rejects with RefusalError.
   */
  read(bytes: Uint8Array, at: number, max: number): Promise<number>;
  close(): void;
}

/** How often a file that grows is looked at. */
const FOLLOW_MS = 50;
const CHUNK_BYTES = 256 << 10;
/** How many of the last read bytes are kept. */
const TAIL_BYTES = 64;
/**
 * Unpacking goes on when the chunk before is taken. A stream that fails forgets the chunks that it holds: here, it holds
 * none but the one that it cannot finish.
 */
const ONE_CHUNK = { chunkSize: 16 << 10, readableHighWaterMark: 1 };
const GZIP_MAGIC = 0x1f8b;
const ZSTD_MAGIC = 0x28b52ffd;
/** How many first bytes tell whether, and how, a file is compressed. */
export const MAGIC_LEN = 4;

/** A file or pipe, read as it is. */
export class FileBytes implements ByteSource {
  position = 0;
  /** The last bytes that were read: they have time stamps, so no other file has the same bytes there. */
  tail = new Uint8Array(0);
  private isReading = false;
  private isClosed = false;

  private constructor(
    private readonly name: string,
    private readonly path: string,
    /** Null: it is opened when it is first read. */
    private fd: number | null,
  ) {}

  /** Opens a file, or standard input for "-". Throws RefusalError. */
  static open(path: string): FileBytes {
    if (path === "-") return new FileBytes(nameOf(path), path, 0);
    try {
      // To open a pipe without a writer would block the program until there is one.
      return new FileBytes(path, path, statSync(path).isFIFO() ? null : openSync(path, "r"));
    } catch (error) {
      throw cannotRead(path, error);
    }
  }

  async read(bytes: Uint8Array, at: number, max: number): Promise<number> {
    if (this.isClosed) return 0;
    this.isReading = true;
    const fd = (this.fd ??= await this.openPipe());
    const count = await new Promise<number>((resolve, reject) => {
      read(fd, bytes, at, max, null, (error, read) => {
        this.isReading = false;
        if (this.isClosed) this.close();
        if (error) reject(cannotRead(this.name, error));
        else resolve(read);
      });
    });
    this.position += count;
    this.keepTail(bytes.subarray(at, at + count));
    return count;
  }

  private keepTail(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const kept = Math.min(this.tail.length, Math.max(TAIL_BYTES - bytes.length, 0));
    const tail = new Uint8Array(kept + Math.min(bytes.length, TAIL_BYTES));
    tail.set(this.tail.subarray(this.tail.length - kept));
    tail.set(bytes.subarray(Math.max(bytes.length - TAIL_BYTES, 0)), kept);
    this.tail = tail;
  }

  /** Whether another file has this path now. */
  get isReplaced(): boolean {
    try {
      const [mine, now] = [fstatSync(this.fd!), statSync(this.path)];
      return now.ino !== mine.ino || now.dev !== mine.dev;
    } catch {
      // The file was moved away, and the next one is not there yet.
      return false;
    }
  }

  /** Whether the file still has the bytes that were read up to `position`; `tail`: the last of them. */
  holds(tail: Uint8Array, position: number): boolean {
    const now = new Uint8Array(tail.length);
    const count = readSync(this.fd!, now, 0, now.length, position - now.length);
    return count === now.length && Buffer.compare(now, tail) === 0;
  }

  /** Closes the file when the read under way has ended: a closed descriptor may soon be another file's. */
  close(): void {
    this.isClosed = true;
    if (this.isReading || this.fd === null) return;
    if (this.fd !== 0) closeSync(this.fd);
    this.fd = 0;
  }

  private openPipe(): Promise<number> {
    return new Promise((resolve, reject) => {
      open(this.path, "r", (error, fd) => {
        if (error) reject(cannotRead(this.name, error));
        else resolve(fd);
      });
    });
  }
}

/** A file that grows. Its end comes when another file has its path. */
export class FollowedBytes implements ByteSource {
  private constructor(private readonly file: FileBytes) {}

  /** Throws RefusalError. */
  static open(path: string): FollowedBytes {
    return new FollowedBytes(FileBytes.open(path));
  }

  get position(): number {
    return this.file.position;
  }

  async read(bytes: Uint8Array, at: number, max: number): Promise<number> {
    for (;;) {
      const { tail, position } = this.file;
      // Asked before the read, so that all bytes from before the replacement are read.
      const { isReplaced } = this.file;
      const count = await this.file.read(bytes, at, max);
      // If the file was cut short and written anew, it may have grown beyond the old position.
      if (!this.file.holds(tail, position)) return 0;
      if (count > 0 || isReplaced) return count;
      await Bun.sleep(FOLLOW_MS);
    }
  }

  close(): void {
    this.file.close();
  }
}

/** How bytes are compressed, by their first bytes; undefined: they are not compressed. */
export function compressionOf(magic: number): "gzip" | "zstd" | undefined {
  return magic >>> 16 === GZIP_MAGIC ? "gzip" : magic === ZSTD_MAGIC ? "zstd" : undefined;
}

/** A compressed source, unpacked as it is read. */
export class UnpackedBytes implements ByteSource {
  private readonly stream: Transform;
  private readonly chunks: Uint8Array[] = [];
  private isOver = false;
  private failure: unknown;
  /** Waits for a chunk, or the end. */
  private wake = () => {};
  /** Waits for the reader. */
  private ask = () => {};

  /** `begin`: the bytes that were read of the source already. */
  constructor(
    private readonly name: string,
    kind: "gzip" | "zstd",
    private readonly source: ByteSource,
    begin: Uint8Array,
  ) {
    const stream = kind === "gzip" ? createGunzip(ONE_CHUNK) : createZstdDecompress(ONE_CHUNK);
    this.stream = stream;
    stream.on("data", (chunk: Uint8Array) => {
      this.chunks.push(chunk);
      stream.pause();
      this.wake();
    });
    stream.on("end", () => this.finish(undefined));
    stream.on("error", (error) => this.finish(error));
    this.pump(begin).catch((error: unknown) => this.finish(error));
  }

  get position(): number {
    return this.source.position;
  }

  async read(bytes: Uint8Array, at: number, max: number): Promise<number> {
    while (this.chunks.length === 0 && !this.isOver) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.wake = resolve;
      this.stream.resume();
      this.ask();
      await promise;
    }
    const chunk = this.chunks[0];
    if (chunk === undefined) return this.end();
    const part = chunk.subarray(0, max);
    bytes.set(part, at);
    if (part.length === chunk.length) this.chunks.shift();
    else this.chunks[0] = chunk.subarray(part.length);
    return part.length;
  }

  close(): void {
    this.finish(undefined);
    this.stream.destroy();
    this.source.close();
  }

  private end(): number {
    if (this.failure === undefined) return 0;
    if (this.failure instanceof RefusalError) throw this.failure;
    throw new RefusalError(`Cannot read all of ${this.name}: its compressed data is damaged, or ends too early`);
  }

  private finish(error: unknown): void {
    this.failure ??= error;
    this.isOver = true;
    this.wake();
    this.ask();
  }

  /** No more is read than the stream takes. */
  private async pump(begin: Uint8Array): Promise<void> {
    const { stream } = this;
    let part = begin;
    while (part.length > 0 && !stream.destroyed) {
      await unpacked(stream, part);
      await this.emptied();
      const bytes = new Uint8Array(CHUNK_BYTES);
      part = bytes.subarray(0, await this.source.read(bytes, 0, CHUNK_BYTES));
    }
    stream.end();
  }

  /** Resolves when all unpacked bytes were read, because the end of the stream may be its failure. */
  private async emptied(): Promise<void> {
    while (!this.isOver && (this.chunks.length > 0 || this.stream.readableLength > 0)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.ask = resolve;
      await promise;
    }
  }
}

/** Unpacks bytes. Resolves when all that is in them was handed to the stream's reader, or nothing more will be. */
function unpacked(stream: Transform, part: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off("close", done);
      resolve();
    };
    stream.on("close", done);
    stream.write(part, done);
  });
}

/** A path, as messages show it. */
export function nameOf(path: string): string {
  return path === "-" ? "standard input" : path;
}

function cannotRead(name: string, error: unknown): RefusalError {
  return new RefusalError(`Cannot read ${name}: ${describe(error)}`);
}

function describe(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT") return "no such file";
  if (code === "EACCES") return "permission denied";
  if (code === "EISDIR") return "it is a directory";
  return (error as Error).message;
}
