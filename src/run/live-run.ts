/** Capturing on an interface until a signal comes: the shards' threads do, the main thread looks on. */
import { availableParallelism } from "node:os";
import { addressName } from "../address.ts";
import { InterfaceState } from "../capture/interface.ts";
import { guardPort } from "../capture/port-guard.ts";
import type { Config } from "../config.ts";
import type { Counters } from "../observe/counters.ts";
import type { Log } from "../observe/log.ts";
import type { RunReport } from "../observe/report.ts";
import { hurry } from "./priority.ts";
import { SecondLook } from "./second-look.ts";
import { Shards, type StartThread } from "../shard/shards.ts";
import type { Stop } from "./stop.ts";

const LOOK_MS = 1000;

export class LiveRun {
  private constructor(
    private readonly shards: Shards,
    private readonly secondLook: SecondLook,
    private readonly report: RunReport,
    private readonly log: Log,
    private readonly interfaceName: string,
    private readonly interfaceState: InterfaceState,
  ) {}

  /** Undefined: `stop` was requested before anything was captured. Throws RefusalError, ShardError. */
  static async start(
    config: Config,
    counters: Counters,
    report: RunReport,
    log: Log,
    startThread: StartThread,
    stop: Stop,
  ): Promise<LiveRun | undefined> {
    // Linux keeps it by thread, and threads inherit it.
    hurry((refusal) => log.debug(refusal));
    const cores = availableParallelism();
    if (config.threads > cores) {
      log.warn(
        `${counted(config.threads, "thread")} for ${counted(cores, "core")}: those beyond the cores cost memory ` +
          "and speed nothing up (--threads)",
      );
    }
    const shards = new Shards(config, counters, report, startThread);
    const libraryName = await shards.start(stop);
    if (libraryName === undefined) return undefined;
    const secondLook = new SecondLook(config, counters);
    log.debug(`Using ${libraryName}`);
    if (!guardPort(config.vxlanPort)) log.debug(`UDP port ${config.vxlanPort} has an owner already`);
    const { host, port, isSecure } = config.address;
    const also = config.also.map((address) => `, also to ${addressName(address)}`).join("");
    log.info(
      `Capturing on ${config.interfaceName}: VNI ${config.vni}, port ${config.port}, ` +
        `forwarding to ${host} port ${port}${isSecure === true ? " with TLS" : ""}${also} (${counted(config.threads, "thread")})`,
    );
    return new LiveRun(
      shards,
      secondLook,
      report,
      log,
      config.interfaceName!,
      new InterfaceState(config.interfaceName!),
    );
  }

  /** Captures until `stop` is requested. Throws RefusalError, ShardError. */
  async run(stop: Stop): Promise<void> {
    const ticker = setInterval(() => this.look(), LOOK_MS);
    try {
      await stop.unless(this.shards.failure);
    } finally {
      clearInterval(ticker);
      this.look();
    }
  }

  /** Has what was captured forwarded, and waits for what the endpoint still has to do. Throws ShardError. */
  async finish(): Promise<void> {
    await this.shards.stop();
    this.look();
    this.shards.shares.forEach(({ frames, flows }, index) => {
      this.log.debug(`Thread ${index + 1}: ${frames.segments} segments of ${flows.opened + flows.picked_up} flows`);
    });
  }

  private look(): void {
    this.shards.addUp();
    this.secondLook.take();
    this.report.interfaceIs(this.interfaceState.look(), this.interfaceName);
    this.report.strangers(this.secondLook.strangers);
  }
}

function counted(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : `${noun}s`}`;
}
