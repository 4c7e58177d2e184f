import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { openOwnMemory } from "../../src/memory/own-memory.ts";

const MODULE = join(import.meta.dir, "../../src/memory/own-memory.ts");

/** Runs code in a process of its own with this number of descriptors. Returns its output. */
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
  test("is the kernel's anonymous memory, and grows by the allocated amount", () => {
    const took = 100 << 20;
    const code = `const memory = openOwnMemory();
      const before = memory.read();
      const taken = new Uint8Array(${took}).fill(1);
      const known = Number(/RssAnon:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
      console.log(before, memory.read(), known, taken.length);`;
    const [before, after, known] = printed(code, 100).split(" ").map(Number) as [number, number, number];
    expect(after - before).toBeGreaterThan(took * 0.95);
    // The kernel adds up the counts of each processor, and may be some pages late.
    expect(Math.abs(after - known)).toBeLessThan(4 << 20);
  });

  test("can be read when no descriptor is left, and causes no error if there was none from the start", () => {
    const code = `const memory = openOwnMemory();
      try { for (;;) openSync("/dev/null", "r"); } catch (error) { console.log(error.code); }
      console.log(memory.read() > 0, openOwnMemory().read());`;
    expect(printed(code, 64)).toBe("EMFILE\ntrue 0\n");
  });
});

test("is unknown on a system without such a file", () => {
  expect(openOwnMemory("/nowhere/statm").read()).toBe(0);
});
