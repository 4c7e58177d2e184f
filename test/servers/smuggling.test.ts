/**
 * The smuggling cases through the executable to real servers: none sees another request than we count as forwarded.
 * (`scripts/servers smuggling` tries more servers.)
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { TemporaryDirectory } from "../executable/program.ts";
import { available, BUN, GO, nginx, NODE } from "./real-servers.ts";
import { SMUGGLING_CASES } from "./smuggling-cases.ts";
import { smuggle, type Smuggled } from "./smuggling.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const kinds = [...new Set(SMUGGLING_CASES.map(({ kind }) => kind))];

test("there are at least 150 cases, each with a name of its own", () => {
  const names = new Set(SMUGGLING_CASES.map(({ kind, name }) => `${kind}: ${name}`));
  expect(names.size).toBe(SMUGGLING_CASES.length);
  expect(names.size).toBeGreaterThanOrEqual(150);
});

for (const server of available([nginx(), NODE, GO, BUN], "smuggling")) {
  describe(`to ${server.name}, where a request ends is never in doubt:`, () => {
    let smuggled: Smuggled;
    beforeAll(async () => {
      smuggled = await smuggle(server, directory);
    }, 60_000);

    test.each(kinds)("%s", (kind) => {
      const wrong = SMUGGLING_CASES.flatMap((each, number) =>
        each.kind === kind
          ? (smuggled.faults.get(number) ?? []).map((fault) => `${each.name} (${number}): ${fault}`)
          : [],
      );
      expect(wrong).toEqual([]);
    });

    test("as many requests are sent as are counted, and the counters add up", () => {
      expect(smuggled.total).toEqual([]);
    });
  });
}
