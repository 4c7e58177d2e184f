/** The options of --mode http. */
import type { ForeignProtocol } from "../http/request-sink.ts";
import type { Policy } from "../policy/policy.ts";

/** The options of --mode http. */
export interface HttpOptions {
  /** The most requests on a connection that are not responded to yet. */
  readonly pipelineDepth: number;
  /**
   * The most whole requests of a connection that wait for their turn; beyond it the newest is dropped, unless the
   * source waits.
   */
  readonly maxWaitingRequests: number;
  /** Larger requests are streamed when it is their turn, and not sent again. */
  readonly maxRequestBytes: number;
  readonly maxHeaderBytes: number;
  /** The time limit between two reads of a response. */
  readonly responseTimeoutMs: number;
  /** The time limit for a whole response; Infinity: no limit. */
  readonly maxResponseMs: number;
  /** The time limit for a request's head, in the capture's time. */
  readonly headerTimeoutMs: number;
  /** Silence before the FIN of a stream of another protocol is passed on. */
  readonly finDelayMs: number;
  readonly proxyProtocol: "pass" | "strip";
  /** How HTTP/2 in clear text is taken; `auto`: as requests, unless an option speaks against that. */
  readonly http2: "auto" | "requests" | "pass";
  /** The source is a savefile: nothing is lost by waiting. */
  readonly sourceWaits: boolean;
  /** Null: every request is forwarded unchanged. */
  readonly policy: Policy | null;
}

/** Gets word of a stream's troubles. */
export interface HttpReport {
  foreign(protocol: ForeignProtocol): void;
}
