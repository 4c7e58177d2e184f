/**
 * Real clients of HTTP/2 in clear text (curl, h2load, nghttp, httpx, Go, Java, gRPC), recorded before one server, and
 * their requests forwarded to others: each serves the same as the first one, or the counters give the reasons.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TemporaryDirectory } from "../../test/executable/program.ts";
import { PORT, VNI } from "../../test/executable/sessions.ts";
import { http2Faults } from "../../test/servers/http2.ts";
import { forward, identityFaults, type Outcome } from "../../test/servers/mirror.ts";
import { freePort } from "../../test/support/free-port.ts";
import {
  GO_HTTP2,
  grpc,
  GRPC_OF_GO,
  grpcOfGo,
  haproxy,
  HEAVY,
  nginx,
  nginxPid,
  NODE_HTTP2,
  type RealServer,
  type Served,
  start,
  VENV_PYTHON,
} from "../../test/servers/real-servers.ts";
import { Recording } from "../../test/servers/recording.ts";
import { Authority } from "../../test/support/authority.ts";
import { Random } from "../../test/support/random.ts";
import { type Part, type Row, skipped } from "./table.ts";

const CLIENTS = join(import.meta.dir, "../../test/servers/clients");
const GRPC_CLIENT = join(import.meta.dir, "../../test/servers/endpoints/grpc_client.py");
const BODY_LENGTHS = [1, 1000, 16_384, 100_000, 10 << 20];
const RELOADS = 10;
/** How much slower than production's a server is. */
const SLOWER_MS = 200;
const RELOAD_PAUSE_MS = 100;
const LOST_SHARE = 0.01;

/** The commands of a client, for a server's URL; several one after the other. */
type Commands = (url: string, directory: TemporaryDirectory) => string[][];

const curl: Commands = (url, directory) => [
  ...[1, 2, 3].map((number) => ["curl", "-sSf", "--http2-prior-knowledge", `${url}/curl/${number}`]),
  ...BODY_LENGTHS.map((length) => {
    const body = directory.file(`body-${length}`, new Uint8Array(length).fill(120));
    return ["curl", "-sSf", "--http2-prior-knowledge", "--data-binary", `@${body}`, `${url}/curl/post/${length}`];
  }),
];
const offer: Commands = (url) => [["curl", "-sSf", "--http2", `${url}/curl/offer`, `${url}/curl/behind`]];
const h2load: Commands = (url, directory) => {
  const urls = Array.from({ length: 500 }, (_, i) => `${url}/h2load/${i}`).join("\n");
  const posts = BODY_LENGTHS.map((length) => {
    const body = directory.file(`body-${length}`, new Uint8Array(length).fill(120));
    return ["h2load", "-n8", "-c2", "-m4", "-d", body, `${url}/h2load/post/${length}`];
  });
  return [["h2load", "-n4000", "-c4", "-m20", "-i", directory.file("urls", `${urls}\n`)], ...posts];
};
const nghttp: Commands = (url) => [["nghttp", "-n", "-m", "200", `${url}/nghttp/1`, `${url}/nghttp/2`]];

const ALL: Record<string, Commands> = {
  curl,
  "curl's offer": offer,
  h2load,
  nghttp,
  httpx: (url) => [[VENV_PYTHON, join(CLIENTS, "httpx_client.py"), url]],
  Go: (url) => [["go", "run", join(CLIENTS, "client.go"), url]],
  Java: (url) => [["java", join(CLIENTS, "Client.java"), url]],
};

interface Recorded {
  readonly savefile: Uint8Array;
  /** With some segments missing. */
  readonly lossy: Uint8Array;
  readonly served: Served[];
}

/** Lets clients talk to a server. */
async function record(server: RealServer, commands: Commands, directory: TemporaryDirectory): Promise<Recorded> {
  const running = await start(server, directory);
  using recording = await Recording.before(running.port);
  let served: Served[];
  try {
    for (const argv of commands(`http://127.0.0.1:${recording.port}`, directory)) {
      const env = { ...process.env, GOTOOLCHAIN: "local" };
      const child = Bun.spawn(argv, { stdin: "ignore", stdout: "ignore", stderr: "pipe", env });
      if ((await child.exited) !== 0) throw new Error(`${argv[0]}: ${await new Response(child.stderr).text()}`);
    }
  } finally {
    served = await running.stop();
  }
  const random = new Random(5);
  return { savefile: recording.savefile(), lossy: recording.savefile(() => random.chance(LOST_SHARE)), served };
}

