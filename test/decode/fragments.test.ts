/** IP fragments, of mirror packets and of mirrored packets, put together in any order (RFC 791, 3.2; RFC 8200, 4.5). */
import { describe, expect, test } from "bun:test";
import { CHECKSUM_SAMPLES_MAX } from "../../src/decode/decoder.ts";
import { bytes, ethernet, ip, type IpOptions, mirrored, TCP, type Tcp, tcp, UDP, udp } from "../support/frames.ts";
import {
  check,
  Decoding,
  dropped,
  inner,
  latin1,
  type Outcome,
  OUTER_V6,
  patched,
  REQUEST,
  REQUEST_V6,
  segmentOf,
  tunnelDatagram,
  VNI,
} from "./decoding.ts";
import {
  type Addresses,
  checkAll,
  FRAGMENT,
  fragmentsOf,
  innerFragments,
  mirror,
  OUTER_V4,
  outerFragments,
  PAYLOAD,
  permutations,
  SEGMENT,
  SEGMENT_V6,
} from "./fragmenting.ts";

interface Layer {
  name: string;
  segment: Tcp;
  /** Fragments of a frame with the segment, cut at these places of the fragmented part. */
  fragments: (cuts: number[], options?: IpOptions) => Uint8Array[];
  malformed: Outcome;
}
const LAYERS: Layer[] = [
  {
    name: "inner IPv4",
    segment: SEGMENT,
    fragments: (cuts, options) => innerFragments(SEGMENT, cuts, options),
    malformed: dropped("malformed_inner"),
  },
  {
    name: "inner IPv6",
    segment: SEGMENT_V6,
    fragments: (cuts, options) => innerFragments(SEGMENT_V6, cuts, options),
    malformed: dropped("malformed_inner"),
  },
  {
    name: "outer IPv4",
    segment: SEGMENT,
    fragments: (cuts, options) => outerFragments(OUTER_V4, inner(SEGMENT), cuts, options),
    malformed: dropped("malformed_outer"),
  },
  {
    name: "outer IPv6",
    segment: SEGMENT_V6,
    fragments: (cuts, options) => outerFragments(OUTER_V6, inner(SEGMENT_V6), cuts, options),
    malformed: dropped("malformed_outer"),
  },
];

