/** Captures on an interface until a signal comes: in the shards' threads, while the main thread watches. */
import { availableParallelism } from "node:os";
import { addressName } from "../address.ts";
import { InterfaceState } from "../capture/interface.ts";
import { guardPort } from "../capture/port-guard.ts";
import { tunnelPort } from "../decode/tunnel.ts";
import { type Surroundings, vniName } from "../observe/problems.ts";
import { counted } from "../observe/words.ts";
import type { RunParts } from "./parts.ts";
import { giveWay, hurry } from "./priority.ts";
import { SecondLook } from "./second-look.ts";
import { Shards, type StartThread } from "../shard/shards.ts";
import type { Stop } from "./stop.ts";
import type { Watched } from "./watch.ts";

/** A run on an interface. */
export class LiveRun implements Watched {
  private constructor(
    private readonly parts: RunParts,
    private readonly shards: Shards,
    private readonly secondLook: SecondLook,
    private readonly interfaceState: InterfaceState,
  ) {}

  /**
   * Opens all that {@link run} needs. Undefined: `stop` was requested before any frame was captured. Throws
   * RefusalError, ShardError.
   */
  static async start(parts: RunParts, startThread: StartThread, stop: Stop): Promise<LiveRun | undefined> {
    const { config, counters, report, log, comparison } = parts;
    // Linux has the priority for each thread, and new threads inherit it.
    const hurried = hurry((refusal) => log.debug(refusal));
    const cores = availableParallelism();
    if (config.threads > cores) {
      log.warn(
        `${counted(config.threads, "thread")} for ${counted(cores, "core")}: threads beyond the number of cores cost memory ` +
          "and make nothing faster (--threads)",
      );
    }
    const shards = new Shards(config, counters, report, startThread, (lines) => comparison?.write(lines));
    const libraryName = await shards.start(stop);
    if (libraryName === undefined) return undefined;
    const secondLook = new SecondLook(config, counters);
    log.debug(`Using ${libraryName}`);
    const guarded = tunnelPort(config);
    if (guarded !== undefined && !guardPort(guarded)) log.debug(`Another program has UDP port ${guarded} already`);
    // An ordinary user may not ask for a higher priority.
    if (config.user !== undefined) await hurried;
    return new LiveRun(parts, shards, secondLook, new InterfaceState(config.interfaceName!));
  }

  /** Captures until `stop` is requested. Throws RefusalError, ShardError. */
  async run(stop: Stop): Promise<void> {
    this.begin();
    try {
      await stop.unless(this.shards.failure);
    } finally {
      this.look();
    }
  }

  /** Forwards all captured frames, and waits for the endpoint. Throws ShardError. */
  async finish(): Promise<void> {
    await this.shards.stop();
    this.look();
    this.shards.shares.forEach(({ frames, flows }, index) => {
      this.parts.log.debug(
        `Thread ${index + 1}: ${frames.segments} segments of ${flows.opened + flows.picked_up} flows`,
      );
    });
  }

  look(): Surroundings {
    const { shards, secondLook } = this;
    const { config, report, comparison } = this.parts;
    shards.addUp();
    comparison?.update(shards.tallies);
    secondLook.take();
    const isInterfaceUp = this.interfaceState.look();
    report.interfaceIs(isInterfaceUp, config.interfaceName!);
    report.strangers(secondLook.strangers);
    return { gauges: shards.gauges, isInterfaceUp, strangers: secondLook.strangers };
  }

  private begin(): void {
    const { config, log } = this.parts;
    const { interfaceName, vnis, ports, address, also, threads } = config;
    this.shards.begin();
    // Requests to --admin take no time from shards.
    if (config.admin !== undefined) giveWay();
    log.info(
      `Capturing on ${interfaceName}: ${vniName(vnis)}, port ${ports.join(", ")}, forwarding to ${address.file === undefined ? `${address.host} port ${address.port}` : addressName(address)}` +
        `${address.isSecure === true ? " with TLS" : ""}${also.map((each) => `, also to ${addressName(each)}`).join("")} (${counted(threads, "thread")})`,
    );
  }
}