interface Forwarded {
  readonly outcome: Outcome;
  readonly served: Served[];
}

async function replay(
  savefile: Uint8Array,
  server: RealServer,
  directory: TemporaryDirectory,
  whileRunning: () => Promise<void> = async () => {},
  /** The authority of the endpoint's certificate, if it speaks TLS. */
  authority?: Authority,
): Promise<Forwarded> {
  const running = await start(server, directory, freePort());
  const address = `${authority === undefined ? "127.0.0.1" : "https://localhost"}:${running.port}`;
  const flags = authority === undefined ? [] : ["--tls-ca", authority.cert];
  const forwarding = forward({ savefile, vni: VNI, port: PORT }, address, directory, flags);
  await whileRunning();
  const outcome = await forwarding;
  return { outcome, served: await running.stop() };
}

/** All requests that production has served are served, and have responses. */
function rowOf(part: string, server: string, truth: Served[], { outcome, served }: Forwarded): Row {
  const { requests, responses, http2: connections } = outcome.counters;
  const faults = [...identityFaults(outcome.counters), ...http2Faults(truth, served)];
  if (requests.answered !== truth.length) faults.push(`${requests.answered} of ${truth.length} were answered`);
  const note = `${connections.goaways} GOAWAY, ${connections.resent} sent again, ${responses.unanswered} unanswered`;
  return { part, server, plainly: truth.length, mirrored: served.length, note, faults };
}

/** The same for gRPC calls: each is OK. */
function okRow(part: string, { name }: RealServer, truth: Served[], forwarded: Forwarded): Row {
  const row = rowOf(part, name, truth, forwarded);
  const { ok } = forwarded.outcome.counters.grpc.status;
  if (ok !== truth.length) row.faults.push(`${ok} of ${truth.length} calls are OK`);
  return row;
}

/** With gaps, only production's requests are served; the rest is counted. */
function lossyRow(part: string, server: string, truth: Served[], { outcome, served }: Forwarded): Row {
  const { requests, responses, http2: connections, grpc: calls } = outcome.counters;
  const faults = identityFaults(outcome.counters);
  faults.push(...http2Faults(truth, served).filter((fault) => fault.startsWith("not wanted")));
  const failed = Object.entries(calls.status as Record<string, number>).filter(
    ([status, n]) => status !== "ok" && n > 0,
  );
  if (responses["4xx"] + responses["5xx"] + connections.resets > 0 || failed.length > 0)
    faults.push(`the server has found something malformed: ${JSON.stringify({ responses, calls, connections })}`);
  if (served.length !== requests.answered) faults.push(`${requests.answered} responses to ${served.length} requests`);
  if (requests.seen > truth.length) faults.push(`${requests.seen} requests of ${truth.length}`);
  const damage = Object.entries(requests.damage).filter(([, count]) => count !== 0);
  const note = damage.map(([reason, count]) => `${count} ${reason}`).join(", ");
  return { part, server, plainly: truth.length, mirrored: served.length, note, faults };
}

const SERVERS: RealServer[] = [
  nginx({ listen: "http2", directives: "http2_body_preread_size 64k;" }),
  NODE_HTTP2,
  GO_HTTP2,
  haproxy(),
  HEAVY["hypercorn"]!,
  HEAVY["h2c"]!,
];

export const http2: Part = async (directory) => {
  const production = HEAVY["h2c"]!;
  const why = production.missing();
  if (why !== undefined) return [skipped("http2", production.name, why)];
  const rows: Row[] = [];
  for (const [name, commands] of Object.entries(ALL)) {
    const { savefile, lossy, served } = await record(production, commands, directory);
    for (const server of SERVERS) {
      const missing = server.missing();
      // Offers also go to endpoints that speak HTTP/1. (hypercorn closes the connection after an accepted one.)
      const isOffer = name === "curl's offer" || name === "Java";
      if (missing !== undefined) rows.push(skipped(`http2 ${name}`, server.name, missing));
      else if (!isOffer || server === HEAVY["h2c"])
        rows.push(rowOf(`http2 ${name}`, server.name, served, await replay(savefile, server, directory)));
    }
    rows.push(lossyRow(`${name}, 1 % lost`, production.name, served, await replay(lossy, production, directory)));
    if (name === "h2load") rows.push(...(await limits(savefile, served, directory)));
    if (name === "Go") rows.push(await overTls(savefile, served, directory));
  }
  return rows;
};