for (const { name, segment, fragments, malformed } of LAYERS) {
  describe(name, () => {
    const whole = segmentOf(segment);

    // Cuts in the payload, cuts inside the transport header, and one fragment for each eight bytes.
    for (const cuts of [[104], [80, 144], [8, 16, 160], [48, 56, 64]]) {
      test(`${cuts.length + 1} fragments cut at ${cuts}, in every order`, () => {
        for (const order of permutations(fragments(cuts))) {
          const { fragments: counted } = checkAll(order, whole).counters;
          expect(counted).toEqual({ completed: 1, expired: 0, evicted: 0 });
        }
      });
    }

    test("the smallest fragments, backwards", () => {
      const cuts = Array.from({ length: 27 }, (_, i) => (i + 1) * 8);
      checkAll(fragments(cuts).reverse(), whole);
    });

    test("each fragment twice: one segment, and the copy of the last one waits", () => {
      const [a, b, c] = fragments([80, 144]) as [Uint8Array, Uint8Array, Uint8Array];
      const decoding = checkAll([a, a, b, b, c], whole);
      expect(decoding.feed(c)).toEqual(FRAGMENT);
    });

    test("all fragments a second time: the segment a second time", () => {
      const frames = fragments([80, 144]);
      checkAll(frames, whole, checkAll(frames, whole));
    });

    test("a datagram of another identification between them does not mix in", () => {
      const [a, b] = fragments([80], { identification: 1 }) as [Uint8Array, Uint8Array];
      const [c, d] = fragments([80], { identification: 2 }) as [Uint8Array, Uint8Array];
      const decoding = new Decoding();
      expect([a, c, b, d].map((frame) => decoding.feed(frame))).toEqual([FRAGMENT, FRAGMENT, whole, whole]);
    });

    test("a fragment of length zero is malformed and harms nothing", () => {
      const [a, b] = fragments([80]) as [Uint8Array, Uint8Array];
      const decoding = new Decoding();
      expect(decoding.feed(a)).toEqual(FRAGMENT);
      const empty = [fragments([0])[0]!, fragments([80, 80])[1]!, fragments([160, 160])[1]!];
      for (const frame of empty) expect(decoding.feed(frame)).toEqual(malformed);
      expect(decoding.feed(b)).toEqual(whole);
    });

    test("an incomplete datagram is given up 30 s after its first fragment, not earlier, and counted", () => {
      const [a, b, c] = fragments([80, 144]) as [Uint8Array, Uint8Array, Uint8Array];
      const start = 1_700_000_000_000;
      const at = (decoding: Decoding, frame: Uint8Array, timestampMs: number) => (
        decoding.advance(timestampMs),
        decoding.feed(frame, 1, timestampMs)
      );
      const inTime = new Decoding();
      expect(at(inTime, a, start)).toEqual(FRAGMENT);
      expect(at(inTime, b, start + 29_000)).toEqual(FRAGMENT);
      expect(at(inTime, c, start + 29_999)).toEqual({ ...whole, timestampMs: start + 29_999 } as Outcome);
      expect(inTime.counters.fragments).toEqual({ completed: 1, expired: 0, evicted: 0 });

      const late = new Decoding();
      expect(at(late, a, start)).toEqual(FRAGMENT);
      expect(at(late, b, start + 29_000)).toEqual(FRAGMENT);
      expect(at(late, c, start + 30_000)).toEqual(FRAGMENT);
      expect(late.counters.fragments).toEqual({ completed: 0, expired: 1, evicted: 0 });
      expect(at(late, a, start + 30_001)).toEqual(FRAGMENT);
      expect(at(late, b, start + 30_002)).toEqual({ ...whole, timestampMs: start + 30_002 } as Outcome);
    });

    test("given up although no other fragment comes", () => {
      const [a, b] = fragments([80]) as [Uint8Array, Uint8Array];
      const decoding = new Decoding();
      decoding.advance(5000);
      decoding.feed(a, 1, 5000);
      decoding.advance(34_999);
      expect(decoding.counters.fragments.expired).toBe(0);
      decoding.advance(35_000);
      expect(decoding.counters.fragments.expired).toBe(1);
      expect(decoding.feed(b, 1, 35_000)).toEqual(FRAGMENT);
    });
  });
}

describe("fragments in fragments", () => {
  for (const [innerSegment, outer] of [SEGMENT, SEGMENT_V6].flatMap((segment) =>
    [OUTER_V4, OUTER_V6].map((outer) => [segment, outer] as const),
  )) {
    const families = `${innerSegment === SEGMENT ? "IPv4" : "IPv6"} in ${outer === OUTER_V4 ? "IPv4" : "IPv6"}`;
    test(`${families}: three mirrored fragments, each in two, in every order`, () => {
      const packets = fragmentsOf(innerSegment, TCP, tcp(innerSegment), [64, 128]);
      const frames = packets.flatMap((packet, i) =>
        outerFragments(outer, ethernet(packet), [48], { identification: 100 + i }),
      );
      for (const order of permutations(frames)) {
        const { fragments } = checkAll(order, segmentOf(innerSegment)).counters;
        expect(fragments).toEqual({ completed: 4, expired: 0, evicted: 0 });
      }
    });
  }

  test("the same identification and addresses inside and outside are two datagrams", () => {
    for (const addresses of [OUTER_V4, OUTER_V6]) {
      const segment: Tcp = { ...SEGMENT, ...addresses };
      const packets = fragmentsOf(addresses, TCP, tcp(segment), [64], { identification: 7 });
      const frames = packets.flatMap((packet) =>
        outerFragments(addresses, ethernet(packet), [48], { identification: 7 }),
      );
      checkAll(frames, segmentOf(segment));
    }
  });
});

