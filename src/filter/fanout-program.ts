/**
 * The program that decides which of the sockets that share an interface gets a frame: for PACKET_FANOUT of type CBPF
 * (packet(7); the kernel takes its result modulo the number of sockets). Both directions of a mirrored connection go to
 * the same socket, whatever else is in the frame.
 *
 * - IP fragments of a mirrored packet (and of what GENEVE carries) go by its addresses alone: only the first has the
 *   ports, and they must meet. (Not by the identification: then a connection's fragmented packets would spread over all
 *   sockets.) Its whole packets may go to another one.
 * - IP fragments of a mirror packet go by its addresses and identification: they must meet, and hold
 *   packets of any connection. PACKET_FANOUT_FLAG_DEFRAG has the kernel put IPv4 ones together first.
 * - All other frames, which mirror-filter.ts rejects: 0.
 */
import { ETHERTYPE_IPV4 } from "../decode/ethernet.ts";
import * as ipv4 from "../decode/ipv4.ts";
import * as ipv6 from "../decode/ipv6.ts";
import * as tcp from "../decode/tcp.ts";
import type { Mirror } from "../decode/tunnel.ts";
import { type Label, SKF_AD_PKTTYPE, SKF_AD_PROTOCOL, SKF_NET_OFF } from "./bpf.ts";
import { FrameProgram } from "./frame-program.ts";
import type { Layer, Version } from "./ip-program.ts";

/** PACKET_OUTGOING of linux/if_packet.h. */
const OUTGOING = 4;

/** Words of M[]. */
const START = 0;
const VERSION = 1;
/** For source and destination: the port (or its substitute), then the hash of port and address. */
const ENDPOINTS = [2, 3] as const;
const ADDRESSES = [4, 5] as const;
const HASH = 6;
const POSITION = 7;

/** Odd factors with well-spread bits: 2^32 divided by the golden ratio, and murmur3's finalizer. */
const GOLDEN = 0x9e3779b1;
const MIX_1 = 0x85ebca6b;
const MIX_2 = 0xc2b2ae35;

const IPV6_WORDS = 4;

/** The program for PACKET_FANOUT_DATA, as an array of struct sock_filter. It serves all link types. */
export function fanoutProgram(mirror: Pick<Mirror, "encapsulation" | "vxlanPort">): Uint8Array<ArrayBuffer> {
  return new FanoutProgram(mirror).encode();
}

class FanoutProgram extends FrameProgram {
  private readonly hash: Label;
  private readonly outerHash: Label;

  constructor(mirror: Pick<Mirror, "encapsulation" | "vxlanPort">) {
    super(0, mirror);
    this.hash = this.code.label();
    this.outerHash = this.code.label();
  }

  encode(): Uint8Array<ArrayBuffer> {
    return this.assemble();
  }

  protected override plainLink(general: Label): void {
    const { code } = this;
    const [isReceived, isV4] = [code.label(), code.label()];
    code.load("word", SKF_AD_PKTTYPE);
    code.jumpIf("equal", OUTGOING, general, isReceived);
    code.place(isReceived);
    code.load("word", SKF_AD_PROTOCOL);
    code.jumpIf("equal", ETHERTYPE_IPV4, isV4, general);
    code.place(isV4);
  }

  /**
   * Here a received frame's data begins with its network header, and an outgoing frame's with its link header. All
   * loads are X-indexed, so that X makes up for the difference. (From SKF_NET_OFF on, older kernels read only a frame's
   * linear part; received frames need not be linear.)
   */
  protected override link(v4: Label, v6: Label): void {
    const { code, first } = this;
    const received = code.label();
    code.load("word", SKF_AD_PKTTYPE);
    code.jumpIf("equal", OUTGOING, undefined, received);
    code.loadXValue(SKF_NET_OFF);
    code.place(received);
    code.load("word", SKF_AD_PROTOCOL);
    this.dispatch(first, v4, v6);
  }

  protected override atIp(layer: Layer, version: Version): void {
    const { code } = this;
    // Only the place is stored: the addresses are read when it is known that they matter.
    if (this.isPlain || (layer === this.outer && version === 4)) return;
    code.storeX(START);
    code.loadValue(version);
    code.store(VERSION);
  }

  protected override atUdp(): void {}

  protected override atGre(): void {}

  protected override atVxlan(): void {}

  protected override atVni(): void {}

  protected override beforeReading(): void {}

  protected override atMiddleTcp(): void {
    const { code, middle, inner } = this;
    code.loadMemory(START);
    code.compute("add", middle.base - inner.base);
    code.store(START);
  }

