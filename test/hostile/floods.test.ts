/**
 * Attacks on the executable, smaller than those of scripts/fuzz --hostile: its memory stays within the grant, the good
 * requests beside the flood arrive, its counters add up, and it ends when told.
 */
import { describe, expect, test } from "bun:test";
import { canIsolate } from "../executable/program.ts";
import { END_MS_MAX, type Report, type Way } from "./attack.ts";
import { attackApart } from "./outside.ts";

/** The smaller the grant, the sooner uncharged memory shows. */
const MAX_BUFFER_MIB = 64;
/** The peak differs by this much between runs of the same attack, because it depends on when garbage is collected. */
const SPREAD_BYTES = 40 << 20;
const SECONDS = 60;
const TIMEOUT_MS = 100_000;

/**
 * One attack of each kind that test/executable/memory.test.ts does not have, with as few frames as show its effect; the
 * script has all of them.
 */
const READ: [name: string, scale: number][] = [
  ["collisions", 0.25],
  ["half-requests", 0.5],
  ["tiny-fragments-large", 0.25],
  ["http2-continuation", 0.1],
];
const LIVE: [name: string, scale: number][] = [
  ["half-requests", 0.5],
  ["silent-endpoint", 0.4],
  ["endless-chunks", 0.15],
  ["many-outage", 0.3],
];

const run = (name: string, way: Way, scale: number): Promise<Report> =>
  attackApart(name, { way, maxBufferMib: MAX_BUFFER_MIB, scale, seconds: SECONDS });

function check(report: Report): void {
  const { peakBytes, limitBytes, good, arrived, twice, endMs, status, broken, kernelDropped } = report;
  expect(status).toBe(0);
  expect(broken).toEqual([]);
  expect(peakBytes).toBeGreaterThan(0);
  expect(peakBytes).toBeLessThan(limitBytes + SPREAD_BYTES);
  // The frames that the kernel dropped, while this machine had other work, may have been theirs.
  expect(good - arrived).toBeLessThanOrEqual(kernelDropped);
  expect(twice).toBe(0);
  expect(endMs).toBeLessThan(END_MS_MAX);
}

const isolated = canIsolate("attacks on an interface");

test.each(READ)("%s, from a savefile", async (name, scale) => check(await run(name, "read", scale)), TIMEOUT_MS);

// Each has its own network and processes, and mostly waits: for an outage, or for responses without end.
describe.concurrent.if(isolated)("on an interface", () => {
  test.each(LIVE)("%s", async (name, scale) => check(await run(name, "live", scale)), TIMEOUT_MS);
});
