/** A progress bar on a terminal for --read: the share of the file that was read, the speed, the time left. */

const REDRAW_MS = 200;
const BAR_WIDTH = 30;
const CLEAR_LINE = "\r\u001b[K";

export class Progress {
  private readonly startedMs: number;
  private drawnMs = 0;

  /** `totalBytes` 0: not known. */
  constructor(
    private readonly totalBytes: number,
    private readonly now: () => number,
  ) {
    this.startedMs = now();
  }

  /**
   * Redraws the bar if it is time. `capturedMs`: how much of the capture's time has passed; undefined: it is not shown.
   */
  update(readBytes: number, frames: number, capturedMs?: number): void {
    const nowMs = this.now();
    if (nowMs - this.drawnMs < REDRAW_MS) return;
    this.drawnMs = nowMs;
    const seconds = Math.max((nowMs - this.startedMs) / 1000, 0.001);
    const rate = readBytes / seconds;
    const clocks =
      capturedMs === undefined ? "" : `, ${(capturedMs / 1000).toFixed(1)} s of the capture in ${seconds.toFixed(1)} s`;
    const speed = `${(readBytes / 1e6).toFixed(1)} MB, ${frames} frames, ${(rate / 1e6).toFixed(1)} MB/s${clocks}`;
    if (this.totalBytes === 0) {
      process.stderr.write(`${CLEAR_LINE}${speed}`);
      return;
    }
    const share = Math.min(readBytes / this.totalBytes, 1);
    const bar = "█".repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, "░");
    const left = rate > 0 ? Math.ceil((this.totalBytes - readBytes) / rate) : 0;
    process.stderr.write(`${CLEAR_LINE}${bar} ${Math.floor(share * 100)} %  ${speed}, ${left} s left`);
  }

  /** Removes the bar. */
  clear(): void {
    if (this.drawnMs > 0) process.stderr.write(CLEAR_LINE);
  }
}
