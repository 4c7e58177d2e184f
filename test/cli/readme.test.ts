/** README's table of flags says what the program's own table says. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defaultOf, flagTable, originalVariables } from "../../src/cli/flags.ts";

const text = readFileSync(join(import.meta.dir, "../../README.md"), "utf8");
const rows = [...text.matchAll(/^\| `--([a-z-]+)[^`]*` \| ([^|]*) \| ([^|]*)\| (.+) \|$/gm)].map(([, name, ...cells]) => ({ name: name!, cells }));

test("every flag has its row, in the program's order, with its default and the original program's variables", () => {
  const want = flagTable.map(([name, flag]) => [name, defaultOf(flag), originalVariables(flag).map((variable) => `\`${variable}\``).join(", ")]);
  expect(rows.map(({ name, cells: [shown, original] }) => [name, shown!, original!.trim()])).toEqual(want);
});

test("the variables' rule is told, and that the bare names are gone", () => {
  expect(text).toContain("`VXLAN_TO_HTTP_GAP_TIMEOUT_MS`");
  expect(text).toMatch(/`MODE`, `SUMMARY`, `HOST_HEADER`.*\bare gone\b/s);
});
