/**
 * Keeps the process near what its limits allow. The engine lets its heap grow to some four times of what lives before
 * it collects all of it, and flows outlive its quick collections: a flood of them took a gigabyte that way, and an
 * ordinary load with a connection for each request ten megabytes a minute. So it is told to collect, and to give back
 * what is free, whenever the process has grown by so much since it was smallest: near the limit by less. What is left behind a
 * collection is what things cost, pages that are half empty included, which nobody can charge beforehand: where that is
 * over the limit, less of the buffers is granted.
 */
import { WITHHELD_SHARE_MAX } from "./budget.ts";
import { type OwnMemory, openOwnMemory } from "./own-memory.ts";

const MIB = 1 << 20;
/** The process's own memory beside the bytes that --max-buffer-mib grants: what it has at its start included. */
const BESIDE_BUFFERS_BYTES = 32 * MIB;
/** The same for each shard more than so many. */
const SHARD_BYTES = 8 * MIB;
const SHARDS = 2;
/** Between two collections it may grow by half of the room that is left; by so much, or half of what lives, at most. */
const GROWTH_SHARE_OF_ROOM = 0.5;
const GROWTH_BYTES_MAX = 32 * MIB;
const GROWTH_SHARE_MAX = 0.5;
/** Without any room: the more lives, the longer a collection takes. */
const GROWTH_BYTES_MIN = 4 * MIB;
const GROWTH_SHARE_MIN = 1 / 16;
/** How much longer than a collection the time until the next one is at least. */
const PAUSE_FACTOR = 1;
const CHECK_MS = 10;
/**
 * Giving up what is compiled gives back a few megabytes, and costs the next seconds three times the CPU: not more often
 * than this.
 */
const SHRINK_MS = 60_000;
/** Of what a collection leaves over the limit, so much more is withheld of the buffers. */
const WITHHELD_GAIN = 1;
/** Below the limit, at each look so much less of the buffers is withheld. */
const GRANTED_SHARE = 1 / 200;

/** Those whose buffers are granted. */
export interface Granted {
  /** From now on this share of what they may hold is withheld. */
  withhold(share: number): void;
}

export class MemoryGuard {
  private readonly limitBytes: number;
  /** The least memory that it had since the last collection. */
  private leastBytes = Infinity;
  private notBeforeMs = 0;
  private shrunkMs = -Infinity;
  private withheldShare = 0;

  constructor(
    private readonly maxBufferMib: number,
    shards: number,
    private readonly granted: Granted,
    private readonly memory: OwnMemory = openOwnMemory(),
    private readonly now: () => number = () => performance.now(),
    private readonly collect: () => void = collectGarbage,
    private readonly shrink: () => void = Bun.shrink,
  ) {
    this.limitBytes = maxBufferMib * MIB + BESIDE_BUFFERS_BYTES + Math.max(shards - SHARDS, 0) * SHARD_BYTES;
  }

  /** Cheap to call often. */
  check(): void {
    const nowMs = this.now();
    if (nowMs < this.notBeforeMs) return;
    this.notBeforeMs = nowMs + CHECK_MS;
    const bytes = this.memory.read();
    this.leastBytes = Math.min(this.leastBytes, bytes);
    if (bytes - this.leastBytes < this.growthBytes) {
      if (this.withheldShare > 0 && bytes < this.limitBytes) this.withhold(this.withheldShare - GRANTED_SHARE);
      return;
    }
    this.collect();
    if (this.memory.read() > this.limitBytes && nowMs - this.shrunkMs >= SHRINK_MS) {
      this.shrunkMs = nowMs;
      this.shrink();
    }
    this.notBeforeMs = nowMs + (this.now() - nowMs) * (1 + PAUSE_FACTOR);
    this.leastBytes = this.memory.read();
    const overBytes = this.leastBytes - this.limitBytes;
    if (overBytes > 0) this.withhold(this.withheldShare + (overBytes / (this.maxBufferMib * MIB)) * WITHHELD_GAIN);
  }

  private withhold(share: number): void {
    this.withheldShare = Math.min(Math.max(share, 0), WITHHELD_SHARE_MAX);
    this.granted.withhold(this.withheldShare);
  }

  /** How much it may grow beyond its least. */
  private get growthBytes(): number {
    const { leastBytes } = this;
    const room = (this.limitBytes - leastBytes) * GROWTH_SHARE_OF_ROOM;
    const least = Math.max(GROWTH_BYTES_MIN, leastBytes * GROWTH_SHARE_MIN);
    const most = Math.max(GROWTH_BYTES_MAX, leastBytes * GROWTH_SHARE_MAX);
    return Math.min(Math.max(room, least), most);
  }
}

function collectGarbage(): void {
  Bun.gc(true);
  // Before it begins another collection, beside us, it has the allocator give back to the system what is free now.
  Bun.gc(false);
}
