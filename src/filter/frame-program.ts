/**
 * The way through a frame that src/decode takes, as a program for the kernel: link layer, tags, outer IP, what carries
 * the mirror (decode/tunnel.ts, tunnel-program.ts), inner Ethernet, tags, shims, inner IP, TCP. What a program does on
 * that way is its own (mirror-filter.ts, fanout-program.ts).
 *
 * Lengths are checked once, at the end: offsets only grow along the way and an enclosing length only
 * takes away, so that a frame whose last header lies within every length has all of them within.
 *
 * Each header has a base, its place in a plain frame: no tags, IPv4 without options. Nearly all are
 * plain, and a load from a constant place costs the kernel much less than one from a place in X. So
 * there are two ways: one for plain frames, and one for all, which begins anew where a frame turns
 * out not to be plain. On that, X is by how much the headers so far are longer than a plain frame's;
 * on the plain way it stays 0. Where the tunnel's own headers vary (GENEVE, GRE), there is but the second.
 */
import * as ethernet from "../decode/ethernet.ts";
import * as geneve from "../decode/geneve.ts";
import * as gre from "../decode/gre.ts";
import { IP_PROTOCOL_TCP, IP_PROTOCOL_UDP } from "../decode/ip.ts";
import * as ipv4 from "../decode/ipv4.ts";
import * as ipv6 from "../decode/ipv6.ts";
import * as shim from "../decode/shim.ts";
import type { Depths } from "../decode/cursor.ts";
import { CARRIERS, depthsOf, type Encapsulation, type Mirror, tunnelPort } from "../decode/tunnel.ts";
import * as udp from "../decode/udp.ts";
import * as vxlan from "../decode/vxlan.ts";
import { Assembler, type Label, type Size } from "./bpf.ts";

/** IPv4's first byte without options: version 4, 5 words. */
export const IPV4_PLAIN = (ipv4.VERSION << 4) | (ipv4.HEADER_LEN / 4);
export const VERSION_MASK = 0xf0;
const IPV4_WORDS_MASK = 0x0f;

export type Version = 4 | 6;

/** One of the IP layers, of which there are two, three (GENEVE), or one. */
export interface Layer {
  readonly isOuter: boolean;
  /** Of its IP header. */
  readonly base: number;
  /** What it must carry: one of these. */
  readonly protocols: readonly number[];
  /** Words of M[] that tell where what it lies in ends. */
  readonly within: readonly number[];
  /** The same of itself. */
  readonly endWord: number;
  /** Whether what stands before it may be a shim (decode/shim.ts). */
  readonly hasShims: boolean;
  /** Where the program goes that finds something else. */
  readonly otherwise: Label;
}

/** Words of M[] that are used here, apart from those of the programs. */
const CARRIED = 11;
const VNI = 12;
const SCRATCH = 13;
const KIND = 14;
const WORD = 15;
/** Those that tell where a layer ends, and a UDP datagram in it. */
const OUTER_END = 0;
const UDP_END = 1;
const INNER_END = 2;
const MIDDLE_END = 8;
const MIDDLE_UDP_END = 9;

/** From a UDP header to the IP header of a plain frame in VXLAN. */
const VXLAN_LEN = udp.HEADER_LEN + vxlan.HEADER_LEN + ethernet.HEADER_LEN;

export abstract class FrameProgram {
  protected readonly code = new Assembler();
  protected readonly outer: Layer;
  /** What GENEVE carries: TCP, or VXLAN. */
  protected readonly middle: Layer;
  protected readonly inner: Layer;
  /** The layer that the link layer's header announces. */
  protected readonly first: Layer;
  /** Whether the plain way is written. */
  protected isPlain = false;
  private readonly encapsulation: Encapsulation;
  private readonly depths: Depths;
  private readonly udpPort: number | undefined;

