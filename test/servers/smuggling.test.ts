/**
 * The smuggling cases through the executable to real servers: no server sees another request than the ones that we
 * count as forwarded. (`scripts/servers smuggling` has more servers.)
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { TemporaryDirectory } from "../executable/program.ts";
import { available, BUN, GO, nginx, NODE } from "./real-servers.ts";
import { SMUGGLING_CASES } from "./smuggling-cases.ts";
import { smuggle, type Smuggled } from "./smuggling.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const kinds = [...new Set(SMUGGLING_CASES.map(({ kind }) => kind))];

test("there are at least 150 cases, each with its own name", () => {
  const names = new Set(SMUGGLING_CASES.map(({ kind, name }) => `${kind}: ${name}`));
  expect(names.size).toBe(SMUGGLING_CASES.length);
  expect(names.size).toBeGreaterThanOrEqual(150);
});

const servers = available([nginx(), NODE, GO, BUN], "smuggling");
let outcomes: Smuggled[];
// All at the same time: mostly they wait for responses that a server never sends.
beforeAll(async () => {
  outcomes = await Promise.all(servers.map((server) => smuggle(server, directory)));
}, 60_000);

for (const [i, server] of servers.entries()) {
  describe(`to ${server.name}, the end of a request is never in doubt:`, () => {
    test.each(kinds)("%s", (kind) => {
      const wrong = SMUGGLING_CASES.flatMap((each, number) =>
        each.kind === kind
          ? (outcomes[i]!.faults.get(number) ?? []).map((fault) => `${each.name} (${number}): ${fault}`)
          : [],
      );
      expect(wrong).toEqual([]);
    });

    test("the sent requests equal the counted ones, and the counters add up", () => {
      expect(outcomes[i]!.total).toEqual([]);
    });
  });
}
