/** Random fragments, against a model that keeps the first copy of every byte. */
import { expect, test } from "bun:test";
import { ethernet, ip, mirrored, TCP, type Tcp, tcp, UDP } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { Decoding, dropped, inner, latin1, OUTER_V6, segmentOf, tunnelDatagram, VNI } from "./decoding.ts";
import { type Addresses, FRAGMENT, OUTER_V4, SEGMENT, SEGMENT_V6 } from "./fragmenting.ts";

const SEEDS = 300;

for (const { name, segment, layer } of [
  { name: "inner IPv4", segment: SEGMENT, layer: innerLayer },
  { name: "inner IPv6", segment: SEGMENT_V6, layer: innerLayer },
  { name: "outer IPv4", segment: SEGMENT, layer: outerLayer(OUTER_V4) },
  { name: "outer IPv6", segment: SEGMENT_V6, layer: outerLayer(OUTER_V6) },
]) {
  test(`${name}: ${SEEDS} seeds`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      try {
        runModel(new Random(seed), segment, layer);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
  }, 60_000);
}

interface Cuttable {
  /** The fragmented datagram. */
  datagram: Uint8Array;
  /** The place of the segment's payload in it. */
  payloadOffset: number;
  /** A fragment's frame without its last `cut` payload bytes. */
  frame: (identification: number, content: Uint8Array, at: number, more: boolean, cut: number) => Uint8Array;
}

function innerLayer(segment: Tcp): Cuttable {
  const frame: Cuttable["frame"] = (identification, content, at, more, cut) => {
    const packet = ip(segment.source, segment.destination, TCP, content, {
      identification,
      fragmentOffset: at,
      moreFragments: more,
    });
    return mirrored(ethernet(packet.slice(0, packet.length - cut)), { vni: VNI });
  };
  return { datagram: tcp(segment), payloadOffset: 20, frame };
}

function outerLayer({ source, destination }: Addresses): (segment: Tcp) => Cuttable {
  return (segment) => {
    const innerFrame = inner(segment);
    const frame: Cuttable["frame"] = (identification, content, at, more, cut) => {
      const packet = ip(source, destination, UDP, content, {
        identification,
        fragmentOffset: at,
        moreFragments: more,
      });
      return ethernet(packet.slice(0, packet.length - cut));
    };
    return {
      datagram: tunnelDatagram(innerFrame),
      payloadOffset: 16 + innerFrame.length - segment.payload!.length,
      frame,
    };
  };
}

/** Random cuts, overlaps with other bytes, copies and truncation, in random order. */
function runModel(random: Random, like: Tcp, layer: (segment: Tcp) => Cuttable): void {
  const segment: Tcp = { ...like, payload: random.bytes(random.int(1, 300)) };
  const { datagram, payloadOffset, frame } = layer(segment);
  const total = datagram.length;
  const units = Math.floor((total - 1) / 8);
  const ranges: [from: number, to: number][] = [];
  for (let from = 0; from < total;) {
    const to = random.chance(0.3) ? total : Math.min(total, from + 8 * random.int(1, 12));
    ranges.push([from, to]);
    from = to;
  }
  for (let extra = random.int(0, 5); extra > 0; extra--) {
    const from = 8 * random.int(0, units);
    const to = random.chance(0.2) ? total : Math.min(total, from + 8 * random.int(1, 12));
    ranges.push([from, to]);
  }
  for (let i = ranges.length - 1; i > 0; i--) {
    const j = random.int(0, i);
    [ranges[i], ranges[j]] = [ranges[j]!, ranges[i]!];
  }

  const decoding = new Decoding();
  let model = new Model(total);
  let identification = 9;
  for (const [from, to] of ranges) {
    // Headers stay unchanged, so that only the payload can be wrong.
    const content = datagram
      .slice(from, to)
      .map((byte, i) => (from + i >= payloadOffset && random.chance(0.3) ? random.int(0, 255) : byte));
    const cut = random.chance(0.15) ? random.int(0, to - from) : 0;
    // A fragment that covers everything is no fragment (in IPv6: an atomic one, RFC 6946), and does not touch the
    // waiting ones.
    const isWhole = from === 0 && to === total;
    const into = isWhole ? new Model(total) : model;
    into.place(content, from, cut, to === total);
    const outcome = decoding.feed(frame(identification, content, from, to !== total, cut));
    if (!into.complete) {
      expect(outcome).toEqual(FRAGMENT);
      continue;
    }
    const present = into.presentLength;
    const payload = into.content.slice(payloadOffset, Math.max(payloadOffset, present));
    const headersCut = present < payloadOffset;
    if (headersCut) {
      // In the outer layer, the cut may be before the mirrored frame.
      expect(["truncated", "malformed_outer", "not_vxlan"]).toContain(outcome.outcome);
      if (present >= payloadOffset - 20) expect(outcome).toEqual(dropped("truncated"));
    } else {
      expect(outcome).toEqual(segmentOf(segment, { payload: latin1(payload), missingLength: total - present }));
    }
    if (isWhole) continue;
    // An identification that comes again has rules of its own (fragments.test.ts).
    identification++;
    model = new Model(total);
  }
}

class Model {
  readonly content: Uint8Array;
  private readonly present: boolean[];
  private readonly announced: boolean[];
  private lastSeen = false;

  constructor(private readonly total: number) {
    this.content = new Uint8Array(total);
    this.present = new Array<boolean>(total).fill(false);
    this.announced = new Array<boolean>(total).fill(false);
  }

  place(content: Uint8Array, from: number, cut: number, last: boolean): void {
    for (let i = 0; i < content.length; i++) {
      this.announced[from + i] = true;
      if (i >= content.length - cut || this.present[from + i]) continue;
      this.present[from + i] = true;
      this.content[from + i] = content[i]!;
    }
    this.lastSeen ||= last;
  }

  get complete(): boolean {
    return this.lastSeen && this.announced.every(Boolean);
  }

  get presentLength(): number {
    const hole = this.present.indexOf(false);
    return hole < 0 ? this.total : hole;
  }
}
