/** Bytes as text, a character for each (Latin-1). No Buffer is made for it: that would cost more than the text. */
export function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.prototype.latin1Slice.call(bytes, from, to);
}
