/**
 * GRE with key and sequence number, and ERSPAN in it. https://www.rfc-editor.org/rfc/rfc2784#section-2,
 * https://www.rfc-editor.org/rfc/rfc2890#section-2, https://datatracker.ietf.org/doc/html/draft-foschiano-erspan-03
 *
 *     GRE         |C|R|K|S|s|Recur| Flags   | Ver |         Protocol Type         |
 *                 |      Checksum (optional)      |       Reserved1 (optional)    |
 *                 |                         Key (optional)                        |
 *                 |                  Sequence Number (optional)                   |
 *     ERSPAN II   |  Ver  |          VLAN         | COS |En|T|    Session ID      |
 *                 |      Reserved         |                  Index                |
 *     ERSPAN III  |  Ver  |          VLAN         | COS |BSO|T|    Session ID     |
 *                 |                          Timestamp                            |
 *                 |             SGT               |P|    FT   |   Hw ID   |D|Gra|O|
 *                 |      Platform-specific subheader (8 octets, if O)             |
 *
 * ERSPAN I has no header at all. GRE has no sequence number then, which tells it from ERSPAN II.
 */
import type { Cursor } from "./cursor.ts";
import { ETHERTYPE_BRIDGED } from "./ethernet.ts";

export const HEADER_LEN = 4;
export const PROTOCOL_OFFSET = 2;
/** The length of each optional field. */
export const FIELD_LEN = 4;
/** Bits of the first word. */
export const FLAG_CHECKSUM = 0x8000_0000;
export const FLAG_KEY = 0x2000_0000;
export const FLAG_SEQUENCE = 0x1000_0000;
/**
 * Routing, strict source route, recursion, a version other than 0: packets with these are discarded (RFC 2784, section
 * 2.2).
 */
export const UNREADABLE = 0x4c07_0000;

export const PROTOCOL_ERSPAN = 0x88be;
export const PROTOCOL_ERSPAN_III = 0x22eb;
export const ERSPAN_II_LEN = 8;
export const ERSPAN_III_LEN = 12;
export const SUBHEADER_LEN = 8;
export const SESSION_OFFSET = 2;
export const SESSION_MASK = 0x03ff;
/** The version stands above the VLAN, in the first two octets. */
export const VERSION_SHIFT = 12;
export const VERSION_II = 1;
export const VERSION_III = 2;
export const KIND_OFFSET = 8;
/** The frame's type, which is 0 for Ethernet. */
export const KIND_MASK = 0x7c00;
export const FLAG_O = 0x0001;

/**
 * Reads the headers; leaves an EtherType in `protocol`. Returns the key, an ERSPAN session's number, or 0 if there is
 * neither; -1: no headers that can be read here.
 */
export function decodeGre(view: DataView, cursor: Cursor): number {
  const { offset, end } = cursor;
  if (offset + HEADER_LEN > end) return -1;
  const word = view.getInt32(offset);
  if ((word & UNREADABLE) !== 0) return -1;
  let at = offset + HEADER_LEN;
  if ((word & FLAG_CHECKSUM) !== 0) at += FIELD_LEN;
  let key = 0;
  if ((word & FLAG_KEY) !== 0) {
    if (at + FIELD_LEN > end) return -1;
    key = view.getUint32(at);
    at += FIELD_LEN;
  }
  const hasSequence = (word & FLAG_SEQUENCE) !== 0;
  if (hasSequence) at += FIELD_LEN;
  if (at > end) return -1;
  cursor.offset = at;
  cursor.protocol = word & 0xffff;
  if (cursor.protocol === PROTOCOL_ERSPAN_III) return decodeErspan(view, cursor, VERSION_III);
  if (cursor.protocol !== PROTOCOL_ERSPAN) return key;
  if (hasSequence) return decodeErspan(view, cursor, VERSION_II);
  cursor.protocol = ETHERTYPE_BRIDGED;
  return key;
}

function decodeErspan(view: DataView, cursor: Cursor, version: number): number {
  const { offset, end } = cursor;
  const isThird = version === VERSION_III;
  let next = offset + (isThird ? ERSPAN_III_LEN : ERSPAN_II_LEN);
  if (next > end || view.getUint16(offset) >> VERSION_SHIFT !== version) return -1;
  if (isThird) {
    // The lower half of the word: the upper one is a tag.
    const kind = view.getUint16(offset + KIND_OFFSET + 2);
    if ((kind & KIND_MASK) !== 0) return -1;
    if ((kind & FLAG_O) !== 0) next += SUBHEADER_LEN;
    if (next > end) return -1;
  }
  cursor.offset = next;
  cursor.protocol = ETHERTYPE_BRIDGED;
  return view.getUint16(offset + SESSION_OFFSET) & SESSION_MASK;
}
