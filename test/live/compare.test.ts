/**
 * --compare over a mirror that the kernel makes, in both directions: production and the endpoint are nginx with the
 * same pages, except for planted differences.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TemporaryDirectory } from "../executable/program.ts";
import { ENDPOINT_PORT, grown, Lab, PRODUCTION_PORT, whyNotLive } from "./lab.ts";
import { sendLoadUntil } from "./load.ts";

const why = whyNotLive();
const VNI = 42;
const PAUSE_MS = 10;
const CONNECTIONS = 16;
/** In production's log: more than a thousand requests. */
const LOG_BYTES = 20_000;

/** For every path. */
const page = (json: string) => `default_type application/json; return 200 '${json}';`;
const SAME_BODY = `{"items":[{"price":1},{"price":2}]}`;
const SAME = page(SAME_BODY);
const OTHER = page(`{"items":[{"price":1},{"price":3}]}`);

async function compareLive(endpointPages: string, options: string[]) {
  const lab = await Lab.up("v2h-cmp");
  try {
    const { log } = await lab.nginx("production", "listen 80;", 1000, SAME);
    await lab.nginx("replay", `listen ${ENDPOINT_PORT};`, 1_000_000, endpointPages);
    const address = `127.0.0.1:${ENDPOINT_PORT}`;
    const forwarder = await lab.forwarder(
      "--compare",
      ...options,
      "eth0",
      String(VNI),
      String(PRODUCTION_PORT),
      address,
    );
    const load = { pauseMs: PAUSE_MS, kind: "get", connections: CONNECTIONS } as const;
    await sendLoadUntil(lab, load, () => grown(log, LOG_BYTES));
    const status = await forwarder.end("SIGINT");
    return { status, stderr: forwarder.stderr, summary: await lab.summary(forwarder) };
  } finally {
    await lab.down();
  }
}

describe.if(why === undefined)("--compare, live", () => {
  test("an endpoint with production's version differs in nothing, and files have production's responses", async () => {
    using directory = new TemporaryDirectory();
    const file = ["--also", `file:${directory.path}/requests.ndjson`];
    const { status, summary } = await compareLive(SAME, ["--fail-on-differences", ...file]);
    const { comparison, requests } = summary;
    const filed = [...new Bun.Glob("*").scanSync(directory.path)]
      .flatMap((name) => readFileSync(join(directory.path, name), "utf8").split("\n").slice(0, -1))
      .map((line) => JSON.parse(line).response?.body);
    expect(filed.length).toBe(summary.file.requests);
    expect(filed.length).toBeGreaterThanOrEqual(requests.forwarded * 0.99);
    expect(filed.filter((body) => body === SAME_BODY).length).toBe(summary.file.responses);
    expect(summary.file.responses).toBeGreaterThanOrEqual(filed.length * 0.99);
    expect(requests.forwarded).toBeGreaterThan(1000);
    expect({
      status,
      different: comparison.different,
      compared: comparison.compared >= requests.forwarded * 0.99,
    }).toEqual({
      status: 0,
      different: 0,
      compared: true,
    });
    expect(comparison.latency.production.p50_ms).toBeLessThan(PAUSE_MS);
  }, 60_000);

  test("an endpoint with another price differs only in the price, in each response", async () => {
    const { status, stderr, summary } = await compareLive(OTHER, ["--fail-on-differences", "--threads", "2"]);
    const { comparison } = summary;
    expect(status).toBe(3);
    expect(comparison.different).toBe(comparison.compared);
    const places = comparison.routes.flatMap(({ differences }: any) => differences);
    expect(new Set(places.map(({ kind, where }: any) => `${kind} ${where}`))).toEqual(new Set(["value items[].price"]));
    expect(stderr).toContain("The endpoint responds differently to");
  }, 60_000);
});
