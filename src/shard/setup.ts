/** What a shard is told of what the program was asked to do. */
import type { Config } from "../config.ts";
import { readTls } from "../forward/tls.ts";
import { policyOf } from "../policy/policy.ts";
import type { ShardComparison, ShardOptions } from "./shard.ts";

/**
 * For one of `shards`: what the program may hold and remember is divided among them. `rate`: what they share of
 * --max-rate, where there are several. Throws RefusalError.
 */
export function shardOptions(config: Config, shards: number, rate?: SharedArrayBuffer): ShardOptions {
  const isRead = config.read !== undefined;
  return {
    ...config,
    idleTimeoutMs: config.idleTimeoutS * 1000,
    maxFlows: Math.ceil(config.maxFlows / shards),
    maxBufferMib: config.maxBufferMib / shards,
    // What is read can wait for the endpoint to come back.
    connectTimeoutMs: isRead ? config.outageTimeoutS * 1000 : config.connectTimeoutMs,
    headerTimeoutMs: config.headerTimeoutS * 1000,
    maxResponseMs: config.maxResponseSeconds * 1000,
    measuresDelay: !isRead || config.speed !== "max",
    sourceWaits: isRead,
    policy: policyOf(config, rate),
    tls: [config.address, ...config.also].some(({ isSecure }) => isSecure === true)
      ? readTls(config, config.connectTimeoutMs)
      : null,
    comparison: config.compare ? comparison(config) : null,
  };
}

function comparison({ compareSample, differences, control, ...config }: Config): ShardComparison {
  return {
    ...config,
    share: compareSample,
    wantsLines: differences !== undefined,
    hasControl: control !== undefined,
    endpointIsFile: config.address.file !== undefined,
  };
}
