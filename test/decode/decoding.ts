/**
 * Decodes one frame, and gives the outcome as plain data, which the tables of this folder compare. Every frame is
 * decoded in three surroundings at once. So each table also shows that the decoder reads nothing outside a record, and
 * counts each frame exactly once.
 */
import { expect } from "bun:test";
import { Decoder, type DecoderOptions } from "../../src/decode/decoder.ts";
import { DROP_REASONS, type DropReason, SEGMENT } from "../../src/decode/drop-reason.ts";
import { IDENTITY_VNI } from "../../src/decode/segment.ts";
import { Counters } from "../../src/observe/counters.ts";
import { address, bytes, ethernet, ip, mirrored, TCP, type Tcp, tcp, u16, vxlanPacket } from "../support/frames.ts";

export const ETHERNET = 1;
/** The VNI of the real AWS capture, and HTTP's port. */
export const VNI = 5_569_041;
export const OURS: DecoderOptions = { vxlanPort: 4789, vnis: [VNI], ports: [80] };

/** A client's segment to our port. Sequence numbers above 2^31 reveal mistakes with signs. */
export const REQUEST: Tcp = {
  source: "10.1.2.3",
  destination: "192.168.255.254",
  sourcePort: 49_152,
  destinationPort: 80,
  sequence: 0xfffffff0,
  acknowledgment: 0x80000001,
  flags: "PA",
  payload: bytes("GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n"),
};
export const REQUEST_V6: Tcp = { ...REQUEST, source: "2001:db8::ff:3", destination: "fe80::1:80" };

/** The length of the headers before the mirrored frame in the plainest mirror packet: Ethernet, IPv4, UDP, VXLAN. */
export const OUTER_LEN = 14 + 20 + 8 + 8;
export const OUTER_V6_LEN = 14 + 40 + 8 + 8;
export const OUTER_V6 = { source: "fd00::1", destination: "fd00::2" };

/** A segment as a mirrored Ethernet frame, not yet wrapped. */
export function inner(segment: Tcp): Uint8Array {
  return ethernet(ip(segment.source, segment.destination, TCP, tcp(segment)));
}

/** A segment as a mirror packet on Ethernet. */
export function frameOf(segment: Tcp): Uint8Array {
  return mirrored(inner(segment), { vni: VNI });
}

/** The UDP datagram (header, VXLAN header, mirrored frame) of a mirror packet. */
export function tunnelDatagram(innerFrame: Uint8Array): Uint8Array {
  return vxlanPacket(innerFrame, { vni: VNI }).slice(20);
}

/** A copy with some bytes replaced. */
export function patched(frame: Uint8Array, at: number, values: number[]): Uint8Array {
  const copy = frame.slice();
  copy.set(values, at);
  return copy;
}

export interface SegmentOutcome {
  outcome: "segment";
  /** Both addresses (16 bytes each) and both ports (2 each), in hexadecimal. */
  identity: string;
  sequence: number;
  acknowledgment: number;
  flags: number;
  payload: string;
  missingLength: number;
  timestampMs: number;
}
export type Outcome = SegmentOutcome | { outcome: DropReason };

/** The expected outcome of a segment. Flags: RFC 9293, 3.1. Addresses: RFC 4291, 2.5.5.2. */
export function segmentOf(segment: Tcp, changed: Partial<SegmentOutcome> = {}): SegmentOutcome {
  const bits = { F: 0x01, S: 0x02, R: 0x04, P: 0x08, A: 0x10, U: 0x20 } as Record<string, number>;
  const mapped = (text: string) =>
    text.includes(":") ? address(text) : [...new Array<number>(10).fill(0), 0xff, 0xff, ...address(text)];
  const identity = bytes(
    mapped(segment.source),
    mapped(segment.destination),
    u16(segment.sourcePort),
    u16(segment.destinationPort),
  );
  return {
    outcome: "segment",
    identity: identity.toHex(),
    sequence: segment.sequence | 0,
    acknowledgment: (segment.acknowledgment ?? 0) | 0,
    flags: [...segment.flags].reduce((sum, flag) => sum | bits[flag]!, 0),
    payload: latin1(segment.payload ?? new Uint8Array(0)),
    missingLength: 0,
    timestampMs: 0,
    ...changed,
  };
}

export const dropped = (reason: DropReason): Outcome => ({ outcome: reason });

export function latin1(content: Uint8Array): string {
  return Buffer.from(content).toString("latin1");
}

/** TypeScript's declaration of DataView cannot be extended. */
const View = DataView as new (buffer: ArrayBuffer) => DataView;

/** A view that refuses to read outside one record. */
class GuardedView extends View {
  constructor(
    buffer: ArrayBuffer,
    private readonly low: number,
    private readonly high: number,
  ) {
    super(buffer);
  }

  override getUint8(offset: number): number {
    this.guard(offset, 1);
    return super.getUint8(offset);
  }

  override getUint16(offset: number, littleEndian?: boolean): number {
    this.guard(offset, 2);
    return super.getUint16(offset, littleEndian);
  }

  override getUint32(offset: number, littleEndian?: boolean): number {
    this.guard(offset, 4);
    return super.getUint32(offset, littleEndian);
  }

  override getInt32(offset: number, littleEndian?: boolean): number {
    this.guard(offset, 4);
    return super.getInt32(offset, littleEndian);
  }

