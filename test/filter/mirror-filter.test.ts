/** The capture filters against decode: a limited share of test/fuzz/filter-fuzz.ts, prefixes, and limits. */
import { describe, expect, test } from "bun:test";
import { DEPTHS } from "../../src/decode/cursor.ts";

import { ENCAPSULATIONS, LIST_MAX, type Mirror } from "../../src/decode/tunnel.ts";
import { mirrorFilter, rejectedFilter } from "../../src/filter/mirror-filter.ts";
import { fanoutProgram } from "../../src/filter/fanout-program.ts";
import { cooked, ethernetTagged, LINK_SLL } from "../decode/link.ts";
import { builtFrames, CORPUS_VNI } from "../fuzz/corpus.ts";
import { fuzzFilter } from "../fuzz/filter-fuzz.ts";
import { bytes, ethernet, gre, ip, mirrored, TCP, tcp, vxlanPacket } from "../support/frames.ts";
import { Machine, parse } from "./machine.ts";
import { kernelForms, nameOf, Verdicts } from "./verdicts.ts";

const OURS: Mirror = { vxlanPort: 4789, vnis: [CORPUS_VNI], ports: [80] };
const GRE = 47;
/** Each encapsulation comes twice. */
const SEEDS = 2 * ENCAPSULATIONS.length;
const FRAMES_PER_SEED = 10_000;
/** Ports with which a filter of both directions is short enough for those kernels. */
const PORTS_BOTH_MAX = 56;
const LINK_TYPES = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276];
const SEGMENT = tcp({
  source: "",
  destination: "",
  sourcePort: 1,
  destinationPort: 80,
  sequence: 1,
  flags: "A",
  payload: bytes("GET"),
});
const V4 = ip("10.0.0.1", "10.0.0.2", TCP, SEGMENT);
const outcome = (frame: Uint8Array, linkType = 1) => nameOf(new Verdicts(OURS, linkType).check(frame));

test(`${FRAMES_PER_SEED} frames from each of ${SEEDS} seeds: the filters accept the same frames as decode`, () => {
  const totals: Record<string, number> = {};
  for (let seed = 1; seed <= SEEDS; seed++) {
    for (const [name, count] of Object.entries(fuzzFilter({ seed, frames: FRAMES_PER_SEED })))
      totals[name] = (totals[name] ?? 0) + count;
  }
  for (const name of ["segment", "fragment", "truncated", "malformed_inner", "from_server", "not_vxlan"])
    expect(totals[name], name).toBeGreaterThan(0);
}, 60_000);

test("every prefix of every built frame", () => {
  for (const encapsulation of ENCAPSULATIONS) {
    const verdicts = new Map<number, Verdicts>();
    for (const { frame, linkType } of builtFrames(80, encapsulation)) {
      const ofLink = verdicts.get(linkType) ?? new Verdicts({ ...OURS, encapsulation, vnis: "any" }, linkType);
      verdicts.set(linkType, ofLink);
      for (let length = 0; length <= frame.length; length++) ofLink.check(frame.slice(0, length));
    }
  }
}, 60_000);

test.each([2 ** 24, 2 ** 31, 2 ** 32 - 1])("GRE's key %d", (key) => {
  const frame = ethernet(ip("10.0.0.1", "10.0.0.2", GRE, gre({ etherType: 0x6558, payload: ethernet(V4) }, { key })));
  const verdict = (vnis: number[]) =>
    nameOf(new Verdicts({ ...OURS, encapsulation: "gre", vnis }, 1).check(Uint8Array.from(frame)));
  expect([verdict([key]), verdict([7, key]), verdict([key - 1])]).toEqual(["segment", "segment", "other_vni"]);
});

