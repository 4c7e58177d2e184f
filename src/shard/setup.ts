/** What a shard is told of what the program was asked to do. */
import type { Options } from "../cli/options.ts";
import type { ShardOptions } from "./shard.ts";

/** For one of `shards`: what the program may hold and remember is divided among them. */
export function shardOptions(options: Options, shards: number): ShardOptions {
  return {
    mode: options.mode,
    vxlanPort: options["vxlan-port"],
    vni: options.vni,
    port: options.port,
    address: options.address,
    maxPendingPackets: options["max-pending-packets"],
    gapTimeoutMs: options.gapTimeoutMs,
    idleTimeoutMs: options["idle-timeout-s"] * 1000,
    maxFlows: Math.ceil(options["max-flows"] / shards),
    maxBufferMib: options["max-buffer-mib"] / shards,
    maxRetries: options["max-retries"],
    // What is read can wait for the endpoint to come back.
    connectTimeoutMs: options.read === undefined ? options["connect-timeout-ms"] : options["outage-timeout-s"] * 1000,
    headerTimeoutMs: options["header-timeout-s"] * 1000,
    responseTimeoutMs: options["response-timeout-ms"],
    maxResponseMs: options["max-response-seconds"] * 1000,
    finDelayMs: options["fin-delay-ms"],
    proxyProtocol: options["proxy-protocol"],
    pipelineDepth: options["pipeline-depth"],
    maxWaitingRequests: options["max-waiting-requests"],
    maxRequestBytes: options["max-request-bytes"],
    maxHeaderBytes: options["max-header-bytes"],
    headerEdits: options.headerEdits,
    measuresDelay: options.read === undefined,
    sourceWaits: options.read !== undefined,
  };
}
