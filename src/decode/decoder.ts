/**
 * Decodes a captured frame into a mirrored TCP segment, or returns the reason why it is none. Nothing here throws, does
 * I/O, reads a clock, or reads outside the record.
 */
import type { DecodeCounters } from "./counters.ts";
import { CaptureClock } from "./capture-clock.ts";
import { ChecksumTally, tcpChecksumHolds } from "./checksum.ts";
import { Cursor } from "./cursor.ts";
import { type Datagram, Layer } from "./datagram.ts";
import { Drop, SEGMENT } from "./drop-reason.ts";
import { decodeEthernet, ETHERTYPE_BRIDGED, ETHERTYPE_IPV4, ETHERTYPE_IPV6, skipVlanTags } from "./ethernet.ts";
import { FragmentTable } from "./fragments.ts";
import { decodeGeneve, UDP_PORT as GENEVE_PORT } from "./geneve.ts";
import { decodeGre } from "./gre.ts";
import { IP_CUT, IP_MALFORMED, IP_OK, IP_PROTOCOL_GRE, IP_PROTOCOL_TCP, IP_PROTOCOL_UDP, IpHeader } from "./ip.ts";
import { decodeIpv4 } from "./ipv4.ts";
import { decodeIpv6, skipExtensionHeaders } from "./ipv6.ts";
import { decodeLink, isSupportedLinkType } from "./link.ts";
import { IDENTITY_DESTINATION, IDENTITY_PORTS, IDENTITY_VNI, Segment } from "./segment.ts";
import { skipShim } from "./shim.ts";
import { Strangers } from "./strangers.ts";
import * as tcp from "./tcp.ts";
import { CARRIERS, Chosen, depthsOf, type Encapsulation, type Mirror } from "./tunnel.ts";
import { decodeUdp, HEADER_LEN as UDP_HEADER_LEN, LENGTH_OFFSET as UDP_LENGTH_OFFSET } from "./udp.ts";
import { decodeVxlan } from "./vxlan.ts";

/** The options of a decoder. */
export interface DecoderOptions extends Mirror {
  /** Takes servers' segments as well, instead of dropping them. */
  readonly takesServer?: boolean;
  /**
   * Tells the connections that this program has made: their segments are dropped. Unset: the capture cannot have any.
   */
  readonly own?: OwnTest | undefined;
}

/** Tells whether a segment belongs to a connection of this program, by its identity and whether it is a SYN. */
export interface OwnTest {
  has(identity: Int32Array, isSyn: boolean): boolean;
}

/**
 * In an identity, an IPv4 address takes the form ::ffff:a.b.c.d: the index of the word with ffff, that word, and the
 * number of words.
 */
const MAPPED_PREFIX_WORD = 2;
const MAPPED_PREFIX = 0xffff;
const ADDRESS_WORDS = 4;

/** How many segments are looked at to learn whether checksums hold. */
export const CHECKSUM_SAMPLES_MAX = 100;

/** Decodes frames, one at a time. {@link segment} holds the result until the next call. */
export class Decoder {
  /** The last segment that {@link decode} found. */
  readonly segment = new Segment();
  /** The VNIs and ports of frames that are not for us. */
  readonly strangers = new Strangers();
  private readonly fragments: FragmentTable;
  private readonly cursor: Cursor;
  private readonly ip = new IpHeader();
  private readonly encapsulation: Encapsulation;
  private readonly isVxlan: boolean;
  /** The IP protocol that carries the mirror. */
  private readonly carrier: number;
  private readonly vxlanPort: number;
  private readonly vnis: Chosen;
  private readonly ports: Chosen;
  private readonly takesServer: boolean;
  private readonly own: OwnTest | null;
  /** Of the first segments, and of those that were put together from fragments. */
  private readonly clientChecksums = [new ChecksumTally(), new ChecksumTally()] as const;
  private readonly serverChecksums = [new ChecksumTally(), new ChecksumTally()] as const;
  private samplesLeft = CHECKSUM_SAMPLES_MAX;

