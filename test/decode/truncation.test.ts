/**
 * Truncation, and its place. AWS truncates the mirrored frame to the target's MTU and wraps the rest in a consistent
 * packet. A capture's snapshot length leaves all lengths unchanged. Both differ from lengths that contradict each
 * other.
 */
import { describe, expect, test } from "bun:test";
import {
  bytes,
  ethernet,
  ip,
  type IpOptions,
  mirrored,
  type Outer,
  TCP,
  type Tcp,
  tcp,
  u16,
  UDP,
} from "../support/frames.ts";
import {
  check,
  Decoding,
  dropped,
  frameOf,
  latin1,
  type Outcome,
  OUTER_LEN,
  OUTER_V6,
  OUTER_V6_LEN,
  patched,
  REQUEST,
  REQUEST_V6,
  segmentOf,
  VNI,
} from "./decoding.ts";
import { ethernetTagged } from "./link.ts";

interface Shape {
  name: string;
  segment: Tcp;
  mirroredFrame: Uint8Array;
  /** The place of the mirrored frame's payload: behind Ethernet, tags, IP and TCP. */
  headersLength: number;
}

function shape(name: string, segment: Tcp, options: IpOptions, ipLength: number, tpids: number[] = []): Shape {
  const packet = ip(segment.source, segment.destination, TCP, tcp(segment), options);
  const headersLength = 14 + 4 * tpids.length + ipLength + 20 + (segment.options?.length ?? 0);
  return { name, segment, mirroredFrame: ethernetTagged(packet, tpids), headersLength };
}

const rest = new Uint8Array(6);
const tcpOptions = new Uint8Array(12).fill(1);
const SHAPES = [
  shape("IPv4", REQUEST, {}, 20),
  shape(
    "IPv4 with options, TCP with options",
    { ...REQUEST, options: tcpOptions },
    { options: new Uint8Array(24).fill(1) },
    44,
  ),
  shape("IPv4 behind two tags", REQUEST, {}, 20, [0x88a8, 0x8100]),
  shape("IPv6", REQUEST_V6, {}, 40),
  shape(
    "IPv6 with extension headers, TCP with options",
    { ...REQUEST_V6, options: tcpOptions },
    {
      extensions: [
        [0, rest],
        [43, rest],
        [60, rest],
      ],
    },
    64,
  ),
  shape(
    "IPv6 with an authentication header and an atomic fragment's",
    REQUEST_V6,
    { extensions: [[51, rest]], fragmentOffset: 0 },
    56,
    [0x8100],
  ),
  shape("an empty segment", { ...REQUEST, payload: new Uint8Array(0), flags: "S" }, {}, 20),
];

/** The expected outcome of the first `length` bytes of a mirrored frame. */
function expectedOf({ segment, mirroredFrame, headersLength }: Shape, length: number): Outcome {
  if (length < headersLength) return dropped("truncated");
  const payload = latin1(segment.payload!.slice(0, length - headersLength));
  return segmentOf(segment, { payload, missingLength: mirroredFrame.length - length });
}

/** The expected outcome of a record that ends before the mirrored frame's end. */
function expectedOuter(length: number, ipLength: number): Outcome {
  return dropped(length < 14 + ipLength + 8 ? "malformed_outer" : "not_vxlan");
}

for (const each of SHAPES) {
  describe(each.name, () => {
    const { mirroredFrame } = each;
    const outers: [name: string, outer: Outer, length: number, ipLength: number][] = [
      ["IPv4", { vni: VNI }, OUTER_LEN, 20],
      ["IPv6", { vni: VNI, ...OUTER_V6 }, OUTER_V6_LEN, 40],
    ];
    for (const [name, outer, outerLength, ipLength] of outers) {
      test(`cut by AWS at every byte, mirrored over ${name}`, () => {
        for (let length = 0; length <= mirroredFrame.length; length++) {
          check(mirrored(mirroredFrame.slice(0, length), outer), expectedOf(each, length));
        }
      });

      test(`cut by the snapshot length at every byte, mirrored over ${name}`, () => {
        const frame = mirrored(mirroredFrame, outer);
        for (let length = 0; length <= frame.length; length++) {
          const expected =
            length < outerLength ? expectedOuter(length, ipLength) : expectedOf(each, length - outerLength);
          check(frame.slice(0, length), expected);
        }
      });
    }
  });
}