describe("which fragments belong together", () => {
  const other = (changed: Partial<Tcp>): Tcp => ({ ...SEGMENT, ...changed });
  const cases: [name: string, a: Uint8Array[], b: Uint8Array[]][] = [
    ["source address", innerFragments(SEGMENT, [80]), innerFragments(other({ source: "10.1.2.4" }), [80])],
    [
      "destination address",
      innerFragments(SEGMENT, [80]),
      innerFragments(other({ destination: "192.168.255.253" }), [80]),
    ],
    [
      "source address, IPv6",
      innerFragments(SEGMENT_V6, [80]),
      innerFragments({ ...SEGMENT_V6, source: "2001:db8::ff:4" }, [80]),
    ],
    [
      "first word of the source address, IPv6",
      innerFragments(SEGMENT_V6, [80]),
      innerFragments({ ...SEGMENT_V6, source: "2001:db9::ff:3" }, [80]),
    ],
    [
      "destination address, IPv6",
      innerFragments(SEGMENT_V6, [80]),
      innerFragments({ ...SEGMENT_V6, destination: "fe80:0:0:1::1:80" }, [80]),
    ],
    [
      "high half of the identification, IPv6",
      innerFragments(SEGMENT_V6, [80], { identification: 0x10005 }),
      innerFragments(SEGMENT_V6, [80], { identification: 5 }),
    ],
    ["IP version", innerFragments(SEGMENT, [80]), innerFragments(SEGMENT_V6, [80])],
  ];
  for (const [name, a, b] of cases) {
    test(`two datagrams that differ in ${name} are not mixed`, () => {
      const decoding = new Decoding();
      expect(decoding.feed(a[0]!)).toEqual(FRAGMENT);
      expect(decoding.feed(b[1]!)).toEqual(FRAGMENT);
      expect(decoding.feed(b[0]!)).toHaveProperty("outcome", "segment");
      expect(decoding.feed(a[1]!)).toHaveProperty("outcome", "segment");
    });
  }

  test("IPv4: another protocol is another datagram (RFC 791)", () => {
    const [first, last] = innerFragments(SEGMENT, [80]) as [Uint8Array, Uint8Array];
    const decoding = new Decoding();
    const udpFirst = mirror(fragmentsOf(SEGMENT, UDP, new Uint8Array(220), [80])[0]!);
    expect([udpFirst, last, first].map((frame) => decoding.feed(frame))).toEqual([
      dropped("not_tcp"),
      FRAGMENT,
      segmentOf(SEGMENT),
    ]);
  });

  test("IPv4: each fragment names the datagram's protocol, and fragments with another protocol take no place", () => {
    const decoding = new Decoding();
    const extension = fragmentsOf(SEGMENT, 60, bytes([TCP, 0, 0, 0, 0, 0, 0, 0], tcp(SEGMENT)), [16]);
    for (const packet of [...fragmentsOf(SEGMENT, UDP, new Uint8Array(220), [80]), ...extension]) {
      expect(decoding.feed(mirror(packet))).toEqual(dropped("not_tcp"));
    }
    for (const packet of fragmentsOf(OUTER_V4, TCP, new Uint8Array(220), [80]))
      expect(decoding.feed(ethernet(packet))).toEqual(dropped("not_udp"));
  });

  test("IPv6: only the first fragment's next header counts (RFC 8200)", () => {
    const frames = innerFragments(SEGMENT_V6, [80, 160]);
    // The fragment header's first byte, behind the outer layers, Ethernet and the fixed header.
    const at = frames[0]!.length - 80 - 8;
    for (const order of permutations([frames[0]!, patched(frames[1]!, at, [UDP]), patched(frames[2]!, at, [59])]))
      checkAll(order, segmentOf(SEGMENT_V6));
  });

  test("IPv6: if there are two first fragments, the first of them names the datagram's protocol", () => {
    const [a, b] = innerFragments(SEGMENT_V6, [80]) as [Uint8Array, Uint8Array];
    const at = a.length - 80 - 8;
    checkAll([a, patched(a, at, [UDP]), b], segmentOf(SEGMENT_V6));
    checkAll([patched(a, at, [UDP]), a, b], dropped("not_tcp"));
  });

  test("tags, link types and hop limits may differ between fragments", () => {
    const [a, b] = fragmentsOf(OUTER_V4, UDP, tunnelDatagram(inner(SEGMENT)), [80], { ttl: 3 }) as [
      Uint8Array,
      Uint8Array,
    ];
    const decoding = new Decoding();
    expect(decoding.feed(ethernet(a, [5, 6]))).toEqual(FRAGMENT);
    expect(decoding.feed(patched(b, 8, [99]), 101)).toEqual(segmentOf(SEGMENT));
  });
});