  constructor(
    options: DecoderOptions,
    private readonly counters: DecodeCounters,
    /** The time that all frames tell; the receiver of their segments goes by it too. */
    readonly clock = new CaptureClock(),
  ) {
    this.fragments = new FragmentTable(counters.fragments, clock);
    this.encapsulation = options.encapsulation ?? "vxlan";
    this.isVxlan = this.encapsulation === "vxlan";
    this.cursor = new Cursor(depthsOf(this.encapsulation));
    this.carrier = CARRIERS[this.encapsulation]?.protocol ?? -1;
    this.vxlanPort = options.vxlanPort;
    this.vnis = new Chosen(options.vnis);
    this.ports = new Chosen(options.ports);
    this.takesServer = options.takesServer === true;
    this.own = options.own ?? null;
  }

  /**
   * Decodes the frame of `length` bytes at `offset`; `bytes` and `view` are the same buffer. Counts
   * it, and returns {@link SEGMENT} or a {@link Drop} reason.
   */
  decode(
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    length: number,
    linkType: number,
    timestampMs: number,
  ): number {
    this.counters.frames.captured++;
    this.segment.timestampMs = timestampMs;
    this.clock.tell(timestampMs);
    const outcome = this.decodeOuter(bytes, view, offset, length, linkType);
    if (outcome === SEGMENT) {
      this.counters.frames.segments++;
      if (this.segment.missingLength > 0) this.counters.frames.truncated++;
      else if (this.samplesLeft > 0 && this.segment.bytes === bytes) this.sampleChecksum(view);
    } else {
      this.counters.frames.dropped[outcome]!++;
    }
    return outcome;
  }

  /** Gives up IP fragments that have waited too long. */
  advance(nowMs: number): void {
    this.clock.advance(nowMs);
    this.fragments.expire();
  }

  private decodeOuter(bytes: Uint8Array, view: DataView, offset: number, length: number, linkType: number): number {
    const cursor = this.cursor;
    if (!isSupportedLinkType(linkType)) return Drop.UNSUPPORTED_LINK_TYPE;
    cursor.offset = offset;
    cursor.end = offset + length;
    if (!decodeLink(view, cursor, linkType)) return Drop.MALFORMED_OUTER;
    if (this.carrier < 0) return this.decodePlain(bytes, view);
    const verdict = this.decodeIp(view);
    if (verdict === NOT_IP) return Drop.NOT_IP;
    if (verdict !== IP_OK) return Drop.MALFORMED_OUTER;
    if (!this.ip.isFragment) return this.decodeTunnel(bytes, view);

    // Each IPv4 fragment names the datagram's protocol: fragments of other protocols need no place in the table.
    if (this.ip.version === 4 && this.cursor.protocol !== this.carrier) return this.otherCarrier();
    const datagram = this.addFragment(Layer.OUTER, 0, bytes, view);
    if (datagram === undefined) return Drop.MALFORMED_OUTER;
    if (datagram === null) return Drop.FRAGMENT;
    const whole = new DataView(datagram.bytes.buffer);
    const outcome = this.decodeDatagram(datagram, whole);
    if (this.isOfOneDatagram(datagram, whole, outcome) || !datagram.isUncertain) return outcome;
    // The fragment at hand is the first of another datagram's that has come.
    this.fragments.takeBack();
    cursor.offset = offset;
    cursor.end = offset + length;
    decodeLink(view, cursor, linkType);
    this.decodeIp(view);
    this.addFragment(Layer.OUTER, 0, bytes, view);
    return Drop.FRAGMENT;
  }

  private decodeDatagram(datagram: Datagram, view: DataView): number {
    if (this.enterDatagram(datagram, view) !== IP_OK) return Drop.MALFORMED_OUTER;
    return this.decodeTunnel(datagram.bytes, view);
  }

  /**
   * Whether all fragments were of one datagram, as far as that shows: by UDP's length and the segment's checksum; where
   * checksums say nothing, by the fragments' order.
   */
  private isOfOneDatagram(datagram: Datagram, view: DataView, outcome: number): boolean {
    const { payloadOffset, presentLength, missingLength, protocol, bytes } = datagram;
    if (protocol === IP_PROTOCOL_UDP && presentLength >= UDP_HEADER_LEN) {
      const udpLength = view.getUint16(payloadOffset + UDP_LENGTH_OFFSET);
      if (udpLength !== 0 && udpLength !== presentLength + missingLength) return false;
    }
    const { segment } = this;
    if (outcome !== SEGMENT) return true;
    if (missingLength > 0 || segment.missingLength > 0 || segment.bytes !== bytes) return datagram.isInUsualOrder;
    const [first, joined] = segment.isFromServer ? this.serverChecksums : this.clientChecksums;
    if (this.checksumHolds(view, joined)) return true;
    // Where nothing was amiss, small packets' checksums do not show that large ones' hold.
    return datagram.isInUsualOrder && !joined.areUsuallyRight && !(datagram.isBehindLoss && first.areUsuallyRight);
  }

