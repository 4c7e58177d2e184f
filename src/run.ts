/**
 * A run from start to end: an interface that shards share, or a savefile for one of them. Signals stop it
 * in order: capturing first, then what waits is delivered, then responses may come in for a while.
 */
import { statSync } from "node:fs";
import { isatty } from "node:tty";
import { InterfaceState } from "./capture/interface.ts";
import { guardPort } from "./capture/port-guard.ts";
import { Savefile } from "./capture/savefile.ts";
import type { Options } from "./cli/options.ts";
import { Clock } from "./clock.ts";
import { DRAIN_MS } from "./drain.ts";
import { RefusalError, ShardError } from "./errors.ts";
import { LiveRun } from "./live-run.ts";
import { Counters } from "./observe/counters.ts";
import { Log } from "./observe/log.ts";
import { Progress } from "./observe/progress.ts";
import { RunReport } from "./observe/report.ts";
import { SummaryFile } from "./observe/summary-file.ts";
import { SavefileRun } from "./savefile-run.ts";
import type { StartThread } from "./shards.ts";
import { type Stop, stopSignal } from "./stop.ts";
import { VERSION_LINE } from "./version.ts";

const REPORT_MS = 1000;

const STATUS_DONE = 0;
const STATUS_NOT_DONE = 1;

/**
 * Runs until the source ends or a signal comes; `startThread` starts a shard's. Returns the exit status. Throws
 * RefusalError, ShardError.
 */
export async function run(options: Options, startThread: StartThread): Promise<number> {
  const clock = new Clock();
  const log = new Log(options["log-level"], options.logFormat, clock.now);
  const summary = options.summary === undefined ? undefined : SummaryFile.open(options.summary);
  const stop = stopSignal((signal) =>
    log.info(
      `${signal}: no more is captured; responses may come in for up to ${DRAIN_MS / 1000} s (again to end at once)`,
    ),
  );
  const counters = new Counters();
  const report = new RunReport(log, counters, options, clock.now);
  log.debug(VERSION_LINE);

  const start = async () => {
    if (options.read !== undefined) return startReading(options, options.read, counters, report, log, clock);
    return LiveRun.start(options, counters, report, log, startThread, stop);
  };
  const source = await start();
  const ticker = setInterval(() => report.tick(), REPORT_MS);
  let status = source === undefined ? STATUS_DONE : await runToEnd(source, stop, log);
  clearInterval(ticker);
  report.tick();
  if (status === STATUS_DONE || counters.frames.captured > 0) report.totals();
  summary?.write(counters.snapshot());
  if (options.read !== undefined && report.unforwarded(options.mode)) status = STATUS_NOT_DONE;
  return status;
}

/** Where the frames come from. */
interface Source {
  run(stop: Stop): Promise<void>;
  finish(stop: Stop): Promise<void>;
}

function stopSignal(log: Log): Stop {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop: Stop = { requested: false, request: promise };
  const exitStatus = { SIGINT: 130, SIGTERM: 143 };
  let requestedMs = 0;
  for (const [signal, status] of Object.entries(exitStatus)) {
    process.on(signal, () => {
      if (stop.requested && performance.now() - requestedMs < SIGNAL_ECHO_MS) return;
      if (stop.requested) process.exit(status);
      stop.requested = true;
      requestedMs = performance.now();
      resolve();
      log.info(`${signal}: no more is captured; answers may come in for up to ${DRAIN_MS / 1000} s (again to end at once)`);
    });
  }
  return stop;
}

/** Capturing on an interface until a signal comes: the shards' threads do, this one looks on. */
class LiveRun {
  private constructor(
    private readonly shards: Shards,
    private readonly secondLook: SecondLook,
    private readonly report: RunReport,
    private readonly log: Log,
    private readonly interfaceName: string,
    private readonly interfaceState: InterfaceState,
  ) {}

