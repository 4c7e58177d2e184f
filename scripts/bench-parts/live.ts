/**
 * (c) The live lab (scripts/lab): clients send to production at a chosen rate, the kernel mirrors it, and the program
 * forwards what it captures. Everything shares this machine's cores.
 *
 * A rate is without loss if every byte that the clients sent has reached the endpoint.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DELAY_BUCKETS_MS } from "../../src/forward/counters.ts";
import { CONNECTIONS, datagram, PORT, records, REQUEST, requests, VNI } from "./capture.ts";
import { type Figures, percentile } from "./figures.ts";
import {
  Child,
  type CpuTime,
  compile,
  cpuTime,
  ENDPOINT_HOST,
  EXECUTABLE,
  hasCompiler,
  json,
  nginxCommand,
  PROGRAM,
  REPOSITORY,
  startServer,
} from "./processes.ts";
import { measureFloor, type Mode, MODES } from "./read.ts";

export interface LiveOptions {
  runs: number;
  quick: boolean;
  soak: boolean;
  production: "nginx" | "minimal";
  directory: string;
  /** The floor is measured too, and what this costs compared with it. */
  hasFloor: boolean;
  /** (c) is wanted. */
  hasLive: boolean;
  /** (f) is wanted. */
  hasStalled: boolean;
}

const PREFIX = process.env["LAB_PREFIX"]!;
const PRODUCTION_HOST = "192.0.2.2";
const TARGET_HOST = "198.51.100.2";
const VXLAN_PORT = 4789;
const ENDPOINT_PORT = 9000;
/** Of the further destination that is stalled. */
const STALLED_PORT = 9001;
/** Requests a second beside it: two programs see them. */
const STALLED_RATE = 4000;
const SHARDS = [1, 2];

/** Rates that are tried: each is so much more than the one before. */
const RATE_FIRST = 4000;
const RATE_STEP = 1.25;
const STEPS_MAX = 20;
/** Of a rate that was asked for, what must be reached: else the machine is at its end. */
const RATE_REACHED = 0.97;
/** After the first run, the search begins so many steps below where it ended. */
const STEPS_BACK = 2;
const STEP_SECONDS = 1.5;
/** CPU and delay are measured in a load of their own, behind one in which the program's code gets compiled. */
const WARM_UP_SECONDS = 1.5;
const MEASURED_SECONDS = 3;
const IDLE_SECONDS = 4;
const SOAK_SECONDS = 60;
const FLOOR_REQUESTS = 200_000;

const BURST_DATAGRAMS = 10_000;
/** So that no flow has more requests than may wait. */
const BURST_CONNECTIONS = 250;
/** How long after the load's end the mirror's last packets may still be on their way to the program. */
const SETTLE_MS = 500;

export function whyNoLab(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  if (!hasCompiler) return "there is no C compiler (cc) for its clients";
  for (const tool of ["ip", "tc", "nft", "ethtool", "ss", "nginx"])
    if (Bun.which(tool) === null) return `${tool} is not installed`;
  return undefined;
}

const inNamespace = (name: string) => ["ip", "netns", "exec", `${PREFIX}-${name}`];

interface Setup {
  mode: Mode;
  shards: number;
  flags?: readonly string[];
  /** Of several at the same time: which. */
  index?: number;
}

/** The program, capturing. */
class Forwarder {
  private constructor(
    private readonly program: Child,
    private readonly summary: string,
    readonly startMs: number,
  ) {}

  static async start({ mode, shards, flags = [], index = 0 }: Setup, directory: string): Promise<Forwarder> {
    const summary = join(directory, `summary-${index}.json`);
    const threads = canShard ? ["--threads", String(shards)] : [];
    const args = [
      "--mode",
      mode,
      ...threads,
      ...flags,
      "--log-level",
      "info",
      "--log-format",
      "plain",
      "--summary",
      summary,
      "eth0",
      String(VNI),
      String(PORT),
      `${ENDPOINT_HOST}:${ENDPOINT_PORT}`,
    ];
    const begun = performance.now();
    const program = new Child([...inNamespace("replay"), ...PROGRAM, ...args]);
    await program.says("Capturing on");
    return new Forwarder(program, summary, performance.now() - begun);
  }

  get cpu(): CpuTime {
    return cpuTime(this.program.pid);
  }

  /** Lets it end in order. Returns its counters. */
  async finish(): Promise<any> {
    this.program.child.kill("SIGINT");
    await this.program.ends();
    return Bun.file(this.summary).json();
  }

