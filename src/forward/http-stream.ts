/**
 * One client connection in --mode http. It is little while nothing comes: the {@link Conversation} that frames its
 * bytes begins with them, and gives way to others where memory is short.
 */
import type { StreamConsumer, StreamEnd, StreamOrigin } from "../flow/stream.ts";
import type { ProxyClient } from "../http/proxy-protocol.ts";
import { Cost } from "../memory/budget.ts";
import { type ConversationHost, type ConversationOwner, Step } from "./conversation-host.ts";
import { Conversation } from "./conversation.ts";
import type { ComparedStream } from "./exchange.ts";

/** What a connection costs at the least, once something has come on it. */
export const PLACE_BYTES = Cost.STREAM + Cost.UPSTREAM;

/** What all client connections share. */
export interface StreamHost extends ConversationHost<Conversation> {
  /** A request, or more, found no room for what frames it. */
  countLost(): void;
}

export class HttpStream implements StreamConsumer, ConversationOwner {
  private conversation: Conversation | null = null;
  private step: number;
  /** Null: its responses are not compared. (StreamConsumer: who takes the server's side) */
  readonly response: ComparedStream | null;
  /** Of a request that was lost with its conversation: what of its body is still to come. */
  private bodyLeft = 0;
  /** What a PROXY protocol header has told, for the conversations after the one that read it. */
  preface: Uint8Array | null = null;
  client: ProxyClient | null = null;
  /** It speaks another protocol than HTTP. */
  isForeign = false;
  /** Policy has left out all that comes. */
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
    this.conversation?.end(how);
    this.conversation = null;
  }

  idle(): boolean {
    return this.conversation?.rest() ?? !this.mode.options.sourceWaits;
  }

  /** The conversation is over for now: the next bytes begin another. */
  forget(step: number, bodyLeft: number): void {
    this.conversation = null;
    this.step = step;
    this.bodyLeft = bodyLeft;
  }

  /** Counts bytes that nothing can be done with. */
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

  /** Null: there is nothing to be understood, or no room for another conversation. */
  private begin(): Conversation | null {
    if (this.step === Step.DEAF) return null;
    if (!this.mode.makeRoom(PLACE_BYTES, null, this.hasGivenWay)) {
      // Of what was lost with it one request is told; where the next begins is not known.
      if (this.step < Step.LOST) {
        this.mode.countLost();
        this.response?.dropped();
      }
      this.step = Step.BEHIND_LOSS;
      return null;
    }
    this.response?.restart(this.step >= Step.LOST);
    this.conversation = new Conversation(this.mode, this, this.step, this.bodyLeft);
    return this.conversation;
  }
}
