/** Reads a savefile to its end, no faster than the endpoint takes it: one shard, in the main thread. */
import { PacedSource } from "../capture/paced-source.ts";
import type { WaitingSource } from "../capture/record-source.ts";
import type { Comparison } from "../compare/comparison.ts";
import type { Tally } from "../compare/tally.ts";
import { Files } from "../shard/files.ts";
import { drain, finish, turn } from "../shard/drain.ts";
import { OwnConnections, socketConnector } from "../forward/own-connections.ts";
import { MemoryGuard } from "../memory/memory-guard.ts";
import type { Surroundings } from "../observe/problems.ts";
import type { Progress } from "../observe/progress.ts";
import { Shard } from "../shard/shard.ts";
import { shardOptions } from "../shard/setup.ts";
import type { RunParts } from "./parts.ts";
import type { Stop } from "./stop.ts";
import type { Watched } from "./watch.ts";

/** How many records of a savefile are read between turns of the event loop. */
const READ_RECORDS_MAX = 2048;
const TICK_MS = 5;
/** How long to wait for an endpoint that is behind before looking again. */
const BEHIND_MS = 1;

/** A run over savefiles. */
export class SavefileRun implements Watched {
  private shard: Shard;
  private readonly memory: MemoryGuard;
  /** The output files, the same for all readings (--loop). */
  private readonly files: Files | undefined;
  private paced: PacedSource | null = null;
  /** The comparisons of earlier readings' shards (--loop). */
  private readonly earlier: Tally[] = [];

  /** `progress` undefined: no bar is shown. `again`: opens the savefiles anew, for --loop. */
  constructor(
    private readonly parts: Omit<RunParts, "log">,
    private savefile: WaitingSource,
    private readonly progress?: Progress,
    private readonly again?: () => Promise<WaitingSource>,
  ) {
    const { config, counters, report } = parts;
    this.memory = new MemoryGuard(config.maxBufferMib, 1, true, (share) => this.shard.setAside(share));
    this.files = Files.open(config, counters.file, report);
    this.shard = this.newShard();
  }

  /** Takes all records, until the savefile ends or `stop` is requested. Throws RefusalError. */
  async run(stop: Stop): Promise<void> {
    try {
      await this.shard.record(this.parts.config, this.parts.report);
      for (let left = this.parts.config.loop; ; left--) {
        await this.readAll(stop);
        if (left === 1 || stop.requested || this.again === undefined) return;
        // The next reading's connections have the same addresses, ports and sequence numbers, but are other
        // connections.
        await this.endFlows(stop);
        await this.shard.endRecord();
        this.savefile.close();
        this.savefile = await this.again();
        if (this.shard.comparison !== null) this.keepCompared(this.shard.comparison);
        this.shard = this.newShard();
      }
    } finally {
      this.progress?.clear();
    }
  }

  look(): Surroundings {
    const { shard } = this;
    this.tellCompared();
    return { gauges: shard.takeGauges(), isInterfaceUp: true, strangers: shard.strangers };
  }

  /** Ends all flows, and waits for the endpoint. */
  async finish(stop: Stop): Promise<void> {
    await this.endFlows(stop);
    await this.shard.endRecord();
    await this.files?.end();
    this.parts.report.ended(this.shard.strangers);
    if (this.shard.dryRun !== null) this.parts.report.dryRun(this.shard.dryRun.results);
    this.tellCompared();
  }

  /** Keeps the comparisons of a reading that has ended. */
  private keepCompared({ tally }: Comparison): void {
    this.tellCompared();
    this.earlier.push(tally);
  }

  private tellCompared(): void {
    const { comparison } = this.shard;
    if (comparison === null) return;
    this.parts.comparison!.write(comparison.takeLines());
    this.parts.comparison!.update([...this.earlier, comparison.tally]);
  }

  private async readAll(stop: Stop): Promise<void> {
    const { shard, memory, progress } = this;
    const source = this.source();
    const ticker = setInterval(() => shard.tick(), TICK_MS);
    try {
      while (await stop.unless(source.fill())) {
        let more = true;
        while (more && !stop.requested) {
          more = shard.process(source, READ_RECORDS_MAX);
          await turn();
          // It sleeps and does not spin, because the endpoint needs the processor now.
          while (shard.isBehind && !stop.requested) {
            await Bun.sleep(BEHIND_MS);
            this.paced?.held();
          }
          memory.check();
          progress?.update(source.position, this.parts.counters.frames.captured, this.paced?.capturedMs);
        }
      }
    } finally {
      clearInterval(ticker);
    }
  }

  private async endFlows(stop: Stop): Promise<void> {
    await finish(this.shard, this.memory, stop);
    await drain(this.shard, this.parts.clock.now, stop);
  }

  /** The savefile, at its pace. */
  private source(): WaitingSource {
    const { speed } = this.parts.config;
    this.paced =
      speed === "max"
        ? null
        : new PacedSource(this.savefile, speed, this.parts.counters.schedule, this.parts.clock.now);
    return this.paced ?? this.savefile;
  }

  private newShard(): Shard {
    const { config, counters, report, clock } = this.parts;
    // Plain frames that are piped while they are captured may be our own.
    const isPiped = config.read?.includes("-") === true;
    const own = config.encapsulation === "none" && isPiped ? new OwnConnections() : undefined;
    const options = { ...shardOptions(config, 1), own, files: this.files };
    return new Shard(options, counters, report, socketConnector(own), clock.now);
  }
}
