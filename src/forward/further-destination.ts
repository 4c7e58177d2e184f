/**
 * A destination beside the endpoint (--also) in --mode http: the part that its pipes share. It has connections, queues,
 * memory and counters of its own, so that it costs the other destinations nothing, whatever it does. If its memory is
 * full, requests are dropped and counted here. Its responses are recorded on its pipes' connections, as the endpoint's
 * are.
 */
import { AgeList } from "../memory/age-list.ts";
import { Holders } from "../memory/holders.ts";
import type { DamageReason } from "../http/request-sink.ts";
import type { ForwardCounters, RequestDrop } from "./counters.ts";
import { type Destination, RELIEVED_SHARE } from "./destination.ts";
import type { ResponseComparison } from "./exchange.ts";
import type { HttpOptions } from "./http-options.ts";
import { Load } from "./load.ts";
import { RequestPool } from "./request.ts";
import type { PipeHost } from "./pipe-host.ts";
import type { Waiter } from "./waiter.ts";

/** A further destination in --mode http. */
export class FurtherDestination implements PipeHost {
  readonly requests: RequestPool;
  readonly load = new Load();
  readonly waiters = new AgeList<Waiter>();
  readonly awaited = new AgeList<Waiter>();
  readonly holders = new Holders();
  /** Pipes that wait need not be listed: if the memory of this destination is full, new requests are dropped. */
  readonly isTight = false;
  /** Pipes that have nothing to do, the one that has been idle longest first; listed only while memory is tight. */
  readonly idle = new AgeList<Waiter>();

  /** Pipes with requests that are due, because responses came or the connection was lost. */
  private readonly due: Waiter[] = [];

  /**
   * `pieceBytesMax`: longer requests are held in several arrays. `flush`: sends the due requests of all further
   * destinations.
   */
  constructor(
    readonly destination: Destination,
    readonly options: HttpOptions,
    pieceBytesMax: number,
    private readonly flush: () => void,
    /** Null: the responses are not compared. */
    readonly comparison: ResponseComparison | null,
  ) {
    this.requests = new RequestPool(destination.memory, pieceBytesMax);
  }

  get counters(): ForwardCounters {
    return this.destination.counters;
  }

  pumpSoon(pipe: Waiter): void {
    this.due.push(pipe);
    if (this.due.length === 1) this.destination.afterEvents(this.flush);
  }

  /** Sends the requests that are due. Returns whether there were any. */
  pump(): boolean {
    if (this.due.length === 0) return false;
    for (let i = 0; i < this.due.length; i++) this.due[i]!.pump();
    this.due.length = 0;
    return true;
  }

  get isFile(): boolean {
    return this.destination.options.address.file !== undefined;
  }

  hasRoomFor(bytes: number): boolean {
    return this.destination.memory.budget.hasRoomFor(bytes);
  }

  /**
   * Whether another request may wait behind `waiting` ones of its connection. (A savefile waits only for the endpoint.)
   */
  mayWait(waiting: number): boolean {
    return waiting < this.options.maxWaitingRequests || this.options.sourceWaits;
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

  countSeen(isOdd: boolean, isIsolated: boolean): void {
    const { requests } = this.counters;
    requests.seen++;
    if (isOdd) requests.odd++;
    if (isIsolated) requests.isolated++;
  }

  countDropped(reason: RequestDrop): void {
    this.counters.requests.dropped[reason]++;
  }

  countDamaged(reason: DamageReason): void {
    const { requests } = this.counters;
    requests.seen++;
    requests.damaged++;
    requests.damage[reason]++;
  }
}
