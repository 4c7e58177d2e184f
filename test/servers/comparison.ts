/**
 * The same requests to the same real server twice: from a plain client, and from production's mirror through the
 * executable. The server must serve the same both times.
 */
import type { TemporaryDirectory } from "../executable/program.ts";
import { forEachOf } from "../captures/forward.ts";
import type { MixedConnection, MixedRequest } from "./mixed.ts";
import { forward, identityFaults, type Outcome } from "./mirror.ts";
import { ask } from "./plain-client.ts";
import { type RealServer, type Served, start } from "./real-servers.ts";

const CLIENTS = 8;

export interface Compared {
  readonly outcome: Outcome;
  /** The number of requests that the server served to the plain client, and to the executable. */
  readonly plainly: number;
  readonly forwarded: number;
  /** The faulty requests, by their fault. */
  readonly missing: MixedRequest[];
  readonly extra: MixedRequest[];
  readonly twice: MixedRequest[];
  /** Served with another method, target, length or digest. */
  readonly differing: MixedRequest[];
  /** Served before an earlier request of the same connection. */
  readonly disordered: MixedRequest[];
  /** Equations of the counters that do not hold. */
  readonly identities: string[];
}

/** Starts the server, sends the requests in both ways, and ends it. */
export async function compare(
  server: RealServer,
  connections: MixedConnection[],
  savefile: Uint8Array,
  directory: TemporaryDirectory,
  flags: string[] = [],
): Promise<Compared> {
  const running = await start(server, directory);
  let plain: Served[];
  let mirrored: Served[];
  let outcome: Outcome;
  try {
    await forEachOf(connections, CLIENTS, async ({ requests }) => {
      for (const { bytes, method } of requests) await ask(running.port, bytes, method);
    });
    plain = running.takeServed();
    outcome = await forward({ savefile }, `127.0.0.1:${running.port}`, directory, flags);
  } finally {
    mirrored = await running.stop();
  }
  return {
    outcome,
    ...differences(
      connections.flatMap(({ requests }) => requests),
      plain,
      mirrored,
    ),
    identities: identityFaults(outcome.counters),
  };
}

/** By request id, the lines of a log without the connection's port; some servers log no X-Id except in the target. */
function byId(served: Served[]): Map<string, string[]> {
  const lines = new Map<string, string[]>();
  for (const { port: _, ...rest } of served) {
    const id = idOf(rest);
    lines.set(id, [...(lines.get(id) ?? []), JSON.stringify([rest.method, rest.target, rest.length, rest.digest])]);
  }
  return lines;
}

function idOf({ id, target }: { id: string; target: string }): string {
  return id !== "" ? id : (/\d+-\d+/.exec(target)?.[0] ?? "");
}

function differences(
  requests: MixedRequest[],
  plain: Served[],
  mirrored: Served[],
): Omit<Compared, "outcome" | "identities"> {
  const wanted = byId(plain);
  const got = byId(mirrored);
  const places = new Map(mirrored.map((served, i) => [idOf(served), i]));
  const times = (lines: Map<string, string[]>, { id }: MixedRequest) => lines.get(id)?.length ?? 0;
  let last = -1;
  let connection = "";
  const disordered = requests.filter(({ id }) => {
    const [number] = id.split("-") as [string];
    if (number !== connection) last = -1;
    connection = number;
    const place = places.get(id);
    if (place === undefined) return false;
    const isBefore = place < last;
    last = Math.max(place, last);
    return isBefore;
  });
  return {
    plainly: plain.length,
    forwarded: mirrored.length,
    missing: requests.filter((request) => times(wanted, request) > 0 && times(got, request) === 0),
    extra: requests.filter((request) => times(wanted, request) === 0 && times(got, request) > 0),
    twice: requests.filter((request) => times(got, request) > Math.max(times(wanted, request), 1)),
    differing: requests.filter(({ id }) => wanted.has(id) && got.has(id) && wanted.get(id)![0] !== got.get(id)![0]),
    disordered,
  };
}

/** The faults, a line each: for instance `missing POST in chunks: 3-1, 4-7`. Empty: no fault. */
export function faults(compared: Compared, server: RealServer): string[] {
  const { outcome, identities } = compared;
  const { requests } = outcome.counters;
  const lost = compared.missing.filter(({ method }) => method === "POST" || method === "PATCH");
  const isExcused = (server.lostMax ?? 0) >= lost.length;
  const missing = isExcused ? compared.missing.filter((request) => !lost.includes(request)) : compared.missing;
  const { extra, twice, differing, disordered } = compared;
  const lines = Object.entries({ missing, extra, twice, differing, disordered }).flatMap(([what, wrong]) =>
    byKind(what, wrong),
  );
  if (outcome.status !== 0) lines.push(`exit status ${outcome.status}`);
  if (requests.damaged !== 0) lines.push(`${requests.damaged} damaged: ${JSON.stringify(requests.damage)}`);
  return [...lines, ...identities];
}

const IDS_SHOWN_MAX = 4;

function byKind(what: string, requests: MixedRequest[]): string[] {
  const kinds = Map.groupBy(requests, ({ kind }) => kind);
  return [...kinds].map(([kind, of]) => {
    const ids = of.slice(0, IDS_SHOWN_MAX).map(({ id }) => id);
    return `${what} ${kind}: ${of.length} (${ids.join(", ")}${of.length > ids.length ? ", …" : ""})`;
  });
}
