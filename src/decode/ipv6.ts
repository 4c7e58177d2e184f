/**
 * IPv6 and its extension headers. https://www.rfc-editor.org/rfc/rfc8200#section-3
 *
 *      0                   1                   2                   3
 *     |Version| Traffic Class |           Flow Label                  |
 *     |         Payload Length        |  Next Header  |   Hop Limit   |
 *     |                     Source Address (16)                       |
 *     |                  Destination Address (16)                     |
 *
 * Extension header: Next Header (1), length in 8 octets beyond the first 8 (1), data.
 * Fragment header (section 4.5): Next Header (1), Reserved (1), Offset (13 bits) 00 M, Identification (4).
 */
import type { Cursor } from "./cursor.ts";
import { IP_CUT, IP_MALFORMED, IP_OK, type IpHeader } from "./ip.ts";

/** The header's length without extension headers, in bytes. */
export const HEADER_LEN = 40;
/** The version field. */
export const VERSION = 6;
/** Where the payload length (2 bytes) stands. */
export const PAYLOAD_LENGTH_OFFSET = 4;
/** Where the next header (1 byte) stands. */
export const NEXT_HEADER_OFFSET = 6;
/** Where the source address (16 bytes) stands. */
export const SOURCE_OFFSET = 8;
/** Where the destination address (16 bytes) stands. */
export const DESTINATION_OFFSET = 24;

/** The unit of an extension header's length, in bytes. */
export const EXTENSION_UNIT_LEN = 8;
/** Where an extension header's length (1 byte) stands. */
export const EXTENSION_LENGTH_OFFSET = 1;
/** The length of the fragment header, in bytes. */
export const FRAGMENT_HEADER_LEN = 8;
/** Where offset and flags (2 bytes) stand in the fragment header. */
export const FRAGMENT_OFFSET = 2;
/** Where the identification (4 bytes) stands in the fragment header. */
export const FRAGMENT_IDENTIFICATION_OFFSET = 4;
/** The bits of the fragment offset, which are a number of bytes. */
export const FRAGMENT_OFFSET_MASK = 0xfff8;
/** The flag of all fragments but the last. */
export const MORE_FRAGMENTS = 0x0001;

const HOP_BY_HOP = 0;
const ROUTING = 43;
/** The number of the fragment header. */
export const FRAGMENT = 44;
/** The number of the authentication header. */
export const AUTHENTICATION = 51;
const DESTINATION_OPTIONS = 60;
const MOBILITY = 135;
const HOST_IDENTITY = 139;
const SHIM6 = 140;
/** Extension headers in the common form: the length counts units of EXTENSION_UNIT_LEN behind the first one. */
export const PLAIN_EXTENSIONS = [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, MOBILITY, HOST_IDENTITY, SHIM6];

/** Reads the header and all extension headers; trims the cursor to the packet. */
export function decodeIpv6(view: DataView, cursor: Cursor, header: IpHeader): number {
  const offset = cursor.offset;
  if (offset + HEADER_LEN > cursor.end) return IP_CUT;
  if (view.getUint8(offset) >> 4 !== VERSION) return IP_MALFORMED;
  const capturedLength = cursor.end - offset - HEADER_LEN;
  // 0: a jumbogram (RFC 2675) or segmentation offload; the packet is the captured bytes.
  const givenLength = view.getUint16(offset + PAYLOAD_LENGTH_OFFSET);
  const payloadLength = givenLength || capturedLength;

  header.version = VERSION;
  header.sourceOffset = offset + SOURCE_OFFSET;
  header.destinationOffset = offset + DESTINATION_OFFSET;
  header.missingLength = payloadLength > capturedLength ? payloadLength - capturedLength : 0;
  header.isFragment = false;
  header.fragmentOffset = 0;
  header.moreFragments = false;
  header.identification = 0;
  cursor.protocol = view.getUint8(offset + NEXT_HEADER_OFFSET);
  if (payloadLength < capturedLength) cursor.end = offset + HEADER_LEN + payloadLength;
  cursor.offset = offset + HEADER_LEN;
  const verdict = skipExtensionHeaders(view, cursor, header);
  // Neither a jumbogram (RFC 2675, section 3) nor a packet that offload will cut is a fragment.
  return verdict === IP_OK && header.isFragment && givenLength === 0 ? IP_MALFORMED : verdict;
}

/** Skips extension headers up to the transport's or, in a fragment, the fragment header. */
export function skipExtensionHeaders(view: DataView, cursor: Cursor, header: IpHeader): number {
  for (let headers = 0; isExtension(cursor.protocol); headers++) {
    if (headers === cursor.depths.extensionHeaders) return IP_MALFORMED;
    const kind = cursor.protocol;
    const offset = cursor.offset;
    if (offset + EXTENSION_UNIT_LEN > cursor.end)
      return cutOrMalformed(header, offset + EXTENSION_UNIT_LEN - cursor.end);
    cursor.protocol = view.getUint8(offset);
    if (kind === FRAGMENT) {
      const fragment = view.getUint16(offset + FRAGMENT_OFFSET);
      cursor.offset = offset + FRAGMENT_HEADER_LEN;
      header.fragmentOffset = fragment & FRAGMENT_OFFSET_MASK;
      header.moreFragments = (fragment & MORE_FRAGMENTS) !== 0;
      header.identification = view.getInt32(offset + FRAGMENT_IDENTIFICATION_OFFSET);
      // The only fragment of a datagram is atomic (RFC 6946): a whole packet, and more headers may follow.
      header.isFragment = header.fragmentOffset !== 0 || header.moreFragments;
      if (header.isFragment) return IP_OK;
      continue;
    }
    const units = view.getUint8(offset + EXTENSION_LENGTH_OFFSET);
    // The authentication header counts in 4 octets, less 2 (RFC 4302, section 2.2).
    const length = kind === AUTHENTICATION ? (units + 2) * 4 : (units + 1) * EXTENSION_UNIT_LEN;
    if (offset + length > cursor.end) return cutOrMalformed(header, offset + length - cursor.end);
    cursor.offset = offset + length;
  }
  return IP_OK;
}

function cutOrMalformed(header: IpHeader, lackingLength: number): number {
  return header.missingLength >= lackingLength ? IP_CUT : IP_MALFORMED;
}

function isExtension(protocol: number): boolean {
  switch (protocol) {
    case HOP_BY_HOP:
    case ROUTING:
    case FRAGMENT:
    case AUTHENTICATION:
    case DESTINATION_OPTIONS:
    case MOBILITY:
    case HOST_IDENTITY:
    case SHIM6:
      return true;
    default:
      return false;
  }
}
