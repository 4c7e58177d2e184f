/**
 * The filters of capture handles, in classic BPF: the kernel decides about a frame as src/decode does, so that only our
 * frames are copied to user space.
 *
 * They are in the form that pcap_setfilter takes: as if each frame began with the header of the handle's link type. A
 * cooked handle's socket has no such header: libpcap subtracts its length from each load's offset, and turns a load of
 * its protocol field into SKF_AD_PROTOCOL (it does not look at X, so X must not count the link header). Other loads
 * below that length are not possible. Nor is the packet's length known: the kernel counts it from the network header,
 * and libpcap's own interpreter, which runs the filter over frames older than it, from the cooked header. mirrorFilter
 * does not use it; rejectedFilter takes the kernel's.
 *
 * The outermost VLAN tag of a received frame is usually not in its bytes any more, but beside them,
 * and libpcap puts it back after the filter has run. Both forms are accepted.
 */
import * as ethernet from "../decode/ethernet.ts";
import { DATAGRAM_BYTES_MAX } from "../decode/ip.ts";
import * as ipv4 from "../decode/ipv4.ts";
import * as ipv6 from "../decode/ipv6.ts";
import {
  LinkType,
  LOOPBACK_HEADER_LEN,
  SLL2_HEADER_LEN,
  SLL2_PROTOCOL_OFFSET,
  SLL_HEADER_LEN,
  SLL_PROTOCOL_OFFSET,
} from "../decode/link.ts";
import * as tcp from "../decode/tcp.ts";
import type { Mirror } from "../decode/tunnel.ts";
import * as udp from "../decode/udp.ts";
import * as vxlan from "../decode/vxlan.ts";
import { type Label, SKF_AD_VLAN_TAG_PRESENT } from "./bpf.ts";
import { FrameProgram } from "./frame-program.ts";
import { IPV4_PLAIN, type Layer, VERSION_MASK, type Version } from "./ip-program.ts";

/** The options of the filters. */
export interface MirrorFilterOptions extends Mirror {
  /** A {@link LinkType}: the capture handle's. */
  readonly linkType: number;
  /** Accepts servers' segments as well. */
  readonly takesServer?: boolean;
}

/** The length that an accepted frame is cut to: none in effect, because the handle's own snapshot length is smaller. */
export const ACCEPTED_BYTES = 0x40000;
const REJECTED = 0;

/** Words of M[] beside those of frame-program.ts and ip-program.ts. */
const START = 3;
const HEADER = 4;
const CLAIMED = 5;
const FRAGMENT_OFFSET = 6;
const KEPT = 7;

/** The end of a packet without a length: any offset may be added without leaving 32 bits. */
const NO_END = 0x7fff0000;
/** The sign bit of a difference of lengths. */
const LESS_THAN_ZERO = 0x8000_0000;

/** Accepts exactly the frames that decode turns into a segment, or holds as an IP fragment. */
export function mirrorFilter(options: MirrorFilterOptions): Uint8Array<ArrayBuffer> {
  return new Filter(options, false).encode();
}

/**
 * Accepts exactly the mirror's datagrams that {@link mirrorFilter} rejects: whole, well-formed UDP to the VXLAN port,
 * with neither a segment of ours nor a mirrored fragment. It serves to tell what other frames come.
 */
export function rejectedFilter(options: MirrorFilterOptions): Uint8Array<ArrayBuffer> {
  return new Filter(options, true).encode();
}

function linkLenOf(linkType: number): number {
  switch (linkType) {
    case LinkType.ETHERNET:
      return ethernet.HEADER_LEN;
    case LinkType.LINUX_SLL:
      return SLL_HEADER_LEN;
    case LinkType.LINUX_SLL2:
      return SLL2_HEADER_LEN;
    case LinkType.NULL:
    case LinkType.LOOP:
      return LOOPBACK_HEADER_LEN;
    default:
      return 0;
  }
}

class Filter extends FrameProgram {
  private readonly ours: Label;
  /** The part of a link header's length that the kernel's packet length counts. */
  private readonly countedLinkLen: number;

  constructor(
    private readonly options: MirrorFilterOptions,
    /** Whether our frames are rejected, and the rest of the mirror's frames accepted. */
    private readonly inverted: boolean,
  ) {
    super(linkLenOf(options.linkType), options);
    const { linkType } = options;
    this.countedLinkLen = linkType === LinkType.LINUX_SLL || linkType === LinkType.LINUX_SLL2 ? 0 : this.linkLen;
    this.ours = this.code.label();
  }

