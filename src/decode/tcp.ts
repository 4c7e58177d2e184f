/**
 * TCP. https://www.rfc-editor.org/rfc/rfc9293#section-3.1
 *
 *      0                   1                   2                   3
 *     |          Source Port          |       Destination Port        |
 *     |                        Sequence Number                        |
 *     |                    Acknowledgment Number                      |
 *     | Offset| Rsrvd |C|E|U|A|P|R|S|F|            Window             |
 *     |           Checksum            |         Urgent Pointer        |
 *     |                           [Options]                           |
 */

export const HEADER_LEN = 20;
/** Where the source port (2 bytes) stands. */
export const SOURCE_PORT_OFFSET = 0;
/** Where the destination port (2 bytes) stands. */
export const DESTINATION_PORT_OFFSET = 2;
/** Both ports in one word: source, destination. */
export const PORTS_OFFSET = 0;
/** The length of both ports, in bytes. */
export const PORTS_LEN = 4;
/** Where the sequence number (4 bytes) stands. */
export const SEQUENCE_OFFSET = 4;
/** Where the acknowledgment number (4 bytes) stands. */
export const ACKNOWLEDGMENT_OFFSET = 8;
/** Where the header's length (the upper 4 bits, in words) stands. */
export const DATA_OFFSET_OFFSET = 12;
/** Where the flags (1 byte) stand. */
export const FLAGS_OFFSET = 13;

/** The flags that are read. */
export const TcpFlag = { FIN: 0x01, SYN: 0x02, RST: 0x04, ACK: 0x10 } as const;

/** The header's length with options, in bytes, from the header at `offset`. */
export function tcpHeaderLength(view: DataView, offset: number): number {
  return (view.getUint8(offset + DATA_OFFSET_OFFSET) >> 4) * 4;
}
