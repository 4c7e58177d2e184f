/**
 * --compare with HTTP/2: the responses of real servers to a real client, beside other servers' responses to the same
 * requests.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TemporaryDirectory } from "../executable/program.ts";
import { PORT, VNI } from "../executable/sessions.ts";
import { forward, identityFaults } from "./mirror.ts";
import { type RealServer, start } from "./real-servers.ts";
import { Recording } from "./recording.ts";
import { Random } from "../support/random.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const SCRIPT = join(import.meta.dir, "endpoints/versions.mjs");
const TIMES = 12;
/** The share of the segments. */
const LOST = 0.02;
/** The expected differences on each path. */
const DIFFERENCES: Record<string, string[]> = {
  status: ["status "],
  coding: ["header content-encoding"],
  header: ["header x-version"],
  value: ["value items[].price"],
  bytes: ["bytes "],
  trailer: ["header x-sum"],
  grpc: ["header grpc-status", "bytes "],
  failed: ["header grpc-status"],
};
const SAME = ["same", "long", "ok"];
const COUNT = (Object.keys(DIFFERENCES).length + SAME.length) * TIMES;

function version(name: "production" | "new"): RealServer {
  const argv = (port: number) => ["node", SCRIPT, "serve", String(port), name];
  return { name, missing: () => undefined, command: (port) => ({ argv: argv(port) }) };
}

/** The bytes of a client and of production: complete, and with some segments missing. */
async function record(): Promise<{ whole: Uint8Array; lossy: Uint8Array }> {
  const running = await start(version("production"), directory);
  using recording = await Recording.before(running.port);
  const client = Bun.spawn(["node", SCRIPT, "ask", String(recording.port), String(TIMES)], { stdin: "ignore" });
  expect(await client.exited).toBe(0);
  await running.stop();
  const random = new Random(3);
  return { whole: recording.savefile(() => false, true), lossy: recording.savefile(() => random.chance(LOST), true) };
}

/** Lets the executable compare the endpoint's responses with production's. */
async function compared(savefile: Uint8Array, endpoint: RealServer, flags: string[] = []) {
  const running = await start(endpoint, directory);
  const address = `127.0.0.1:${running.port}`;
  const mirror = { savefile, vni: VNI, port: PORT };
  const all = ["--compare", "--fail-on-differences", ...flags];
  const { counters, status } = await forward(mirror, address, directory, all);
  await running.stop();
  expect(identityFaults(counters)).toEqual([]);
  const { comparison, destinations, requests } = counters;
  expect(comparison.compared + sumOf(comparison.not_comparable)).toBe(requests.seen);
  return { comparison, destinations, status };
}

function sumOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** By path: kinds and places, and their counts. */
function found({ routes }: any): Record<string, Record<string, number>> {
  const all: Record<string, Record<string, number>> = {};
  for (const { path, differences } of routes) {
    if (differences.length === 0) continue;
    const own = (all[path.split("/")[1]] ??= {});
    for (const { kind, where, count } of differences) own[`${kind} ${where}`] = (own[`${kind} ${where}`] ?? 0) + count;
  }
  return all;
}

describe.concurrent.skipIf(Bun.which("node") === null)("Node's http2", () => {
  let mirror: Awaited<ReturnType<typeof record>>;
  beforeAll(async () => void (mirror = await record()), 30_000);

  test("another version: every difference is found in its place, and none is invented", async () => {
    const { comparison, status } = await compared(mirror.whole, version("new"));
    const wanted = Object.entries(DIFFERENCES).map(([path, all]) => [
      path,
      Object.fromEntries(all.map((each) => [each, TIMES])),
    ]);
    expect(found(comparison)).toEqual(Object.fromEntries(wanted));
    const { compared: all, different, not_comparable: reasons } = comparison;
    const planted = Object.keys(DIFFERENCES).length * TIMES;
    expect({ all, different, status }).toEqual({ all: COUNT, different: planted, status: 3 });
    // The request that the client cancelled.
    expect(reasons).toMatchObject({ pass_through: 0, request_damaged: 0 });
    expect(sumOf(reasons)).toBe(1);
  }, 30_000);

  test("the same version differs in nothing", async () => {
    const { comparison, status } = await compared(mirror.whole, version("production"));
    const { compared: all, different } = comparison;
    expect({ all, different, status }).toEqual({ all: COUNT, different: 0, status: 0 });
  }, 30_000);

  test("if segments are lost, fewer are compared, and only planted differences are found", async () => {
    const { comparison } = await compared(mirror.lossy, version("new"));
    expect(comparison.compared).toBeLessThan(COUNT);
    for (const [path, places] of Object.entries(found(comparison)))
      expect({ path, places: Object.keys(places).filter((place) => !DIFFERENCES[path]?.includes(place)) }).toEqual({
        path,
        places: [],
      });
  }, 30_000);

  test("files have production's response beside each request", async () => {
    const [endpoint, also] = ["endpoint", "also"].map((name) => directory.file(`${name}.ndjson`, ""));
    const flags = ["--compare", "--also", `file:${also}`];
    const mirrored = { savefile: mirror.whole, vni: VNI, port: PORT };
    const { counters } = await forward(mirrored, `file:${endpoint}`, directory, flags);
    expect(counters.comparison.not_comparable.endpoint_is_file).toBe(COUNT);
    for (const path of [endpoint!, also!]) {
      const lines = readFileSync(path, "utf8").trimEnd().split("\n");
      const responses = lines.map((line) => JSON.parse(line)).filter(({ response }) => response !== undefined);
      expect(responses.length).toBe(COUNT);
      for (const { target, response } of responses) {
        expect(response.status).toBe(200);
        if (target.startsWith("/header/")) expect(response.body).toBe("header");
        if (target.startsWith("/trailer/")) expect(response.headers).toContainEqual(["x-sum", "1"]);
      }
    }
  }, 30_000);

  test("a difference that also occurs at the control is noise; another destination still gets all requests", async () => {
    const control = await start(version("new"), directory);
    const also = await start(version("production"), directory);
    const flags = ["--also", `127.0.0.1:${also.port}`, "--control", `127.0.0.1:${control.port}`];
    const { comparison, destinations, status } = await compared(mirror.whole, version("new"), flags);
    await control.stop();
    await also.stop();
    const { compared: all, different } = comparison;
    expect({ all, different, status }).toEqual({ all: COUNT, different: 0, status: 0 });
    for (const { requests } of destinations) expect(requests.answered).toBeGreaterThanOrEqual(COUNT);
    const places = comparison.routes.flatMap(({ differences }: any) => differences);
    expect(places.length).toBeGreaterThan(0);
    for (const { count, control_count: noise } of places) expect(noise).toBe(count);
  }, 30_000);
});
