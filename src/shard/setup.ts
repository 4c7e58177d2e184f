/** A shard's options, from the Config. */
import { destinationsOf, hasTls } from "../address.ts";
import type { Config } from "../config.ts";
import { readTls } from "../forward/tls.ts";
import { policyOf } from "../policy/policy.ts";
import type { ShardComparison, ShardOptions } from "./shard.ts";

/**
 * The options for one of `shards`: the program's limits of memory are divided among them. `rate`: the memory of
 * --max-rate that they share, if there are several. Throws RefusalError.
 */
export function shardOptions(config: Config, shards: number, rate?: SharedArrayBuffer): ShardOptions {
  const isRead = config.read !== undefined;
  return {
    ...config,
    idleTimeoutMs: config.idleTimeoutS * 1000,
    maxFlows: Math.ceil(config.maxFlows / shards),
    maxBufferMib: config.maxBufferMib / shards,
    // A savefile can wait for the endpoint to come back.
    connectTimeoutMs: isRead ? config.outageTimeoutS * 1000 : config.connectTimeoutMs,
    headerTimeoutMs: config.headerTimeoutS * 1000,
    maxResponseMs: config.maxResponseSeconds * 1000,
    measuresDelay: !isRead || config.speed !== "max",
    sourceWaits: isRead,
    policy: policyOf(config, rate),
    tls: hasTls(destinationsOf(config)) ? readTls(config, config.connectTimeoutMs) : null,
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
