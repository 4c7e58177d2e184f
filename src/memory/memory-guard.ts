/**
 * Keeps the process's memory near its limits. The engine lets its heap grow to about four times the live memory before
 * it collects all of it, and flows outlive its quick collections: a flood of flows took a gigabyte that way, and an
 * ordinary load with a connection for each request ten megabytes a minute. So the engine is told to collect, and to
 * give back free memory, when the process has grown by a certain amount since it was smallest; near the limit, by a
 * smaller amount. Beyond the limit, each collection sets a part of the budgets aside: less may be held until collections
 * find the process within it.
 */
import { type OwnMemory, openOwnMemory } from "./own-memory.ts";

const MIB = 1 << 20;
/** The process's own memory in addition to the bytes of --max-buffer-mib, with the memory that it has at its start. */
export const BESIDE_BUFFERS_BYTES = 32 * MIB;
/** The same for each shard beyond this many. */
const SHARD_BYTES = 8 * MIB;
const SHARDS = 2;
/**
 * Between two collections it may grow by this share of the room that is left, but by no more than this many bytes, or
 * half of the live memory.
 */
const GROWTH_SHARE_OF_ROOM = 0.5;
export const GROWTH_BYTES_MAX = 32 * MIB;
const GROWTH_SHARE_MAX = 0.5;
/** If no room is left: the least growth. (The more memory is live, the longer a collection takes.) */
export const GROWTH_BYTES_MIN = 4 * MIB;
const GROWTH_SHARE_MIN = 1 / 16;
/** The time until the next collection is at least this many times as long as the last one took. */
const PAUSE_FACTOR = 1;
/** The same for a source that waits: there, the time that collections take loses no frames. */
const WAITING_GROWTH_SHARE_MIN = 1 / 64;
const WAITING_PAUSE_FACTOR = 1 / 4;
/**
 * The part of what the process has beyond the limit, or below it, by which a collection changes what is set aside: the
 * effect of the change is known at the next one.
 */
const ASIDE_GAIN = 1 / 2;
/** At most this share of the budgets is set aside, */
export const ASIDE_SHARE_MAX = 1 / 2;
/** and so much of --max-buffer-mib is left in any case: with less, good requests find no room in a flood. */
export const LEFT_MIB_MIN = 128;
const CHECK_MS = 10;
/** Compiled code is thrown away at most this often: a few MiB become free, but it costs much CPU. */
export const SHRINK_MS = 60_000;

/** Watches the memory of the process. One for each thread. */
export class MemoryGuard {
  private readonly limitBytes: number;
  private readonly growthShareMin: number;
  private readonly pauseFactor: number;
  /** The least memory of the process since the last collection. */
  private leastBytes = Infinity;
  private notBeforeMs = 0;
  private shrunkMs = -Infinity;
  /** The share of the budgets that is set aside. */
  private asideShare = 0;
  private readonly asideShareMax: number;

  constructor(
    private readonly maxBufferMib: number,
    shards: number,
    /** Whether the source can wait (a savefile). */
    sourceWaits: boolean,
    /** Sets this share of the shard's budgets aside. */
    private readonly setAside: (share: number) => void,
    private readonly memory: OwnMemory = openOwnMemory(),
    private readonly now: () => number = () => performance.now(),
    private readonly collect: () => void = collectGarbage,
    private readonly shrink: () => void = Bun.shrink,
  ) {
    this.limitBytes = maxBufferMib * MIB + BESIDE_BUFFERS_BYTES + Math.max(shards - SHARDS, 0) * SHARD_BYTES;
    this.asideShareMax = Math.min(Math.max(1 - LEFT_MIB_MIN / maxBufferMib, 0), ASIDE_SHARE_MAX);
    this.growthShareMin = sourceWaits ? WAITING_GROWTH_SHARE_MIN : GROWTH_SHARE_MIN;
    this.pauseFactor = sourceWaits ? WAITING_PAUSE_FACTOR : PAUSE_FACTOR;
  }

  /** Collects if the process has grown enough. Cheap to call often. */
  check(): void {
    const nowMs = this.now();
    if (nowMs < this.notBeforeMs) return;
    this.notBeforeMs = nowMs + CHECK_MS;
    const bytes = this.memory.read();
    this.leastBytes = Math.min(this.leastBytes, bytes);
    if (bytes - this.leastBytes < this.growthBytes) return;
    this.adjustBudgets(bytes - this.limitBytes);
    this.collect();
    if (this.memory.read() > this.limitBytes && nowMs - this.shrunkMs >= SHRINK_MS) {
      this.shrunkMs = nowMs;
      this.shrink();
    }
    this.notBeforeMs = nowMs + (this.now() - nowMs) * (1 + this.pauseFactor);
    this.leastBytes = this.memory.read();
  }

  /** `overBytes`: what the process has beyond the limit, before a collection; negative: below it. */
  private adjustBudgets(overBytes: number): void {
    const change = (overBytes * ASIDE_GAIN) / (this.maxBufferMib * MIB);
    this.asideShare = Math.min(Math.max(this.asideShare + change, 0), this.asideShareMax);
    this.setAside(this.asideShare);
  }

  /** How much the process may grow beyond its least memory. */
  private get growthBytes(): number {
    const { leastBytes } = this;
    const room = (this.limitBytes - leastBytes) * GROWTH_SHARE_OF_ROOM;
    const least = Math.max(GROWTH_BYTES_MIN, leastBytes * this.growthShareMin);
    const most = Math.max(GROWTH_BYTES_MAX, leastBytes * GROWTH_SHARE_MAX);
    return Math.min(Math.max(room, least), most);
  }
}

function collectGarbage(): void {
  Bun.gc(true);
  // Before the engine begins another collection in the background, its allocator gives free memory back to the system.
  Bun.gc(false);
}
