/** A destination's options, and its report. */
import type { ForwardAddress } from "../address.ts";
import type { HttpVersion } from "./counters.ts";
import type { Tls } from "./tls.ts";

/** The options of a destination. */
export interface DestinationOptions {
  readonly address: ForwardAddress;
  /** Null: plain TCP. */
  readonly tls: Tls | null;
  /** TLS for connections of HTTP/2; null: plain TCP. */
  readonly http2Tls: Tls | null;
  readonly maxRetries: number;
  /** The time limit for making a connection, while the destination is there or has been away for less. */
  readonly connectTimeoutMs: number;
  /** False: capture times are not the clock's (--read), and no delay is counted. */
  readonly measuresDelay: boolean;
}

/** Gets word of the destination's troubles. `destination`: its index, 0 for the endpoint. */
export interface DestinationReport {
  outageBegan(reason: string, destination?: number): void;
  outageEnded(durationMs: number, lostConnections: number, destination?: number): void;
  /**
   * The destination does not speak this version, and gets no more requests of it; reported once until {@link speaks}.
   */
  speaksNot(version: HttpVersion, why: string, destination?: number): void;
  /** The destination speaks this version again, after `durationMs`. */
  speaks(version: HttpVersion, durationMs: number, destination?: number): void;
  givenUp(why: string, lostBytes: number, destination?: number): void;
  /** The destination has ended a connection with unsent bytes. `isSilent`: it has sent nothing on that connection. */
  broken(how: "closed" | "reset", lostBytes: number, isSilent: boolean, destination?: number): void;
}

/** A report for one of several destinations. */
export function reportOf(report: DestinationReport, destination: number): DestinationReport {
  return {
    outageBegan: (reason) => report.outageBegan(reason, destination),
    outageEnded: (durationMs, lost) => report.outageEnded(durationMs, lost, destination),
    speaksNot: (version, why) => report.speaksNot(version, why, destination),
    speaks: (version, durationMs) => report.speaks(version, durationMs, destination),
    givenUp: (why, lostBytes) => report.givenUp(why, lostBytes, destination),
    broken: (how, lostBytes, isSilent) => report.broken(how, lostBytes, isSilent, destination),
  };
}
