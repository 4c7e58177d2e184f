/**
 * The outermost layer, as the capture handle or savefile reports it. https://www.tcpdump.org/linktypes.html
 *
 *     BSD loopback     family (4)
 *     raw IP           nothing
 *     Linux cooked v1  type (2) ARPHRD (2) length (2) address (8) protocol (2)
 *     Linux cooked v2  protocol (2) reserved (2) ifindex (4) ARPHRD (2) type (1) length (1) address (8)
 */
import type { Cursor } from "./cursor.ts";
import { decodeEthernet, ETHERTYPE_IPV4, ETHERTYPE_IPV6, skipVlanTags } from "./ethernet.ts";

export const LinkType = {
  NULL: 0,
  ETHERNET: 1,
  /** Raw IP: DLT_RAW is 12 on most systems and 14 on OpenBSD; LINKTYPE_RAW is the number in savefiles. */
  RAW_12: 12,
  RAW_14: 14,
  RAW: 101,
  LOOP: 108,
  LINUX_SLL: 113,
  IPV4: 228,
  IPV6: 229,
  LINUX_SLL2: 276,
} as const;

export const LOOPBACK_HEADER_LEN = 4;
export const SLL_HEADER_LEN = 16;
export const SLL_PROTOCOL_OFFSET = 14;
export const SLL2_HEADER_LEN = 20;
export const SLL2_PROTOCOL_OFFSET = 0;

const supported: ReadonlySet<number> = new Set(Object.values(LinkType));

/** Whether {@link decodeLink} can read frames of this link type. */
export function isSupportedLinkType(linkType: number): boolean {
  return supported.has(linkType);
}

/** Reads the link layer's header; leaves an EtherType in `protocol`. False: cut short. */
export function decodeLink(view: DataView, cursor: Cursor, linkType: number): boolean {
  switch (linkType) {
    case LinkType.ETHERNET:
      return decodeEthernet(view, cursor);
    case LinkType.LINUX_SLL:
      return decodeCooked(view, cursor, SLL_PROTOCOL_OFFSET, SLL_HEADER_LEN);
    case LinkType.LINUX_SLL2:
      return decodeCooked(view, cursor, SLL2_PROTOCOL_OFFSET, SLL2_HEADER_LEN);
    case LinkType.NULL:
    case LinkType.LOOP:
      // The family's number differs between systems and its byte order between captures: the IP
      // version beneath says the same thing once and for all.
      cursor.offset += LOOPBACK_HEADER_LEN;
      return decodeRawIp(view, cursor);
    default:
      return decodeRawIp(view, cursor);
  }
}

function decodeCooked(view: DataView, cursor: Cursor, protocolOffset: number, headerLen: number): boolean {
  if (cursor.offset + headerLen > cursor.end) return false;
  cursor.protocol = view.getUint16(cursor.offset + protocolOffset);
  cursor.offset += headerLen;
  return skipVlanTags(view, cursor);
}

function decodeRawIp(view: DataView, cursor: Cursor): boolean {
  if (cursor.offset >= cursor.end) return false;
  const version = view.getUint8(cursor.offset) >> 4;
  cursor.protocol = version === 4 ? ETHERTYPE_IPV4 : version === 6 ? ETHERTYPE_IPV6 : 0;
  return true;
}