  stop(): Promise<void> {
    return this.program.stop();
  }
}

const canShard = Bun.spawnSync([EXECUTABLE, "--help"]).stdout.toString().includes("--threads");

interface Load {
  /** Requests sent a second. */
  rate: number;
  /** Requests that did not reach the endpoint, and their share. */
  lost: number;
  lostShare: number;
  kernelDropped: number;
  /** CPU per request. */
  userUs: number;
  systemUs: number;
  delayMs: (share: number) => number;
  delayMeanMs: number;
}

class LiveLab {
  constructor(
    private readonly options: LiveOptions,
    private readonly loadProgram: string,
  ) {}

  /** One load from start to end, with a program of its own. `rate` 0: as fast as production answers. */
  async load(setup: Setup, rate: number, seconds: number, warmUpSeconds = 0): Promise<Load> {
    return (await this.loads([setup], rate, seconds, warmUpSeconds))[0]!;
  }

  /** The same for several programs, which see the same load: what disturbs one disturbs all. */
  async loads(setups: readonly Setup[], rate: number, seconds: number, warmUpSeconds: number): Promise<Load[]> {
    const forwarders: Forwarder[] = [];
    try {
      for (const setup of setups) forwarders.push(await Forwarder.start(setup, this.options.directory));
      const warmUp = warmUpSeconds > 0 ? await this.send(rate, warmUpSeconds) : { requests: 0 };
      const before = forwarders.map(({ cpu }) => cpu);
      const sent = await this.send(rate, seconds);
      const after = forwarders.map(({ cpu }) => cpu);
      const counters = await Promise.all(forwarders.map((forwarder) => forwarder.finish()));
      return counters.map((each, i) => this.loadOf(each, warmUp.requests, sent, before[i]!, after[i]!));
    } finally {
      for (const forwarder of forwarders) await forwarder.stop();
    }
  }

  private loadOf(
    { frames, upstream, delay }: any,
    warmUpRequests: number,
    { requests, seconds: took }: { requests: number; seconds: number },
    before: CpuTime,
    after: CpuTime,
  ): Load {
    const sent = warmUpRequests + requests;
    const lost = sent - upstream.bytes / REQUEST.length;
    const counts = Object.values(delay.buckets as Record<string, number>);
    return {
      rate: requests / took,
      lost,
      lostShare: lost / sent,
      kernelDropped: frames.kernel_dropped,
      userUs: (after.userUs - before.userUs) / requests,
      systemUs: (after.systemUs - before.systemUs) / requests,
      delayMs: (share) => percentile(share, DELAY_BUCKETS_MS, counts),
      delayMeanMs: delay.sum_ms / delay.count,
    };
  }

  /** Has the clients send, and waits for what the mirror still has to deliver. */
  private async send(rate: number, seconds: number): Promise<{ requests: number; seconds: number }> {
    const command = [
      this.loadProgram,
      PRODUCTION_HOST,
      String(PORT),
      String(CONNECTIONS),
      String(seconds),
      String(rate),
      REQUEST,
    ];
    const sent = await json<{ requests: number; seconds: number }>([...inNamespace("client"), ...command]);
    await Bun.sleep(SETTLE_MS);
    return sent;
  }

  /**
   * Rising load until the first loss, or until the machine does not reach the rate. Null: even the first rate had a
   * loss.
   */
  async highest(
    setup: Setup,
    first: number,
    seconds: number,
  ): Promise<{ rate: number; asked: number; nextLostShare: number } | null> {
    let best: { rate: number; asked: number } | null = null;
    let asked = first;
    for (let i = 0; i < STEPS_MAX; i++, asked *= RATE_STEP) {
      const { rate, lostShare } = await this.load(setup, asked, seconds);
      if (lostShare !== 0) return best && { ...best, nextLostShare: lostShare };
      if (best === null || rate > best.rate) best = { rate, asked };
      if (rate < asked * RATE_REACHED) break;
    }
    return best && { ...best, nextLostShare: 0 };
  }

  /**
   * CPU that the program takes while nothing comes, as a share of one core, in percent; and how long it took to start.
   */
  async idle(setup: Setup, seconds: number): Promise<{ percent: number; startMs: number }> {
    const forwarder = await Forwarder.start(setup, this.options.directory);
    try {
      // Starting is not idling.
      await Bun.sleep(1000);
      const before = forwarder.cpu;
      await Bun.sleep(seconds * 1000);
      const after = forwarder.cpu;
      const usedUs = after.userUs + after.systemUs - before.userUs - before.systemUs;
      return { percent: usedUs / 1e4 / seconds, startMs: forwarder.startMs };
    } finally {
      await forwarder.stop();
    }
  }