  /** `linkLen`: what stands before the IP header, or its first tag's TCI, in the socket's data. */
  protected constructor(
    protected readonly linkLen: number,
    private readonly mirror: Pick<Mirror, "encapsulation" | "vxlanPort">,
  ) {
    const { code } = this;
    this.encapsulation = mirror.encapsulation ?? "vxlan";
    const { encapsulation } = this;
    this.depths = depthsOf(encapsulation);
    const carrier = CARRIERS[encapsulation];
    this.udpPort = tunnelPort({ ...mirror, vnis: "any", ports: [] });
    const [outerOtherwise, otherwise] = [code.label(), code.label()];
    const carried = linkLen + ipv4.HEADER_LEN;
    const none = { hasShims: false, otherwise };
    this.outer = {
      ...{ isOuter: true, base: linkLen, protocols: [carrier?.protocol ?? 0], within: [], endWord: OUTER_END },
      ...{ ...none, otherwise: outerOtherwise },
    };
    const middleBase = carried + udp.HEADER_LEN + geneve.HEADER_LEN;
    const middleWithin = [OUTER_END, UDP_END];
    const protocols = [IP_PROTOCOL_TCP, IP_PROTOCOL_UDP];
    const middle = { isOuter: false, base: middleBase, protocols, within: middleWithin, endWord: MIDDLE_END };
    this.middle = { ...none, ...middle, hasShims: true };
    const [base, within] = {
      vxlan: [carried + VXLAN_LEN, [OUTER_END, UDP_END]],
      geneve: [middleBase + ipv4.HEADER_LEN + VXLAN_LEN, [...middleWithin, MIDDLE_END, MIDDLE_UDP_END]],
      gre: [carried + gre.HEADER_LEN, [OUTER_END]],
      none: [linkLen, []],
    }[encapsulation] as [number, number[]];
    const inner = { isOuter: false, base, protocols: [IP_PROTOCOL_TCP], within, endWord: INNER_END };
    this.inner = { ...none, ...inner, hasShims: true };
    this.first = carrier === null ? { ...this.inner, isOuter: true, otherwise: outerOtherwise } : this.outer;
  }

  /** Goes on if the link layer says IPv4, or to `general`. */
  protected abstract plainLink(general: Label): void;
  /** Goes to either IP label by what the link layer says, or to the first layer's `otherwise`. */
  protected abstract link(v4: Label, v6: Label): void;
  /** At an IP header: A may be used, X must stay. */
  protected abstract atIp(layer: Layer, version: Version): void;
  /** At a UDP header to a tunnel's port, X likewise; `endWord`: of M[], for where the datagram ends. */
  protected abstract atUdp(layer: Layer, endWord: number): void;
  /** At GRE's header in the outer layer, X likewise. */
  protected abstract atGre(): void;
  /** At a VXLAN header, X likewise. */
  protected abstract atVxlan(base: number): void;
  /** With a frame's VNI in A, X likewise. */
  protected abstract atVni(): void;
  /** At an IP fragment's header (IPv4), or fragment header (IPv6). Ends the program. */
  protected abstract atFragment(layer: Layer, version: Version): void;
  /** At a TCP header in the middle layer, with X as if it were in the inner: X must stay. */
  protected abstract atMiddleTcp(): void;
  /** At a TCP header in the inner layer. Ends the program. */
  protected abstract atTcp(): void;
  /** Before `length` bytes at `base` are read. */
  protected abstract beforeReading(base: number, length: number, layer: Layer): void;
  /** Ends the program at both `otherwise` labels. */
  protected abstract atOtherwise(): void;

  protected assemble(): Uint8Array<ArrayBuffer> {
    const general = this.code.label();
    if (this.encapsulation === "vxlan" || this.encapsulation === "none") {
      this.isPlain = true;
      this.plainWay(general);
      this.isPlain = false;
    }
    this.code.place(general);
    this.generalWay();
    this.atOtherwise();
    return this.code.encode();
  }

