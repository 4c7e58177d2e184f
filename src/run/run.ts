/**
 * A run from start to end: on an interface that shards share, or over a savefile in one shard. Signals stop it in
 * steps: capturing ends first, then waiting bytes are delivered, then responses may come in for a while.
 */
import { isatty } from "node:tty";
import { addressName, destinationsOf, hasFile, hasTls } from "../address.ts";
import { Admin } from "../admin/admin.ts";
import { nameOf } from "../capture/byte-source.ts";
import { openSavefiles, sizeOf } from "../capture/savefiles.ts";
import { becomeUser, findUser } from "../capture/user.ts";
import type { Config } from "../config.ts";
import { hurry } from "./priority.ts";
import { rehearse } from "./rehearsal.ts";
import { Clock } from "../clock.ts";
import { DRAIN_MS } from "../shard/drain.ts";
import { RefusalError, ShardError } from "../errors.ts";
import { LiveRun } from "./live-run.ts";
import { refuseSharedFiles } from "./own-files.ts";
import { Counters } from "../observe/counters.ts";
import { ComparisonReport } from "../observe/comparison-report.ts";
import { DifferencesFile } from "../observe/differences-file.ts";
import { Log } from "../observe/log.ts";
import { Progress } from "../observe/progress.ts";
import { Problems } from "../observe/problems.ts";
import { RunReport } from "../observe/report.ts";
import { SummaryFile } from "../observe/summary-file.ts";
import type { RunParts } from "./parts.ts";
import { SavefileRun } from "./savefile-run.ts";
import type { StartThread } from "../shard/shards.ts";
import { type Stop, stopSignal } from "./stop.ts";
import { VERSION_LINE } from "../version.ts";
import { Watch, type Watched } from "./watch.ts";

const STATUS_DONE = 0;
const STATUS_NOT_DONE = 1;
const STATUS_DIFFERENT = 3;
/** How often the run checks whether production's responses come to be compared. */
const COMPARED_MS = 1000;

/**
 * Runs until the source ends or a signal comes; `startThread` starts a shard's. Returns the exit status. Throws
 * UsageError, RefusalError, ShardError.
 */
export async function run(config: Config, startThread: StartThread): Promise<number> {
  refuseSharedFiles(config);
  const user = config.user === undefined ? undefined : findUser(config.user);
  const clock = new Clock();
  const log = new Log(config.logLevel, config.logFormat, clock.now);
  const summary = config.summary === undefined ? undefined : SummaryFile.open(config.summary);
  const stop = stopSignal((signal) =>
    log.info(
      `${signal}: stopped capturing; waiting up to ${DRAIN_MS / 1000} s for responses (send it again to end at once)`,
    ),
  );
  const counters = new Counters(config.also.map(addressName));
  const report = new RunReport(log, counters, config, clock.now);
  const comparison = config.compare ? comparisonReport(config, log, clock.now) : null;
  const admin = config.admin === undefined ? undefined : new Admin(config, clock.now, comparison);
  const watch = new Watch(counters, new Problems(config), report, admin, clock.now);
  log.debug(VERSION_LINE);
  if (admin !== undefined) log.info(`Serving metrics, health and a status page at ${admin.url}`);
  warn(config, log);

  const parts = { config, clock, log, counters, report, comparison };
  const source: Source | undefined =
    config.read === undefined ? await LiveRun.start(parts, startThread, stop) : await startReading(parts, config.read);
  if (user !== undefined) {
    becomeUser(user);
    log.debug(`Running as ${user.name}`);
  }
  if (source !== undefined) watch.start(source);
  watch.phase = config.read === undefined ? "capturing" : "reading";
  const ticker = setInterval(() => comparison?.tick(counters.requests.seen), COMPARED_MS);
  const status = source === undefined ? STATUS_DONE : await runToEnd(source, stop, log, watch);
  clearInterval(ticker);
  watch.stop();
  admin?.close();
  if (status === STATUS_DONE || counters.frames.captured > 0) {
    report.totals();
    comparison?.totals(counters.requests.seen);
  }
  summary?.write({
    ...counters.snapshot(),
    ...(comparison === null ? {} : { comparison: comparison.summary }),
    ...(admin === undefined ? {} : { admin: admin.counters }),
  });
  return statusAtEnd(status, config, report, comparison, stop);
}

/** Warns about options. */
function warn(config: Config, log: Log): void {
  const destinations = destinationsOf(config);
  if (config.tlsInsecure && hasTls(destinations)) {
    log.warn(
      "Certificates are not verified (--tls-insecure): whoever takes connections at an https:// address gets what is forwarded",
    );
  }
  for (const message of config.told) log.warn(message);
  if (config.noRedact && !config.dryRun && hasFile(destinations))
    log.warn("The program writes requests with their secrets (--no-redact)");
}

/** The exit status of a run that has ended with `status`. */
function statusAtEnd(
  status: number,
  { read, mode, address, failOnDifferences }: Config,
  report: RunReport,
  comparison: ComparisonReport | null,
  stop: Stop,
): number {
  const isUnforwarded = read !== undefined && report.unforwarded(mode, address.file !== undefined);
  // If a user ends the run, the rest was not asked for.
  if ((isUnforwarded && !stop.requested) || comparison?.isFileBroken === true) return STATUS_NOT_DONE;
  return status === STATUS_DONE && failOnDifferences && comparison!.hasDifferences ? STATUS_DIFFERENT : status;
}

/** The source of frames. */
interface Source extends Watched {
  run(stop: Stop): Promise<void>;
  finish(stop: Stop): Promise<void>;
}

async function runToEnd(source: Source, stop: Stop, log: Log, watch: Watch): Promise<number> {
  // Frames that came before the machine refused to go on are still forwarded.
  const refused = (error: unknown): number => {
    if (!(error instanceof RefusalError)) throw error;
    log.error(error.message);
    return STATUS_NOT_DONE;
  };
  try {
    const status = await source.run(stop).then(() => STATUS_DONE, refused);
    watch.phase = "stopping";
    await source.finish(stop);
    return status;
  } catch (error) {
    if (!(error instanceof ShardError)) throw error;
    log.error(error.message);
    return STATUS_NOT_DONE;
  }
}

/** Rejects with RefusalError. */
async function startReading(parts: RunParts, paths: readonly string[]): Promise<SavefileRun> {
  const { config, log, clock } = parts;
  const open = () => openSavefiles(paths, config.follow, (error) => log.error(error.message));
  const savefiles = await open();
  // A schedule needs the processor in time, as an interface does.
  if (config.speed !== "max") {
    void hurry((refusal) => log.debug(refusal));
    await rehearse(config, paths, clock.now);
  }
  const showsProgress = log.format === "pretty" && isatty(2);
  const progress = showsProgress ? new Progress(sizeOf(paths, config.follow), clock.now) : undefined;
  log.info(`Reading ${paths.map(nameOf).join(", ")}`);
  return new SavefileRun(parts, savefiles, progress, open);
}

/** Throws RefusalError. */
function comparisonReport({ differences, noRedact }: Config, log: Log, now: () => number): ComparisonReport {
  if (noRedact) log.warn("The program writes responses with their secrets (--no-redact)");
  const file = differences === undefined ? null : DifferencesFile.open(differences);
  return new ComparisonReport(log, file, now);
}