  encode(): Uint8Array<ArrayBuffer> {
    return this.assemble();
  }

  protected override plainLink(general: Label): void {
    const { code, first } = this;
    const isV4 = code.label();
    if (this.loadEtherType()) {
      code.jumpIf("equal", ethernet.ETHERTYPE_IPV4, isV4, general);
    } else {
      code.load("byte", first.base);
      code.jumpIf("equal", IPV4_PLAIN, isV4, general);
    }
    code.place(isV4);
  }

  protected override link(v4: Label, v6: Label): void {
    const { code, first } = this;
    if (this.loadEtherType()) {
      // With SLL2, libpcap puts no tag back.
      return this.dispatch(
        first,
        v4,
        v6,
        this.options.linkType === LinkType.LINUX_SLL2 ? undefined : () => this.rejectTagBesides(),
      );
    }
    code.load("byte", first.base);
    code.compute("and", VERSION_MASK);
    code.jumpIf("equal", ipv4.VERSION << 4, v4);
    code.jumpIf("equal", ipv6.VERSION << 4, v6, first.otherwise);
  }

  /** A = the EtherType, if the link layer has one; else writes no code. Returns whether it has one. */
  private loadEtherType(): boolean {
    const { code } = this;
    switch (this.options.linkType) {
      case LinkType.ETHERNET:
        code.load("half", ethernet.TYPE_OFFSET);
        return true;
      case LinkType.LINUX_SLL:
        code.load("half", SLL_PROTOCOL_OFFSET);
        return true;
      case LinkType.LINUX_SLL2:
        code.load("half", SLL2_PROTOCOL_OFFSET);
        return true;
      default:
        return false;
    }
  }

  /** The bytes have the most tags that are allowed: with the one that is put back there are too many. */
  private rejectTagBesides(): void {
    const { code, outer } = this;
    const bare = code.label();
    code.store(KEPT);
    code.load("word", SKF_AD_VLAN_TAG_PRESENT);
    code.jumpIf("equal", 0, bare, outer.otherwise);
    code.place(bare);
    code.loadMemory(KEPT);
  }

  /** Stores the packet's end. */
  protected override atIp(layer: Layer, version: Version): void {
    const lengthOffset = version === 4 ? ipv4.TOTAL_LENGTH_OFFSET : ipv6.PAYLOAD_LENGTH_OFFSET;
    this.noteEnd(layer.endWord, layer.base + lengthOffset, layer.base + (version === 4 ? 0 : ipv6.HEADER_LEN));
  }

  /** M[word] = X + `base` + the length at `field`, from the link header's end; or NO_END if the length is 0. */
  private noteEnd(word: number, field: number, base: number): void {
    const { code } = this;
    const isGiven = code.label();
    this.read("half", field);
    code.jumpIf("equal", 0, undefined, isGiven);
    code.loadValue(NO_END);
    code.place(isGiven);
    if (!this.isPlain) code.computeX("add");
    if (base !== this.linkLen) code.compute("add", base - this.linkLen);
    code.store(word);
  }

  protected override atUdp(layer: Layer, endWord: number): void {
    const base = layer.base + ipv4.HEADER_LEN;
    if (this.inverted && layer === this.outer) this.checkUdp(base);
    this.noteEnd(endWord, base + udp.LENGTH_OFFSET, base);
  }

  protected override atGre(): void {
    if (this.inverted) this.requireOuterUntil(this.outer.base + ipv4.HEADER_LEN);
  }

  protected override atVxlan(base: number): void {
    const { code, inner } = this;
    this.beforeReading(base, inner.base - base, inner);
    const isVxlan = code.label();
    this.read("byte", base);
    code.jumpIf("anyBit", vxlan.FLAG_I, isVxlan, inner.otherwise);
    code.place(isVxlan);
    this.read("word", base + vxlan.VNI_OFFSET);
    code.compute("rsh", 8);
    this.atVni();
  }

  protected override atVni(): void {
    const { vnis } = this.options;
    if (vnis !== "any") this.requireOneOf(vnis, this.inner.otherwise);
  }

