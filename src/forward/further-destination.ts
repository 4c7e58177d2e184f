/**
 * A destination beside the endpoint (--also) in --mode http: what its pipes share. It has connections, queues, memory
 * and counters of its own, so that whatever it does costs the others nothing; where its memory is full, what comes is
 * dropped, and counted here. Whoever wants its responses listens on its pipes' connections, as for the endpoint.
 */
import { AgeList } from "../memory/age-list.ts";
import { Holders } from "../memory/holders.ts";
import type { DamageReason } from "../http/request-sink.ts";
import type { ForwardCounters, RequestDrop } from "./counters.ts";
import type { Destination } from "./destination.ts";
import type { ResponseComparison } from "./exchange.ts";
import type { HttpOptions } from "./http-options.ts";
import { Load } from "./load.ts";
import { RequestPool } from "./request.ts";
import type { PipeHost } from "./pipe-host.ts";
import type { Waiter } from "./waiter.ts";

/** Of its memory, what is free again when idle connections have been ended. */
const RELIEVED_SHARE = 1 / 8;

export class FurtherDestination implements PipeHost {
  readonly requests: RequestPool;
  readonly load = new Load();
  readonly waiters = new AgeList<Waiter>();
  readonly awaited = new AgeList<Waiter>();
  readonly holders = new Holders();
  /** Nobody needs to know which pipes wait: what comes to a destination whose memory is full is dropped. */
  readonly isTight = false;
  /** Pipes that have nothing to do, the one that has been idle longest first; since memory is tight. */
  readonly idle = new AgeList<Waiter>();

  /** Pipes that got responses, or lost their connection, whose next requests are due. */
  private readonly due: Waiter[] = [];

  /** `pieceBytesMax`: longer requests are held in several arrays. `flush`: sends what is due of all of them. */
  constructor(
    readonly destination: Destination,
    readonly options: HttpOptions,
    pieceBytesMax: number,
    private readonly flush: () => void,
    /** Null: its responses are not compared. */
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

  /** Sends the requests whose turn it is. Returns whether there were any. */
  pump(): boolean {
    if (this.due.length === 0) return false;
    for (let i = 0; i < this.due.length; i++) this.due[i]!.pump();
    this.due.length = 0;
    return true;
  }

  /** Whether all that was handed on has come to its end. */
  get isSettled(): boolean {
    return this.destination.openCount === 0 && this.load.busyPipes === 0;
  }

  get isFile(): boolean {
    return this.destination.options.address.file !== undefined;
  }

  hasRoomFor(bytes: number): boolean {
    return this.destination.memory.budget.hasRoomFor(bytes);
  }

  /** Whether another request may wait behind so many of its connection. The source waits for the endpoint alone. */
  mayWait(waiting: number): boolean {
    return waiting < this.options.maxWaitingRequests || this.options.sourceWaits;
  }

  /** A pipe has done what it had to: it may have to give way. */
  file(pipe: Waiter): void {
    if (this.destination.memory.budget.isTight && pipe.isIdle) this.idle.append(pipe);
  }

  /**
   * The batch is over: where memory is short, idle connections end, the longest idle first, then those that hold most.
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
