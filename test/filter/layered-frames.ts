/**
 * Random frames, layer by layer: any link layer, stacks of tags and chains of extension headers up
 * to and beyond what is read, options, fragments, wrong and zero lengths, ends cut off.
 */
import {
  cooked,
  cooked2,
  ethernetTagged,
  LINK_LOOP,
  LINK_NULL,
  LINK_SLL,
  LINK_SLL2,
  loopback,
} from "../decode/link.ts";
import { bytes, ip, type IpOptions, TCP, tcp, UDP, udp, u16, u32 } from "../support/frames.ts";
import type { Random } from "../support/random.ts";

const TPIDS = [0x8100, 0x88a8, 0x9100];
/** More than decode reads. */
const TAGS_MAX = 10;
const EXTENSIONS_MAX = 10;
const EXTENSIONS = [0, 43, 44, 51, 60, 135, 139, 140];

export interface LayeredFrame {
  frame: Uint8Array;
  linkType: number;
}

export function layeredFrame(random: Random, ours: { vxlanPort: number; vni: number; port: number }): LayeredFrame {
  const rarely = <T>(usual: T, otherwise: () => T): T => (random.chance(0.04) ? otherwise() : usual);
  const few = (max: number) =>
    random.chance(0.5) ? 0 : random.chance(0.7) ? random.int(1, 3) : random.int(max - 3, max);
  const tags = () => Array.from({ length: few(TAGS_MAX) }, () => random.pick(TPIDS));
  /** A packet, some of whose lengths do not say what is there. */
  const packet = (protocol: number, content: Uint8Array): Uint8Array => {
    const isV6 = random.chance(0.5);
    const options: IpOptions = random.chance(0.5) ? { options: random.bytes(4 * random.int(0, 10)) } : {};
    if (isV6) options.extensions = Array.from({ length: few(EXTENSIONS_MAX) }, () => extension(random));
    if (random.chance(0.15)) {
      options.identification = random.int(0, 0xffff);
      options.fragmentOffset = 8 * (random.chance(0.5) ? 0 : random.int(0, 0x1fff));
      options.moreFragments = random.chance(0.5);
    }
    const [source, destination] = isV6 ? ["2001:db8::1", "fd00::2"] : ["10.0.0.1", "192.168.7.9"];
    const built = ip(
      source!,
      destination!,
      rarely(protocol, () => random.int(0, 255)),
      content,
      options,
    );
    const lengthAt = isV6 ? 4 : 2;
    if (random.chance(0.15)) {
      const right = built[lengthAt]! * 256 + built[lengthAt + 1]!;
      built.set(u16(random.chance(0.3) ? 0 : Math.max(0, right + random.int(-60, 60)) & 0xffff), lengthAt);
    }
    if (random.chance(0.02)) built[0] = random.int(0, 255);
    return built;
  };

  const segment = tcp({
    source: "",
    destination: "",
    sourcePort: random.int(0, 0xffff),
    destinationPort: rarely(ours.port, () => random.int(0, 0xffff)),
    sequence: 1,
    flags: "A",
    options: random.bytes(4 * random.pick([0, 0, 0, 1, 5, 10])),
    payload: random.bytes(random.pick([0, 1, 10])),
  });
  if (random.chance(0.05)) segment[12] = random.int(0, 255);
  const inner = ethernetTagged(packet(TCP, segment), tags());
  const vni = rarely(ours.vni, () => random.int(0, 0xffffff));
  const content = bytes([rarely(0x08, () => random.int(0, 255)), 0, 0, 0], u32((vni << 8) | random.int(0, 255)), inner);
  const datagram = udp(
    65_500,
    rarely(ours.vxlanPort, () => random.int(0, 0xffff)),
    content,
  );
  if (random.chance(0.15))
    datagram.set(u16(random.pick([0, random.int(0, 12), Math.max(0, datagram.length + random.int(-70, 40))])), 4);
  const outer = packet(UDP, datagram);

  const linkType = random.pick([1, 1, 1, LINK_SLL, LINK_SLL2, LINK_NULL, LINK_LOOP, 12, 14, 101, 228, 229]);
  let frame = wrap(linkType, outer, tags());
  if (random.chance(0.2)) frame = frame.slice(0, random.int(Math.max(0, frame.length - 90), frame.length));
  if (random.chance(0.1)) frame = bytes(frame, random.bytes(random.int(1, 60)));
  if (random.chance(0.1) && frame.length > 0) frame[random.int(0, frame.length - 1)] = random.int(0, 255);
  return { frame, linkType };
}

/** An extension header's kind, and its bytes behind the next header's; now and then of a wrong length. */
function extension(random: Random): [number, Uint8Array] {
  const kind = random.pick(EXTENSIONS);
  // Atomic, nearly always: `ip` writes it with a length of 0.
  if (kind === 44) return [kind, bytes(random.chance(0.9) ? [0, 0] : u16(random.int(0, 0xffff)), random.bytes(4))];
  return [kind, random.bytes(kind === 51 ? 4 * random.int(1, 4) + 2 : 8 * random.int(0, 2) + 6)];
}

function wrap(linkType: number, packet: Uint8Array, tpids: number[]): Uint8Array {
  switch (linkType) {
    case 1:
      return ethernetTagged(packet, tpids);
    case LINK_SLL:
      return cooked(packet, tpids);
    case LINK_SLL2:
      return cooked2(packet, tpids);
    case LINK_NULL:
    case LINK_LOOP:
      return loopback(packet, 2, true);
    default:
      return packet;
  }
}
