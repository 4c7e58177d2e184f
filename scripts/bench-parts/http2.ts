/**
 * (k) The cost of a small request of HTTP/2 beside the same request of HTTP/1: --read to nginx. Each version has
 * captures of two lengths, which are read in turn. The difference between the two lengths is the cost of the requests:
 * the cost of the start cancels out.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { CONNECTIONS, http2Requests, requests, writeSavefile } from "./capture.ts";
import type { Figures } from "./figures.ts";
import { ENDPOINT_HOST, nginxCommand, startServer } from "./processes.ts";
import { forwardSavefile } from "./read.ts";

/** The shares of all requests that the two captures have. */
const SHARES = [0.1, 0.4] as const;
const VERSIONS = [
  { name: "HTTP/1", port: 9183, listen: "", traffic: requests },
  { name: "HTTP/2", port: 9184, listen: "http2", traffic: http2Requests },
] as const;

interface Cost {
  userUs: number;
  systemUs: number;
}

export async function measureHttp2(figures: Figures, runs: number, all: number, directory: string): Promise<void> {
  if (Bun.which("nginx") === null) return figures.leaveOut("(k) is left out: nginx is not installed");
  const counts = SHARES.map((share) => Math.ceil(all * share));
  const capture = (name: string, count: number) => join(directory, `${name.replace("/", "")}-${count}.pcap`);
  for (const { name, traffic } of VERSIONS)
    for (const count of counts) writeSavefile(capture(name, count), traffic(CONNECTIONS, count));
  const servers = [];
  for (const { port, listen } of VERSIONS)
    servers.push(await startServer(nginxCommand(directory, ENDPOINT_HOST, port, undefined, listen), port));
  try {
    for (let i = 0; i < runs; i++) {
      const costs = VERSIONS.map((): Cost[] => []);
      for (const count of counts) {
        for (const [place, { name, port }] of VERSIONS.entries()) {
          const endpoint = `${ENDPOINT_HOST}:${port}`;
          const run = { capture: capture(name, count), summary: join(directory, "summary.json"), requests: count };
          costs[place]!.push(await forwardSavefile({ ...run, mode: "http", endpoint }));
        }
      }
      addSlopes(figures, costs, counts[1]! - counts[0]!);
    }
  } finally {
    for (const server of servers) await server.stop();
    for (const { name } of VERSIONS) for (const count of counts) rmSync(capture(name, count));
  }
}

function addSlopes(figures: Figures, costs: readonly Cost[][], count: number): void {
  const slopes = costs.map(([less, more]) => ({
    userUs: (more!.userUs - less!.userUs) / count,
    systemUs: (more!.systemUs - less!.systemUs) / count,
  }));
  for (const [place, { name }] of VERSIONS.entries()) {
    figures.add("k", `${name}, user`, "µs/request", slopes[place]!.userUs);
    figures.add("k", `${name}, system`, "µs/request", slopes[place]!.systemUs);
  }
  const [first, second] = slopes as [Cost, Cost];
  figures.add("k", "HTTP/2 to HTTP/1, user", "×", second.userUs / first.userUs);
  const total = ({ userUs, systemUs }: Cost) => userUs + systemUs;
  figures.add("k", "HTTP/2 to HTTP/1, user and system", "×", total(second) / total(first));
}
