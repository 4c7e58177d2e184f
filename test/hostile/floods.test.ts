/**
 * Attacks on the executable, smaller than those of scripts/fuzz --hostile: its memory stays within what was granted,
 * the good requests beside the flood arrive, what it counts adds up, and it ends when it is told to.
 */
import { describe, expect, test } from "bun:test";
import { canIsolate } from "../executable/program.ts";
import { END_MS_MAX, type Report, type Way } from "./attack.ts";
import { attackApart } from "./outside.ts";

/** The less is granted, the sooner it shows what is not counted. */
const MAX_BUFFER_MIB = 64;
/** Between runs of the same attack the peak differs by so much: it depends on when garbage is collected. */
const SPREAD_BYTES = 40 << 20;
const SECONDS = 60;
const TIMEOUT_MS = 100_000;

/**
 * Of each kind one that test/executable/memory.test.ts has not, and of the attack's frames as many as it takes to show
 * what it is about; all are in the script.
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
  // What the kernel found no room for, while this machine had other things to do, may have been theirs.
  expect(good - arrived).toBeLessThanOrEqual(kernelDropped);
  expect(twice).toBe(0);
  expect(endMs).toBeLessThan(END_MS_MAX);
}

const isolated = canIsolate("attacks on an interface");

test.each(READ)("%s, from a savefile", async (name, scale) => check(await run(name, "read", scale)), TIMEOUT_MS);

// Each has a network and processes of its own, and mostly waits: for an outage, or for what never ends.
describe.concurrent.if(isolated)("on an interface", () => {
  test.each(LIVE)("%s", async (name, scale) => check(await run(name, "live", scale)), TIMEOUT_MS);
});
