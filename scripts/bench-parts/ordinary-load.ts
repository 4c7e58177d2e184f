/**
 * (g) What the program costs at ordinary load, where the cores are mostly idle: small requests at two rates, its first
 * requests, uploads, and its memory. Beside it, over the same mirror at the same time, runs forwarder.c: what reading
 * the packets and writing the bytes costs with nothing in between.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { CONNECTIONS, FULL_PAYLOAD_BYTES, PORT, uploads, VNI, writeSavefile } from "./capture.ts";
import type { Figures } from "./figures.ts";
import { ENDPOINT_PORT, Forwarder, inNamespace, type LiveLab, upload } from "./live-lab.ts";
import { Child, type CpuTime, cpuTime, ENDPOINT_HOST, memoryKinds } from "./processes.ts";
import { forwardSavefile, MODES } from "./read.ts";

/** Requests a second, and the seconds before and in which they are counted. */
const RATES = [10_000, 1000];
const WARM_UP_SECONDS = 5;
const MEASURED_SECONDS = 20;
/** How many requests the first ones are: a second of the lower rate. */
const FIRST_REQUESTS = 1000;
const SHARDS = 2;

const MIB = 1 << 20;
const UPLOAD_BYTES = MIB;
const UPLOAD_CONNECTIONS = 16;
const UPLOAD_SECONDS = 5;
/** Uploads in the savefile. */
const UPLOADS_READ = 480;

interface Options {
  runs: number;
  quick: boolean;
  directory: string;
}

/** forwarder.c, capturing. */
class Floor {
  private constructor(private readonly running: Child) {}

  static async start(program: string): Promise<Floor> {
    const contract = ["eth0", String(VNI), String(PORT), ENDPOINT_HOST, String(ENDPOINT_PORT)];
    const running = new Child([...inNamespace("replay"), program, ...contract]);
    await running.says("Capturing on");
    return new Floor(running);
  }

  get cpu(): CpuTime {
    return cpuTime(this.running.pid);
  }

  stop(): Promise<void> {
    return this.running.stop();
  }
}

export async function measureOrdinaryLoad(
  figures: Figures,
  lab: LiveLab,
  options: Options,
  floor: string,
): Promise<void> {
  const capture = join(options.directory, "uploads.pcap");
  const segmentsEach = Math.ceil(UPLOAD_BYTES / FULL_PAYLOAD_BYTES);
  const segments = segmentsEach * (options.quick ? UPLOAD_CONNECTIONS : UPLOADS_READ);
  writeSavefile(capture, uploads(UPLOAD_CONNECTIONS, segments, 0, segmentsEach));
  for (let run = 0; run < options.runs; run++) {
    await measureFirst(figures, lab);
    for (const rate of RATES) await measureRate(figures, lab, options, floor, rate);
    await measureUploads(figures, lab, options, floor);
    await measureSavefile(figures, options, floor, capture, segments * FULL_PAYLOAD_BYTES);
    for (const shards of [1, SHARDS]) await measureMemory(figures, lab, shards);
  }
  rmSync(capture);
}

/** What the first requests cost, until the program's code is compiled. */
async function measureFirst(figures: Figures, lab: LiveLab): Promise<void> {
  const forwarder = await Forwarder.start({ mode: "http", shards: SHARDS }, lab.directory);
  try {
    const before = forwarder.cpu;
    const { requests } = await lab.send(FIRST_REQUESTS, 1);
    const usedUs = used(before, forwarder.cpu);
    const { delay } = await forwarder.finish();
    figures.add("g", `the first ${FIRST_REQUESTS} requests: CPU`, "ms", (usedUs / requests) * (FIRST_REQUESTS / 1000));
    figures.add("g", `the first ${FIRST_REQUESTS} requests: delay, mean`, "ms", delay.sum_ms / delay.count);
  } finally {
    await forwarder.stop();
  }
}

