import { describe, expect, test } from "bun:test";
import { pcap } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { digestsOf, forEachOf, forward } from "./forward.ts";
import { generatedMirror, PORT, VNI } from "./generated.ts";
import { type Impairment, impaired } from "./savefile.ts";
import { trueStreams } from "./truth.ts";

const RUNS_AT_ONCE = 2;
/** For a run that hangs. */
const TIMEOUT_MS = 120_000;
const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1);

/** Checks for each seed the arrived bytes of an impaired mirror of generated sessions. */
async function check(impairment: Impairment): Promise<void> {
  await forEachOf(SEEDS, RUNS_AT_ONCE, async (seed) => {
    const random = new Random(seed);
    const { frames, sent } = generatedMirror(random);
    const captured = impaired(frames, impairment, random);
    const truth = trueStreams(captured, VNI, PORT);
    if (!impairment.drop) expect(digestsOf(truth.map(({ bytes }) => bytes)), `seed ${seed}`).toEqual(digestsOf(sent));
    const { digests, counters } = await forward({ savefile: pcap(captured), vni: VNI, port: PORT });
    expect(digests, `seed ${seed}`).toEqual(
      digestsOf(truth.map(({ bytes }) => bytes).filter(({ length }) => length > 0)),
    );
    expect(counters.reassembly.gap_bytes, `seed ${seed}`).toBe(
      truth.reduce((sum, { missingBytes }) => sum + missingBytes, 0),
    );
    expect(counters.frames.dropped, `seed ${seed}`).toMatchObject({
      malformed_inner: 0,
      malformed_outer: 0,
      truncated: 0,
    });
  });
}

describe("the streams of generated sessions arrive", () => {
  test("in the sent order", () => check({}), TIMEOUT_MS);
  test("with duplicated and reordered packets", () => check({ duplicate: 0.2, reorder: 0.15 }), TIMEOUT_MS);
  test("with lost packets, the holes cut out", () => check({ drop: 0.03, duplicate: 0.2, reorder: 0.2 }), TIMEOUT_MS);
});
