/** Mutated valid frames, and random ones: the input of fuzzing. */
import { type Encapsulation, ENCAPSULATIONS } from "../../src/decode/tunnel.ts";
import type { Random } from "../support/random.ts";
import { builtFrames, capturedFrames, type CorpusFrame } from "./corpus.ts";

export const CAPTURED = Object.fromEntries(
  ENCAPSULATIONS.map((encapsulation) => [encapsulation, capturedFrames(encapsulation)]),
) as Record<Encapsulation, CorpusFrame[]>;

/** Each is as likely as the others; the built frames are as frequent as all captures together. */
function captures(encapsulation: Encapsulation): CorpusFrame[][] {
  return Object.values(Object.groupBy(CAPTURED[encapsulation], ({ name }) => name.split(" ")[0]!)) as CorpusFrame[][];
}
const LINK_TYPES = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276];
export const FRAME_BYTES_MAX = 70_000;
const EDGES = [
  0x00, 0x01, 0x04, 0x06, 0x08, 0x11, 0x2c, 0x2f, 0x33, 0x3c, 0x40, 0x44, 0x45, 0x4f, 0x50, 0x60, 0x65, 0x7f, 0x80,
  0xf0, 0xff,
];
const EDGES_16 = [
  0, 1, 7, 8, 19, 20, 39, 40, 80, 4789, 6081, 0x0800, 0x1100, 0x1000, 0x2000, 0x3000, 0x22eb, 0x6558, 0x8100, 0x8847,
  0x8848, 0x8864, 0x86dd, 0x88a8, 0x88be, 0x05dc, 0x1fff, 0x3fff, 0x7fff, 0x8000, 0xaaaa, 0xfff8, 0xffff,
];
/** Headers are in a frame's first bytes, and most edits go there; the mirror's own headers are the first of these. */
const HEADERS_LEN = 160;
const OUTER_HEADERS_LEN = 50;

export class FrameMaker {
  /** The present frame: its first `length` bytes. */
  readonly frame = new Uint8Array(FRAME_BYTES_MAX);
  length = 0;
  linkType = 1;

  private readonly built: CorpusFrame[];
  private readonly captures: CorpusFrame[][];
  private group: CorpusFrame[];
  private index = 0;

  /** `port`: the port of the built frames' server. */
  constructor(
    private readonly random: Random,
    port: number,
    encapsulation: Encapsulation = "vxlan",
  ) {
    this.built = builtFrames(port, encapsulation);
    this.captures = captures(encapsulation);
    this.group = this.built;
  }

  /** Makes the next frame. */
  make(): void {
    const { random } = this;
    const kind = random.next();
    if (kind < 0.05) this.makeRandom();
    else {
      this.take();
      if (kind < 0.15) this.spliceTail(random.pick(this.built).frame);
      else if (kind < 0.2) this.randomiseFrom(random.int(0, this.length));
      for (let edits = random.pick([0, 1, 1, 1, 2, 2, 3, 5]); edits > 0; edits--) this.edit();
    }
    if (random.chance(0.02)) this.linkType = random.chance(0.9) ? random.pick(LINK_TYPES) : random.int(0, 300);
  }

  /** A frame of the corpus: any one, or the one after the last, so that fragments of a datagram meet. */
  private take(): void {
    const { random } = this;
    if (random.chance(0.5)) {
      this.index = (this.index + 1) % this.group.length;
    } else {
      this.group = this.captures.length === 0 || random.chance(0.5) ? this.built : random.pick(this.captures);
      this.index = random.int(0, this.group.length - 1);
    }
    const { frame, linkType } = this.group[this.index]!;
    this.frame.set(frame);
    this.length = frame.length;
    this.linkType = linkType;
  }

  private makeRandom(): void {
    this.length = this.random.int(0, 200);
    this.linkType = this.random.pick(LINK_TYPES);
    this.randomiseFrom(0);
  }

  private randomiseFrom(at: number): void {
    for (let i = at; i < this.length; i++) this.frame[i] = this.random.int(0, 255);
  }

  /** The head of this frame, and the tail of another. */
  private spliceTail(other: Uint8Array): void {
    const at = this.random.int(0, Math.min(this.length, HEADERS_LEN));
    const from = this.random.int(0, Math.min(other.length, HEADERS_LEN));
    this.frame.set(other.subarray(from), at);
    this.length = at + other.length - from;
  }

  private edit(): void {
    const { random, frame } = this;
    if (this.length === 0) return;
    const at = this.place();
    switch (random.int(0, 7)) {
      case 0:
        frame[at]! ^= 1 << random.int(0, 7);
        break;
      case 1:
        frame[at] = random.int(0, 255);
        break;
      case 2:
        frame[at] = random.pick(EDGES);
        break;
      case 3:
        this.set16(at, random.pick(EDGES_16));
        break;
      case 4:
        // A likely value of a length field: about the number of bytes from here to the frame's end.
        this.set16(at, this.length - at + random.int(-24, 24));
        break;
      case 5:
        this.length = random.chance(0.5) ? at : random.int(0, this.length);
        break;
      case 6:
        this.insert(at, random.int(1, 40));
        break;
      default:
        this.remove(at, random.int(1, 40));
    }
  }

  private place(): number {
    const { random } = this;
    const last = this.length - 1;
    if (random.chance(0.1)) return random.int(0, last);
    const low = random.chance(0.6) ? OUTER_HEADERS_LEN : 0;
    return Math.min(last, random.int(low, HEADERS_LEN));
  }

  private set16(at: number, value: number): void {
    this.frame[at] = value >>> 8;
    if (at + 1 < this.length) this.frame[at + 1] = value;
  }

  private insert(at: number, count: number): void {
    if (this.length + count > FRAME_BYTES_MAX) return;
    this.frame.copyWithin(at + count, at, this.length);
    this.length += count;
    // Half of the time, the old content comes twice: another tag, header or option.
    if (this.random.chance(0.5)) for (let i = at; i < at + count; i++) this.frame[i] = this.random.int(0, 255);
  }

  private remove(at: number, count: number): void {
    const end = Math.min(this.length, at + count);
    this.frame.copyWithin(at, end, this.length);
    this.length -= end - at;
  }
}
