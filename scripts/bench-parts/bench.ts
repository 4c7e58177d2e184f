/** scripts/bench: measures, prints a table, and writes the same as JSON. Its arguments are in scripts/bench. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { measureAtItsPace } from "./at-its-pace.ts";
import { Figures } from "./figures.ts";
import { measureHttp2 } from "./http2.ts";
import { measureLive } from "./live.ts";
import { measureManyFlows } from "./many-flows.ts";
import { measureMemoryPath } from "./memory-path.ts";
import { EXECUTABLE, REPOSITORY } from "./processes.ts";
import { measureRead } from "./read.ts";
import { measureTls } from "./tls.ts";

const TITLES: Record<string, string> = {
  a: "From memory: decode, reassemble, and in mode http frame requests",
  b: "--read of a generated capture: 64 keep-alive connections, small GETs",
  c: "The live lab: client, production, mirror, this program and endpoint on this machine",
  d: "The floor: a C program that sends the same requests to the same endpoint, and reads the responses",
  e: "Memory with live flows",
  f: "The live lab with a stalled further destination (--also), relative to the same without it",
  g: "The live lab at ordinary load, beside programs that only copy the same bytes, in C and in Bun",
  h: "TLS: --read to nginx with TLS and without, beside C programs; half a minute of load over TLS in the lab",
  i: "--read at the capture's pace: 100,000 requests in 60 s (--speed 1) and 6 s (10), some beside a file",
  j: "The live lab with --compare, relative to the same without it",
  k: "HTTP/2: --read to nginx of the same small requests in HTTP/1 and in HTTP/2",
};
/** Takes minutes a run. */
const LONG = "i";

function refuse(why: string): never {
  console.error(`bench: ${why}`);
  process.exit(2);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        json: { type: "string", default: `${REPOSITORY}/dist/bench.json` },
        runs: { type: "string", default: "5" },
        only: {
          type: "string",
          default: Object.keys(TITLES)
            .filter((part) => part !== LONG)
            .join(),
        },
        production: { type: "string", default: "nginx" },
        quick: { type: "boolean", default: false },
        soak: { type: "boolean", default: false },
        directory: { type: "string" },
      },
    });
    const runs = Number(values.runs);
    if (!Number.isInteger(runs) || runs < 1 || runs > 100) refuse(`--runs must be 1 to 100, not '${values.runs}'`);
    const parts = new Set(values.only.split(","));
    for (const part of parts)
      if (!(part in TITLES)) refuse(`--only takes ${Object.keys(TITLES).join()}, not '${part}'`);
    const { production } = values;
    if (production !== "nginx" && production !== "minimal")
      refuse(`--production must be nginx or minimal, not '${production}'`);
    return { ...values, runs, parts, production, directory: values.directory! } as const;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function machine() {
  const memory = /MemTotal:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))![1];
  return {
    cpu: cpus()[0]!.model,
    cores: cpus().length,
    memory_gb: Math.round((Number(memory) * 1024) / 1e9),
    kernel: release(),
    bun: Bun.version,
  };
}

const options = readOptions();
const { runs, parts, quick, directory } = options;
const figures = new Figures();
const begun = Date.now();
const version = Bun.spawnSync([EXECUTABLE, "--version"]).stdout.toString().trim();
const about = { machine: machine(), version, date: new Date(begun).toISOString(), runs, quick };
const { cpu, cores, kernel } = about.machine;
console.error(`${version} on ${cores} cores of ${cpu}, kernel ${kernel}`);
const step = (part: string) => console.error(`(${part}) ${TITLES[part]} …`);

if (parts.has("a")) {
  step("a");
  measureMemoryPath(figures, runs, quick ? 20_000 : 400_000);
}
if (parts.has("b") || parts.has("d")) {
  step(parts.has("b") ? "b" : "d");
  await measureRead(figures, runs, quick ? 20_000 : 1_000_000, directory, parts);
}
if (parts.has("h")) {
  step("h");
  await measureTls(figures, runs, quick ? 20_000 : 1_000_000, directory);
}
if (parts.has("k")) {
  step("k");
  await measureHttp2(figures, runs, quick ? 20_000 : 1_000_000, directory);
}
const live = ["c", "f", "g", "h", "j"].filter((part) => parts.has(part));
if (live.length > 0) {
  live.filter((part) => part !== "h").forEach(step);
  await measureLive(figures, {
    runs,
    quick,
    soak: options.soak,
    production: options.production,
    directory,
    parts,
  });
}
if (parts.has("i")) {
  step("i");
  await measureAtItsPace(figures, runs, quick, directory);
}
if (parts.has("e")) {
  step("e");
  await measureManyFlows(figures, runs, quick ? [100] : [10_000, 50_000], directory);
}

console.log(
  `${version} on ${cores} cores of ${cpu}, kernel ${kernel}; median and spread (lowest – highest) of ${runs} runs`,
);
console.log(figures.table(TITLES));
mkdirSync(dirname(options.json), { recursive: true });
writeFileSync(options.json, figures.json({ ...about, seconds: Math.round((Date.now() - begun) / 1000) }));
console.log(`Written to ${options.json}`);
process.exit(0);