  /** Requires that A is one of these values. */
  private requireOneOf(values: readonly number[], otherwise: Label): void {
    const isOurs = this.code.label();
    this.jumpIfOneOf(values, isOurs, otherwise);
    this.code.place(isOurs);
  }

  private jumpIfOneOf(values: readonly number[], isOurs: Label, otherwise: Label): void {
    const { code } = this;
    values.forEach((value, i) => code.jumpIf("equal", value, isOurs, i === values.length - 1 ? otherwise : undefined));
  }

  /**
   * Requires a whole UDP header: it lies within the packet, and the length in it includes it. Else the packet is not
   * the mirror's.
   */
  private checkUdp(base: number): void {
    const { code, outer } = this;
    const isDatagram = code.label();
    this.requireOuterUntil(base + udp.HEADER_LEN);
    this.read("half", base + udp.LENGTH_OFFSET);
    code.jumpIf("equal", 0, isDatagram);
    code.jumpIf("atLeast", udp.HEADER_LEN, isDatagram, outer.otherwise);
    code.place(isDatagram);
  }

  /** Requires that all bytes before X + `base` were captured, and lie within the outer packet. */
  private requireOuterUntil(base: number): void {
    const { code, outer } = this;
    code.storeX(KEPT);
    code.getX();
    this.toPlace(base);
    code.loadIndexed("byte", this.linkLen);
    this.requireWithin(outer.endWord, outer.otherwise);
    code.loadXMemory(KEPT);
  }

  /** No layer lies in between. */
  protected override atMiddleTcp(): void {
    const { code, inner, middle } = this;
    code.loadValue(NO_END);
    for (const word of [...inner.within, inner.endWord])
      if (word !== middle.endWord && !middle.within.includes(word)) code.store(word);
  }

  /**
   * Requires one of our ports: as the destination of a client's segment, or, if servers' segments are wanted, as the
   * source.
   */
  private requirePort(tcpBase: number): void {
    const { code, inner } = this;
    const { ports, takesServer } = this.options;
    this.read("half", tcpBase + tcp.DESTINATION_PORT_OFFSET);
    if (takesServer !== true) return this.requireOneOf(ports, inner.otherwise);
    const [isOurs, mayBeServers] = [code.label(), code.label()];
    this.jumpIfOneOf(ports, isOurs, mayBeServers);
    code.place(mayBeServers);
    this.read("half", tcpBase + tcp.SOURCE_PORT_OFFSET);
    this.jumpIfOneOf(ports, isOurs, inner.otherwise);
    code.place(isOurs);
  }

  protected override atTcp(): void {
    const { code, inner } = this;
    const tcpBase = inner.base + ipv4.HEADER_LEN;
    this.requireTcpHeader(tcpBase);
    const isHeader = code.label();
    this.requirePort(tcpBase);
    this.read("byte", tcpBase + tcp.DATA_OFFSET_OFFSET);
    // The upper four bits are the length in words.
    code.compute("and", 0xf0);
    code.compute("rsh", 2);
    code.jumpIf("atLeast", tcp.HEADER_LEN, isHeader, inner.otherwise);
    code.place(isHeader);
    if (!this.isPlain) code.computeX("add");
    this.toPlace(tcpBase);
    this.requireCaptured();
    for (const word of [...inner.within, inner.endWord]) this.requireWithin(word, inner.otherwise);
    // On the general way, fragments join here.
    if (!this.isPlain) code.place(this.ours);
    code.finish(this.inverted ? REJECTED : ACCEPTED_BYTES);
  }

  /** Does the work of {@link beforeReading}, but X may be less than 0 here. */
  private requireTcpHeader(base: number): void {
    if (!this.inverted) return;
    const { code, inner } = this;
    const captured = code.label();
    code.storeX(KEPT);
    code.getX();
    code.compute("add", base - this.linkLen + tcp.HEADER_LEN + this.countedLinkLen);
    code.setX();
    code.loadLength();
    code.jumpIfX("atLeast", captured, inner.otherwise);
    code.place(captured);
    code.loadXMemory(KEPT);
  }

  /**
   * Requires a fragment that fragments.ts takes: with bytes, with its header captured, within a datagram's longest
   * length.
   */
  protected override atFragment(layer: Layer, version: Version): void {
    const { code } = this;
    // The datagram's connection is known only when it is whole.
    if (this.inverted && layer === this.outer) return code.jump(layer.otherwise);
    if (version === 4) this.fragmentV4(layer);
    else this.fragmentV6(layer);
    this.requireCaptured();
    for (const word of layer.within) this.requireWithin(word, layer.otherwise);
    code.jump(this.ours);
  }

