/** The part that a conversation shares with all others, and with its client connection. */
import type { StreamOrigin } from "../flow/stream.ts";
import type { Aged, AgeList } from "../memory/age-list.ts";
import type { ComparedStream } from "./exchange.ts";
import type { FurtherDestination } from "./further-destination.ts";
import type { HttpReport } from "./http-options.ts";
import type { Remains } from "./remains.ts";
import type { RequestHost } from "./request-host.ts";

/** The place of the next bytes. */
export const Step = {
  /** At the connection's first byte. */
  START: 0,
  /** Between two requests. */
  BETWEEN: 1,
  /** Perhaps within a request: the connection was not seen from its start. */
  LOST: 2,
  /** Behind a request that was lost, and counted. */
  BEHIND_LOSS: 3,
  /** Later bytes cannot be understood. */
  DEAF: 4,
} as const;

/** The part that all conversations share. */
export interface ConversationHost<Conversation extends Aged<Conversation>> extends RequestHost {
  /** The destinations beside the endpoint. */
  readonly further: readonly FurtherDestination[];
  readonly report: HttpReport;
  /** Conversations with nothing under way, the longest idle first; listed only while memory is tight. */
  readonly idle: AgeList<Conversation>;
  /** Conversations with a part of a request, the one that has stood still longest first. */
  readonly partial: AgeList<Conversation>;
  /** Conversations that hold bytes behind an offer of another protocol, the longest silent first. */
  readonly offering: AgeList<Conversation>;
  /** Bytes have come for a conversation: it is settled when the batch is over. */
  touch(conversation: Conversation): void;
  /** A further destination has done something for a conversation: its branches are settled when the batch is over. */
  touchBranches(conversation: Conversation): void;
  /** Whether `bytes` more may be held; conversations that stand still give way, but never `asking`. */
  makeRoom(bytes: number, asking: Conversation | null, hasGivenWay: boolean): boolean;
}

/** The client connection of a conversation. */
export interface ConversationOwner {
  readonly origin: StreamOrigin;
  /** The bytes of a PROXY protocol header, for the conversations after the one that read it; null: there was none. */
  preface: Uint8Array | null;
  /** The client's address by a PROXY protocol header; null: none has told it. */
  client: string | null;
  /** The client does not speak HTTP. */
  isForeign: boolean;
  /** Pairs requests with production's responses; null: responses are not compared. */
  readonly response: ComparedStream | null;
  /** Policy has left out the rest of the connection. */
  isLeftOut: boolean;
  /** The conversation before has given way (Waiter). */
  hasGivenWay: boolean;
  /**
   * The conversation is over for now: the next bytes begin another, at this {@link Step}, which goes on with `remains`.
   * `bodyLeft`: how many bytes of a lost request's body are still to come.
   */
  forget(step: number, bodyLeft: number, remains: Remains | null): void;
  /** Counts bytes that can neither be framed nor passed. */
  countDeaf(length: number): void;
}
