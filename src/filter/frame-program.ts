/**
 * The way through a frame that src/decode takes, as a program for the kernel: link layer, tags, outer
 * IP, UDP, VXLAN, inner Ethernet, tags, inner IP, TCP. What a program does on that way is its own
 * (mirror-filter.ts, fanout-program.ts).
 *
 * Lengths are checked once, at the end: offsets only grow along the way and an enclosing length only
 * takes away, so that a frame whose last header lies within every length has all of them within.
 *
 * Each header has a base, its place in a plain frame: no tags, IPv4 without options. Nearly all are
 * plain, and a load from a constant place costs the kernel much less than one from a place in X. So
 * there are two ways: one for plain frames, and one for all, which begins anew where a frame turns
 * out not to be plain. On that, X is by how much the headers so far are longer than a plain frame's;
 * on the plain way it stays 0.
 */
import * as ethernet from "../decode/ethernet.ts";
import { IP_PROTOCOL_TCP, IP_PROTOCOL_UDP } from "../decode/ip.ts";
import * as ipv4 from "../decode/ipv4.ts";
import * as ipv6 from "../decode/ipv6.ts";
import * as udp from "../decode/udp.ts";
import * as vxlan from "../decode/vxlan.ts";
import { Assembler, type Label, type Size } from "./bpf.ts";

/** IPv4's first byte without options: version 4, 5 words. */
export const IPV4_PLAIN = (ipv4.VERSION << 4) | (ipv4.HEADER_LEN / 4);
export const VERSION_MASK = 0xf0;
const IPV4_WORDS_MASK = 0x0f;

export type Version = 4 | 6;

/** One of the two IP layers. */
export interface Layer {
  readonly name: "outer" | "inner";
  /** Of its IP header. */
  readonly base: number;
  /** What it must carry. */
  readonly protocol: number;
  /** Where the program goes that finds something else. */
  readonly otherwise: Label;
}

/** Words of M[] that are used here, apart from those of the programs. */
const SCRATCH = 13;
const KIND = 14;
const WORD = 15;

export abstract class FrameProgram {
  protected readonly code = new Assembler();
  protected readonly outer: Layer;
  protected readonly inner: Layer;
  protected readonly udpBase: number;
  protected readonly tcpBase: number;
  /** Whether the plain way is written. */
  protected isPlain = false;

  /** `linkLen`: what stands before the IP header, or its first tag's TCI, in the socket's data. */
  protected constructor(
    protected readonly linkLen: number,
    protected readonly vxlanPort: number,
  ) {
    const { code } = this;
    this.udpBase = linkLen + ipv4.HEADER_LEN;
    const innerBase = this.udpBase + udp.HEADER_LEN + vxlan.HEADER_LEN + ethernet.HEADER_LEN;
    this.tcpBase = innerBase + ipv4.HEADER_LEN;
    this.outer = { name: "outer", base: linkLen, protocol: IP_PROTOCOL_UDP, otherwise: code.label() };
    this.inner = { name: "inner", base: innerBase, protocol: IP_PROTOCOL_TCP, otherwise: code.label() };
  }

  /** Goes on if the link layer says IPv4, or to `general`. */
  protected abstract plainLink(general: Label): void;
  /** Goes to either IP label by what the link layer says, or to `outer.otherwise`. */
  protected abstract link(outerV4: Label, outerV6: Label): void;
  /** At an IP header: A may be used, X must stay. */
  protected abstract atIp(layer: Layer, version: Version): void;
  /** At a UDP header to the mirror's port, X likewise. */
  protected abstract atTunnel(): void;
  /** At an IP fragment's header (IPv4), or fragment header (IPv6). Ends the program. */
  protected abstract atFragment(layer: Layer, version: Version): void;
  /** At a TCP header. Ends the program. */
  protected abstract atTcp(): void;
  /** Before `length` bytes at `base` are read. */
  protected abstract beforeReading(base: number, length: number, layer: Layer): void;
  /** Ends the program at both `otherwise` labels. */
  protected abstract atOtherwise(): void;

  protected assemble(): Uint8Array<ArrayBuffer> {
    this.isPlain = true;
    const general = this.code.label();
    this.plainWay(general);
    this.isPlain = false;
    this.code.place(general);
    this.generalWay();
    this.atOtherwise();
    return this.code.encode();
  }

