/**
 * --mode http over a mirror that the kernel makes, with widely used clients: the endpoint reads the same as production,
 * by method, path and digest of the body.
 */
import { describe, expect, test } from "bun:test";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { BUN, type Endpoint, GO, installed, NODE, proxyEndpoint, PYTHON, serverEndpoint } from "./endpoints.ts";
import { ENDPOINT_PORT, Lab, PRODUCTION_PORT, type Program, whyNotLive } from "./lab.ts";
import { lines, loggedRequests } from "./load.ts";

const why = whyNotLive();
const VNI = "42";
const URL_OF_PRODUCTION = "http://192.0.2.2";
const PATIENCE = ["--max-pending-packets", "1024", "--capture-buffer-mib", "256"];

const SERVERS = why === undefined ? installed([NODE, BUN, GO, PYTHON]) : [];

async function inLab(body: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = await Lab.up("v2h-clients");
  try {
    await body(lab);
  } finally {
    await lab.down();
  }
}

function forwarderTo(lab: Lab, port: number): Promise<Program> {
  return lab.forwarder("--mode", "http", ...PATIENCE, "eth0", VNI, String(PRODUCTION_PORT), `127.0.0.1:${port}`);
}

/** Ends a forwarder that lost nothing. Returns its counters. */
async function endForwarder(lab: Lab, forwarder: Program) {
  expect(await forwarder.end("SIGINT")).toBe(0);
  const counters = await lab.summary(forwarder);
  expect(counters.frames.kernel_dropped).toBe(0);
  expect(counters.reassembly.gaps).toBe(0);
  expect(counters.upstream).toMatchObject({ lost_bytes: 0, broken: 0, given_up: 0 });
  expect(counters.responses).toMatchObject({ "4xx": 0, "5xx": 0, unanswered: 0 });
  return counters;
}

/** Lets clients talk to production (Bun.serve); each endpoint must read the same requests, `count` of them. */
async function compare(
  lab: Lab,
  endpoints: { endpoint: Endpoint; port: number }[],
  count: number,
  clients: () => Promise<unknown>,
): Promise<void> {
  const production = await serverEndpoint(lab, BUN, PRODUCTION_PORT, 0, "production");
  const forwarders = await Promise.all(endpoints.map(({ port }) => forwarderTo(lab, port)));
  await clients();
  const truth = (await production.stop()).sort();
  expect(truth.length).toBe(count);
  for (const [i, forwarder] of forwarders.entries()) {
    const counters = await endForwarder(lab, forwarder);
    const { endpoint } = endpoints[i]!;
    expect((await endpoint.stop()).sort()).toEqual(truth);
    expect(endpoint.complaints()).toEqual([]);
    expect(counters.requests).toMatchObject({ seen: count, forwarded: count, answered: count, damaged: 0 });
  }
}

/** One endpoint of each kind. */
async function everyEndpoint(lab: Lab): Promise<{ endpoint: Endpoint; port: number }[]> {
  const first = { endpoint: await proxyEndpoint(lab, ENDPOINT_PORT, 0), port: ENDPOINT_PORT };
  const servers = SERVERS.map(async (server, i) => ({
    endpoint: await serverEndpoint(lab, server, ENDPOINT_PORT + 10 + i, 0),
    port: ENDPOINT_PORT + 10 + i,
  }));
  return [first, ...(await Promise.all(servers))];
}

/** A file of random bytes in the lab's directory. Returns its name and digest. */
async function randomFile(lab: Lab, bytes: number): Promise<{ name: string; sha256: string }> {
  const name = `body-${bytes}`;
  const file = await open(join(lab.directory, name), "w");
  for (let left = bytes; left > 0; left -= 1 << 20)
    await file.write(
      crypto.getRandomValues(Buffer.alloc(65_536)).toString("latin1").repeat(16).slice(0, left),
      null,
      "latin1",
    );
  await file.close();
  const hash = new Bun.SHA256();
  for await (const chunk of createReadStream(join(lab.directory, name))) hash.update(chunk);
  return { name, sha256: hash.digest("hex") };
}