  private plainWay(general: Label): void {
    const { code, outer, inner } = this;
    this.plainLink(general);
    if (this.encapsulation === "vxlan") {
      this.plainIp(outer, general);
      this.udpTo(outer, this.udpPort!, UDP_END);
      this.vxlan(outer);
      const isV4 = code.label();
      code.jumpIf("equal", ethernet.ETHERTYPE_IPV4, isV4, general);
      code.place(isV4);
    }
    this.plainIp(inner, general);
    this.atTcp();
  }

  private generalWay(): void {
    const { code, outer, inner, first } = this;
    const [firstV4, firstV6, transport] = [code.label(), code.label(), code.label()];
    this.link(firstV4, firstV6);
    if (this.encapsulation === "none") {
      this.ip(inner, firstV4, firstV6, transport);
    } else {
      const [innerV4, innerV6, carried] = [code.label(), code.label(), code.label()];
      this.ip(first, firstV4, firstV6, carried);
      code.place(carried);
      if (this.encapsulation === "gre") {
        this.gre(innerV4, innerV6);
      } else {
        this.udpTo(outer, this.udpPort!, UDP_END);
        if (this.encapsulation === "geneve") this.geneve(transport);
        this.vxlan(this.encapsulation === "geneve" ? this.middle : outer);
        this.dispatch(inner, innerV4, innerV6);
      }
      this.ip(inner, innerV4, innerV6, transport);
    }
    code.place(transport);
    this.atTcp();
  }

  /** A = the packet's bytes at a place in a header. */
  protected read(size: Size, place: number): void {
    if (this.isPlain) this.code.load(size, place);
    else this.code.loadIndexed(size, place);
  }

  /** At a UDP header in `layer`: goes on if it is to `port`. */
  private udpTo(layer: Layer, port: number, endWord: number): void {
    const { code } = this;
    const isTunnel = code.label();
    this.beforeReading(layer.base + ipv4.HEADER_LEN, udp.HEADER_LEN, layer);
    this.read("half", layer.base + ipv4.HEADER_LEN + udp.DESTINATION_PORT_OFFSET);
    code.jumpIf("equal", port, isTunnel, layer.otherwise);
    code.place(isTunnel);
    this.atUdp(layer, endWord);
  }

  /** From the UDP header in `layer` to the EtherType behind VXLAN, which is left in A. */
  private vxlan(layer: Layer): void {
    this.atVxlan(layer.base + ipv4.HEADER_LEN + udp.HEADER_LEN);
    this.read("half", this.inner.base - ethernet.TYPE_LEN);
  }

  /** From GENEVE's header to a UDP header that may be VXLAN's, or to `transport`, a TCP header. */
  private geneve(tcpTransport: Label): void {
    const { code, middle, inner } = this;
    const base = middle.base - geneve.HEADER_LEN;
    this.beforeReading(base, geneve.HEADER_LEN, inner);
    const [isVersion0, isData, v4, v6] = [code.label(), code.label(), code.label(), code.label()];
    this.read("byte", base);
    code.jumpIf("above", geneve.OPTION_WORDS_MASK, inner.otherwise, isVersion0);
    code.place(isVersion0);
    code.compute("lsh", 2);
    code.store(KIND);
    this.read("byte", base + geneve.FLAGS_OFFSET);
    code.jumpIf("anyBit", geneve.FLAG_O, inner.otherwise, isData);
    code.place(isData);
    this.read("word", base + geneve.VNI_OFFSET);
    code.compute("rsh", 8);
    code.store(VNI);
    this.read("half", base + geneve.PROTOCOL_OFFSET);
    code.store(WORD);
    code.loadMemory(KIND);
    code.computeX("add");
    code.setX();
    code.loadMemory(WORD);
    this.payload(middle, v4, v6);

    const [transport, isUdp, isTcp] = [code.label(), code.label(), code.label()];
    this.ip(middle, v4, v6, transport);
    code.place(transport);
    code.loadMemory(CARRIED);
    code.jumpIf("equal", IP_PROTOCOL_UDP, isUdp, isTcp);
    code.place(isTcp);
    code.loadMemory(VNI);
    this.atVni();
    // A header in the middle layer, told as one in the inner: there X may be less than 0, modulo 2^32.
    this.skip(middle.base - inner.base);
    this.atMiddleTcp();
    code.jump(tcpTransport);
    code.place(isUdp);
    this.udpTo(middle, this.mirror.vxlanPort, MIDDLE_UDP_END);
  }

