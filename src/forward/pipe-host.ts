/** The part that all pipes to a destination share, for all versions of HTTP. */
import { AgeList } from "../memory/age-list.ts";
import { Holders } from "../memory/holders.ts";
import type { Destination } from "./destination.ts";
import type { ResponseComparison } from "./exchange.ts";
import type { HttpOptions } from "./http-options.ts";
import { Load } from "./load.ts";
import { RequestPool } from "./request.ts";
import type { Waiter } from "./waiter.ts";

/** The destination of pipes, with the lists that they share. */
export abstract class PipeHost {
  readonly options: HttpOptions;
  readonly requests: RequestPool;
  readonly load = new Load();
  /** Pipes with requests that wait for their turn, the one without progress for longest first. */
  readonly waiters = new AgeList<Waiter>();
  /** The same if they stood still already (STALLED_MS) when they began to hold requests: in any order. */
  readonly stalled = new AgeList<Waiter>();
  /** Pipes that only wait for a response, the one that has waited longest first. */
  readonly awaited = new AgeList<Waiter>();
  /** Holders of requests that wait, by how much they hold. */
  readonly holders = new Holders();
  /** Pipes with requests that are due, because responses came or the connection was lost. */
  private readonly due: Waiter[] = [];

  /** `pieceBytesMax`: longer requests are held in several arrays. */
  constructor(
    readonly destination: Destination,
    options: HttpOptions,
    pieceBytesMax: number,
    /** Null: responses are not compared. */
    readonly comparison: ResponseComparison | null,
  ) {
    // Requests to a file go one by one, because each has its own time.
    this.options = destination.isFile ? { ...options, pipelineDepth: 1 } : options;
    this.requests = new RequestPool(destination.memory, pieceBytesMax);
  }

  /** Whether memory may become short: the pipes that stand still are listed only then, so that they can give way. */
  abstract get isTight(): boolean;

  /** Sends the requests that are due, and flushes. */
  protected abstract readonly afterEvents: () => void;

  /**
   * Sends a pipe's next requests when all responses that came together have been read: many requests leave together
   * then.
   */
  pumpSoon(pipe: Waiter): void {
    this.due.push(pipe);
    if (this.due.length === 1) this.destination.afterEvents(this.afterEvents);
  }

  /** Sends the requests that are due. Returns whether there were any. */
  pump(): boolean {
    if (this.due.length === 0) return false;
    for (let i = 0; i < this.due.length; i++) this.due[i]!.pump();
    this.due.length = 0;
    return true;
  }

  /** Whether another request may wait behind `waiting` ones of its connection. */
  mayWait(waiting: number): boolean {
    return waiting < this.options.maxWaitingRequests || this.options.sourceWaits;
  }
}
