/**
 * A run from start to end: a source, one shard, and the loop between them. Signals stop it in order:
 * capturing first, then what waits is delivered, then answers may come in for a while.
 */
import { statSync } from "node:fs";
import { isatty } from "node:tty";
import { LiveCapture } from "./capture/live.ts";
import { guardPort } from "./capture/port-guard.ts";
import { Savefile } from "./capture/savefile.ts";
import type { Options } from "./cli/options.ts";
import { isSupportedLinkType } from "./decode/link.ts";
import { RefusalError } from "./errors.ts";
import { bunConnector } from "./forward/socket.ts";
import { Counters } from "./observe/counters.ts";
import { Log } from "./observe/log.ts";
import { Progress } from "./observe/progress.ts";
import { RunReport, SummaryFile } from "./observe/report.ts";
import { Shard } from "./shard.ts";
import { VERSION_LINE } from "./version.ts";

/** How long answers may come in after a signal. */
const DRAIN_MS = 5000;
/** Between polls of an interface: while frames come, and after a time without any. */
const POLL_BUSY_MS = 1;
const POLL_IDLE_MS = 4;
/** Polls without a frame after which an interface is idle. */
const IDLE_POLLS = 50;
/** Records of a savefile between turns of the event loop. */
const READ_RECORDS_MAX = 2048;
const TICK_MS = 5;
const STATS_MS = 1000;

/** Milliseconds since 1970, with fractions. */
const now = () => performance.timeOrigin + performance.now();

/** Runs until the source ends or a signal comes. Returns the exit status. Throws RefusalError. */
export async function run(options: Options): Promise<number> {
  const log = new Log(options["log-level"], options.logFormat);
  const summary = options.summary === undefined ? undefined : new SummaryFile(options.summary);
  const stop = stopSignal(log);
  const counters = new Counters();
  const report = new RunReport(log, counters, options.address, now);
  const shard = new Shard(
    {
      mode: options.mode,
      vxlanPort: options["vxlan-port"],
      vni: options.vni,
      port: options.port,
      address: options.address,
      maxPendingPackets: options["max-pending-packets"],
      gapTimeoutMs: options.gapTimeoutMs,
      idleTimeoutMs: options["idle-timeout-s"] * 1000,
      maxFlows: options["max-flows"],
      maxBufferMib: options["max-buffer-mib"],
      maxRetries: options["max-retries"],
      connectTimeoutMs: options["connect-timeout-ms"],
      responseTimeoutMs: options["response-timeout-ms"],
      pipelineDepth: options["pipeline-depth"],
      maxWaitingRequests: options["max-waiting-requests"],
      maxRequestBytes: options["max-request-bytes"],
      maxHeaderBytes: options["max-header-bytes"],
      headerEdits: options.headerEdits,
      measuresDelay: options.read === undefined,
    },
    counters,
    report,
    bunConnector,
    now,
  );
  log.debug(VERSION_LINE);

  const source = options.read === undefined ? new LiveRun(options, log) : new SavefileRun(options.read, log);
  let status = 0;
  try {
    await source.run(shard, report, counters, stop);
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    log.error(error.message);
    status = 1;
  }
  shard.finish();
  await drain(shard, stop);
  report.tick();
  if (status === 0 || counters.frames.captured > 0) report.totals();
  summary?.write(counters.snapshot());
  if (options.read !== undefined && counters.upstream.connects === 0 && counters.upstream.connect_errors > 0) status = 1;
  return status;
}

/** Set by the first SIGINT or SIGTERM; the second ends the program at once. */
interface Stop {
  requested: boolean;
  readonly request: Promise<void>;
}

function stopSignal(log: Log): Stop {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop: Stop = { requested: false, request: promise };
  const exitStatus = { SIGINT: 130, SIGTERM: 143 };
  for (const [signal, status] of Object.entries(exitStatus)) {
    process.on(signal, () => {
      if (stop.requested) process.exit(status);
      stop.requested = true;
      resolve();
      log.info(`${signal}: no more is captured; answers may come in for up to ${DRAIN_MS / 1000} s (again to end at once)`);
    });
  }
  return stop;
}

/** Capturing on an interface until a signal comes. Opening it throws RefusalError. */
class LiveRun {
  private readonly capture: LiveCapture;

  constructor(options: Options, log: Log) {
    this.capture = LiveCapture.open({
      interfaceName: options.interfaceName!,
      vxlanPort: options["vxlan-port"],
      captureBufferMib: options["capture-buffer-mib"],
      libpcapPath: options.libpcap,
    });
    if (!isSupportedLinkType(this.capture.linkType)) {
      throw new RefusalError(`Cannot capture on ${options.interfaceName}: its link type (${this.capture.linkType}) is none that can be read here`);
    }
    log.debug(`Using ${this.capture.libraryName}`);
    if (!guardPort(options["vxlan-port"])) log.debug(`UDP port ${options["vxlan-port"]} has an owner already`);
    const { host, port } = options.address;
    log.info(`Capturing on ${options.interfaceName}: VNI ${options.vni}, port ${options.port}, forwarding to ${host} port ${port}`);
  }

  async run(shard: Shard, report: RunReport, _counters: Counters, stop: Stop): Promise<void> {
    const { capture } = this;
    let emptyPolls = 0;
    let statsDueMs = 0;
    while (!stop.requested) {
      const count = capture.poll();
      emptyPolls = count === 0 ? emptyPolls + 1 : 0;
      if (count > 0) shard.process(capture, count);
      const nowMs = now();
      shard.advance(nowMs);
      if (nowMs >= statsDueMs) {
        statsDueMs = nowMs + STATS_MS;
        report.kernelDropped(capture.newlyDropped());
        report.tick();
      }
      await Bun.sleep(emptyPolls < IDLE_POLLS ? POLL_BUSY_MS : POLL_IDLE_MS);
    }
    report.kernelDropped(capture.newlyDropped());
    capture.close();
  }
}

/** Reading a savefile to its end, no faster than the endpoint takes it. Opening it throws RefusalError. */
class SavefileRun {
  private readonly savefile: Savefile;
  private readonly progress: Progress | undefined;

  constructor(path: string, log: Log) {
    this.savefile = Savefile.open(path);
    if (log.format === "pretty" && isatty(2)) this.progress = new Progress(path === "-" ? 0 : statSync(path).size, now);
    log.info(`Reading ${path === "-" ? "standard input" : path}`);
  }

  async run(shard: Shard, report: RunReport, counters: Counters, stop: Stop): Promise<void> {
    const { savefile, progress } = this;
    const ticker = setInterval(() => shard.tick(), TICK_MS);
    const stopped = stop.request.then(() => false);
    try {
      while (await Promise.race([savefile.fill(), stopped])) {
        let more = true;
        while (more && !stop.requested) {
          more = shard.process(savefile, READ_RECORDS_MAX, true);
          do await turn();
          while (shard.isBehind && !stop.requested);
          progress?.update(savefile.position, counters.frames.captured);
          report.tick();
        }
      }
    } finally {
      clearInterval(ticker);
      progress?.clear();
    }
  }
}

/** Lets the event loop do what is due. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Waits until all connections have ended; after a signal, no longer than DRAIN_MS. */
async function drain(shard: Shard, stop: Stop): Promise<void> {
  let deadlineMs = Infinity;
  while (!shard.isSettled) {
    const nowMs = now();
    if (stop.requested && deadlineMs === Infinity) deadlineMs = nowMs + DRAIN_MS;
    if (nowMs >= deadlineMs) shard.endpoint.terminate();
    shard.tick();
    await Bun.sleep(TICK_MS);
  }
}
