/** A thousand mixed requests through one server. */
import { compare, faults } from "../../test/servers/comparison.ts";
import { mirrorOf } from "../../test/servers/mirror.ts";
import { mixedConnections } from "../../test/servers/mixed.ts";
import type { RealServer } from "../../test/servers/real-servers.ts";
import { Random } from "../../test/support/random.ts";
import { type Part, skipped } from "./table.ts";

const REQUESTS = 1000;
const SEED = 11;

export function mixedPart(server: RealServer): Part {
  return async (directory) => {
    const why = server.missing();
    if (why !== undefined) return [skipped("mixed", server.name, why)];
    const random = new Random(SEED);
    const connections = mixedConnections(random, REQUESTS);
    const compared = await compare(server, connections, mirrorOf(connections, random), directory);
    const { plainly, forwarded: mirrored, outcome } = compared;
    const { responses, requests } = outcome.counters;
    const note = `${requests.forwarded} of ${requests.seen} forwarded, ${responses.unanswered} unanswered`;
    return [{ part: "mixed", server: server.name, plainly, mirrored, note, faults: faults(compared, server) }];
  };
}
