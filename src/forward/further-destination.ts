/**
 * A destination beside the endpoint (--also) in --mode http: the part that its pipes share. It has connections, queues,
 * memory and counters of its own, so that it costs the other destinations nothing, whatever it does. If its memory is
 * full, requests are dropped and counted here. Its responses are recorded on its pipes' connections, as the endpoint's
 * are.
 */
import { AgeList } from "../memory/age-list.ts";
import type { ForwardCounters, RequestDrop } from "./counters.ts";
import { type Destination, RELIEVED_SHARE } from "./destination.ts";
import type { Exchange, ResponseComparison } from "./exchange.ts";
import type { HttpOptions } from "./http-options.ts";
import { PipeHost } from "./pipe-host.ts";
import type { Waiter } from "./waiter.ts";

/** A further destination in --mode http. */
export class FurtherDestination extends PipeHost {
  /** Pipes that wait need not be listed: if the memory of this destination is full, new requests are dropped. */
  readonly isTight = false;
  /** Pipes that have nothing to do, the one that has been idle longest first; listed only while memory is tight. */
  readonly idle = new AgeList<Waiter>();

  /** `afterEvents`: sends the due requests of all further destinations. `comparison` null: it is not the control. */
  constructor(
    destination: Destination,
    options: HttpOptions,
    pieceBytesMax: number,
    comparison: ResponseComparison | null,
    protected readonly afterEvents: () => void,
  ) {
    super(destination, options, pieceBytesMax, comparison);
  }

  get counters(): ForwardCounters {
    return this.destination.counters;
  }

  hasRoomFor(bytes: number): boolean {
    return this.destination.memory.budget.hasRoomFor(bytes);
  }

  /** Why a request that would hold `bytes` may not wait behind `waiting` others of its connection; null: it may. */
  refusalOf(waiting: number, bytes: number): RequestDrop | null {
    if (!this.mayWait(waiting)) return "waiting_limit";
    return this.hasRoomFor(bytes) ? null : "buffer_limit";
  }

  /** A request's exchange with the control; null: this destination is not the control, or nothing is compared. */
  controlOf(exchange: Exchange | null): Exchange | null {
    return this.comparison === null || exchange === null ? null : exchange.control;
  }

  /** A request's exchange here: the control's response is compared, and a file gets production's. */
  exchangeOf(exchange: Exchange | null): Exchange | null {
    return this.destination.isFile ? (exchange?.toFile() ?? null) : this.controlOf(exchange);
  }

  /** A pipe has no work: it may have to give way. */
  file(pipe: Waiter): void {
    if (this.destination.memory.budget.isTight && pipe.isIdle) this.idle.append(pipe);
  }

  /**
   * The batch is over: if memory is short, connections are ended: idle ones, the longest idle first, then those that
   * hold most.
   */
  relieve(): void {
    const { destination, idle } = this;
    const { budget } = destination.memory;
    const wantedBytes = budget.limitBytes * RELIEVED_SHARE;
    while (!budget.hasRoomFor(wantedBytes) && idle.oldest !== null) {
      const pipe = idle.oldest;
      idle.remove(pipe);
      pipe.rest();
      destination.flush();
      destination.endWritten();
    }
    destination.endWritten();
    destination.giveUpHolders();
  }
}
