/** The configuration of the program, in its own words. cli fills it from the command line. */
import type { ForwardAddress, ListenAddress } from "./address.ts";
import type { IgnoreRule } from "./compare/ignore.ts";
import type { Encapsulation } from "./decode/tunnel.ts";
import type { LogFormat, LogLevel } from "./observe/log.ts";
import type { PolicyOptions } from "./policy/policy.ts";
import type { RedactRule } from "./redact/rules.ts";

/** The values of --mode. */
export const MODES = ["http", "tcp"] as const;
/** One of {@link MODES}. */
export type Mode = (typeof MODES)[number];

/** The ways to treat a client's PROXY protocol header. */
export const PROXY_PROTOCOL_WAYS = ["pass", "strip"] as const;
/** One of {@link PROXY_PROTOCOL_WAYS}. */
export type ProxyProtocol = (typeof PROXY_PROTOCOL_WAYS)[number];

/** The ways to treat HTTP/2 in clear text. */
export const HTTP2_WAYS = ["auto", "requests", "pass"] as const;
/** One of {@link HTTP2_WAYS}. */
export type Http2Way = (typeof HTTP2_WAYS)[number];

/** The configuration. A field for a flag has the flag's name, and --help explains it. */
export interface Config extends PolicyOptions {
  /** Messages for the operator about the options, in words. */
  readonly told: readonly string[];
  /** Undefined: a savefile is read. */
  readonly interfaceName: string | undefined;
  /** Paths of savefiles; `-`: standard input; undefined: an interface is captured. */
  readonly read: readonly string[] | undefined;
  readonly follow: boolean;
  /** How much faster than captured; `max`: as fast as the endpoint takes it. */
  readonly speed: number | "max";
  /** Undefined: nothing is recorded. */
  readonly record: string | undefined;
  readonly recordMaxMib: number;
  /** Infinity: the time is not limited. */
  readonly recordMaxS: number;
  readonly recordFiles: number;
  readonly fileMaxMib: number;
  readonly loop: number;
  readonly encapsulation: Encapsulation;
  readonly vnis: readonly number[] | "any";
  readonly ports: readonly number[];
  /** The endpoint. */
  readonly address: ForwardAddress;
  /** Further destinations. */
  readonly also: readonly ForwardAddress[];
  /** The last of {@link also}, where there is one. */
  readonly control: ForwardAddress | undefined;
  readonly mode: Mode;
  readonly maxPendingPackets: number;
  /**
   * Infinity: no limit. In a savefile, waiting for a hole delays no client, and the bytes that fill it may come late in
   * the file.
   */
  readonly gapTimeoutMs: number;
  readonly maxRetries: number;
  readonly threads: number;
  readonly vxlanPort: number;
  readonly idleTimeoutS: number;
  readonly connectTimeoutMs: number;
  readonly outageTimeoutS: number;
  readonly headerTimeoutS: number;
  readonly responseTimeoutMs: number;
  /** Infinity: no limit. */
  readonly maxResponseSeconds: number;
  readonly finDelayMs: number;
  readonly pipelineDepth: number;
  readonly maxWaitingRequests: number;
  readonly maxRequestBytes: number;
  readonly maxHeaderBytes: number;
  readonly proxyProtocol: ProxyProtocol;
  readonly http2: Http2Way;
  readonly tlsCa: string | undefined;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  /** Undefined: each destination's own name. */
  readonly tlsServerName: string | undefined;
  readonly tlsInsecure: boolean;
  readonly maxFlows: number;
  readonly maxBufferMib: number;
  readonly captureBufferMib: number;
  readonly compare: boolean;
  /** The share of the requests, from 0 to 1. */
  readonly compareSample: number;
  readonly maxCompareBytes: number;
  readonly ignore: readonly IgnoreRule[];
  readonly differences: string | undefined;
  readonly failOnDifferences: boolean;
  readonly redact: readonly RedactRule[];
  readonly noRedact: boolean;
  readonly libpcap: string | undefined;
  /** The user that root becomes after the start; undefined: root stays. */
  readonly user: string | undefined;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly summary: string | undefined;
  /** Undefined: no admin port is opened. */
  readonly admin: ListenAddress | undefined;
}