describe("the outcome of a completed datagram", () => {
  const table: [name: string, frames: Uint8Array[], expected: Outcome][] = [
    [
      "from the server",
      innerFragments({ ...SEGMENT, sourcePort: 80, destinationPort: 50_000 }, [80]),
      dropped("from_server"),
    ],
    ["another port's", innerFragments({ ...SEGMENT, destinationPort: 81 }, [80]), dropped("other_port")],
    [
      "another UDP port's",
      fragmentsOf(OUTER_V4, UDP, udp(53, 53, new Uint8Array(220)), [80]).map((packet) => ethernet(packet)),
      dropped("other_udp_port"),
    ],
    ["another VNI's", outerOf(OUTER_V4, patched(tunnelDatagram(inner(SEGMENT)), 12, [0, 0, 1])), dropped("other_vni")],
    [
      "without VXLAN's I flag",
      outerOf(OUTER_V6, patched(tunnelDatagram(inner(SEGMENT)), 8, [0])),
      dropped("not_vxlan"),
    ],
    ["too short for UDP", outerOf(OUTER_V4, new Uint8Array(7), []), dropped("malformed_outer")],
    [
      "too short for TCP's ports",
      fragmentsOf(SEGMENT, TCP, new Uint8Array(3), []).map(mirror),
      dropped("malformed_inner"),
    ],
    [
      "with a data offset beyond it",
      fragmentsOf(SEGMENT, TCP, patched(tcp({ ...SEGMENT, payload: bytes("abcdefg") }), 12, [0x70]), [24]).map(mirror),
      dropped("malformed_inner"),
    ],
  ];
  for (const [name, frames, expected] of table) test(name, () => void checkAll(frames, expected));

  /** One datagram in the outer layer, in two fragments. */
  function outerOf(addresses: Addresses, datagram: Uint8Array, cuts = [80]): Uint8Array[] {
    return fragmentsOf(addresses, UDP, datagram, cuts).map((packet) => ethernet(packet));
  }

  test("IPv6 extension headers before and behind the fragment header are skipped", () => {
    const rest = new Uint8Array(6);
    // Behind it: destination options of 16 bytes, then TCP. They may be split between fragments.
    const fragmentable = bytes([TCP, 1], new Uint8Array(14), tcp(SEGMENT_V6));
    for (const cuts of [[8], [16], [8, 16, 24], [48, 104]]) {
      const packets = fragmentsOf(SEGMENT_V6, 60, fragmentable, cuts, {
        extensions: [
          [0, rest],
          [43, rest],
        ],
      });
      for (const order of permutations(packets.map(mirror))) checkAll(order, segmentOf(SEGMENT_V6));
    }
    const outerFragmentable = bytes([UDP, 0], rest, tunnelDatagram(inner(SEGMENT)));
    for (const order of permutations(fragmentsOf(OUTER_V6, 60, outerFragmentable, [8, 64]))) {
      checkAll(
        order.map((packet) => ethernet(packet)),
        segmentOf(SEGMENT),
      );
    }
  });

  test("an atomic fragment's header inside a completed datagram is skipped", () => {
    const fragmentable = bytes([TCP, 0, 0, 0, 0, 0, 0, 9], tcp(SEGMENT_V6));
    checkAll(fragmentsOf(SEGMENT_V6, 44, fragmentable, [16]).map(mirror), segmentOf(SEGMENT_V6));
  });

  test("a fragment inside a completed datagram of the same layer is malformed", () => {
    const fragmentable = bytes([TCP, 0, 0, 1, 0, 0, 0, 9], tcp(SEGMENT_V6));
    checkAll(fragmentsOf(SEGMENT_V6, 44, fragmentable, [16]).map(mirror), dropped("malformed_inner"));
  });

  test("an extension header that is longer than the datagram is malformed", () => {
    const fragmentable = bytes([TCP, 255], new Uint8Array(6), tcp(SEGMENT_V6));
    checkAll(fragmentsOf(SEGMENT_V6, 60, fragmentable, [16]).map(mirror), dropped("malformed_inner"));
    checkAll(
      fragmentsOf(OUTER_V6, 60, fragmentable, [16]).map((packet) => ethernet(packet)),
      dropped("malformed_outer"),
    );
  });

  test("a frame between fragments is decoded as usual", () => {
    const [a, b] = innerFragments(SEGMENT, [80]) as [Uint8Array, Uint8Array];
    const decoding = new Decoding();
    expect(decoding.feed(a)).toEqual(FRAGMENT);
    for (const outer of [OUTER_V6, {}]) {
      for (const segment of [REQUEST, REQUEST_V6])
        expect(decoding.feed(mirrored(inner(segment), { vni: VNI, ...outer }))).toEqual(segmentOf(segment));
    }
    expect(decoding.counters.fragments.completed).toBe(0);
    expect(decoding.feed(b)).toEqual(segmentOf(SEGMENT));
  });

  test("padding behind a fragment is not part of it", () => {
    const packets = fragmentsOf(SEGMENT, TCP, tcp({ ...SEGMENT, payload: PAYLOAD.slice(0, 4) }), [8, 16]);
    const frames = packets.map((packet) => mirrored(bytes(ethernet(packet), "padding!"), { vni: VNI }));
    for (const order of permutations(frames))
      checkAll(order, segmentOf(SEGMENT, { payload: latin1(PAYLOAD.slice(0, 4)) }));
  });
});

