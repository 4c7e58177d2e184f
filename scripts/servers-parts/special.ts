/** Parts for the behaviour of single servers. */
import { PORT, session, VNI } from "../../test/executable/sessions.ts";
import type { TemporaryDirectory } from "../../test/executable/program.ts";
import { forward, identityFaults } from "../../test/servers/mirror.ts";
import { GO, HEAVY, LIGHT, type RealServer, start } from "../../test/servers/real-servers.ts";
import { SMUGGLING_CASES } from "../../test/servers/smuggling-cases.ts";
import { smuggle } from "../../test/servers/smuggling.ts";
import { pcap } from "../../test/support/frames.ts";
import { type Part, type Row, skipped } from "./table.ts";

const POSTS = 60;
const LOST_MAX = 5;
const H2C =
  "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\nUpgrade: h2c\r\n";

function post(target: string, body: string, fields = ""): string {
  return `POST ${target} HTTP/1.1\r\nHost: prod.example\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** Lets a server serve these requests, all on one connection. */
async function through(
  part: string,
  server: RealServer,
  requests: string[],
  lostMax: number,
  directory: TemporaryDirectory,
): Promise<Row> {
  const why = server.missing();
  if (why !== undefined) return skipped(part, server.name, why);
  const running = await start(server, directory);
  const mirror = { savefile: pcap(session(requests)), vni: VNI, port: PORT };
  let served: string[] = [];
  const { status, counters } = await forward(mirror, `127.0.0.1:${running.port}`, directory).finally(
    async () => (served = (await running.stop()).map(({ target }) => target)),
  );
  const wanted = requests.map((request) => request.split(" ")[1]!);
  const faults = identityFaults(counters);
  const lost = wanted.filter((target) => !served.includes(target));
  if (lost.length > lostMax) faults.push(`${lost.length} requests were not served: ${lost.join(" ")}`);
  if (lost.length !== counters.responses.unanswered)
    faults.push(`${lost.length} requests were lost, and ${counters.responses.unanswered} counted as unanswered`);
  if (new Set(served).size !== served.length) faults.push("some requests were served twice");
  if (served.join() !== wanted.filter((target) => served.includes(target)).join())
    faults.push("the requests came in another order");
  if (status !== 0) faults.push(`exit status ${status}`);
  return {
    part,
    server: server.name,
    plainly: wanted.length,
    mirrored: served.length,
    note: `${lost.length} lost`,
    faults,
  };
}

/** uWSGI's http sockets close after each response without an announcement. */
export const posts: Part = async (directory) => {
  const requests = Array.from({ length: POSTS }, (_, i) => post(`/${i}`, "x".repeat(50)));
  const servers = [HEAVY["uwsgi-http"]!, HEAVY["uwsgi-http-socket"]!];
  const rows: Row[] = [];
  for (const server of servers) rows.push(await through("posts", server, requests, LOST_MAX, directory));
  return rows;
};

/** Stock Java clients offer h2c on every request, and go on in HTTP/1.1. */
export const offers: Part = async (directory) => {
  const requests = Array.from({ length: 8 }, (_, i) => post(`/${i}`, `hello${i}`, H2C));
  return [
    await through("offers", HEAVY["h2c"]!, requests, 0, directory),
    await through("offers", GO, requests, 0, directory),
  ];
};

export const smuggling: Part = async (directory) => {
  const rows: Row[] = [];
  for (const server of Object.values({ ...LIGHT, ...HEAVY })) {
    const why = server.missing();
    if (why !== undefined) {
      rows.push(skipped("smuggling", server.name, why));
      continue;
    }
    const { faults, total } = await smuggle(server, directory);
    const lines = [...faults].flatMap(([number, words]) =>
      words.map((word) => `${SMUGGLING_CASES[number]!.kind}: ${SMUGGLING_CASES[number]!.name} (${number}): ${word}`),
    );
    rows.push({
      part: "smuggling",
      server: server.name,
      note: `${SMUGGLING_CASES.length - faults.size} of ${SMUGGLING_CASES.length} cases right`,
      faults: [...total, ...lines],
    });
  }
  return rows;
};
