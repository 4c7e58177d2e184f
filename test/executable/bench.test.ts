import { expect, test } from "bun:test";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { PROGRAM, REPOSITORY, TemporaryDirectory } from "./program.ts";

/** Runs scripts/bench with this Bun. */
async function bench(
  directory: TemporaryDirectory,
  ...args: string[]
): Promise<{ status: number; stdout: string; stderr: string }> {
  symlinkSync(process.execPath, join(directory.path, "bun"));
  const env = { PATH: `${directory.path}:${process.env["PATH"]}`, HOME: directory.path };
  const running = Bun.spawn([join(REPOSITORY, "scripts/bench"), ...args], {
    env,
    cwd: "/",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(running.stdout).text(),
    new Response(running.stderr).text(),
  ]);
  return { status: await running.exited, stdout, stderr };
}

test("scripts/bench prints a table, and writes the same as JSON", async () => {
  expect(PROGRAM).toStartWith(REPOSITORY);
  using directory = new TemporaryDirectory();
  const file = join(directory.path, "bench.json");
  const { status, stdout } = await bench(directory, "--only", "a", "--runs", "1", "--quick", "--json", file);
  expect(status).toBe(0);
  expect(stdout).toContain("(a) From memory");
  const { figures, machine, runs, left_out } = await Bun.file(file).json();
  expect(runs).toBe(1);
  expect(machine.cores).toBeGreaterThan(0);
  expect(left_out).toEqual([]);
  expect(figures.length).toBe(16);
  for (const figure of figures) {
    expect(figure.part).toBe("a");
    expect(figure.median).toBeGreaterThan(0);
    expect(stdout).toContain(figure.name);
  }
}, 60_000);

test("scripts/bench refuses unknown arguments", async () => {
  using directory = new TemporaryDirectory();
  const { status, stderr } = await bench(directory, "--only", "z");
  expect(status).toBe(2);
  expect(stderr).toContain("--only takes a,b,c,d,e,f,g,h,i,j,k, not 'z'");
}, 60_000);
