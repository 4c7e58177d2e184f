/**
 * UDP. https://www.rfc-editor.org/rfc/rfc768
 *
 *     |          Source Port          |       Destination Port        |
 *     |            Length             |            Checksum           |
 */
import type { Cursor } from "./cursor.ts";

/** The header's length, in bytes. */
export const HEADER_LEN = 8;
/** Where the destination port (2 bytes) stands. */
export const DESTINATION_PORT_OFFSET = 2;
/** Where the length of header and payload (2 bytes) stands. */
export const LENGTH_OFFSET = 4;

/** Reads the header and trims the cursor to the datagram. Returns its destination port; -1: malformed. */
export function decodeUdp(view: DataView, cursor: Cursor): number {
  const offset = cursor.offset;
  if (offset + HEADER_LEN > cursor.end) return -1;
  const port = view.getUint16(offset + DESTINATION_PORT_OFFSET);
  // 0: a jumbogram or segmentation offload; the datagram is IP's payload.
  const length = view.getUint16(offset + LENGTH_OFFSET) || cursor.end - offset;
  if (length < HEADER_LEN) return -1;
  if (offset + length < cursor.end) cursor.end = offset + length;
  cursor.offset = offset + HEADER_LEN;
  return port;
}
