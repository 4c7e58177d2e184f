/**
 * A client's TCP connections as the mirror saw them, segment by segment. Random layers are added where they must not
 * matter: tags, options, trailers, lengths left to the hardware, fragments, ECN, the server's packets in between. The
 * mirror may truncate packets.
 */
import {
  bytes,
  ethernet,
  ip,
  type IpOptions,
  mirrored,
  type Outer,
  TCP,
  tcp,
  u32,
  UDP,
  vxlanPacket,
} from "../support/frames.ts";
import type { Random } from "../support/random.ts";
import { tcpOptions } from "./tcp-options.ts";

export const VNI = 4242;
export const PORT = 8080;
const SERVER_V4 = "10.9.9.9";
const SERVER_V6 = "fd00::9";
const MIRRORS = [{}, {}, { source: "fd00:1::1", destination: "fd00:1::2" }];
const OUTER_V4 = { source: "172.31.0.238", destination: "172.31.17.188" };
/** Without padding; the shortest Ethernet frame without its check sequence. */
const FRAME_BYTES_MIN = 60;
const CHECK_SEQUENCE_LEN = 4;
const IDENTIFICATIONS_PER_CLIENT = 1000;
const TCP_HEADER_LEN = 20;
const URGENT_POINTER_OFFSET = 18;
const DATA_OFFSET_OFFSET = 12;

/** One packet of production. */
export interface Packet {
  /** Its frames; none of it arrives if one of them is lost. */
  frames: Uint8Array[];
  /**
   * The client's bytes in it, and the end that its headers claim; null: it is the server's, forged, or its headers are
   * cut.
   */
  bytes: { from: number; payload: Uint8Array; claimedTo: number } | null;
  isSyn: boolean;
  isFin: boolean;
}

export interface Extra {
  payload?: Uint8Array;
  /** The payload differs from the client's bytes at this place. */
  isForged?: boolean;
  /** The header claims this impossible length. */
  headerBytes?: number;
}

/** The layers of a connection's packets. */
interface Dress {
  vlans: number[];
  isV6: boolean;
  outer: Outer;
  innerFragments: number;
  outerFragments: number;
  /** The bytes behind the packet in its frame. */
  trailer: "none" | "padding" | "check sequence" | "anything";
  /**
   * The number of packets that leave their length to the hardware, which cuts them into segments, and have a length of
   * 0.
   */
  unsaidLengths: number;
}

/** A packet as it was sent, and the mirror's part of its TCP segment. */
interface Carried {
  frames: Uint8Array[];
  /** Bytes of the segment with its header; without gaps, from its start on. */
  presentBytes: number;
}

export class Client {
  readonly packets: Packet[] = [];
  private isn: number;
  private serverNext: number;
  /** The outer fragments of all clients have the same addresses: each client has its own identifications. */
  private identification: number;
  private readonly identificationsEnd: number;
  private readonly dress: Dress;
  private readonly address: string;
  private readonly port: number;

  /** `cut`: the probability that the mirror truncates a packet. */
  constructor(
    private readonly random: Random,
    index: number,
    private readonly cut: number,
  ) {
    const sometimes = () => (random.chance(0.3) ? random.next() : 0);
    const vlans = () => random.pick([[], [], [7], [100, 200]]);
    this.dress = {
      vlans: vlans(),
      isV6: random.chance(0.3),
      outer: {
        vni: VNI,
        vlans: vlans(),
        ...random.pick(MIRRORS),
        reserved: random.pick([0, 0xff]),
        sourcePort: random.int(1024, 65_535),
      },
      innerFragments: sometimes(),
      outerFragments: sometimes(),
      trailer: random.pick(["none", "padding", "check sequence", "anything"]),
      unsaidLengths: sometimes(),
    };
    this.address = this.dress.isV6 ? `fd00::${(index + 16).toString(16)}` : `10.0.${index >> 8}.${index & 0xff}`;
    const port = random.int(1024, 65_535);
    // The server's packets are recognised by their ports.
    this.port = port === PORT ? port + 1 : port;
    this.isn = random.pick([0xffff_ffff, 0xffff_fff0, 0xffff_ff00, 0x7fff_ff00, 0, random.int(0, 0xffff_ffff)]);
    this.serverNext = random.int(0, 0xffff_ffff);
    this.identification = index * IDENTIFICATIONS_PER_CLIENT;
    this.identificationsEnd = this.identification + IDENTIFICATIONS_PER_CLIENT;
  }

  /** Another connection with the same addresses and ports begins; its ISN is this far above the last one. */
  again(isnDistance: number): void {
    this.isn = (this.isn + isnDistance) >>> 0;
    this.serverNext = (this.serverNext + 0x3000_0000) >>> 0;
  }

  /** The client's bytes; `at`: the first one's place in the stream, -1: the SYN's. */
  send(flags: string, at: number, { payload = new Uint8Array(0), isForged = false, headerBytes }: Extra = {}): void {
    const isSyn = flags.includes("S");
    const sequence = (this.isn + 1 + at) >>> 0;
    const { random } = this;
    const ecn = random.chance(0.1) ? random.pick(["E", "C", "EC"]) : "";
    const options = headerBytes === undefined && random.chance(0.5) ? tcpOptions(random) : new Uint8Array(0);
    const segment = tcp({
      source: "",
      destination: "",
      sourcePort: this.port,
      destinationPort: PORT,
      sequence,
      flags: flags + ecn,
      payload,
      options,
      ...(flags.includes("A") && { acknowledgment: this.serverNext }),
    });
    const header = new DataView(segment.buffer);
    if (flags.includes("U")) header.setUint16(URGENT_POINTER_OFFSET, random.int(0, 0xffff));
    if (headerBytes !== undefined) header.setUint8(DATA_OFFSET_OFFSET, (headerBytes / 4) << 4);
    const { frames, presentBytes } = this.carry(this.address, this.server, segment);
    const from = isSyn ? 0 : at;
    const presentPayload = presentBytes - TCP_HEADER_LEN - options.length;
    const isKnown = !isForged && presentPayload >= 0;
    this.packets.push({
      frames,
      bytes: isKnown ? { from, payload: payload.subarray(0, presentPayload), claimedTo: from + payload.length } : null,
      isSyn: isSyn && isKnown,
      isFin: flags.includes("F") && isKnown,
    });
  }

