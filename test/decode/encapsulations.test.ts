/** Every form in which a mirror delivers a frame: the same segment, its VNI, and the limits of each header. */
import { describe, expect, test } from "bun:test";
import { Decoder, type DecoderOptions } from "../../src/decode/decoder.ts";
import { SEGMENT } from "../../src/decode/drop-reason.ts";
import { IDENTITY_VNI } from "../../src/decode/segment.ts";
import type { Encapsulation } from "../../src/decode/tunnel.ts";
import { Counters } from "../../src/observe/counters.ts";
import { WAYS } from "../support/encapsulations.ts";
import {
  bytes,
  erspan,
  ethernet,
  geneve,
  gre,
  ip,
  mirrored,
  mpls,
  pppoe,
  snap,
  TCP,
  tcp,
  type Typed,
  typed,
  UDP,
  udp,
  u16,
  vxlanPacket,
} from "../support/frames.ts";
import {
  Decoding,
  dropped,
  inner,
  type Outcome,
  OURS,
  patched,
  REQUEST,
  REQUEST_V6,
  segmentOf,
  VNI,
} from "./decoding.ts";

const GRE = 47;
const FRAME = inner(REQUEST);
const PACKET = ip(REQUEST.source, REQUEST.destination, TCP, tcp(REQUEST));
const BRIDGED: Typed = { etherType: 0x6558, payload: FRAME };

/** The outcome of a frame; `vnis`: any, if it is not given. */
function feed(encapsulation: Encapsulation, frame: Uint8Array, vnis: DecoderOptions["vnis"] = "any"): Outcome {
  return new Decoding({ ...OURS, encapsulation, vnis }).feed(frame);
}

describe.each([...WAYS])("$name", ({ encapsulation, identifier, wrap }) => {
  const vni = { vni: VNI, session: VNI & 0x3ff, none: 0 }[identifier];
  test.each([REQUEST, REQUEST_V6])("a segment of $source", (segment) => {
    expect(feed(encapsulation, wrap(inner(segment), VNI), encapsulation === "none" ? "any" : [vni])).toEqual(
      segmentOf(segment),
    );
  });

  test("its VNI is in the identity, and no other VNI is ours", () => {
    const decoder = new Decoder({ ...OURS, encapsulation, vnis: "any" }, new Counters());
    const frame = Uint8Array.from(wrap(FRAME, VNI));
    expect(decoder.decode(frame, new DataView(frame.buffer), 0, frame.length, 1, 0)).toBe(SEGMENT);
    expect(decoder.segment.identity[IDENTITY_VNI]).toBe(vni);
    if (encapsulation === "none") return;
    expect(feed(encapsulation, wrap(FRAME, VNI), [vni ^ 1, 77])).toEqual(dropped("other_vni"));
    expect(feed(encapsulation, wrap(FRAME, VNI), [77, vni])).toEqual(segmentOf(REQUEST));
  });
});

const inGre = (content: Uint8Array) => ethernet(ip("10.0.0.1", "10.0.0.2", GRE, content));
const inGeneve = (content: Uint8Array) => ethernet(ip("10.0.0.1", "10.0.0.2", UDP, udp(1, 6081, content)));
/** The place of the tunnel's header in those two. */
const GRE_AT = 14 + 20;
const GENEVE_AT = 14 + 20 + 8;
const MIRRORED = vxlanPacket(FRAME, { vni: VNI });
test.each([2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])("GRE's key %d is ours, alone and in a list", (key) => {
  const frame = inGre(gre(BRIDGED, { key }));
  for (const vnis of [[key], [7, key]]) expect(feed("gre", frame, vnis)).toEqual(segmentOf(REQUEST));
  expect(feed("gre", frame, [key - 1])).toEqual(dropped("other_vni"));
});

const OTHER_UDP = ip("10.0.0.1", "10.0.0.2", UDP, udp(53, 53, bytes("?")));

