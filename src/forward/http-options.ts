/** What --mode http is told. */
import type { ForeignProtocol } from "../http/request-sink.ts";
import type { Policy } from "../policy/policy.ts";

export interface HttpOptions {
  /** Requests on a connection that are not responded to yet. */
  readonly pipelineDepth: number;
  /**
   * Whole requests of a connection that wait for their turn; over it the newest is dropped, unless the source waits.
   */
  readonly maxWaitingRequests: number;
  /** Larger requests are streamed when it is their turn, and not sent again. */
  readonly maxRequestBytes: number;
  readonly maxHeaderBytes: number;
  /** Between two reads of a response. */
  readonly responseTimeoutMs: number;
  /** For a whole response; Infinity: no limit. */
  readonly maxResponseMs: number;
  /** For a request's head, in the capture's time. */
  readonly headerTimeoutMs: number;
  /** Silence before the FIN of a stream of another protocol is passed on. */
  readonly finDelayMs: number;
  readonly proxyProtocol: "pass" | "strip";
  /** What becomes of HTTP/2 in clear text; `auto`: what there is no reason against. */
  readonly http2: "auto" | "requests" | "pass";
  /** The source is a savefile: nothing is lost by waiting. */
  readonly sourceWaits: boolean;
  /** Null: every request is forwarded as it came. */
  readonly policy: Policy | null;
}

/** Where a stream's troubles are told. */
export interface HttpReport {
  foreign(protocol: ForeignProtocol): void;
}
