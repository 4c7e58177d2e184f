/**
 * Frames and savefiles for tests, built layer by layer from the RFCs and independent of src/: a test must not check the
 * decoder with frames from the decoder's own code.
 */

export interface Tcp {
  source: string;
  destination: string;
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgment?: number;
  /** Any of "SFRPAUEC". */
  flags: string;
  payload?: Uint8Array;
  /** A multiple of four bytes. */
  options?: Uint8Array;
}

export interface IpOptions {
  /** IPv4 options, or IPv6 extension headers as [protocol number, body of 8n-2 bytes] pairs. */
  options?: Uint8Array;
  extensions?: [number, Uint8Array][];
  identification?: number;
  fragmentOffset?: number;
  moreFragments?: boolean;
  ttl?: number;
}

export interface Outer extends IpOptions {
  source?: string;
  destination?: string;
  sourcePort?: number;
  port?: number;
  vni: number;
  /** VXLAN's first word. */
  flags?: number;
  reserved?: number;
  vlans?: number[];
}

export const TCP = 6;
export const UDP = 17;
const FLAG_BITS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32, E: 64, C: 128 };

export function bytes(...parts: (Uint8Array | number[] | string)[]): Uint8Array {
  const arrays = parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part));
  const joined = new Uint8Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let offset = 0;
  for (const array of arrays) {
    joined.set(array, offset);
    offset += array.length;
  }
  return joined;
}

export function u16(value: number): number[] {
  return [(value >>> 8) & 0xff, value & 0xff];
}

