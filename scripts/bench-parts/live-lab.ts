/** The live lab (scripts/lab) with programs in it, and their cost under a load. */
import { join } from "node:path";
import { DELAY_BUCKETS_MS } from "../../src/forward/counters.ts";
import { CONNECTIONS, PORT, REQUEST, VNI } from "./capture.ts";
import { percentile } from "./figures.ts";
import { Child, type CpuTime, cpuTime, ENDPOINT_HOST, EXECUTABLE, hasCompiler, json, PROGRAM } from "./processes.ts";
import type { Mode } from "./read.ts";

export const LAB_PREFIX = process.env["LAB_PREFIX"]!;
const PRODUCTION_HOST = "192.0.2.2";
const TARGET_HOST = "198.51.100.2";
const VXLAN_PORT = 4789;
export const ENDPOINT_PORT = 9000;
const ENDPOINT = `${ENDPOINT_HOST}:${ENDPOINT_PORT}`;

/** The factor between one tried rate and the next. */
const RATE_STEP = 1.25;
const STEPS_MAX = 20;
/** After the first search, the next one begins this many steps below the last result. */
const STEPS_BACK = 2;
/** The share of the requested rate that must be reached; otherwise the machine is at its limit. */
const RATE_REACHED = 0.97;
/** The time after the load's end in which the mirror's last packets may still come to the program. */
const SETTLE_MS = 500;

export function whyNoLab(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  if (!hasCompiler) return "there is no C compiler (cc) for its clients";
  for (const tool of ["ip", "tc", "nft", "ethtool", "ss", "nginx"])
    if (Bun.which(tool) === null) return `${tool} is not installed`;
  return undefined;
}

export const inNamespace = (name: string) => ["ip", "netns", "exec", `${LAB_PREFIX}-${name}`];

export interface Setup {
  mode: Mode;
  shards: number;
  flags?: readonly string[];
  /** The destination; the lab's C server, if not given. */
  address?: string;
  /** The number of the program if there are several at the same time. */
  index?: number;
  /** An own port for --admin: then the delays of the warm-up are not counted. */
  adminPort?: number;
}

/** The program, capturing. */
export class Forwarder {
  private constructor(
    private readonly program: Child,
    private readonly summary: string,
    readonly startMs: number,
    private readonly adminPort: number | undefined,
  ) {}

  static async start(
    { mode, shards, flags = [], address = ENDPOINT, index = 0, adminPort }: Setup,
    directory: string,
  ): Promise<Forwarder> {
    const summary = join(directory, `summary-${index}.json`);
    const threads = canShard ? ["--threads", String(shards)] : [];
    const args = [
      "--mode",
      mode,
      ...threads,
      ...flags,
      ...(adminPort === undefined ? [] : ["--admin", `127.0.0.1:${adminPort}`]),
      "--log-level",
      "info",
      "--log-format",
      "plain",
      "--summary",
      summary,
      "eth0",
      String(VNI),
      String(PORT),
      address,
    ];
    const begun = performance.now();
    const program = new Child([...inNamespace("replay"), ...PROGRAM, ...args]);
    await program.says("Capturing on");
    return new Forwarder(program, summary, performance.now() - begun, adminPort);
  }

  /** The delays that it has counted so far. */
  async delay(): Promise<Delay> {
    if (this.adminPort === undefined) return NO_DELAY;
    const url = `http://127.0.0.1:${this.adminPort}/status`;
    return (await json<{ delay: Delay }>([...inNamespace("replay"), "curl", "--silent", "--fail", url])).delay;
  }

  get pid(): number {
    return this.program.pid;
  }

  get cpu(): CpuTime {
    return cpuTime(this.pid);
  }

  /** Ends it in order. Returns its counters. */
  async finish(): Promise<any> {
    this.program.child.kill("SIGINT");
    await this.program.ends();
    return Bun.file(this.summary).json();
  }

  stop(): Promise<void> {
    return this.program.stop();
  }
}

export const canShard = Bun.spawnSync([EXECUTABLE, "--help"]).stdout.toString().includes("--threads");

/** The head of a request with a body of this many bytes. */
export function upload(bodyBytes: number): string {
  return `POST /orders HTTP/1.1\r\nHost: shop.example\r\nContent-Length: ${bodyBytes}\r\n\r\n`;
}

/** The summary's histogram of delays. */
interface Delay {
  count: number;
  sum_ms: number;
  buckets: Record<string, number>;
}

const NO_DELAY: Delay = { count: 0, sum_ms: 0, buckets: {} };

export interface Load {
  /** Requests that were sent, per second and in all. */
  rate: number;
  sent: number;
  /** Requests that did not reach the endpoint, and their share. */
  lost: number;
  lostShare: number;
  kernelDropped: number;
  damaged: number;
  /** With --compare: requests whose responses were compared, and those of them that differ. */
  compared: number;
  different: number;
  /** CPU per request. */
  userUs: number;
  systemUs: number;
  delayMs: (share: number) => number;
  delayMeanMs: number;
}

export class LiveLab {
  /** `directory` takes the files of the programs. */
  constructor(
    readonly directory: string,
    private readonly loadProgram: string,
  ) {}

  /** One load from start to end, with its own program. `rate` 0: as fast as production responds. */
  async load(setup: Setup, rate: number, seconds: number, warmUpSeconds = 0): Promise<Load> {
    return (await this.loads([setup], rate, seconds, warmUpSeconds))[0]!;
  }

