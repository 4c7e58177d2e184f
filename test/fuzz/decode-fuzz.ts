/**
 * Fuzzing of decode: mutated valid frames, and random ones. For every input, there is no exception, each frame is
 * counted exactly once, a segment's payload is within its record, and nothing else is read: two decoders see the same
 * frames in different surroundings and must agree about everything.
 *
 *     bun test/fuzz/decode-fuzz.ts --seed 1 --seeds 10 --frames 100000
 */
import { parseArgs } from "node:util";
import { Decoder } from "../../src/decode/decoder.ts";
import { DROP_REASONS, SEGMENT } from "../../src/decode/drop-reason.ts";
import { DATAGRAMS_MAX, FRAGMENT_BYTES_MAX } from "../../src/decode/fragments.ts";
import { IDENTITY_WORDS, type Segment } from "../../src/decode/segment.ts";
import { ENCAPSULATIONS, type Mirror } from "../../src/decode/tunnel.ts";
import { Counters } from "../../src/observe/counters.ts";
import { Random } from "../support/random.ts";
import { CORPUS_VNI } from "./corpus.ts";
import { CAPTURED, FRAME_BYTES_MAX, FrameMaker } from "./frame-maker.ts";

export interface DecodeFuzz {
  seed: number;
  frames: number;
}

/** The number of frames by outcome. */
export type DecodeFuzzReport = Record<string, number>;

/** Destination ports of the captures' clients; each seed takes one of them. */
const PORTS = [80, 80, 22, 4000];
/** The longest time between frames. It decides whether fragments expire or are evicted; each seed takes one. */
const STEPS_MS = [1, 20, 500];
const SURROUNDINGS_BYTES = 4 * FRAME_BYTES_MAX;

/** Runs `frames` frames from a seed. Throws an Error with the seed, the frame and the command that repeats it. */
export function fuzzDecode({ seed, frames }: DecodeFuzz): DecodeFuzzReport {
  const fuzz = new Fuzz(seed);
  for (let i = 0; i < frames; i++) {
    try {
      fuzz.step();
    } catch (error) {
      throw new Error(
        `decode fuzz: seed ${seed}, frame ${i} (${fuzz.capturedCount} captured frames in the corpus): ${(error as Error).message}\n` +
          `link type ${fuzz.maker.linkType}, ${fuzz.maker.length} bytes: ${fuzz.maker.frame.subarray(0, Math.min(fuzz.maker.length, 2000)).toHex()}\n` +
          `again: bun test/fuzz/decode-fuzz.ts --seed ${seed} --frames ${i + 1}`,
        { cause: error },
      );
    }
  }
  return fuzz.report();
}

class Fuzz {
  readonly maker: FrameMaker;
  readonly capturedCount: number;
  private readonly random: Random;
  private readonly stepMs: number;
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
    const encapsulation = ENCAPSULATIONS[seed % ENCAPSULATIONS.length]!;
    const vnis = encapsulation === "none" ? "any" : [CORPUS_VNI, CORPUS_VNI & 0x3ff, 0];
    const options: Mirror = { encapsulation, vxlanPort: 4789, vnis, ports: [port] };
    this.stepMs = this.random.pick(STEPS_MS);
    this.maker = new FrameMaker(this.random, port, encapsulation);
    this.capturedCount = CAPTURED[encapsulation].length;
    this.alone = new Run(options);
    this.surrounded = new Run(options);
    this.surroundings = new Uint8Array(SURROUNDINGS_BYTES);
    for (let i = 0; i < SURROUNDINGS_BYTES; i++) this.surroundings[i] = this.random.int(0, 255);
    this.surroundingsView = new DataView(this.surroundings.buffer);
  }

  step(): void {
    this.maker.make();
    this.nowMs += this.random.int(0, this.stepMs);

    // Alone: a view of only the record, so any other read is a RangeError.
    const { record } = this;
    const { frame, length, linkType } = this.maker;
    record.set(frame.subarray(0, length));
    const view = new DataView(record.buffer, 0, length);
    const outcome = this.alone.decode(record, view, 0, length, linkType, this.nowMs);
    this.checkPayload(this.alone, 0);
    this.count(outcome);

    // Surrounded by bytes of earlier frames, often the very bytes that were cut off.
    const offset = this.random.int(0, SURROUNDINGS_BYTES - length);
    this.surroundings.set(frame.subarray(0, length), offset);
    const other = this.surrounded.decode(
      this.surroundings,
      this.surroundingsView,
      offset,
      length,
      linkType,
      this.nowMs,
    );
    this.checkPayload(this.surrounded, offset);
    if (other !== outcome)
      throw new Error(`ends as ${nameOf(outcome)} alone, but as ${nameOf(other)} among other bytes`);
    if (outcome === SEGMENT) compareSegments(this.alone.decoder.segment, this.surrounded.decoder.segment);
    this.alone.checkFragments(this.surrounded);
  }

  report(): DecodeFuzzReport {
    const report: DecodeFuzzReport = { segment: this.segments, "segment, its tail cut off": this.truncated };
    DROP_REASONS.forEach((reason, i) => (report[reason] = this.counted[i]!));
    const { completed, expired, evicted } = this.alone.counters.fragments;
    return { ...report, "datagrams completed": completed, "datagrams expired": expired, "datagrams evicted": evicted };
  }

  /** Exactly one counter has risen, by one. */
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
    if (!adds || dropped.some((count, i) => count !== this.counted[i]))
      throw new Error(`is counted wrongly as ${nameOf(outcome)}`);
    if (captured !== segments + dropped.reduce((sum, count) => sum + count, 0))
      throw new Error("captured is not segments + Σ dropped");
  }

  private checkPayload({ outcome, bytes, decoder }: Run, offset: number): void {
    if (outcome !== SEGMENT) return;
    const { segment } = decoder;
    const isRecord = segment.bytes === bytes;
    const low = isRecord ? offset : 0;
    const high = isRecord ? offset + this.maker.length : segment.bytes.length;
    const end = segment.payloadOffset + segment.payloadLength;
    if (segment.payloadLength < 0 || segment.missingLength < 0 || segment.payloadOffset < low || end > high) {
      throw new Error(
        `has its payload from ${segment.payloadOffset} to ${end}, outside ${low} to ${high}; ${segment.missingLength} missing`,
      );
    }
    if (segment.payloadLength + segment.missingLength > 0xffff && this.maker.length < 0xffff)
      throw new Error("is longer than IP allows");
    if (segment.timestampMs !== this.nowMs) throw new Error("bears another time");
  }
}

