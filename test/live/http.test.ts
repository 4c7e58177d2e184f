/**
 * --mode http over a mirror that the kernel makes: the endpoint serves, request by request, the same as production.
 * Each request has its own path, and its body follows from the path.
 */
import { describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import {
  BUN,
  type Endpoint,
  GO,
  installed,
  NODE,
  nginxEndpoint,
  proxyEndpoint,
  PYTHON,
  serverEndpoint,
} from "./endpoints.ts";
import { ENDPOINT_PORT, grown, Lab, PRODUCTION_PORT, type Program, whyNotLive } from "./lab.ts";
import { CONNECTIONS, type Load, loggedRequests, sendLoadUntil, withDigest } from "./load.ts";
import { trueRequests } from "./truth.ts";

const why = whyNotLive();
const VNI = 42;
const PORT = ENDPOINT_PORT;
/** A busy test machine reorders more than a network does, and has slower endpoints. */
const PATIENCE = [
  ...["--max-pending-packets", "1024", "--max-waiting-requests", "100000", "--capture-buffer-mib", "256"],
  // Its endpoints also start more slowly.
  ...["--connect-timeout-ms", "30000"],
];
/** In production's log: well over a thousand requests, about twenty on each connection, and some of each kind. */
const LOG_BYTES = 20_000;
/** The part of the log before a restart at least, and after it. */
const PART_BYTES = 5000;

const SERVERS = why === undefined ? installed([NODE, BUN, GO, PYTHON]) : [];

async function inLab(options: string[], body: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = await Lab.up("v2h-http", options);
  try {
    await body(lab);
  } finally {
    await lab.down();
  }
}

function startForwarder(lab: Lab, port: number): Promise<Program> {
  return lab.forwarder(
    "--mode",
    "http",
    ...PATIENCE,
    "eth0",
    String(VNI),
    String(PRODUCTION_PORT),
    `127.0.0.1:${port}`,
  );
}

/** Ends a forwarder after its last response. Returns its counters, which add up. */
async function endForwarder(lab: Lab, forwarder: Program) {
  expect(await forwarder.end("SIGINT")).toBe(0);
  const counters = await lab.summary(forwarder);
  const { requests, responses } = counters;
  const dropped = Object.values(requests.dropped as Record<string, number>).reduce((a, b) => a + b, 0);
  expect(counters.frames.kernel_dropped).toBe(0);
  expect(requests.seen).toBe(requests.forwarded + requests.damaged + dropped);
  expect(requests.forwarded).toBe(requests.answered + responses.unanswered);
  expect(dropped).toBe(0);
  expect(responses["4xx"]).toBe(0);
  return counters;
}

/** Sends a load to production, and its mirror to an endpoint; `meanwhile` gets production's log. */
async function forwardLoad(
  lab: Lab,
  endpoint: Endpoint,
  load: Omit<Load, "seconds">,
  meanwhile?: (log: string) => Promise<void>,
) {
  const { log } = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
  const forwarder = await startForwarder(lab, PORT);
  await sendLoadUntil(lab, load, () => Promise.all([grown(log, LOG_BYTES), meanwhile?.(log)]));
  const counters = await endForwarder(lab, forwarder);
  const served = await endpoint.stop();
  expect(endpoint.complaints()).toEqual([]);
  return { counters, production: loggedRequests(log), served };
}

const SAME: { name: string; start(lab: Lab): Promise<Endpoint>; pauseMs: number; kind: Load["kind"] }[] = [
  {
    name: "nginx, which closes a connection every 1000 requests",
    start: (lab) => nginxEndpoint(lab, PORT, 1000),
    pauseMs: 5,
    kind: "get",
  },
  {
    name: "nginx, which closes a connection every 10 requests",
    start: (lab) => nginxEndpoint(lab, PORT, 10),
    pauseMs: 10,
    kind: "get",
  },
  ...SERVERS.map((server) => ({
    name: server.name,
    start: (lab: Lab) => serverEndpoint(lab, server, PORT, 0),
    // So few that every endpoint keeps up with them, even on a busy machine.
    pauseMs: 60,
    kind: "mixed" as const,
  })),
  {
    name: "an endpoint that takes 50 ms for each response",
    start: (lab) => serverEndpoint(lab, BUN, PORT, 50),
    pauseMs: 80,
    kind: "mixed",
  },
];

/** The endpoint takes longer than the clients' pauses, so a restart finds requests in flight. */
const SLOW_MS = 50;
const RESTARTED: { name: string; start(lab: Lab): Promise<Endpoint> }[] = [
  { name: "nginx", start: (lab) => proxyEndpoint(lab, PORT, SLOW_MS) },
  ...SERVERS.map((server) => ({ name: server.name, start: (lab: Lab) => serverEndpoint(lab, server, PORT, SLOW_MS) })),
];

describe.skipIf(why !== undefined)("mode http over a kernel mirror", () => {
  for (const { name, start, pauseMs, kind } of SAME) {
    test(
      `${name} serves exactly the same as production`,
      () =>
        inLab([], async (lab) => {
          const { counters, production, served } = await forwardLoad(lab, await start(lab), {
            pauseMs,
            kind,
          });
          expect(production.length).toBeGreaterThan(500);
          expect(served.sort()).toEqual(
            production.map(({ line }) => (kind === "get" ? line : withDigest(line))).sort(),
          );
          expect(counters.requests.answered).toBe(production.length);
        }),
      60_000,
    );
  }

  for (const { name, start } of RESTARTED) {
    test(
      `${name}, restarted under load, loses only requests in flight, which are counted`,
      () =>
        inLab([], async (lab) => {
          const endpoint = await start(lab);
          const load = { pauseMs: 40, kind: "mixed" } as const;
          const { counters, production, served } = await forwardLoad(lab, endpoint, load, async (log) => {
            await grown(log, PART_BYTES);
            // A slow machine may have mirrored about a thousand requests before the endpoint gets the first.
            await lab.connected("replay", PORT, CONNECTIONS / 2);
            await endpoint.restart();
            await grown(log, statSync(log).size + PART_BYTES);
          });
          expect(production.length).toBeGreaterThan(500);
          expect(counters.requests).toMatchObject({ seen: production.length, forwarded: production.length });
          const { unanswered } = counters.responses;
          expect(unanswered).toBeGreaterThan(0);
          expect(unanswered).toBeLessThanOrEqual(CONNECTIONS);

          // The endpoint serves only sent requests, and none twice except GETs that were in flight.
          const arrived = new Set(served);
          expect(arrived.difference(new Set(production.map(({ line }) => withDigest(line))))).toEqual(new Set());
          const posts = served.filter((line) => line.startsWith("POST"));
          expect(posts.length).toBe(new Set(posts).size);
          expect(served.length - arrived.size).toBeLessThanOrEqual(CONNECTIONS - unanswered);

          // The missing requests are POSTs, at most one of each connection: the one in flight.
          const lacking = production.filter(({ line }) => !arrived.has(withDigest(line)));
          expect(lacking.filter(({ line }) => line.startsWith("GET"))).toEqual([]);
          expect(new Set(lacking.map(({ connection }) => connection)).size).toBe(lacking.length);
          expect(lacking.length).toBeLessThanOrEqual(unanswered);
        }),
      60_000,
    );
  }

  test(
    "if the mirror loses packets, each endpoint serves exactly the requests whose packets all arrived, and none is malformed",
    () =>
      inLab(["--drop", "1"], async (lab) => {
        const servers = await Promise.all(SERVERS.map((server, i) => serverEndpoint(lab, server, PORT + 10 + i, 0)));
        const endpoints = [await proxyEndpoint(lab, PORT, 0), ...servers];
        const { log } = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
        const production = await lab.capture("production", `dst port ${PRODUCTION_PORT}`);
        const mirror = await lab.capture("replay", "udp dst port 4789");
        const forwarders = await Promise.all(
          endpoints.map((_, i) => startForwarder(lab, i === 0 ? PORT : PORT + 9 + i)),
        );
        await sendLoadUntil(lab, { pauseMs: 80, kind: "mixed" }, () => grown(log, LOG_BYTES));
        await Promise.all([lab.endCapture(production), lab.endCapture(mirror)]);

        const requests = trueRequests(production.file, mirror.file, PRODUCTION_PORT);
        const whole = requests
          .filter(({ arrived }) => arrived)
          .map(({ line }) => withDigest(line))
          .sort();
        expect(requests.length).toBeGreaterThan(500);
        expect(whole.length).toBeGreaterThan(requests.length * 0.9);
        for (const [i, forwarder] of forwarders.entries()) {
          const counters = await endForwarder(lab, forwarder);
          expect((await endpoints[i]!.stop()).sort()).toEqual(whole);
          expect(endpoints[i]!.complaints()).toEqual([]);
          expect(counters.requests).toMatchObject({ forwarded: whole.length, answered: whole.length });
          // Several lost requests in a row are one hole.
          expect(counters.requests.damaged).toBeGreaterThan(0);
          expect(counters.requests.damaged).toBeLessThanOrEqual(requests.length - whole.length);
        }
      }),
    60_000,
  );
});
