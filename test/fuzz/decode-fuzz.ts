/**
 * Fuzzing of decode: valid frames mutated, and random ones. Whatever comes, there is no exception,
 * each frame is counted exactly once, a segment's payload lies within its record, and nothing else
 * is read: two decoders see the same frames in different surroundings and must agree on everything.
 *
 *     bun test/fuzz/decode-fuzz.ts --seed 1 --seeds 10 --frames 100000
 */
import { parseArgs } from "node:util";
import { Decoder } from "../../src/decode/decoder.ts";
import { DROP_REASONS, SEGMENT } from "../../src/decode/drop-reason.ts";
import { DATAGRAMS_MAX, FRAGMENT_BYTES_MAX } from "../../src/decode/fragments.ts";
import { IDENTITY_WORDS, type Segment } from "../../src/decode/segment.ts";
import { Counters } from "../../src/observe/counters.ts";
import { Random } from "../support/random.ts";
import { builtFrames, capturedFrames, CORPUS_VNI, type CorpusFrame } from "./corpus.ts";

export interface DecodeFuzz {
  seed: number;
  frames: number;
}

/** How many frames ended how. */
export type DecodeFuzzReport = Record<string, number>;

const CAPTURED = capturedFrames();
/** Each is as likely as the others; those built here come as often as all captures together. */
const CAPTURES = Object.values(Object.groupBy(CAPTURED, ({ name }) => name.split(" ")[0]!)) as CorpusFrame[][];
/** Destination ports that the captures' clients talk to; a seed takes one of them. */
const PORTS = [80, 80, 22, 4000];
/** Up to how much time passes between frames, and so whether fragments rather expire or are evicted; a seed takes one. */
const STEPS_MS = [1, 20, 500];
const LINK_TYPES = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276];
const FRAME_BYTES_MAX = 70_000;
const SURROUNDINGS_BYTES = 4 * FRAME_BYTES_MAX;
const EDGES = [0x00, 0x01, 0x04, 0x06, 0x08, 0x11, 0x2c, 0x33, 0x3c, 0x40, 0x44, 0x45, 0x4f, 0x50, 0x60, 0x65, 0x7f, 0x80, 0xf0, 0xff];
const EDGES_16 = [0, 1, 7, 8, 19, 20, 39, 40, 80, 4789, 0x0800, 0x8100, 0x86dd, 0x88a8, 0x1fff, 0x2000, 0x3fff, 0x7fff, 0x8000, 0xfff8, 0xffff];
/** Headers lie in a frame's first bytes, and that is where most edits go; the mirror's own are the first of these. */
const HEADERS_LEN = 160;
const OUTER_HEADERS_LEN = 50;

/** Runs `frames` frames from a seed. Throws an Error that tells the seed, the frame and how to run it again. */
export function fuzzDecode({ seed, frames }: DecodeFuzz): DecodeFuzzReport {
  const fuzz = new Fuzz(seed);
  for (let i = 0; i < frames; i++) {
    try {
      fuzz.step();
    } catch (error) {
      throw new Error(
        `decode fuzz: seed ${seed}, frame ${i} (${CAPTURED.length} captured frames in the corpus): ${(error as Error).message}\n` +
          `link type ${fuzz.linkType}, ${fuzz.length} bytes: ${fuzz.frame.subarray(0, Math.min(fuzz.length, 2000)).toHex()}\n` +
          `again: bun test/fuzz/decode-fuzz.ts --seed ${seed} --frames ${i + 1}`,
        { cause: error },
      );
    }
  }
  return fuzz.report();
}

class Fuzz {
  /** The frame at hand: its first `length` bytes. */
  readonly frame = new Uint8Array(FRAME_BYTES_MAX);
  length = 0;
  linkType = 1;

  private readonly random: Random;
  private readonly built: CorpusFrame[];
  private readonly stepMs: number;
  private group: CorpusFrame[];
  private index = 0;
  private readonly counted = DROP_REASONS.map(() => 0);
  private segments = 0;
  private truncated = 0;
  private steps = 0;
  private nowMs = 1_700_000_000_000;

