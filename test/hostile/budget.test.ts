/**
 * Waiting objects are charged their real cost: the budget beside the memory of a process with very many objects of one
 * kind.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { type KindName, KINDS, type Weight } from "./weigh.ts";

/** The smallest and the largest charge, as shares of the real cost. */
const SHARE_MIN = 0.65;
const SHARE_MAX = 2;
const TIMEOUT_MS = 60_000;

// Each kind in a process of its own, which measures itself.
test.concurrent.each(Object.keys(KINDS) as KindName[])(
  "%s",
  async (kind) => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "weigh.ts"), kind], { stdout: "pipe" });
    const { chargedBytes, costBytes }: Weight = JSON.parse(await new Response(child.stdout).text());
    expect(chargedBytes / costBytes).toBeGreaterThan(SHARE_MIN);
    expect(chargedBytes / costBytes).toBeLessThan(SHARE_MAX);
  },
  TIMEOUT_MS,
);
