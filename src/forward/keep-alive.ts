/**
 * What is known of how a destination keeps its connections: some servers close each one after its response, or after
 * a few, without saying so, and whoever then writes the next request loses it. So, until a destination has shown that
 * it keeps connections, a request that may not be repeated follows another only on one connection at a time, and only
 * when that has been silent for a moment. Where two connections in a row were closed without notice behind the same
 * number of responses, none gets more requests than that; every now and then one is tried again.
 */

/** How long a connection must have been silent behind a response to be taken for one that stays open. */
export const QUIET_MS = 50;
/** A close so soon behind a response is the server's habit, and not its time limit for idle connections. */
const PROMPT_MS = 100;
/** How often it is tried whether a destination with a limit still has it. */
const PROBE_MS = 10_000;

/** A connection as far as this goes. */
export interface Carrier {
  /** Responses that are complete. */
  readonly responded: number;
  /** When the last of them was. */
  readonly respondedMs: number;
}

export class KeepAlive {
  /** Responses that a connection carries; Infinity: no limit is known. */
  private limit = Infinity;
  /** A connection has carried a further request. */
  private isProven = false;
  /**
   * Behind how many responses the last connection was closed that was closed without notice; 0: another was not,
   * since.
   */
  private lastClosedBehind = 0;
  /** The connection on which it is tried whether it is kept; null: none is. */
  private probe: Carrier | null = null;
  private probedMs = -Infinity;

  /** From when on a connection may carry another request; Infinity: it may not. `mayRepeat`: it could be sent again. */
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

  /** The destination has closed a connection, of which the last response did not say so. */
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

  /** A connection is left: nothing can be learned from it any more. */
  left(connection: Carrier): void {
    if (connection === this.probe) this.probe = null;
  }

  private beginProbe(connection: Carrier, nowMs: number): void {
    this.probe = connection;
    this.probedMs = nowMs;
  }
}
