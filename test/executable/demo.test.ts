import { describe, expect, test } from "bun:test";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { canIsolate, PROGRAM, REPOSITORY, TemporaryDirectory } from "./program.ts";

/** Runs scripts/demo with this Bun. Returns its screen. */
async function demo(...args: string[]): Promise<{ status: number; lines: string[] }> {
  using directory = new TemporaryDirectory();
  symlinkSync(process.execPath, join(directory.path, "bun"));
  const env = {
    PATH: `${directory.path}:${process.env["PATH"]}`,
    HOME: directory.path,
    LOG_LEVEL: "error",
    LOG_FORMAT: "json",
    MODE: "nonsense",
  };
  const running = Bun.spawn([join(REPOSITORY, "scripts/demo"), ...args], {
    env,
    cwd: "/",
    stdout: "pipe",
    stderr: "inherit",
  });
  const lines = (await new Response(running.stdout).text()).trimEnd().split("\n");
  return { status: await running.exited, lines };
}

/** Checks that the output is one screen, shows each request with its mark, and has sums that add up. */
function checkScreen(lines: string[], marks: string[]): void {
  expect(lines.length).toBeLessThanOrEqual(40);
  for (const line of lines) expect([...line].length, line).toBeLessThanOrEqual(80);
  const requests = lines.filter((line) => / (GET|POST|PUT|DELETE) .* [✓–✗]$/.test(line));
  expect(requests.map((line) => line.at(-1)!)).toEqual(marks);
  for (const sum of ["frames captured", "requests seen", "requests forwarded"])
    expect(lines.find((line) => line.includes(`${sum} = `))).toMatch(/^ {3}✓ \d+ /);
  expect(lines.at(-1)).toStartWith("✓ ");
}

describe("scripts/demo", () => {
  test("shows on one screen the mirrored and the arrived requests", async () => {
    expect(PROGRAM).toStartWith(REPOSITORY);
    const { status, lines } = await demo();
    expect(status).toBe(0);
    checkScreen(lines, [..."✓✓✓✓✓✓✓✓✓–✓"]);
    expect(lines.find((line) => line.includes("requests seen"))).toContain("1 damaged (1 gap)");
  }, 30_000);

  test("--compare: shows on one screen the differences of a new version", async () => {
    const { status, lines } = await demo("--compare");
    expect(lines.length).toBeLessThanOrEqual(40);
    for (const line of lines) expect([...line].length, line).toBeLessThanOrEqual(80);
    expect(lines.filter((line) => line.includes("✗")).map((line) => line.trim())).toEqual([
      "✗ type items[].price in 60 responses",
      "✗ status in 30 responses",
    ]);
    expect(lines.at(-1)).toBe("✓ Of 240 responses 90 differ: all three bugs were found, and nothing else.");
    expect(status).toBe(0);
  }, 30_000);

  const hasTools = ["ip", "tc", "nft", "ethtool", "curl"].every((tool) => Bun.which(tool) !== null);
  if (!hasTools) console.warn("skipped: scripts/demo --live (the lab's tools are not installed)");
  test.if(hasTools && canIsolate("scripts/demo --live"))(
    "--live: the same with real connections and a mirror of the kernel's",
    async () => {
      const { status, lines } = await demo("--live");
      expect(status).toBe(0);
      checkScreen(
        lines,
        Array.from({ length: 11 }, () => "✓"),
      );
      expect(
        lines.filter((line) => /status page, while this runs: http:\/\/127\.0\.0\.1:\d+\/$/.test(line)),
      ).toHaveLength(1);
    },
    60_000,
  );

  test("refuses unknown arguments", async () => {
    expect(await demo("--nope")).toEqual({ status: 2, lines: [""] });
  });
});
