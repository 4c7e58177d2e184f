/** Reading a savefile to its end, no faster than the endpoint takes it: one shard, in the main thread. */
import type { RecordSource } from "../capture/record-source.ts";
import type { Config } from "../config.ts";
import type { Clock } from "../clock.ts";
import { drain, finish, turn } from "../shard/drain.ts";
import { OwnConnections, OwnConnector } from "../forward/own-connections.ts";
import { bunConnector } from "../forward/socket.ts";
import { MemoryGuard } from "../memory/memory-guard.ts";
import type { Counters } from "../observe/counters.ts";
import type { Progress } from "../observe/progress.ts";
import type { RunReport } from "../observe/report.ts";
import { Shard } from "../shard/shard.ts";
import { shardOptions } from "../shard/setup.ts";
import type { Stop } from "./stop.ts";

/** Records of a savefile between turns of the event loop. */
const READ_RECORDS_MAX = 2048;
const TICK_MS = 5;
/** How long to wait for an endpoint that is behind before looking again. */
const BEHIND_MS = 1;

/** A source that is read on by waiting for it (Savefile). */
export interface WaitingSource extends RecordSource {
  /** Bytes read so far. */
  readonly position: number;
  /** Resolves when there is another batch; false: it is at its end. Rejects with RefusalError. */
  fill(): Promise<boolean>;
}

export class SavefileRun {
  private readonly shard: Shard;
  private readonly memory: MemoryGuard;

  /** `progress` undefined: none is shown. */
  constructor(
    private readonly savefile: WaitingSource,
    config: Config,
    private readonly counters: Counters,
    private readonly report: RunReport,
    private readonly clock: Clock,
    private readonly progress?: Progress,
  ) {
    this.memory = new MemoryGuard(config.maxBufferMib);
    // Plain frames that come as they are captured may be our own.
    const own = config.encapsulation === "none" && config.read === "-" ? new OwnConnections() : undefined;
    const connector = own === undefined ? bunConnector : new OwnConnector(bunConnector, own);
    this.shard = new Shard({ ...shardOptions(config, 1), own }, counters, report, connector, clock.now);
  }

  /** Takes all records, until the savefile ends or `stop` is requested. Throws RefusalError. */
  async run(stop: Stop): Promise<void> {
    const { savefile, shard, memory, progress } = this;
    const ticker = setInterval(() => shard.tick(), TICK_MS);
    try {
      while (await stop.unless(savefile.fill())) {
        let more = true;
        while (more && !stop.requested) {
          more = shard.process(savefile, READ_RECORDS_MAX);
          await turn();
          // Sleeping, not spinning: it is the endpoint that needs the processor now.
          while (shard.isBehind && !stop.requested) await Bun.sleep(BEHIND_MS);
          memory.check();
          progress?.update(savefile.position, this.counters.frames.captured);
        }
      }
    } finally {
      clearInterval(ticker);
      progress?.clear();
    }
  }

  /** Ends all flows, and waits for what the endpoint still has to do. */
  async finish(stop: Stop): Promise<void> {
    await finish(this.shard, this.memory, stop);
    await drain(this.shard, this.clock.now, stop);
    this.report.strangers(this.shard.strangers);
    if (this.shard.dryRun !== null) this.report.dryRun(this.shard.dryRun.results);
  }
}
