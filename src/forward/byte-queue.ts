/** Bytes that wait for the endpoint, in order, in one array: so that one write can offer them all. */
import type { BufferBudget } from "../buffer-budget.ts";

const INITIAL_BYTES = 4 << 10;
/** Arrays of the initial size that are kept for the next queue. */
const SPARE_ARRAYS_MAX = 1024;

/** What all queues of a shard share: their budget, and arrays to use again. */
export class QueueMemory {
  private readonly spare: Uint8Array[] = [];

  constructor(readonly budget: BufferBudget) {}

  allocate(bytes: number): Uint8Array {
    const array = bytes === INITIAL_BYTES ? (this.spare.pop() ?? new Uint8Array(bytes)) : new Uint8Array(bytes);
    this.budget.take(bytes);
    return array;
  }

  free(array: Uint8Array): void {
    this.budget.giveBack(array.length);
    if (array.length === INITIAL_BYTES && this.spare.length < SPARE_ARRAYS_MAX) this.spare.push(array);
  }
}

const EMPTY = new Uint8Array(0);

export class ByteQueue {
  /** The array; {@link length} bytes from {@link offset} wait. Changes with each push. */
  bytes: Uint8Array = EMPTY;
  offset = 0;
  length = 0;

  constructor(private readonly memory: QueueMemory) {}

  /** Copies bytes behind those that wait. */
  push(bytes: Uint8Array, offset: number, length: number): void {
    this.makeRoom(length);
    const source = offset === 0 && length === bytes.length ? bytes : bytes.subarray(offset, offset + length);
    this.bytes.set(source, this.offset + this.length);
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
    grown.set(this.bytes.subarray(this.offset, this.offset + this.length));
    if (this.bytes.length > 0) this.memory.free(this.bytes);
    this.bytes = grown;
    this.offset = 0;
  }
}