  /** Mirror packets as fast as the kernel takes them. Returns how many were lost, and where. */
  async burst(
    setup: Setup,
    burstProgram: string,
  ): Promise<{ beforeCapture: number; byKernel: number; perSecond: number }> {
    const forwarder = await Forwarder.start(setup, this.options.directory);
    try {
      const file = join(this.options.directory, "datagrams");
      const sent = await json<{ datagrams: number; seconds: number }>([
        ...inNamespace("production"),
        burstProgram,
        TARGET_HOST,
        String(VXLAN_PORT),
        file,
      ]);
      await Bun.sleep(3 * SETTLE_MS);
      const { frames } = await forwarder.finish();
      const captured = frames.captured + frames.kernel_dropped;
      return {
        beforeCapture: sent.datagrams - captured,
        byKernel: frames.kernel_dropped,
        perSecond: sent.datagrams / sent.seconds,
      };
    } finally {
      await forwarder.stop();
    }
  }
}

/** The burst's datagrams, in the shape that burst.c reads. */
function writeDatagrams(file: string): void {
  const traffic = requests(BURST_CONNECTIONS, BURST_DATAGRAMS - BURST_CONNECTIONS);
  const pieces: Uint8Array[] = [];
  for (const record of records(traffic)) {
    const bytes = datagram(record);
    pieces.push(Uint8Array.of(bytes.length & 0xff, bytes.length >> 8), bytes);
  }
  writeFileSync(file, Buffer.concat(pieces));
}

export async function measureLive(figures: Figures, options: LiveOptions): Promise<void> {
  const why = whyNoLab();
  if (why !== undefined) {
    figures.leaveOut(`(c) is left out: ${why}`);
    return;
  }
  const { directory } = options;
  await new Child([join(REPOSITORY, "scripts/lab"), "up", "--vni", String(VNI)], "ignore", {
    LAB_PREFIX: PREFIX,
  }).ends();
  const server = await compile("server", directory);
  const floor = await compile("floor", directory);
  const burst = await compile("burst", directory);
  const lab = new LiveLab(options, await compile("load", directory));
  writeDatagrams(join(directory, "datagrams"));
  const production =
    options.production === "nginx" ? nginxCommand(directory, "0.0.0.0", PORT) : [server, "0.0.0.0", String(PORT)];
  const servers = [
    await startServer(production, PORT, inNamespace("production")),
    await startServer([server, ENDPOINT_HOST, String(ENDPOINT_PORT)], ENDPOINT_PORT, inNamespace("replay")),
  ];
  if (!canShard) figures.leaveOut("(c) with one shard only: this program has no --threads");
  try {
    if (options.hasStalled) await measureStalled(figures, lab, options, servers);
    for (const shards of canShard && options.hasLive ? SHARDS : options.hasLive ? [1] : []) {
      for (const mode of MODES) await measureSetup(figures, lab, { mode, shards }, options, floor, burst);
    }
  } finally {
    for (const started of servers) await started.stop();
    await new Child([join(REPOSITORY, "scripts/lab"), "down"], "ignore", { LAB_PREFIX: PREFIX }).ends();
  }
}

/**
 * The endpoint's throughput and delay beside a further destination that is stalled, to those without: of two programs
 * that see the same load at the same time.
 */
