/**
 * Learns how long a destination keeps its connections. Some servers close each connection after its response, or after
 * a few, without notice, and a request that is written then is lost. So, until a destination has shown that it keeps
 * connections, a request that may not be repeated follows another only on one connection at a time, and only when that
 * connection has been silent for a moment. If two connections in a row were closed without notice behind the same
 * number of responses, no connection gets more requests than that; now and then one is tried with more.
 */

/** How long a connection must have been silent behind a response before it counts as one that stays open. */
export const QUIET_MS = 50;
/** A close this soon behind a response is the server's habit, and not its time limit for idle connections. */
export const PROMPT_MS = 100;
/** How often a connection is tried with more requests than the known limit. */
export const PROBE_MS = 10_000;

/** A connection, as seen here. */
export interface Carrier {
  /** Responses that are complete. */
  readonly responded: number;
  /** When the last of them was complete. */
  readonly respondedMs: number;
}

/** The keep-alive habits of one destination. */
export class KeepAlive {
  /** The most responses that a connection carries; Infinity: no limit is known. */
  private limit = Infinity;
  /** A connection has carried a further request. */
  private isProven = false;
  /** The number of responses on the last connection that was closed without notice; 0: since then, one was not. */
  private lastClosedBehind = 0;
  /** The connection that is tried with more requests; null: none is. */
  private probe: Carrier | null = null;
  private probedMs = -Infinity;

  /**
   * The time from which on a connection may carry another request; Infinity: it may not. `mayRepeat`: the request could
   * be sent again.
   */
  reuseFromMs(connection: Carrier, mayRepeat: boolean, nowMs: number): number {
    if (connection.responded >= this.limit && connection !== this.probe) {
      if (nowMs - this.probedMs < PROBE_MS) return Infinity;
      this.beginProbe(connection, nowMs);
      this.isProven = false;
    }
    if (mayRepeat || this.isProven || connection.responded === 0) return nowMs;
    if (this.probe !== null && connection !== this.probe && nowMs - this.probedMs < PROBE_MS) return Infinity;
    if (connection !== this.probe) this.beginProbe(connection, nowMs);
    return connection.respondedMs + QUIET_MS;
  }

  /** A connection's response is complete. */
  responded(connection: Carrier): void {
    if (connection.responded < 2) return;
    this.isProven = true;
    this.lastClosedBehind = 0;
    this.probe = null;
    if (connection.responded > this.limit) this.limit = Infinity;
  }

  /** The destination has closed a connection, and the last response did not announce it. */
  closed(connection: Carrier, nowMs: number): void {
    if (connection === this.probe) this.probe = null;
    const { responded, respondedMs } = connection;
    if (responded === 0 || nowMs - respondedMs > PROMPT_MS) return;
    if (!this.isProven || this.lastClosedBehind === responded) {
      this.limit = responded;
      this.probedMs = nowMs;
    }
    this.lastClosedBehind = responded;
  }

  /** A connection was ended by us: nothing more can be learned from it. */
  left(connection: Carrier): void {
    if (connection === this.probe) this.probe = null;
  }

  private beginProbe(connection: Carrier, nowMs: number): void {
    this.probe = connection;
    this.probedMs = nowMs;
  }
}
