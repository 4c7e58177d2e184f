/**
 * Savefiles with a million records, made while they are read, and the peak of the program's memory. Records are copies
 * of templates with a few changed fields, so making them costs little compared with reading them.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { pcap } from "../support/frames.ts";
import { type Outcome, start } from "./program.ts";

/** In a frame made by `mirroredSegment` over IPv4. */
export const INNER_IP_OFFSET = 14 + 20 + 8 + 8 + 14;
export const INNER_TCP_OFFSET = INNER_IP_OFFSET + 20;

const FILE_HEADER_LEN = 24;
const RECORD_HEADER_LEN = 16;
const RECORDS_PER_CHUNK = 2000;
const START_MS = 1_760_000_000_000;

/** Changes the fields that differ in the frame with this number; `at`: where the frame begins. */
export type Change = (view: DataView, at: number, number: number) => void;

/** Makes a savefile. Time passes by `intervalMs` from record to record. */
export class SavefileMaker {
  private timestampMs = START_MS;

  constructor(private readonly intervalMs: number) {}

  header(): Uint8Array {
    return pcap([]);
  }

  /**
   * Records with copies of `template`, changed by `change`, numbered from `first`; each chunk is valid until the next.
   */
  *records(template: Uint8Array, count: number, change: Change = () => {}, first = 0): Generator<Uint8Array> {
    const perChunk = Math.min(count, RECORDS_PER_CHUNK);
    const records = pcap(Array.from({ length: perChunk }, () => ({ frame: template, timestampMs: 0 }))).slice(
      FILE_HEADER_LEN,
    );
    const view = new DataView(records.buffer);
    const recordLength = RECORD_HEADER_LEN + template.length;
    for (let done = 0; done < count; done += perChunk) {
      const length = Math.min(perChunk, count - done);
      for (let i = 0; i < length; i++) {
        const at = i * recordLength;
        view.setUint32(at, Math.floor(this.timestampMs / 1000), true);
        view.setUint32(at + 4, Math.floor((this.timestampMs % 1000) * 1000), true);
        change(view, at + RECORD_HEADER_LEN, first + done + i);
        this.timestampMs += this.intervalMs;
      }
      yield records.subarray(0, length * recordLength);
    }
  }
}

/** As on an interface: the test measures the program's own garbage, and not how long others delay its collector. */
const PRIORITY = "-10";

/** The peak memory of a process, in bytes, from the kernel; 0 once the process has ended. */
function peakOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

export interface Flooded extends Outcome {
  peakBytes: number;
}

/** Runs the program with a savefile on standard input. Returns its peak memory. */
export async function flooded(args: string[], chunks: Iterable<Uint8Array>): Promise<Flooded> {
  const isRoot = process.getuid?.() === 0;
  const running = start(args, { stdin: "open", through: isRoot ? ["nice", "-n", PRIORITY] : [] });
  const session = `/proc/${running.pid}/autogroup`;
  if (isRoot && existsSync(session)) writeFileSync(session, PRIORITY);
  let peakBytes = 0;
  const look = () => void (peakBytes = Math.max(peakBytes, peakOf(running.pid)));
  for (const chunk of chunks) await running.write(chunk);
  await running.closeStdin();
  // The figure is gone when the process ends, so it is read until then.
  const watch = setInterval(look, 10);
  look();
  try {
    return { ...(await running.outcome), peakBytes };
  } finally {
    clearInterval(watch);
  }
}
