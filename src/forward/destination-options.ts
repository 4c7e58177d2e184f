/** What a destination is told, and what it tells. */
import type { ForwardAddress } from "../address.ts";
import type { HttpVersion } from "./counters.ts";
import type { Tls } from "./tls.ts";

export interface DestinationOptions {
  readonly address: ForwardAddress;
  /** Null: plain TCP. */
  readonly tls: Tls | null;
  /** The same, for connections of HTTP/2. */
  readonly http2Tls: Tls | null;
  readonly maxRetries: number;
  /** For a connection to be made, while the destination is there or has been away for less. */
  readonly connectTimeoutMs: number;
  /** False where capture times are not the clock's (--read): then no delay is counted. */
  readonly measuresDelay: boolean;
}

/** Where the destination's troubles are told. `destination`: which it is of several, 0 being the endpoint. */
export interface DestinationReport {
  outageBegan(reason: string, destination?: number): void;
  outageEnded(durationMs: number, lostConnections: number, destination?: number): void;
  /** It gets no requests of this version any more; told once until {@link speaks}. */
  speaksNot(version: HttpVersion, why: string, destination?: number): void;
  /** It does speak it, after so long. */
  speaks(version: HttpVersion, durationMs: number, destination?: number): void;
  givenUp(why: string, lostBytes: number, destination?: number): void;
  /** `isSilent`: it has sent nothing on that connection. */
  broken(how: "closed" | "reset", lostBytes: number, isSilent: boolean, destination?: number): void;
}

/** Tells what one of several destinations tells. */
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
