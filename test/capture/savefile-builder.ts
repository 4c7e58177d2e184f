/**
 * Builds savefiles byte by byte, after https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html and
 * https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html; independent of src/.
 */
import { bytes } from "../support/frames.ts";

/** Writes numbers in a file's byte order. */
export interface Words {
  u16: (value: number) => number[];
  u32: (value: number) => number[];
  i64: (value: bigint) => number[];
}

function words(littleEndian: boolean): Words {
  const write = (length: number, set: (view: DataView) => void) => {
    const view = new DataView(new ArrayBuffer(length));
    set(view);
    return [...new Uint8Array(view.buffer)];
  };
  return {
    u16: (value) => write(2, (view) => view.setUint16(0, value, littleEndian)),
    u32: (value) => write(4, (view) => view.setUint32(0, value, littleEndian)),
    i64: (value) => write(8, (view) => view.setBigInt64(0, value, littleEndian)),
  };
}

export const LITTLE = words(true);
export const BIG = words(false);

export const MICROSECONDS = 0xa1b2c3d4;
export const NANOSECONDS = 0xa1b23c4d;
export const KUZNETZOV = 0xa1b2cd34;

/** A pcap file header; the bits of `linkType` above the lower 16 are kept. */
export function pcapHeader({ u16, u32 }: Words, magic = MICROSECONDS, linkType = 1): Uint8Array {
  return bytes(u32(magic), u16(2), u16(4), u32(0), u32(0), u32(262_144), u32(linkType));
}

export interface PcapRecord {
  seconds: number;
  fraction: number;
  frame: Uint8Array;
  /** The captured length, if it differs from the frame's. */
  claimed?: number;
}

export function pcapRecord(
  { u16, u32 }: Words,
  { seconds, fraction, frame, claimed }: PcapRecord,
  magic = MICROSECONDS,
): Uint8Array {
  // Kuznetzov's records also have interface index, protocol and packet type.
  const more = magic === KUZNETZOV ? bytes(u32(2), u16(0x0800), [4, 0]) : [];
  const length = claimed ?? frame.length;
  return bytes(u32(seconds), u32(fraction), u32(length), u32(length), more, frame);
}

export interface BlockOption {
  code: number;
  value: Uint8Array | number[];
}

const padded = (value: Uint8Array | number[]) => bytes(value, new Uint8Array((4 - (value.length % 4)) % 4));

/** Options, each padded to 4 bytes, with their end. Without options: no bytes at all. */
export function blockOptions({ u16 }: Words, options: BlockOption[]): Uint8Array {
  if (options.length === 0) return new Uint8Array(0);
  return bytes(...options.map(({ code, value }) => bytes(u16(code), u16(value.length), padded(value))), u16(0), u16(0));
}

/** A block of any type; `total`: the claimed length, if it differs from the real one. */
export function block({ u32 }: Words, type: number, body: Uint8Array, total = 12 + body.length): Uint8Array {
  return bytes(u32(type), u32(total), body, u32(total));
}

/** A section header with an unknown section length. */
export function section(to: Words, options: BlockOption[] = []): Uint8Array {
  return block(to, 0x0a0d0d0a, bytes(to.u32(0x1a2b3c4d), to.u16(1), to.u16(0), to.i64(-1n), blockOptions(to, options)));
}

export function interfaceBlock(
  to: Words,
  linkType: number,
  options: BlockOption[] = [],
  snapshotBytes = 0,
): Uint8Array {
  return block(to, 1, bytes(to.u16(linkType), to.u16(0), to.u32(snapshotBytes), blockOptions(to, options)));
}

export interface PacketBlock {
  interfaceId?: number;
  /** In the interface's units. */
  timestamp?: bigint;
  frame: Uint8Array;
  claimed?: number;
  options?: BlockOption[];
}

const high = (timestamp: bigint) => Number((timestamp >> 32n) & 0xffffffffn);
const low = (timestamp: bigint) => Number(timestamp & 0xffffffffn);

export function enhancedPacket(
  to: Words,
  { interfaceId = 0, timestamp = 0n, frame, claimed, options = [] }: PacketBlock,
): Uint8Array {
  const { u32 } = to;
  const length = claimed ?? frame.length;
  return block(
    to,
    6,
    bytes(
      u32(interfaceId),
      u32(high(timestamp)),
      u32(low(timestamp)),
      u32(length),
      u32(length),
      padded(frame),
      blockOptions(to, options),
    ),
  );
}

/** The obsolete packet block: a 16-bit interface and a count of drops. */
export function obsoletePacket(
  to: Words,
  { interfaceId = 0, timestamp = 0n, frame, claimed, options = [] }: PacketBlock,
  drops = 0xffff,
): Uint8Array {
  const { u16, u32 } = to;
  const length = claimed ?? frame.length;
  return block(
    to,
    2,
    bytes(
      u16(interfaceId),
      u16(drops),
      u32(high(timestamp)),
      u32(low(timestamp)),
      u32(length),
      u32(length),
      padded(frame),
      blockOptions(to, options),
    ),
  );
}

/** A simple packet block: `original` bytes on the wire; the snapshot length may have cut off some. */
export function simplePacket(to: Words, frame: Uint8Array, original = frame.length): Uint8Array {
  return block(to, 3, bytes(to.u32(original), padded(frame)));
}
