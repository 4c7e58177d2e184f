/** A mirrored Ethernet frame in every form in which a mirror may deliver it. */
import type { Encapsulation } from "../../src/decode/tunnel.ts";
import {
  bytes,
  erspan,
  ethernet,
  geneve,
  gre,
  ip,
  mirrored,
  mpls,
  pppoe,
  snap,
  type Typed,
  UDP,
  udp,
} from "./frames.ts";
import { u16, vxlanPacket } from "./frames.ts";

const GRE = 47;
const [SOURCE, DESTINATION] = ["172.31.0.238", "172.31.17.188"];
const SOURCE_V6 = "fd00::1";
const DESTINATION_V6 = "fd00::2";
/** The options of a Gateway Load Balancer: three options of class 0x0108. */
const GATEWAY_OPTIONS = bytes(
  [1, 8, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8],
  [1, 8, 2, 2, 1, 2, 3, 4, 5, 6, 7, 8],
  [1, 8, 3, 1, 9, 9, 9, 9],
);

export interface Way {
  readonly name: string;
  readonly encapsulation: Encapsulation;
  /**
   * Whether its identifier holds all 24 bits of a VNI; `session`: ten of them; `none`: it has no identifier, and counts
   * as 0.
   */
  readonly identifier: "vni" | "session" | "none";
  wrap(frame: Uint8Array, vni: number): Uint8Array;
}

const typeOf = (frame: Uint8Array) => frame[12]! * 256 + frame[13]!;
const carried = (frame: Uint8Array): Typed => ({ etherType: typeOf(frame), payload: frame.slice(14) });
const bridged = (frame: Uint8Array): Typed => ({ etherType: 0x6558, payload: frame });
const inGeneve = (content: Uint8Array) => ethernet(ip(SOURCE, DESTINATION, UDP, udp(65_500, 6081, content)));
const inGre = (content: Uint8Array) => ethernet(ip(SOURCE, DESTINATION, GRE, content));

/** The frame with a shim before its packet, if the packet is IP. */
function shimmed(frame: Uint8Array, shim: (packet: Uint8Array) => Typed): Uint8Array {
  if (![0x0800, 0x86dd].includes(typeOf(frame))) return frame;
  const { etherType, payload } = shim(frame.slice(14));
  return bytes(frame.slice(0, 12), u16(etherType), payload);
}

const shims: [name: string, shim: (packet: Uint8Array) => Typed][] = [
  ["LLC and SNAP", snap],
  ["PPPoE", pppoe],
  ["MPLS", (packet) => mpls(packet, 3)],
];

function way(
  name: string,
  encapsulation: Encapsulation,
  identifier: Way["identifier"],
  wrap: (frame: Uint8Array, vni: number) => Uint8Array,
): Way {
  return { name, encapsulation, identifier, wrap };
}

export const WAYS: readonly Way[] = [
  way("VXLAN", "vxlan", "vni", (frame, vni) => mirrored(frame, { vni })),
  ...shims.map(([name, shim]) =>
    way(`${name} in VXLAN`, "vxlan", "vni", (frame, vni) => mirrored(shimmed(frame, shim), { vni })),
  ),
  way("VXLAN in GENEVE, as a Gateway Load Balancer delivers", "geneve", "vni", (frame, vni) =>
    inGeneve(geneve(0, { etherType: 0x0800, payload: vxlanPacket(frame, { vni }) }, GATEWAY_OPTIONS)),
  ),
  way("VXLAN in IPv6 in a frame in GENEVE", "geneve", "vni", (frame, vni) =>
    inGeneve(geneve(9, bridged(mirrored(frame, { vni, source: SOURCE_V6, destination: DESTINATION_V6, vlans: [4] })))),
  ),
  way("frames in GENEVE", "geneve", "vni", (frame, vni) => inGeneve(geneve(vni, bridged(frame)))),
  way("packets in GENEVE with options", "geneve", "vni", (frame, vni) =>
    inGeneve(geneve(vni, carried(frame), GATEWAY_OPTIONS)),
  ),
  way("frames in GRE with a key", "gre", "vni", (frame, vni) => inGre(gre(bridged(frame), { key: vni }))),
  way("packets in GRE", "gre", "none", (frame) => inGre(gre(carried(frame)))),
  way("packets in GRE in IPv6, with all fields", "gre", "vni", (frame, vni) =>
    ethernet(ip(SOURCE_V6, DESTINATION_V6, GRE, gre(carried(frame), { key: vni, sequence: 8, checksum: 7 }))),
  ),
  way("ERSPAN I", "gre", "none", (frame) => inGre(erspan(1, 0, frame))),
  way("ERSPAN II", "gre", "session", (frame, vni) => inGre(erspan(2, vni & 0x3ff, frame))),
  way("ERSPAN III", "gre", "session", (frame, vni) => inGre(erspan(3, vni & 0x3ff, frame))),
  way("ERSPAN III with its subheader", "gre", "session", (frame, vni) => inGre(erspan(3, vni & 0x3ff, frame, true))),
  way("plain frames", "none", "none", (frame) => frame),
  way("plain frames with a VLAN tag", "none", "none", (frame) =>
    bytes(frame.slice(0, 12), u16(0x8100), u16(100), frame.slice(12)),
  ),
  ...shims.map(([name, shim]) => way(`plain frames with ${name}`, "none", "none", (frame) => shimmed(frame, shim))),
];
