/**
 * A shard's arrays for pending segments and requests, which are used again. Waiting bytes live long enough to be
 * expensive for a garbage collector, and in a flood there would be several times as much garbage as held bytes.
 */
import { Cost } from "./budget.ts";

/** The shortest array. Lengths are powers of two, so that arrays fit again. */
export const ARRAY_BYTES_MIN = 64;
/** The longest array that is kept. */
export const SPARE_ARRAY_BYTES_MAX = 2 << 20;
/** The most bytes of arrays that are kept to be used again, with their costs, */
export const SPARE_BYTES_MAX = 8 << 20;
/** and the share of the budget that they may take. */
export const SPARE_SHARE_MAX = 1 / 32;
/** Arrays above this length count on their own, because many small ones must not keep out those of uploads, */
export const SHORT_BYTES_MAX = 64 << 10;
/** and may take this many times as much: a new one costs a page fault for every 4 KiB. */
export const LONG_FACTOR = 4;
/** Arrays are kept by the base-2 logarithm of their length. */
const LENGTHS = 32;

/** The pool of a shard's arrays. */
export class ArrayPool {
  private readonly spare: Uint8Array[][] = Array.from({ length: LENGTHS }, () => []);
  /** The room that is left for short arrays. */
  private shortBytesLeft: number;
  private longBytesLeft: number;

  constructor(budgetBytes = Infinity) {
    this.shortBytesLeft = Math.min(SPARE_BYTES_MAX, budgetBytes * SPARE_SHARE_MAX);
    this.longBytesLeft = this.shortBytesLeft * LONG_FACTOR;
  }

  /** An array of at least `length` bytes with any content. It belongs to the caller until {@link free}. */
  allocate(length: number): Uint8Array {
    const size = sizeOf(length);
    const array = this.spare[size]!.pop();
    if (array === undefined) return new Uint8Array(2 ** size);
    if (array.length > SHORT_BYTES_MAX) this.longBytesLeft += costOf(array);
    else this.shortBytesLeft += costOf(array);
    return array;
  }

  /** `array` came from {@link allocate}, and no object reads it any more. */
  free(array: Uint8Array): void {
    const { length } = array;
    const isLong = length > SHORT_BYTES_MAX;
    if (length > SPARE_ARRAY_BYTES_MAX || costOf(array) > (isLong ? this.longBytesLeft : this.shortBytesLeft)) return;
    if (isLong) this.longBytesLeft -= costOf(array);
    else this.shortBytesLeft -= costOf(array);
    this.spare[sizeOf(length)]!.push(array);
  }
}

/** The cost of an array of the pool, which its holder charges to the budget. */
export function costOf(array: Uint8Array): number {
  return array.length + Cost.ARRAY;
}

function sizeOf(length: number): number {
  return 32 - Math.clz32(Math.max(length, ARRAY_BYTES_MIN) - 1);
}
