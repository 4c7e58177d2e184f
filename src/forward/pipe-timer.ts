/**
 * The one timer of a pipe: while a response is awaited, the time limits of responses; otherwise, until when a
 * connection has to be quiet before it is used again.
 */
import { Timer, type TimerOwner } from "../memory/deadlines.ts";
import type { PipeHost } from "./pipe-host.ts";

export class PipeTimer {
  /** A response is awaited. */
  isAwaiting = false;
  /** When something moved last on the connection, or a response began to be awaited. */
  movedMs = 0;
  private sinceMs = 0;
  private readonly timer: Timer;

  /** `pipe`: told when the time is over. */
  constructor(
    private readonly mode: PipeHost,
    pipe: TimerOwner,
  ) {
    this.timer = new Timer(pipe);
  }

  /** A response is awaited from now on, or none is. */
  note(isAwaiting: boolean): void {
    if (isAwaiting === this.isAwaiting) return;
    this.isAwaiting = isAwaiting;
    if (isAwaiting) {
      this.restart();
      this.moved();
    } else {
      this.mode.destination.deadlines.clear(this.timer);
    }
  }

  /** The next response is awaited from now on. */
  restart(): void {
    this.sinceMs = this.mode.destination.tickedMs;
  }

  /** Something has moved on the connection: if a response is awaited, its next byte has all its time again. */
  moved(): void {
    this.movedMs = this.mode.destination.tickedMs;
    if (this.isAwaiting) this.extend(this.movedMs);
  }

  /** No response is awaited, but a connection that has to be quiet until then. */
  awaitQuiet(dueMs: number): void {
    this.mode.destination.deadlines.set(this.timer, dueMs);
  }

  /**
   * A time limit of the response is reached. Returns why the connection is to be given up; null: it is not yet.
   * `isSending`: something waits to be written.
   */
  overdue(nowMs: number, isSending: boolean): string | null {
    const { responseTimeoutMs, maxResponseMs } = this.mode.options;
    if (nowMs - this.sinceMs >= maxResponseMs)
      return `its response took longer than ${maxResponseMs / 1000} s (--max-response-seconds)`;
    if (!isSending) return `no byte of a response within ${responseTimeoutMs} ms (--response-timeout-ms)`;
    // Nobody responds to what is still being sent: for that there is --max-retries.
    this.extend(nowMs);
    return null;
  }

  /** Nothing refers to the pipe any more, as a timer that waits for its slot does. */
  remove(): void {
    this.mode.destination.deadlines.remove(this.timer);
  }

  private extend(fromMs: number): void {
    const { responseTimeoutMs, maxResponseMs } = this.mode.options;
    const dueMs = Math.min(fromMs + responseTimeoutMs, this.sinceMs + maxResponseMs);
    this.mode.destination.deadlines.set(this.timer, dueMs);
  }
}
