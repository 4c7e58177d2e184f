/**
 * Valid frames to start from: every kind that the decoder reads, built here, and those of the third-party captures in
 * ../shared, if it exists.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  cooked,
  cooked2,
  ethernetTagged,
  LINK_LOOP,
  LINK_NULL,
  LINK_SLL,
  LINK_SLL2,
  loopback,
} from "../decode/link.ts";
import type { Encapsulation } from "../../src/decode/tunnel.ts";
import { WAYS } from "../support/encapsulations.ts";
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
  UDP,
  udp,
  vxlanPacket,
} from "../support/frames.ts";

export interface CorpusFrame {
  name: string;
  linkType: number;
  frame: Uint8Array;
}

export const CORPUS_VNI = 5_569_041;
const ETHERNET = 1;
const RAW = 101;
const OUTER_V6 = { source: "fd00::1", destination: "fd00::2" };

/**
 * Frames built from the RFCs, of all kinds in an encapsulation; their segments are to or from `port`, and in
 * CORPUS_VNI.
 */
export function builtFrames(port = 80, encapsulation: Encapsulation = "vxlan"): CorpusFrame[] {
  const payload = bytes("POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 100\r\n\r\n", new Uint8Array(100).fill(0x78));
  const v4: Tcp = {
    source: "10.1.2.3",
    destination: "10.9.8.7",
    sourcePort: 49_152,
    destinationPort: port,
    sequence: 0xfffffff0,
    acknowledgment: 1,
    flags: "PA",
    payload,
  };
  const v6: Tcp = { ...v4, source: "2001:db8::ff:3", destination: "fe80::1:80" };
  const options = new Uint8Array(12).fill(1);
  const rest = new Uint8Array(6);
  const vni = CORPUS_VNI;

  const packet = (segment: Tcp, ipOptions: IpOptions = {}) =>
    ip(segment.source, segment.destination, TCP, tcp(segment), ipOptions);
  const inners: [name: string, frame: Uint8Array][] = [
    ["IPv4", ethernet(packet(v4))],
    ["IPv4 SYN with options", ethernet(packet({ ...v4, flags: "S", options, payload: new Uint8Array(0) }))],
    ["IPv4 with options", ethernet(packet({ ...v4, options }, { options: new Uint8Array(24).fill(1) }))],
    ["IPv4 behind tags", ethernetTagged(packet(v4), [0x88a8, 0x8100])],
    ["IPv4 padded", bytes(ethernet(packet({ ...v4, payload: bytes("x") })), new Uint8Array(5))],
    ["IPv6", ethernet(packet(v6))],
    [
      "IPv6 with extension headers",
      ethernet(
        packet(v6, {
          extensions: [
            [0, rest],
            [43, rest],
            [51, rest],
            [60, rest],
          ],
        }),
      ),
    ],
    ["IPv6 behind a tag, atomic fragment", ethernetTagged(packet({ ...v6, options }, { fragmentOffset: 0 }), [0x9100])],
    ["from the server", ethernet(packet({ ...v4, sourcePort: port, destinationPort: 49_152 }))],
    ["UDP", ethernet(ip("10.1.2.3", "10.9.8.7", UDP, udp(53, 53, payload)))],
  ];
  const outers: [name: string, outer: Outer][] = [
    ["IPv4", { vni }],
    ["IPv4 with options", { vni, options: new Uint8Array(8).fill(1) }],
    ["IPv6", { vni, ...OUTER_V6 }],
    [
      "IPv6 with extension headers",
      {
        vni,
        ...OUTER_V6,
        extensions: [
          [0, rest],
          [60, rest],
        ],
      },
    ],
  ];
  const ways = WAYS.filter((way) => way.encapsulation === encapsulation);
  const wrapped = inners.flatMap(([inner, frame]) =>
    ways.map(({ name, wrap }) => ({ name: `${inner}: ${name}`, linkType: ETHERNET, frame: wrap(frame, CORPUS_VNI) })),
  );
  if (encapsulation !== "vxlan") return [...wrapped, ...fragmentsOf(wrapped)];
  const frames: CorpusFrame[] = inners.flatMap(([inner, frame]) =>
    outers.map(([outer, how]) => ({ name: `${inner} in ${outer}`, linkType: ETHERNET, frame: mirrored(frame, how) })),
  );

  const plain = vxlanPacket(ethernet(packet(v4)), { vni });
  const plainV6 = vxlanPacket(ethernet(packet(v6)), { vni, ...OUTER_V6 });
  const links: [name: string, linkType: number, wrap: (packet: Uint8Array) => Uint8Array][] = [
    ["tagged Ethernet", ETHERNET, (inside) => ethernetTagged(inside, [0x88a8, 0x9100, 0x8100])],
    ["Linux cooked v1", LINK_SLL, (inside) => cooked(inside)],
    ["Linux cooked v2, tagged", LINK_SLL2, (inside) => cooked2(inside, [0x8100])],
    ["BSD loopback, little-endian", LINK_NULL, (inside) => loopback(inside, 2, true)],
    ["BSD loopback, big-endian", LINK_LOOP, (inside) => loopback(inside, 24, false)],
    ["raw IP", RAW, (inside) => inside],
  ];
  for (const [name, linkType, wrap] of links) {
    frames.push(
      { name: `${name}, IPv4`, linkType, frame: wrap(plain) },
      { name: `${name}, IPv6`, linkType, frame: wrap(plainV6) },
    );
  }

  const cut = (
    source: string,
    destination: string,
    protocol: number,
    content: Uint8Array,
    identification: number,
    before: IpOptions = {},
  ) =>
    [
      [0, 80],
      [80, 160],
      [160, content.length],
    ].map(([from, to]) =>
      ip(source, destination, protocol, content.slice(from, to), {
        ...before,
        identification,
        fragmentOffset: from!,
        moreFragments: to !== content.length,
      }),
    );
  const push = (name: string, packets: Uint8Array[]) =>
    packets.forEach((fragment, i) =>
      frames.push({ name: `${name}, ${i + 1} of 3`, linkType: ETHERNET, frame: ethernet(fragment) }),
    );
  const innerV4 = cut(v4.source, v4.destination, TCP, tcp(v4), 1);
  const innerV6 = cut(v6.source, v6.destination, TCP, tcp(v6), 2);
  const behind = cut(v6.source, v6.destination, 60, bytes([TCP, 0], rest, tcp(v6)), 3, { extensions: [[0, rest]] });
  push(
    "inner IPv4 fragment",
    innerV4.map((fragment) => vxlanPacket(ethernet(fragment), { vni })),
  );
  push(
    "inner IPv6 fragment",
    innerV6.map((fragment) => vxlanPacket(ethernet(fragment), { vni })),
  );
  push(
    "inner IPv6 fragment of extension headers",
    behind.map((fragment) => vxlanPacket(ethernet(fragment), { vni })),
  );
  push("outer IPv4 fragment", cut("172.31.0.1", "172.31.0.2", UDP, plain.slice(20), 4));
  push("outer IPv6 fragment", cut(OUTER_V6.source, OUTER_V6.destination, UDP, plainV6.slice(40), 5));
  push(
    "outer IPv4 fragment of an inner one",
    cut(
      "172.31.0.1",
      "172.31.0.2",
      UDP,
      bytes(vxlanPacket(ethernet(innerV4[0]!), { vni }).slice(20), new Uint8Array(60)),
      6,
    ),
  );
  return [...frames, ...wrapped];
}

