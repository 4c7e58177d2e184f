/** Attacks that are no flood of frames: records that come alone, and the signal while threads start. */
import { dlopen, ptr } from "bun:ffi";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pcap } from "../support/frames.ts";
import { type Running, TemporaryDirectory } from "../executable/program.ts";
import { BESIDE_BYTES_MAX, brokenIdentities, type Report, type Setup, startProgram, type Way } from "./attack.ts";
import { Template, VNI } from "./frames.ts";
import { ProcessWatch } from "./process-watch.ts";

export interface Trial {
  readonly name: string;
  readonly what: string;
  readonly way: Way;
  run(setup: Setup): Promise<Report>;
}

const KILL_MS = 120_000;
/** An address without a listener. */
const NOBODY = "127.0.0.1:1";

/** The part of the report that all trials have, at the end of the process. */
async function report(
  trial: Trial,
  setup: Setup,
  running: Running,
  watch: ProcessWatch,
  summary: string,
  rest: Partial<Report>,
): Promise<Report> {
  const signalMs = performance.now();
  running.signal("SIGTERM");
  const killer = setTimeout(() => running.signal("SIGKILL"), KILL_MS);
  const { status } = await running.outcome;
  clearTimeout(killer);
  const counters = await Bun.file(summary)
    .json()
    .catch(() => null);
  return {
    name: trial.name,
    way: trial.way,
    maxBufferMib: setup.maxBufferMib,
    frames: 0,
    peakBytes: watch.peakBytes,
    limitBytes: setup.maxBufferMib * 2 ** 20 + BESIDE_BYTES_MAX,
    descriptors: watch.descriptors,
    ordinaryUs: null,
    floodUs: null,
    requestsPerFrame: 1,
    good: 0,
    arrived: 0,
    twice: 0,
    endMs: performance.now() - signalMs,
    status,
    broken: counters === null ? [] : brokenIdentities(counters),
    kernelDropped: 0,
    notes: [],
    ...rest,
  };
}

const FIONREAD = 0x541b;
const RECORDS = 1_000_000;
/** The share of the records after which the warm-up ends. */
const WARM_UP_SHARE = 0.2;
const LOOK_RECORDS = 1000;
const RECORD_HEADER_LEN = 24;

/** The number of bytes that wait in a pipe. */
function bytesWaiting(): (fd: number) => number {
  const { ioctl } = dlopen("libc.so.6", { ioctl: { args: ["int", "u64", "ptr"], returns: "int" } }).symbols;
  const count = new Int32Array(1);
  return (fd) => {
    ioctl(fd, FIONREAD, ptr(count));
    return count[0]!;
  };
}

export const recordsAlone: Trial = {
  name: "records-alone",
  what: "a million records through a pipe, each when the one before has been read",
  way: "read",
  async run(setup) {
    using directory = new TemporaryDirectory();
    const summary = join(directory.path, "summary.json");
    const fifo = join(directory.path, "records");
    Bun.spawnSync(["mkfifo", fifo]);
    const waiting = bytesWaiting();
    const running = startProgram(setup, NOBODY, { summary, savefile: fifo });
    await running.says("Reading");
    // Also for reading, so that opening it does not block.
    const fd = openSync(fifo, constants.O_RDWR);
    using watch = new ProcessWatch(running.pid);
    // With another VNI: only the reading is measured.
    const savefile = pcap([{ frame: new Template("A", "", 4, VNI + 1).frame, timestampMs: 1_760_000_000_000 }]);
    writeSync(fd, savefile.subarray(0, RECORD_HEADER_LEN));
    const record = savefile.subarray(RECORD_HEADER_LEN);
    const records = Math.ceil(RECORDS * setup.scale);
    const deadlineMs = performance.now() + setup.seconds * 1000;
    let warmBytes = 0;
    let sent = 0;
    for (; sent < records; sent++) {
      while (waiting(fd) > 0);
      writeSync(fd, record);
      if (sent === Math.floor(records * WARM_UP_SHARE)) {
        watch.look();
        warmBytes = watch.peakBytes;
      }
      if (sent % LOOK_RECORDS !== 0) continue;
      await Bun.sleep(0);
      if (performance.now() >= deadlineMs) break;
    }
    while (waiting(fd) > 0);
    watch.look();
    const grown = (watch.peakBytes - warmBytes) / (sent - records * WARM_UP_SHARE);
    const grownMb = ((watch.peakBytes - warmBytes) / 1e6).toFixed(1);
    const notes = [`behind the first fifth the peak rose by ${grownMb} MB: ${grown.toFixed(0)} bytes a record`];
    const done = await report(this, setup, running, watch, summary, { frames: sent, notes, grownBytes: grown });
    closeSync(fd);
    return done;
  },
};

const THREADS = 256;
/** When the threads have begun to start, and are far from ready. */
const SIGNAL_AFTER_MS = 1500;

export const manyThreads: Trial = {
  name: "many-threads",
  what: `the signal while ${THREADS} threads start`,
  way: "live",
  async run(setup) {
    using directory = new TemporaryDirectory();
    const summary = join(directory.path, "summary.json");
    const threads = String(Math.ceil(THREADS * setup.scale));
    const running = startProgram(setup, NOBODY, { summary, flags: ["--threads", threads] });
    using watch = new ProcessWatch(running.pid);
    await Promise.race([Bun.sleep(SIGNAL_AFTER_MS), running.outcome]);
    return await report(this, setup, running, watch, summary, { notes: [`${threads} threads`] });
  },
};

export const TRIALS: readonly Trial[] = [recordsAlone, manyThreads];
