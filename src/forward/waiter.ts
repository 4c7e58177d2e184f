/** A pipe with requests that wait for their turn. It may have to give way if memory is short. */
import { Aged } from "../memory/age-list.ts";

/**
 * A request that has stood still for this long gives way to others if memory is short. For requests under way it is the
 * capture's time.
 */
export const STALLED_MS = 1000;

/** A pipe, as seen by the lists of those that may give way. */
export abstract class Waiter extends Aged<Waiter> {
  /** When a request was last sent or responded to, or the first one began to wait; exact to a tick. */
  progressMs = 0;

  /**
   * It has given way with a request that was not responded to, and no request of it has been responded to since.
   * Then it takes nobody's place. Otherwise those who get no responses would take turns, and leave newcomers next to
   * nothing.
   */
  hasGivenWay = false;

  /**
   * When the wait for a response began, or its last bytes came; Infinity: the pipe does not give way for a slow
   * response.
   */
  abstract get awaitedSinceMs(): number;

  /** Whether it has no request, and no connection that carries another protocol. */
  abstract get isIdle(): boolean;
  /** Ends a connection that waits for nothing. */
  abstract rest(): void;
  /**
   * Gives way to others: drops the waiting requests without the one that waits for a connection, or the last `count` of
   * them; if no request waits, gives up the connection that waits for a response.
   */
  abstract giveWay(count?: number): void;
  /** Sends the requests that are due. */
  abstract pump(): void;
}