async function measureRate(
  figures: Figures,
  lab: LiveLab,
  { quick }: Options,
  floorProgram: string,
  rate: number,
): Promise<void> {
  const add = (what: string, unit: string, value: number) =>
    figures.add("g", `${rate.toLocaleString("en-US")} requests/s: ${what}`, unit, value);
  const forwarder = await Forwarder.start({ mode: "http", shards: SHARDS }, lab.directory);
  const floor = await Floor.start(floorProgram);
  try {
    await lab.send(rate, quick ? 0.1 : WARM_UP_SECONDS);
    const before = [forwarder.cpu, floor.cpu] as const;
    const { requests, seconds } = await lab.send(rate, quick ? 0.3 : MEASURED_SECONDS);
    const [own, least] = [forwarder.cpu, floor.cpu];
    const { delay, requests: counted } = await forwarder.finish();
    add("CPU, user", "µs/request", (own.userUs - before[0].userUs) / requests);
    add("CPU, system", "µs/request", (own.systemUs - before[0].systemUs) / requests);
    add("CPU", "% of a core", used(before[0], own) / 1e4 / seconds);
    add("the floor's CPU, user", "µs/request", (least.userUs - before[1].userUs) / requests);
    add("the floor's CPU, system", "µs/request", (least.systemUs - before[1].systemUs) / requests);
    add("CPU, to the floor's", "×", used(before[0], own) / used(before[1], least));
    add("delay, mean", "ms", delay.sum_ms / delay.count);
    add("not forwarded", "requests", counted.seen - counted.forwarded);
  } finally {
    await floor.stop();
    await forwarder.stop();
  }
}

/** One after the other, for each takes what the machine has. */
async function measureUploads(figures: Figures, lab: LiveLab, { quick }: Options, floorProgram: string): Promise<void> {
  const seconds = quick ? 0.2 : UPLOAD_SECONDS;
  const perMib = async (name: string, started: Forwarder | Floor): Promise<number> => {
    try {
      await lab.send(0, seconds / UPLOAD_SECONDS, UPLOAD_CONNECTIONS, UPLOAD_BYTES);
      const before = started.cpu;
      const sent = await lab.send(0, seconds, UPLOAD_CONNECTIONS, UPLOAD_BYTES);
      const usedUs = used(before, started.cpu);
      const mib = (sent.requests * (upload(UPLOAD_BYTES).length + UPLOAD_BYTES)) / MIB;
      figures.add("g", `uploads, ${name}: CPU`, "µs/MiB", usedUs / mib);
      figures.add("g", `uploads, ${name}: speed`, "MiB/s", mib / sent.seconds);
      return usedUs / mib;
    } finally {
      await started.stop();
    }
  };
  const floor = await perMib("the floor", await Floor.start(floorProgram));
  for (const mode of MODES) {
    const own = await perMib(`mode ${mode}`, await Forwarder.start({ mode, shards: SHARDS }, lab.directory));
    figures.add("g", `uploads, mode ${mode}: CPU, to the floor's`, "×", own / floor);
  }
}

async function measureSavefile(
  figures: Figures,
  { directory }: Options,
  floorProgram: string,
  capture: string,
  bytes: number,
): Promise<void> {
  const through = inNamespace("replay");
  const mib = bytes / MIB;
  const contract = [String(VNI), String(PORT), ENDPOINT_HOST, String(ENDPOINT_PORT)];
  const command = [...through, floorProgram, capture, ...contract];
  const output = await new Child(command).ends();
  const least = JSON.parse(output.slice(output.indexOf("{"))) as { user_us: number; system_us: number };
  const floorUs = (least.user_us + least.system_us) / mib;
  figures.add("g", "uploads with --read, the floor: CPU", "µs/MiB", floorUs);
  for (const mode of MODES) {
    const summary = join(directory, "summary.json");
    const cost = await forwardSavefile({
      capture,
      summary,
      mode,
      bytes,
      endpoint: `${ENDPOINT_HOST}:${ENDPOINT_PORT}`,
      through,
    });
    const ownUs = (cost.userUs + cost.systemUs) / mib;
    figures.add("g", `uploads with --read, mode ${mode}: CPU`, "µs/MiB", ownUs);
    figures.add("g", `uploads with --read, mode ${mode}: CPU, to the floor's`, "×", ownUs / floorUs);
    figures.add("g", `uploads with --read, mode ${mode}: speed`, "MiB/s", mib / cost.seconds);
  }
}

/** While nothing is sent, with idle connections. */
async function measureMemory(figures: Figures, lab: LiveLab, shards: number): Promise<void> {
  const forwarder = await Forwarder.start({ mode: "http", shards }, lab.directory);
  try {
    await lab.send(CONNECTIONS, 1);
    const { rssMb, anonymousMb } = memoryKinds(forwarder.pid);
    figures.add("g", `${CONNECTIONS} idle connections, ${shards} threads: memory`, "MB", rssMb);
    figures.add("g", `${CONNECTIONS} idle connections, ${shards} threads: of it its own, no file's`, "MB", anonymousMb);
  } finally {
    await forwarder.stop();
  }
}

function used(before: CpuTime, after: CpuTime): number {
  return after.userUs - before.userUs + after.systemUs - before.systemUs;
}
