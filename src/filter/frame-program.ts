/**
 * The steps of src/decode through a frame, as a program for the kernel: link layer, tags, outer IP, the mirror's
 * carrier (decode/tunnel.ts), inner Ethernet, tags, shims, inner IP, TCP. An IP layer is passed by ip-program.ts. A
 * program adds its own work on the way (mirror-filter.ts, fanout-program.ts).
 *
 * Lengths are checked once, at the end: offsets only grow along the way, and an enclosing length only takes away. So if
 * the last header of a frame lies within every length, all headers do.
 *
 * Each header has a base, its place in a plain frame: no tags, IPv4 without options. Nearly all frames are plain, and a
 * load from a constant place costs the kernel much less than one from a place in X. So there are two ways: one for
 * plain frames, and a general one for all, which begins anew if a frame turns out not to be plain. On the general way,
 * X is how much longer the headers so far are than a plain frame's; on the plain way X stays 0. If the tunnel's own
 * headers vary (GENEVE, GRE), there is only the general way.
 */
import * as ethernet from "../decode/ethernet.ts";
import * as geneve from "../decode/geneve.ts";
import * as gre from "../decode/gre.ts";
import { IP_PROTOCOL_TCP, IP_PROTOCOL_UDP } from "../decode/ip.ts";
import * as ipv4 from "../decode/ipv4.ts";
import { CARRIERS, depthsOf, type Encapsulation, type Mirror, tunnelPort } from "../decode/tunnel.ts";
import * as udp from "../decode/udp.ts";
import * as vxlan from "../decode/vxlan.ts";
import type { Label } from "./bpf.ts";
import { IpProgram, IpWord, type Layer } from "./ip-program.ts";

/** Words of M[] that are used here, apart from those of ip-program.ts and of the programs. */
const VNI = 12;
const { CARRIED, KIND, WORD } = IpWord;
/** Words with the ends of a layer, and of a UDP datagram in it. */
const OUTER_END = 0;
const UDP_END = 1;
const INNER_END = 2;
const MIDDLE_END = 8;
const MIDDLE_UDP_END = 9;

/** From a UDP header to the IP header of a plain frame in VXLAN. */
const VXLAN_LEN = udp.HEADER_LEN + vxlan.HEADER_LEN + ethernet.HEADER_LEN;

export abstract class FrameProgram extends IpProgram {
  protected readonly outer: Layer;
  /** The layer in GENEVE: it carries TCP, or VXLAN. */
  protected readonly middle: Layer;
  protected readonly inner: Layer;
  /** The layer that the link layer's header announces. */
  protected readonly first: Layer;
  private readonly encapsulation: Encapsulation;
  private readonly udpPort: number | undefined;

  /** `linkLen`: the length before the IP header, or its first tag's TCI, in the socket's data. */
  protected constructor(
    protected readonly linkLen: number,
    private readonly mirror: Pick<Mirror, "encapsulation" | "vxlanPort">,
  ) {
    const encapsulation = mirror.encapsulation ?? "vxlan";
    super(depthsOf(encapsulation));
    const { code } = this;
    this.encapsulation = encapsulation;
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

  /** Goes on if the link layer announces IPv4; else goes to `general`. */
  protected abstract plainLink(general: Label): void;
  /** Goes to one of the IP labels by the link layer's type, or to the first layer's `otherwise`. */
  protected abstract link(v4: Label, v6: Label): void;
  /** At a UDP header to a tunnel's port, with X in step; `endWord`: the word of M[] for the datagram's end. */
  protected abstract atUdp(layer: Layer, endWord: number): void;
  /** At GRE's header in the outer layer, with X in step. */
  protected abstract atGre(): void;
  /** At a VXLAN header, with X in step. */
  protected abstract atVxlan(base: number): void;
  /** With a frame's VNI in A, and X in step. */
  protected abstract atVni(): void;
  /** At a TCP header in the middle layer, with X as if the header were in the inner layer: X must not change. */
  protected abstract atMiddleTcp(): void;
  /** At a TCP header in the inner layer. Ends the program. */
  protected abstract atTcp(): void;
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

  /** Goes from the UDP header in `layer` to the EtherType behind VXLAN, and leaves it in A. */
  private vxlan(layer: Layer): void {
    this.atVxlan(layer.base + ipv4.HEADER_LEN + udp.HEADER_LEN);
    this.read("half", this.inner.base - ethernet.TYPE_LEN);
  }

  /** Goes from GENEVE's header to a UDP header that may be VXLAN's, or to `tcpTransport`, a TCP header. */
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
    // The header in the middle layer is treated as one in the inner layer: X may be less than 0 there, modulo 2^32.
    this.skip(middle.base - inner.base);
    this.atMiddleTcp();
    code.jump(tcpTransport);
    code.place(isUdp);
    this.udpTo(middle, this.mirror.vxlanPort, MIDDLE_UDP_END);
  }

  /** Goes from GRE's header to one of the IP labels. */
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

  /** Goes on if GRE's first word, in M[WORD], has this flag; else goes to `absent`. */
  private greField(flag: number, absent: Label): void {
    const { code } = this;
    const present = code.label();
    code.loadMemory(WORD);
    code.jumpIf("anyBit", flag, present, absent);
    code.place(present);
  }

  /**
   * Behind GRE's header: M[KIND] = the EtherType of the payload (with ERSPAN, of that behind its header); M[VNI] = the
   * session.
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

  /** Goes to one of the IP labels by the tunnel's payload, with its EtherType in A. */
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
}
