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
export const SOURCE_PORT_OFFSET = 0;
export const DESTINATION_PORT_OFFSET = 2;
/** Both ports in one word: source, destination. */
export const PORTS_OFFSET = 0;
export const PORTS_LEN = 4;
export const SEQUENCE_OFFSET = 4;
export const ACKNOWLEDGMENT_OFFSET = 8;
export const DATA_OFFSET_OFFSET = 12;
export const FLAGS_OFFSET = 13;

export const TcpFlag = { FIN: 0x01, SYN: 0x02, RST: 0x04, ACK: 0x10 } as const;

/** The header's length with options, in bytes, as the header at `offset` tells it. */
export function tcpHeaderLength(view: DataView, offset: number): number {
  return (view.getUint8(offset + DATA_OFFSET_OFFSET) >> 4) * 4;
}
