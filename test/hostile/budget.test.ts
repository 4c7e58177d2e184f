/** What waits is charged what it costs: the budget beside the memory of a process that has very many of a kind. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { type KindName, KINDS, type Weight } from "./weigh.ts";

/** Of its cost, what a thing is charged at the least, and at the most. */
const SHARE_MIN = 0.65;
const SHARE_MAX = 2;
const TIMEOUT_MS = 60_000;

const charged = (Object.keys(KINDS) as KindName[]).filter((name) => !("isUncharged" in KINDS[name]));

// Each in a process of its own, which weighs itself.
test.concurrent.each(charged)(
  "%s",
  async (kind) => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "weigh.ts"), kind], { stdout: "pipe" });
    const { chargedBytes, costBytes }: Weight = JSON.parse(await new Response(child.stdout).text());
    expect(chargedBytes / costBytes).toBeGreaterThan(SHARE_MIN);
    expect(chargedBytes / costBytes).toBeLessThan(SHARE_MAX);
  },
  TIMEOUT_MS,
);