async function measureStalled(
  figures: Figures,
  lab: LiveLab,
  options: LiveOptions,
  servers: Awaited<ReturnType<typeof startServer>>[],
): Promise<void> {
  const script = join(import.meta.dir, "stalled.ts");
  const command = [process.execPath, script, ENDPOINT_HOST, String(STALLED_PORT)];
  servers.push(await startServer(command, STALLED_PORT, inNamespace("replay")));
  const alone: Setup = { mode: "http", shards: 1 };
  const beside: Setup = { ...alone, index: 1, flags: ["--also", `${ENDPOINT_HOST}:${STALLED_PORT}`] };
  const [seconds, warmUpSeconds] = options.quick ? [0.3, 0.1] : [MEASURED_SECONDS, WARM_UP_SECONDS];
  const add = (what: string, unit: string, value: number) => figures.add("f", what, unit, value);
  for (let run = 0; run < options.runs; run++) {
    // The one that captures first has an advantage.
    const setups = run % 2 === 0 ? [alone, beside] : [beside, alone];
    const loads = await lab.loads(setups, STALLED_RATE, seconds, warmUpSeconds);
    const [one, other] = (run % 2 === 0 ? loads : loads.toReversed()) as [Load, Load];
    add("delay alone, mean", "ms", one.delayMeanMs);
    add("delay beside it, mean", "ms", other.delayMeanMs);
    add("delay beside it, mean, to that alone", "×", other.delayMeanMs / one.delayMeanMs);
    add("delay beside it, p50, to that alone", "×", other.delayMs(0.5) / one.delayMs(0.5));
    add("delay beside it, p99, to that alone", "×", other.delayMs(0.99) / one.delayMs(0.99));
    add("requests/s forwarded beside it, to those alone", "×", forwarded(other) / forwarded(one));
    add("lost alone", "requests", one.lost);
    add("lost beside it", "requests", other.lost);
  }
}

function forwarded({ rate, lostShare }: Load): number {
  return rate * (1 - lostShare);
}

async function measureSetup(
  figures: Figures,
  lab: LiveLab,
  setup: Setup,
  options: LiveOptions,
  floor: string,
  burst: string,
): Promise<void> {
  const name = `mode ${setup.mode}, ${setup.shards} shard${setup.shards === 1 ? "" : "s"}`;
  const add = (what: string, unit: string, value: number) => figures.add("c", `${name}: ${what}`, unit, value);
  const seconds = options.quick ? 0.3 : STEP_SECONDS;
  const measuredSeconds = options.quick ? 0.3 : MEASURED_SECONDS;
  const warmUpSeconds = options.quick ? 0.1 : WARM_UP_SECONDS;
  let first = RATE_FIRST;
  for (let run = 0; run < options.runs; run++) {
    const found = await lab.highest(setup, first, seconds);
    if (found === null) {
      add("highest rate without loss", "requests/s", 0);
      first = RATE_FIRST;
      continue;
    }
    first = Math.max(found.asked / RATE_STEP ** STEPS_BACK, RATE_FIRST);
    add("highest rate without loss", "requests/s", found.rate);
    add("lost at the next rate (0: it was not reached)", "%", found.nextLostShare * 100);
    const full = await lab.load(setup, found.rate, measuredSeconds, warmUpSeconds);
    add("CPU there, user", "µs/request", full.userUs);
    add("CPU there, system", "µs/request", full.systemUs);
    if (options.hasFloor) {
      const { userUs, systemUs } = await measureFloor(
        floor,
        ENDPOINT_PORT,
        options.quick ? 5000 : FLOOR_REQUESTS,
        1,
        inNamespace("replay"),
      );
      figures.add(
        "d",
        `${name} (c), at its highest rate, to the floor in the lab`,
        "×",
        (full.userUs + full.systemUs) / (userUs + systemUs),
      );
    }
    const half = await lab.load(setup, found.rate / 2, measuredSeconds, warmUpSeconds);
    add("CPU at half of it, user", "µs/request", half.userUs);
    add("CPU at half of it, system", "µs/request", half.systemUs);
    add("delay at half of it, p50", "ms", half.delayMs(0.5));
    add("delay at half of it, p99", "ms", half.delayMs(0.99));
    // Of the mode, idling knows nothing.
    if (setup.mode === "http") {
      const idle = await lab.idle(setup, options.quick ? 0.3 : IDLE_SECONDS);
      add("CPU when idle", "% of a core", idle.percent);
      add("start to capturing", "ms", idle.startMs);
    }
    const lost = await lab.burst(setup, burst);
    add("burst of 10,000 mirror packets: speed", "packets/s", lost.perSecond);
    add("burst: lost by the kernel's capture buffer", "packets", lost.byKernel);
    add("burst: lost in the lab's network before it", "packets", lost.beforeCapture);
  }
  if (!options.soak) return;
  const soakSeconds = options.quick ? 1 : SOAK_SECONDS;
  const soak = await lab.load(setup, 0, soakSeconds);
  add(`full load for ${soakSeconds} s`, "requests/s", soak.rate);
  add(`full load for ${soakSeconds} s: not forwarded`, "requests", soak.lost);
  add(`full load for ${soakSeconds} s: lost by the kernel's capture buffer`, "packets", soak.kernelDropped);
}
