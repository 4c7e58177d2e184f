/** Up to this length, a copy byte by byte takes less time than the call of the faster function. */
const COPIED_HERE_BYTES_MAX = 32;
/** Copies between arrays without a view of the source: a view would cost more than the bytes of most requests. */
const { copy } = Buffer.prototype;

/** Copies `length` bytes from `source` at `from` into `target` at `to`. */
export function copyBytes(source: Uint8Array, from: number, target: Uint8Array, to: number, length: number): void {
  if (length > COPIED_HERE_BYTES_MAX) copy.call(source, target, to, from, from + length);
  else for (let i = 0; i < length; i++) target[to + i] = source[from + i]!;
}
