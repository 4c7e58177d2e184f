/**
 * One client connection in --mode http. It is small while no bytes come: the {@link Conversation} that frames them
 * begins with the first byte, and gives way to others if memory is short.
 */
import type { StreamConsumer, StreamEnd, StreamOrigin } from "../flow/stream.ts";
import { Cost } from "../memory/budget.ts";
import { type ConversationHost, type ConversationOwner, Step } from "./conversation-host.ts";
import { Conversation } from "./conversation.ts";
import type { ComparedStream } from "./exchange.ts";
import type { Remains } from "./remains.ts";

/** The least cost of a connection, once bytes have come on it. */
export const PLACE_BYTES = Cost.STREAM + Cost.UPSTREAM;

/** The part that all client connections share. */
export interface StreamHost extends ConversationHost<Conversation> {
  /** One or more requests found no room for a conversation. */
  countLost(): void;
}

/** The consumer of one client connection in --mode http. */
export class HttpStream implements StreamConsumer, ConversationOwner {
  private conversation: Conversation | null = null;
  private step: number;
  /** Takes the server's side (StreamConsumer); null: responses are not compared. */
  readonly response: ComparedStream | null;
  /** How many bytes are still to come of the body of a request that was lost with its conversation. */
  private bodyLeft = 0;
  /** The requests that the conversation before has on their way. */
  private remains: Remains | null = null;
  // (ConversationOwner)
  preface: Uint8Array | null = null;
  client: string | null = null;
  isForeign = false;
  isLeftOut = false;
  hasGivenWay = false;

  constructor(
    private readonly mode: StreamHost,
    readonly origin: StreamOrigin,
  ) {
    this.step = origin.hasSyn ? Step.START : Step.LOST;
    this.response = mode.comparison === null ? null : mode.comparison.openStream(origin);
  }

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    const conversation = this.conversation ?? this.begin();
    if (conversation === null) this.pass(length);
    else conversation.data(bytes, offset, length, timestampMs);
  }

  gap(length: number): void {
    if (this.conversation !== null) this.conversation.gap(length);
    else if (this.step >= Step.LOST) {
      this.bodyLeft = Math.max(this.bodyLeft - length, 0);
      this.response?.otherBytes(length);
    } else if (this.begin() !== null) this.conversation!.gap(length);
    else this.response?.otherBytes(length);
  }

  end(how: StreamEnd): void {
    // An evicted stream may go on (continue).
    if (how === "evicted") this.conversation?.evict();
    else this.conversation?.end();
    if (how !== "evicted") this.remains?.finish();
    this.conversation = null;
  }

  /** (StreamConsumer) */
  get mayGoOn(): boolean {
    if (this.remains?.isOver === true) this.remains = null;
    const { step, bodyLeft, remains, preface, isForeign, isLeftOut } = this;
    return step !== Step.LOST || bodyLeft > 0 || remains !== null || preface !== null || isForeign || isLeftOut;
  }

  /**
   * The client's bytes go on where an evicted stream of the same client stood. `missing`: how many bytes between were
   * not seen.
   */
  continue(evicted: HttpStream, missing: number): void {
    this.preface = evicted.preface;
    this.client = evicted.client;
    this.isForeign = evicted.isForeign;
    this.isLeftOut = evicted.isLeftOut;
    this.remains = evicted.remains;
    // The place behind missing bytes is known if they lie within the body of a lost request.
    const isKnown = missing === 0 || missing <= evicted.bodyLeft || evicted.step === Step.DEAF;
    this.step = isKnown ? evicted.step : Step.LOST;
    this.bodyLeft = isKnown ? Math.max(evicted.bodyLeft - missing, 0) : 0;
  }

  idle(): boolean {
    return this.conversation?.rest() ?? !this.mode.options.sourceWaits;
  }

  forget(step: number, bodyLeft: number, remains: Remains | null): void {
    this.conversation = null;
    this.remains = remains;
    this.step = step;
    this.bodyLeft = bodyLeft;
  }

  countDeaf(length: number): void {
    const { requests, foreign, streams } = this.mode.destination.counters;
    this.response?.otherBytes(length);
    if (this.isLeftOut) streams.dropped_bytes += length;
    else if (this.isForeign) foreign.discarded_bytes += length;
    else requests.skipped_bytes += length;
  }

  private pass(length: number): void {
    this.bodyLeft = Math.max(this.bodyLeft - length, 0);
    this.countDeaf(length);
  }

  /** Begins a conversation. Null: the bytes cannot be understood, or there is no room for another conversation. */
  private begin(): Conversation | null {
    if (this.step === Step.DEAF) return null;
    if (!this.mode.makeRoom(PLACE_BYTES, null, this.hasGivenWay)) {
      // One request is counted as lost with it; where the next begins is not known.
      if (this.step < Step.LOST) {
        this.mode.countLost();
        this.response?.dropped();
      }
      this.step = Step.BEHIND_LOSS;
      return null;
    }
    this.response?.restart(this.step >= Step.LOST);
    this.conversation = new Conversation(this.mode, this, this.step, this.bodyLeft, this.remains);
    this.remains = null;
    return this.conversation;
  }
}
