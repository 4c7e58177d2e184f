/** The part that all pipes to a destination share, for all versions of HTTP. */
import type { AgeList } from "../memory/age-list.ts";
import type { Holders } from "../memory/holders.ts";
import type { Destination } from "./destination.ts";
import type { ResponseComparison } from "./exchange.ts";
import type { HttpOptions } from "./http-options.ts";
import type { Load } from "./load.ts";
import type { RequestPool } from "./request.ts";
import type { Waiter } from "./waiter.ts";

export interface PipeHost {
  readonly destination: Destination;
  readonly options: HttpOptions;
  readonly requests: RequestPool;
  readonly load: Load;
  /** Null: responses are not compared. */
  readonly comparison: ResponseComparison | null;
  /** Pipes with requests that wait for their turn; listed only while memory is tight. */
  readonly waiters: AgeList<Waiter>;
  /** Pipes that only wait for a response; listed only while memory is tight. */
  readonly awaited: AgeList<Waiter>;
  /** Holders of requests that wait, by how much they hold; listed only while memory is tight. */
  readonly holders: Holders;
  readonly isTight: boolean;
  /** Sends the pipe's next requests when all responses that came together have been read. */
  pumpSoon(pipe: Waiter): void;
}
