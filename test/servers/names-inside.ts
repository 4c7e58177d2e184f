/**
 * Run in its own network and mount namespaces: gives the endpoint's name its addresses, lets the program forward
 * requests to that name, and prints the outcome as JSON.
 *
 *     bun names-inside.ts CASE EXECUTABLE
 */
import { writeFileSync } from "node:fs";
import { TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import { pcap } from "../support/frames.ts";
import { forward } from "./mirror.ts";
import { OK, RawEndpoint } from "./raw-endpoint.ts";

export interface NamesOutcome {
  status: number | null;
  stderr: string;
  seen: number;
  forwarded: number;
  answered: number;
  /** Request lines at the endpoint, sorted. */
  lines: string[];
  elapsedMs: number;
}

interface Case {
  /** The endpoint's name. */
  name: string;
  hosts: string;
  /** The addresses with a listener. */
  listens: string[];
  /** Packets to these addresses are dropped silently. */
  dead?: string[];
  /** When half of the requests are served, the first listener of `listens` stops, and this is the hosts file. */
  later?: string;
}

export const NAME_CASES: Record<string, Case> = {
  "localhost, and only ::1 listens": {
    name: "localhost",
    hosts: "127.0.0.1 localhost\n::1 localhost\n",
    listens: ["::1"],
  },
  "localhost, and only 127.0.0.1 listens": {
    name: "localhost",
    hosts: "127.0.0.1 localhost\n::1 localhost\n",
    listens: ["127.0.0.1"],
  },
  "a name, the first of its addresses refuses": {
    name: "endpoint.test",
    hosts: "127.0.0.2 endpoint.test\n127.0.0.1 endpoint.test\n",
    listens: ["127.0.0.1"],
  },
  "a name, the first of its addresses is dead": {
    name: "endpoint.test",
    hosts: "192.0.2.1 endpoint.test\n127.0.0.1 endpoint.test\n",
    listens: ["127.0.0.1"],
    dead: ["192.0.2.1"],
  },
  "a name, its last address is dead": {
    name: "endpoint.test",
    hosts: "127.0.0.1 endpoint.test\n192.0.2.1 endpoint.test\n",
    listens: ["127.0.0.1"],
    dead: ["192.0.2.1"],
  },
  "a name, its IPv6 address is dead": {
    name: "endpoint.test",
    hosts: "2001:db8::1 endpoint.test\n127.0.0.1 endpoint.test\n",
    listens: ["127.0.0.1"],
    dead: ["2001:db8::1"],
  },
  "a name that moves while its old address refuses": {
    name: "endpoint.test",
    hosts: "127.0.0.2 endpoint.test\n",
    listens: ["127.0.0.2", "127.0.0.3"],
    later: "127.0.0.3 endpoint.test\n",
  },
};

export const CONNECTIONS = 4;
export const REQUESTS_PER_CONNECTION = 10;

function command(...argv: string[]): void {
  const { success, stderr } = Bun.spawnSync(argv, { stderr: "pipe" });
  if (!success) throw new Error(`${argv.join(" ")}: ${stderr}`);
}

async function inside({ name, hosts, listens, dead = [], later }: Case, executable: string): Promise<NamesOutcome> {
  using directory = new TemporaryDirectory();
  const file = directory.file("hosts", hosts);
  command("ip", "link", "set", "lo", "up");
  command("mount", "--bind", file, "/etc/hosts");
  // Packets to this address come out of lo, belong to no one, and are dropped; IPv6 packets go nowhere without a source
  // address.
  command("ip", "-6", "address", "add", "2001:db8::ff/128", "dev", "lo");
  for (const address of dead) command("ip", address.includes(":") ? "-6" : "-4", "route", "add", address, "dev", "lo");

  const requests = Array.from({ length: CONNECTIONS }, (_, c) =>
    Array.from({ length: REQUESTS_PER_CONNECTION }, (_, i) => `/${c}-${i}`),
  );
  const frames = requests
    .map((paths, c) =>
      session(
        paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`),
        40_000 + c,
      ),
    )
    .flat();
  let left = (CONNECTIONS * REQUESTS_PER_CONNECTION) / 2;
  const moves = () => {
    if (later === undefined || --left !== 0) return;
    // In place, because the mount is of this file.
    writeFileSync(file, later);
    endpoints[0]!.stop();
  };
  const first = await RawEndpoint.listen({ host: listens[0]!, respond: ({ socket }) => void socket.write(OK, moves) });
  const others = await Promise.all(listens.slice(1).map((host) => RawEndpoint.listen({ host, port: first.port })));
  const endpoints = [first, ...others];
  const begin = performance.now();
  const mirror = { savefile: pcap(frames), vni: VNI, port: PORT };
  const { status, stderr, counters } = await forward(mirror, `${name}:${first.port}`, directory, [], { executable });
  const elapsedMs = performance.now() - begin;
  for (const endpoint of endpoints) endpoint.stop();
  const { seen, forwarded, answered } = counters.requests ?? {};
  return {
    status,
    stderr,
    seen,
    forwarded,
    answered,
    lines: endpoints.flatMap((endpoint) => endpoint.lines()).sort(),
    elapsedMs,
  };
}

if (import.meta.main) {
  const [name, executable] = process.argv.slice(2) as [string, string];
  console.log(JSON.stringify(await inside(NAME_CASES[name]!, executable)));
  process.exit(0);
}
