/**
 * GENEVE. https://www.rfc-editor.org/rfc/rfc8926#section-3.4
 *
 *     |Ver|  Opt Len  |O|C|    Rsvd.  |          Protocol Type        |
 *     |        Virtual Network Identifier (VNI)       |    Reserved   |
 *     |                    Variable-Length Options                    |
 *
 * Options are skipped, critical ones too: this program is no endpoint of the tunnel, and does not act on packets.
 */
import type { Cursor } from "./cursor.ts";

/** https://www.rfc-editor.org/rfc/rfc8926#section-3.3 */
export const UDP_PORT = 6081;
export const HEADER_LEN = 8;
export const FLAGS_OFFSET = 1;
export const PROTOCOL_OFFSET = 2;
export const VNI_OFFSET = 4;
/** The length of the options; a version other than 0 has a bit above it. */
export const OPTION_WORDS_MASK = 0x3f;
/** Marks a control packet of the tunnel's endpoints. */
export const FLAG_O = 0x80;

/**
 * Reads the header and skips the options; leaves the protocol type, an EtherType, in `protocol`. Returns the VNI; -1:
 * no GENEVE header of a known version, or no mirrored packet in it.
 */
export function decodeGeneve(view: DataView, cursor: Cursor): number {
  const { offset } = cursor;
  if (offset + HEADER_LEN > cursor.end) return -1;
  const first = view.getUint8(offset);
  if (first > OPTION_WORDS_MASK || (view.getUint8(offset + FLAGS_OFFSET) & FLAG_O) !== 0) return -1;
  const length = HEADER_LEN + first * 4;
  if (offset + length > cursor.end) return -1;
  cursor.protocol = view.getUint16(offset + PROTOCOL_OFFSET);
  cursor.offset = offset + length;
  return view.getUint32(offset + VNI_OFFSET) >>> 8;
}
