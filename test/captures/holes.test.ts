import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { TemporaryDirectory } from "../executable/program.ts";
import { digestsOf, forEachOf, forward } from "./forward.ts";
import { readPcap } from "./savefile.ts";
import { type ExpectedStreams, expectedStreams, type Wrap, wrap, WRAPPED_VNI } from "./shared.ts";
import { framesByClient, trueStreams } from "./truth.ts";

const streams = expectedStreams("third parties' captures with lost and truncated packets");
const plain = streams.filter(({ vni }) => vni === undefined);
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
/** For a run that hangs: all take as long as the machine needs. */
const TIMEOUT_MS = 120_000;
const RUNS_AT_ONCE = 2;

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

interface Damaged {
  name: string;
  stream: ExpectedStreams;
  savefile: string;
}

/** Wraps captures, with packets lost or truncated. */
function damaged(which: ExpectedStreams[], variants: Record<string, string[]>): Damaged[] {
  const all = which.flatMap((stream) =>
    Object.keys(variants).map((variant) => ({
      name: `${stream.name} ${variant}`,
      stream,
      variant,
      savefile: join(directory.path, `${stream.name} ${variant}.pcap`.replaceAll(" ", "_")),
    })),
  );
  wrap(all.map(({ stream, savefile, variant }): Wrap => [stream.path, savefile, ...variants[variant]!]));
  return all;
}

/** Checks that exactly the bytes of the frames arrive, without the holes, and that the holes are counted. */
async function check(captures: Damaged[]): Promise<void> {
  const got: Record<string, object> = {};
  const want: Record<string, object> = {};
  const missing = new Set<boolean>();
  await forEachOf(captures, RUNS_AT_ONCE, async ({ name, stream: { port }, savefile }) => {
    const truth = trueStreams(readPcap(savefile), WRAPPED_VNI, port);
    const missingBytes = truth.reduce((sum, stream) => sum + stream.missingBytes, 0);
    missing.add(missingBytes > 0);
    want[name] = {
      digests: digestsOf(truth.map(({ bytes }) => bytes).filter(({ length }) => length > 0)),
      missingBytes,
    };
    const { digests, counters } = await forward({ savefile, vni: WRAPPED_VNI, port });
    got[name] = { digests, missingBytes: counters.reassembly.gap_bytes };
  });
  expect(got).toEqual(want);
  expect(missing, "some captures have holes, some have none").toEqual(new Set([true, false]));
}

/** Checks that the streams of completely captured clients arrive with their digests. */
async function checkIntact(captures: Damaged[]): Promise<void> {
  let intact = 0;
  await forEachOf(captures, RUNS_AT_ONCE, async ({ name, stream: { path, port, byClient }, savefile }) => {
    const whole = join(directory.path, `${name} whole.pcap`.replaceAll(" ", "_"));
    wrap([[path, whole]]);
    const before = framesByClient(readPcap(whole), WRAPPED_VNI, port);
    const after = framesByClient(readPcap(savefile), WRAPPED_VNI, port);
    const { digests } = await forward({ savefile, vni: WRAPPED_VNI, port });
    for (const [client, frames] of before) {
      if (after.get(client)?.size !== frames.size) continue;
      intact++;
      for (const digest of byClient.get(client) ?? []) {
        const count = (list: string[]) => list.filter((other) => other === digest).length;
        expect(count(digests), `${name}: ${client}`).toBeGreaterThanOrEqual(count(byClient.get(client)!));
      }
    }
  });
  expect(intact).toBeGreaterThan(captures.length);
}

// If packets are lost, it is unknown to which connection with the same ports another packet belongs.
const reuse = plain.filter(({ name }) => name.includes("tuple-reuse"));
const single = plain.filter((stream) => !reuse.includes(stream));

const LOSSY = Object.fromEntries(
  SEEDS.map((seed) => [`seed ${seed}`, ["--drop", ".02", "--dup", ".2", "--reorder", ".2", "--seed", String(seed)]]),
);

describe.if(streams.length > 0)("missing bytes are cut out, and no others", () => {
  test("this test's own decoder finds the expected streams if nothing is missing", () => {
    for (const { stream, savefile } of damaged(single, { whole: [] })) {
      const truth = trueStreams(readPcap(savefile), WRAPPED_VNI, stream.port).filter(({ bytes }) => bytes.length > 0);
      expect(digestsOf(truth.map(({ bytes }) => bytes)), stream.name).toEqual(stream.digests);
      expect(truth.map(({ missingBytes }) => missingBytes)).toEqual(truth.map(() => 0));
    }
  });

  test("with lost, duplicated and reordered packets", () => check(damaged(single, LOSSY)), TIMEOUT_MS);
  test(
    "with ports used again, for the connections that are whole",
    () => checkIntact(damaged(reuse, LOSSY)),
    TIMEOUT_MS,
  );
  test(
    "with packets cut off after 200 bytes",
    () => check(damaged(single, { "cut at 200": ["--packet-length", "200"] })),
    TIMEOUT_MS,
  );
});