describe("sizes", () => {
  const last = (offset: number, length: number) =>
    mirror(ip(SEGMENT.source, SEGMENT.destination, TCP, new Uint8Array(length), { fragmentOffset: offset }));
  const lastV6 = (offset: number, length: number) =>
    mirror(ip(SEGMENT_V6.source, SEGMENT_V6.destination, TCP, new Uint8Array(length), { fragmentOffset: offset }));
  const outerLast = (offset: number, length: number) =>
    ethernet(ip(OUTER_V4.source, OUTER_V4.destination, UDP, new Uint8Array(length), { fragmentOffset: offset }));
  const table: [name: string, frame: Uint8Array, expected: Outcome][] = [
    ["ends at 65535: the last that can be", last(65_528, 7), FRAGMENT],
    ["ends at 65536", last(65_528, 8), dropped("malformed_inner")],
    ["ends at 65536, IPv6", lastV6(65_528, 8), dropped("malformed_inner")],
    ["ends at 65536, outside", outerLast(65_528, 8), dropped("malformed_outer")],
    ["begins low and ends far above 65535", last(65_000, 1400), dropped("malformed_inner")],
    [
      "ends above 65535, because of the bytes that were cut off",
      last(65_528, 80).slice(0, -76),
      dropped("malformed_inner"),
    ],
  ];
  for (const [name, frame, expected] of table) test(name, () => check(frame, expected));

  test("the largest IPv4 datagram, 65535 bytes with its header, in fragments of 1480 and back to front", () => {
    const segment: Tcp = { ...SEGMENT, payload: Uint8Array.from({ length: 65_535 - 40 }, (_, i) => i % 251) };
    const cuts = Array.from({ length: 44 }, (_, i) => (i + 1) * 1480);
    checkAll(innerFragments(segment, cuts), segmentOf(segment));
    checkAll(innerFragments(segment, cuts).reverse(), segmentOf(segment));
  });
});