  private guard(offset: number, length: number): void {
    if (offset >= this.low && offset + length <= this.high) return;
    throw new Error(`reads ${length} bytes at ${offset}, outside the record from ${this.low} to ${this.high}`);
  }
}

interface Placed {
  bytes: Uint8Array;
  view: DataView;
  offset: number;
}
type Surroundings = (frame: Uint8Array) => Placed;

/** The places of a record. `poison` fills the bytes around it. */
const SURROUNDINGS: Surroundings[] = [
  // Alone in its buffer: a read outside it is a RangeError.
  (frame) => ({ bytes: frame.slice(), view: new DataView(frame.slice().buffer), offset: 0 }),
  // At an odd place among bytes that are all ones, with a guard.
  (frame) => {
    const buffer = new Uint8Array(frame.length + 4096).fill(0xff);
    buffer.set(frame, 1111);
    return { bytes: buffer, view: new GuardedView(buffer.buffer, 1111, 1111 + frame.length), offset: 1111 };
  },
  // Followed by bytes that would complete the record, if they were read: its own bytes again.
  (frame) => {
    const buffer = bytes(frame, frame, frame, new Uint8Array(4096));
    return { bytes: buffer, view: new DataView(buffer.buffer as ArrayBuffer), offset: frame.length };
  },
];

/** Three decoders, one for each of the {@link SURROUNDINGS}. */
export class Decoding {
  private readonly runs;

  constructor(private readonly options: DecoderOptions = OURS) {
    this.runs = SURROUNDINGS.map((place) => {
      const counters = new Counters();
      return { place, counters, decoder: new Decoder(options, counters) };
    });
  }

  get counters(): Counters {
    return this.runs[0]!.counters;
  }

  /** Decodes a frame; fails unless it is counted exactly once, and in the same way in all surroundings. */
  feed(frame: Uint8Array, linkType = ETHERNET, timestampMs = 0): Outcome {
    const outcomes = this.runs.map(({ place, counters, decoder }) => {
      const expected = countsOf(counters);
      const { bytes, view, offset } = place(frame);
      const code = decoder.decode(bytes, view, offset, frame.length, linkType, timestampMs);
      const outcome = describeOutcome(decoder, code);
      expected.captured!++;
      expected[outcome.outcome]!++;
      if (outcome.outcome === "segment") {
        const vni = decoder.segment.identity[IDENTITY_VNI]! >>> 0;
        const { vnis } = this.options;
        if (vnis !== "any" && !vnis.includes(vni)) throw new Error(`the identity's VNI is ${vni}, not ${vnis}`);
        if (outcome.missingLength > 0) expected.truncatedSegments!++;
        if (decoder.segment.bytes === bytes) expectWithin(decoder, offset, offset + frame.length);
        else expectWithin(decoder, 0, decoder.segment.bytes.length);
      }
      expectSame(countsOf(counters), expected);
      return outcome;
    });
    for (const outcome of outcomes) expectSame(outcome, outcomes[0]!);
    return outcomes[0]!;
  }

  advance(nowMs: number): void {
    for (const { decoder } of this.runs) decoder.advance(nowMs);
  }
}

/** Decodes one frame alone and compares the outcome. */
export function check(frame: Uint8Array, expected: Outcome, linkType = ETHERNET, options: DecoderOptions = OURS): void {
  expect(new Decoding(options).feed(frame, linkType)).toEqual(expected);
}

/** All of a decoder's counts of frames, under the names of {@link Outcome}. */
function countsOf({ frames }: Counters): Record<string, number> {
  const counts: Record<string, number> = {
    captured: frames.captured,
    segment: frames.segments,
    truncatedSegments: frames.truncated,
  };
  counts.kernelDropped = frames.kernel_dropped;
  for (let i = 0; i < DROP_REASONS.length; i++) counts[DROP_REASONS[i]!] = frames.dropped[i]!;
  return counts;
}

/**
 * Like expect().toEqual, but faster for plain objects that are nearly always equal: tests here compare a million of
 * them.
 */
function expectSame(actual: object, expected: object): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) expect(actual).toEqual(expected);
}

function describeOutcome(decoder: Decoder, code: number): Outcome {
  if (code !== SEGMENT) return { outcome: DROP_REASONS[code]! };
  const { segment } = decoder;
  const identity = new DataView(new ArrayBuffer(IDENTITY_VNI * 4));
  segment.identity.subarray(0, IDENTITY_VNI).forEach((word, i) => identity.setInt32(i * 4, word));
  const { sequence, acknowledgment, flags, missingLength, timestampMs } = segment;
  return {
    outcome: "segment",
    identity: new Uint8Array(identity.buffer).toHex(),
    sequence,
    acknowledgment,
    flags,
    payload: latin1(segment.bytes.subarray(segment.payloadOffset, segment.payloadOffset + segment.payloadLength)),
    missingLength,
    timestampMs,
  };
}

function expectWithin({ segment }: Decoder, low: number, high: number): void {
  const { payloadOffset, payloadLength } = segment;
  if (payloadOffset >= low && payloadLength >= 0 && payloadOffset + payloadLength <= high) return;
  throw new Error(`the payload is ${payloadLength} bytes at ${payloadOffset}, outside ${low} to ${high}`);
}
