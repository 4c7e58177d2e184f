/**
 * The steps of src/decode through one IP layer, as a program for the kernel: tags and shims before it, its header, with
 * options or extension headers, up to its payload. frame-program.ts decides which layers there are.
 */
import type { Depths } from "../decode/cursor.ts";
import * as ethernet from "../decode/ethernet.ts";
import * as ipv4 from "../decode/ipv4.ts";
import * as ipv6 from "../decode/ipv6.ts";
import * as shim from "../decode/shim.ts";
import { Assembler, type Label, type Size } from "./bpf.ts";

/** IPv4's first byte without options: version 4, 5 words. */
export const IPV4_PLAIN = (ipv4.VERSION << 4) | (ipv4.HEADER_LEN / 4);
export const VERSION_MASK = 0xf0;
const IPV4_WORDS_MASK = 0x0f;

export type Version = 4 | 6;

/** One of the IP layers: there are two, three (GENEVE), or one. */
export interface Layer {
  readonly isOuter: boolean;
  /** The base of its IP header. */
  readonly base: number;
  /** The protocols of which it must carry one. */
  readonly protocols: readonly number[];
  /** Words of M[] with the ends of the layers around it. */
  readonly within: readonly number[];
  /** The word of M[] with its own end. */
  readonly endWord: number;
  /** Whether a shim (decode/shim.ts) may stand before it. */
  readonly hasShims: boolean;
  /** The label to go to if the program does not find it. */
  readonly otherwise: Label;
}

/** Words of M[] that are used here; a program may use them between IP layers. */
export const IpWord = { CARRIED: 11, SCRATCH: 13, KIND: 14, WORD: 15 } as const;
const { CARRIED, SCRATCH, KIND, WORD } = IpWord;

export abstract class IpProgram {
  protected readonly code = new Assembler();
  /** Whether the plain way is written (frame-program.ts). */
  protected isPlain = false;

  protected constructor(private readonly depths: Depths) {}

  /** At an IP header: A may be used, X must not change. */
  protected abstract atIp(layer: Layer, version: Version): void;
  /** At an IP fragment's header (IPv4), or fragment header (IPv6). Ends the program. */
  protected abstract atFragment(layer: Layer, version: Version): void;
  /** Before `length` bytes at `base` are read. */
  protected abstract beforeReading(base: number, length: number, layer: Layer): void;

  /** A = the packet's bytes at a place in a header. */
  protected read(size: Size, place: number): void {
    if (this.isPlain) this.code.load(size, place);
    else this.code.loadIndexed(size, place);
  }

  protected plainIp(layer: Layer, general: Label): void {
    const { code } = this;
    const isPlain = code.label();
    this.ipv4(layer, general);
    code.jumpIf("equal", IPV4_PLAIN, isPlain, general);
    code.place(isPlain);
  }

  /** Passes the checks of an IPv4 header that is no fragment's; leaves its first byte in A. */
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
   * Goes to one of the IP labels by the EtherType in A, or by the one behind the tags (and a shim) that it announces;
   * else to `layer.otherwise`. Calls `atMostTags` at the place where the most allowed tags are passed: A is the type
   * behind them.
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
      // A type lies before the IP header, but a cooked socket's data begins behind its link header. So the type must be
      // read before its tag is added to X.
      this.advance(ethernet.TAG_LEN, "half", layer.base + ethernet.TAG_LEN - ethernet.TYPE_LEN);
      if (tags === depths.vlanTags - 1) atMostTags?.();
    }
    if (!layer.hasShims) return;
    code.place(otherwise);
    this.shims(layer, v4, v6);
  }

  /**
   * Goes to one of the IP labels by the type behind the shim that the type in A announces; else to `layer.otherwise`.
   */
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
  protected ip(layer: Layer, v4: Label, v6: Label, transport: Label): void {
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
    // The code of `transport` follows here.
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

  /**
   * Goes on by whether the protocol in A is one of the layer's; if it has several, stores the protocol in M[CARRIED].
   */
  private jumpIfCarried({ protocols }: Layer, whenTrue: Label, whenFalse: Label | undefined): void {
    const { code } = this;
    if (protocols.length > 1) code.store(CARRIED);
    protocols.forEach((protocol, i) =>
      code.jumpIf("equal", protocol, whenTrue, i === protocols.length - 1 ? whenFalse : undefined),
    );
  }

  /** Passes the extension headers: the first one's kind is in A, and X is moved to it. */
  private extensionHeaders(layer: Layer, fragment: Label, transport: Label): void {
    const { code, depths } = this;
    const base = layer.base + ipv4.HEADER_LEN;
    for (let headers = 0; ; headers++) {
      this.jumpIfCarried(layer, transport, headers === depths.extensionHeaders ? layer.otherwise : undefined);
      if (headers === depths.extensionHeaders) return;
      const [plain, authentication, atomic, known] = [code.label(), code.label(), code.label(), code.label()];
      code.store(KIND);
      this.beforeReading(base, ipv6.EXTENSION_UNIT_LEN, layer);
      // The header's first word has all that matters: next header, length, and a fragment's offset.
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
  protected skip(length: number): void {
    const { code } = this;
    code.getX();
    code.compute("add", length);
    code.setX();
  }

  /** A = the field at `field`, then X += length. */
  protected advance(length: number, size: Size, field: number): void {
    const { code } = this;
    code.getX();
    code.compute("add", length);
    code.store(SCRATCH);
    code.loadIndexed(size, field);
    code.loadXMemory(SCRATCH);
  }
}
