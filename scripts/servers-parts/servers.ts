/** scripts/servers: runs the requested parts, and prints a table. */
import { TemporaryDirectory } from "../../test/executable/program.ts";
import { HEAVY, LIGHT } from "../../test/servers/real-servers.ts";
import { grpcCalls, http2 } from "./http2.ts";
import { mixedPart } from "./mixed.ts";
import { outage } from "./outage.ts";
import { offers, posts, smuggling } from "./special.ts";
import { heading, type Part, print } from "./table.ts";
import { tls } from "./tls.ts";
import { uploads } from "./uploads.ts";

const servers = { ...LIGHT, ...HEAVY };
const PARTS: Record<string, Part> = {
  ...Object.fromEntries(Object.entries(servers).map(([name, server]) => [name, mixedPart(server)])),
  posts,
  offers,
  http2,
  grpc: grpcCalls,
  smuggling,
  uploads,
  outage,
  tls,
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => PARTS[name] === undefined);
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(", ")}; known: ${Object.keys(PARTS).join(", ")}`);
  process.exit(2);
}

let isRight = true;
using directory = new TemporaryDirectory();
heading();
for (const name of asked.length > 0 ? asked : Object.keys(PARTS)) {
  try {
    const rows = await PARTS[name]!(directory);
    print(rows);
    isRight &&= rows.every(({ faults }) => faults.length === 0);
  } catch (error) {
    console.log(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    isRight = false;
  }
}
directory[Symbol.dispose]();
process.exit(isRight ? 0 : 1);
