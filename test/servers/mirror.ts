/** Connections as a mirror capture, and the executable that forwards it. */
import { readFileSync } from "node:fs";
import { Client, PORT, VNI } from "../captures/wire.ts";
import { run, type StartOptions, type TemporaryDirectory } from "../executable/program.ts";
import { type CapturedFrame, pcap } from "../support/frames.ts";
import type { Random } from "../support/random.ts";
import type { MixedConnection } from "./mixed.ts";

export { PORT, VNI };

const FIRST_MS = 1_760_000_000_000;
const SEGMENT_BYTES_MAX = 1400;
/** The size of production's responses; their content does not matter. */
const RESPONSE_BYTES_MAX = 300;

/** The mirror of these connections, all of them open at the same time; random layers are added (captures/wire.ts). */
export function mirrorOf(connections: MixedConnection[], random: Random): Uint8Array {
  const clients = connections.map((connection, i) => played(connection, new Client(random, i + 1, 0), random));
  const frames: CapturedFrame[] = [];
  const open = clients.map(({ packets }) => ({ packets, next: 0 }));
  let timestampMs = FIRST_MS;
  while (open.length > 0) {
    const at = random.int(0, open.length - 1);
    const client = open[at]!;
    for (const frame of client.packets[client.next++]!.frames) frames.push({ frame, timestampMs });
    timestampMs += 1;
    if (client.next === client.packets.length) open.splice(at, 1);
  }
  return pcap(frames);
}

function played({ requests, isPipelined }: MixedConnection, client: Client, random: Random): Client {
  client.send("S", -1);
  client.answer("SA");
  client.send("A", 0);
  const pieces = isPipelined ? [Buffer.concat(requests.map(({ bytes }) => bytes))] : requests.map(({ bytes }) => bytes);
  let at = 0;
  for (const piece of pieces) {
    for (let from = 0; from < piece.length;) {
      const to = Math.min(from + random.int(1, SEGMENT_BYTES_MAX), piece.length);
      client.send("PA", at + from, { payload: Uint8Array.from(piece.subarray(from, to)) });
      from = to;
    }
    at += piece.length;
    client.answer("PA", random.int(1, RESPONSE_BYTES_MAX));
  }
  client.send("FA", at);
  client.answer("FA");
  return client;
}

export interface Outcome {
  readonly status: number | null;
  readonly stderr: string;
  /** The content of --summary. */
  readonly counters: any;
}

let forwarded = 0;

/** The place of a capture, and the part that is ours. */
export interface Mirror {
  /** The savefile's bytes, or its path. */
  readonly savefile: Uint8Array | string;
  readonly vni?: number;
  readonly port?: number;
}

/** Lets the executable forward a capture with --read, in mode http unless the flags say otherwise. */
export async function forward(
  { savefile, vni = VNI, port = PORT }: Mirror,
  address: string,
  directory: TemporaryDirectory,
  flags: string[] = [],
  options: StartOptions = {},
): Promise<Outcome> {
  const number = forwarded++;
  const path = typeof savefile === "string" ? savefile : directory.file(`mirror-${number}.pcap`, savefile);
  const summary = directory.file(`summary-${number}.json`, "{}");
  const args = [...flags, "--summary", summary, "--read", path, String(vni), String(port), address];
  const { status, stderr } = await run(args, options);
  const counters = JSON.parse(readFileSync(summary, "utf8"));
  if (counters.requests === undefined) throw new Error(`It did not run: exit status ${status}\n${stderr}`);
  return { status, stderr, counters };
}

/** The equations of mode http's counters that do not hold after the drain; empty: all hold. */
export function identityFaults({ requests, responses, upstream }: any): string[] {
  const dropped = (Object.values(requests.dropped) as number[]).reduce((sum, count) => sum + count, 0);
  const identities: [string, number, number][] = [
    ["seen = forwarded + damaged + Σ dropped", requests.seen, requests.forwarded + requests.damaged + dropped],
    [
      "forwarded = answered + unanswered + cancelled",
      requests.forwarded,
      requests.answered + responses.unanswered + responses.cancelled,
    ],
    [
      "upstream.connects = closed + broken + given_up",
      upstream.connects,
      upstream.closed + upstream.broken + upstream.given_up,
    ],
  ];
  return identities
    .filter(([, left, right]) => left !== right)
    .map(([name, left, right]) => `${name}: ${left} and ${right}`);
}
