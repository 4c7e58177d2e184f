/** The fan-out's hash: one value for a connection, for any headers around it, and values that spread. */
import { describe, expect, test } from "bun:test";
import { fanoutProgram } from "../../src/filter/fanout-program.ts";
import { ethernetTagged } from "../decode/link.ts";
import { bytes, ethernet, ip, type IpOptions, type Outer, TCP, tcp, UDP, vxlanPacket } from "../support/frames.ts";
import { WAYS } from "../support/encapsulations.ts";
import { Random } from "../support/random.ts";
import { layeredFrame } from "./layered-frames.ts";
import { Machine } from "./machine.ts";

const machine = new Machine(fanoutProgram({ vxlanPort: 4789 }));
const OUTGOING = 4;

function received(packet: Uint8Array): number {
  return machine.run({ data: packet, protocol: packet[0]! >> 4 === 6 ? 0x86dd : 0x0800 });
}

function inner(
  source: string,
  destination: string,
  sourcePort: number,
  destinationPort: number,
  options: IpOptions = {},
  tpids: number[] = [],
): Uint8Array {
  return ethernetTagged(
    ip(
      source,
      destination,
      TCP,
      tcp({ source, destination, sourcePort, destinationPort, sequence: 7, flags: "A" }),
      options,
    ),
    tpids,
  );
}

const hashOf = (frame: Uint8Array, outer: Partial<Outer> = {}) => received(vxlanPacket(frame, { vni: 42, ...outer }));

const FAMILIES = [
  ["10.0.0.1", "10.0.0.2", {}],
  ["2001:db8::1", "2001:db8::2", { extensions: [[60, new Uint8Array(6)]] }],
] as [string, string, IpOptions][];

for (const [a, b, options] of FAMILIES) {
  describe(`${a} to ${b}`, () => {
    const hash = hashOf(inner(a, b, 5000, 80));
    test("the same for both directions, and different for other connections", () => {
      expect(hash).not.toBe(0);
      expect(hashOf(inner(b, a, 80, 5000))).toBe(hash);
      expect(hashOf(inner(a, b, 80, 5000))).not.toBe(hash);
      expect(hashOf(inner(a, b, 5001, 80))).not.toBe(hash);
    });

    test("the same for any headers around it", () => {
      expect(hashOf(inner(a, b, 5000, 80), { sourcePort: 1, ttl: 3, vni: 7 })).toBe(hash);
      expect(
        hashOf(inner(a, b, 5000, 80), {
          source: "fd00::1",
          destination: "fd00::2",
          extensions: [[0, new Uint8Array(14)]],
        }),
      ).toBe(hash);
      expect(hashOf(inner(a, b, 5000, 80), { options: new Uint8Array(8).fill(1) })).toBe(hash);
      expect(hashOf(inner(a, b, 5000, 80, { ...options, options: new Uint8Array(12).fill(1) }, [0x88a8, 0x8100]))).toBe(
        hash,
      );
      expect(hashOf(bytes(inner(a, b, 5000, 80), "payload"))).toBe(hash);
    });

    test("outgoing: the data begins with the link header", () => {
      const data = ethernet(vxlanPacket(inner(a, b, 5000, 80), { vni: 42 }));
      expect(machine.run({ data, protocol: 0x0800, pktType: OUTGOING, networkOffset: 14 })).toBe(hash);
    });

    test("behind tags", () => {
      const packet = vxlanPacket(inner(a, b, 5000, 80), { vni: 42 });
      expect(machine.run({ data: bytes([0, 5, 0x08, 0x00], packet), protocol: 0x8100, hasTag: true })).toBe(hash);
    });

    test("fragments of a mirrored packet have the same value", () => {
      const fragment = (fragmentOffset: number, moreFragments: boolean) =>
        hashOf(ethernet(ip(a, b, TCP, new Uint8Array(24), { identification: 9, fragmentOffset, moreFragments })));
      expect(fragment(24, false)).toBe(fragment(0, true));
      expect(fragment(0, true)).not.toBe(0);
    });

    test("fragments of a mirror packet have the same value", () => {
      const fragment = (fragmentOffset: number, moreFragments: boolean, identification = 9) =>
        received(ip(a, b, UDP, new Uint8Array(24), { identification, fragmentOffset, moreFragments }));
      expect(fragment(24, false)).toBe(fragment(0, true));
      expect(fragment(0, true)).not.toBe(fragment(0, true, 10));
    });
  });
}

