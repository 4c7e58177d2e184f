/** A shard on an interface, in a thread of its own: frames as they come, and the endpoint's responses. */
import { addressName } from "../address.ts";
import { createFanout, joinFanout } from "../capture/fanout.ts";
import { fanoutProgram } from "../filter/fanout-program.ts";
import { FrameWait } from "../capture/frame-wait.ts";
import { BATCH_BYTES, LiveCapture } from "../capture/live.ts";
import { mirrorFilter } from "../filter/mirror-filter.ts";
import type { Config } from "../config.ts";
import { Clock } from "../clock.ts";
import type { Comparison } from "../compare/comparison.ts";
import { isSupportedLinkType } from "../decode/link.ts";
import { drain, finish, turn } from "./drain.ts";
import { Files } from "./files.ts";
import { RefusalError } from "../errors.ts";
import { OwnConnections, socketConnector } from "../forward/own-connections.ts";
import { MemoryGuard } from "../memory/memory-guard.ts";
import { Counters } from "../observe/counters.ts";
import type { Gauges } from "../observe/gauges.ts";
import type { Shared } from "./messages.ts";
import { Shard, type ShardReport } from "./shard.ts";
import { shardOptions } from "./setup.ts";

/** The longest sleep of the thread, and so how often it looks at time limits. */
const SLEEP_MS = 10;
/** The longest sleep while no connection or request is open: then only a flow's own time limits can be reached. */
const IDLE_SLEEP_MS = 100;
const STATS_MS = 1000;
/** After this many records of a batch, memory is looked at. */
const CHECKED_RECORDS_MAX = 2048;
/**
 * After the kernel was told to reject: when no frame has come for this long, none waits any more. Kernels with a slow
 * tick (CONFIG_HZ=100) show the last frames only then.
 */
const LAST_FRAMES_MS = 30;
/** The smallest buffer of the kernel, for any number of shards. */
const CAPTURE_BUFFER_MIB_MIN = 16;

/** A shard on an interface. */
export class LiveShard {
  readonly counters: Counters;
  private readonly clock = new Clock();
  private readonly shard: Shard;
  /** The thread's number; undefined: there is one thread. */
  private readonly thread: number | undefined;
  private readonly files: Files | undefined;
  private readonly capture: LiveCapture;
  private readonly memory: MemoryGuard;
  /** Waits for frames; undefined before {@link accept}. */
  private wait: FrameWait | undefined;
  /** When the kernel was told to reject; Infinity: it was not. */
  private rejectingMs = Infinity;

  /** Opens the interface, which rejects every frame at first. Throws RefusalError. */
  constructor(
    private readonly config: Config,
    shards: number,
    private readonly report: ShardReport,
    shared: Shared,
  ) {
    this.thread = shards === 1 ? undefined : Atomics.add(new Int32Array(shared.threads), 0, 1) + 1;
    this.counters = new Counters(config.also.map(addressName));
    const own = shared.own === null ? undefined : new OwnConnections(shared.own);
    this.files = Files.open(config, this.counters.file, report, this.thread);
    const options = { ...shardOptions(config, shards, shared.rate), own, files: this.files };
    this.shard = new Shard(options, this.counters, report, socketConnector(own), this.clock.now);
    this.memory = new MemoryGuard(config.maxBufferMib, shards, false, (share) => this.shard.setAside(share));
    this.capture = LiveCapture.open({
      interfaceName: config.interfaceName!,
      captureBufferMib: Math.max(Math.ceil(config.captureBufferMib / shards), CAPTURE_BUFFER_MIB_MIN),
      libpcapPath: config.libpcap,
      batchBytes: BATCH_BYTES,
    });
    const { linkType } = this.capture;
    if (!isSupportedLinkType(linkType)) throw this.refusal(`the program cannot read its link type (${linkType})`);
  }

  /** Null: responses are not compared. */
  get comparison(): Comparison | null {
    return this.shard.comparison;
  }

