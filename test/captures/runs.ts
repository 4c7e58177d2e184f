/** Runs of the program that must each deliver the expected streams, and no others. */
import { expect } from "bun:test";
import { join } from "node:path";
import type { StartOptions, TemporaryDirectory } from "../executable/program.ts";
import { forEachOf, forward, type Mirror } from "./forward.ts";
import { type ExpectedStreams, type Wrap, wrap, WRAPPED_VNI } from "./shared.ts";

const RUNS_AT_ONCE = 2;

export interface Run {
  name: string;
  mirror: Mirror;
  /** SHA-256 of each stream, sorted. */
  digests: string[];
}

/** Checks that each run delivers its streams to the endpoint, each with its digest, and no other stream. */
export async function checkRuns(runs: Run[], options: StartOptions = {}): Promise<void> {
  const got: Record<string, string[]> = {};
  await forEachOf(runs, RUNS_AT_ONCE, async ({ name, mirror }) => {
    got[name] = (await forward(mirror, [], options)).digests;
  });
  expect(got).toEqual(Object.fromEntries(runs.map(({ name, digests }) => [name, digests])));
}

/** The runs that forward wrapped captures; `variants` are options of the tool, by name. */
export function wrappedRuns(
  which: ExpectedStreams[],
  variants: Record<string, string[]>,
  directory: TemporaryDirectory,
): Run[] {
  const wraps: Wrap[] = [];
  const runs = which.flatMap(({ name, path, port, digests }) =>
    Object.entries(variants).map(([variant, options]) => {
      const savefile = join(directory.path, `${name} ${variant}.pcap`.replaceAll(" ", "_"));
      wraps.push([path, savefile, ...options]);
      return { name: `${name} ${variant}`, mirror: { savefile, vni: WRAPPED_VNI, port }, digests };
    }),
  );
  wrap(wraps);
  return runs;
}

/** The runs that forward captures without impairment; plain ones are wrapped. */
export function unimpairedRuns(streams: ExpectedStreams[], directory: TemporaryDirectory): Run[] {
  const ready = streams
    .filter(({ vni }) => vni !== undefined)
    .map(({ name, path, vni, port, digests }) => ({ name, mirror: { savefile: path, vni: vni!, port }, digests }));
  return [
    ...ready,
    ...wrappedRuns(
      streams.filter(({ vni }) => vni === undefined),
      { unimpaired: [] },
      directory,
    ),
  ];
}