describe("overlaps: the first copy of a byte wins", () => {
  /** A fragment of `fill` bytes that covers `from` to `to` of the segment's 220 bytes. */
  const fragment = (from: number, to: number, fill: string, last = to === 220) =>
    mirror(
      ip(
        SEGMENT.source,
        SEGMENT.destination,
        TCP,
        from < 20 ? bytes(tcp(SEGMENT).slice(from, 20), fill.repeat(to - 20)) : bytes(fill.repeat(to - from)),
        {
          identification: 1,
          fragmentOffset: from,
          moreFragments: !last,
        },
      ),
    );
  const table: [name: string, frames: Uint8Array[], payload: string][] = [
    [
      "the later one begins inside the earlier",
      [fragment(0, 120, "a"), fragment(80, 220, "b")],
      "a".repeat(100) + "b".repeat(100),
    ],
    [
      "the later one ends inside the earlier",
      [fragment(80, 220, "b"), fragment(0, 120, "a")],
      "a".repeat(60) + "b".repeat(140),
    ],
    [
      "the later one lies inside the earlier",
      [fragment(0, 160, "a"), fragment(40, 80, "b"), fragment(160, 220, "c")],
      "a".repeat(140) + "c".repeat(60),
    ],
    [
      "the later one covers the earlier",
      [fragment(40, 80, "b"), fragment(0, 160, "a"), fragment(160, 220, "c")],
      "a".repeat(20) + "b".repeat(40) + "a".repeat(80) + "c".repeat(60),
    ],
    [
      "the same place, other bytes",
      [fragment(160, 220, "c"), fragment(160, 220, "d"), fragment(0, 160, "a")],
      "a".repeat(140) + "c".repeat(60),
    ],
    [
      "the first end that is given is the datagram's",
      [fragment(160, 220, "c"), fragment(160, 180, "d", true), fragment(0, 160, "a")],
      "a".repeat(140) + "c".repeat(60),
    ],
    [
      "the first end, although others go beyond it",
      [fragment(160, 180, "d", true), fragment(160, 220, "c"), fragment(0, 160, "a")],
      "a".repeat(140) + "d".repeat(20),
    ],
    [
      "two that fill a hole between two",
      [fragment(0, 40, "a"), fragment(80, 120, "b"), fragment(24, 104, "c"), fragment(96, 220, "d")],
      "a".repeat(20) + "c".repeat(40) + "b".repeat(40) + "d".repeat(100),
    ],
  ];
  for (const [name, frames, payload] of table) test(name, () => void checkAll(frames, segmentOf(SEGMENT, { payload })));
});

