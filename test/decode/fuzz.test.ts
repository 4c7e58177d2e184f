/** A limited share of test/fuzz/decode-fuzz.ts in the suite; a failure prints its seed. */
import { expect, test } from "bun:test";
import { DROP_REASONS } from "../../src/decode/drop-reason.ts";
import { type DecodeFuzzReport, fuzzDecode } from "../fuzz/decode-fuzz.ts";

const SEEDS = 8;
const FRAMES_PER_SEED = 25_000;

test(`${FRAMES_PER_SEED} frames from each of ${SEEDS} seeds: all properties hold, and every outcome is met`, () => {
  const totals: DecodeFuzzReport = {};
  for (let seed = 1; seed <= SEEDS; seed++) {
    const report = fuzzDecode({ seed, frames: FRAMES_PER_SEED });
    for (const [outcome, count] of Object.entries(report)) totals[outcome] = (totals[outcome] ?? 0) + count;
  }
  // If the fuzzer never reaches an outcome, it proves nothing about it. (So few frames evict no datagram:
  // fragment-bounds.test.ts does.)
  for (const outcome of [
    "segment",
    "segment, its tail cut off",
    // The fuzzer does not know own connections.
    ...DROP_REASONS.filter((reason) => reason !== "own_connection"),
    "datagrams completed",
    "datagrams expired",
  ]) {
    expect(totals[outcome], outcome).toBeGreaterThan(0);
  }
}, 60_000);

test("a seed gives the same run again", () => {
  expect(fuzzDecode({ seed: 99, frames: 2000 })).toEqual(fuzzDecode({ seed: 99, frames: 2000 }));
});
