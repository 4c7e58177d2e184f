/**
 * Ethernet II with VLAN tags.
 * https://standards.ieee.org/ieee/802.3/ (3.1.1), 802.1Q-2022 (9.6)
 *
 *      0            6            12     14
 *     +------------+------------+------+---------
 *     |destination |source      | type | payload
 *     +------------+------------+------+---------
 *
 * A tag stands in place of the type: TPID (2), TCI (2), and then the next type.
 */
import type { Cursor } from "./cursor.ts";

export const HEADER_LEN = 14;
export const TYPE_OFFSET = 12;
export const TYPE_LEN = 2;
export const TAG_LEN = 4;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_IPV6 = 0x86dd;
/** Transparent Ethernet bridging: an Ethernet frame in a tunnel. */
export const ETHERTYPE_BRIDGED = 0x6558;
export const ETHERTYPE_8021Q = 0x8100;
export const ETHERTYPE_8021AD = 0x88a8;
/** The TPID of many switches for QinQ, before 802.1ad. */
export const ETHERTYPE_QINQ_9100 = 0x9100;

/** Reads addresses, tags and type; leaves the EtherType in `protocol`. False: cut short. */
export function decodeEthernet(view: DataView, cursor: Cursor): boolean {
  if (cursor.offset + HEADER_LEN > cursor.end) return false;
  cursor.protocol = view.getUint16(cursor.offset + TYPE_OFFSET);
  cursor.offset += HEADER_LEN;
  return skipVlanTags(view, cursor);
}

/** Skips the tags that `protocol` announces, up to the cursor's limit. False: cut short. */
export function skipVlanTags(view: DataView, cursor: Cursor): boolean {
  for (let tags = 0; isVlanTag(cursor.protocol) && tags < cursor.depths.vlanTags; tags++) {
    if (cursor.offset + TAG_LEN > cursor.end) return false;
    cursor.protocol = view.getUint16(cursor.offset + TAG_LEN - TYPE_LEN);
    cursor.offset += TAG_LEN;
  }
  return true;
}

function isVlanTag(etherType: number): boolean {
  return etherType === ETHERTYPE_8021Q || etherType === ETHERTYPE_8021AD || etherType === ETHERTYPE_QINQ_9100;
}
