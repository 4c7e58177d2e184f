/**
 * The one timer of a pipe. While a response is awaited, it has the time limits of responses; otherwise, the time until
 * which a connection has to be quiet before it is used again.
 */
import { Timer, type TimerOwner } from "../memory/deadlines.ts";
import type { PipeHost } from "./pipe-host.ts";

/** The timer of one pipe. */
export class PipeTimer {
  /** A response is awaited. */
  isAwaiting = false;
  /** When bytes last moved on the connection, or the wait for a response began. */
  movedMs = 0;
  private sinceMs = 0;
  private readonly timer: Timer;

  /** `pipe` hears when the time is over. */
  constructor(
    private readonly mode: PipeHost,
    pipe: TimerOwner,
  ) {
    this.timer = new Timer(pipe);
  }

  /** Notes whether a response is awaited from now on. */
  note(isAwaiting: boolean): void {
    if (isAwaiting === this.isAwaiting) return;
    this.isAwaiting = isAwaiting;
    if (isAwaiting) {
      this.restart();
      this.moved();
      this.extend(this.movedMs);
    } else {
      this.mode.destination.deadlines.clear(this.timer);
    }
  }

  /** The next response is awaited from now on. */
  restart(): void {
    this.sinceMs = this.mode.destination.tickedMs;
  }

  /**
   * Bytes have moved on the connection: if a response is awaited, the time limit of its next byte begins anew. (The
   * timer is moved when it is due, because bytes come often.)
   */
  moved(): void {
    this.movedMs = this.mode.destination.tickedMs;
  }

  /** No response is awaited, but the connection has to be quiet until `dueMs`. */
  awaitQuiet(dueMs: number): void {
    this.mode.destination.deadlines.set(this.timer, dueMs);
  }

  /**
   * The timer is due. Returns why the connection is to be given up; null: no time limit of the response is reached.
   * `isSending`: bytes wait to be written.
   */
  overdue(nowMs: number, isSending: boolean): string | null {
    const { responseTimeoutMs, maxResponseMs } = this.mode.options;
    if (nowMs - this.sinceMs >= maxResponseMs)
      return `its response took longer than ${maxResponseMs / 1000} s (--max-response-seconds)`;
    const isSilent = nowMs >= this.movedMs + responseTimeoutMs;
    if (isSilent && !isSending) return `no byte of a response within ${responseTimeoutMs} ms (--response-timeout-ms)`;
    // A request that is still being sent has no response yet: --max-retries bounds that time.
    this.extend(isSilent ? nowMs : this.movedMs);
    return null;
  }

  /** Removes the timer, so that it does not keep a reference to the pipe until its slot is due. */
  remove(): void {
    this.mode.destination.deadlines.remove(this.timer);
  }

  private extend(fromMs: number): void {
    const { responseTimeoutMs, maxResponseMs } = this.mode.options;
    const dueMs = Math.min(fromMs + responseTimeoutMs, this.sinceMs + maxResponseMs);
    this.mode.destination.deadlines.set(this.timer, dueMs);
  }
}
