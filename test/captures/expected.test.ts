import { afterAll, describe, test } from "bun:test";
import { readFileSync } from "node:fs";
import { TemporaryDirectory } from "../executable/program.ts";
import { pcap } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { checkRuns, unimpairedRuns, wrappedRuns } from "./runs.ts";
import { impaired, readPcap } from "./savefile.ts";
import { expectedStreams } from "./shared.ts";

const streams = expectedStreams("the streams of third parties' captures");
const plain = streams.filter(({ vni }) => vni === undefined);
const mirrored = streams.filter(({ vni }) => vni !== undefined);
// The tool cannot shift the content of IP fragments.
const shiftable = plain.filter(({ name }) => !name.includes("fragments"));

const SEEDS = [1, 2, 3, 4, 5];
/** For a run that hangs: about a hundred of them take as long as the machine needs. */
const TIMEOUT_MS = 120_000;
const DISORDER = Object.fromEntries(
  SEEDS.map((seed) => [`seed ${seed}`, ["--dup", ".2", "--reorder", ".15", "--seed", String(seed)]]),
);
const ISNS = Object.fromEntries(
  ["0xffffffd0", "0xfffffff0", "0xffffffff", "0x7fffffd0"].map((isn) => [`ISN ${isn}`, ["--client-isn", isn]]),
);

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

describe.if(streams.length > 0)("every expected stream arrives with its digest", () => {
  test("in the captured order", () => checkRuns(unimpairedRuns(streams, directory)), TIMEOUT_MS);

  test(
    "through standard input",
    () => {
      const runs = unimpairedRuns(streams, directory);
      return checkRuns(
        runs.map((run) => ({
          ...run,
          mirror: { ...run.mirror, savefile: readFileSync(run.mirror.savefile as string) },
        })),
      );
    },
    TIMEOUT_MS,
  );

  test("with duplicated and reordered packets", () => checkRuns(wrappedRuns(plain, DISORDER, directory)), TIMEOUT_MS);

  test(
    "with duplicated and reordered packets of real mirror captures",
    () => {
      const runs = mirrored.flatMap(({ name, path, vni, port, digests }) =>
        SEEDS.map((seed) => {
          const frames = impaired(readPcap(path), { duplicate: 0.2, reorder: 0.15 }, new Random(seed));
          return { name: `${name} seed ${seed}`, mirror: { savefile: pcap(frames), vni: vni!, port }, digests };
        }),
      );
      return checkRuns(runs);
    },
    TIMEOUT_MS,
  );

  test(
    "with sequence numbers that wrap, or change sign",
    () => checkRuns(wrappedRuns(shiftable, ISNS, directory)),
    TIMEOUT_MS,
  );
});
