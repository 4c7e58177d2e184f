/**
 * Fuzzing of the capture filters: for every frame, and every form of it in the kernel, the programs give the same
 * verdict as a new decoder.
 *
 *     bun test/fuzz/filter-fuzz.ts --seed 1 --seeds 10 --frames 100000
 */
import { parseArgs } from "node:util";
import { layeredFrame } from "../filter/layered-frames.ts";
import { nameOf, Verdicts } from "../filter/verdicts.ts";
import { isSupportedLinkType } from "../../src/decode/link.ts";
import { ENCAPSULATIONS } from "../../src/decode/tunnel.ts";
import { Random } from "../support/random.ts";
import { CORPUS_VNI } from "./corpus.ts";
import { FrameMaker } from "./frame-maker.ts";

const PORTS = [80, 80, 22, 4000];

/**
 * Runs `frames` frames from a seed; returns their number by outcome. Throws an Error with the command that repeats it.
 */
export function fuzzFilter({ seed, frames }: { seed: number; frames: number }): Record<string, number> {
  const random = new Random(seed);
  const port = random.pick(PORTS);
  const ours = {
    encapsulation: ENCAPSULATIONS[seed % ENCAPSULATIONS.length]!,
    vxlanPort: 4789,
    vnis: random.pick<readonly number[] | "any">([[CORPUS_VNI], [1, CORPUS_VNI & 0x3ff, CORPUS_VNI], "any"]),
    ports: random.pick([[port], [port, 8080, 9]]),
    takesServer: Math.floor(seed / ENCAPSULATIONS.length) % 2 === 1,
  };
  const maker = new FrameMaker(random, port, ours.encapsulation);
  const verdicts = new Map<number, Verdicts>();
  const report: Record<string, number> = {};
  for (let i = 0; i < frames; i++) {
    const { frame, linkType } = nextFrame();
    // There is no handle with another link type, and decode refuses such records of a savefile.
    if (!isSupportedLinkType(linkType)) continue;
    let ofLink = verdicts.get(linkType);
    if (ofLink === undefined) verdicts.set(linkType, (ofLink = new Verdicts(ours, linkType)));
    try {
      const name = nameOf(ofLink.check(frame));
      report[name] = (report[name] ?? 0) + 1;
    } catch (error) {
      throw new Error(
        `filter fuzz: seed ${seed}, frame ${i}: ${(error as Error).message}\nagain: bun test/fuzz/filter-fuzz.ts --seed ${seed} --frames ${i + 1}`,
        {
          cause: error,
        },
      );
    }
  }
  return report;

  function nextFrame(): { frame: Uint8Array; linkType: number } {
    if (random.chance(0.5)) return layeredFrame(random, ours);
    maker.make();
    return { frame: maker.frame.slice(0, maker.length), linkType: maker.linkType };
  }
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
  const totals: Record<string, number> = {};
  const startedMs = performance.now();
  for (let i = 0; i < seeds; i++) {
    for (const [outcome, count] of Object.entries(fuzzFilter({ seed: seed + i, frames })))
      totals[outcome] = (totals[outcome] ?? 0) + count;
  }
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(
    `${seeds * frames} frames from seeds ${seed} to ${seed + seeds - 1} in ${seconds.toFixed(1)} s: all verdicts agree`,
  );
  console.log(totals);
}