  /** From GRE's header to either IP label. */
  private gre(v4: Label, v6: Label): void {
    const { code, inner } = this;
    const base = inner.base - gre.HEADER_LEN;
    this.atGre();
    this.beforeReading(base, gre.HEADER_LEN, inner);
    const [isReadable, noChecksum, noKey, noSequence] = [code.label(), code.label(), code.label(), code.label()];
    code.loadIndexed("word", base);
    code.store(WORD);
    code.jumpIf("anyBit", gre.UNREADABLE, inner.otherwise, isReadable);
    code.place(isReadable);
    code.loadValue(0);
    code.store(VNI);
    this.greField(gre.FLAG_CHECKSUM, noChecksum);
    this.skip(gre.FIELD_LEN);
    code.place(noChecksum);
    this.greField(gre.FLAG_KEY, noKey);
    this.beforeReading(inner.base, gre.FIELD_LEN, inner);
    this.advance(gre.FIELD_LEN, "word", inner.base);
    code.store(VNI);
    code.place(noKey);
    this.greField(gre.FLAG_SEQUENCE, noSequence);
    this.skip(gre.FIELD_LEN);
    code.place(noSequence);
    this.erspan();
    code.loadMemory(VNI);
    this.atVni();
    code.loadMemory(KIND);
    this.payload(inner, v4, v6);
  }

  /** Goes on if GRE's first word, in M[WORD], has this flag, or to `absent`. */
  private greField(flag: number, absent: Label): void {
    const { code } = this;
    const present = code.label();
    code.loadMemory(WORD);
    code.jumpIf("anyBit", flag, present, absent);
    code.place(present);
  }

  /**
   * Behind GRE's header: M[KIND] = the EtherType of what is carried, of ERSPAN behind its header; M[VNI] its session.
   */
  private erspan(): void {
    const { code } = this;
    const [second, third, isBridged, known] = [code.label(), code.label(), code.label(), code.label()];
    code.loadMemory(WORD);
    code.compute("and", 0xffff);
    code.store(KIND);
    code.jumpIf("equal", gre.PROTOCOL_ERSPAN_III, third);
    code.jumpIf("equal", gre.PROTOCOL_ERSPAN, undefined, known);
    code.loadMemory(WORD);
    code.jumpIf("anyBit", gre.FLAG_SEQUENCE, second, isBridged);
    code.place(third);
    this.erspanHeader(gre.VERSION_III, gre.ERSPAN_III_LEN);
    code.jump(isBridged);
    code.place(second);
    this.erspanHeader(gre.VERSION_II, gre.ERSPAN_II_LEN);
    code.place(isBridged);
    code.loadValue(ethernet.ETHERTYPE_BRIDGED);
    code.store(KIND);
    code.place(known);
  }

  private erspanHeader(version: number, length: number): void {
    const { code, inner } = this;
    const { base, otherwise } = inner;
    const [isKnown, isFrame, noSubheader] = [code.label(), code.label(), code.label()];
    this.beforeReading(base, length, inner);
    code.loadIndexed("half", base);
    code.compute("rsh", gre.VERSION_SHIFT);
    code.jumpIf("equal", version, isKnown, otherwise);
    code.place(isKnown);
    code.loadIndexed("half", base + gre.SESSION_OFFSET);
    code.compute("and", gre.SESSION_MASK);
    code.store(VNI);
    if (version === gre.VERSION_II) return this.skip(length);
    this.advance(length, "half", base + gre.KIND_OFFSET + 2);
    code.jumpIf("anyBit", gre.KIND_MASK, otherwise, isFrame);
    code.place(isFrame);
    code.jumpIf("anyBit", gre.FLAG_O, undefined, noSubheader);
    this.skip(gre.SUBHEADER_LEN);
    code.place(noSubheader);
  }

