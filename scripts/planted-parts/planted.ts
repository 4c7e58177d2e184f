/** scripts/planted: differences that are planted in an endpoint's responses, and the findings of --compare. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { makeWorld, PORT, type Talk, VNI } from "../../test/compare/world.ts";
import { pcap } from "../../test/support/frames.ts";
import { Random } from "../../test/support/random.ts";
import { countPlants, faultsOf, type Found, isPlanted } from "./found.ts";
import { Responder } from "./responder.ts";

const EXECUTABLE = resolve(import.meta.dir, "../../dist/vxlan-to-http-linux-x64");
const CAPTURE_REQUESTS_MAX = 20_000;
const TALKS_MAX = 10;
/** A connection's average number of talks. */
const TALKS_MEAN = 5;
/** Longer than any pause of a busy machine. */
const RESPONSE_TIMEOUT_MS = 600_000;

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

const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-planted-"));
const [capture, summary] = [join(directory, "mirror.pcap"), join(directory, "summary.json")];
let talks: readonly Talk[] = [];
const endpoint = new Responder((id) => ({ bytes: talks[id]!.endpoint, closes: false }));
const totals: Record<string, number> = { requests: 0, planted: 0, compared: 0, same: 0, different: 0 };
const begun = performance.now();
let faults: string[] = [];
for (let left = Number(values.requests), seed = Number(values.seed); left > 0 && faults.length === 0; seed++) {
  const connections = Math.ceil(Math.min(left, CAPTURE_REQUESTS_MAX) / TALKS_MEAN);
  const options = { connections, talksMax: TALKS_MAX, pipelines: true, segmentBytesMax: 1400, lost, late, twice };
  const world = makeWorld(new Random(seed), options);
  writeFileSync(capture, pcap(world.frames.map(({ bytes, timestampMs }) => ({ frame: bytes, timestampMs }))));
  talks = world.talks;
  const limits = ["--response-timeout-ms", String(RESPONSE_TIMEOUT_MS), "--log-level", "error", "--summary", summary];
  const target = [String(VNI), String(PORT), endpoint.address];
  const child = Bun.spawn([EXECUTABLE, "--compare", ...limits, "--read", capture, ...target], { stdout: "ignore" });
  const status = await child.exited;
  const { comparison, requests } = (await Bun.file(summary).json()) as { comparison: Found; requests: any };
  faults = faultsOf(countPlants(talks), comparison, isCalm).map((fault) => `seed ${seed}: ${fault}`);
  // Damage by a gap is no fault of the run.
  if (isCalm && status !== 0) faults.push(`seed ${seed}: exit status ${status}`);
  totals["requests"]! += talks.length;
  totals["planted"]! += talks.filter(({ plant }) => isPlanted(plant)).length;
  totals["seen"] = (totals["seen"] ?? 0) + requests.seen;
  for (const name of ["compared", "same", "different"] as const) totals[name]! += comparison[name];
  for (const [reason, count] of Object.entries(comparison.not_comparable))
    if (count > 0) totals[reason] = (totals[reason] ?? 0) + count;
  left -= talks.length;
  console.error(JSON.stringify({ seed, ...totals }));
}
endpoint.stop();
rmSync(directory, { recursive: true });
console.log(JSON.stringify({ ...totals, seconds: Math.round((performance.now() - begun) / 1000) }));
for (const fault of faults) console.error(`planted: ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);
