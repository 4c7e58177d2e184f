/** What has requests that wait for their turn, and may have to give way where memory is short. */
import { Aged } from "../memory/age-list.ts";

export abstract class Waiter extends Aged<Waiter> {
  /** When a request was sent or responded to last, or the first one began to wait; to within a tick. */
  progressMs = 0;

  /**
   * It has given way, with a request that was not responded to, and nothing has been since: it takes nobody's place
   * again. Else those who are not responded to would take turns, and leave newcomers next to nothing.
   */
  hasGivenWay = false;

  /** When a response began to be awaited, or something of it came last; Infinity: it does not give way for that. */
  abstract get awaitedSinceMs(): number;

  /** It has no request, and no connection that carries another protocol. */
  abstract get isIdle(): boolean;
  /** A connection that waits for nothing is let go. */
  abstract rest(): void;
  /**
   * It gives way to others: the requests that wait are dropped, but for the one that waits for a connection, or the
   * last `count` of them; where none does, the connection is given up on which a response is awaited.
   */
  abstract giveWay(count?: number): void;
  /** Sends the requests whose turn it is. */
  abstract pump(): void;
}
