/**
 * The mirror: its changes of the clients' segments on their way to us. Each segment becomes one or more packets (inner
 * fragments), each packet one or more frames (outer fragments); packets are dropped, repeated, delayed and truncated.
 */
import { LinkType } from "../../src/decode/link.ts";
import * as build from "../support/frames.ts";
import type { Random } from "../support/random.ts";
import type { Sent } from "./client.ts";
import type { Scenario } from "./scenario.ts";

/** A segment as the mirror found it on the wire: whole, or in inner fragments. */
export interface MirroredSegment {
  readonly sent: Sent;
  readonly parts: number;
}

/** One packet of the mirror. The same packet may arrive more than once. */
export interface Packet {
  readonly segment: MirroredSegment;
  /** The number of the segment's inner fragment. */
  readonly part: number;
  /** Outer fragments. */
  readonly frames: number;
  /** The payload bytes in it; -1: it was cut inside its headers. Only for whole fragments. */
  readonly payloadLength: number;
}

/** A frame that is not ours is counted with this reason. */
export interface Foreign {
  readonly reason: string;
}

export interface Frame {
  readonly bytes: Uint8Array;
  readonly arrivalMs: number;
  readonly packet: Packet | null;
  /** The number of the packet's outer fragment. */
  readonly index: number;
  readonly foreign: Foreign | null;
}

/** Rules for the mirror's treatment of a segment. */
export interface Care {
  readonly isKept: boolean;
  readonly isInTime: boolean;
  /** Delayed as long as possible: later segments overtake it. */
  readonly isLate: boolean;
  readonly isOnce: boolean;
}

const ETHERNET_MIN = 60;
const IPV4_OUTER = { source: "172.31.0.238", destination: "172.31.17.188" };
const IPV6_OUTER = { source: "fd00::1", destination: "fd00::2" };

export class Mirror {
  readonly frames: Frame[] = [];
  private identification: number;

  constructor(
    private readonly random: Random,
    private readonly scenario: Scenario,
  ) {
    this.identification = random.int(0, 0xffff);
  }

  /** Mirrors one segment; `isKept`: it is neither dropped nor cut; `isInTime`: nor delayed; `isOnce`: nor repeated. */
  carry(sent: Sent, care: Care): void {
    const { isInTime } = care;
    const { random, scenario } = this;
    const transport = this.transport(sent);
    // A fragment's payload is a multiple of eight bytes, unless it is the last.
    const canSplit = !sent.isGarbage && !isInTime && transport.length > 16;
    const parts = canSplit && random.chance(scenario.innerFragments) ? this.split(transport) : [transport];
    const segment: MirroredSegment = { sent, parts: parts.length };
    const identification = this.identify();
    const options = this.ipOptions(sent.connection.source);
    let offset = 0;
    const order: Frame[][] = [];
    parts.forEach((part, i) => {
      const fragment =
        parts.length === 1 ? {} : { identification, fragmentOffset: offset, moreFragments: i < parts.length - 1 };
      offset += part.length;
      const { source, destination } = sidesOf(sent);
      const packet = build.ip(source, destination, build.TCP, part, { ...options, ...fragment });
      order.push(
        ...this.encapsulate(segment, i, packet, transport.length - part.length === 0 ? sent.payload.length : 0, care),
      );
    });
    this.frames.push(...order.flat());
  }

  /** A frame that belongs to no connection of ours. */
  inject(bytes: Uint8Array, arrivalMs: number, reason: string): void {
    this.frames.push({ bytes, arrivalMs, packet: null, index: 0, foreign: { reason } });
  }

  /** All frames, in the order of their arrival. */
  arrivals(): Frame[] {
    return this.frames.toSorted((a, b) => a.arrivalMs - b.arrivalMs);
  }

  /** Puts the link layer in front of an outer packet. */
  link(packet: Uint8Array): Uint8Array {
    const isV6 = packet[0]! >> 4 === 6;
    const etherType = build.u16(isV6 ? 0x86dd : 0x0800);
    switch (this.scenario.linkType) {
      case LinkType.RAW:
        return packet;
      case LinkType.NULL:
        return build.bytes([isV6 ? 30 : 2, 0, 0, 0], packet);
      case LinkType.LINUX_SLL:
        return build.bytes([0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], etherType, packet);
      case LinkType.LINUX_SLL2:
        return build.bytes(etherType, [0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], packet);
      default:
        return build.ethernet(packet, this.random.chance(0.1) ? [this.random.int(1, 4094)] : []);
    }
  }

  private transport(sent: Sent): Uint8Array {
    const { sequence, acknowledgment, flags, payload, connection } = sent;
    const { source, destination } = sidesOf(sent);
    const ports = [connection.sourcePort, this.scenario.port] as const;
    const [sourcePort, destinationPort] = sent.isFromServer === true ? [ports[1], ports[0]] : ports;
    const options = this.tcpOptions(flags);
    return build.tcp({
      source,
      destination,
      sourcePort,
      destinationPort,
      sequence,
      acknowledgment,
      flags,
      payload,
      options,
    });
  }

  private tcpOptions(flags: string): Uint8Array {
    const { random } = this;
    const timestamps = [1, 1, 8, 10, ...random.bytes(8)];
    if (flags.includes("S")) return build.bytes([2, 4, 5, 0xb4, 4, 2, 1, 1], random.chance(0.5) ? timestamps : []);
    return random.chance(0.5) ? Uint8Array.from(timestamps) : new Uint8Array(random.pick([0, 0, 4, 40]));
  }

