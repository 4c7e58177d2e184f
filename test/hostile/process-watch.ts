/** The resources of a process, from the kernel: memory, CPU time, descriptors. */
import { readFileSync, statSync } from "node:fs";

const TICK_US = 10_000;
const LOOK_MS = 10;

export class ProcessWatch implements Disposable {
  /** The peak of its memory, without the kernel's buffer for frames. */
  peakBytes = 0;
  /** The peak of its open descriptors. */
  descriptors = 0;
  /** In microseconds, all threads together; in steps of 10 ms. */
  cpuUs = 0;
  private captureBufferBytes = 0;
  private readonly ticker = setInterval(() => this.look(), LOOK_MS);

  constructor(private readonly pid: number) {
    this.look();
  }

  /** Looks now; the last values stay when the process is gone. */
  look(): void {
    try {
      const peakKib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))?.[1];
      if (peakKib === undefined) return;
      this.peakBytes = Math.max(this.peakBytes, Number(peakKib) * 1024 - this.captureBufferBytes);
      this.descriptors = Math.max(this.descriptors, statSync(`/proc/${this.pid}/fd`).size);
      // The second field is a name in parentheses, which may contain anything.
      const fields = readFileSync(`/proc/${this.pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
      this.cpuUs = (Number(fields[11]) + Number(fields[12])) * TICK_US;
    } catch {
      // The process has just ended.
    }
  }

  /**
   * Leaves out the mapped memory of packet sockets: --capture-buffer-mib gives its size, and all of it is there from
   * the start.
   */
  leaveOutCaptureBuffers(): void {
    const maps = readFileSync(`/proc/${this.pid}/smaps`, "utf8");
    let bytes = 0;
    for (const [, kib] of maps.matchAll(/^\S+ \S+ \S+ \S+ \S+ +socket:\[.*\n(?:(?!Rss:)[A-Z].*\n)*Rss: +(\d+) kB$/gm))
      bytes += Number(kib) * 1024;
    this.captureBufferBytes = bytes;
    this.peakBytes = 0;
    this.look();
  }

  [Symbol.dispose](): void {
    clearInterval(this.ticker);
  }
}
