/**
 * A thousand mixed requests through the executable to real servers: each server serves the same as to a plain client.
 * (`scripts/servers` has more servers.)
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { TemporaryDirectory } from "../executable/program.ts";
import { Random } from "../support/random.ts";
import { compare, type Compared, faults } from "./comparison.ts";
import { mirrorOf } from "./mirror.ts";
import { mixedConnections } from "./mixed.ts";
import { available, BUN, GO, nginx, NODE, PYTHON } from "./real-servers.ts";

const REQUESTS = 1000;
const random = new Random(11);
const connections = mixedConnections(random, REQUESTS);
const savefile = mirrorOf(connections, random);

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const servers = available([nginx(), NODE, BUN, GO, PYTHON], "mixed requests");
let all: Compared[];
beforeAll(async () => {
  all = await Promise.all(servers.map((server) => compare(server, connections, savefile, directory)));
}, 60_000);

for (const [i, server] of servers.entries()) {
  describe(`${REQUESTS} mixed requests: ${server.name}`, () => {
    test("serves the same as to a plain client, once, in order, with the same bodies", () => {
      expect(faults(all[i]!, server)).toEqual([]);
    });

    test("each request is seen, and forwarded", () => {
      const { seen, forwarded, damaged } = all[i]!.outcome.counters.requests;
      expect({ seen, forwarded, damaged }).toEqual({ seen: REQUESTS, forwarded: REQUESTS, damaged: 0 });
    });
  });
}