describe("fragments that the mirror cut short", () => {
  // 220 bytes of TCP: fragments [0, 80), [80, 160), [160, 220); payload begins at 20.
  const cutShort = (frame: Uint8Array, by: number) => frame.slice(0, frame.length - by);
  const expected = (present: number) =>
    segmentOf(SEGMENT, { payload: latin1(PAYLOAD.slice(0, present)), missingLength: 200 - present });
  const frames = innerFragments(SEGMENT, [80, 160]) as [Uint8Array, Uint8Array, Uint8Array];
  const table: [name: string, cut: [number, number, number], outcome: Outcome][] = [
    ["the first one's tail", [16, 0, 0], expected(44)],
    ["the middle one's tail", [0, 1, 0], expected(139)],
    ["the middle one's all", [0, 80, 0], expected(60)],
    ["the last one's tail", [0, 0, 7], expected(193)],
    ["the last one's all", [0, 0, 60], expected(140)],
    ["every one's tail", [8, 8, 8], expected(52)],
    ["the first one's payload and no more", [60, 0, 0], expected(0)],
    ["inside the TCP header", [61, 0, 0], dropped("truncated")],
    ["inside the TCP ports", [77, 0, 0], dropped("truncated")],
    ["the first one's all", [80, 0, 0], dropped("truncated")],
  ];
  for (const [name, cut, outcome] of table) {
    test(name, () => {
      for (const order of permutations(frames.map((frame, i) => cutShort(frame, cut[i]!)))) checkAll(order, outcome);
    });
  }

  test("a whole copy repairs a cut one, in either order, while the datagram waits", () => {
    const [a, b, c] = frames;
    checkAll([a, cutShort(b, 30), b, c], segmentOf(SEGMENT));
    checkAll([a, b, cutShort(b, 30), c], segmentOf(SEGMENT));
    checkAll([cutShort(c, 60), cutShort(a, 70), a, c, b], segmentOf(SEGMENT));
  });

  test("cut in the outer layer: the exact number of missing bytes of the mirrored packet", () => {
    const whole = outerFragments(OUTER_V4, inner(SEGMENT), [88, 176]) as [Uint8Array, Uint8Array, Uint8Array];
    // The mirrored frame begins at byte 16 of the fragmented part; its payload begins 54 bytes later.
    for (const [i, by, present] of [
      [2, 10, 190],
      [1, 8, 168 - 70],
      [0, 2, 86 - 70],
    ] as const) {
      for (const order of permutations(whole.map((frame, j) => (i === j ? cutShort(frame, by) : frame))))
        checkAll(order, expected(present));
    }
    const headers = whole.map((frame, j) => (j === 0 ? cutShort(frame, 88 - 40) : frame));
    checkAll(headers, dropped("truncated"));
  });

  test("cut inside an extension header behind the fragment header", () => {
    const fragmentable = bytes([TCP, 2], new Uint8Array(22), tcp(SEGMENT_V6));
    const [a, b] = fragmentsOf(SEGMENT_V6, 60, fragmentable, [32]).map(mirror) as [Uint8Array, Uint8Array];
    for (const present of [0, 1, 7, 8, 23, 24, 27, 28]) checkAll([cutShort(a, 32 - present), b], dropped("truncated"));
  });

  test("a datagram with a cut fragment is counted as truncated, and its fragments are not", () => {
    const decoding = checkAll([frames[0], cutShort(frames[1], 5), frames[2]], expected(135));
    expect(decoding.counters.frames.truncated).toBe(1);
  });
});