  private ipOptions(source: string): build.IpOptions {
    const { random } = this;
    if (!random.chance(0.15)) return {};
    if (!source.includes(":")) return { options: new Uint8Array(random.int(1, 10) * 4).fill(1) };
    const padding = (units: number) => build.bytes([1, units * 8 - 4], new Uint8Array(units * 8 - 4));
    return {
      extensions: random.pick([
        [[0, padding(1)]],
        [[60, padding(2)]],
        [
          [0, padding(2)],
          [60, padding(1)],
        ],
      ] as [number, Uint8Array][][]),
    };
  }

  /** Cuts at multiples of eight bytes, into two to four parts. */
  private split(payload: Uint8Array): Uint8Array[] {
    const units = Math.ceil(payload.length / 8);
    const parts = Math.min(units, this.random.int(2, 4));
    const cuts = new Set([0]);
    while (cuts.size < parts) cuts.add(this.random.int(1, units - 1));
    const starts = [...cuts].toSorted((a, b) => a - b).map((unit) => unit * 8);
    return starts.map((start, i) => payload.subarray(start, starts[i + 1]));
  }

  /** One packet of the mirror, with all its copies that arrive. */
  private encapsulate(
    segment: MirroredSegment,
    part: number,
    packet: Uint8Array,
    payloadLength: number,
    { isKept, isInTime, isLate, isOnce }: Care,
  ): Frame[][] {
    const { random, scenario } = this;
    const tags = random.chance(0.1) ? [random.int(1, 4094)] : random.chance(0.05) ? [100, random.int(1, 4094)] : [];
    const whole = build.ethernet(packet, tags);
    const headersLength = whole.length - payloadLength;
    const isCut = segment.parts === 1 && !isKept && random.chance(scenario.truncate);
    // Seldom inside the headers. test/flow has a table for payloads that were cut off completely.
    const inHeaders = random.chance(0.3) || payloadLength < 2;
    const length = inHeaders ? random.int(0, headersLength - 1) : headersLength + random.int(1, payloadLength - 1);
    const linked = isCut
      ? this.cut(whole, length)
      : this.outer(this.pad(whole), isInTime).map((outer) => this.frame(outer));
    const present = isCut ? Math.max(-1, length - headersLength) : payloadLength;
    const carried: Packet = { segment, part, frames: linked.length, payloadLength: present };
    const { atMs } = segment.sent;
    const copies: Frame[][] = [];
    const arrive = (extraMs: number) => {
      const arrivalMs = atMs + extraMs;
      // The outer fragments of a packet may be displaced separately.
      copies.push(
        linked.map((bytes, index) => ({
          bytes,
          arrivalMs: arrivalMs + (index === 0 ? 0 : this.displacement()),
          packet: carried,
          index,
          foreign: null,
        })),
      );
    };
    const arrives = isKept || !random.chance(scenario.drop);
    if (arrives) arrive(isInTime ? 0 : isLate ? scenario.delayMsMax : this.displacement());
    // Late copies are copies: a copy of a dropped packet comes no later than a delayed packet.
    if (!isOnce && random.chance(scenario.repeat))
      arrive(this.displacement() + (arrives ? random.int(0, scenario.repeatMsMax) : 0));
    return copies;
  }

  /** A packet whose first `length` bytes only are mirrored (as AWS does), or captured (tcpdump -s). */
  private cut(whole: Uint8Array, length: number): Uint8Array[] {
    if (this.random.chance(0.7)) return this.outer(whole.subarray(0, length), false).map((outer) => this.frame(outer));
    const frame = this.link(this.encapsulated(whole, IPV4_OUTER));
    return [frame.subarray(0, frame.length - whole.length + length)];
  }

  private encapsulated(inner: Uint8Array, addresses: typeof IPV4_OUTER): Uint8Array {
    const { vni, vxlanPort } = this.scenario;
    return build.vxlanPacket(inner, {
      vni,
      port: vxlanPort,
      sourcePort: this.random.int(65_408, 65_525),
      ...addresses,
    });
  }

  private outer(inner: Uint8Array, isInTime: boolean): Uint8Array[] {
    const { random, scenario } = this;
    const isV6 = random.chance(0.2);
    const addresses = isV6 ? IPV6_OUTER : IPV4_OUTER;
    const packet = this.encapsulated(inner, addresses);
    if (isInTime || !random.chance(scenario.outerFragments)) return [packet];
    const identification = this.identify();
    const datagram = packet.subarray(isV6 ? 40 : 20);
    let offset = 0;
    return this.split(datagram).map((part, i, parts) => {
      const fragment = { identification, fragmentOffset: offset, moreFragments: i < parts.length - 1 };
      offset += part.length;
      return build.ip(addresses.source, addresses.destination, build.UDP, part, fragment);
    });
  }

  private frame(outer: Uint8Array): Uint8Array {
    const frame = this.link(outer);
    return this.scenario.linkType === LinkType.ETHERNET ? this.pad(frame) : frame;
  }

  private displacement(): number {
    const { random, scenario } = this;
    return random.chance(scenario.delay) ? random.next() * scenario.delayMsMax : 0;
  }

  /** Ethernet pads short frames, with any bytes. */
  private pad(frame: Uint8Array): Uint8Array {
    if (frame.length >= ETHERNET_MIN || !this.random.chance(0.8)) return frame;
    return build.bytes(frame, this.random.bytes(ETHERNET_MIN - frame.length));
  }

  private identify(): number {
    // 0 says nothing (fragments.ts).
    this.identification = (this.identification + 1) & 0xffff || 1;
    return this.identification;
  }
}

function sidesOf({ connection: { source, destination }, isFromServer }: Sent): { source: string; destination: string } {
  return isFromServer === true ? { source: destination, destination: source } : { source, destination };
}
