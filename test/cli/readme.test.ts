/** README's table of flags agrees with the program's own table. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defaultOf, flagTable, originalVariables, otherFlagTable } from "../../src/cli/flags.ts";

const text = readFileSync(join(import.meta.dir, "../../README.md"), "utf8");
const all = [...text.matchAll(/^\| `--([a-z0-9-]+)[^`]*` \|([^|]*)\|([^|]*)\| .+ \|$/gm)].map(([, name, ...cells]) => ({
  name: name!,
  cells: cells.map((cell) => cell.trim()),
}));

/** First the flags of a run, then the flags that replace a run. */
const rows = all.slice(0, flagTable.length);

test("after the flags of a run come the flags that replace a run, and nothing else", () => {
  expect(all.slice(flagTable.length).map(({ name, cells }) => [name, cells[0], cells[1]])).toEqual(
    otherFlagTable.map(([name]) => [name, "", ""]),
  );
});

test("every flag has its row, in the program's order, with its default and the original program's variables", () => {
  const want = flagTable.map(([name, flag]) => [
    name,
    defaultOf(flag),
    originalVariables(flag)
      .map((variable) => `\`${variable}\``)
      .join(", "),
  ]);
  expect(rows.map(({ name, cells: [shown, original] }) => [name, shown!, original!])).toEqual(want);
});

test("the rule for variables is explained, and that the names without a prefix are gone", () => {
  expect(text).toContain("`VXLAN_TO_HTTP_GAP_TIMEOUT_MS`");
  expect(text).toMatch(/`MODE`, `SUMMARY`, `HOST_HEADER`.*\bare gone\b/s);
});
