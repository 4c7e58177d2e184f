/** README's table of flags says what the program's own table says. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defaultOf, flagTable, originalVariables, otherFlagTable } from "../../src/cli/flags.ts";

const text = readFileSync(join(import.meta.dir, "../../README.md"), "utf8");
const all = [...text.matchAll(/^\| `--([a-z0-9-]+)[^`]*` \|([^|]*)\|([^|]*)\| .+ \|$/gm)].map(([, name, ...cells]) => ({
  name: name!,
  cells: cells.map((cell) => cell.trim()),
}));

/** The flags of a run stand first, then those that take a run's place. */
const rows = all.slice(0, flagTable.length);

test("behind the flags of a run stand those that take its place, and nothing else", () => {
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

test("the variables' rule is told, and that the bare names are gone", () => {
  expect(text).toContain("`VXLAN_TO_HTTP_GAP_TIMEOUT_MS`");
  expect(text).toMatch(/`MODE`, `SUMMARY`, `HOST_HEADER`.*\bare gone\b/s);
});
