/**
 * scripts/demo --compare: production's clients, mirrored in both directions, and a new version of the service with
 * three bugs: a status, a field of its JSON, a slow route.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ComparisonSummary } from "../../src/compare/tally.ts";
import { type CapturedFrame, mirroredSegment, pcap } from "../../test/support/frames.ts";
import { findProgram, QUIETLY } from "./program.ts";
import { bold, dim, heading, marked, paragraph, verdict } from "./screen.ts";

const VNI = 5_569_041;
const PORT = 80;
const SERVER = "10.0.0.80";
const START_MS = Date.UTC(2026, 0, 15, 9, 30);
const CLIENTS = 20;
const ROUNDS = 3;
/** Production's time for each response; and the new version's time for one route. */
const PRODUCTION_MS = 2;
const SLOW_MS = 40;

const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-demo-"));
let isRight = false;
try {
  isRight = await show(join(directory, "mirror.pcap"));
} finally {
  rmSync(directory, { recursive: true });
}
process.exit(isRight ? 0 : 1);

/** The response of a version of the service. */
function respond(path: string, isNew: boolean): { status: number; body: unknown } {
  const id = Number(path.split("/")[2] ?? 0);
  if (path.startsWith("/users/")) return { status: 200, body: { id, name: `user ${id}`, token: `secret-${isNew}` } };
  if (path.startsWith("/orders/")) {
    const items = [1, 2].map((n) => ({ sku: `A-${n}`, price: isNew && n === 2 ? `${n * 5}.00` : n * 5 }));
    return { status: 200, body: { id, items } };
  }
  if (path.startsWith("/coupons/"))
    return { status: isNew && id % 2 === 1 ? 500 : 404, body: { error: "no such coupon" } };
  return { status: 200, body: { hits: [] } };
}

function pathsOf(client: number): string[] {
  return Array.from({ length: ROUNDS }, (_, round) => client * ROUNDS + round).flatMap((id) => [
    `/users/${id}`,
    `/orders/${id}`,
    `/coupons/${id}`,
    `/search?q=${id}`,
  ]);
}

/** A client's connection as the mirror of production's interface delivers it, in both directions. */
function framesOf(client: number): CapturedFrame[] {
  const address = `198.51.100.${client + 1}`;
  let [clientNext, serverNext, timestampMs] = [1_000_000 * client, 7_000_000, START_MS + client * 3];
  const frames: CapturedFrame[] = [];
  const send = (isServer: boolean, flags: string, text = "") => {
    const sides = isServer ? [SERVER, address, PORT, 40_000] : [address, SERVER, 40_000, PORT];
    const [source, destination, sourcePort, destinationPort] = sides as [string, string, number, number];
    const [sequence, acknowledgment] = isServer ? [serverNext, clientNext] : [clientNext, serverNext];
    const payload = new TextEncoder().encode(text);
    const segment = { source, destination, sourcePort, destinationPort, sequence, acknowledgment, flags, payload };
    frames.push({ frame: mirroredSegment(segment, VNI), timestampMs });
    const advanced = sequence + payload.length + (/[SF]/.test(flags) ? 1 : 0);
    if (isServer) serverNext = advanced;
    else clientNext = advanced;
    timestampMs += 0.1;
  };
  send(false, "S");
  send(true, "SA");
  for (const path of pathsOf(client)) {
    send(false, "PA", `GET ${path} HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer ${client}-secret\r\n\r\n`);
    timestampMs += PRODUCTION_MS;
    const { status, body } = respond(path, false);
    const text = JSON.stringify(body);
    const head = `Content-Type: application/json\r\nContent-Length: ${text.length}\r\nDate: ${timestampMs}`;
    send(true, "PA", `HTTP/1.1 ${status} Production\r\n${head}\r\n\r\n${text}`);
  }
  send(false, "FA");
  send(true, "FA");
  return frames;
}

async function show(capture: string): Promise<boolean> {
  const frames = Array.from({ length: CLIENTS }, (_, client) => framesOf(client)).flat();
  frames.sort((a, b) => a.timestampMs - b.timestampMs);
  await Bun.write(capture, pcap(frames));
  const endpoint = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch({ url }) {
      const { pathname, search } = new URL(url);
      if (pathname === "/search") await Bun.sleep(SLOW_MS);
      const { status, body } = respond(pathname + search, true);
      return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
    },
  });
  const program = findProgram();
  console.log(bold("A new version's responses are compared with production's:"));
  console.log(dim("   the new version has a bug in a status, one in a field, and a slow route"));
  const summary = join(directory, "summary.json");
  const positionals = [String(VNI), String(PORT), `127.0.0.1:${endpoint.port}`];
  paragraph(
    [program.name, "--compare --fail-on-differences --ignore json:token --read mirror.pcap", ...positionals].join(" "),
  );
  const flags = [
    "--compare",
    "--fail-on-differences",
    "--ignore",
    "json:token",
    "--summary",
    summary,
    "--read",
    capture,
  ];
  const running = Bun.spawn([...program.command, ...QUIETLY.flags, ...flags, ...positionals], {
    env: QUIETLY.env,
    stderr: "pipe",
  });
  const stderr = await new Response(running.stderr).text();
  const status = await running.exited;
  void endpoint.stop(true);
  if (status !== 3) {
    verdict(false, `The program's exit status is ${status}, not 3. Its messages:\n${stderr}`);
    return false;
  }
  return tell(JSON.parse(readFileSync(summary, "utf8")).comparison as ComparisonSummary, stderr);
}

function tell({ compared, different, routes }: ComparisonSummary, stderr: string): boolean {
  heading("Routes, the worst first, and the median times until the last byte");
  const row = (...[route, count, differ, production, endpoint]: string[]) =>
    console.log(
      `   ${route!.padEnd(22)} ${count!.padStart(9)} ${differ!.padStart(10)} ${production!.padStart(13)} ${endpoint!.padStart(13)}`,
    );
  row("route", "compared", "different", "production", "new version");
  for (const { method, path, compared: count, different: differ, differences, latency } of routes) {
    const times = [latency.production.p50_ms, latency.endpoint.p50_ms].map((timeMs) => `${timeMs!.toFixed(1)} ms`);
    row(`${method} ${path}`, String(count), String(differ), ...times);
    for (const { kind, where, count: times } of differences)
      paragraph(marked(`✗ ${kind} ${where}`.trimEnd() + ` in ${times} responses`));
  }
  heading("The program's counters");
  for (const line of stderr.trimEnd().split("\n")) {
    const [, text] = /^\S+ INFO +((?:Comparison|Latency).*)$/.exec(line) ?? [];
    if (text !== undefined) paragraph(text);
  }
  const found = routes.flatMap(({ path, differences }) =>
    differences.map(({ kind, where }) => `${path} ${kind} ${where}`),
  );
  const search = routes.find(({ path }) => path === "/search");
  const isSlow = (search?.latency.endpoint.p50_ms ?? 0) >= SLOW_MS;
  const wanted = ["/coupons/{} status ", "/orders/{} type items[].price"];
  const requests = CLIENTS * pathsOf(0).length;
  const isRight = compared === requests && isSlow && found.toSorted().join() === wanted.join();
  verdict(
    isRight,
    isRight
      ? `Of ${compared} responses ${different} differ: all three bugs were found, and nothing else.`
      : `This is wrong: ${found.join(", ")}`,
  );
  return isRight;
}
