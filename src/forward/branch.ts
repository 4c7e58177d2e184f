/**
 * One conversation's requests on their way to a further destination. Held requests come here when they are whole, and
 * share the endpoint's bytes. A longer request, which the endpoint gets as it comes, goes on separately here: also as
 * it comes, or held until it is its turn.
 */
import type { DamageReason, RequestHead } from "../http/request-sink.ts";
import { Cost } from "../memory/budget.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { RequestDrop } from "./counters.ts";
import type { FurtherDestination } from "./further-destination.ts";
import type { Request } from "./request.ts";
import { countDamaged, countWhole } from "./request-outcome.ts";
import { type PipeOwner, RequestPipe } from "./request-pipe.ts";

const Phase = {
  /** Requests. */
  REQUESTS: 0,
  /** Another protocol that this destination has not accepted yet: its bytes are held. */
  OFFERED: 1,
  /** Another protocol: bytes pass as they are. */
  BARE: 2,
  /** Another protocol that this destination has declined. */
  DEAF: 3,
} as const;

/** One conversation's way to one further destination. */
export class Branch implements PipeOwner {
  private readonly pipe: RequestPipe;
  private phase: number = Phase.REQUESTS;
  /** The request under way, if it is held for this destination alone. */
  private request: Request | null = null;
  /** The request under way goes straight to the connection. */
  private isStreaming = false;
  /** The request under way is dropped here for this reason; null: it is not dropped. */
  private dropping: RequestDrop | null = null;
  /** The next bytes are already among those that the request has begun with. */
  private hasNext = false;
  /** The last whole request was handed on. */
  private isHandedOn = false;
  /** The destination has accepted the last offer of another protocol. */
  private isAccepted = false;
  private isDeclined = false;
  /** Held bytes of another protocol; null: none. */
  private held: ByteQueue | null = null;
  private heldMs = 0;
  private isEnding = false;
  private isOver = false;

  /** `changed`: called when the conversation is to be settled. */
  constructor(
    private readonly destination: FurtherDestination,
    preface: Uint8Array | null,
    public changed: () => void,
  ) {
    this.pipe = new RequestPipe(destination, this);
    this.pipe.preface = preface;
    destination.destination.memory.take(Cost.BRANCH);
  }

  set preface(preface: Uint8Array) {
    this.pipe.preface = preface;
  }

  /** Whether a long request may be sent here as it comes. */
  get mayStream(): boolean {
    return this.phase === Phase.REQUESTS && !this.hasBegun && this.pipe.mayStream;
  }

  /** Whether the connection of another protocol is over. */
  get isGone(): boolean {
    return this.phase === Phase.DEAF || (this.phase === Phase.BARE && this.pipe.isGone);
  }

  /** Whether no request waits for this destination, or for a response of it. */
  get isIdle(): boolean {
    return this.pipe.isIdle;
  }

  private get hasBegun(): boolean {
    return this.isStreaming || this.request !== null || this.dropping !== null;
  }

  // The request under way.

  /**
   * A long request is under way; `original` holds its bytes so far. It goes on separately here if it is its turn, or if
   * it `must`, because nobody else will hold it. `hasNext`: the bytes of the next call ({@link bytes}) are in
   * `original` already.
   */
  begin(original: Request, must: boolean, hasNext: boolean): void {
    if (this.hasBegun || !(must || this.mayStream)) return;
    this.hasNext = hasNext;
    const { requests } = this.destination;
    if (!this.destination.hasRoomFor(requests.growth(null, original.heldLength))) {
      this.dropping = "buffer_limit";
      return;
    }
    this.request = requests.copy(original);
    this.request.exchange = this.destination.exchangeOf(original.exchange);
    this.streamIfItsTurn();
  }

  /** Bytes of the request under way. They matter only if it goes on separately here. */
  bytes(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    const { hasNext } = this;
    this.hasNext = false;
    if (hasNext) return;
    if (this.isStreaming) this.pipe.streamBytes(bytes, offset, length, timestampMs);
    else if (this.request !== null) this.hold(this.request, bytes, offset, length);
  }

  /**
   * The request under way is whole. `original`: the request as it is held for all; null: it is held only here.
   * `reason`: it is dropped at all destinations that have not begun it; null: it is not dropped.
   */
  whole(head: RequestHead, original: Request | null, reason: RequestDrop | null): void {
    const { destination } = this;
    countWhole(destination.counters, head.isOdd, head.isIsolated);
    const dropped = this.hasBegun ? this.dropping : reason;
    this.isHandedOn = dropped === null;
    if (dropped !== null) destination.counters.requests.dropped[dropped]++;
    else if (this.isStreaming) this.pipe.endStream(head.isIsolated);
    else this.isHandedOn = this.commit(head, original);
    if (!this.isHandedOn) destination.controlOf(original?.exchange ?? null)?.notForwarded();
    this.reset();
  }

