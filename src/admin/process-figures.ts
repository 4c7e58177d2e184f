/** The kernel's figures of this process: proc(5). A figure is -1 if the kernel does not tell it. */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessFigures {
  /** User and system time of all threads. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly openDescriptors: number;
  readonly descriptorsMax: number;
  readonly threads: number;
}

const LIMIT = /^Max open files\s+(\d+)/m;
const THREADS = /^Threads:\s+(\d+)/m;

export function processFigures(): ProcessFigures {
  const { user, system } = process.cpuUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    // The descriptor of the directory itself is among them.
    openDescriptors: read(() => readdirSync("/proc/self/fd").length - 1),
    descriptorsMax: read(() => Number(LIMIT.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? -1)),
    threads: read(() => Number(THREADS.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? -1)),
  };
}

function read(figure: () => number): number {
  try {
    return figure();
  } catch {
    return -1;
  }
}
