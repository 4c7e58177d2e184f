/**
 * VXLAN. https://www.rfc-editor.org/rfc/rfc7348#section-5
 *
 *     |R|R|R|R|I|R|R|R|            Reserved                           |
 *     |                VXLAN Network Identifier (VNI) |   Reserved    |
 *
 * Reserved bits are ignored on receipt, as the RFC says.
 */
import type { Cursor } from "./cursor.ts";

/** The header's length, in bytes. */
export const HEADER_LEN = 8;
/** Where the VNI (3 bytes) stands. */
export const VNI_OFFSET = 4;
/** The flag of a valid VNI. */
export const FLAG_I = 0x08;

/** Reads the header. Returns the VNI; -1: no VXLAN header with a VNI. */
export function decodeVxlan(view: DataView, cursor: Cursor): number {
  const offset = cursor.offset;
  if (offset + HEADER_LEN > cursor.end) return -1;
  if ((view.getUint8(offset) & FLAG_I) === 0) return -1;
  cursor.offset = offset + HEADER_LEN;
  return view.getUint32(offset + VNI_OFFSET) >>> 8;
}
