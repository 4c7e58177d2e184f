/**
 * The captures of third parties in every form in which a mirror delivers frames: the same streams. Each form has one
 * capture here, and each capture a form; ALL_CAPTURES=1 runs all captures in all forms.
 */
import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { TemporaryDirectory } from "../executable/program.ts";
import { WAYS } from "../support/encapsulations.ts";
import { pcap } from "../support/frames.ts";
import { forEachOf, forward } from "./forward.ts";
import { readPcap } from "./savefile.ts";
import { expectedStreams } from "./shared.ts";

const VNI = 5_569_041;
const RUNS_AT_ONCE = 2;
const plain = expectedStreams("third parties' captures in every encapsulation").filter(({ vni }) => vni === undefined);
const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

test.if(plain.length > 0)(
  "the streams of third parties' captures come out of every encapsulation",
  async () => {
    const runs = WAYS.flatMap((way, i) =>
      plain
        .filter((_, j) => process.env.ALL_CAPTURES === "1" || j === i % plain.length)
        .map((capture) => ({ way, capture })),
    );
    const got: Record<string, string[]> = {};
    await forEachOf(runs, RUNS_AT_ONCE, async ({ way, capture }) => {
      const savefile = join(directory.path, `${way.name} ${capture.name}.pcap`.replaceAll(/[ ,]+/g, "_"));
      const frames = readPcap(capture.path).map(({ frame, timestampMs }) => ({
        frame: way.wrap(Uint8Array.from(frame), VNI),
        timestampMs,
      }));
      await Bun.write(savefile, pcap(frames));
      const vni = { vni: VNI, session: VNI & 0x3ff, none: way.encapsulation === "none" ? "any" : 0 }[way.identifier];
      const mirror = { savefile, vni, port: capture.port };
      got[`${way.name}: ${capture.name}`] = (await forward(mirror, ["--encapsulation", way.encapsulation])).digests;
    });
    expect(got).toEqual(
      Object.fromEntries(runs.map(({ way, capture }) => [`${way.name}: ${capture.name}`, capture.digests])),
    );
  },
  600_000,
);
