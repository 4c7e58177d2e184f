/**
 * scripts/planted --slow: an endpoint that is slower on one route in ten, in the lab, with a mirror by the kernel in
 * both directions. The medians must show the delay of these routes, and none of the others.
 */
import { parseArgs } from "node:util";
import { ENDPOINT_PORT, Lab, PRODUCTION_PORT } from "../../test/live/lab.ts";
import { delayOf, ROUTES } from "./slow-routes.ts";

const PRODUCTION = "192.0.2.2";
const VNI = 42;
const CONNECTIONS = 30;
/** The largest error of the medians. */
const TOLERANCE_MS = 1;

const { values } = parseArgs({
  options: { slow: { type: "boolean" }, requests: { type: "string", default: "3000" } },
});

interface Times {
  p50_ms: number;
}
interface Route {
  path: string;
  compared: number;
  latency: { production: Times; endpoint: Times };
}

/** For each route the result of the comparison, and the real time of each delay at the endpoint. */
async function measure(): Promise<{ routes: Route[]; delaysMs: Record<string, number>; different: number }> {
  const lab = await Lab.up(`slow${process.pid}`);
  try {
    const server = (host: "production" | "replay", port: number, role: string) =>
      lab.start(host, process.execPath, `${import.meta.dir}/slow-server.ts`, String(port), role);
    const servers = [server("production", PRODUCTION_PORT, "production"), server("replay", ENDPOINT_PORT, "endpoint")];
    for (const each of servers) await each.until(({ stdout }) => stdout.includes("ready"));
    const forwarder = await lab.forwarder(
      ...["--compare", "--admin", "9789", "eth0", String(VNI), String(PRODUCTION_PORT), `127.0.0.1:${ENDPOINT_PORT}`],
    );
    const each = Math.ceil(Number(values.requests) / CONNECTIONS);
    const client = [process.execPath, `${import.meta.dir}/slow-client.ts`, PRODUCTION, String(PRODUCTION_PORT)];
    await lab.run("client", ...client, String(CONNECTIONS), String(each));
    const page = await lab.run("replay", "curl", "-s", "http://127.0.0.1:9789/compare");
    await forwarder.end("SIGINT");
    const { comparison } = await lab.summary(forwarder);
    await servers[1]!.end();
    const delaysMs = JSON.parse(servers[1]!.stdout.split("\n")[1]!) as Record<string, number>;
    const { routes } = JSON.parse(page) as { routes: Route[] };
    return { routes, delaysMs, different: comparison.different };
  } finally {
    await lab.down();
  }
}

const { routes, delaysMs, different } = await measure();
const faults = different === 0 ? [] : [`${different} responses differ`];
const others: number[] = [];
for (const route of ROUTES) {
  const found = routes.find(({ path }) => path === `${route}/{}`);
  if (found === undefined) {
    faults.push(`${route} was not compared`);
    continue;
  }
  const { production, endpoint } = found.latency;
  const slowerMs = endpoint.p50_ms - production.p50_ms;
  const isMs = delaysMs[route] ?? 0;
  const figures = { route, compared: found.compared, asked_ms: delayOf(route), is_ms: isMs, shown_ms: slowerMs };
  if (isMs > 0) console.log(JSON.stringify(figures));
  else others.push(slowerMs);
  if (Math.abs(slowerMs - isMs) > TOLERANCE_MS)
    faults.push(`not within ${TOLERANCE_MS} ms: ${JSON.stringify(figures)}`);
}
console.log(JSON.stringify({ other_routes: others.length, from_ms: Math.min(...others), to_ms: Math.max(...others) }));
for (const fault of faults) console.error(`planted: ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);