  /** Before fragments come, the first segments show whether checksums hold here. */
  private sampleChecksum(view: DataView): void {
    this.samplesLeft--;
    this.checksumHolds(view, (this.segment.isFromServer ? this.serverChecksums : this.clientChecksums)[0]);
  }

  /** Whether the checksum of the segment that was just decoded in `view` holds; notes it. */
  private checksumHolds(view: DataView, tally: ChecksumTally): boolean {
    const { cursor, ip } = this;
    const holds = tcpChecksumHolds(view, ip.sourceOffset, ip.version, cursor.offset, cursor.end);
    tally.note(holds);
    return holds;
  }

  /** Without a tunnel: the frame is as production had it. */
  private decodePlain(bytes: Uint8Array, view: DataView): number {
    const { cursor } = this;
    if (!skipShim(view, cursor)) return Drop.MALFORMED_OUTER;
    if (cursor.protocol !== ETHERTYPE_IPV4 && cursor.protocol !== ETHERTYPE_IPV6) return Drop.NOT_IP;
    this.segment.identity[IDENTITY_VNI] = 0;
    return this.decodeInner(bytes, view);
  }

  private otherCarrier(): number {
    return this.carrier === IP_PROTOCOL_UDP ? Drop.NOT_UDP : Drop.OTHER_IP_PROTOCOL;
  }

  private decodeTunnel(bytes: Uint8Array, view: DataView): number {
    if (this.isVxlan) return this.decodeVxlan(bytes, view);
    return this.encapsulation === "gre" ? this.decodeGre(bytes, view) : this.decodeGeneve(bytes, view);
  }

  /** Decodes from the UDP header on. */
  private decodeVxlan(bytes: Uint8Array, view: DataView): number {
    const cursor = this.cursor;
    if (cursor.protocol !== IP_PROTOCOL_UDP) return Drop.NOT_UDP;
    const udpPort = decodeUdp(view, cursor);
    if (udpPort < 0) return Drop.MALFORMED_OUTER;
    if (udpPort !== this.vxlanPort) return Drop.OTHER_UDP_PORT;
    const vni = decodeVxlan(view, cursor);
    if (vni < 0) return Drop.NOT_VXLAN;
    if (!this.enter(vni)) return Drop.OTHER_VNI;
    return decodeEthernet(view, cursor) ? this.decodeInner(bytes, view) : Drop.TRUNCATED;
  }

  private decodeGre(bytes: Uint8Array, view: DataView): number {
    if (this.cursor.protocol !== IP_PROTOCOL_GRE) return Drop.OTHER_IP_PROTOCOL;
    const key = decodeGre(view, this.cursor);
    if (key < 0) return Drop.NOT_GRE;
    if (!this.enter(key)) return Drop.OTHER_VNI;
    return this.decodePayload(view) ? this.decodeInner(bytes, view) : Drop.TRUNCATED;
  }

  /** The packet in GENEVE may carry VXLAN in turn: then VXLAN's VNI counts. */
  private decodeGeneve(bytes: Uint8Array, view: DataView): number {
    const carrier = this.cursor.protocol;
    if (carrier !== IP_PROTOCOL_UDP) return Drop.NOT_UDP;
    const port = decodeUdp(view, this.cursor);
    if (port < 0) return Drop.MALFORMED_OUTER;
    if (port !== GENEVE_PORT) return Drop.OTHER_UDP_PORT;
    const vni = decodeGeneve(view, this.cursor);
    if (vni < 0) return Drop.NOT_GENEVE;
    return this.decodePayload(view) ? this.decodeCarried(bytes, view, vni) : Drop.TRUNCATED;
  }