describe.each([...WAYS])("$name", ({ encapsulation, wrap }) => {
  const program = new Machine(fanoutProgram({ encapsulation, vxlanPort: 4789 }));
  const hash = (frame: Uint8Array) => {
    const wrapped = wrap(frame, 42);
    return program.run({ data: wrapped.slice(14), protocol: wrapped[12]! * 256 + wrapped[13]! });
  };
  test.each(FAMILIES)("both directions of %s and %s, fragments, and no other connection", (a, b, options) => {
    const one = hash(inner(a, b, 5000, 80, options));
    expect(one).not.toBe(0);
    expect(hash(inner(b, a, 80, 5000, options))).toBe(one);
    expect(hash(inner(a, b, 5001, 80, options))).not.toBe(one);
    // As in VXLAN: the headers around it do not matter.
    expect(one).toBe(hashOf(inner(a, b, 5000, 80)));
    const fragment = (fragmentOffset: number, moreFragments: boolean) =>
      hash(ethernet(ip(a, b, TCP, new Uint8Array(24), { identification: 9, fragmentOffset, moreFragments })));
    expect(fragment(24, false)).toBe(fragment(0, true));
    expect(fragment(0, true)).not.toBe(0);
  });
});

describe("spreads over 2, 3, 4, 8 and 16 sockets", () => {
  const FLOWS = 4096;
  const address = (i: number) => `10.0.${i >> 8}.${i & 0xff}`;
  const v6 = (i: number) => `2001:db8::${i.toString(16)}`;
  const table: [name: string, flow: (i: number) => Uint8Array][] = [
    ["ports of one client", (i) => inner("10.0.0.1", "10.1.0.2", 32_768 + i, 80)],
    ["even ports of one client", (i) => inner("10.0.0.1", "10.1.0.2", 32_768 + 2 * i, 80)],
    ["clients with one port", (i) => inner(address(i), "10.1.0.2", 5000, 80)],
    ["clients with a port each", (i) => inner(address(i), "10.1.0.2", 60_000 - i, 80)],
    ["IPv6 ports", (i) => inner("2001:db8::1", "fd00::2", 32_768 + i, 80)],
    ["IPv6 clients", (i) => inner(v6(i), "fd00::2", 5000, 80)],
  ];
  for (const [name, flow] of table) {
    test(name, () => {
      const hashes = Array.from({ length: FLOWS }, (_, i) => hashOf(flow(i)));
      for (const sockets of [2, 3, 4, 8, 16]) {
        const counts = new Array<number>(sockets).fill(0);
        for (const hash of hashes) counts[hash % sockets]!++;
        for (const count of counts)
          expect(Math.abs((count * sockets) / FLOWS - 1), `${counts.join(" ")}`).toBeLessThan(0.2);
      }
      // Also a few flows do not all have the same value.
      const firsts = hashes.slice(0, 64).filter((hash) => hash % 2 === 0).length;
      expect(firsts).toBeGreaterThanOrEqual(64 * 0.3);
      expect(firsts).toBeLessThanOrEqual(64 * 0.7);
    });
  }
});

test("random frames have some value", () => {
  const random = new Random(1);
  for (let i = 0; i < 20_000; i++) {
    const { frame } = layeredFrame(random, { vxlanPort: 4789, vnis: [42], ports: [80] });
    const value = machine.run({ data: frame.slice(14), protocol: random.pick([0x0800, 0x86dd, 0x8100, 0x0806]) });
    expect(value >= 0 && value <= 0xffffffff).toBe(true);
  }
});
