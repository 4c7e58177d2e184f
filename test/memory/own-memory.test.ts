import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { openOwnMemory } from "../../src/memory/own-memory.ts";

const MODULE = join(import.meta.dir, "../../src/memory/own-memory.ts");

/** Runs code in a process of its own, in which so many descriptors are all there are. Returns what it prints. */
function printed(code: string, descriptors: number): string {
  const imports = `import { openSync, readFileSync } from "node:fs"; import { openOwnMemory } from "${MODULE}";`;
  const script = `${imports} ${code}`;
  const { stdout, stderr } = Bun.spawnSync([
    "sh",
    "-c",
    `ulimit -n ${descriptors}; exec "$@"`,
    "sh",
    process.execPath,
    "-e",
    script,
  ]);
  return `${stdout}${stderr}`;
}

describe.if(process.platform === "linux")("the process's own memory", () => {
  test("is what the kernel calls anonymous, and grows by what is taken", () => {
    const took = 100 << 20;
    const code = `const memory = openOwnMemory();
      const before = memory.read();
      const taken = new Uint8Array(${took}).fill(1);
      const known = Number(/RssAnon:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
      console.log(before, memory.read(), known, taken.length);`;
    const [before, after, known] = printed(code, 100).split(" ").map(Number) as [number, number, number];
    expect(after - before).toBeGreaterThan(took * 0.95);
    // The kernel adds up what each processor has counted, and may be some pages behind.
    expect(Math.abs(after - known)).toBeLessThan(4 << 20);
  });

  test("is told when no descriptor is left, and no error if there was none from the start", () => {
    const code = `const memory = openOwnMemory();
      try { for (;;) openSync("/dev/null", "r"); } catch (error) { console.log(error.code); }
      console.log(memory.read() > 0, openOwnMemory().read());`;
    expect(printed(code, 64)).toBe("EMFILE\ntrue 0\n");
  });
});

test("on a system that has no such file it is not known", () => {
  expect(openOwnMemory("/nowhere/statm").read()).toBe(0);
});
