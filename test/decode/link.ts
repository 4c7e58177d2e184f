/** Link layers around a packet, as drawn in https://www.tcpdump.org/linktypes.html. */
import { bytes, u16, u32 } from "../support/frames.ts";

export const LINK_NULL = 0;
export const LINK_LOOP = 108;
export const LINK_SLL = 113;
export const LINK_SLL2 = 276;

const MAC_A = [2, 0, 0, 0, 0, 1];
const MAC_B = [2, 0, 0, 0, 0, 2];

export function etherTypeOf(packet: Uint8Array): number {
  return packet[0]! >> 4 === 6 ? 0x86dd : 0x0800;
}

/** The bytes from the EtherType's place on: tags, the packet's type, and the packet. */
function tagged(packet: Uint8Array, tpids: number[], etherType: number): { type: number; rest: Uint8Array } {
  const types = [...tpids, etherType];
  // The priority and drop-eligible bits are set; VLAN ids begin at 100.
  const rest = bytes(...tpids.map((_, i) => bytes(u16(0xf000 + 100 + i), u16(types[i + 1]!))), packet);
  return { type: types[0]!, rest };
}

/** Ethernet with any tag protocol identifiers, unlike support's `ethernet`. */
export function ethernetTagged(packet: Uint8Array, tpids: number[], etherType = etherTypeOf(packet)): Uint8Array {
  const { type, rest } = tagged(packet, tpids, etherType);
  return bytes(MAC_A, MAC_B, u16(type), rest);
}

/** Linux cooked capture v1: packet type, ARPHRD_ETHER, address length, address, protocol. */
export function cooked(packet: Uint8Array, tpids: number[] = [], etherType = etherTypeOf(packet)): Uint8Array {
  const { type, rest } = tagged(packet, tpids, etherType);
  return bytes(u16(0), u16(1), u16(6), MAC_B, u16(0), u16(type), rest);
}

/** Linux cooked capture v2: protocol, reserved, interface, ARPHRD_ETHER, packet type, address length, address. */
export function cooked2(packet: Uint8Array, tpids: number[] = [], etherType = etherTypeOf(packet)): Uint8Array {
  const { type, rest } = tagged(packet, tpids, etherType);
  return bytes(u16(type), u16(0), u32(7), u16(1), [0, 6], MAC_B, u16(0), rest);
}

/** BSD loopback: the address family in the byte order of the capturing host, or in network order. */
export function loopback(packet: Uint8Array, family: number, littleEndian: boolean): Uint8Array {
  return bytes(littleEndian ? u32(family).reverse() : u32(family), packet);
}
