/** The mirrored frame: IP, TCP, and the question whether it is ours. */
import { describe, expect, test } from "bun:test";
import { bytes, ethernet, ip, mirrored, TCP, type Tcp, tcp, u16, u32 } from "../support/frames.ts";
import {
  check,
  Decoding,
  dropped,
  frameOf,
  latin1,
  type Outcome,
  OUTER_LEN,
  OURS,
  patched,
  REQUEST,
  REQUEST_V6,
  segmentOf,
  VNI,
} from "./decoding.ts";

// Places in a frame of plain headers: outer ones of OUTER_LEN, then Ethernet.
const IP = OUTER_LEN + 14;
const TCP_V4 = IP + 20;
const TCP_V6 = IP + 40;
const FRAME = frameOf(REQUEST);
const FRAME_V6 = frameOf(REQUEST_V6);

const mirror = (packet: Uint8Array) => mirrored(ethernet(packet), { vni: VNI });
const packetOf = (segment: Tcp, options = {}) => ip(segment.source, segment.destination, TCP, tcp(segment), options);

describe("inner IPv4", () => {
  for (let length = 4; length <= 40; length += 4) {
    test(`${length} bytes of options are skipped`, () =>
      check(mirror(packetOf(REQUEST, { options: new Uint8Array(length).fill(1) })), segmentOf(REQUEST)));
  }

  const empty: Tcp = { ...REQUEST, payload: new Uint8Array(0) };
  const one: Tcp = { ...REQUEST, payload: bytes("x") };
  const padded = (segment: Tcp) => mirrored(bytes(ethernet(packetOf(segment)), new Uint8Array(6)), { vni: VNI });
  const table: [name: string, frame: Uint8Array, expected: Outcome][] = [
    ["an empty segment padded to Ethernet's 60 bytes stays empty", padded(empty), segmentOf(empty)],
    ["a padded segment keeps its one byte", padded(one), segmentOf(one)],
    [
      "a frame check sequence after the packet is not payload",
      mirrored(bytes(ethernet(packetOf(REQUEST)), u32(0x12345678)), { vni: VNI }),
      segmentOf(REQUEST),
    ],
    ["total length 0 (segmentation offload): the captured bytes", patched(FRAME, IP + 2, u16(0)), segmentOf(REQUEST)],
    ["a wrong header checksum", patched(FRAME, IP + 10, [0xba, 0xad]), segmentOf(REQUEST)],
    ["don't fragment makes no fragment", patched(FRAME, IP + 6, [0x40, 0]), segmentOf(REQUEST)],
    ["a header length below 5 words", patched(FRAME, IP, [0x44]), dropped("malformed_inner")],
    ["version 6 under IPv4's EtherType", patched(FRAME, IP, [0x65]), dropped("malformed_inner")],
    ["a total length below the header's", patched(FRAME, IP + 2, u16(19)), dropped("malformed_inner")],
    ["a total length that leaves no TCP ports", patched(FRAME, IP + 2, u16(23)), dropped("malformed_inner")],
    ["a total length that leaves no whole TCP header", patched(FRAME, IP + 2, u16(39)), dropped("malformed_inner")],
    ["a total length of only headers", patched(FRAME, IP + 2, u16(40)), segmentOf(empty)],
    [
      "a total length inside its options",
      patched(mirror(packetOf(REQUEST, { options: new Uint8Array(40) })), IP + 2, u16(59)),
      dropped("malformed_inner"),
    ],
    [
      "UDP with a total length inside its options",
      patched(
        mirror(ip("10.0.0.1", "10.0.0.2", 17, new Uint8Array(20), { options: new Uint8Array(40) })),
        IP + 2,
        u16(59),
      ),
      dropped("malformed_inner"),
    ],
    ["UDP", patched(FRAME, IP + 9, [17]), dropped("not_tcp")],
    ["ICMP", patched(FRAME, IP + 9, [1]), dropped("not_tcp")],
    [
      "IPv6's extension headers do not exist in IPv4",
      mirror(ip("10.0.0.1", "10.0.0.2", 60, bytes([TCP, 0, 0, 0, 0, 0, 0, 0], tcp(REQUEST)))),
      dropped("not_tcp"),
    ],
  ];
  for (const [name, frame, expected] of table) test(name, () => check(frame, expected));
});

