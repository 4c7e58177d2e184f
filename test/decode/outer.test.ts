/** The mirror's own layers: IP, UDP and VXLAN around the mirrored frame. */
import { describe, expect, test } from "bun:test";
import { DEPTHS } from "../../src/decode/cursor.ts";
import { bytes, ethernet, ip, type IpOptions, mirrored, u16, UDP, udp } from "../support/frames.ts";
import {
  check,
  Decoding,
  dropped,
  inner,
  latin1,
  type Outcome,
  OUTER_LEN,
  OUTER_V6,
  OURS,
  patched,
  REQUEST,
  segmentOf,
  tunnelDatagram,
  VNI,
} from "./decoding.ts";

const INNER = inner(REQUEST);
const FRAME = mirrored(INNER, { vni: VNI });
const FRAME_V6 = mirrored(INNER, { vni: VNI, ...OUTER_V6 });
const SEGMENT = segmentOf(REQUEST);
const PAYLOAD_LEN = REQUEST.payload!.length;

// Places in a frame whose outer layers are Ethernet and a plain IPv4 or IPv6 header.
const IP = 14;
const UDP_V4 = IP + 20;
const UDP_V6 = IP + 40;
const VXLAN = UDP_V4 + 8;

/** The expected outcome of a mirrored frame without its last `missing` bytes, if the cut is in the payload. */
function cutBy(missing: number): Outcome {
  return segmentOf(REQUEST, {
    payload: latin1(REQUEST.payload!.slice(0, PAYLOAD_LEN - missing)),
    missingLength: missing,
  });
}

describe("outer IPv4", () => {
  for (let length = 4; length <= 40; length += 4) {
    test(`${length} bytes of options are skipped`, () => {
      check(mirrored(INNER, { vni: VNI, options: new Uint8Array(length).fill(1) }), SEGMENT);
    });
  }

  const table: [name: string, frame: Uint8Array, expected: Outcome][] = [
    ["total length 0: the captured bytes", patched(FRAME, IP + 2, u16(0)), SEGMENT],
    ["bytes behind the total length are padding", bytes(FRAME, "padding"), SEGMENT],
    ["don't fragment, and the reserved bit, make no fragment", patched(FRAME, IP + 6, [0xc0, 0]), SEGMENT],
    ["TTL 0 and any DSCP", patched(patched(FRAME, IP + 8, [0]), IP + 1, [0xff]), SEGMENT],
    ["a wrong header checksum", patched(FRAME, IP + 10, [0x12, 0x34]), SEGMENT],
    ["a header length below 5 words", patched(FRAME, IP, [0x44]), dropped("malformed_outer")],
    ["version 6 under IPv4's EtherType", patched(FRAME, IP, [0x65]), dropped("malformed_outer")],
    ["a total length below the header's", patched(FRAME, IP + 2, u16(19)), dropped("malformed_outer")],
    [
      "a total length inside its options",
      patched(mirrored(INNER, { vni: VNI, options: new Uint8Array(40) }), IP + 2, u16(59)),
      dropped("malformed_outer"),
    ],
    ["a total length that leaves no UDP header", patched(FRAME, IP + 2, u16(27)), dropped("malformed_outer")],
    ["a total length that leaves no VXLAN header", patched(FRAME, IP + 2, u16(35)), dropped("not_vxlan")],
    ["a total length that cuts the mirrored payload", patched(FRAME, IP + 2, u16(FRAME.length - IP - 3)), cutBy(3)],
  ];
  for (const [name, frame, expected] of table) test(name, () => check(frame, expected));
});