  /** Decodes a packet in GENEVE. */
  private decodeCarried(bytes: Uint8Array, view: DataView, vni: number): number {
    let verdict = this.decodeIp(view);
    if (verdict === NOT_IP) verdict = this.decodeShimmedIp(view);
    if (verdict !== IP_OK) return innerDrop(verdict);
    if (!this.ip.isFragment) return this.decodeMiddle(bytes, view, vni, this.ip.missingLength);

    const { protocol } = this.cursor;
    if (this.ip.version === 4 && protocol !== IP_PROTOCOL_TCP && protocol !== IP_PROTOCOL_UDP) return Drop.NOT_TCP;
    const datagram = this.addFragment(Layer.MIDDLE, vni, bytes, view);
    if (datagram === undefined) return Drop.MALFORMED_INNER;
    if (datagram === null) return Drop.FRAGMENT;
    const whole = new DataView(datagram.bytes.buffer);
    const entered = this.enterDatagram(datagram, whole);
    if (entered !== IP_OK) return innerDrop(entered);
    return this.decodeMiddle(datagram.bytes, whole, vni, datagram.missingLength);
  }

  private decodeMiddle(bytes: Uint8Array, view: DataView, vni: number, missingLength: number): number {
    if (this.cursor.protocol === IP_PROTOCOL_TCP)
      return this.enter(vni) ? this.decodeTcp(bytes, view, missingLength) : Drop.OTHER_VNI;
    const outcome = this.decodeVxlan(bytes, view);
    if (outcome === Drop.NOT_UDP || outcome === Drop.OTHER_UDP_PORT) return Drop.NOT_TCP;
    return outcome === Drop.MALFORMED_OUTER ? Drop.MALFORMED_INNER : outcome;
  }

  /** Whether frames of this VNI are ours; notes it. */
  private enter(vni: number): boolean {
    if (!this.vnis.has(vni)) {
      this.strangers.countVni(vni);
      return false;
    }
    this.segment.identity[IDENTITY_VNI] = vni;
    return true;
  }

  /**
   * Enters a tunnel's payload by its EtherType: a frame, or a packet as it may stand behind a frame's header. False:
   * cut short.
   */
  private decodePayload(view: DataView): boolean {
    const { cursor } = this;
    return cursor.protocol === ETHERTYPE_BRIDGED ? decodeEthernet(view, cursor) : skipVlanTags(view, cursor);
  }

  /** Decodes the mirrored packet, behind the frame's header and tags. */
  private decodeInner(bytes: Uint8Array, view: DataView): number {
    let verdict = this.decodeIp(view);
    if (verdict === NOT_IP) verdict = this.decodeShimmedIp(view);
    if (verdict !== IP_OK) return innerDrop(verdict);
    if (!this.ip.isFragment) return this.decodeTcp(bytes, view, this.ip.missingLength);

    if (this.ip.version === 4 && this.cursor.protocol !== IP_PROTOCOL_TCP) return Drop.NOT_TCP;
    const datagram = this.addFragment(Layer.INNER, this.segment.identity[IDENTITY_VNI]!, bytes, view);
    if (datagram === undefined) return Drop.MALFORMED_INNER;
    if (datagram === null) return Drop.FRAGMENT;
    const whole = new DataView(datagram.bytes.buffer);
    const entered = this.enterDatagram(datagram, whole);
    if (entered !== IP_OK) return innerDrop(entered);
    return this.decodeTcp(datagram.bytes, whole, datagram.missingLength);
  }