const EDGES: [name: string, encapsulation: Encapsulation, frame: Uint8Array, expected: Outcome][] = [
  ["GRE of another version", "gre", patched(inGre(gre(BRIDGED)), GRE_AT + 1, [1]), dropped("not_gre")],
  ["GRE with routing", "gre", patched(inGre(gre(BRIDGED)), GRE_AT, [0x40]), dropped("not_gre")],
  [
    "GRE that ends in its key",
    "gre",
    inGre(gre({ etherType: 0x0800, payload: bytes([]) }, { key: 1 }).slice(0, 7)),
    dropped("not_gre"),
  ],
  [
    "GRE that carries nothing known",
    "gre",
    inGre(gre({ etherType: 0x1234, payload: PACKET })),
    dropped("inner_not_ip"),
  ],
  ["GRE that carries MPLS", "gre", inGre(gre(mpls(PACKET, 2))), segmentOf(REQUEST)],
  ["ERSPAN II of another version", "gre", patched(inGre(erspan(2, 1, FRAME)), GRE_AT + 8, [0x20]), dropped("not_gre")],
  [
    "ERSPAN III that is no Ethernet",
    "gre",
    patched(inGre(erspan(3, 1, FRAME)), GRE_AT + 8 + 10, [0x04]),
    dropped("not_gre"),
  ],
  ["ERSPAN III, cut in its subheader", "gre", inGre(erspan(3, 1, bytes([]), true).slice(0, -1)), dropped("not_gre")],
  ["UDP for GRE", "gre", mirrored(FRAME, { vni: VNI }), dropped("other_ip_protocol")],
  [
    "GENEVE of another version",
    "geneve",
    patched(inGeneve(geneve(VNI, BRIDGED)), GENEVE_AT, [0x40]),
    dropped("not_geneve"),
  ],
  [
    "a control packet of GENEVE",
    "geneve",
    patched(inGeneve(geneve(VNI, BRIDGED)), GENEVE_AT + 1, [0x80]),
    dropped("not_geneve"),
  ],
  [
    "a critical option in GENEVE is skipped",
    "geneve",
    patched(inGeneve(geneve(VNI, BRIDGED, new Uint8Array(4))), GENEVE_AT + 1, [0x40]),
    segmentOf(REQUEST),
  ],
  [
    "GENEVE with the most options",
    "geneve",
    inGeneve(geneve(VNI, typed(PACKET), new Uint8Array(4 * 63))),
    segmentOf(REQUEST),
  ],
  [
    "GENEVE with options beyond its end",
    "geneve",
    inGeneve(geneve(VNI, typed(bytes([0x45])), new Uint8Array(8)).slice(0, 15)),
    dropped("not_geneve"),
  ],
  ["GENEVE that carries other UDP", "geneve", inGeneve(geneve(VNI, typed(OTHER_UDP))), dropped("not_tcp")],
  [
    "VXLAN in GENEVE without its flag",
    "geneve",
    inGeneve(geneve(0, typed(vxlanPacket(FRAME, { vni: VNI, flags: 0 })))),
    dropped("not_vxlan"),
  ],
  ["VXLAN beside GENEVE", "geneve", ethernet(MIRRORED), dropped("other_udp_port")],
  ["a plain mirror packet", "none", ethernet(MIRRORED), dropped("not_tcp")],
  [
    "PPPoE discovery",
    "none",
    patched(bytes(FRAME.slice(0, 12), u16(0x8864), pppoe(PACKET).payload), 15, [9]),
    dropped("not_ip"),
  ],
  [
    "SNAP of another OUI",
    "none",
    patched(bytes(FRAME.slice(0, 12), u16(200), snap(PACKET).payload), 17, [1]),
    dropped("not_ip"),
  ],
  ["a length of 0", "none", bytes(FRAME.slice(0, 12), u16(0), snap(PACKET).payload), dropped("not_ip")],
  [
    "no bottom of the labels",
    "none",
    bytes(FRAME.slice(0, 12), u16(0x8847), mpls(PACKET, 9).payload),
    dropped("not_ip"),
  ],
  [
    "as many labels as are read",
    "none",
    bytes(FRAME.slice(0, 12), u16(0x8847), mpls(PACKET, 8).payload),
    segmentOf(REQUEST),
  ],
  ["labels that are cut", "none", bytes(FRAME.slice(0, 12), u16(0x8847), [0, 0, 0]), dropped("malformed_outer")],
  [
    "labels that are cut in VXLAN",
    "vxlan",
    mirrored(bytes(FRAME.slice(0, 12), u16(0x8847), [0, 0, 0]), { vni: VNI }),
    dropped("truncated"),
  ],
];

test.each(EDGES)("%s", (_name, encapsulation, frame, expected) => {
  expect(feed(encapsulation, frame)).toEqual(expected);
});

test("the same fragment in two networks belongs to two datagrams", () => {
  const decoding = new Decoding({ ...OURS, vnis: [1, 2] });
  const content = tcp(REQUEST);
  const part = (vni: number, from: number, to: number) =>
    mirrored(
      ethernet(
        ip(REQUEST.source, REQUEST.destination, TCP, content.slice(from, to), {
          identification: 5,
          fragmentOffset: from,
          moreFragments: to < content.length,
        }),
      ),
      { vni },
    );
  expect(decoding.feed(part(1, 0, 32))).toEqual(dropped("fragment"));
  expect(decoding.feed(part(2, 32, content.length))).toEqual(dropped("fragment"));
  expect(decoding.feed(part(2, 0, 32))).toEqual(segmentOf(REQUEST));
  expect(decoding.feed(part(1, 32, content.length))).toEqual(segmentOf(REQUEST));
});

test("fragments inside GENEVE are put together, for every content of GENEVE", () => {
  for (const packet of [MIRRORED, PACKET]) {
    const decoding = new Decoding({ ...OURS, encapsulation: "geneve" });
    const content = packet.slice(20);
    const part = (from: number, to: number) =>
      inGeneve(
        geneve(
          VNI,
          typed(
            ip("10.1.2.3", "192.168.255.254", packet[9]!, content.slice(from, to), {
              identification: 5,
              fragmentOffset: from,
              moreFragments: to < content.length,
            }),
          ),
        ),
      );
    expect(decoding.feed(part(24, content.length))).toEqual(dropped("fragment"));
    expect(decoding.feed(part(0, 24))).toEqual(segmentOf(REQUEST));
  }
});

test("of several ports, the connection's own port is the server's", () => {
  const options = { ...OURS, ports: [80, 8080] };
  for (const port of [80, 8080]) {
    const [to, from] = [
      { ...REQUEST, destinationPort: port },
      { ...REQUEST, sourcePort: port, destinationPort: 50_000 },
    ];
    expect(new Decoding(options).feed(mirrored(inner(to), { vni: VNI }))).toEqual(segmentOf(to));
    expect(new Decoding(options).feed(mirrored(inner(from), { vni: VNI }))).toEqual(dropped("from_server"));
  }
  expect(new Decoding(options).feed(mirrored(inner({ ...REQUEST, destinationPort: 81 }), { vni: VNI }))).toEqual(
    dropped("other_port"),
  );
});
