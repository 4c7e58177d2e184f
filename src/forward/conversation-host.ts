/** What a conversation shares with all others, and with the client connection that it is of. */
import type { StreamOrigin } from "../flow/stream.ts";
import type { ProxyClient } from "../http/proxy-protocol.ts";
import type { Aged, AgeList } from "../memory/age-list.ts";
import type { Deadlines } from "../memory/deadlines.ts";
import type { ComparedStream } from "./exchange.ts";
import type { FurtherDestination } from "./further-destination.ts";
import type { HttpReport } from "./http-options.ts";
import type { RequestHost } from "./request-under-way.ts";

/** Where the bytes that come next lie. */
export const Step = {
  /** The connection's first. */
  START: 0,
  /** Between two requests. */
  BETWEEN: 1,
  /** Within a request, or not: the connection was not seen from its start. */
  LOST: 2,
  /** Behind what was lost, and counted. */
  BEHIND_LOSS: 3,
  /** Nothing that comes can be understood any more. */
  DEAF: 4,
} as const;

/** What all conversations share. */
export interface ConversationHost<Conversation extends Aged<Conversation>> extends RequestHost {
  /** Those beside the endpoint. */
  readonly further: readonly FurtherDestination[];
  readonly report: HttpReport;
  /** The time limits of heads, in the capture's time. */
  readonly heads: Deadlines;
  /** The capture's time. */
  readonly captureMs: number;
  /** Those that have nothing under way, the longest first. */
  readonly idle: AgeList<Conversation>;
  /** Those that have a part of a request, the one that has stood still longest first. */
  readonly partial: AgeList<Conversation>;
  /** Those that hold what follows an offer of another protocol, the longest silent first. */
  readonly offering: AgeList<Conversation>;
  /** Something has come for a conversation: it is settled when the batch is over. */
  touch(conversation: Conversation): void;
  /** A further destination has done something for it: the same, but for the endpoint. */
  touchBranches(conversation: Conversation): void;
  /** Whether so many bytes may be held more; what stands still gives way, but never `asking`. */
  makeRoom(bytes: number, asking: Conversation | null, hasGivenWay: boolean): boolean;
}

/** The client connection that a conversation is of. */
export interface ConversationOwner {
  readonly origin: StreamOrigin;
  /** What a PROXY protocol header has told, for the conversations after the one that read it. */
  preface: Uint8Array | null;
  client: ProxyClient | null;
  /** It speaks another protocol than HTTP. */
  isForeign: boolean;
  /** Where responses are compared; null: they are not. */
  readonly response: ComparedStream | null;
  /** Policy has left out all that comes. */
  isLeftOut: boolean;
  /** The conversation before has given way (Waiter). */
  hasGivenWay: boolean;
  /**
   * The conversation is over for now: the next bytes begin another, at this {@link Step}. `bodyLeft`: what of the body
   * of a request that is lost is still to come.
   */
  forget(step: number, bodyLeft: number): void;
  /** Counts bytes that nothing can be done with. */
  countDeaf(length: number): void;
}
