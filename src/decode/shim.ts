/**
 * A header between a mirrored frame's Ethernet header, or its tags, and IP. It is one of:
 *
 *     LLC and SNAP  DSAP, SSAP (aa aa) Control (03) OUI (00 00 00) EtherType (2); the type before it is a length.
 *                   https://www.rfc-editor.org/rfc/rfc1042
 *     PPPoE         Ver, Type (11) Code (00) Session (2) Length (2), then PPP: Protocol (2)
 *                   https://www.rfc-editor.org/rfc/rfc2516#section-4
 *     MPLS          Label (20 bits) TC (3) Bottom of stack (1) TTL (8), more labels, then IP (its version tells which)
 *                   https://www.rfc-editor.org/rfc/rfc3032#section-2.1
 */
import type { Cursor } from "./cursor.ts";
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "./ethernet.ts";

/** A smaller number is a length (IEEE 802.3, 3.2.6). */
export const ETHERTYPE_MIN = 0x0600;
export const SNAP_LEN = 8;
/** DSAP, SSAP, control, and the OUI's first octet. */
export const SNAP_WORD = 0xaaaa0300;
export const SNAP_OUI_REST_OFFSET = 4;
export const SNAP_TYPE_OFFSET = 6;

export const ETHERTYPE_PPPOE = 0x8864;
export const PPPOE_LEN = 8;
/** Version 1, type 1, code 0: data of a session. */
export const PPPOE_DATA = 0x1100;
export const PPP_PROTOCOL_OFFSET = 6;
export const PPP_IPV4 = 0x0021;
export const PPP_IPV6 = 0x0057;

export const ETHERTYPE_MPLS = 0x8847;
/** MPLS with labels that the upstream router has assigned (RFC 5332). */
export const ETHERTYPE_MPLS_UPSTREAM = 0x8848;
export const LABEL_LEN = 4;
export const LABEL_BOTTOM_OFFSET = 2;
export const LABEL_BOTTOM = 0x01;

/**
 * Skips the shim that `protocol` announces, if `protocol` is not one of IP's EtherTypes. Leaves IP's EtherType in
 * `protocol`, or `protocol` as it was. False: cut short.
 */
export function skipShim(view: DataView, cursor: Cursor): boolean {
  switch (cursor.protocol) {
    case ETHERTYPE_PPPOE:
      return skipPppoe(view, cursor);
    case ETHERTYPE_MPLS:
    case ETHERTYPE_MPLS_UPSTREAM:
      return skipLabels(view, cursor);
    default:
      return cursor.protocol === 0 || cursor.protocol >= ETHERTYPE_MIN || skipSnap(view, cursor);
  }
}

function skipSnap(view: DataView, cursor: Cursor): boolean {
  const { offset } = cursor;
  if (offset + SNAP_LEN > cursor.end) return false;
  if (view.getUint32(offset) !== SNAP_WORD || view.getUint16(offset + SNAP_OUI_REST_OFFSET) !== 0) return true;
  const type = view.getUint16(offset + SNAP_TYPE_OFFSET);
  if (type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6) moveOn(cursor, SNAP_LEN, type);
  return true;
}

function skipPppoe(view: DataView, cursor: Cursor): boolean {
  const { offset } = cursor;
  if (offset + PPPOE_LEN > cursor.end) return false;
  if (view.getUint16(offset) !== PPPOE_DATA) return true;
  const protocol = view.getUint16(offset + PPP_PROTOCOL_OFFSET);
  if (protocol === PPP_IPV4) moveOn(cursor, PPPOE_LEN, ETHERTYPE_IPV4);
  else if (protocol === PPP_IPV6) moveOn(cursor, PPPOE_LEN, ETHERTYPE_IPV6);
  return true;
}

function skipLabels(view: DataView, cursor: Cursor): boolean {
  const { offset, end } = cursor;
  for (let labels = 1; labels <= cursor.depths.labels; labels++) {
    const next = offset + labels * LABEL_LEN;
    if (next > end) return false;
    if ((view.getUint8(next - LABEL_LEN + LABEL_BOTTOM_OFFSET) & LABEL_BOTTOM) === 0) continue;
    if (next === end) return false;
    const version = view.getUint8(next) >> 4;
    if (version === 4) moveOn(cursor, labels * LABEL_LEN, ETHERTYPE_IPV4);
    else if (version === 6) moveOn(cursor, labels * LABEL_LEN, ETHERTYPE_IPV6);
    return true;
  }
  return true;
}

function moveOn(cursor: Cursor, length: number, protocol: number): void {
  cursor.offset += length;
  cursor.protocol = protocol;
}
