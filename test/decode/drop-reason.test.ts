/** Every reason is reached, each frame is counted once, and the counters add up. */
import { expect, test } from "bun:test";
import { DROP_REASONS, type DropReason } from "../../src/decode/drop-reason.ts";
import type { Encapsulation } from "../../src/decode/tunnel.ts";
import { bytes, ethernet, ip, mirrored, TCP, tcp, u16, UDP, udp } from "../support/frames.ts";
import {
  Decoding,
  dropped,
  ETHERNET,
  frameOf,
  inner,
  OURS,
  OUTER_LEN,
  patched,
  REQUEST,
  REQUEST_V6,
  segmentOf,
  VNI,
} from "./decoding.ts";

const FRAME = frameOf(REQUEST);
const INNER = inner(REQUEST);

/** For each reason, frames that are dropped with it. The compiler requires every reason here. */
const BY_REASON: Record<DropReason, { frame: Uint8Array; linkType?: number; encapsulation?: Encapsulation }[]> = {
  unsupported_link_type: [
    { frame: FRAME, linkType: 105 },
    { frame: new Uint8Array(0), linkType: 105 },
  ],
  malformed_outer: [{ frame: new Uint8Array(0) }, { frame: FRAME.slice(0, 40) }, { frame: patched(FRAME, 14, [0x43]) }],
  not_ip: [{ frame: patched(FRAME, 12, u16(0x0806)) }, { frame: patched(FRAME, 12, u16(0x8864)) }],
  not_udp: [{ frame: patched(FRAME, 14 + 9, [1]) }, { frame: ethernet(ip("10.0.0.1", "10.0.0.2", TCP, tcp(REQUEST))) }],
  other_udp_port: [{ frame: ethernet(ip("10.0.0.1", "10.0.0.2", UDP, udp(53, 53, bytes("?")))) }],
  not_vxlan: [
    { frame: patched(FRAME, OUTER_LEN - 8, [0]) },
    { frame: ethernet(ip("10.0.0.1", "10.0.0.2", UDP, udp(1, 4789, bytes("?")))) },
  ],
  other_vni: [{ frame: mirrored(INNER, { vni: VNI ^ 1 }) }],
  inner_not_ip: [{ frame: mirrored(patched(INNER, 12, u16(0x0806)), { vni: VNI }) }],
  not_tcp: [{ frame: mirrored(ethernet(ip("10.0.0.1", "10.0.0.2", UDP, udp(53, 80, bytes("?")))), { vni: VNI }) }],
  other_port: [{ frame: frameOf({ ...REQUEST, destinationPort: 81 }) }],
  from_server: [{ frame: frameOf({ ...REQUEST, sourcePort: 80, destinationPort: 50_000 }) }],
  malformed_inner: [
    { frame: patched(FRAME, OUTER_LEN + 14, [0x43]) },
    { frame: patched(FRAME, OUTER_LEN + 14 + 20 + 12, [0x40]) },
  ],
  truncated: [
    { frame: mirrored(INNER.slice(0, 13), { vni: VNI }) },
    { frame: mirrored(INNER.slice(0, 40), { vni: VNI }) },
  ],
  fragment: [
    {
      frame: mirrored(ethernet(ip("10.0.0.1", "10.0.0.2", TCP, tcp(REQUEST).slice(0, 24), { moreFragments: true })), {
        vni: VNI,
      }),
    },
    { frame: mirrored(INNER, { vni: VNI, moreFragments: true, identification: 3 }) },
  ],
  other_ip_protocol: [{ frame: FRAME, encapsulation: "gre" }],
  not_gre: [
    { frame: ethernet(ip("10.0.0.1", "10.0.0.2", 47, bytes([0, 1, 8, 0]))), encapsulation: "gre" },
    { frame: ethernet(ip("10.0.0.1", "10.0.0.2", 47, bytes([0, 0, 8]))), encapsulation: "gre" },
  ],
  not_geneve: [{ frame: ethernet(ip("10.0.0.1", "10.0.0.2", UDP, udp(1, 6081, bytes("?")))), encapsulation: "geneve" }],
  own_connection: [{ frame: INNER, encapsulation: "none" }],
};
/** The reasons that exist with VXLAN. */
const OF_VXLAN = DROP_REASONS.filter((reason) =>
  BY_REASON[reason].every(({ encapsulation }) => encapsulation === undefined),
);
/** In the test of this reason, all connections are our own. */
const ownOf = (reason: DropReason) => (reason === "own_connection" ? { has: () => true } : undefined);

for (const reason of DROP_REASONS) {
  test(`${reason} is reached, and counted once`, () => {
    for (const { frame, linkType, encapsulation = "vxlan" } of BY_REASON[reason]) {
      expect(new Decoding({ ...OURS, encapsulation, own: ownOf(reason) }).feed(frame, linkType ?? ETHERNET)).toEqual(
        dropped(reason),
      );
    }
  });
}

test("all frames through one decoder: captured = segments + Σ dropped", () => {
  const decoding = new Decoding();
  let captured = 0;
  for (const reason of OF_VXLAN) {
    for (const { frame, linkType } of BY_REASON[reason]) {
      expect(decoding.feed(frame, linkType ?? ETHERNET)).toEqual(dropped(reason));
      expect(decoding.feed(frameOf(REQUEST_V6))).toEqual(segmentOf(REQUEST_V6));
      captured += 2;
    }
  }
  const { frames } = decoding.counters;
  expect(frames.captured).toBe(captured);
  expect(frames.segments).toBe(captured / 2);
  expect(frames.dropped).toEqual(
    DROP_REASONS.map((reason) => (OF_VXLAN.includes(reason) ? BY_REASON[reason].length : 0)),
  );
  expect(frames.truncated).toBe(0);
  expect(frames.kernel_dropped).toBe(0);
});

test("the summary has a count for each reason", () => {
  const decoding = new Decoding();
  OF_VXLAN.forEach((reason, i) => {
    const { frame, linkType } = BY_REASON[reason][0]!;
    // Fragments are the first parts of whole datagrams: a repeated one waits as well.
    for (let times = 0; times <= i; times++) decoding.feed(frame, linkType ?? ETHERNET);
  });
  const { dropped: byName } = decoding.counters.snapshot().frames;
  expect(byName).toEqual(
    Object.fromEntries(DROP_REASONS.map((reason) => [reason, OF_VXLAN.indexOf(reason) + 1])) as typeof byName,
  );
});
