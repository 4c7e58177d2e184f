/**
 * Random frames, layer by layer: any link layer and encapsulation, stacks of tags and labels, and chains of extension
 * headers, up to the limits and beyond; options, fragments, wrong and zero lengths, cut ends.
 */
import type { Mirror } from "../../src/decode/tunnel.ts";
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
import {
  bytes,
  erspan,
  geneve,
  gre,
  ip,
  type IpOptions,
  mpls,
  pppoe,
  snap,
  TCP,
  tcp,
  type Typed,
  typed,
  UDP,
  udp,
  u16,
  u32,
} from "../support/frames.ts";
import type { Random } from "../support/random.ts";

const TPIDS = [0x8100, 0x88a8, 0x9100];
/** More than decode reads. */
const TAGS_MAX = 10;
const EXTENSIONS_MAX = 10;
const LABELS_MAX = 10;
const GRE = 47;
const EXTENSIONS = [0, 43, 44, 51, 60, 135, 139, 140];

export interface LayeredFrame {
  frame: Uint8Array;
  linkType: number;
}

export function layeredFrame(random: Random, ours: Mirror): LayeredFrame {
  const layers = new Layers(random, ours);
  const linkType = random.pick([1, 1, 1, LINK_SLL, LINK_SLL2, LINK_NULL, LINK_LOOP, 12, 14, 101, 228, 229]);
  const encapsulation = ours.encapsulation ?? "vxlan";
  const first = encapsulation === "none" ? layers.shimmed(layers.segment()) : typed(layers.carrier(encapsulation));
  let frame = wrap(linkType, first, layers.tags());
  if (random.chance(0.2)) frame = frame.slice(0, random.int(Math.max(0, frame.length - 90), frame.length));
  if (random.chance(0.1)) frame = bytes(frame, random.bytes(random.int(1, 60)));
  if (random.chance(0.1) && frame.length > 0) frame[random.int(0, frame.length - 1)] = random.int(0, 255);
  return { frame, linkType };
}

class Layers {
  constructor(
    private readonly random: Random,
    private readonly ours: Mirror,
  ) {}

  tags(): number[] {
    return Array.from({ length: this.few(TAGS_MAX) }, () => this.random.pick(TPIDS));
  }

  /** The outer packet of a tunnel. */
  carrier(encapsulation: "vxlan" | "geneve" | "gre"): Uint8Array {
    if (encapsulation === "gre") return this.packet(GRE, this.damaged(this.gre(), 8));
    if (encapsulation === "vxlan") return this.packet(UDP, this.vxlan());
    return this.packet(UDP, this.datagram(6081, this.damaged(this.geneve(), 8)));
  }

  /** A packet with a TCP segment. */
  segment(): Uint8Array {
    const { random } = this;
    const segment = tcp({
      source: "",
      destination: "",
      sourcePort: random.int(0, 0xffff),
      destinationPort: this.rarely(random.pick([...this.ours.ports]), () => random.int(0, 0xffff)),
      sequence: 1,
      flags: "A",
      options: random.bytes(4 * random.pick([0, 0, 0, 1, 5, 10])),
      payload: random.bytes(random.pick([0, 1, 10])),
    });
    if (random.chance(0.05)) segment[12] = random.int(0, 255);
    return this.packet(TCP, segment);
  }

  /** A packet, sometimes behind a shim. */
  shimmed(packet: Uint8Array): Typed {
    const { random } = this;
    if (random.chance(0.6)) return typed(packet);
    const shim = random.pick([snap, pppoe, (inner: Uint8Array) => mpls(inner, Math.max(1, this.few(LABELS_MAX)))])(
      packet,
    );
    return { ...shim, payload: this.damaged(shim.payload, 8) };
  }

  private frame(): Uint8Array {
    const { etherType, payload } = this.shimmed(this.segment());
    return ethernetTagged(payload, this.tags(), etherType);
  }

  private vni(): number {
    const { vnis } = this.ours;
    return this.rarely(vnis === "any" ? 7 : this.random.pick([...vnis]), () => this.random.int(0, 0xffffff));
  }

  private vxlan(): Uint8Array {
    const { random } = this;
    const flags = this.rarely(0x08, () => random.int(0, 255));
    const content = bytes([flags, 0, 0, 0], u32((this.vni() << 8) | random.int(0, 255)), this.frame());
    return this.datagram(this.ours.vxlanPort, content);
  }

  private datagram(port: number, content: Uint8Array): Uint8Array {
    const { random } = this;
    const datagram = udp(
      65_500,
      this.rarely(port, () => random.int(0, 0xffff)),
      content,
    );
    if (random.chance(0.15))
      datagram.set(u16(random.pick([0, random.int(0, 12), Math.max(0, datagram.length + random.int(-70, 40))])), 4);
    return datagram;
  }

