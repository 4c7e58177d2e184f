/** The part of a pipe to a destination that does not depend on the version of HTTP of its requests. */
import type { RequestDrop } from "./counters.ts";
import type { PipeHost } from "./pipe-host.ts";
import type { Spoken } from "./spoken.ts";
import { Waiter } from "./waiter.ts";

export abstract class Pipe extends Waiter {
  /** The client has ended. */
  protected ending = false;

  constructor(
    protected readonly mode: PipeHost,
    /** Whether the destination speaks the version of the requests. */
    protected readonly spoken: Spoken,
  ) {
    super();
  }

  /** Whether it has a connection; it may not be open yet. */
  abstract get hasConnection(): boolean;
  /** Ends the connection in order. */
  protected abstract leave(): void;

  /** The client has ended: the connection ends behind the last response. */
  finish(): void {
    this.ending = true;
    this.pump();
  }

  /** The client has been silent for long: a connection that waits for nothing is ended. */
  rest(): void {
    if (this.isIdle) this.leave();
  }

  /** The reason why the requests that wait are dropped; null: they are sent. */
  protected get refusal(): RequestDrop | null {
    if (this.mode.destination.terminated) return "stopped";
    return this.hasConnection ? null : this.spoken.refusal;
  }
}
