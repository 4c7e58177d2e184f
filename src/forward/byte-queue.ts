/** Bytes that wait for the endpoint, in order, in one array: so that one write can offer them all. */
import type { Budget } from "../memory/budget.ts";

const INITIAL_BYTES = 4 << 10;
/** Larger arrays are not kept. */
const SPARE_ARRAY_BYTES_MAX = 64 << 10;
/** Bytes of arrays that are kept for the next queues. */
const SPARE_BYTES_MAX = 4 << 20;

/** What all queues of a shard share: their budget, and arrays to use again. Sizes are powers of two. */
export class QueueMemory {
  /** By their size's logarithm. */
  private readonly spare: Uint8Array[][] = Array.from({ length: Math.log2(SPARE_ARRAY_BYTES_MAX) + 1 }, () => []);
  private spareBytes = 0;

  constructor(readonly budget: Budget) {}

  allocate(bytes: number): Uint8Array {
    this.budget.take(bytes);
    const array = bytes <= SPARE_ARRAY_BYTES_MAX ? this.spare[logarithm(bytes)]!.pop() : undefined;
    if (array === undefined) return new Uint8Array(bytes);
    this.spareBytes -= bytes;
    return array;
  }

  free(array: Uint8Array): void {
    const bytes = array.length;
    this.budget.giveBack(bytes);
    if (bytes > SPARE_ARRAY_BYTES_MAX || this.spareBytes + bytes > SPARE_BYTES_MAX) return;
    this.spareBytes += bytes;
    this.spare[logarithm(bytes)]!.push(array);
  }
}

function logarithm(powerOfTwo: number): number {
  return 31 - Math.clz32(powerOfTwo);
}

const EMPTY = new Uint8Array(0);
/** Up to here copying byte by byte takes less time than the call of what copies faster. */
const COPIED_HERE_BYTES_MAX = 128;
/** Copies between arrays without a view of the source, which would cost more than the bytes of most requests. */
const { copy } = Buffer.prototype;

export class ByteQueue {
  /** The array; {@link length} bytes from {@link offset} wait. Changes with each push. */
  bytes: Uint8Array = EMPTY;
  offset = 0;
  length = 0;

  constructor(private readonly memory: QueueMemory) {}

  /** Copies bytes behind those that wait. */
  push(bytes: Uint8Array, offset: number, length: number): void {
    this.makeRoom(length);
    const target = this.bytes;
    const at = this.offset + this.length;
    if (length > COPIED_HERE_BYTES_MAX) copy.call(bytes, target, at, offset, offset + length);
    else for (let i = 0; i < length; i++) target[at + i] = bytes[offset + i];
    this.length += length;
  }

  /** Takes the first `length` bytes off. */
  consume(length: number): void {
    this.offset += length;
    this.length -= length;
    if (this.length === 0) this.clear();
  }

  /** Takes the last `length` bytes off. */
  truncate(length: number): void {
    this.length -= length;
    if (this.length === 0) this.clear();
  }

  /** Drops all bytes and gives the memory back. */
  clear(): void {
    if (this.bytes.length > 0) this.memory.free(this.bytes);
    this.bytes = EMPTY;
    this.offset = 0;
    this.length = 0;
  }

  private makeRoom(length: number): void {
    const needed = this.length + length;
    if (this.offset + needed <= this.bytes.length) return;
    if (needed <= this.bytes.length / 2) {
      // Half of the array is free, so moving costs less than what was taken off before.
      this.bytes.copyWithin(0, this.offset, this.offset + this.length);
      this.offset = 0;
      return;
    }
    let capacity = Math.max(INITIAL_BYTES, this.bytes.length);
    while (capacity < needed) capacity *= 2;
    const grown = this.memory.allocate(capacity);
    copy.call(this.bytes, grown, 0, this.offset, this.offset + this.length);
    if (this.bytes.length > 0) this.memory.free(this.bytes);
    this.bytes = grown;
    this.offset = 0;
  }
}