  /** Goes to either IP label by what a tunnel carries, the EtherType in A. */
  private payload(layer: Layer, v4: Label, v6: Label): void {
    const { code } = this;
    const [isFrame, known] = [code.label(), code.label()];
    code.jumpIf("equal", ethernet.ETHERTYPE_BRIDGED, isFrame, known);
    code.place(isFrame);
    this.beforeReading(layer.base, ethernet.HEADER_LEN, layer);
    this.advance(ethernet.HEADER_LEN, "half", layer.base + ethernet.TYPE_OFFSET);
    code.place(known);
    this.dispatch(layer, v4, v6);
  }

  private plainIp(layer: Layer, general: Label): void {
    const { code } = this;
    const isPlain = code.label();
    this.ipv4(layer, general);
    code.jumpIf("equal", IPV4_PLAIN, isPlain, general);
    code.place(isPlain);
  }

  /** An IPv4 header that is no fragment's, up to its first byte, which is left in A. */
  private ipv4(layer: Layer, fragment: Label): void {
    const { code } = this;
    const { base } = layer;
    const [isOurs, isWhole] = [code.label(), code.label()];
    this.beforeReading(base, ipv4.HEADER_LEN, layer);
    this.read("byte", base + ipv4.PROTOCOL_OFFSET);
    this.jumpIfCarried(layer, isOurs, layer.otherwise);
    code.place(isOurs);
    this.read("half", base + ipv4.FRAGMENT_OFFSET);
    code.jumpIf("anyBit", ipv4.MORE_FRAGMENTS | ipv4.FRAGMENT_OFFSET_MASK, fragment, isWhole);
    code.place(isWhole);
    this.atIp(layer, 4);
    this.read("byte", base);
  }

  /**
   * Goes to either IP label by the EtherType in A, or that behind the tags (and a shim) which it announces; else to
   * `layer.otherwise`. Calls `atMostTags` where as many tags as there may be are passed: A is the type behind them.
   */
  protected dispatch(layer: Layer, v4: Label, v6: Label, atMostTags?: () => void): void {
    const { code, depths } = this;
    const otherwise = layer.hasShims ? code.label() : layer.otherwise;
    for (let tags = 0; ; tags++) {
      code.jumpIf("equal", ethernet.ETHERTYPE_IPV4, v4);
      code.jumpIf("equal", ethernet.ETHERTYPE_IPV6, v6, tags === depths.vlanTags ? otherwise : undefined);
      if (tags === depths.vlanTags) break;
      const tag = code.label();
      code.jumpIf("equal", ethernet.ETHERTYPE_8021Q, tag);
      code.jumpIf("equal", ethernet.ETHERTYPE_8021AD, tag);
      code.jumpIf("equal", ethernet.ETHERTYPE_QINQ_9100, tag, otherwise);
      code.place(tag);
      this.beforeReading(layer.base, ethernet.TAG_LEN, layer);
      // A type lies before the IP header; but a cooked socket's data begins with what is behind its
      // link header, so that it must be read from the place before its tag is added to X.
      this.advance(ethernet.TAG_LEN, "half", layer.base + ethernet.TAG_LEN - ethernet.TYPE_LEN);
      if (tags === depths.vlanTags - 1) atMostTags?.();
    }
    if (!layer.hasShims) return;
    code.place(otherwise);
    this.shims(layer, v4, v6);
  }

