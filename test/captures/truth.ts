/**
 * The bytes of a mirror capture's client streams that can be known: found by a small decoder of its own, written from
 * the RFCs and independent of src/, that has all frames at once and needs no limits. Only for the tests' frames:
 * Ethernet, VXLAN over IPv4, IPv4 inside, no connection that reuses another's ports.
 */
import type { CapturedFrame } from "../support/frames.ts";

export interface TrueStream {
  /** Client and server. */
  readonly name: string;
  /** The captured bytes, in order, without the holes. */
  readonly bytes: Uint8Array;
  /** The number of missing bytes between its beginning and its last known byte. */
  readonly missingBytes: number;
  /** Its SYN was captured. */
  readonly hasSyn: boolean;
}

interface Segment {
  name: string;
  sequence: number;
  isSyn: boolean;
  isFin: boolean;
  payload: Uint8Array;
  /** With the bytes that were cut off. */
  claimedLength: number;
}

const UDP = 17;
const TCP = 6;
const VXLAN_PORT = 4789;
const FIN = 1;
const SYN = 2;

/** The client streams to `port` in the mirror with `vni`, as far as they were captured. */
export function trueStreams(frames: CapturedFrame[], vni: number, port: number): TrueStream[] {
  const decoder = new Decoder(vni, port);
  const flows = Map.groupBy(
    frames.flatMap(({ frame }) => decoder.decode(frame) ?? []),
    ({ name }) => name,
  );
  return [...flows].map(([name, segments]) => streamOf(name, segments)).filter((stream) => stream !== undefined);
}

/** The frames of each client, each once and whole, for the comparison of captures. */
export function framesByClient(frames: CapturedFrame[], vni: number, port: number): Map<string, Set<string>> {
  const decoder = new Decoder(vni, port);
  const clients = new Map<string, Set<string>>();
  for (const { frame } of frames) {
    const client = decoder.decode(frame)?.name.split(" ")[0];
    if (client !== undefined)
      clients.set(client, (clients.get(client) ?? new Set()).add(Buffer.from(frame).toString("latin1")));
  }
  return clients;
}

function streamOf(name: string, segments: Segment[]): TrueStream | undefined {
  const syn = segments.find(({ isSyn }) => isSyn);
  const withBytes = segments.filter(({ payload }) => payload.length > 0);
  const anchor = syn?.sequence ?? withBytes[0]?.sequence;
  if (anchor === undefined) return undefined;
  // Distances modulo 2^32 from some byte of the flow; none is half the space away.
  const at = ({ sequence, isSyn }: Segment) => ((sequence - anchor) | 0) + (isSyn ? 1 : 0);
  const begin = syn === undefined ? Math.min(...withBytes.map(at)) : 1;
  const fin = segments.find(({ isFin }) => isFin);
  const end = fin === undefined ? Infinity : at(fin) + fin.claimedLength;
  const known = new Map<number, number>();
  let last = begin;
  for (const segment of segments) {
    const first = at(segment);
    segment.payload.forEach((byte, i) => {
      const position = first + i;
      // The first copy of a byte wins.
      if (position >= begin && position < end && !known.has(position)) known.set(position, byte);
    });
    if (segment.claimedLength > 0) last = Math.max(last, first + segment.claimedLength);
  }
  const length = (Number.isFinite(end) ? end : last) - begin;
  const bytes = Uint8Array.from([...known.keys()].sort((a, b) => a - b).map((position) => known.get(position)!));
  return { name, bytes, missingBytes: length - bytes.length, hasSyn: syn !== undefined };
}

class Decoder {
  /** Fragments by datagram: the known bytes of the payload, and its length after the last fragment. */
  private readonly datagrams = new Map<string, { known: Map<number, number>; length: number }>();

  constructor(
    private readonly vni: number,
    private readonly port: number,
  ) {}

  decode(frame: Uint8Array): Segment | undefined {
    const outer = ipv4(frame);
    if (outer === undefined || outer.protocol !== UDP) return undefined;
    const udp = view(outer.payload);
    if (udp.getUint16(2) !== VXLAN_PORT || (udp.getUint8(8) & 0x08) === 0 || udp.getUint32(12) >>> 8 !== this.vni)
      return undefined;
    const inner = ipv4(outer.payload.subarray(16));
    if (inner === undefined || inner.protocol !== TCP) return undefined;
    const whole = inner.isFragment ? this.putTogether(inner) : inner;
    return whole && this.tcp(whole);
  }

  private putTogether({
    from,
    to,
    identification,
    offset,
    hasMore,
    payload,
    claimedLength,
  }: Packet): Packet | undefined {
    const key = `${from} ${to} ${identification}`;
    const datagram = this.datagrams.get(key) ?? { known: new Map<number, number>(), length: Infinity };
    this.datagrams.set(key, datagram);
    payload.forEach((byte, i) => {
      if (!datagram.known.has(offset + i)) datagram.known.set(offset + i, byte);
    });
    if (!hasMore) datagram.length = offset + claimedLength;
    if (datagram.known.size < datagram.length) return undefined;
    this.datagrams.delete(key);
    const bytes = Uint8Array.from({ length: datagram.length }, (_, i) => datagram.known.get(i)!);
    return {
      from,
      to,
      protocol: TCP,
      identification,
      offset: 0,
      hasMore: false,
      isFragment: false,
      payload: bytes,
      claimedLength: bytes.length,
    };
  }

  private tcp({ from, to, payload, claimedLength }: Packet): Segment | undefined {
    if (payload.length < 20) return undefined;
    const header = view(payload);
    if (header.getUint16(2) !== this.port) return undefined;
    const headerLength = (header.getUint8(12) >> 4) * 4;
    const flags = header.getUint8(13);
    return {
      name: `${from}:${header.getUint16(0)} ${to}:${this.port}`,
      sequence: header.getUint32(4),
      isSyn: (flags & SYN) !== 0,
      isFin: (flags & FIN) !== 0,
      payload: payload.subarray(headerLength),
      claimedLength: claimedLength - headerLength,
    };
  }
}

interface Packet {
  from: string;
  to: string;
  protocol: number;
  identification: number;
  offset: number;
  hasMore: boolean;
  isFragment: boolean;
  /** The captured part of it. */
  payload: Uint8Array;
  claimedLength: number;
}

/** The IPv4 packet in an Ethernet frame, with or without VLAN tags. */
function ipv4(frame: Uint8Array): Packet | undefined {
  const ethernet = view(frame);
  let typeAt = 12;
  while (frame.length > typeAt + 6 && (ethernet.getUint16(typeAt) === 0x8100 || ethernet.getUint16(typeAt) === 0x88a8))
    typeAt += 4;
  if (frame.length < typeAt + 22 || ethernet.getUint16(typeAt) !== 0x0800) return undefined;
  const bytes = frame.subarray(typeAt + 2);
  const header = view(bytes);
  const headerLength = (bytes[0]! & 0x0f) * 4;
  const totalLength = header.getUint16(2);
  const fragment = header.getUint16(6);
  return {
    from: bytes.subarray(12, 16).join("."),
    to: bytes.subarray(16, 20).join("."),
    protocol: bytes[9]!,
    identification: header.getUint16(4),
    offset: (fragment & 0x1fff) * 8,
    hasMore: (fragment & 0x2000) !== 0,
    isFragment: (fragment & 0x3fff) !== 0,
    payload: bytes.subarray(headerLength, totalLength),
    claimedLength: totalLength - headerLength,
  };
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
