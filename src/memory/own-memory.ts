/**
 * The memory that this process has for itself: neither its executable's pages nor the kernel's buffer for frames, which
 * is mapped, and has a limit of its own. The kernel is asked through a descriptor that is held from the start: that no
 * other is left to be had changes nothing.
 */
import { openSync, readFileSync, readSync } from "node:fs";

/** proc_pid_statm(5), in pages: how many the process has, how many are in memory, how many of those lie in files. */
const STATM = "/proc/self/statm";
/** More than its numbers, of which there are seven, can take. */
const STATM_BYTES_MAX = 160;
const SPACE = 0x20;
const ZERO = 0x30;

/** getauxval(3): pairs of a type and a value, 64 bits each. */
const AUXILIARY_VECTOR = "/proc/self/auxv";
const AUXILIARY_PAIR_BYTES = 16;
const AT_PAGESZ = 6;

export interface OwnMemory {
  /** In bytes; always 0 where it cannot be known. */
  read(): number;
}

/** Opens it, for as long as the process lives. Where the system has no such file, or refuses it, it tells 0. */
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

  /** The number that comes next. */
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