  /** Goes to either IP label by what stands behind the shim that the type in A announces; else to `layer.otherwise`. */
  private shims(layer: Layer, v4: Label, v6: Label): void {
    const { code } = this;
    const { base, otherwise } = layer;
    const [pppoe, mpls, snap, isSnap, isKnownOui, isData] = Array.from({ length: 6 }, () => code.label()) as Label[];
    code.jumpIf("equal", shim.ETHERTYPE_PPPOE, pppoe);
    code.jumpIf("equal", shim.ETHERTYPE_MPLS, mpls);
    code.jumpIf("equal", shim.ETHERTYPE_MPLS_UPSTREAM, mpls);
    code.jumpIf("equal", 0, otherwise);
    code.jumpIf("atLeast", shim.ETHERTYPE_MIN, otherwise, snap);
    code.place(snap!);
    this.beforeReading(base, shim.SNAP_LEN, layer);
    code.loadIndexed("word", base);
    code.jumpIf("equal", shim.SNAP_WORD, isSnap, otherwise);
    code.place(isSnap!);
    code.loadIndexed("half", base + shim.SNAP_OUI_REST_OFFSET);
    code.jumpIf("equal", 0, isKnownOui, otherwise);
    code.place(isKnownOui!);
    this.advance(shim.SNAP_LEN, "half", base + shim.SNAP_TYPE_OFFSET);
    code.jumpIf("equal", ethernet.ETHERTYPE_IPV4, v4);
    code.jumpIf("equal", ethernet.ETHERTYPE_IPV6, v6, otherwise);
    code.place(pppoe!);
    this.beforeReading(base, shim.PPPOE_LEN, layer);
    code.loadIndexed("half", base);
    code.jumpIf("equal", shim.PPPOE_DATA, isData, otherwise);
    code.place(isData!);
    this.advance(shim.PPPOE_LEN, "half", base + shim.PPP_PROTOCOL_OFFSET);
    code.jumpIf("equal", shim.PPP_IPV4, v4);
    code.jumpIf("equal", shim.PPP_IPV6, v6, otherwise);
    code.place(mpls!);
    this.labels(layer, v4, v6);
  }

  private labels(layer: Layer, v4: Label, v6: Label): void {
    const { code, depths } = this;
    const { base, otherwise } = layer;
    const bottom = code.label();
    for (let labels = 1; labels <= depths.labels; labels++) {
      this.beforeReading(base, shim.LABEL_LEN, layer);
      this.advance(shim.LABEL_LEN, "byte", base + shim.LABEL_BOTTOM_OFFSET);
      code.jumpIf("anyBit", shim.LABEL_BOTTOM, bottom, labels === depths.labels ? otherwise : undefined);
    }
    code.place(bottom);
    this.beforeReading(base, 1, layer);
    code.loadIndexed("byte", base);
    code.compute("and", VERSION_MASK);
    code.jumpIf("equal", ipv4.VERSION << 4, v4);
    code.jumpIf("equal", ipv6.VERSION << 4, v6, otherwise);
  }

  /** Reads the IP header at either label; goes to `transport` with X moved to it. */
  private ip(layer: Layer, v4: Label, v6: Label, transport: Label): void {
    const { code } = this;
    const { base } = layer;
    const [fragmentV6, fragmentV4, hasOptions] = [code.label(), code.label(), code.label()];
    code.place(v6);
    this.beforeReading(base, ipv6.HEADER_LEN, layer);
    code.loadIndexed("byte", base);
    code.compute("and", VERSION_MASK);
    const isV6 = code.label();
    code.jumpIf("equal", ipv6.VERSION << 4, isV6, layer.otherwise);
    code.place(isV6);
    this.atIp(layer, 6);
    this.advance(ipv6.HEADER_LEN - ipv4.HEADER_LEN, "byte", base + ipv6.NEXT_HEADER_OFFSET);
    this.extensionHeaders(layer, fragmentV6, transport);
    code.place(fragmentV6);
    this.atFragment(layer, 6);

    code.place(v4);
    this.ipv4(layer, fragmentV4);
    code.jumpIf("equal", IPV4_PLAIN, transport, hasOptions);
    code.place(fragmentV4);
    this.atFragment(layer, 4);
    code.place(hasOptions);
    this.ipv4HeaderLen(layer);
    code.compute("sub", ipv4.HEADER_LEN);
    code.computeX("add");
    code.setX();
    // Here follows `transport`.
  }