  get libraryName(): string {
    return this.capture.libraryName;
  }

  /**
   * Shares the interface with the other shards. `id`: the group's; null: makes the group. Returns the id. Throws
   * RefusalError.
   */
  shareInterface(id: number | null): number {
    const { fd } = this.capture;
    const shared = id === null ? createFanout(fd, fanoutProgram(this.config)) : joinFanout(fd, id) ? id : undefined;
    if (shared === undefined)
      throw this.refusal("the kernel does not divide it among threads (PACKET_FANOUT); use --threads 1");
    return shared;
  }

  /** Makes the kernel accept our frames, and opens all that {@link run} needs. Throws RefusalError. */
  async accept(): Promise<void> {
    const { encapsulation, vxlanPort, vnis, ports, compare: takesServer } = this.config;
    const { linkType } = this.capture;
    this.wait = await FrameWait.create(this.capture.fd);
    await this.shard.record(this.config, this.report, this.thread);
    this.capture.accept(mirrorFilter({ linkType, encapsulation, vxlanPort, vnis, ports, takesServer }));
  }

  /** Closes the interface without capturing: {@link run} must not be called then. */
  close(): void {
    this.capture.close();
  }

  /** Makes the kernel reject all frames: {@link run} ends when the waiting ones are read. Throws RefusalError. */
  reject(): void {
    this.capture.reject();
    this.rejectingMs = this.clock.now();
  }

  /** Takes the frames from `sinceMs` on, until {@link reject}; calls `counted` now and then. Throws RefusalError. */
  async run(sinceMs: number, counted: () => void): Promise<void> {
    const { capture, shard, memory, clock } = this;
    const wait = this.wait!;
    capture.sinceMs = sinceMs;
    let statsDueMs = 0;
    let lastFrameMs = 0;
    let hasFrames = true;
    for (;;) {
      // Responses first: requests that become due by them leave with this batch.
      await turn();
      const nowMs = clock.now();
      capture.setTime(nowMs, clock.aheadMs);
      const count = hasFrames ? capture.poll() : 0;
      if (count > 0) {
        lastFrameMs = nowMs;
        for (let left = count; left > 0; left -= CHECKED_RECORDS_MAX) {
          shard.process(capture, CHECKED_RECORDS_MAX);
          memory.check();
        }
      } else if (nowMs - Math.max(this.rejectingMs, lastFrameMs) >= LAST_FRAMES_MS) {
        break;
      }
      shard.advance(nowMs);
      memory.check();
      if (nowMs >= statsDueMs) {
        // All shards tell at the same times, and the main thread looks between them, so no sum lacks a shard.
        statsDueMs = (Math.floor(nowMs / STATS_MS) + 1) * STATS_MS;
        this.countKernelDrops();
        counted();
      }
      // Responses that no request waits for are read when the next frames come, many at a time.
      if (shard.isSettled && this.rejectingMs === Infinity) hasFrames = wait.sleep(IDLE_SLEEP_MS);
      else if (shard.awaitsEndpoint) hasFrames = wait.sleep(SLEEP_MS);
      else hasFrames = wait.sleepUntilFrames(SLEEP_MS);
    }
    this.countKernelDrops();
    capture.close();
  }

  takeGauges(): Gauges {
    return this.shard.takeGauges();
  }

  /** Forwards all captured frames, and waits for the responses for a limited time. */
  async finish(): Promise<void> {
    const stop = { requested: true };
    await finish(this.shard, this.memory, stop);
    await drain(this.shard, this.clock.now, stop);
    await this.shard.endRecord();
    await this.files?.end();
  }

  private countKernelDrops(): void {
    this.counters.frames.kernel_dropped += this.capture.newlyDropped();
  }

  private refusal(why: string): RefusalError {
    return new RefusalError(`Cannot capture on ${this.config.interfaceName}: ${why}`);
  }
}