/** The frames' packets in two fragments each, if they are plain IPv4. */
function fragmentsOf(frames: CorpusFrame[]): CorpusFrame[] {
  return frames
    .filter(({ frame }) => frame[12] === 8 && frame[13] === 0 && frame[14] === 0x45 && frame.length > 14 + 20 + 64)
    .flatMap(({ name, frame }, i) => {
      const content = frame.slice(34);
      return [
        [0, 64],
        [64, content.length],
      ].map(([from, to]) => ({
        name: `${name}, a fragment`,
        linkType: ETHERNET,
        frame: ethernet(
          ip("172.31.0.1", "172.31.0.2", frame[23]!, content.slice(from, to), {
            identification: i,
            fragmentOffset: from!,
            moreFragments: from === 0,
          }),
        ),
      }));
    });
}

/**
 * The frames of ../shared/captures in CORPUS_VNI, wrapped if they are not yet; no frames if the folder does not exist.
 */
export function capturedFrames(encapsulation: Encapsulation = "vxlan"): CorpusFrame[] {
  const ways = WAYS.filter((way) => way.encapsulation === encapsulation);
  const folder = join(import.meta.dir, "../../../shared/captures");
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder)
    .filter((name) => name.endsWith(".pcap"))
    .sort();
  return names.flatMap((name) =>
    records(Uint8Array.from(readFileSync(join(folder, name)))).map((record, i) => ({
      name: `${name} ${i + 1}`,
      linkType: ETHERNET,
      frame: name.startsWith("plain-") ? ways[i % ways.length]!.wrap(record, CORPUS_VNI) : inOurVni(record),
    })),
  );
}

/** The records of a little-endian pcap of Ethernet frames. */
function records(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  if (view.getUint32(0, true) !== 0xa1b2c3d4 || view.getUint32(20, true) !== ETHERNET) return [];
  const found: Uint8Array[] = [];
  for (let at = 24; at + 16 <= file.length;) {
    const length = view.getUint32(at + 8, true);
    found.push(file.slice(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return found;
}

/** The frame with our VNI, if it is VXLAN with plain headers; else the frame unchanged. */
function inOurVni(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const isPlainVxlan =
    frame.length > 50 &&
    view.getUint16(12) === 0x0800 &&
    frame[14] === 0x45 &&
    frame[23] === UDP &&
    view.getUint16(36) === 4789;
  if (!isPlainVxlan) return frame;
  const copy = frame.slice();
  copy.set([CORPUS_VNI >>> 16, (CORPUS_VNI >>> 8) & 0xff, CORPUS_VNI & 0xff], 46);
  return copy;
}
