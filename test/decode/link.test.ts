/** The outermost layer: every link type of DESIGN.md, and every stack of VLAN tags. */
import { describe, expect, test } from "bun:test";
import { DEPTHS } from "../../src/decode/cursor.ts";
import { bytes, ethernet, ip, TCP, tcp, u16, vxlanPacket } from "../support/frames.ts";
import {
  check,
  Decoding,
  dropped,
  ETHERNET,
  inner,
  type Outcome,
  OUTER_V6,
  REQUEST,
  REQUEST_V6,
  segmentOf,
  VNI,
} from "./decoding.ts";
import { cooked, cooked2, ethernetTagged, LINK_LOOP, LINK_NULL, LINK_SLL, LINK_SLL2, loopback } from "./link.ts";

const PACKET_V4 = vxlanPacket(inner(REQUEST), { vni: VNI });
const PACKET_V6 = vxlanPacket(inner(REQUEST), { vni: VNI, ...OUTER_V6 });
const SEGMENT = segmentOf(REQUEST);

const TPIDS = [0x8100, 0x88a8, 0x9100];
const STACKS = [
  ...TPIDS.map((a) => [a]),
  ...TPIDS.flatMap((a) => TPIDS.map((b) => [a, b])),
  ...TPIDS.flatMap((a) => TPIDS.flatMap((b) => TPIDS.map((c) => [a, b, c]))),
];

describe("link types", () => {
  // Address families: AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 24, 28 and 30 on the BSDs.
  const table: [name: string, linkType: number, frame: Uint8Array][] = [
    ["Ethernet, IPv4", ETHERNET, ethernet(PACKET_V4)],
    ["Ethernet, IPv6", ETHERNET, ethernet(PACKET_V6)],
    ["Linux cooked v1, IPv4", LINK_SLL, cooked(PACKET_V4)],
    ["Linux cooked v1, IPv6", LINK_SLL, cooked(PACKET_V6)],
    ["Linux cooked v2, IPv4", LINK_SLL2, cooked2(PACKET_V4)],
    ["Linux cooked v2, IPv6", LINK_SLL2, cooked2(PACKET_V6)],
    ...[12, 14, 101, 228].map((linkType): [string, number, Uint8Array] => [
      `raw IP as ${linkType}, IPv4`,
      linkType,
      PACKET_V4,
    ]),
    ...[12, 14, 101, 229].map((linkType): [string, number, Uint8Array] => [
      `raw IP as ${linkType}, IPv6`,
      linkType,
      PACKET_V6,
    ]),
    ...[LINK_NULL, LINK_LOOP].flatMap((linkType) =>
      [true, false].flatMap((littleEndian) => [
        [
          `BSD loopback ${linkType}, IPv4, ${littleEndian ? "little" : "big"}-endian`,
          linkType,
          loopback(PACKET_V4, 2, littleEndian),
        ] as [string, number, Uint8Array],
        ...[10, 24, 28, 30].map((family): [string, number, Uint8Array] => [
          `BSD loopback ${linkType}, IPv6 as family ${family}, ${littleEndian ? "little" : "big"}-endian`,
          linkType,
          loopback(PACKET_V6, family, littleEndian),
        ]),
      ]),
    ),
  ];
  for (const [name, linkType, frame] of table) test(name, () => check(frame, SEGMENT, linkType));

  for (const linkType of [-1, 2, 9, 50, 105, 109, 127, 195, 227, 277, 65_535, 65_537]) {
    test(`${linkType} is not a supported link type`, () =>
      check(ethernet(PACKET_V4), dropped("unsupported_link_type"), linkType));
  }

  test("each record may have a link type of its own", () => {
    const decoding = new Decoding();
    expect(decoding.feed(ethernet(PACKET_V4), ETHERNET)).toEqual(SEGMENT);
    expect(decoding.feed(PACKET_V6, 101)).toEqual(SEGMENT);
    expect(decoding.feed(cooked2(PACKET_V4), LINK_SLL2)).toEqual(SEGMENT);
    expect(decoding.feed(ethernet(PACKET_V4), 105)).toEqual(dropped("unsupported_link_type"));
    expect(decoding.feed(ethernet(PACKET_V4), ETHERNET)).toEqual(SEGMENT);
  });
});