/** HAProxy that offers only `h2`. */
async function overTls(savefile: Uint8Array, served: Served[], directory: TemporaryDirectory): Promise<Row> {
  const server = haproxy(`ssl crt ${join(directory.path, "both.pem")} alpn h2`);
  const why = server.missing();
  if (why !== undefined) return skipped("http2 over TLS", server.name, why);
  const authority = new Authority(directory.path);
  const { cert, key } = authority.issue();
  directory.file("both.pem", readFileSync(cert, "latin1") + readFileSync(key, "latin1"));
  const forwarded = await replay(savefile, server, directory, undefined, authority);
  return rowOf("http2 over TLS", server.name, served, forwarded);
}

/** nginx with tighter limits than production, or slower. */
async function limits(savefile: Uint8Array, served: Served[], directory: TemporaryDirectory): Promise<Row[]> {
  const rows: Row[] = [];
  const cases = {
    "1000 requests": "",
    "8 streams": "http2_max_concurrent_streams 8;",
    "50 requests": "keepalive_requests 50; http2_max_concurrent_streams 32;",
  };
  for (const [what, directives] of Object.entries(cases)) {
    const server = nginx({ listen: "http2", directives });
    rows.push(rowOf("http2 limits", `nginx, ${what}`, served, await replay(savefile, server, directory)));
  }
  const reloadable = nginx({ listen: "http2", isReloadable: true });
  const reloaded = await replay(savefile, reloadable, directory, async () => {
    for (let i = 0; i < RELOADS; i++) {
      process.kill(nginxPid(directory), "SIGHUP");
      await Bun.sleep(RELOAD_PAUSE_MS);
    }
  });
  rows.push(rowOf("http2 limits", "nginx, reloaded", served, reloaded));
  rows.push(await slower(savefile, served, directory));
  return rows;
}

/** nginx in front of a slow application: production's client is gone before the first response. */
async function slower(savefile: Uint8Array, served: Served[], directory: TemporaryDirectory): Promise<Row> {
  const application = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async () => {
      await Bun.sleep(SLOWER_MS);
      return new Response("served");
    },
  });
  const bare = "proxy_method GET; proxy_pass_request_headers off; proxy_pass_request_body off;";
  const directives = `location ~ ^/ { ${bare} proxy_pass http://127.0.0.1:${application.port}; }`;
  try {
    const forwarded = await replay(savefile, nginx({ listen: "http2", directives }), directory);
    const row = rowOf("http2 limits", `nginx, ${SLOWER_MS} ms slower`, served, forwarded);
    const { sum_ms, count } = forwarded.outcome.counters.response_time;
    if (sum_ms / count < SLOWER_MS) row.faults.push(`it responded within ${sum_ms / count} ms in the mean`);
    return row;
  } finally {
    await application.stop(true);
  }
}

/** Calls of all four kinds; the channel is closed right after them. */
export const grpcCalls: Part = async (directory) => {
  const rows: Row[] = [];
  const counts = ["1000", "20"];
  const clients: [name: string, production: RealServer, argv: (port: string) => string[]][] = [
    ["Python", grpc(), (port) => [VENV_PYTHON, GRPC_CLIENT, port, ...counts]],
    ["Go", grpcOfGo(), (port) => [GRPC_OF_GO, "client", port, ...counts]],
  ];
  for (const [name, production, argv] of clients) {
    const part = `grpc of ${name}`;
    const why = production.missing();
    if (why !== undefined) {
      rows.push(skipped(part, production.name, why));
      continue;
    }
    const { savefile, lossy, served } = await record(production, (url) => [argv(new URL(url).port)], directory);
    for (const server of [grpc(), grpc(5), grpcOfGo(), grpcOfGo(5)]) {
      if (server.missing() === undefined)
        rows.push(okRow(part, server, served, await replay(savefile, server, directory)));
    }
    rows.push(lossyRow(`${part}, 1 % lost`, production.name, served, await replay(lossy, production, directory)));
  }
  return rows;
};