  private readonly alone: Run;
  private readonly surrounded: Run;
  private readonly record = new Uint8Array(FRAME_BYTES_MAX);
  private readonly surroundings: Uint8Array<ArrayBuffer>;
  private readonly surroundingsView: DataView;

  constructor(seed: number) {
    this.random = new Random(seed);
    const port = this.random.pick(PORTS);
    const options = { vxlanPort: 4789, vni: CORPUS_VNI, port };
    this.stepMs = this.random.pick(STEPS_MS);
    this.built = builtFrames(port);
    this.group = this.built;
    this.alone = new Run(options);
    this.surrounded = new Run(options);
    this.surroundings = new Uint8Array(SURROUNDINGS_BYTES);
    for (let i = 0; i < SURROUNDINGS_BYTES; i++) this.surroundings[i] = this.random.int(0, 255);
    this.surroundingsView = new DataView(this.surroundings.buffer);
  }

  step(): void {
    this.make();
    this.nowMs += this.random.int(0, this.stepMs);

    // Alone: a view of the record and no more, so that any other read is a RangeError.
    const { record, length } = this;
    record.set(this.frame.subarray(0, length));
    const view = new DataView(record.buffer, 0, length);
    const outcome = this.alone.decode(record, view, 0, length, this.linkType, this.nowMs);
    this.checkPayload(this.alone, 0);
    this.count(outcome);

    // Surrounded by what earlier frames left there, often the very bytes that were cut off.
    const offset = this.random.int(0, SURROUNDINGS_BYTES - length);
    this.surroundings.set(this.frame.subarray(0, length), offset);
    const other = this.surrounded.decode(this.surroundings, this.surroundingsView, offset, length, this.linkType, this.nowMs);
    this.checkPayload(this.surrounded, offset);
    if (other !== outcome) throw new Error(`ends as ${nameOf(outcome)} alone, but as ${nameOf(other)} among other bytes`);
    if (outcome === SEGMENT) compareSegments(this.alone.decoder.segment, this.surrounded.decoder.segment);
    this.alone.checkFragments(this.surrounded);
  }

  report(): DecodeFuzzReport {
    const report: DecodeFuzzReport = { segment: this.segments, "segment, its tail cut off": this.truncated };
    DROP_REASONS.forEach((reason, i) => (report[reason] = this.counted[i]!));
    const { completed, expired, evicted } = this.alone.counters.fragments;
    return { ...report, "datagrams completed": completed, "datagrams expired": expired, "datagrams evicted": evicted };
  }

  /** Exactly one counter has gone up, by one. */
  private count(outcome: number): void {
    this.steps++;
    if (outcome === SEGMENT) {
      this.segments++;
      if (this.alone.decoder.segment.missingLength > 0) this.truncated++;
    } else if (this.counted[outcome] === undefined) {
      throw new Error(`ends as ${outcome}, which is no outcome`);
    } else {
      this.counted[outcome]!++;
    }
    const { captured, segments, truncated, dropped } = this.alone.counters.frames;
    const adds = captured === this.steps && segments === this.segments && truncated === this.truncated;
    if (!adds || dropped.some((count, i) => count !== this.counted[i])) throw new Error(`is counted wrongly as ${nameOf(outcome)}`);
    if (captured !== segments + dropped.reduce((sum, count) => sum + count, 0)) throw new Error("captured is not segments + Σ dropped");
  }

  private checkPayload({ outcome, bytes, decoder }: Run, offset: number): void {
    if (outcome !== SEGMENT) return;
    const { segment } = decoder;
    const isRecord = segment.bytes === bytes;
    const low = isRecord ? offset : 0;
    const high = isRecord ? offset + this.length : segment.bytes.length;
    const end = segment.payloadOffset + segment.payloadLength;
    if (segment.payloadLength < 0 || segment.missingLength < 0 || segment.payloadOffset < low || end > high) {
      throw new Error(`has its payload from ${segment.payloadOffset} to ${end}, outside ${low} to ${high}; ${segment.missingLength} missing`);
    }
    if (segment.payloadLength + segment.missingLength > 0xffff && this.length < 0xffff) throw new Error("is longer than IP allows");
    if (segment.timestampMs !== this.nowMs) throw new Error("bears another time");
  }

