/**
 * --mode http over a mirror that the kernel makes: what the endpoint served is, path by path, what
 * production served. Each request has a path of its own.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ENDPOINT_PORT, Lab, PRODUCTION_PORT, type Program, whyNotLive } from "./lab.ts";

const why = whyNotLive();
const VNI = 42;
const CONNECTIONS = 64;
const PORT = String(ENDPOINT_PORT);
const LOAD = join(import.meta.dir, "unique.lua");
const ENDPOINT = join(import.meta.dir, "http-endpoint.ts");
/** A loaded test machine reorders deeper than a network does, and has slower endpoints. */
const PATIENCE = ["--max-pending-packets", "1024", "--max-waiting-requests", "100000"];

/** An endpoint that can be stopped, and then says what it served. */
interface ServingEndpoint {
  program: Program;
  served(): string[];
}

async function nginxEndpoint(lab: Lab, keepaliveRequests: number): Promise<ServingEndpoint> {
  const { program, log } = await lab.nginx("replay", `listen 127.0.0.1:${PORT};`, keepaliveRequests, `return 200 "served";`);
  return { program, served: () => paths(readFileSync(log, "utf8")) };
}

async function bunEndpoint(lab: Lab, delayMs: number): Promise<ServingEndpoint> {
  const program = lab.start("replay", process.execPath, ENDPOINT, PORT, String(delayMs));
  await program.until(({ stdout }) => stdout.includes("ready"));
  return { program, served: () => paths(program.stdout.replace("ready\n", "")) };
}

function paths(lines: string): string[] {
  return lines.split("\n").filter((line) => line !== "");
}

async function forwardLoad(lab: Lab, endpoint: ServingEndpoint, seconds: number, pauseMs: number, meanwhile?: () => Promise<void>) {
  const { log } = await lab.nginx("production", "listen 80;", 1_000_000, `return 200 "hello";`);
  const forwarder = await lab.forwarder("--mode", "http", ...PATIENCE, "eth0", String(VNI), String(PRODUCTION_PORT), `127.0.0.1:${PORT}`);
  const load = lab.run("client", "wrk", "-t1", `-c${CONNECTIONS}`, `-d${seconds}`, "-s", LOAD, "http://192.0.2.2/", "--", String(pauseMs));
  await meanwhile?.();
  await load;
  expect(await forwarder.end("SIGINT")).toBe(0);
  await endpoint.program.end("SIGTERM");
  const counters = await lab.summary();
  const { requests, responses } = counters;
  const dropped = Object.values(requests.dropped as Record<string, number>).reduce((a, b) => a + b, 0);
  expect(requests.seen).toBe(requests.forwarded + requests.damaged + dropped);
  expect(requests.forwarded).toBe(requests.answered + responses.unanswered);
  expect(responses["4xx"]).toBe(0);
  return { counters, production: paths(readFileSync(log, "utf8")).sort(), served: endpoint.served().sort() };
}

const ENDPOINTS: { name: string; start(lab: Lab): Promise<ServingEndpoint>; pauseMs: number }[] = [
  { name: "nginx, which closes a connection every 1000 requests", start: (lab) => nginxEndpoint(lab, 1000), pauseMs: 5 },
  { name: "nginx, which closes a connection every 10 requests", start: (lab) => nginxEndpoint(lab, 10), pauseMs: 10 },
  { name: "Bun.serve", start: (lab) => bunEndpoint(lab, 0), pauseMs: 10 },
  { name: "an endpoint that takes 50 ms for each answer", start: (lab) => bunEndpoint(lab, 50), pauseMs: 80 },
];

describe.skipIf(why !== undefined)("mode http over a kernel mirror", () => {
  for (const { name, start, pauseMs } of ENDPOINTS) {
    test(`${name} serves exactly what production served`, async () => {
      const lab = await Lab.up("v2h-http");
      try {
        const { counters, production, served } = await forwardLoad(lab, await start(lab), 3, pauseMs);
        expect(production.length).toBeGreaterThan(1000);
        expect(served).toEqual(production);
        expect(counters.requests.answered).toBe(production.length);
      } finally {
        await lab.down();
      }
    }, 60_000);
  }

  test("an endpoint that is restarted under load loses only what was in flight, and that is counted", async () => {
    const lab = await Lab.up("v2h-http");
    try {
      const first = await bunEndpoint(lab, 0);
      let second = first;
      const { counters, production, served } = await forwardLoad(lab, { program: first.program, served: () => first.served().concat(second.served()) }, 3, 10, async () => {
        await Bun.sleep(1000);
        await first.program.end("SIGTERM");
        second = await bunEndpoint(lab, 0);
      });
      await second.program.end("SIGTERM");
      const all = first.served().concat(second.served());
      expect(new Set(all)).toEqual(new Set(production));
      // GET may be sent again, so that a request which was served but not answered is served twice.
      expect(all.length - production.length).toBeLessThanOrEqual(CONNECTIONS);
      expect(counters.responses.unanswered).toBe(0);
      expect(served.length).toBeLessThanOrEqual(all.length);
    } finally {
      await lab.down();
    }
  }, 60_000);

  test("where the mirror loses packets, no endpoint sees a malformed request, and all that came whole are served", async () => {
    const lab = await Lab.up("v2h-http", ["--drop", "1"]);
    try {
      const { counters, production, served } = await forwardLoad(lab, await bunEndpoint(lab, 0), 3, 10);
      const missing = new Set(production).difference(new Set(served));
      expect(new Set(served).difference(new Set(production)).size).toBe(0);
      expect(served.length).toBe(new Set(served).size);
      expect(missing.size).toBeGreaterThan(0);
      // Several requests in a row that were lost are one hole.
      expect(counters.requests.damaged).toBeGreaterThan(0);
      expect(missing.size).toBeGreaterThanOrEqual(counters.requests.damaged);
      expect(missing.size / production.length).toBeLessThan(0.02);
    } finally {
      await lab.down();
    }
  }, 60_000);
});
