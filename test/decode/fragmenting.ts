/** Datagrams cut into IP fragments, for the tests of reassembly. */
import { expect } from "bun:test";
import { ethernet, ip, type IpOptions, mirrored, TCP, type Tcp, tcp, UDP } from "../support/frames.ts";
import { Decoding, dropped, type Outcome, REQUEST, REQUEST_V6, tunnelDatagram, VNI } from "./decoding.ts";

export const OUTER_V4 = { source: "172.31.0.238", destination: "172.31.17.188" };
export const PAYLOAD = Uint8Array.from({ length: 200 }, (_, i) => (i * 7) & 0xff);
export const SEGMENT: Tcp = { ...REQUEST, payload: PAYLOAD };
export const SEGMENT_V6: Tcp = { ...REQUEST_V6, payload: PAYLOAD };
export const FRAGMENT = dropped("fragment");

export interface Addresses {
  source: string;
  destination: string;
}

/** A datagram's payload cut behind each of `cuts`, multiples of 8, as IP packets. */
export function fragmentsOf(
  { source, destination }: Addresses,
  protocol: number,
  payload: Uint8Array,
  cuts: number[],
  options: IpOptions = {},
): Uint8Array[] {
  const bounds = [0, ...cuts, payload.length];
  return bounds.slice(1).map((end, i) =>
    ip(source, destination, protocol, payload.slice(bounds[i], end), {
      identification: 0x1234,
      ...options,
      fragmentOffset: bounds[i]!,
      moreFragments: end !== payload.length,
    }),
  );
}

export const mirror = (packet: Uint8Array) => mirrored(ethernet(packet), { vni: VNI });
/** Mirrored fragments of a segment, each in its own mirror packet. */
export const innerFragments = (segment: Tcp, cuts: number[], options: IpOptions = {}) =>
  fragmentsOf(segment, TCP, tcp(segment), cuts, options).map(mirror);
/** A mirror packet in fragments. */
export const outerFragments = (addresses: Addresses, innerFrame: Uint8Array, cuts: number[], options: IpOptions = {}) =>
  fragmentsOf(addresses, UDP, tunnelDatagram(innerFrame), cuts, options).map((packet) => ethernet(packet));

export function permutations<T>(values: T[]): T[][] {
  if (values.length < 2) return [values];
  return values.flatMap((value, i) =>
    permutations([...values.slice(0, i), ...values.slice(i + 1)]).map((others) => [value, ...others]),
  );
}

/** Feeds frames; all except the last must wait, and the last must give `expected`. */
export function checkAll(frames: Uint8Array[], expected: Outcome, decoding = new Decoding()): Decoding {
  frames.forEach((frame, i) => expect(decoding.feed(frame)).toEqual(i < frames.length - 1 ? FRAGMENT : expected));
  return decoding;
}