/** A decoder, its last input, and its last output. */
class Run {
  readonly counters = new Counters();
  readonly decoder: Decoder;
  outcome = SEGMENT;
  bytes = new Uint8Array(0);

  constructor(options: Mirror) {
    this.decoder = new Decoder(options, this.counters);
  }

  decode(
    bytes: Uint8Array<ArrayBuffer>,
    view: DataView,
    offset: number,
    length: number,
    linkType: number,
    nowMs: number,
  ): number {
    this.bytes = bytes;
    this.outcome = this.decoder.decode(bytes, view, offset, length, linkType, nowMs);
    return this.outcome;
  }

  /** The table of fragments stays within its limits, and does the same as the other decoder's table. */
  checkFragments(other: Run): void {
    const mine = this.decoder["fragments"];
    const theirs = other.decoder["fragments"];
    if (mine.size > DATAGRAMS_MAX || mine.bytes > FRAGMENT_BYTES_MAX)
      throw new Error(`leaves ${mine.size} datagrams of ${mine.bytes} bytes waiting`);
    if (mine.size !== theirs.size || mine.bytes !== theirs.bytes)
      throw new Error("leaves other fragments waiting among other bytes");
    const a = this.counters.fragments;
    const b = other.counters.fragments;
    if (a.completed !== b.completed || a.expired !== b.expired || a.evicted !== b.evicted)
      throw new Error("counts other datagrams among other bytes");
  }
}

function compareSegments(a: Segment, b: Segment): void {
  let equal = a.payloadLength === b.payloadLength && a.missingLength === b.missingLength && a.flags === b.flags;
  equal &&= a.sequence === b.sequence && a.acknowledgment === b.acknowledgment;
  for (let i = 0; equal && i < IDENTITY_WORDS; i++) equal = a.identity[i] === b.identity[i];
  for (let i = 0; equal && i < a.payloadLength; i++)
    equal = a.bytes[a.payloadOffset + i] === b.bytes[b.payloadOffset + i];
  if (!equal) throw new Error("is another segment among other bytes");
}

function nameOf(outcome: number): string {
  return outcome === SEGMENT ? "segment" : (DROP_REASONS[outcome] ?? String(outcome));
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      seeds: { type: "string", default: "1" },
      frames: { type: "string", default: "100000" },
    },
  });
  const [seed, seeds, frames] = [values.seed, values.seeds, values.frames].map(Number) as [number, number, number];
  const totals: DecodeFuzzReport = {};
  const startedMs = performance.now();
  for (let i = 0; i < seeds; i++) {
    for (const [outcome, count] of Object.entries(fuzzDecode({ seed: seed + i, frames })))
      totals[outcome] = (totals[outcome] ?? 0) + count;
  }
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(
    `${seeds * frames} frames from seeds ${seed} to ${seed + seeds - 1} in ${seconds.toFixed(1)} s: all properties hold`,
  );
  console.log(totals);
}