describe("the owner of a cut segment is known as soon as its ports are there", () => {
  const portsEnd = 14 + 20 + 4;
  const cases: [name: string, segment: Tcp, expected: Outcome][] = [
    ["from the server", { ...REQUEST, sourcePort: 80, destinationPort: 50_000 }, dropped("from_server")],
    ["another port's", { ...REQUEST, destinationPort: 81 }, dropped("other_port")],
  ];
  for (const [name, segment, expected] of cases) {
    test(name, () => {
      const whole = ethernet(ip(segment.source, segment.destination, TCP, tcp(segment)));
      for (let length = 0; length <= whole.length; length++) {
        check(mirrored(whole.slice(0, length), { vni: VNI }), length < portsEnd ? dropped("truncated") : expected);
      }
    });
  }

  const others: [name: string, packet: Uint8Array, headersLength: number][] = [
    ["IPv4", ip("10.0.0.1", "10.0.0.2", UDP, new Uint8Array(30)), 20],
    ["IPv4 with options", ip("10.0.0.1", "10.0.0.2", UDP, new Uint8Array(30), { options: new Uint8Array(40) }), 60],
    ["IPv6", ip("fd00::1", "fd00::2", UDP, new Uint8Array(30)), 40],
    [
      "IPv6 with an extension header",
      ip("fd00::1", "fd00::2", UDP, new Uint8Array(30), { extensions: [[60, rest]] }),
      48,
    ],
  ];
  for (const [name, packet, headersLength] of others) {
    test(`mirrored UDP is recognised as not ours as soon as its ${name} headers are there`, () => {
      for (let length = 0; length <= packet.length; length++) {
        check(
          mirrored(ethernet(packet).slice(0, 14 + length), { vni: VNI }),
          dropped(length < headersLength ? "truncated" : "not_tcp"),
        );
      }
    });
  }
});

describe("the tail's length comes from the mirrored packet", () => {
  test("cut padding is not missing", () => {
    const padded = bytes(
      ethernet(ip(REQUEST.source, REQUEST.destination, TCP, tcp({ ...REQUEST, payload: bytes("ab") }))),
      new Uint8Array(20),
    );
    for (let cut = 0; cut <= 20; cut++) {
      check(mirrored(padded.slice(0, padded.length - cut), { vni: VNI }), segmentOf(REQUEST, { payload: "ab" }));
    }
  });

  test("a segment of 65,495 bytes cut to 10", () => {
    const segment: Tcp = { ...REQUEST, payload: new Uint8Array(65_495).fill(0x61) };
    const whole = ethernet(ip(segment.source, segment.destination, TCP, tcp(segment)));
    check(
      mirrored(whole.slice(0, 54 + 10), { vni: VNI }),
      segmentOf(REQUEST, { payload: "aaaaaaaaaa", missingLength: 65_485 }),
    );
  });

  test("cut frames are counted as truncated, whole ones are not", () => {
    const decoding = new Decoding();
    const frame = frameOf(REQUEST);
    decoding.feed(frame);
    decoding.feed(frame.slice(0, -1));
    decoding.feed(frame.slice(0, OUTER_LEN + 54));
    decoding.feed(frame.slice(0, OUTER_LEN + 53));
    const { segments, truncated } = decoding.counters.frames;
    expect([segments, truncated]).toEqual([3, 2]);
    expect(decoding.counters.snapshot().frames.dropped.truncated).toBe(1);
  });
});

describe("lengths that no whole packet could have are malformed, cut or not", () => {
  const packet = ip(REQUEST.source, REQUEST.destination, TCP, tcp(REQUEST));
  const packetV6 = ip(REQUEST_V6.source, REQUEST_V6.destination, TCP, tcp(REQUEST_V6), { extensions: [[60, rest]] });
  const cases: [name: string, packet: Uint8Array, from: number][] = [
    // Each is cut at every length from `from`, where the contradicting fields are all captured.
    ["IPv4: a total length below the header's", patched(packet, 2, u16(19)), 20],
    ["IPv4: a header length below 5 words", patched(packet, 0, [0x44]), 20],
    ["IPv4: a total length that leaves no whole TCP header", patched(packet, 2, u16(39)), 24],
    ["TCP: a data offset below 5 words", patched(packet, 32, [0x40]), 40],
    ["TCP: a data offset beyond the total length", patched(patched(packet, 2, u16(44)), 32, [0x70]), 40],
    ["IPv6: a payload length that leaves no whole TCP header", patched(packetV6, 4, u16(8 + 19)), 52],
    ["IPv6: an extension header beyond the payload length", patched(packetV6, 41, [200]), 48],
    ["IPv6: an extension header's first bytes beyond the payload length", patched(packetV6, 4, u16(4)), 40],
  ];
  for (const [name, damaged, from] of cases) {
    test(name, () => {
      for (let length = from; length <= damaged.length; length++) {
        check(mirrored(ethernet(damaged).slice(0, 14 + length), { vni: VNI }), dropped("malformed_inner"));
      }
    });
  }
});