describe("outer IPv6", () => {
  const rest = (length: number) => new Uint8Array(length).fill(1);
  const chains: [name: string, extensions: [number, Uint8Array][]][] = [
    ["hop-by-hop options", [[0, rest(6)]]],
    ["hop-by-hop options of 2048 bytes, the longest", [[0, rest(2046)]]],
    ["routing", [[43, rest(22)]]],
    ["destination options", [[60, rest(14)]]],
    ["authentication (its length counts in 4 bytes)", [[51, rest(22)]]],
    ["authentication, the shortest", [[51, rest(6)]]],
    ["mobility", [[135, rest(6)]]],
    ["host identity", [[139, rest(38)]]],
    ["shim6", [[140, rest(6)]]],
    [
      "all of RFC 8200's, in its order",
      [
        [0, rest(6)],
        [60, rest(6)],
        [43, rest(14)],
        [51, rest(14)],
        [60, rest(22)],
      ],
    ],
  ];
  for (const [name, extensions] of chains)
    test(`${name}: skipped`, () => check(mirrored(INNER, { vni: VNI, ...OUTER_V6, extensions }), SEGMENT));

  test("an atomic fragment is a whole packet", () => {
    check(mirrored(INNER, { vni: VNI, ...OUTER_V6, fragmentOffset: 0, identification: 0xfedcba98 }), SEGMENT);
    check(
      mirrored(INNER, {
        vni: VNI,
        ...OUTER_V6,
        extensions: [
          [0, rest(6)],
          [43, rest(6)],
        ],
        fragmentOffset: 0,
      }),
      SEGMENT,
    );
  });

  test("extension headers may follow an atomic fragment's", () => {
    const packet = ip(OUTER_V6.source, OUTER_V6.destination, 60, bytes([UDP, 0], rest(6), tunnelDatagram(INNER)), {
      fragmentOffset: 0,
    });
    check(ethernet(packet), SEGMENT);
  });

  const hopByHop: IpOptions = { extensions: [[0, rest(6)]] };
  const table: [name: string, frame: Uint8Array, expected: Outcome][] = [
    ["payload length 0: the captured bytes", patched(FRAME_V6, IP + 4, u16(0)), SEGMENT],
    ["bytes behind the payload length are padding", bytes(FRAME_V6, "padding"), SEGMENT],
    ["any traffic class and flow label", patched(FRAME_V6, IP, [0x6f, 0xff, 0xff, 0xff]), SEGMENT],
    ["version 4 under IPv6's EtherType", patched(FRAME_V6, IP, [0x45]), dropped("malformed_outer")],
    ["a payload length that leaves no UDP header", patched(FRAME_V6, IP + 4, u16(7)), dropped("malformed_outer")],
    ["a payload length that leaves no VXLAN header", patched(FRAME_V6, IP + 4, u16(15)), dropped("not_vxlan")],
    [
      "a payload length that cuts the mirrored payload",
      patched(FRAME_V6, IP + 4, u16(FRAME_V6.length - UDP_V6 - 3)),
      cutBy(3),
    ],
    [
      "a payload length inside an extension header",
      patched(mirrored(INNER, { vni: VNI, ...OUTER_V6, ...hopByHop }), IP + 4, u16(7)),
      dropped("malformed_outer"),
    ],
    [
      "an extension header that is longer than the packet",
      patched(mirrored(INNER, { vni: VNI, ...OUTER_V6, ...hopByHop }), UDP_V6 + 1, [255]),
      dropped("malformed_outer"),
    ],
    ["no next header", patched(FRAME_V6, IP + 6, [59]), dropped("not_udp")],
    ["encrypted (ESP)", patched(FRAME_V6, IP + 6, [50]), dropped("not_udp")],
  ];
  for (const [name, frame, expected] of table) test(name, () => check(frame, expected));

  test("the largest allowed number of extension headers is read; more are malformed", () => {
    const chain = (count: number) =>
      mirrored(INNER, {
        vni: VNI,
        ...OUTER_V6,
        extensions: new Array<[number, Uint8Array]>(count).fill([60, rest(6)]),
      });
    check(chain(DEPTHS.extensionHeaders), SEGMENT);
    check(chain(DEPTHS.extensionHeaders + 1), dropped("malformed_outer"));
    check(chain(100), dropped("malformed_outer"));
  });
});

