import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ARM64_EXECUTABLE, REPOSITORY, run, type StartOptions, TemporaryDirectory } from "../executable/program.ts";
import { pcap } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { digestsOf, forward } from "./forward.ts";
import { generatedMirror, PORT, VNI } from "./generated.ts";
import { checkRuns, unimpairedRuns, wrappedRuns } from "./runs.ts";
import { impaired } from "./savefile.ts";
import { expectedStreams } from "./shared.ts";

const EMULATOR = join(REPOSITORY, "scripts/qemu-arm64");
const arm64: StartOptions = { executable: ARM64_EXECUTABLE, through: process.arch === "arm64" ? [] : [EMULATOR] };

// The emulator's script fetches its files, if it may.
const isRunnable = Bun.spawnSync([...arm64.through!, ARM64_EXECUTABLE, "--version"], {
  stdout: "ignore",
  stderr: "ignore",
}).success;
if (!isRunnable) console.warn("skipped: the arm64 executable (scripts/qemu-arm64 cannot run it here)");
const streams = isRunnable ? expectedStreams("third parties' captures with the arm64 executable") : [];

/** For a run that hangs: the emulator takes ten times as long as a real machine. */
const TIMEOUT_MS = 240_000;
const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

describe.if(isRunnable)("the arm64 executable", () => {
  test("prints its version", async () => {
    expect((await run(["--version"], arm64)).stdout).toMatch(
      /^vxlan-to-http \d+\.\d+\.\d+\S* \(commit \w+(-dirty)?, Bun \d+\.\d+\.\d+\)\n$/,
    );
  }, 30_000);

  test("refuses wrong usage", async () => {
    expect(await run(["eth0", "42", "80"], arm64)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("<forward_addr> is missing"),
    });
  }, 30_000);

  test("forwards generated sessions, packets duplicated and reordered", async () => {
    const random = new Random(1);
    const { frames, sent } = generatedMirror(random);
    const savefile = pcap(impaired(frames, { duplicate: 0.2, reorder: 0.15 }, random));
    expect((await forward({ savefile, vni: VNI, port: PORT }, [], arm64)).digests).toEqual(digestsOf(sent));
  }, 30_000);

  test.if(streams.length > 0)(
    "forwards third parties' captures as they are",
    () => checkRuns(unimpairedRuns(streams, directory), arm64),
    TIMEOUT_MS,
  );

  test.if(streams.length > 0)(
    "forwards the hardest of them with duplicated and reordered packets",
    () => {
      const hardest = streams.filter(({ name }) => /tuple-reuse|retransmissions/.test(name));
      return checkRuns(wrappedRuns(hardest, { "seed 1": ["--dup", ".2", "--reorder", ".15"] }, directory), arm64);
    },
    TIMEOUT_MS,
  );
});