describe("inner IPv6", () => {
  const rest = (length: number) => new Uint8Array(length).fill(1);
  const chains: [name: string, extensions: [number, Uint8Array][]][] = [
    ["hop-by-hop options", [[0, rest(6)]]],
    ["routing", [[43, rest(22)]]],
    ["destination options", [[60, rest(14)]]],
    ["authentication (its length counts in 4 bytes)", [[51, rest(22)]]],
    [
      "mobility, host identity, shim6",
      [
        [135, rest(6)],
        [139, rest(6)],
        [140, rest(6)],
      ],
    ],
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
    test(`${name}: skipped`, () => check(mirror(packetOf(REQUEST_V6, { extensions })), segmentOf(REQUEST_V6)));

  test("an atomic fragment is a whole packet", () => {
    check(mirror(packetOf(REQUEST_V6, { fragmentOffset: 0, identification: 7 })), segmentOf(REQUEST_V6));
    check(mirror(packetOf(REQUEST_V6, { extensions: [[60, rest(6)]], fragmentOffset: 0 })), segmentOf(REQUEST_V6));
  });

  const empty: Tcp = { ...REQUEST_V6, payload: new Uint8Array(0) };
  const table: [name: string, frame: Uint8Array, expected: Outcome][] = [
    [
      "bytes behind the payload length are padding",
      mirrored(bytes(ethernet(packetOf(empty)), "pad"), { vni: VNI }),
      segmentOf(empty),
    ],
    [
      "payload length 0 (segmentation offload): the captured bytes",
      patched(FRAME_V6, IP + 4, u16(0)),
      segmentOf(REQUEST_V6),
    ],
    ["any traffic class and flow label", patched(FRAME_V6, IP, [0x6f, 0xff, 0xff, 0xff]), segmentOf(REQUEST_V6)],
    ["version 4 under IPv6's EtherType", patched(FRAME_V6, IP, [0x45]), dropped("malformed_inner")],
    ["a payload length that leaves no TCP ports", patched(FRAME_V6, IP + 4, u16(3)), dropped("malformed_inner")],
    [
      "a payload length that leaves no whole TCP header",
      patched(FRAME_V6, IP + 4, u16(19)),
      dropped("malformed_inner"),
    ],
    ["a payload length of only the TCP header", patched(FRAME_V6, IP + 4, u16(20)), segmentOf(empty)],
    [
      "a payload length inside an extension header",
      patched(mirror(packetOf(REQUEST_V6, { extensions: [[0, rest(6)]] })), IP + 4, u16(7)),
      dropped("malformed_inner"),
    ],
    [
      "an extension header that is longer than the packet",
      patched(mirror(packetOf(REQUEST_V6, { extensions: [[0, rest(6)]] })), TCP_V6 + 1, [255]),
      dropped("malformed_inner"),
    ],
    ["no next header", patched(FRAME_V6, IP + 6, [59]), dropped("not_tcp")],
    ["ICMPv6", patched(FRAME_V6, IP + 6, [58]), dropped("not_tcp")],
    ["encrypted (ESP)", patched(FRAME_V6, IP + 6, [50]), dropped("not_tcp")],
  ];
  for (const [name, frame, expected] of table) test(name, () => check(frame, expected));
});

describe("TCP", () => {
  for (let length = 4; length <= 40; length += 4) {
    test(`${length} bytes of options are not payload`, () => {
      const options = new Uint8Array(length).fill(1);
      check(frameOf({ ...REQUEST, options }), segmentOf(REQUEST));
      check(frameOf({ ...REQUEST_V6, options }), segmentOf(REQUEST_V6));
    });
  }

  for (const flags of ["S", "SA", "F", "FA", "FPA", "R", "RA", "A", "PAU", "SFRPAU", ""]) {
    test(`flags "${flags}"`, () => check(frameOf({ ...REQUEST, flags }), segmentOf({ ...REQUEST, flags })));
  }

  test("CWR and ECE are flags too, and the reserved bits beside the data offset are not", () => {
    check(patched(FRAME, TCP_V4 + 12, [0x5f, 0xd8]), segmentOf(REQUEST, { flags: 0xd8 }));
  });

  for (const sequence of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
    test(`sequence and acknowledgment number ${sequence}, as signed integers`, () => {
      const segment: Tcp = { ...REQUEST, sequence, acknowledgment: 0xffffffff - sequence };
      const signed = new Int32Array([sequence, 0xffffffff - sequence]);
      check(frameOf(segment), segmentOf(segment, { sequence: signed[0]!, acknowledgment: signed[1]! }));
    });
  }

  const table: [name: string, frame: Uint8Array, expected: Outcome][] = [
    ["a data offset below 5 words", patched(FRAME, TCP_V4 + 12, [0x40]), dropped("malformed_inner")],
    ["a data offset of 0", patched(FRAME, TCP_V4 + 12, [0x00]), dropped("malformed_inner")],
    [
      "a data offset beyond the packet",
      patched(frameOf({ ...REQUEST, payload: bytes("abc") }), TCP_V4 + 12, [0x60]),
      dropped("malformed_inner"),
    ],
    [
      "a data offset to the packet's last byte",
      patched(frameOf({ ...REQUEST, payload: bytes("abcd") }), TCP_V4 + 12, [0x60]),
      segmentOf(REQUEST, { payload: "" }),
    ],
    ["a wrong checksum", patched(FRAME, TCP_V4 + 16, [0xba, 0xad]), segmentOf(REQUEST)],
  ];
  for (const [name, frame, expected] of table) test(name, () => check(frame, expected));
});

describe("payload", () => {
  test("every byte value is unchanged", () => {
    const payload = Uint8Array.from({ length: 256 }, (_, i) => i);
    check(frameOf({ ...REQUEST, payload }), segmentOf({ ...REQUEST, payload }));
  });

  test("the largest packets that IPv4 and IPv6 allow, inside and outside", () => {
    // Inside, the outer packet's overhead and Ethernet must also fit into 65535 bytes.
    const v4: Tcp = { ...REQUEST, payload: new Uint8Array(65_535 - 20 - 8 - 8 - 14 - 20 - 20).fill(0x61) };
    const v6: Tcp = { ...REQUEST_V6, payload: new Uint8Array(65_535 - 8 - 8 - 14 - 40 - 20).fill(0x62) };
    check(frameOf(v4), segmentOf(v4));
    check(mirrored(ethernet(packetOf(v6)), { vni: VNI, source: "fd00::1", destination: "fd00::2" }), segmentOf(v6));
  });
});

describe("the owner of a segment", () => {
  const swapped = (segment: Tcp): Tcp => ({
    ...segment,
    source: segment.destination,
    destination: segment.source,
    sourcePort: segment.destinationPort,
    destinationPort: segment.sourcePort,
  });
  const ports = (sourcePort: number, destinationPort: number): Tcp => ({ ...REQUEST, sourcePort, destinationPort });
  const table: [name: string, segment: Tcp, expected: Outcome][] = [
    ["to our port", REQUEST, segmentOf(REQUEST)],
    ["to our port, IPv6", REQUEST_V6, segmentOf(REQUEST_V6)],
    ["from our port", swapped(REQUEST), dropped("from_server")],
    ["from our port, IPv6", swapped(REQUEST_V6), dropped("from_server")],
    ["neither", ports(49_152, 8080), dropped("other_port")],
    ["neither, IPv6", { ...REQUEST_V6, destinationPort: 443 }, dropped("other_port")],
    ["from our port to our port is a client's", ports(80, 80), segmentOf(ports(80, 80))],
    ["a port with our port as its high byte", ports(49_152, 80 << 8), dropped("other_port")],
    ["port 0 to ours", ports(0, 80), segmentOf(ports(0, 80))],
    ["port 65535 to ours", ports(65_535, 80), segmentOf(ports(65_535, 80))],
  ];
  for (const [name, segment, expected] of table) test(name, () => check(frameOf(segment), expected));

  for (const port of [1, 22, 32_768, 65_535]) {
    test(`port ${port} can be ours`, () => {
      const options = { ...OURS, ports: [port] };
      check(frameOf(ports(49_152, port)), segmentOf(ports(49_152, port)), 1, options);
      check(frameOf(ports(port, 49_152)), dropped("from_server"), 1, options);
      check(frameOf(REQUEST), dropped("other_port"), 1, options);
    });
  }

  const sources = [
    "0.0.0.0",
    "255.255.255.255",
    "128.0.0.1",
    "127.255.255.255",
    "::",
    "::1",
    "::ffff:0:1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "8000::8000",
  ];
  for (const source of sources) {
    test(`identity from ${source}`, () => {
      const segment: Tcp = { ...REQUEST, source, destination: source };
      check(frameOf(segment), segmentOf(segment));
    });
  }

  test("an IPv4 address is ::ffff:a.b.c.d in an identity", () => {
    const outcome = new Decoding().feed(frameOf(REQUEST));
    expect(outcome).toHaveProperty(
      "identity",
      "00000000000000000000ffff0a01020300000000000000000000ffffc0a8fffec0000050",
    );
  });

  test("an IPv4 flow after an IPv6 one has nothing left of it", () => {
    const decoding = new Decoding();
    const v6: Tcp = { ...REQUEST_V6, source: "1:2:3:4:5:6:7:8", destination: "9:a:b:c:d:e:f:10" };
    expect(decoding.feed(frameOf(v6))).toEqual(segmentOf(v6));
    expect(decoding.feed(frameOf(REQUEST))).toEqual(segmentOf(REQUEST));
  });

  test("outer addresses and the UDP source port are not part of an identity", () => {
    const mirroredFrame = ethernet(packetOf(REQUEST));
    check(
      mirrored(mirroredFrame, { vni: VNI, source: "172.31.0.9", destination: "172.31.9.9", sourcePort: 1 }),
      segmentOf(REQUEST),
    );
  });
});

test("a segment has its capture time, with the fraction", () => {
  const decoding = new Decoding();
  expect(decoding.feed(frameOf(REQUEST), 1, 1_700_000_000_123.456)).toEqual(
    segmentOf(REQUEST, { timestampMs: 1_700_000_000_123.456 }),
  );
});

test("the last segment of one frame leaves nothing in the next", () => {
  const decoding = new Decoding();
  const cut = frameOf(REQUEST).slice(0, -5);
  expect(decoding.feed(cut)).toHaveProperty("missingLength", 5);
  expect(decoding.feed(frameOf({ ...REQUEST, payload: bytes("x") }))).toEqual(segmentOf(REQUEST, { payload: "x" }));
  expect(decoding.feed(frameOf({ ...REQUEST, payload: bytes("") }))).toEqual(
    segmentOf(REQUEST, { payload: latin1(bytes("")) }),
  );
});
