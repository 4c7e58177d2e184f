/**
 * Arrays that are used again: of one shard, for pending segments and for requests. What waits lives long enough to
 * be expensive for a garbage collector, and in a flood there would be several times as much garbage as is held.
 */
import { Cost } from "./budget.ts";

/** Lengths are powers of two, so that arrays fit again; none is shorter. */
export const ARRAY_BYTES_MIN = 64;
/** Longer arrays are not kept. */
const SPARE_ARRAY_BYTES_MAX = 2 << 20;
/** What arrays cost that are kept to be used again: so much, and so much of the budget, at the most. */
const SPARE_BYTES_MAX = 8 << 20;
const SPARE_SHARE_MAX = 1 / 32;
/** By the base-2 logarithm of their length. */
const LENGTHS = 32;

export class ArrayPool {
  private readonly spare: Uint8Array[][] = Array.from({ length: LENGTHS }, () => []);
  private spareBytes = 0;
  private readonly spareBytesMax: number;

  constructor(budgetBytes = Infinity) {
    this.spareBytesMax = Math.min(SPARE_BYTES_MAX, budgetBytes * SPARE_SHARE_MAX);
  }

  /** An array of at least `length` bytes, whose content is anything. It belongs to the caller until {@link free}. */
  allocate(length: number): Uint8Array {
    const size = sizeOf(length);
    const array = this.spare[size]!.pop();
    if (array === undefined) return new Uint8Array(2 ** size);
    this.spareBytes -= costOf(array);
    return array;
  }

  /** `array` came from {@link allocate}, and nobody reads it any more. */
  free(array: Uint8Array): void {
    const { length } = array;
    if (length > SPARE_ARRAY_BYTES_MAX || this.spareBytes + costOf(array) > this.spareBytesMax) return;
    this.spareBytes += costOf(array);
    this.spare[sizeOf(length)]!.push(array);
  }
}

/** What an array of the pool costs: what its holder charges to the budget. */
export function costOf(array: Uint8Array): number {
  return array.length + Cost.ARRAY;
}

function sizeOf(length: number): number {
  return 32 - Math.clz32(Math.max(length, ARRAY_BYTES_MIN) - 1);
}