describe("UDP", () => {
  const length = (value: number) => patched(FRAME, UDP_V4 + 4, u16(value));
  const whole = FRAME.length - UDP_V4;
  const table: [name: string, frame: Uint8Array, expected: Outcome][] = [
    ["length 0: IP's payload", length(0), SEGMENT],
    ["length 0, and bytes behind the IP packet", bytes(length(0), "padding"), SEGMENT],
    ["a length below the header's", length(7), dropped("malformed_outer")],
    ["length 1", length(1), dropped("malformed_outer")],
    ["a header and nothing else", length(8), dropped("not_vxlan")],
    ["a length that cuts the VXLAN header", length(15), dropped("not_vxlan")],
    ["a VXLAN header and nothing else", length(16), dropped("truncated")],
    ["a length that cuts the mirrored payload", length(whole - 5), cutBy(5)],
    // The mirrored packet's own length shows whether bytes are missing; here, none are missing.
    ["a length beyond IP's payload", length(whole + 1), SEGMENT],
    ["the longest length", length(0xffff), SEGMENT],
    ["a wrong checksum", patched(FRAME, UDP_V4 + 6, [0xba, 0xad]), SEGMENT],
    ["any source port, ours included", patched(FRAME, UDP_V4, u16(4789)), SEGMENT],
    ["another port", mirrored(INNER, { vni: VNI, port: 4790 }), dropped("other_udp_port")],
    [
      "from the VXLAN port to another",
      ethernet(ip("172.31.0.1", "172.31.0.2", UDP, udp(4789, 53, tunnelDatagram(INNER).slice(8)))),
      dropped("other_udp_port"),
    ],
    ["TCP", patched(FRAME, IP + 9, [6]), dropped("not_udp")],
    ["ICMP", patched(FRAME, IP + 9, [1]), dropped("not_udp")],
  ];
  for (const [name, frame, expected] of table) test(name, () => check(frame, expected));

  test("lengths beyond a cut record: the mirrored packet's length shows the missing bytes", () => {
    for (let missing = 1; missing <= PAYLOAD_LEN; missing++) {
      check(FRAME.slice(0, FRAME.length - missing), cutBy(missing));
      check(FRAME_V6.slice(0, FRAME_V6.length - missing), cutBy(missing));
    }
  });

  test("another VXLAN port can be ours", () => {
    const options = { ...OURS, vxlanPort: 8472 };
    check(mirrored(INNER, { vni: VNI, port: 8472 }), SEGMENT, 1, options);
    check(FRAME, dropped("other_udp_port"), 1, options);
  });
});

describe("VXLAN", () => {
  const table: [name: string, frame: Uint8Array, expected: Outcome][] = [
    ["only the I flag", patched(FRAME, VXLAN, [0x08]), SEGMENT],
    ["all flags", patched(FRAME, VXLAN, [0xff]), SEGMENT],
    ["all flags except I", patched(FRAME, VXLAN, [0xf7]), dropped("not_vxlan")],
    ["no flag", patched(FRAME, VXLAN, [0]), dropped("not_vxlan")],
    ["reserved bits between flags and VNI are ignored", patched(FRAME, VXLAN + 1, [0xff, 0xff, 0xff]), SEGMENT],
    ["reserved bits behind the VNI are ignored", mirrored(INNER, { vni: VNI, reserved: 0xff }), SEGMENT],
    ["the VNI before ours", mirrored(INNER, { vni: VNI - 1 }), dropped("other_vni")],
    ["the VNI after ours", mirrored(INNER, { vni: VNI + 1 }), dropped("other_vni")],
    ["VNI 0", mirrored(INNER, { vni: 0 }), dropped("other_vni")],
    ["the last VNI", mirrored(INNER, { vni: 2 ** 24 - 1 }), dropped("other_vni")],
  ];
  for (const [name, frame, expected] of table) test(name, () => check(frame, expected));

  for (const vni of [0, 1, 2 ** 23, 2 ** 24 - 1]) {
    test(`VNI ${vni} can be ours, and no other is`, () => {
      for (const other of [0, 1, 2 ** 23 - 1, 2 ** 23, 2 ** 24 - 2, 2 ** 24 - 1]) {
        for (const reserved of [0, 0xff]) {
          check(mirrored(INNER, { vni: other, reserved }), other === vni ? SEGMENT : dropped("other_vni"), 1, {
            ...OURS,
            vnis: [vni],
          });
        }
      }
    });
  }

  test("the same segment in two VNIs is ours once", () => {
    const decoding = new Decoding();
    expect(decoding.feed(mirrored(INNER, { vni: 4242 }))).toEqual(dropped("other_vni"));
    expect(decoding.feed(FRAME)).toEqual(SEGMENT);
  });
});

test("the layers have the lengths that this file assumes", () => {
  expect(FRAME.length).toBe(OUTER_LEN + INNER.length);
  // 5569041 is 0x54fa11.
  expect(FRAME.slice(VXLAN, VXLAN + 8).toHex()).toBe("0800000054fa1100");
});
