/** scripts/planted: differences that are planted in an endpoint's responses, and the findings of --compare. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { makeWorld, PLANTS, PORT, type Plant, type Talk, VNI, type World } from "../../test/compare/world.ts";
import { pcap } from "../../test/support/frames.ts";
import { Random } from "../../test/support/random.ts";

const EXECUTABLE = resolve(import.meta.dir, "../../dist/vxlan-to-http-linux-x64");
const CAPTURE_REQUESTS_MAX = 20_000;
const TALKS_MAX = 10;
/** A connection's average number of talks. */
const TALKS_MEAN = 5;
/** Longer than any pause of a busy machine. */
const RESPONSE_TIMEOUT_MS = 600_000;
const NOTHING = new Uint8Array(0);
const REQUEST = /^\w+ \/\w+\/(\d+) HTTP\/1.1\r\nHost: a\r\n(?:Content-Length: (\d+)\r\n)?\r\n/;

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: String(CAPTURE_REQUESTS_MAX) },
    seed: { type: "string", default: "1" },
    lost: { type: "string", default: "0" },
    late: { type: "string", default: "0" },
    twice: { type: "string", default: "0" },
  },
});
const [lost, late, twice] = [values.lost, values.late, values.twice].map((percent) => Number(percent) / 100) as [
  number,
  number,
  number,
];
const isCalm = lost + late + twice === 0;

/** Responds to each request as its talk says. */
class Endpoint {
  talks: readonly Talk[] = [];
  private readonly listener = Bun.listen<{ text: string; unsent: Uint8Array }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void (socket.data = { text: "", unsent: NOTHING }),
      data: (socket, bytes) => {
        const { data } = socket;
        data.text += bytes.toString("latin1");
        for (let found = REQUEST.exec(data.text); found !== null; found = REQUEST.exec(data.text)) {
          const end = found[0].length + Number(found[2] ?? 0);
          if (data.text.length < end) break;
          data.text = data.text.slice(end);
          this.send(socket, this.talks[Number(found[1])]!.endpoint);
        }
      },
      drain: (socket) => {
        const { unsent } = socket.data;
        socket.data.unsent = NOTHING;
        this.send(socket, unsent);
      },
    },
  });

  get address(): string {
    return `127.0.0.1:${this.listener.port}`;
  }

  stop(): void {
    this.listener.stop(true);
  }

  private send(socket: Bun.Socket<{ text: string; unsent: Uint8Array }>, bytes: Uint8Array): void {
    const { data } = socket;
    const isBehind = data.unsent.length > 0;
    const taken = isBehind ? 0 : Math.max(socket.write(bytes), 0);
    if (taken === bytes.length) return;
    data.unsent = isBehind ? Buffer.concat([data.unsent, bytes]) : bytes.subarray(taken);
  }
}

interface Found {
  compared: number;
  same: number;
  different: number;
  not_comparable: Record<string, number>;
  routes: { path: string; different: number; differences: { kind: string; where: string; count: number }[] }[];
}

/** The wrong findings in one capture; empty: none. */
function faultsOf({ talks }: World, { routes, compared, not_comparable: reasons }: Found): string[] {
  const faults: string[] = [];
  const sum = Object.values(reasons).reduce((total, count) => total + count, compared);
  if (isCalm && (sum !== talks.length || compared !== talks.length))
    faults.push(`${compared} of ${talks.length} were compared`);
  for (const plant of Object.keys(PLANTS) as Plant[]) {
    const own = routes.filter(({ path }) => path === `/${plant}/{}`);
    const planted = talks.filter((talk) => talk.plant === plant).length;
    const different = own.reduce((total, route) => total + route.different, 0);
    const expected = PLANTS[plant].length === 0 ? 0 : planted;
    if (isCalm ? different !== expected : different > expected)
      faults.push(`${different} of ${expected} responses differ on /${plant}`);
    for (const { kind, where, count } of own.flatMap(({ differences }) => differences)) {
      if (!(PLANTS[plant] as readonly string[]).includes(`${kind} ${where}`))
        faults.push(`${kind} ${where} on /${plant} was found ${count} times, but was not planted`);
    }
  }
  return faults;
}

const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-planted-"));
const [capture, summary] = [join(directory, "mirror.pcap"), join(directory, "summary.json")];
const endpoint = new Endpoint();
const totals: Record<string, number> = { requests: 0, planted: 0, compared: 0, same: 0, different: 0 };
const begun = performance.now();
let faults: string[] = [];
for (let left = Number(values.requests), seed = Number(values.seed); left > 0 && faults.length === 0; seed++) {
  const connections = Math.ceil(Math.min(left, CAPTURE_REQUESTS_MAX) / TALKS_MEAN);
  const options = { connections, talksMax: TALKS_MAX, pipelines: true, segmentBytesMax: 1400, lost, late, twice };
  const world = makeWorld(new Random(seed), options);
  writeFileSync(capture, pcap(world.frames.map(({ bytes, timestampMs }) => ({ frame: bytes, timestampMs }))));
  endpoint.talks = world.talks;
  const limits = ["--response-timeout-ms", String(RESPONSE_TIMEOUT_MS), "--log-level", "error", "--summary", summary];
  const target = [String(VNI), String(PORT), endpoint.address];
  const child = Bun.spawn([EXECUTABLE, "--compare", ...limits, "--read", capture, ...target], { stdout: "ignore" });
  const status = await child.exited;
  const { comparison, requests } = (await Bun.file(summary).json()) as { comparison: Found; requests: any };
  faults = faultsOf(world, comparison).map((fault) => `seed ${seed}: ${fault}`);
  // Damage by a gap is no fault of the run.
  if (isCalm && status !== 0) faults.push(`seed ${seed}: exit status ${status}`);
  totals["requests"]! += world.talks.length;
  totals["planted"]! += world.talks.filter(({ plant }) => PLANTS[plant].length > 0).length;
  totals["seen"] = (totals["seen"] ?? 0) + requests.seen;
  for (const name of ["compared", "same", "different"] as const) totals[name]! += comparison[name];
  for (const [reason, count] of Object.entries(comparison.not_comparable))
    if (count > 0) totals[reason] = (totals[reason] ?? 0) + count;
  left -= world.talks.length;
  console.error(JSON.stringify({ seed, ...totals }));
}
endpoint.stop();
rmSync(directory, { recursive: true });
console.log(JSON.stringify({ ...totals, seconds: Math.round((performance.now() - begun) / 1000) }));
for (const fault of faults) console.error(`planted: ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);