describe("VLAN tags", () => {
  const layers: [name: string, frame: (tpids: number[]) => Uint8Array, linkType: number][] = [
    ["outside, Ethernet", (tpids) => ethernetTagged(PACKET_V4, tpids), ETHERNET],
    ["outside, Ethernet, IPv6", (tpids) => ethernetTagged(PACKET_V6, tpids), ETHERNET],
    ["outside, Linux cooked v1", (tpids) => cooked(PACKET_V4, tpids), LINK_SLL],
    ["outside, Linux cooked v2", (tpids) => cooked2(PACKET_V4, tpids), LINK_SLL2],
    [
      "inside",
      (tpids) =>
        ethernet(
          vxlanPacket(ethernetTagged(ip(REQUEST.source, REQUEST.destination, TCP, tcp(REQUEST)), tpids), { vni: VNI }),
        ),
      ETHERNET,
    ],
  ];
  for (const [name, frame, linkType] of layers) {
    test(`single, double and triple of 8100, 88a8 and 9100 in any order, ${name}`, () => {
      for (const stack of STACKS) check(frame(stack), SEGMENT, linkType);
    });
  }

  test("tags outside and inside, IPv6 in both", () => {
    const mirrored = ethernetTagged(
      ip(REQUEST_V6.source, REQUEST_V6.destination, TCP, tcp(REQUEST_V6)),
      [0x88a8, 0x8100],
    );
    check(ethernetTagged(vxlanPacket(mirrored, { vni: VNI, ...OUTER_V6 }), [0x88a8, 0x8100]), segmentOf(REQUEST_V6));
  });

  test("IP is found behind the largest allowed number of tags, and not behind one more", () => {
    const most = new Array<number>(DEPTHS.vlanTags).fill(0x8100);
    const mirror = (tpids: number[]) =>
      ethernet(
        vxlanPacket(ethernetTagged(ip(REQUEST.source, REQUEST.destination, TCP, tcp(REQUEST)), tpids), { vni: VNI }),
      );
    check(ethernetTagged(PACKET_V4, most), SEGMENT);
    check(ethernetTagged(PACKET_V4, [...most, 0x8100]), dropped("not_ip"));
    check(mirror(most), SEGMENT);
    check(mirror([...most, 0x8100]), dropped("inner_not_ip"));
  });

  test("a frame that has only tags is not IP, for any number of them", () => {
    const tags = bytes(...new Array<number[]>(300).fill([0x81, 0, 0, 1]));
    check(bytes(new Uint8Array(12), tags, u16(0x8100)), dropped("not_ip"));
    check(ethernet(vxlanPacket(bytes(new Uint8Array(12), tags, u16(0x8100)), { vni: VNI })), dropped("inner_not_ip"));
  });
});

describe("other packets than IP", () => {
  const ARP = 0x0806;
  const LLDP = 0x88cc;
  const LLC_LENGTH = 38;
  const body = new Uint8Array(46);
  const table: [name: string, frame: Uint8Array, linkType: number, expected: Outcome][] = [
    ["ARP", ethernetTagged(body, [], ARP), ETHERNET, dropped("not_ip")],
    ["LLDP behind a tag", ethernetTagged(body, [0x8100], LLDP), ETHERNET, dropped("not_ip")],
    ["802.3 with a length in the type's place", ethernetTagged(body, [], LLC_LENGTH), ETHERNET, dropped("not_ip")],
    ["ARP, Linux cooked v1", cooked(body, [], ARP), LINK_SLL, dropped("not_ip")],
    ["ARP, Linux cooked v2", cooked2(body, [], ARP), LINK_SLL2, dropped("not_ip")],
    ["raw IP of version 5", bytes([0x50], body), 101, dropped("not_ip")],
    ["loopback, AppleTalk", loopback(body, 16, true), LINK_NULL, dropped("not_ip")],
    [
      "mirrored ARP",
      ethernet(vxlanPacket(ethernetTagged(body, [], ARP), { vni: VNI })),
      ETHERNET,
      dropped("inner_not_ip"),
    ],
    [
      "mirrored ARP behind two tags",
      ethernet(vxlanPacket(ethernetTagged(body, [0x88a8, 0x8100], ARP), { vni: VNI })),
      ETHERNET,
      dropped("inner_not_ip"),
    ],
  ];
  for (const [name, frame, linkType, expected] of table) test(name, () => check(frame, expected, linkType));
});

describe("a record that ends inside the link layer", () => {
  const table: [name: string, headerLength: number, frame: Uint8Array, linkType: number][] = [
    ["Ethernet", 14, ethernet(PACKET_V4), ETHERNET],
    ["Ethernet with two tags", 22, ethernetTagged(PACKET_V4, [0x88a8, 0x8100]), ETHERNET],
    ["Linux cooked v1", 16, cooked(PACKET_V4), LINK_SLL],
    ["Linux cooked v1 with a tag", 20, cooked(PACKET_V4, [0x8100]), LINK_SLL],
    ["Linux cooked v2", 20, cooked2(PACKET_V4), LINK_SLL2],
    ["Linux cooked v2 with a tag", 24, cooked2(PACKET_V4, [0x8100]), LINK_SLL2],
    ["BSD loopback", 4, loopback(PACKET_V4, 2, true), LINK_NULL],
    ["raw IP", 0, PACKET_V4, 101],
  ];
  for (const [name, headerLength, frame, linkType] of table) {
    test(name, () => {
      for (let length = 0; length <= headerLength; length++)
        check(frame.slice(0, length), dropped("malformed_outer"), linkType);
    });
  }
});
