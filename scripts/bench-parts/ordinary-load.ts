/**
 * (g) The program's cost at ordinary load, with mostly idle cores: small requests at two rates, its first requests,
 * uploads, and its memory. Two other programs run beside it, over the same mirror at the same time. They read the
 * packets and write the bytes with no work in between: one in C (forwarder.c), and one in Bun (copier.ts), which shows
 * the cost of the runtime itself.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { CONNECTIONS, FULL_PAYLOAD_BYTES, PORT, uploads, VNI, writeSavefile } from "./capture.ts";
import type { Figures } from "./figures.ts";
import { ENDPOINT_PORT, Forwarder, inNamespace, type LiveLab, upload } from "./live-lab.ts";
import { Child, type CpuTime, cpuTime, ENDPOINT_HOST, memoryKinds } from "./processes.ts";
import { forwardSavefile, MODES } from "./read.ts";

/** Requests per second; the warm-up before they are counted; and the time in which they are counted. */
const RATES = [10_000, 1000];
const AFTER_SECONDS = [5, 60];
const MEASURED_SECONDS = 20;
/** The share of these seconds with --quick. */
const QUICK_SHARE = 1 / 50;
/** The number of first requests: one second of the lower rate. */
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

/** A program that only copies, capturing. */
class Floor {
  private constructor(private readonly running: Child) {}

  /** `command` gets the arguments of vxlan-to-http. */
  static async start(command: string[], further: string[] = [], env: Record<string, string> = {}): Promise<Floor> {
    const contract = ["eth0", String(VNI), String(PORT), ENDPOINT_HOST, String(ENDPOINT_PORT)];
    const running = new Child([...inNamespace("replay"), ...command, ...contract, ...further], "ignore", env);
    await running.says("Capturing on");
    return new Floor(running);
  }

  /** copier.ts, without the thread of Bun's allocator that vxlan-to-http runs without too (src/cli/start-over.ts). */
  static startCopier(): Promise<Floor> {
    const command = ["setsid", process.execPath, join(import.meta.dir, "copier.ts")];
    return Floor.start(command, [String(SHARDS)], { MIMALLOC_SCAVENGER: "0" });
  }

  get pid(): number {
    return this.running.pid;
  }

  get cpu(): CpuTime {
    return cpuTime(this.pid);
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
    for (const shards of [1, SHARDS])
      await measureMemory(
        figures,
        lab,
        await Forwarder.start({ mode: "http", shards }, lab.directory),
        `${shards} threads`,
      );
    await measureMemory(figures, lab, await Floor.startCopier(), `in Bun, ${SHARDS} threads`);
  }
  rmSync(capture);
}

/** The cost of the first requests, until the program's code is compiled. */
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
    figures.add("g", `${rate.toLocaleString("en-US")} requests/s${what}`, unit, value);
  const share = quick ? QUICK_SHARE : 1;
  const forwarder = await Forwarder.start({ mode: "http", shards: SHARDS }, lab.directory);
  const programs = {
    "in C": await Floor.start([floorProgram]),
    "in Bun": await Floor.startCopier(),
    "the program": forwarder,
  };
  try {
    let passedSeconds = 0;
    for (const afterSeconds of AFTER_SECONDS) {
      await lab.send(rate, (afterSeconds - passedSeconds) * share);
      const before = Object.values(programs).map(({ cpu }) => cpu);
      const { requests, seconds } = await lab.send(rate, MEASURED_SECONDS * share);
      const after = Object.values(programs).map(({ cpu }) => cpu);
      passedSeconds = afterSeconds + MEASURED_SECONDS;
      const usedUs = after.map((cpu, i) => used(before[i]!, cpu));
      for (const [i, name] of Object.keys(programs).entries()) {
        const addOf = (what: string, unit: string, value: number) =>
          add(`, after ${afterSeconds} s, ${name}: ${what}`, unit, value);
        addOf("CPU, user", "µs/request", (after[i]!.userUs - before[i]!.userUs) / requests);
        addOf("CPU, system", "µs/request", (after[i]!.systemUs - before[i]!.systemUs) / requests);
        addOf("CPU", "% of a core", usedUs[i]! / 1e4 / seconds);
      }
      const [inC, inBun, own] = usedUs as [number, number, number];
      add(`, after ${afterSeconds} s: CPU of Bun, relative to C`, "×", inBun / inC);
      add(`, after ${afterSeconds} s: CPU of the program, relative to C`, "×", own / inC);
      add(`, after ${afterSeconds} s: CPU of the program, relative to Bun`, "×", own / inBun);
    }
    const { delay, requests: counted } = await forwarder.finish();
    add(": delay, mean", "ms", delay.sum_ms / delay.count);
    add(": not forwarded", "requests", counted.seen - counted.forwarded);
  } finally {
    for (const program of Object.values(programs)) await program.stop();
  }
}

/** One after the other, because each uses the whole machine. */
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
  const floor = await perMib("the floor", await Floor.start([floorProgram]));
  for (const mode of MODES) {
    const own = await perMib(`mode ${mode}`, await Forwarder.start({ mode, shards: SHARDS }, lab.directory));
    figures.add("g", `uploads, mode ${mode}: CPU, relative to the floor`, "×", own / floor);
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
    figures.add("g", `uploads with --read, mode ${mode}: CPU, relative to the floor`, "×", ownUs / floorUs);
    figures.add("g", `uploads with --read, mode ${mode}: speed`, "MiB/s", mib / cost.seconds);
  }
}

/** While no requests are sent, with idle connections. */
async function measureMemory(figures: Figures, lab: LiveLab, program: Forwarder | Floor, name: string): Promise<void> {
  try {
    await lab.send(CONNECTIONS, 1);
    const { rssMb, anonymousMb } = memoryKinds(program.pid);
    figures.add("g", `${CONNECTIONS} idle connections, ${name}: memory`, "MB", rssMb);
    figures.add("g", `${CONNECTIONS} idle connections, ${name}: its own memory, without files`, "MB", anonymousMb);
  } finally {
    await program.stop();
  }
}

function used(before: CpuTime, after: CpuTime): number {
  return after.userUs - before.userUs + after.systemUs - before.systemUs;
}