  /** The content of a tunnel, by an EtherType: a frame, or a packet behind tags and a shim. */
  private carried(packet: () => Uint8Array): Typed {
    const { random } = this;
    if (random.chance(0.4)) {
      const { etherType, payload } = this.shimmed(packet());
      return { etherType: 0x6558, payload: ethernetTagged(payload, this.tags(), etherType) };
    }
    if (random.chance(0.7)) return typed(packet());
    const { etherType, payload } = this.shimmed(packet());
    const tagged = ethernetTagged(payload, this.tags(), etherType);
    return { etherType: tagged[12]! * 256 + tagged[13]!, payload: tagged.slice(14) };
  }

  private geneve(): Uint8Array {
    const { random } = this;
    const inner = () => (random.chance(0.5) ? this.segment() : this.packet(UDP, this.vxlan()));
    return geneve(this.vni(), this.carried(inner), random.bytes(4 * random.pick([0, 0, 8, random.int(0, 63)])));
  }

  private gre(): Uint8Array {
    const { random } = this;
    const kind = random.int(0, 5);
    if (kind >= 1 && kind <= 3) return erspan(kind as 1 | 2 | 3, this.vni() & 0x3ff, this.frame(), random.chance(0.3));
    const maybe = (value: number) => (random.chance(0.5) ? value : undefined);
    const [key, sequence, checksum] = [maybe(this.vni()), maybe(1), maybe(0)];
    return gre(
      this.carried(() => this.segment()),
      {
        ...(key === undefined ? {} : { key }),
        ...(sequence === undefined ? {} : { sequence }),
        ...(checksum === undefined ? {} : { checksum }),
      },
    );
  }

  /** A packet with some wrong lengths. */
  private packet(protocol: number, content: Uint8Array): Uint8Array {
    const { random } = this;
    const isV6 = random.chance(0.5);
    const options: IpOptions = random.chance(0.5) ? { options: random.bytes(4 * random.int(0, 10)) } : {};
    if (isV6) options.extensions = Array.from({ length: this.few(EXTENSIONS_MAX) }, () => extension(random));
    if (random.chance(0.15)) {
      options.identification = random.int(0, 0xffff);
      options.fragmentOffset = 8 * (random.chance(0.5) ? 0 : random.int(0, 0x1fff));
      options.moreFragments = random.chance(0.5);
    }
    const [source, destination] = isV6 ? ["2001:db8::1", "fd00::2"] : ["10.0.0.1", "192.168.7.9"];
    const carried = this.rarely(protocol, () => random.int(0, 255));
    const built = ip(source!, destination!, carried, content, options);
    const lengthAt = isV6 ? 4 : 2;
    if (random.chance(0.15)) {
      const right = built[lengthAt]! * 256 + built[lengthAt + 1]!;
      built.set(u16(random.chance(0.3) ? 0 : Math.max(0, right + random.int(-60, 60)) & 0xffff), lengthAt);
    }
    if (random.chance(0.02)) built[0] = random.int(0, 255);
    return built;
  }

  /** Sometimes changes one of the first bytes. */
  private damaged(header: Uint8Array, length: number): Uint8Array {
    if (this.random.chance(0.1))
      header[this.random.int(0, Math.min(length, header.length) - 1)] = this.random.int(0, 255);
    return header;
  }

  private rarely<T>(usual: T, otherwise: () => T): T {
    return this.random.chance(0.04) ? otherwise() : usual;
  }

  private few(max: number): number {
    const { random } = this;
    return random.chance(0.5) ? 0 : random.chance(0.7) ? random.int(1, 3) : random.int(max - 3, max);
  }
}

/** An extension header's type, and its bytes behind the next header's type; sometimes with a wrong length. */
function extension(random: Random): [number, Uint8Array] {
  const kind = random.pick(EXTENSIONS);
  // Nearly always atomic: `ip` writes it with a length of 0.
  if (kind === 44) return [kind, bytes(random.chance(0.9) ? [0, 0] : u16(random.int(0, 0xffff)), random.bytes(4))];
  return [kind, random.bytes(kind === 51 ? 4 * random.int(1, 4) + 2 : 8 * random.int(0, 2) + 6)];
}

function wrap(linkType: number, { etherType, payload }: Typed, tpids: number[]): Uint8Array {
  switch (linkType) {
    case 1:
      return ethernetTagged(payload, tpids, etherType);
    case LINK_SLL:
      return cooked(payload, tpids, etherType);
    case LINK_SLL2:
      return cooked2(payload, tpids, etherType);
    case LINK_NULL:
    case LINK_LOOP:
      return loopback(payload, 2, true);
    default:
      return payload;
  }
}