  damaged(reason: DamageReason): void {
    countDamaged(this.destination.counters, reason);
    if (this.isStreaming) this.pipe.abortStream();
    this.reset();
  }

  /** Hands the request on to the pipe. Returns whether there was room. */
  private commit(head: RequestHead, original: Request | null): boolean {
    const { destination, pipe } = this;
    const { requests } = destination;
    // What is held is charged already.
    const refusal = destination.refusalOf(pipe.waiting, this.request === null ? requests.shareCost(original!) : 0);
    if (refusal !== null) {
      destination.counters.requests.dropped[refusal]++;
      return false;
    }
    const request = this.request ?? requests.share(original!);
    if (this.request === null) request.exchange = destination.exchangeOf(original!.exchange);
    request.isIsolated = head.isIsolated;
    this.request = null;
    pipe.commit(request);
    return true;
  }

  private hold(request: Request, bytes: Uint8Array, offset: number, length: number): void {
    const { requests } = this.destination;
    if (this.destination.hasRoomFor(requests.growth(request, length))) {
      requests.hold(request, bytes, offset, length);
    } else {
      this.discard();
      this.dropping = "buffer_limit";
    }
  }

  private streamIfItsTurn(): void {
    const { request } = this;
    if (request === null || !this.pipe.mayStream) return;
    this.request = null;
    this.isStreaming = true;
    this.pipe.startStream(request);
  }

  private discard(): void {
    if (this.request !== null) this.destination.requests.giveBack(this.request);
    this.request = null;
  }

  private reset(): void {
    this.discard();
    this.isStreaming = false;
    this.dropping = null;
    this.hasNext = false;
  }

  // The outcomes of requests (PipeOwner).

  upgradeAccepted(): void {
    this.isAccepted = true;
    this.changed();
  }

  upgradeDeclined(): void {
    this.isDeclined = true;
    if (this.phase === Phase.OFFERED) this.turnDeaf();
    this.changed();
  }

  streamLost(reason: RequestDrop): void {
    this.isStreaming = false;
    this.dropping = reason;
  }

  idle(): void {
    this.changed();
  }

  // Another protocol. The conversation knows what production and the endpoint have responded.

  /** An offer was made, and is not decided. */
  beginOffer(): void {
    this.isAccepted = false;
    this.isDeclined = !this.isHandedOn;
  }

  /**
   * Production has declined the offer. `goesOnInHttp2`: or it goes on in HTTP/2; this destination gets that on another
   * connection.
   */
  declineOffer(goesOnInHttp2: boolean): void {
    this.pipe.declineOffer(goesOnInHttp2);
  }

  /** From here on bytes are another protocol's. `isOffered`: they pass only if this destination accepts the offer. */
  goBare(isOffered: boolean): void {
    this.reset();
    this.phase = Phase.OFFERED;
    if (isOffered && !this.isAccepted) {
      if (this.isDeclined) this.turnDeaf();
      return;
    }
    this.phase = Phase.BARE;
    this.pipe.goBare();
  }

  passOn(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    if (this.phase === Phase.BARE) {
      this.pipe.passOn(bytes, offset, length, timestampMs);
    } else if (this.phase === Phase.OFFERED && this.destination.hasRoomFor(2 * length + Cost.ARRAY)) {
      if (this.held === null) this.heldMs = timestampMs;
      this.held ??= new ByteQueue(this.destination.destination.memory);
      this.held.push(bytes, offset, length);
    } else {
      this.turnDeaf();
      this.destination.counters.foreign.discarded_bytes += length;
    }
  }

  abortBare(): void {
    if (this.phase === Phase.BARE) this.pipe.abortBare();
    else this.turnDeaf();
  }

  private turnDeaf(): void {
    if (this.phase === Phase.OFFERED && !this.isDeclined) this.pipe.declineOffer();
    this.phase = Phase.DEAF;
    this.destination.counters.foreign.discarded_bytes += this.held?.length ?? 0;
    this.held?.clear();
    this.held = null;
  }

  // Work that is due.

  /** The batch is over. */
  settle(): void {
    if (this.phase === Phase.OFFERED && this.isAccepted) {
      this.phase = Phase.BARE;
      this.pipe.goBare();
      if (this.held !== null) this.pipe.passOnQueue(this.held, this.heldMs);
      this.held = null;
    }
    this.streamIfItsTurn();
    this.pump();
  }

  private pump(): void {
    if (this.isEnding && this.phase !== Phase.OFFERED) this.pipe.finish();
    else this.pipe.pump();
    if (this.isEnding) this.pipe.list?.remove(this.pipe);
    else this.destination.file(this.pipe);
  }

  /** The client has ended: the connection ends behind the last response. */
  finish(): void {
    this.isEnding = true;
    this.leave();
    this.settle();
  }

  /** The client has been silent for long. */
  rest(): void {
    this.pipe.rest();
  }

  private leave(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.reset();
    this.destination.destination.memory.giveBack(Cost.BRANCH);
  }
}