describe("an identification that many datagrams share", () => {
  /** A segment with a checksum that holds. */
  function summed(segment: Tcp): Uint8Array {
    const segmentBytes = tcp(segment);
    const view = new DataView(segmentBytes.buffer);
    const words = [...`${segment.source}.${segment.destination}`.split(".").map(Number)];
    let sum = TCP + segmentBytes.length;
    for (let i = 0; i < words.length; i += 2) sum += words[i]! * 256 + words[i + 1]!;
    for (let at = 0; at < segmentBytes.length; at++) sum += segmentBytes[at]! << (at % 2 === 0 ? 8 : 0);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(16, 0xffff - sum);
    return ip(segment.source, segment.destination, TCP, segmentBytes);
  }
  /** Datagrams of the same length, and with other bytes. */
  const segmentNumber = (n: number): Tcp => ({
    ...SEGMENT,
    sequence: 1000 * n,
    payload: PAYLOAD.map((byte) => byte ^ n),
  });
  const datagram = (n: number, identification: number, hasChecksum = true) => {
    const segment = segmentNumber(n);
    const packet = hasChecksum ? summed(segment) : ip(segment.source, segment.destination, TCP, tcp(segment));
    return outerFragments(OUTER_V4, ethernet(packet), [80, 160], { identification });
  };
  const wholes = [1, 2, 3, 4, 5, 6].map((n) => segmentOf(segmentNumber(n)));
  const orders: [name: string, order: <T>(of: T[]) => T[]][] = [
    ["in order", (of) => of],
    ["backwards", (of) => of.toReversed()],
  ];

  const samples: [name: string, right: number, wrong: number, taken: boolean][] = [
    [
      "the first CHECKSUM_SAMPLES_MAX segments have right checksums",
      CHECKSUM_SAMPLES_MAX,
      10 * CHECKSUM_SAMPLES_MAX,
      false,
    ],
    ["some of them have wrong ones", CHECKSUM_SAMPLES_MAX - 20, 20, true],
    ["there were none", 0, 0, true],
  ];
  for (const [name, right, wrong, taken] of samples) {
    test(`behind trouble, a wrong checksum is ${taken ? "taken" : "given up"} if ${name}`, () => {
      const decoding = new Decoding();
      const unsummed = ip(SEGMENT.source, SEGMENT.destination, TCP, tcp(SEGMENT));
      for (let i = 0; i < right; i++) decoding.feed(mirror(summed(SEGMENT)));
      for (let i = 0; i < wrong; i++) decoding.feed(mirror(unsummed));
      checkAll(datagram(1, 0, false), wholes[0]!, decoding);
      expect(decoding.feed(datagram(2, 0, false)[0]!)).toEqual(FRAGMENT);
      checkAll(datagram(3, 0, false), taken ? wholes[2]! : FRAGMENT, decoding);
    });
  }

  for (const identification of [0, 7]) {
    for (const [name, order] of orders) {
      for (const lost of [0, 1, 2]) {
        test(`${identification}, ${name}: fragment ${lost} is lost, and its datagram alone`, () => {
          const decoding = new Decoding();
          const frames = [5, 1, 2, 3, 4].flatMap((n) =>
            order(datagram(n, identification).filter((_, i) => n !== 2 || i !== lost)),
          );
          const found = frames.map((frame) => decoding.feed(frame));
          expect(found.filter((each) => !Bun.deepEquals(each, FRAGMENT))).toEqual(
            [5, 1, 3, 4].map((n) => wholes[n - 1]!),
          );
          expect(decoding.counters.fragments).toMatchObject({ completed: 4, evicted: 0 });
        });
      }
    }

    test(`${identification}: fragments in one another's places make no segment`, () => {
      const decoding = new Decoding();
      const [first, second, a, b, ...others] = [1, 5, 2, 3, 6, 4].map((n) => datagram(n, identification));
      const mixed = [0, 1, 2].flatMap((i) => [a![i]!, b![i]!]);
      // The first one behind them meets what is left of them.
      const found = [...first!, ...second!, ...mixed, ...others.flat()].map((frame) => decoding.feed(frame));
      const segments = found.filter((each) => !Bun.deepEquals(each, FRAGMENT));
      expect(segments).toEqual([1, 5, 4].map((n) => wholes[n - 1]!));
    });

    test(`${identification}: copies of fragments contradict nothing`, () => {
      const decoding = new Decoding();
      for (const n of [1, 2]) {
        const [a, b, c] = datagram(n, identification) as [Uint8Array, Uint8Array, Uint8Array];
        checkAll([a, a, c, b], wholes[n - 1]!, decoding);
      }
    });

    test(`${identification}: where no checksum holds, they say nothing`, () => {
      const decoding = new Decoding();
      for (const n of [1, 2, 3]) checkAll(datagram(n, identification, false), wholes[n - 1]!, decoding);
    });

    test(`${identification}: UDP's length tells datagrams of other lengths apart`, () => {
      const decoding = new Decoding();
      const short = outerFragments(
        OUTER_V4,
        ethernet(ip(SEGMENT.source, SEGMENT.destination, TCP, tcp(SEGMENT))),
        [80],
        {
          identification,
        },
      );
      for (let i = 0; i < 2; i++) checkAll(short, segmentOf(SEGMENT), decoding);
      const other = { ...SEGMENT, payload: PAYLOAD.slice(0, 150) };
      const packet = ip(other.source, other.destination, TCP, tcp(other));
      const [head, tail] = outerFragments(OUTER_V4, ethernet(packet), [80], { identification }) as [
        Uint8Array,
        Uint8Array,
      ];
      expect(decoding.feed(short[1]!)).toEqual(FRAGMENT);
      checkAll([head, tail], segmentOf(other), decoding);
    });
  }
});
