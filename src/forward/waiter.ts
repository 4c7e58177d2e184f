/** What has requests that wait for their turn, and may have to give way where memory is short. */
import { Aged } from "../memory/age-list.ts";

export abstract class Waiter extends Aged<Waiter> {
  /** When a request was sent or responded to last, or the first one began to wait; to within a tick. */
  progressMs = 0;

  /** It has no request, and no connection that carries another protocol. */
  abstract get isIdle(): boolean;
  /** A connection that waits for nothing is let go. */
  abstract rest(): void;
  /** Its requests give way to others: those that wait are dropped. */
  abstract giveWay(): void;
  /** Sends the requests whose turn it is. */
  abstract pump(): void;
}
