/** Bytes that wait for a destination, in order, in a few arrays. Each write offers the first array. */
import { copyBytes } from "../memory/copy-bytes.ts";
import type { HeldMemory } from "./held-memory.ts";

const FIRST_BYTES_MIN = 256;
/** The longest array; behind it another begins. */
export const ARRAY_BYTES_MAX = 256 << 10;
const NOTHING = new Uint8Array(0);

interface Stretch {
  readonly bytes: Uint8Array;
  length: number;
}

/** A queue of bytes in arrays of one memory, which is charged for them. */
export class ByteQueue {
  /** The first array: {@link firstLength} bytes from {@link offset} on wait in it. It changes with each call. */
  bytes: Uint8Array = NOTHING;
  offset = 0;
  firstLength = 0;
  /** The number of all bytes that wait. */
  length = 0;
  /** The arrays behind the first one. */
  private rest: Stretch[] = [];

  constructor(private readonly memory: HeldMemory) {}

  /** Copies bytes behind those that wait. */
  push(bytes: Uint8Array, offset: number, length: number): void {
    let at = offset;
    for (let left = length; left > 0;) {
      const taken = this.rest.length > 0 ? this.pushToLast(bytes, at, left) : this.pushToFirst(bytes, at, left);
      at += taken;
      left -= taken;
    }
  }

  /** Takes over an array of the pool with its first `length` bytes. */
  adopt(array: Uint8Array, length: number): void {
    if (this.length > 0) {
      this.rest.push({ bytes: array, length });
    } else {
      this.freeFirst();
      this.setFirst(array, length);
    }
    this.length += length;
  }

  /**
   * Takes over all bytes of another queue, and leaves it empty. It takes the arrays, or copies the bytes if they then
   * leave in one write.
   */
  takeAll(other: ByteQueue): void {
    if (this.length > 0 && this.length + other.length <= ARRAY_BYTES_MAX) {
      for (; other.length > 0; other.consume(other.firstLength))
        this.push(other.bytes, other.offset, other.firstLength);
      return;
    }
    while (other.length > 0) {
      const { bytes, offset, firstLength } = other;
      if (offset > 0) bytes.copyWithin(0, offset, offset + firstLength);
      other.bytes = NOTHING;
      other.length -= firstLength;
      other.nextStretch();
      this.adopt(bytes, firstLength);
    }
  }

  /** Gives all bytes that wait, array by array, and keeps them. */
  copyTo(sink: (bytes: Uint8Array, offset: number, length: number) => void): void {
    if (this.firstLength > 0) sink(this.bytes, this.offset, this.firstLength);
    for (const { bytes, length } of this.rest) sink(bytes, 0, length);
  }

  /** Removes the first `length` bytes, which all lie in the first array. */
  consume(length: number): void {
    this.offset += length;
    this.firstLength -= length;
    this.length -= length;
    if (this.firstLength > 0) return;
    this.freeFirst();
    this.nextStretch();
  }

  /** The first `length` bytes in one piece, valid until the next call. */
  beginning(length: number): Uint8Array {
    const first = this.bytes.subarray(this.offset, this.offset + Math.min(length, this.firstLength));
    if (first.length === length) return first;
    const others = this.rest.map(({ bytes, length }) => bytes.subarray(0, length));
    return Buffer.concat([first, ...others], length);
  }

  /** Removes the first `length` bytes, in one or several arrays. */
  drop(length: number): void {
    for (let left = length; left > 0;) {
      const taken = Math.min(left, this.firstLength);
      this.consume(taken);
      left -= taken;
    }
  }

  /** Drops all bytes and gives the memory back. */
  clear(): void {
    this.freeFirst();
    for (const { bytes } of this.rest) this.memory.free(bytes);
    this.rest = [];
    this.length = 0;
    this.setFirst(NOTHING, 0);
  }

  /** Fills the first array. Returns how many bytes it took. */
  private pushToFirst(bytes: Uint8Array, offset: number, length: number): number {
    const needed = this.firstLength + length;
    if (this.offset + needed > this.bytes.length) this.growFirst(needed);
    const end = this.offset + this.firstLength;
    const taken = Math.min(length, this.bytes.length - end);
    if (taken === 0) return this.begin(bytes, offset, length);
    copyBytes(bytes, offset, this.bytes, end, taken);
    this.firstLength += taken;
    this.length += taken;
    return taken;
  }

  private pushToLast(bytes: Uint8Array, offset: number, length: number): number {
    const last = this.rest.at(-1)!;
    const taken = Math.min(length, last.bytes.length - last.length);
    if (taken === 0) return this.begin(bytes, offset, length);
    copyBytes(bytes, offset, last.bytes, last.length, taken);
    last.length += taken;
    this.length += taken;
    return taken;
  }

  /** Begins another array behind those that are full. */
  private begin(bytes: Uint8Array, offset: number, length: number): number {
    const size = Math.min(Math.max(FIRST_BYTES_MIN, length, this.length), ARRAY_BYTES_MAX);
    this.rest.push({ bytes: this.memory.allocate(size), length: 0 });
    return this.pushToLast(bytes, offset, length);
  }

  private growFirst(needed: number): void {
    if (this.offset > 0 && needed <= this.bytes.length / 2) {
      // Half of the array is free, so moving the rest costs less than the bytes that were removed before.
      this.bytes.copyWithin(0, this.offset, this.offset + this.firstLength);
      this.offset = 0;
      return;
    }
    if (this.bytes.length >= ARRAY_BYTES_MAX) return;
    const grown = this.memory.allocate(Math.min(Math.max(FIRST_BYTES_MIN, needed), ARRAY_BYTES_MAX));
    copyBytes(this.bytes, this.offset, grown, 0, this.firstLength);
    this.freeFirst();
    this.setFirst(grown, this.firstLength);
  }

  private nextStretch(): void {
    const next = this.rest.shift();
    if (next === undefined) this.setFirst(NOTHING, 0);
    else this.setFirst(next.bytes, next.length);
  }

  private setFirst(bytes: Uint8Array, length: number): void {
    this.bytes = bytes;
    this.offset = 0;
    this.firstLength = length;
  }

  private freeFirst(): void {
    if (this.bytes !== NOTHING) this.memory.free(this.bytes);
    this.bytes = NOTHING;
  }
}