describe.skipIf(why !== undefined)("clients over a kernel mirror, in mode http", () => {
  test(
    "curl's uploads, with Expect: 100-continue, chunked, and both, arrive at every endpoint",
    () =>
      inLab(async (lab) => {
        const { name } = await randomFile(lab, 3 << 20);
        const curl = (path: string, ...options: string[]) =>
          lab.run("client", "curl", "-sSf", "--limit-rate", "20M", ...options, `${URL_OF_PRODUCTION}${path}`);
        const chunked = ["-H", "Transfer-Encoding: chunked"];
        const expects = ["-H", "Expect: 100-continue"];
        const nothing = ["-H", "Expect:"];
        await compare(lab, await everyEndpoint(lab), 9, async () => {
          await curl("/length", ...nothing, "--data-binary", `@${name}`);
          await curl("/length/expect", ...expects, "--data-binary", `@${name}`);
          await curl("/chunked", ...nothing, ...chunked, "-T", name);
          await curl("/chunked/expect", ...expects, ...chunked, "-T", name);
          await curl("/small/expect", ...expects, "-d", "small");
          await curl("/small/[1-3]", ...chunked, "-d", "small");
          await curl("/last");
        });
      }),
    60_000,
  );

  test(
    "100 MiB arrive byte for byte",
    () =>
      inLab(async (lab) => {
        const { name, sha256 } = await randomFile(lab, 100 << 20);
        const endpoint = await serverEndpoint(lab, BUN, ENDPOINT_PORT, 0);
        await compare(lab, [{ endpoint, port: ENDPOINT_PORT }], 2, async () => {
          await lab.run(
            "client",
            "curl",
            "-sSf",
            "--limit-rate",
            "40M",
            "-T",
            name,
            `${URL_OF_PRODUCTION}/large`,
            "--next",
            "-sSf",
            `${URL_OF_PRODUCTION}/next`,
          );
        });
        expect(await endpoint.stop()).toEqual([`PUT /large ${sha256}`, "GET /next"]);
      }),
    60_000,
  );

  test(
    "a WebSocket session arrives message by message",
    () =>
      inLab(async (lab) => {
        const production = await serverEndpoint(lab, BUN, PRODUCTION_PORT, 0, "production");
        const endpoint = await serverEndpoint(lab, BUN, ENDPOINT_PORT, 0);
        const forwarder = await forwarderTo(lab, ENDPOINT_PORT);
        await lab.run(
          "client",
          process.execPath,
          join(import.meta.dir, "websocket-client.ts"),
          "ws://192.0.2.2/session",
        );
        const counters = await endForwarder(lab, forwarder);
        const truth = await production.stop();
        expect(truth.length).toBe(20);
        expect(truth.at(-1)).toBe("CLOSE /session 1000 done");
        expect(await endpoint.stop()).toEqual(truth);
        expect(counters.requests).toMatchObject({ seen: 1, forwarded: 1, answered: 1 });
      }),
    60_000,
  );

  test(
    "ab's HTTP/1.0 requests arrive at every endpoint, with keep-alive and without, with bodies and without",
    () =>
      inLab(async (lab) => {
        await Bun.write(join(lab.directory, "form"), "a=1&b=2");
        const ab = (path: string, ...options: string[]) =>
          lab.run("client", "ab", "-q", "-n", "100", "-c", "8", ...options, `${URL_OF_PRODUCTION}${path}`);
        const post = ["-p", "form", "-T", "application/x-www-form-urlencoded"];
        await compare(lab, await everyEndpoint(lab), 400, async () => {
          await ab("/close");
          await ab("/keep", "-k");
          await ab("/post/close", ...post);
          await ab("/post/keep", "-k", ...post);
        });
      }),
    60_000,
  );

  test(
    "HTTP/2 with prior knowledge (curl, h2load) arrives request by request at an endpoint of other limits",
    () =>
      inLab(async (lab) => {
        const paths = Array.from({ length: 200 }, (_, i) => `${URL_OF_PRODUCTION}/h2load/${i}`);
        await Bun.write(join(lab.directory, "paths"), `${paths.join("\n")}\n`);
        // nginx that responds itself may do so before the body's end, and resets the stream then: curl reports that.
        const application = await serverEndpoint(lab, BUN, 81, 0, "production");
        const production = await lab.nginx(
          "production",
          "listen 80 http2;",
          1_000_000,
          "proxy_pass http://127.0.0.1:81;",
        );
        const endpoint = await lab.nginx(
          "replay",
          `listen 127.0.0.1:${ENDPOINT_PORT} http2; http2_max_concurrent_streams 3;`,
          100,
          `return 200 "served";`,
        );
        const forwarder = await forwarderTo(lab, ENDPOINT_PORT);
        const curl = (...options: string[]) => lab.run("client", "curl", "-sSf", "--http2-prior-knowledge", ...options);
        // One connection each: curl 7.88 cannot reuse a connection with prior knowledge.
        for (const i of [1, 2, 3]) await curl(`${URL_OF_PRODUCTION}/curl/${i}`);
        await curl("-d", "x".repeat(3000), `${URL_OF_PRODUCTION}/curl/post`);
        await lab.run("client", "h2load", "-n800", "-c4", "-m10", "-i", "paths");
        const counters = await endForwarder(lab, forwarder);
        await Promise.all([production.program.end(), endpoint.program.end()]);
        expect((await application.stop()).length).toBe(804);
        const requests = (log: string) =>
          loggedRequests(log)
            .map(({ line }) => line)
            .sort();
        expect(requests(production.log).length).toBe(804);
        expect(requests(endpoint.log)).toEqual(requests(production.log));
        expect(lines(endpoint.program.stderr).filter((line) => line.includes("client sent"))).toEqual([]);
        expect(counters.http2).toMatchObject({ connections: 8, resets: 0 });
        expect(counters.requests).toMatchObject({ seen: 804, forwarded: 804, answered: 804, damaged: 0 });
      }),
    60_000,
  );
});
