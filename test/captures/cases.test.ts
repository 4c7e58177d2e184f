import { describe, test } from "bun:test";
import { checkCases, type Impairment } from "./cases-check.ts";
import { forEachOf } from "./forward.ts";

const RUNS_AT_ONCE = 2;
/** The last three failed once: ports used again without a SYN. */
const SEEDS = [1, 2, 3, 18, 417, 902];
/** For a run that hangs: all take as long as the machine needs. */
const TIMEOUT_MS = 240_000;

/** Packets in the sent order: also the cases that have one right result only then. */
const UNIMPAIRED = null;

const check = (mode: "tcp" | "http", impairment: Impairment | null) => () =>
  forEachOf(SEEDS, RUNS_AT_ONCE, (seed) => checkCases(seed, mode, impairment));

describe.each([["tcp"], ["http"]] as const)(
  "in mode %s, every case with one right result arrives, for any behaviour of clients",
  (mode) => {
    test("in the sent order", check(mode, UNIMPAIRED), TIMEOUT_MS);
    test("with duplicated and reordered packets", check(mode, { duplicate: 0.2, reorder: 0.2 }), TIMEOUT_MS);
    test("with lost packets", check(mode, { drop: 0.03, duplicate: 0.2, reorder: 0.2 }), TIMEOUT_MS);
    test("with truncated packets", check(mode, { cut: 0.05 }), TIMEOUT_MS);
    test(
      "with packets lost and cut short",
      check(mode, { cut: 0.03, drop: 0.03, duplicate: 0.2, reorder: 0.2 }),
      TIMEOUT_MS,
    );
  },
);