  private plainWay(general: Label): void {
    const { code, outer, inner } = this;
    this.plainLink(general);
    this.plainIp(outer, general);
    this.tunnel();
    const isV4 = code.label();
    code.jumpIf("equal", ethernet.ETHERTYPE_IPV4, isV4, general);
    code.place(isV4);
    this.plainIp(inner, general);
    this.atTcp();
  }

  private generalWay(): void {
    const { code, outer, inner } = this;
    const [outerV4, outerV6, tunnel] = [code.label(), code.label(), code.label()];
    this.link(outerV4, outerV6);
    this.ip(outer, outerV4, outerV6, tunnel);
    code.place(tunnel);
    this.tunnel();
    const [innerV4, innerV6, transport] = [code.label(), code.label(), code.label()];
    this.dispatch(inner, innerV4, innerV6);
    this.ip(inner, innerV4, innerV6, transport);
    code.place(transport);
    this.atTcp();
  }

  /** A = the packet's bytes at a place in a header. */
  protected read(size: Size, place: number): void {
    if (this.isPlain) this.code.load(size, place);
    else this.code.loadIndexed(size, place);
  }

  /** From the UDP header to the inner EtherType, which is left in A. */
  private tunnel(): void {
    const { code, outer, inner, udpBase } = this;
    this.read("half", udpBase + udp.DESTINATION_PORT_OFFSET);
    const isMirror = code.label();
    code.jumpIf("equal", this.vxlanPort, isMirror, outer.otherwise);
    code.place(isMirror);
    this.atTunnel();
    this.read("half", inner.base - ethernet.TYPE_LEN);
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
    code.jumpIf("equal", layer.protocol, isOurs, layer.otherwise);
    code.place(isOurs);
    this.read("half", base + ipv4.FRAGMENT_OFFSET);
    code.jumpIf("anyBit", ipv4.MORE_FRAGMENTS | ipv4.FRAGMENT_OFFSET_MASK, fragment, isWhole);
    code.place(isWhole);
    this.atIp(layer, 4);
    this.read("byte", base);
  }

  /**
   * Goes to either IP label by the EtherType in A, or that behind the tags which it announces; else to
   * `layer.otherwise`. Calls `atMostTags` where VLAN_TAGS_MAX tags are passed: A is the type behind them.
   */
  protected dispatch(layer: Layer, v4: Label, v6: Label, atMostTags?: () => void): void {
    const { code } = this;
    const { otherwise } = layer;
    for (let tags = 0; ; tags++) {
      code.jumpIf("equal", ethernet.ETHERTYPE_IPV4, v4);
      code.jumpIf("equal", ethernet.ETHERTYPE_IPV6, v6, tags === ethernet.VLAN_TAGS_MAX ? otherwise : undefined);
      if (tags === ethernet.VLAN_TAGS_MAX) return;
      const tag = code.label();
      code.jumpIf("equal", ethernet.ETHERTYPE_8021Q, tag);
      code.jumpIf("equal", ethernet.ETHERTYPE_8021AD, tag);
      code.jumpIf("equal", ethernet.ETHERTYPE_QINQ_9100, tag, otherwise);
      code.place(tag);
      this.beforeReading(layer.base, ethernet.TAG_LEN, layer);
      // A type lies before the IP header; but a cooked socket's data begins with what is behind its
      // link header, so that it must be read from the place before its tag is added to X.
      this.advance(ethernet.TAG_LEN, "half", layer.base + ethernet.TAG_LEN - ethernet.TYPE_LEN);
      if (tags === ethernet.VLAN_TAGS_MAX - 1) atMostTags?.();
    }
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

  /** With the first header's kind in A, and X moved there. */
  private extensionHeaders(layer: Layer, fragment: Label, transport: Label): void {
    const { code } = this;
    const base = layer.base + ipv4.HEADER_LEN;
    for (let headers = 0; ; headers++) {
      code.jumpIf(
        "equal",
        layer.protocol,
        transport,
        headers === ipv6.EXTENSION_HEADERS_MAX ? layer.otherwise : undefined,
      );
      if (headers === ipv6.EXTENSION_HEADERS_MAX) return;
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
