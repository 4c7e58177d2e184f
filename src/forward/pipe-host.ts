/** What all pipes to a destination share, of whatever version of HTTP. */
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
  /** Pipes whose requests wait for their turn; since memory is tight. */
  readonly waiters: AgeList<Waiter>;
  /** Those that wait for nothing but a response; the same. */
  readonly awaited: AgeList<Waiter>;
  /** What holds requests that wait, by how much; the same. */
  readonly holders: Holders;
  readonly isTight: boolean;
  /** Sends the pipe's next requests when the responses that came with this one have been read. */
  pumpSoon(pipe: Waiter): void;
}
