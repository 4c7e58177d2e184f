/**
 * (h) The cost of TLS for a request: --read to nginx with TLS and without, beside C programs that send the same
 * requests to the same servers; and in the lab half a minute of load over TLS, in which every request must be served.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Authority } from "../../test/support/authority.ts";
import { CONNECTIONS, REQUEST, requests, writeSavefile } from "./capture.ts";
import type { Figures } from "./figures.ts";
import { Forwarder, inNamespace, type LiveLab } from "./live-lab.ts";
import { type Child, compile, ENDPOINT_HOST, hasCompiler, nginxCommand, startServer } from "./processes.ts";
import { forwardSavefile, measureFloor } from "./read.ts";

const PLAIN_PORT = 9181;
const TLS_PORT = 9182;
const LIVE_PORT = 9002;
/** TLS is slower: fewer requests are enough. */
const READ_SHARE = 0.25;
const LIVE_SECONDS = 30;
/** A busy machine leaves frames unread for a while: this part measures TLS, not the capture. */
const CAPTURE_BUFFER_MIB = "256";
const CLOSING = `${REQUEST.trimEnd()}\r\nConnection: close\r\n\r\n`;
/** Connections, and requests per second. */
const LOADS = [
  { name: "keep-alive", rate: 4000, request: REQUEST },
  { name: "a connection for each request", rate: 1000, request: CLOSING },
] as const;

const hasOpenssl = hasCompiler && existsSync("/usr/include/openssl/ssl.h");
const hasServer = ["nginx", "openssl"].every((tool) => Bun.which(tool) !== null);

export async function measureTls(figures: Figures, runs: number, all: number, directory: string): Promise<void> {
  if (!hasServer) return figures.leaveOut("(h) is left out: nginx or openssl is not installed");
  if (!hasOpenssl) figures.leaveOut("(h) without the floor: OpenSSL's headers are missing here (libssl-dev)");
  const count = Math.ceil(all * READ_SHARE);
  const authority = new Authority(directory);
  const certificate = authority.issue();
  const floors = hasOpenssl
    ? { plain: await compile("floor", directory), tls: await compile("floor-tls", directory, ["-lssl", "-lcrypto"]) }
    : null;
  const capture = join(directory, "requests.pcap");
  writeSavefile(capture, requests(CONNECTIONS, count));
  const servers = [
    await startServer(nginxCommand(directory, ENDPOINT_HOST, PLAIN_PORT), PLAIN_PORT),
    await startServer(nginxCommand(directory, ENDPOINT_HOST, TLS_PORT, certificate), TLS_PORT),
  ];
  const read = async (endpoint: string, flags: string[]) => {
    const bytes = count * REQUEST.length;
    const summary = join(directory, "summary.json");
    const cost = await forwardSavefile({ capture, summary, mode: "http", bytes, endpoint, flags });
    return { userUs: cost.userUs / count, systemUs: cost.systemUs / count };
  };
  try {
    for (let i = 0; i < runs; i++) {
      const costs = {
        plain: await read(`${ENDPOINT_HOST}:${PLAIN_PORT}`, []),
        "over TLS": await read(`https://${ENDPOINT_HOST}:${TLS_PORT}`, ["--tls-ca", authority.cert]),
        ...(floors === null
          ? {}
          : {
              "floor, plain": await measureFloor(floors.plain, PLAIN_PORT, count, 1),
              "floor, over TLS": await measureFloor(floors.tls, TLS_PORT, count, null),
            }),
      };
      addCosts(figures, costs);
    }
  } finally {
    for (const server of servers) await server.stop();
    rmSync(capture);
  }
}

type Costs = Readonly<Record<string, { userUs: number; systemUs: number }>>;

function addCosts(figures: Figures, costs: Costs): void {
  const total = (name: string) => costs[name]!.userUs + costs[name]!.systemUs;
  for (const [name, { userUs, systemUs }] of Object.entries(costs)) {
    figures.add("h", `${name}, user`, "µs/request", userUs);
    figures.add("h", `${name}, system`, "µs/request", systemUs);
  }
  figures.add("h", "what TLS adds", "µs/request", total("over TLS") - total("plain"));
  if (costs["floor, plain"] === undefined) return;
  figures.add("h", "cost of TLS in the floor", "µs/request", total("floor, over TLS") - total("floor, plain"));
  figures.add("h", "over TLS, relative to its floor", "×", total("over TLS") / total("floor, over TLS"));
}

/** Half a minute of load over TLS, of each kind. Adds a server to `servers`, which the caller ends. */
export async function measureTlsLoad(
  figures: Figures,
  lab: LiveLab,
  { quick }: { quick: boolean },
  servers: Child[],
): Promise<void> {
  if (!hasServer) return figures.leaveOut("(h) is left out: nginx or openssl is not installed");
  const authority = new Authority(lab.directory);
  const command = nginxCommand(lab.directory, ENDPOINT_HOST, LIVE_PORT, authority.issue());
  servers.push(await startServer(command, LIVE_PORT, inNamespace("replay")));
  const address = `https://${ENDPOINT_HOST}:${LIVE_PORT}`;
  for (const { name, rate, request } of LOADS) {
    const flags = ["--tls-ca", authority.cert, "--capture-buffer-mib", CAPTURE_BUFFER_MIB];
    const forwarder = await Forwarder.start({ mode: "http", shards: 2, address, flags }, lab.directory);
    try {
      const sent = await lab.send(rate, quick ? 1 : LIVE_SECONDS, CONNECTIONS, 0, request);
      const { userUs, systemUs } = forwarder.cpu;
      const counters = await forwarder.finish();
      const { frames, requests: counted, upstream, delay } = counters;
      const add = (what: string, unit: string, value: number) => figures.add("h", `lab, ${name}: ${what}`, unit, value);
      add("sent", "requests", sent.requests);
      add("not served", "requests", sent.requests - counted.answered);
      add("frames dropped by the kernel", "frames", frames.kernel_dropped);
      add("TLS connections", "", upstream.connects);
      add("CPU, with start and warm-up", "µs/request", (userUs + systemUs) / sent.requests);
      add("delay, mean", "ms", delay.sum_ms / delay.count);
    } finally {
      await forwarder.stop();
    }
  }
}