  /** The server's packet. */
  answer(flags: string, length = 0): void {
    const payload = this.random.bytes(length);
    const segment = tcp({
      source: "",
      destination: "",
      sourcePort: PORT,
      destinationPort: this.port,
      sequence: this.serverNext,
      acknowledgment: this.isn,
      flags,
      payload,
    });
    this.packets.push({
      frames: this.carry(this.server, this.address, segment).frames,
      bytes: null,
      isSyn: false,
      isFin: false,
    });
    this.serverNext = (this.serverNext + length + (/[SF]/.test(flags) ? 1 : 0)) >>> 0;
  }

  private get server(): string {
    return this.dress.isV6 ? SERVER_V6 : SERVER_V4;
  }

  private carry(source: string, destination: string, segment: Uint8Array): Carried {
    const { dress, random } = this;
    const pieces = this.isFragmented(dress.innerFragments)
      ? this.fragments(segment, TCP, source, destination)
      : [{ packet: ip(source, destination, TCP, segment, this.ipOptions()), payloadBytes: segment.length }];
    const isWhole = pieces.length === 1;
    const isLengthSaid = !isWhole || !random.chance(dress.unsaidLengths);
    let presentBytes = 0;
    let isInStep = true;
    let isEachThere = true;
    const frames = pieces.flatMap(({ packet, payloadBytes }) => {
      if (!isLengthSaid) packet.set([0, 0], dress.isV6 ? 4 : 2);
      const bare = ethernet(packet, dress.vlans);
      // A packet without a length ends with its frame.
      const frame = isLengthSaid ? this.withTrailer(bare) : bare;
      const length = isLengthSaid && random.chance(this.cut) ? random.int(1, frame.length) : frame.length;
      const present = Math.min(length - (bare.length - payloadBytes), payloadBytes);
      if (present < 0) isEachThere = false;
      if (isInStep) presentBytes += Math.max(present, 0);
      if (present < payloadBytes) isInStep = false;
      return this.mirror(frame, length);
    });
    return { frames, presentBytes: isWhole || isEachThere ? presentBytes : 0 };
  }

  /** The first `length` bytes of a frame as they arrive: cut by the mirror, or by the capture's snapshot length. */
  private mirror(frame: Uint8Array, length: number): Uint8Array[] {
    const { outer, outerFragments } = this.dress;
    if (this.isFragmented(outerFragments)) {
      const { source, destination } = { ...OUTER_V4, ...outer };
      const packet = vxlanPacket(frame.subarray(0, length), { ...outer, source, destination });
      const datagram = packet.subarray(source.includes(":") ? 40 : 20);
      return this.fragments(datagram, UDP, source, destination).map((fragment) =>
        ethernet(fragment.packet, outer.vlans),
      );
    }
    if (this.random.chance(0.5)) return [this.withTrailer(mirrored(frame.subarray(0, length), outer))];
    const whole = mirrored(frame, outer);
    return [whole.subarray(0, whole.length - (frame.length - length))];
  }

  private isFragmented(probability: number): boolean {
    return this.identification < this.identificationsEnd && this.random.chance(probability);
  }

  private withTrailer(frame: Uint8Array): Uint8Array {
    const { random } = this;
    const padding = new Uint8Array(Math.max(FRAME_BYTES_MIN - frame.length, 0));
    switch (this.dress.trailer) {
      case "none":
        return frame;
      case "padding":
        return bytes(frame, padding);
      case "check sequence":
        return bytes(frame, padding, random.bytes(CHECK_SEQUENCE_LEN));
      case "anything":
        return bytes(frame, random.bytes(random.int(0, 40)));
    }
  }

  /** Headers between IP's and TCP's. */
  private ipOptions(): IpOptions {
    const { random } = this;
    if (!random.chance(0.2)) return {};
    if (!this.dress.isV6) return { options: new Uint8Array(4 * random.int(1, 10)).fill(1) };
    const body = () => bytes([1, 4], u32(0));
    // A fragment's header before a whole packet (RFC 6946).
    return random.chance(0.5)
      ? {
          extensions: [
            [0, body()],
            [60, body()],
          ],
        }
      : { fragmentOffset: 0 };
  }

  private fragments(
    payload: Uint8Array,
    protocol: number,
    source: string,
    destination: string,
  ): { packet: Uint8Array; payloadBytes: number }[] {
    const identification = this.identification++;
    const size = 8 * this.random.pick([this.random.int(1, 5), this.random.int(2, 40), 180]);
    const count = Math.ceil(payload.length / size);
    return Array.from({ length: count }, (_, i) => {
      const part = payload.subarray(i * size, (i + 1) * size);
      return {
        packet: ip(source, destination, protocol, part, {
          identification,
          fragmentOffset: i * size,
          moreFragments: i < count - 1,
        }),
        payloadBytes: part.length,
      };
    });
  }
}