  private decodeTcp(bytes: Uint8Array, view: DataView, missingLength: number): number {
    const { offset, end, protocol } = this.cursor;
    if (protocol !== IP_PROTOCOL_TCP) return Drop.NOT_TCP;
    const available = end - offset;
    if (available + missingLength < tcp.HEADER_LEN) return Drop.MALFORMED_INNER;
    if (available < tcp.PORTS_LEN) return Drop.TRUNCATED;
    const port = view.getUint16(offset + tcp.DESTINATION_PORT_OFFSET);
    const isFromServer = !this.ports.has(port);
    if (isFromServer) {
      const sourcePort = view.getUint16(offset + tcp.SOURCE_PORT_OFFSET);
      if (!this.ports.has(sourcePort)) {
        this.strangers.countPort(Math.min(port, sourcePort));
        return Drop.OTHER_PORT;
      }
      if (!this.takesServer) return Drop.FROM_SERVER;
    }
    if (available < tcp.HEADER_LEN) return Drop.TRUNCATED;
    const headerLength = tcp.tcpHeaderLength(view, offset);
    if (headerLength < tcp.HEADER_LEN) return Drop.MALFORMED_INNER;
    if (headerLength > available)
      return headerLength <= available + missingLength ? Drop.TRUNCATED : Drop.MALFORMED_INNER;

    const segment = this.segment;
    segment.bytes = bytes;
    segment.payloadOffset = offset + headerLength;
    segment.payloadLength = available - headerLength;
    segment.missingLength = missingLength;
    segment.sequence = view.getInt32(offset + tcp.SEQUENCE_OFFSET);
    segment.acknowledgment = view.getInt32(offset + tcp.ACKNOWLEDGMENT_OFFSET);
    segment.flags = view.getUint8(offset + tcp.FLAGS_OFFSET);
    segment.isFromServer = isFromServer;
    const ports = view.getInt32(offset + tcp.PORTS_OFFSET);
    this.readAddress(view, this.ip.sourceOffset, isFromServer ? IDENTITY_DESTINATION : 0);
    this.readAddress(view, this.ip.destinationOffset, isFromServer ? 0 : IDENTITY_DESTINATION);
    segment.identity[IDENTITY_PORTS] = isFromServer ? (ports << 16) | (ports >>> 16) : ports;
    if (this.own !== null && this.own.has(segment.identity, (segment.flags & tcp.TcpFlag.SYN) !== 0))
      return Drop.OWN_CONNECTION;
    return SEGMENT;
  }

  private readAddress(view: DataView, offset: number, word: number): void {
    const identity = this.segment.identity;
    if (this.ip.version === 4) {
      identity[word] = 0;
      identity[word + 1] = 0;
      identity[word + MAPPED_PREFIX_WORD] = MAPPED_PREFIX;
      identity[word + ADDRESS_WORDS - 1] = view.getInt32(offset);
      return;
    }
    for (let i = 0; i < ADDRESS_WORDS; i++) identity[word + i] = view.getInt32(offset + i * 4);
  }

  private decodeIp(view: DataView): number {
    switch (this.cursor.protocol) {
      case ETHERTYPE_IPV4:
        return decodeIpv4(view, this.cursor, this.ip);
      case ETHERTYPE_IPV6:
        return decodeIpv6(view, this.cursor, this.ip);
      default:
        return NOT_IP;
    }
  }

  /** Reads an IP header, which may stand behind one of the shims of shim.ts. */
  private decodeShimmedIp(view: DataView): number {
    return skipShim(view, this.cursor) ? this.decodeIp(view) : IP_CUT;
  }

  private addFragment(layer: Layer, vni: number, bytes: Uint8Array, view: DataView): Datagram | null | undefined {
    const { offset, end, protocol } = this.cursor;
    return this.fragments.add(layer, vni, bytes, view, this.ip, protocol, offset, end - offset);
  }

  /** Moves the cursor to the transport header in a completed datagram. Returns a verdict of ip.ts. */
  private enterDatagram(datagram: Datagram, view: DataView): number {
    this.cursor.offset = datagram.payloadOffset;
    this.cursor.end = datagram.payloadOffset + datagram.presentLength;
    this.cursor.protocol = datagram.protocol;
    this.ip.version = datagram.version;
    this.ip.sourceOffset = 0;
    this.ip.destinationOffset = datagram.payloadOffset / 2;
    this.ip.missingLength = datagram.missingLength;
    this.ip.isFragment = false;
    if (datagram.version === 4) return IP_OK;
    const verdict = skipExtensionHeaders(view, this.cursor, this.ip);
    return verdict === IP_OK && this.ip.isFragment ? IP_MALFORMED : verdict;
  }
}

/** One more verdict than those in ip.ts: neither IPv4 nor IPv6. */
const NOT_IP = -1;

/** The drop reason of a mirrored packet with this verdict, which is not IP_OK. */
function innerDrop(verdict: number): number {
  return verdict === NOT_IP ? Drop.INNER_NOT_IP : verdict === IP_CUT ? Drop.TRUNCATED : Drop.MALFORMED_INNER;
}
