/** A shard's options, from the Config. */
import { destinationsOf, type ForwardAddress, hasTls } from "../address.ts";
import type { ComparisonOptions } from "../compare/comparison.ts";
import type { IgnoreRule } from "../compare/ignore.ts";
import type { Config } from "../config.ts";
import type { DecoderOptions } from "../decode/decoder.ts";
import type { FlowTableOptions } from "../flow/flow-table.ts";
import type { DestinationOptions } from "../forward/destination-options.ts";
import type { HttpOptions } from "../forward/http-options.ts";
import type { TcpOptions } from "../forward/tcp-mode.ts";
import { readTls, type TlsMaterial } from "../forward/tls.ts";
import { policyOf } from "../policy/policy.ts";
import type { RedactRule } from "../redact/rules.ts";
import type { Files } from "./files.ts";

/** The options of a shard. */
export interface ShardOptions
  extends
    DecoderOptions,
    HttpOptions,
    TcpOptions,
    Omit<FlowTableOptions, "reassemblesServer" | "sourceWaits">,
    Omit<DestinationOptions, "tls" | "http2Tls"> {
  readonly mode: "http" | "tcp";
  /** Further destinations. */
  readonly also: readonly ForwardAddress[];
  readonly maxBufferMib: number;
  /** The material for https:// destinations; null: there is none. */
  readonly tls: TlsMaterial | null;
  /** Null: responses are not compared. */
  readonly comparison: ShardComparison | null;
  /** Undefined: no destination is a file. */
  readonly files?: Files | undefined;
}

/** The options of a shard's comparison, with its rules. */
export interface ShardComparison extends ComparisonOptions {
  readonly ignore: readonly IgnoreRule[];
  readonly redact: readonly RedactRule[];
  readonly noRedact: boolean;
  /** From 0 up to, not including, 1; Math.random unless it is given. */
  readonly random?: () => number;
}

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
