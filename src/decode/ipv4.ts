/**
 * IPv4. https://www.rfc-editor.org/rfc/rfc791#section-3.1
 *
 *      0                   1                   2                   3
 *     |Version|  IHL  |Type of Service|          Total Length         |
 *     |         Identification        |Flags|      Fragment Offset    |
 *     |  Time to Live |    Protocol   |         Header Checksum       |
 *     |                       Source Address                          |
 *     |                    Destination Address                        |
 *     |                    Options                    |    Padding    |
 */
import type { Cursor } from "./cursor.ts";
import { IP_CUT, IP_MALFORMED, IP_OK, type IpHeader } from "./ip.ts";

/** The header's length without options, in bytes. */
export const HEADER_LEN = 20;
/** The version field. */
export const VERSION = 4;
/** Where the total length (2 bytes) stands. */
export const TOTAL_LENGTH_OFFSET = 2;
/** Where the identification (2 bytes) stands. */
export const IDENTIFICATION_OFFSET = 4;
/** Where flags and fragment offset (2 bytes) stand. */
export const FRAGMENT_OFFSET = 6;
/** Where the protocol (1 byte) stands. */
export const PROTOCOL_OFFSET = 9;
/** Where the source address (4 bytes) stands. */
export const SOURCE_OFFSET = 12;
/** Where the destination address (4 bytes) stands. */
export const DESTINATION_OFFSET = 16;
/** The flag of all fragments but the last. */
export const MORE_FRAGMENTS = 0x2000;
/** The bits of the fragment offset, in units of 8 bytes. */
export const FRAGMENT_OFFSET_MASK = 0x1fff;
const FRAGMENT_UNIT_LEN = 8;

/** Reads the header and its options; trims the cursor to the packet (Ethernet pads short ones). */
export function decodeIpv4(view: DataView, cursor: Cursor, header: IpHeader): number {
  const offset = cursor.offset;
  if (offset + HEADER_LEN > cursor.end) return IP_CUT;
  const first = view.getUint8(offset);
  const headerLen = (first & 0x0f) * 4;
  if (first >> 4 !== VERSION || headerLen < HEADER_LEN) return IP_MALFORMED;
  const capturedLength = cursor.end - offset;
  // 0: segmentation offload left the length to the hardware; the packet is the captured bytes.
  const givenLength = view.getUint16(offset + TOTAL_LENGTH_OFFSET);
  const totalLength = givenLength || capturedLength;
  if (totalLength < headerLen) return IP_MALFORMED;
  if (capturedLength < headerLen) return IP_CUT;

  const fragment = view.getUint16(offset + FRAGMENT_OFFSET);
  header.version = VERSION;
  header.sourceOffset = offset + SOURCE_OFFSET;
  header.destinationOffset = offset + DESTINATION_OFFSET;
  header.isFragment = (fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET_MASK)) !== 0;
  // Offload cuts data into segments, never into fragments: a fragment has a length.
  if (header.isFragment && givenLength === 0) return IP_MALFORMED;
  header.fragmentOffset = (fragment & FRAGMENT_OFFSET_MASK) * FRAGMENT_UNIT_LEN;
  header.moreFragments = (fragment & MORE_FRAGMENTS) !== 0;
  header.identification = view.getUint16(offset + IDENTIFICATION_OFFSET);
  header.missingLength = totalLength > capturedLength ? totalLength - capturedLength : 0;
  cursor.protocol = view.getUint8(offset + PROTOCOL_OFFSET);
  if (totalLength < capturedLength) cursor.end = offset + totalLength;
  cursor.offset = offset + headerLen;
  return IP_OK;
}