  protected override atTcp(): void {
    const { code, inner } = this;
    const tcpBase = inner.base + ipv4.HEADER_LEN;
    this.read("half", tcpBase + tcp.SOURCE_PORT_OFFSET);
    code.store(ENDPOINTS[0]);
    this.read("half", tcpBase + tcp.DESTINATION_PORT_OFFSET);
    code.store(ENDPOINTS[1]);
    if (this.isPlain) {
      this.addressesV4(inner);
    } else {
      code.place(this.hash);
      this.addresses(inner);
    }
    this.finishWithHash();
  }

  protected override atFragment(layer: Layer, version: Version): void {
    const { code } = this;
    if (version === 4) {
      code.storeX(START);
      code.loadValue(version);
      code.store(VERSION);
    }
    if (layer !== this.outer) code.loadValue(0);
    else if (version === 4) code.loadIndexed("half", layer.base + ipv4.IDENTIFICATION_OFFSET);
    else code.loadIndexed("word", layer.base + ipv4.HEADER_LEN + ipv6.FRAGMENT_IDENTIFICATION_OFFSET);
    for (const word of ENDPOINTS) code.store(word);
    if (layer === this.middle) this.atMiddleTcp();
    code.jump(layer === this.outer ? this.outerHash : this.hash);
  }

  protected override atOtherwise(): void {
    const { code, outer, inner } = this;
    if (this.first === outer) {
      code.place(this.outerHash);
      this.addresses(outer);
      this.finishWithHash();
    }
    code.place(inner.otherwise);
    code.place(outer.otherwise);
    code.finish(0);
  }

  /** M[ADDRESSES] = the addresses of the header at M[START]. */
  private addresses(layer: Layer): void {
    const { code } = this;
    const [isV6, folded] = [code.label(), code.label()];
    code.loadXMemory(START);
    code.loadMemory(VERSION);
    code.jumpIf("equal", 6, isV6);
    this.addressesV4(layer);
    code.jump(folded);
    code.place(isV6);
    this.foldAddress(layer.base + ipv6.SOURCE_OFFSET, ADDRESSES[0]);
    this.foldAddress(layer.base + ipv6.DESTINATION_OFFSET, ADDRESSES[1]);
    code.place(folded);
  }

  private addressesV4(layer: Layer): void {
    const { code } = this;
    this.read("word", layer.base + ipv4.SOURCE_OFFSET);
    code.store(ADDRESSES[0]);
    this.read("word", layer.base + ipv4.DESTINATION_OFFSET);
    code.store(ADDRESSES[1]);
  }

  /** Ends the program with a hash of M[ENDPOINTS] and M[ADDRESSES]. */
  private finishWithHash(): void {
    const { code } = this;
    // A sum does not depend on which endpoint was the source. Each is mixed separately before, so that different
    // addresses and ports with the same sum get different hashes.
    this.mixEndpoint(0);
    this.mixEndpoint(1);
    code.loadMemory(ENDPOINTS[0]);
    code.loadXMemory(ENDPOINTS[1]);
    code.computeX("add");
    code.compute("mul", MIX_2);
    this.spreadDown(16);
    code.finishWithA();
  }

  /** M[to] = a hash of an IPv6 address. */
  private foldAddress(at: number, to: number): void {
    const { code } = this;
    code.storeX(POSITION);
    code.loadIndexed("word", at);
    code.store(HASH);
    for (let i = 1; i < IPV6_WORDS; i++) {
      code.loadMemory(HASH);
      code.compute("mul", GOLDEN);
      this.spreadDown(15);
      code.store(HASH);
      code.loadXMemory(POSITION);
      code.loadIndexed("word", at + i * 4);
      code.loadXMemory(HASH);
      code.computeX("xor");
      code.store(HASH);
    }
    code.store(to);
    code.loadXMemory(POSITION);
  }

  /** M[ENDPOINTS] = a hash of the port and its address. */
  private mixEndpoint(which: 0 | 1): void {
    const { code } = this;
    code.loadMemory(ENDPOINTS[which]);
    code.compute("mul", GOLDEN);
    code.loadXMemory(ADDRESSES[which]);
    code.computeX("xor");
    code.compute("mul", MIX_1);
    this.spreadDown(15);
    code.store(ENDPOINTS[which]);
  }

  /** A ^= A >> bits: multiplication carries only upwards. */
  private spreadDown(bits: number): void {
    const { code } = this;
    code.setX();
    code.compute("rsh", bits);
    code.computeX("xor");
  }
}