  /** A = the header's length by its first byte in A, if version and length are valid. */
  protected ipv4HeaderLen(layer: Layer): void {
    const { code } = this;
    code.store(SCRATCH);
    code.compute("and", VERSION_MASK);
    const isV4 = code.label();
    code.jumpIf("equal", ipv4.VERSION << 4, isV4, layer.otherwise);
    code.place(isV4);
    code.loadMemory(SCRATCH);
    code.compute("and", IPV4_WORDS_MASK);
    const isWhole = code.label();
    code.jumpIf("atLeast", ipv4.HEADER_LEN / 4, isWhole, layer.otherwise);
    code.place(isWhole);
    code.compute("lsh", 2);
  }

  /** Goes by whether the protocol in A is one of the layer's; of several, M[CARRIED] tells which. */
  private jumpIfCarried({ protocols }: Layer, whenTrue: Label, whenFalse: Label | undefined): void {
    const { code } = this;
    if (protocols.length > 1) code.store(CARRIED);
    protocols.forEach((protocol, i) =>
      code.jumpIf("equal", protocol, whenTrue, i === protocols.length - 1 ? whenFalse : undefined),
    );
  }

  /** With the first header's kind in A, and X moved there. */
  private extensionHeaders(layer: Layer, fragment: Label, transport: Label): void {
    const { code, depths } = this;
    const base = layer.base + ipv4.HEADER_LEN;
    for (let headers = 0; ; headers++) {
      this.jumpIfCarried(layer, transport, headers === depths.extensionHeaders ? layer.otherwise : undefined);
      if (headers === depths.extensionHeaders) return;
      const [plain, authentication, atomic, known] = [code.label(), code.label(), code.label(), code.label()];
      code.store(KIND);
      this.beforeReading(base, ipv6.EXTENSION_UNIT_LEN, layer);
      // Its first word has all of it that counts: next header, length, and a fragment's offset.
      code.loadIndexed("word", base);
      code.store(WORD);
      code.loadMemory(KIND);
      code.jumpIf("equal", ipv6.FRAGMENT, atomic);
      code.jumpIf("equal", ipv6.AUTHENTICATION, authentication);
      ipv6.PLAIN_EXTENSIONS.forEach((kind, i) => {
        code.jumpIf("equal", kind, plain, i === ipv6.PLAIN_EXTENSIONS.length - 1 ? layer.otherwise : undefined);
      });
      code.place(plain);
      this.extensionUnits();
      code.compute("add", 1);
      code.compute("lsh", 3);
      code.jump(known);
      code.place(authentication);
      this.extensionUnits();
      code.compute("add", 2);
      code.compute("lsh", 2);
      code.jump(known);
      code.place(atomic);
      code.loadMemory(WORD);
      code.jumpIf("anyBit", ipv6.FRAGMENT_OFFSET_MASK | ipv6.MORE_FRAGMENTS, fragment);
      code.loadValue(ipv6.FRAGMENT_HEADER_LEN);
      code.place(known);
      code.computeX("add");
      code.setX();
      code.loadMemory(WORD);
      code.compute("rsh", 24);
    }
  }

  /** A = the length field of the extension header in M[WORD]. */
  private extensionUnits(): void {
    this.code.loadMemory(WORD);
    this.code.compute("rsh", 16);
    this.code.compute("and", 0xff);
  }

  /** X += length. */
  private skip(length: number): void {
    const { code } = this;
    code.getX();
    code.compute("add", length);
    code.setX();
  }

  /** X += length, and A = what is at `field` before that. */
  private advance(length: number, size: Size, field: number): void {
    const { code } = this;
    code.getX();
    code.compute("add", length);
    code.store(SCRATCH);
    code.loadIndexed(size, field);
    code.loadXMemory(SCRATCH);
  }
}
