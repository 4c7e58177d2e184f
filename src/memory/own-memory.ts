/**
 * The memory that this process has for itself, without its executable's pages and the kernel's buffer for frames (which
 * is mapped, and has a limit of its own). The kernel is asked through a descriptor that is held from the start, so it
 * works even if no other descriptor is free.
 */
import { openSync, readFileSync, readSync } from "node:fs";

/** proc_pid_statm(5), in pages: the process's size, how many are in memory, and how many of those belong to files. */
const STATM = "/proc/self/statm";
/** More than its seven numbers can take. */
const STATM_BYTES_MAX = 160;
const SPACE = 0x20;
const ZERO = 0x30;

/** getauxval(3): pairs of a type and a value, 64 bits each. */
const AUXILIARY_VECTOR = "/proc/self/auxv";
const AUXILIARY_PAIR_BYTES = 16;
const AT_PAGESZ = 6;

export interface OwnMemory {
  /** The own memory in bytes; always 0 if it cannot be known. */
  read(): number;
}

/**
 * Opens it, for as long as the process lives. If the system has no such file, or refuses it, {@link OwnMemory.read}
 * returns 0.
 */
export function openOwnMemory(path = STATM): OwnMemory {
  try {
    return new Statm(openSync(path, "r"), pageBytes());
  } catch {
    return { read: () => 0 };
  }
}

class Statm implements OwnMemory {
  private readonly text = new Uint8Array(STATM_BYTES_MAX);
  private at = 0;

  constructor(
    private readonly fd: number,
    private readonly pageBytes: number,
  ) {}

  read(): number {
    try {
      readSync(this.fd, this.text, 0, STATM_BYTES_MAX, 0);
    } catch {
      return 0;
    }
    this.at = 0;
    this.number();
    const inMemory = this.number();
    return (inMemory - this.number()) * this.pageBytes;
  }

  /** Reads the next number. */
  private number(): number {
    let value = 0;
    for (; this.at < STATM_BYTES_MAX && this.text[this.at]! > SPACE; this.at++)
      value = value * 10 + this.text[this.at]! - ZERO;
    this.at++;
    return value;
  }
}

function pageBytes(): number {
  const vector = readFileSync(AUXILIARY_VECTOR);
  const view = new DataView(vector.buffer, vector.byteOffset, vector.length);
  for (let at = 0; at + AUXILIARY_PAIR_BYTES <= vector.length; at += AUXILIARY_PAIR_BYTES) {
    if (view.getBigUint64(at, true) === BigInt(AT_PAGESZ))
      return Number(view.getBigUint64(at + AUXILIARY_PAIR_BYTES / 2, true));
  }
  throw new Error(`${AUXILIARY_VECTOR} names no page size`);
}