  /** Throws RefusalError, ShardError. */
  static async start(options: Options, counters: Counters, report: RunReport, log: Log, startThread: StartThread): Promise<LiveRun> {
    // Linux keeps it by thread, and threads inherit it.
    if (!mayHurry()) log.debug("The system gives no priority (CAP_SYS_NICE)");
    const shards = new Shards(options, counters, report, startThread);
    const libraryName = await shards.start();
    const secondLook = new SecondLook(options, counters);
    log.debug(`Using ${libraryName}`);
    if (!guardPort(options["vxlan-port"])) log.debug(`UDP port ${options["vxlan-port"]} has an owner already`);
    const { host, port } = options.address;
    const threads = options.threads === 1 ? "1 thread" : `${options.threads} threads`;
    log.info(`Capturing on ${options.interfaceName}: VNI ${options.vni}, port ${options.port}, forwarding to ${host} port ${port} (${threads})`);
    return new LiveRun(shards, secondLook, report, log, options.interfaceName!, new InterfaceState(options.interfaceName!));
  }

  async run(stop: Stop): Promise<void> {
    const ticker = setInterval(() => this.look(), REPORT_MS);
    try {
      await Promise.race([stop.request, this.shards.failure]);
    } finally {
      clearInterval(ticker);
    }
  }

  async finish(_stop: Stop): Promise<void> {
    await this.shards.stop();
    this.look();
    this.shards.shares.forEach(({ frames, flows }, index) => {
      this.log.debug(`Thread ${index + 1}: ${frames.segments} segments of ${flows.opened + flows.picked_up} flows`);
    });
  }

  private look(): void {
    this.secondLook.take();
    this.report.interfaceIs(this.interfaceState.look(), this.interfaceName);
    this.report.tick();
    this.report.strangers(this.secondLook.strangers);
  }
}

/** Asks for a higher priority. False: the system refuses. */
function mayHurry(): boolean {
  try {
    const status = await source.run(stop).then(() => STATUS_DONE, refused);
    await source.finish(stop);
    return status;
  } catch (error) {
    if (!(error instanceof ShardError)) throw error;
    log.error(error.message);
    return STATUS_NOT_DONE;
  }
}

/** Reading a savefile to its end, no faster than the endpoint takes it. Opening it throws RefusalError. */
class SavefileRun {
  private readonly savefile: Savefile;
  private readonly shard: Shard;
  private readonly memory: MemoryGuard;
  private readonly progress: Progress | undefined;

  constructor(
    options: Options,
    path: string,
    private readonly counters: Counters,
    private readonly report: RunReport,
    log: Log,
    private readonly clock: Clock,
  ) {
    this.savefile = Savefile.open(path);
    this.memory = new MemoryGuard(options["max-buffer-mib"]);
    this.shard = new Shard(shardOptions(options, 1), counters, report, bunConnector, clock.now);
    if (log.format === "pretty" && isatty(2)) this.progress = new Progress(path === "-" ? 0 : statSync(path).size, clock.now);
    log.info(`Reading ${path === "-" ? "standard input" : path}`);
  }

  async run(stop: Stop): Promise<void> {
    const { savefile, shard, memory, progress } = this;
    const ticker = setInterval(() => shard.tick(), TICK_MS);
    const stopped = stop.request.then(() => false);
    try {
      while (await Promise.race([savefile.fill(), stopped])) {
        let more = true;
        while (more && !stop.requested) {
          more = shard.process(savefile, READ_RECORDS_MAX, true);
          await turn();
          // Sleeping, not spinning: it is the endpoint that needs the processor now.
          while (shard.isBehind && !stop.requested) await Bun.sleep(BEHIND_MS);
          memory.check();
          progress?.update(savefile.position, this.counters.frames.captured);
          this.report.tick();
        }
      }
    } finally {
      clearInterval(ticker);
      progress?.clear();
    }
  }

  async finish(stop: Stop): Promise<void> {
    await finish(this.shard, this.memory, stop);
    await drain(this.shard, this.clock.now, stop);
    this.report.strangers(this.shard.strangers);
  }
}