  /** Makes the next frame. */
  private make(): void {
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

  /** A frame of the corpus: any, or the one behind the last, so that fragments meet their others. */
  private take(): void {
    const { random } = this;
    if (random.chance(0.5)) {
      this.index = (this.index + 1) % this.group.length;
    } else {
      this.group = CAPTURES.length === 0 || random.chance(0.5) ? this.built : random.pick(CAPTURES);
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
        // What a length field may say: the bytes from about here to the frame's end, more or less some.
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
    // Half of the time what stood there comes twice: another tag, header or option.
    if (this.random.chance(0.5)) for (let i = at; i < at + count; i++) this.frame[i] = this.random.int(0, 255);
  }

  private remove(at: number, count: number): void {
    const end = Math.min(this.length, at + count);
    this.frame.copyWithin(at, end, this.length);
    this.length -= end - at;
  }
}

/** A decoder, what it was last given, and what it said. */
class Run {
  readonly counters = new Counters();
  readonly decoder: Decoder;
  outcome = SEGMENT;
  bytes = new Uint8Array(0);

  constructor(options: { vxlanPort: number; vni: number; port: number }) {
    this.decoder = new Decoder(options, this.counters);
  }

  decode(bytes: Uint8Array<ArrayBuffer>, view: DataView, offset: number, length: number, linkType: number, nowMs: number): number {
    this.bytes = bytes;
    this.outcome = this.decoder.decode(bytes, view, offset, length, linkType, nowMs);
    return this.outcome;
  }

  /** The table of fragments keeps its bounds, and does as the other's does. */
  checkFragments(other: Run): void {
    const mine = this.decoder["fragments"];
    const theirs = other.decoder["fragments"];
    if (mine.size > DATAGRAMS_MAX || mine.bytes > FRAGMENT_BYTES_MAX) throw new Error(`leaves ${mine.size} datagrams of ${mine.bytes} bytes waiting`);
    if (mine.size !== theirs.size || mine.bytes !== theirs.bytes) throw new Error("leaves other fragments waiting among other bytes");
    const a = this.counters.fragments;
    const b = other.counters.fragments;
    if (a.completed !== b.completed || a.expired !== b.expired || a.evicted !== b.evicted) throw new Error("counts other datagrams among other bytes");
  }
}

function compareSegments(a: Segment, b: Segment): void {
  let equal = a.payloadLength === b.payloadLength && a.missingLength === b.missingLength && a.flags === b.flags;
  equal &&= a.sequence === b.sequence && a.acknowledgment === b.acknowledgment;
  for (let i = 0; equal && i < IDENTITY_WORDS; i++) equal = a.identity[i] === b.identity[i];
  for (let i = 0; equal && i < a.payloadLength; i++) equal = a.bytes[a.payloadOffset + i] === b.bytes[b.payloadOffset + i];
  if (!equal) throw new Error("is another segment among other bytes");
}

function nameOf(outcome: number): string {
  return outcome === SEGMENT ? "segment" : (DROP_REASONS[outcome] ?? String(outcome));
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { seed: { type: "string", default: "1" }, seeds: { type: "string", default: "1" }, frames: { type: "string", default: "100000" } },
  });
  const [seed, seeds, frames] = [values.seed, values.seeds, values.frames].map(Number) as [number, number, number];
  const totals: DecodeFuzzReport = {};
  const startedMs = performance.now();
  for (let i = 0; i < seeds; i++) {
    for (const [outcome, count] of Object.entries(fuzzDecode({ seed: seed + i, frames }))) totals[outcome] = (totals[outcome] ?? 0) + count;
  }
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(`${seeds * frames} frames from seeds ${seed} to ${seed + seeds - 1} in ${seconds.toFixed(1)} s: all properties hold`);
  console.log(totals);
}
