/** Lets the executable forward a savefile to a real endpoint, and returns the arrived bytes. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CountersSnapshot } from "../../src/observe/counters.ts";
import { run, type StartOptions } from "../executable/program.ts";
import { RecordingEndpoint, sha256 } from "../executable/recording-endpoint.ts";

export interface Forwarded {
  /** SHA-256 of each connection's bytes, sorted. */
  digests: string[];
  streams: Uint8Array[];
  counters: CountersSnapshot;
  stderr: string;
}

export interface Mirror {
  /** A savefile's path, or its bytes for standard input. */
  savefile: string | Uint8Array;
  vni: number | string;
  port: number;
}

/** Forwards it in mode tcp, and checks that the run succeeded and its counters add up. */
export async function forward(mirror: Mirror, flags: string[] = [], options: StartOptions = {}): Promise<Forwarded> {
  using endpoint = new RecordingEndpoint();
  const { counters, stderr } = await forwardTo(
    endpoint.address,
    mirror,
    [...flags, "--mode", "tcp", "--fin-delay-ms", "10"],
    options,
  );
  const streams = endpoint.streams();
  checkCounters(counters, streams);
  return { digests: digestsOf(streams), streams, counters, stderr };
}

/**
 * Forwards it in mode http to a server that responds. Returns the requests in their wire format, in order of arrival.
 */
export async function forwardRequests(mirror: Mirror, flags: string[] = []): Promise<string[]> {
  const requests: string[] = [];
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      const body = Buffer.from(await request.arrayBuffer()).toString("latin1");
      const length = request.method === "POST" ? `Content-Length: ${body.length}\r\n` : "";
      requests.push(
        `${request.method} ${pathname} HTTP/1.1\r\nHost: ${request.headers.get("host")}\r\n${length}\r\n${body}`,
      );
      return new Response(null, { status: 204 });
    },
  });
  const { requests: counted } = (await forwardTo(`127.0.0.1:${server.port}`, mirror, flags)).counters;
  if (counted.answered !== requests.length)
    throw new Error(`${counted.answered} requests were answered, and ${requests.length} arrived`);
  return requests;
}

async function forwardTo(
  address: string,
  { savefile, vni, port }: Mirror,
  flags: string[],
  options: StartOptions = {},
): Promise<{ counters: CountersSnapshot; stderr: string }> {
  const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-"));
  const summary = join(directory, "summary.json");
  const path = typeof savefile === "string" ? savefile : "-";
  const stdin = typeof savefile === "string" ? {} : { stdin: savefile };
  const args = [...flags, "--summary", summary, "--read", path, String(vni), String(port), address];
  try {
    const { status, stderr } = await run(args, { ...options, ...stdin });
    if (status !== 0) throw new Error(`exit status ${status}\n${stderr}`);
    return { counters: JSON.parse(readFileSync(summary, "utf8")) as CountersSnapshot, stderr };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export function digestsOf(streams: Uint8Array[]): string[] {
  return streams.map(sha256).sort();
}

function checkCounters({ frames, flows, reassembly, upstream }: CountersSnapshot, streams: Uint8Array[]): void {
  const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0);
  const identities: [string, number, number][] = [
    ["frames.captured", frames.captured, frames.segments + sum(Object.values(frames.dropped))],
    ["flows", flows.opened + flows.picked_up, flows.closed + flows.evicted],
    ["flows.active", flows.active, 0],
    ["reassembly.delivered_bytes", reassembly.delivered_bytes, upstream.bytes + upstream.lost_bytes],
    ["upstream.connects", upstream.connects, flows.opened + flows.picked_up],
    ["upstream.bytes", upstream.bytes, sum(streams.map(({ length }) => length))],
  ];
  for (const [name, got, want] of identities)
    if (got !== want) throw new Error(`The counters do not add up: ${name} is ${got}, not ${want}`);
}

/** Runs a job for each item, `limit` at a time. */
export async function forEachOf<T>(
  items: readonly T[],
  limit: number,
  action: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await action(item);
  };
  await Promise.all(Array.from({ length: limit }, worker));
}
