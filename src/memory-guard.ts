/**
 * Keeps the process near what its limits allow. The engine lets its heap grow to some four times of what
 * lives before it collects all of it, and flows outlive its quick collections: a flood of them took a
 * gigabyte that way. So above a threshold it is told to collect, whenever enough flows have come and gone.
 * Below, which is where a program stays that is not flooded, nothing is done and nothing is spent.
 */

/** The program's memory beside the bytes that --max-buffer-mib grants, above which it collects. */
const BESIDE_BUFFERS_BYTES = 16 << 20;
/** Flows that must have come and gone since the last collection for another to be worth its time. */
const TURNOVER_MIN = 4096;
/** How much longer than a collection the time until the next one is at least. */
const PAUSE_FACTOR = 2;
const CHECK_MS = 10;

export class MemoryGuard {
  private readonly thresholdBytes: number;
  private turnoverBefore = 0;
  private notBeforeMs = 0;

  constructor(maxBufferMib: number) {
    this.thresholdBytes = (maxBufferMib << 20) + BESIDE_BUFFERS_BYTES;
  }

  /** Cheap to call often. `turnover`: how many flows have come and gone since the start. */
  check(turnover: number): void {
    if (turnover - this.turnoverBefore < TURNOVER_MIN) return;
    const nowMs = performance.now();
    if (nowMs < this.notBeforeMs) return;
    this.notBeforeMs = nowMs + CHECK_MS;
    if (process.memoryUsage.rss() < this.thresholdBytes) return;
    Bun.gc(true);
    const tookMs = performance.now() - nowMs;
    this.notBeforeMs = nowMs + tookMs * (1 + PAUSE_FACTOR);
    this.turnoverBefore = turnover;
  }
}