describe("limits", () => {
  const tags = (count: number) => new Array<number>(count).fill(0x8100);
  const chain = (count: number) =>
    ip("fd00::1", "fd00::2", TCP, SEGMENT, { extensions: new Array(count).fill([60, new Uint8Array(6)]) });
  const outerChain = (count: number) =>
    mirrored(ethernet(V4), {
      vni: CORPUS_VNI,
      source: "fd00::1",
      destination: "fd00::2",
      extensions: new Array(count).fill([60, new Uint8Array(6)]),
    });

  test("VLAN tags", () => {
    const packet = vxlanPacket(ethernet(V4), { vni: CORPUS_VNI });
    expect(outcome(ethernetTagged(packet, tags(DEPTHS.vlanTags)))).toBe("segment");
    expect(outcome(ethernetTagged(packet, tags(DEPTHS.vlanTags + 1)))).toBe("not_ip");
    expect(outcome(cooked(packet, tags(DEPTHS.vlanTags)), LINK_SLL)).toBe("segment");
    expect(outcome(cooked(packet, tags(DEPTHS.vlanTags + 1)), LINK_SLL)).toBe("not_ip");
    expect(outcome(mirrored(ethernetTagged(V4, tags(DEPTHS.vlanTags)), { vni: CORPUS_VNI }))).toBe("segment");
    expect(outcome(mirrored(ethernetTagged(V4, tags(DEPTHS.vlanTags + 1)), { vni: CORPUS_VNI }))).toBe("inner_not_ip");
  });

  test("IPv6 extension headers", () => {
    expect(outcome(outerChain(DEPTHS.extensionHeaders))).toBe("segment");
    expect(outcome(outerChain(DEPTHS.extensionHeaders + 1))).toBe("malformed_outer");
    expect(outcome(mirrored(ethernet(chain(DEPTHS.extensionHeaders)), { vni: CORPUS_VNI }))).toBe("segment");
    expect(outcome(mirrored(ethernet(chain(DEPTHS.extensionHeaders + 1)), { vni: CORPUS_VNI }))).toBe(
      "malformed_inner",
    );
  });

  test("VNIs of 0 and 2^24 - 1, ports of 1 and 65535", () => {
    for (const vni of [0, 0xffffff]) {
      for (const port of [1, 0xffff]) {
        const segment = tcp({
          source: "",
          destination: "",
          sourcePort: 80,
          destinationPort: port,
          sequence: 1,
          flags: "A",
        });
        const frame = mirrored(ethernet(ip("10.0.0.1", "10.0.0.2", TCP, segment)), { vni });
        expect(nameOf(new Verdicts({ vxlanPort: 4789, vnis: [vni], ports: [port] }, 1).check(frame))).toBe("segment");
      }
    }
  });
});

test("a plain frame takes the short path", () => {
  const frame = mirrored(ethernet(V4), { vni: CORPUS_VNI });
  const machine = new Machine(mirrorFilter({ ...OURS, linkType: 1 }));
  expect(machine.run({ data: frame })).toBeGreaterThan(0xffff);
  expect(machine.executed).toBeLessThanOrEqual(60);
  // The fan-out's data begins with the network header.
  const fanout = new Machine(fanoutProgram(OURS));
  expect(fanout.run({ data: frame.slice(14), protocol: 0x0800 })).not.toBe(0);
  expect(fanout.executed).toBeLessThanOrEqual(70);
  expect(kernelForms(frame, 1).length).toBe(1);
});

/**
 * Before Linux 6.8, a socket's filter may take net.core.optmem_max = 20480 bytes, as translated to eBPF (8 bytes an
 * instruction); libpcap would run a longer one in user space.
 */
test("the filters fit into the memory that older kernels allow a socket", () => {
  const list = Array.from({ length: LIST_MAX }, (_, i) => i + 1);
  for (const linkType of LINK_TYPES) {
    for (const encapsulation of ENCAPSULATIONS) {
      const longest = { encapsulation, vxlanPort: 4789, vnis: list, ports: list, linkType };
      // With both directions, each port is tested twice, so not all of them fit.
      const both = { ...longest, ports: list.slice(0, PORTS_BOTH_MAX), takesServer: true };
      for (const program of [longest, both].flatMap((options) => [mirrorFilter(options), rejectedFilter(options)]))
        expect(translatedBytes(program), `${encapsulation} ${linkType}`).toBeLessThan(20_480);
    }
  }
});

/** After net/core/filter.c: bpf_convert_filter and convert_bpf_ld_abs. */
function translatedBytes(program: Uint8Array): number {
  let count = 16;
  for (const { code, jt, jf, k } of parse(program)) {
    const mode = code & 0xe7;
    if (mode === 0x20) count += 14;
    else if (mode === 0x40) count += 9;
    else if ((code & 0x07) === 0x06) count += 2;
    else if ((code & 0x07) === 0x05 && code !== 0x05) count += (jt === 0 || jf === 0 ? 1 : 2) + Number(k > 0x7fffffff);
    else count += 1;
  }
  return count * 8;
}
