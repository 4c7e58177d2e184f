/**
 * From a captured frame to a mirrored TCP segment, or to the reason why not. Nothing here throws,
 * does I/O or reads a clock, and nothing is read outside the record.
 */
import type { DecodeCounters } from "./counters.ts";
import { CaptureClock } from "./capture-clock.ts";
import { Cursor } from "./cursor.ts";
import { type Datagram, Layer } from "./datagram.ts";
import { Drop, SEGMENT } from "./drop-reason.ts";
import { decodeEthernet, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "./ethernet.ts";
import { FragmentTable } from "./fragments.ts";
import { IP_CUT, IP_MALFORMED, IP_OK, IP_PROTOCOL_TCP, IP_PROTOCOL_UDP, IpHeader } from "./ip.ts";
import { decodeIpv4 } from "./ipv4.ts";
import { decodeIpv6, skipExtensionHeaders } from "./ipv6.ts";
import { decodeLink, isSupportedLinkType } from "./link.ts";
import { IDENTITY_DESTINATION, IDENTITY_PORTS, IDENTITY_VNI, Segment } from "./segment.ts";
import { Strangers } from "./strangers.ts";
import * as tcp from "./tcp.ts";
import { decodeUdp } from "./udp.ts";
import { decodeVxlan } from "./vxlan.ts";

/** What counts as ours. */
export interface DecoderOptions {
  vxlanPort: number;
  vni: number;
  /** The mirrored connections' destination port. */
  port: number;
  /** Takes what servers say as well, instead of dropping it. */
  takesServer?: boolean;
}

/** Where an IPv4 address's only word lies in an identity, and what stands before it. */
const MAPPED_PREFIX_WORD = 2;
const MAPPED_PREFIX = 0xffff;
const ADDRESS_WORDS = 4;

export class Decoder {
  /** The last segment that {@link decode} found. */
  readonly segment = new Segment();
  /** Whom the frames were for that were of another VNI or port. */
  readonly strangers = new Strangers();
  private readonly fragments: FragmentTable;
  private readonly cursor = new Cursor();
  private readonly ip = new IpHeader();

  constructor(
    private readonly options: DecoderOptions,
    private readonly counters: DecodeCounters,
    /** What all frames tell of the time; whoever takes their segments goes by it too. */
    readonly clock = new CaptureClock(),
  ) {
    this.fragments = new FragmentTable(counters.fragments, clock);
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
    const verdict = this.decodeIp(view);
    if (verdict === NOT_IP) return Drop.NOT_IP;
    if (verdict !== IP_OK) return Drop.MALFORMED_OUTER;
    if (!this.ip.isFragment) return this.decodeTunnel(bytes, view);

    // IPv4 says in each fragment what the datagram carries: others' need no place in the table.
    if (this.ip.version === 4 && this.cursor.protocol !== IP_PROTOCOL_UDP) return Drop.NOT_UDP;
    const datagram = this.addFragment(Layer.OUTER, bytes, view);
    if (datagram === undefined) return Drop.MALFORMED_OUTER;
    if (datagram === null) return Drop.FRAGMENT;
    const whole = new DataView(datagram.bytes.buffer);
    return this.enterDatagram(datagram, whole) === IP_OK
      ? this.decodeTunnel(datagram.bytes, whole)
      : Drop.MALFORMED_OUTER;
  }

  private decodeTunnel(bytes: Uint8Array, view: DataView): number {
    const cursor = this.cursor;
    if (cursor.protocol !== IP_PROTOCOL_UDP) return Drop.NOT_UDP;
    const udpPort = decodeUdp(view, cursor);
    if (udpPort < 0) return Drop.MALFORMED_OUTER;
    if (udpPort !== this.options.vxlanPort) return Drop.OTHER_UDP_PORT;
    const vni = decodeVxlan(view, cursor);
    if (vni < 0) return Drop.NOT_VXLAN;
    if (vni !== this.options.vni) {
      this.strangers.countVni(vni);
      return Drop.OTHER_VNI;
    }
    this.segment.identity[IDENTITY_VNI] = vni;
    return this.decodeInner(bytes, view);
  }

  private decodeInner(bytes: Uint8Array, view: DataView): number {
    if (!decodeEthernet(view, this.cursor)) return Drop.TRUNCATED;
    const verdict = this.decodeIp(view);
    if (verdict === NOT_IP) return Drop.INNER_NOT_IP;
    if (verdict === IP_CUT) return Drop.TRUNCATED;
    if (verdict === IP_MALFORMED) return Drop.MALFORMED_INNER;
    if (!this.ip.isFragment) return this.decodeTcp(bytes, view, this.ip.missingLength);

    if (this.ip.version === 4 && this.cursor.protocol !== IP_PROTOCOL_TCP) return Drop.NOT_TCP;
    const datagram = this.addFragment(Layer.INNER, bytes, view);
    if (datagram === undefined) return Drop.MALFORMED_INNER;
    if (datagram === null) return Drop.FRAGMENT;
    const whole = new DataView(datagram.bytes.buffer);
    const entered = this.enterDatagram(datagram, whole);
    if (entered !== IP_OK) return entered === IP_CUT ? Drop.TRUNCATED : Drop.MALFORMED_INNER;
    return this.decodeTcp(datagram.bytes, whole, datagram.missingLength);
  }

  private decodeTcp(bytes: Uint8Array, view: DataView, missingLength: number): number {
    const { offset, end, protocol } = this.cursor;
    if (protocol !== IP_PROTOCOL_TCP) return Drop.NOT_TCP;
    const available = end - offset;
    if (available + missingLength < tcp.HEADER_LEN) return Drop.MALFORMED_INNER;
    if (available < tcp.PORTS_LEN) return Drop.TRUNCATED;
    const port = view.getUint16(offset + tcp.DESTINATION_PORT_OFFSET);
    const isFromServer = port !== this.options.port;
    if (isFromServer) {
      const sourcePort = view.getUint16(offset + tcp.SOURCE_PORT_OFFSET);
      if (sourcePort !== this.options.port) {
        this.strangers.countPort(Math.min(port, sourcePort));
        return Drop.OTHER_PORT;
      }
      if (this.options.takesServer !== true) return Drop.FROM_SERVER;
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

  private addFragment(layer: Layer, bytes: Uint8Array, view: DataView): Datagram | null | undefined {
    const { offset, end, protocol } = this.cursor;
    return this.fragments.add(layer, bytes, view, this.ip, protocol, offset, end - offset);
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

/** Beside the verdicts in ip.ts: neither IPv4 nor IPv6. */
const NOT_IP = -1;