  /** Checks all but the header's end; X = the place of the header's last byte. */
  private fragmentV4(layer: Layer): void {
    const { code } = this;
    const { base, otherwise } = layer;
    const hasBytes = code.label();
    code.storeX(START);
    code.loadIndexed("byte", base);
    this.ipv4HeaderLen(layer);
    code.store(HEADER);
    code.loadIndexed("half", base + ipv4.TOTAL_LENGTH_OFFSET);
    code.loadXMemory(HEADER);
    code.jumpIfX("above", hasBytes, otherwise);
    code.place(hasBytes);
    code.computeX("sub");
    code.store(CLAIMED);
    code.loadXMemory(START);
    code.loadIndexed("half", base + ipv4.FRAGMENT_OFFSET);
    code.compute("and", ipv4.FRAGMENT_OFFSET_MASK);
    code.compute("lsh", 3);
    code.loadXMemory(CLAIMED);
    this.requireDatagram(otherwise);
    code.loadMemory(HEADER);
    code.loadXMemory(START);
    code.computeX("add");
    this.toPlace(base);
  }

  /** Checks a fragment header with its first word in A. */
  private fragmentV6(layer: Layer): void {
    const { code } = this;
    code.compute("and", ipv6.FRAGMENT_OFFSET_MASK);
    code.store(FRAGMENT_OFFSET);
    code.getX();
    this.toPlace(layer.base + ipv4.HEADER_LEN + ipv6.FRAGMENT_HEADER_LEN);
    code.storeX(START);
    // Bytes behind the header: the end, less the place of the header's last byte, less 1.
    this.requireWithin(layer.endWord, layer.otherwise);
    code.computeX("sub");
    code.compute("sub", 1);
    const hasBytes = code.label();
    code.jumpIf("above", 0, hasBytes, layer.otherwise);
    code.place(hasBytes);
    code.loadXMemory(FRAGMENT_OFFSET);
    // A length that was not given (NO_END) is too long here.
    this.requireDatagram(layer.otherwise);
    code.loadXMemory(START);
  }

  /** Requires that A + X, a fragment's offset and length, is within a datagram's longest length. */
  private requireDatagram(otherwise: Label): void {
    const { code } = this;
    const fits = code.label();
    code.computeX("add");
    code.jumpIf("above", DATAGRAM_BYTES_MAX, otherwise, fits);
    code.place(fits);
  }

  /** X = the place, from the link header's end, of the last byte before A + `base`. */
  private toPlace(base: number): void {
    this.code.compute("add", base - this.linkLen - 1);
    this.code.setX();
  }

  /** Requires that the end in M[word] is behind the place in X. Leaves the end in A. */
  private requireWithin(word: number, otherwise: Label): void {
    const { code } = this;
    const within = code.label();
    code.loadMemory(word);
    code.jumpIfX("above", within, otherwise);
    code.place(within);
  }

  /** Requires that the byte at the place in X was captured. */
  private requireCaptured(): void {
    const { code } = this;
    // A load outside the packet rejects it.
    if (!this.inverted) return code.loadIndexed("byte", this.linkLen);
    const captured = code.label();
    code.loadLength();
    code.compute("sub", this.countedLinkLen);
    code.jumpIfX("above", captured, this.inner.otherwise);
    code.place(captured);
  }

  protected override beforeReading(base: number, length: number, layer: Layer): void {
    // If a load outside the packet would give the wrong verdict, its length is asked first.
    if (!this.inverted || layer.isOuter) return;
    const { code } = this;
    const captured = code.label();
    code.loadLength();
    code.compute("sub", base - this.linkLen + length + this.countedLinkLen);
    code.jumpIf("atLeast", LESS_THAN_ZERO, layer.otherwise);
    code.jumpIfX("atLeast", captured, layer.otherwise);
    code.place(captured);
  }

  protected override atOtherwise(): void {
    const { code } = this;
    code.place(this.inner.otherwise);
    if (this.inverted) code.finish(ACCEPTED_BYTES);
    code.place(this.outer.otherwise);
    code.finish(REJECTED);
  }
}