  /** The same for several programs that see the same load: a disturbance disturbs them all. */
  async loads(setups: readonly Setup[], rate: number, seconds: number, warmUpSeconds: number): Promise<Load[]> {
    const forwarders: Forwarder[] = [];
    try {
      for (const setup of setups) forwarders.push(await Forwarder.start(setup, this.directory));
      const warmUp = warmUpSeconds > 0 ? await this.send(rate, warmUpSeconds) : { requests: 0 };
      const delays = await Promise.all(forwarders.map((forwarder) => forwarder.delay()));
      const before = forwarders.map(({ cpu }) => cpu);
      const sent = await this.send(rate, seconds);
      const after = forwarders.map(({ cpu }) => cpu);
      const counters = await Promise.all(forwarders.map((forwarder) => forwarder.finish()));
      return counters.map((each, i) => this.loadOf(each, warmUp.requests, sent, before[i]!, after[i]!, delays[i]!));
    } finally {
      for (const forwarder of forwarders) await forwarder.stop();
    }
  }

  /**
   * Measures two programs that see the same load. In every other run the second one captures first, because the first
   * to capture has an advantage. Returns the cost of each, in the order of the arguments.
   */
  async pair(
    setups: readonly [Setup, Setup],
    run: number,
    rate: number,
    seconds: number,
    warmUpSeconds: number,
  ): Promise<[Load, Load]> {
    const isTurned = run % 2 === 1;
    const loads = await this.loads(isTurned ? setups.toReversed() : setups, rate, seconds, warmUpSeconds);
    return (isTurned ? loads.toReversed() : loads) as [Load, Load];
  }

  private loadOf(
    { frames, requests: { damaged }, upstream, delay, comparison }: any,
    warmUpRequests: number,
    { requests, seconds: took }: { requests: number; seconds: number },
    before: CpuTime,
    after: CpuTime,
    delayBefore: Delay,
  ): Load {
    const sent = warmUpRequests + requests;
    const lost = sent - upstream.bytes / REQUEST.length;
    const buckets = Object.entries(delay.buckets as Record<string, number>);
    const counts = buckets.map(([bucket, count]) => count - (delayBefore.buckets[bucket] ?? 0));
    return {
      rate: requests / took,
      sent,
      lost,
      lostShare: lost / sent,
      kernelDropped: frames.kernel_dropped,
      damaged,
      compared: comparison?.compared ?? 0,
      different: comparison?.different ?? 0,
      userUs: (after.userUs - before.userUs) / requests,
      systemUs: (after.systemUs - before.systemUs) / requests,
      delayMs: (share) => percentile(share, DELAY_BUCKETS_MS, counts),
      delayMeanMs: (delay.sum_ms - delayBefore.sum_ms) / (delay.count - delayBefore.count),
    };
  }

  /**
   * Lets the clients send requests (`request` is their head), with bodies of `bodyBytes`, and waits for the rest of the
   * mirror. `rate` 0: as fast as production responds.
   */
  async send(
    rate: number,
    seconds: number,
    connections = CONNECTIONS,
    bodyBytes = 0,
    request = bodyBytes === 0 ? REQUEST : upload(bodyBytes),
  ): Promise<{ requests: number; seconds: number }> {
    const numbers = [PORT, connections, seconds, rate].map(String);
    const command = [this.loadProgram, PRODUCTION_HOST, ...numbers, request, String(bodyBytes)];
    const sent = await json<{ requests: number; seconds: number }>([...inNamespace("client"), ...command]);
    await Bun.sleep(SETTLE_MS);
    return sent;
  }

  /**
   * Rising load until the first loss, or until the machine does not reach the rate. Null: the first rate already had a
   * loss. Each load has its own program, which compiles its code in the warm-up: that takes as much of the machine as
   * thousands of requests.
   */
  async highest(
    setup: Setup,
    first: number,
    seconds: number,
    warmUpSeconds: number,
  ): Promise<{ rate: number; asked: number; nextLostShare: number } | null> {
    let best: { rate: number; asked: number } | null = null;
    let asked = first;
    for (let i = 0; i < STEPS_MAX; i++, asked *= RATE_STEP) {
      const { rate, lostShare } = await this.load(setup, asked, seconds, warmUpSeconds);
      if (lostShare !== 0) return best && { ...best, nextLostShare: lostShare };
      if (best === null || rate > best.rate) best = { rate, asked };
      if (rate < asked * RATE_REACHED) break;
    }
    return best && { ...best, nextLostShare: 0 };
  }

  /** The beginning of the next search for the same rate. */
  before(asked: number): number {
    return asked / RATE_STEP ** STEPS_BACK;
  }

  /** The program's CPU while nothing comes, as a share of one core, in percent; and the duration of its start. */
  async idle(setup: Setup, seconds: number): Promise<{ percent: number; startMs: number }> {
    const forwarder = await Forwarder.start(setup, this.directory);
    try {
      // The start does not count as idling.
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

  /** Mirror packets as fast as the kernel takes them. Returns the number of lost ones, and the place of the loss. */
  async burst(
    setup: Setup,
    burstProgram: string,
  ): Promise<{ beforeCapture: number; byKernel: number; perSecond: number }> {
    const forwarder = await Forwarder.start(setup, this.directory);
    try {
      const file = join(this.directory, "datagrams");
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