export function u32(value: number): number[] {
  return [(value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

/** An IPv4 or IPv6 address's bytes. */
export function address(text: string): number[] {
  if (!text.includes(":")) return text.split(".").map(Number);
  const [head, tail] = text.split("::") as [string, string | undefined];
  const groups = (part: string) => (part === "" ? [] : part.split(":").map((group) => parseInt(group, 16)));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const zeros = new Array<number>(8 - front.length - back.length).fill(0);
  return [...front, ...zeros, ...back].flatMap(u16);
}

/** A TCP header with options, and its payload. */
export function tcp(segment: Tcp): Uint8Array {
  const options = segment.options ?? new Uint8Array(0);
  const flags = [...segment.flags].reduce((bits, flag) => bits | FLAG_BITS[flag]!, 0);
  return bytes(
    u16(segment.sourcePort),
    u16(segment.destinationPort),
    u32(segment.sequence),
    u32(segment.acknowledgment ?? 0),
    [((20 + options.length) / 4) << 4, flags],
    u16(65_535),
    u16(0),
    u16(0),
    options,
    segment.payload ?? new Uint8Array(0),
  );
}

export function udp(sourcePort: number, destinationPort: number, payload: Uint8Array): Uint8Array {
  return bytes(u16(sourcePort), u16(destinationPort), u16(8 + payload.length), u16(0), payload);
}

/** An IPv4 or IPv6 packet, by the form of the addresses; a fragment if its options say so. */
export function ip(
  source: string,
  destination: string,
  protocol: number,
  payload: Uint8Array,
  options: IpOptions = {},
): Uint8Array {
  return source.includes(":")
    ? ipv6(source, destination, protocol, payload, options)
    : ipv4(source, destination, protocol, payload, options);
}

function ipv4(
  source: string,
  destination: string,
  protocol: number,
  payload: Uint8Array,
  options: IpOptions,
): Uint8Array {
  const extra = options.options ?? new Uint8Array(0);
  const headerLength = 20 + extra.length;
  return bytes(
    [0x40 | (headerLength / 4), 0],
    u16(headerLength + payload.length),
    u16(options.identification ?? 0),
    u16((options.moreFragments ? 0x2000 : 0) | ((options.fragmentOffset ?? 0) >> 3)),
    [options.ttl ?? 64, protocol],
    u16(0),
    address(source),
    address(destination),
    extra,
    payload,
  );
}

function ipv6(
  source: string,
  destination: string,
  protocol: number,
  payload: Uint8Array,
  options: IpOptions,
): Uint8Array {
  const headers = [...(options.extensions ?? [])];
  if (options.fragmentOffset !== undefined || options.moreFragments) {
    const fragment = u16((options.fragmentOffset ?? 0) | (options.moreFragments ? 1 : 0));
    headers.push([44, bytes(fragment, u32(options.identification ?? 0))]);
  }
  const chain = [...headers.map(([kind]) => kind), protocol];
  const extension = bytes(
    ...headers.map(([kind, body], i) => {
      const second = kind === 44 ? 0 : kind === 51 ? (2 + body.length) / 4 - 2 : (2 + body.length) / 8 - 1;
      return bytes([chain[i + 1]!, second], body);
    }),
  );
  return bytes(
    [0x60, 0, 0, 0],
    u16(extension.length + payload.length),
    [chain[0]!, options.ttl ?? 64],
    address(source),
    address(destination),
    extension,
    payload,
  );
}

/** An Ethernet frame; `vlans` are 802.1Q VLAN ids, the outer ones as 802.1ad. */
export function ethernet(packet: Uint8Array, vlans: number[] = []): Uint8Array {
  const tags = vlans.map((vlan, i) => bytes(u16(i === vlans.length - 1 ? 0x8100 : 0x88a8), u16(vlan)));
  const etherType = packet[0]! >> 4 === 6 ? 0x86dd : 0x0800;
  return bytes([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], ...tags, u16(etherType), packet);
}

/** A payload and its EtherType. */
export interface Typed {
  etherType: number;
  payload: Uint8Array;
}

export function typed(packet: Uint8Array): Typed {
  return { etherType: packet[0]! >> 4 === 6 ? 0x86dd : 0x0800, payload: packet };
}

/** LLC and SNAP before a packet (RFC 1042): the type is the length, as in IEEE 802.3. */
export function snap(packet: Uint8Array): Typed {
  const payload = bytes([0xaa, 0xaa, 3, 0, 0, 0], u16(typed(packet).etherType), packet);
  return { etherType: Math.min(payload.length, 1500), payload };
}

/** A packet in a PPPoE session (RFC 2516). */
export function pppoe(packet: Uint8Array): Typed {
  const protocol = typed(packet).etherType === 0x0800 ? 0x0021 : 0x0057;
  return {
    etherType: 0x8864,
    payload: bytes([0x11, 0], u16(7), u16(2 + packet.length), u16(protocol), packet),
  };
}

/** A packet behind MPLS labels (RFC 3032); the last label is marked as the bottom. */
export function mpls(packet: Uint8Array, labels: number): Typed {
  const stack = Array.from({ length: labels }, (_, i) => u32(((16 + i) << 12) | (Number(i === labels - 1) << 8) | 64));
  return { etherType: 0x8847, payload: bytes(...stack, packet) };
}

/** GENEVE (RFC 8926) before its content; `options`: a multiple of four bytes. */
export function geneve(vni: number, carried: Typed, options: Uint8Array = new Uint8Array(0)): Uint8Array {
  return bytes([options.length / 4, 0], u16(carried.etherType), u32(vni << 8), options, carried.payload);
}

/** GRE (RFC 2784, 2890) before its content. */
export function gre(carried: Typed, fields: { key?: number; sequence?: number; checksum?: number } = {}): Uint8Array {
  const { key, sequence, checksum } = fields;
  const has = (value: unknown, bit: number) => (value === undefined ? 0 : bit);
  return bytes(
    u16(has(checksum, 0x8000) | has(key, 0x2000) | has(sequence, 0x1000)),
    u16(carried.etherType),
    checksum === undefined ? [] : bytes(u16(checksum), u16(0)),
    key === undefined ? [] : u32(key),
    sequence === undefined ? [] : u32(sequence),
    carried.payload,
  );
}

/** ERSPAN I, II or III in GRE; type I has no `session`. `subheader`: III's platform-specific subheader is present. */
export function erspan(version: 1 | 2 | 3, session: number, frame: Uint8Array, subheader = false): Uint8Array {
  if (version === 1) return gre({ etherType: 0x88be, payload: frame });
  const start = bytes(u16(((version - 1) << 12) | 100), u16((3 << 13) | session));
  const header =
    version === 2
      ? bytes(start, u32(5))
      : bytes(start, u32(0x12345678), u16(9), u16(0x8000 | Number(subheader)), new Uint8Array(subheader ? 8 : 0));
  return gre({ etherType: version === 2 ? 0x88be : 0x22eb, payload: bytes(header, frame) }, { sequence: 1 });
}

/** The IP packet in which AWS mirrors a frame. */
export function vxlanPacket(inner: Uint8Array, outer: Outer): Uint8Array {
  const header = bytes([outer.flags ?? 0x08, 0, 0, 0], u32((outer.vni << 8) | (outer.reserved ?? 0)));
  const datagram = udp(outer.sourcePort ?? 65_500, outer.port ?? 4789, bytes(header, inner));
  return ip(outer.source ?? "172.31.0.238", outer.destination ?? "172.31.17.188", UDP, datagram, {
    ttl: 255,
    ...outer,
  });
}

/** A mirrored frame as it arrives on Ethernet. */
export function mirrored(inner: Uint8Array, outer: Outer): Uint8Array {
  return ethernet(vxlanPacket(inner, outer), outer.vlans);
}

/** A mirrored TCP segment as it arrives on Ethernet. */
export function mirroredSegment(segment: Tcp, vni: number, vlans: number[] = []): Uint8Array {
  return mirrored(ethernet(ip(segment.source, segment.destination, TCP, tcp(segment)), vlans), { vni });
}

export interface CapturedFrame {
  frame: Uint8Array;
  timestampMs: number;
}

/** A little-endian microsecond pcap savefile. */
export function pcap(frames: CapturedFrame[], linkType = 1): Uint8Array {
  const header = new DataView(new ArrayBuffer(24));
  header.setUint32(0, 0xa1b2c3d4, true);
  header.setUint16(4, 2, true);
  header.setUint16(6, 4, true);
  header.setUint32(16, 262_144, true);
  header.setUint32(20, linkType, true);
  const records = frames.map(({ frame, timestampMs }) => {
    const record = new DataView(new ArrayBuffer(16));
    record.setUint32(0, Math.floor(timestampMs / 1000), true);
    record.setUint32(4, Math.round((timestampMs % 1000) * 1000), true);
    record.setUint32(8, frame.length, true);
    record.setUint32(12, frame.length, true);
    return bytes(new Uint8Array(record.buffer), frame);
  });
  return bytes(new Uint8Array(header.buffer), ...records);
}
