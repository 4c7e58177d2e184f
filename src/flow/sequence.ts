/**
 * Sequence numbers modulo 2^32 (RFC 9293, section 3.4), kept as signed 32-bit integers so that they stay machine
 * integers. A distance is signed as well: it is right if the two numbers are less than 2^31 apart.
 */

/** How far `sequence` lies ahead of `base`; negative: behind it. */
export function distance(base: number, sequence: number): number {
  return (sequence - base) | 0;
}

/** The sequence number `length` bytes after `sequence`. */
export function advance(sequence: number, length: number): number {
  return (sequence + length) | 0;
}
