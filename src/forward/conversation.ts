/**
 * A client's bytes on one connection in --mode http. They are taken as requests ({@link RequestUnderWay}), as bytes
 * behind an offer of another protocol ({@link Offers}), as HTTP/2, or as bytes that pass as they are. A {@link
 * RequestPipe} brings them to the destination.
 */
import { RequestFramer } from "../http/request-framer.ts";
import type { DamageReason, ForeignProtocol, RequestHead, RequestSink } from "../http/request-sink.ts";
import { Aged } from "../memory/age-list.ts";
import { Cost } from "../memory/budget.ts";
import { Timer, type TimerOwner } from "../memory/deadlines.ts";
import type { Client } from "../policy/client.ts";
import type { Policy } from "../policy/policy.ts";
import { clientOf } from "./admission.ts";
import { Branch } from "./branch.ts";
import { type ConversationHost, type ConversationOwner, Step } from "./conversation-host.ts";
import { type ForwardCounters, isByPolicy, type RequestDrop } from "./counters.ts";
import type { ComparedStream } from "./exchange.ts";
import { Http2Branch } from "./http2-branch.ts";
import { Http2Conversation, type Http2ConversationOwner } from "./http2-conversation.ts";
import { Offers, type OffersOwner, Outcome } from "./offers.ts";
import { Remains } from "./remains.ts";
import { countDamaged, countWhole } from "./request-outcome.ts";
import { type PipeOwner, RequestPipe } from "./request-pipe.ts";
import { RequestUnderWay } from "./request-under-way.ts";

const Phase = {
  /** Bytes are framed as requests. */
  FRAMING: 0,
  /** Another protocol was offered: the next bytes are held until it is known which protocol they belong to. */
  OFFERING: 1,
  /** Another protocol: bytes pass as they are. */
  BARE: 2,
  /** The next bytes can neither be framed nor passed. */
  DEAF: 3,
  /** Frames of HTTP/2. */
  HTTP2: 4,
} as const;

const NO_BRANCHES: readonly Branch[] = [];

/** A client's bytes, from where its framer begins to its end or until it gives way. */
export class Conversation
  extends Aged<Conversation>
  implements RequestSink, OffersOwner, PipeOwner, Http2ConversationOwner, TimerOwner
{
  /** It is in the mode's list of conversations that got bytes in this batch. */
  isTouched = false;
  /** It is in the mode's list of conversations with branches to be settled. */
  areBranchesTouched = false;
  /** When bytes came last, in the capture's time. */
  lastMs = 0;
  /** Bytes have come in this batch. */
  private hasMoved = false;
  /** When the frame that brought the bytes under way was captured, by its own stamp. */
  private timestampMs = 0;
  private phase: number = Phase.FRAMING;
  private readonly framer: RequestFramer;
  private readonly pipe: RequestPipe;
  /** One for each further destination. */
  private readonly branches: readonly Branch[];
  private readonly counters: ForwardCounters;
  /** Null: there is no policy that could have an effect. */
  private readonly policy: Policy | null;
  /** The client as policy knows it; null: policy has not asked for it. */
  private client: Client | null = null;

  private readonly request: RequestUnderWay;
  /** Gets the requests, if their responses are compared. */
  private readonly compared: ComparedStream | null;
  /** The client's offers of another protocol; null: it has made none. */
  private offers: Offers | null = null;
  /** Frames HTTP/2; null: the client does not speak it. */
  private http2: Http2Conversation | null = null;
  private ending = false;
  private isOver = false;
  /** It has given way, and these requests go on. */
  private remains: Remains | null = null;
  private readonly headTimer = new Timer(this);

  constructor(
    private readonly mode: ConversationHost<Conversation>,
    private readonly stream: ConversationOwner,
    step: number,
    bodyLeft: number,
    before: Remains | null,
  ) {
    super();
    this.counters = mode.destination.counters;
    this.compared = stream.response;
    this.policy = mode.options.policy;
    this.framer = new RequestFramer(mode.options.maxHeaderBytes, this, step < Step.LOST);
    if (step === Step.BETWEEN) this.framer.goOnBetween();
    if (step === Step.BEHIND_LOSS) this.framer.goOnLost(bodyLeft);
    this.pipe = before?.takePipe() ?? new RequestPipe(mode, this);
    this.pipe.owner = this;
    this.pipe.preface = stream.preface;
    if (before === null) this.pipe.hasGivenWay = stream.hasGivenWay;
    this.branches = this.branchesBehind(before);
    this.request = new RequestUnderWay(mode, this, this.pipe, this.branches);
    mode.destination.memory.take(this.cost);
  }

  private branchesBehind(before: Remains | null): readonly Branch[] {
    const { mode, stream } = this;
    if (mode.further.length === 0) return NO_BRANCHES;
    const changed = (): void => mode.touchBranches(this);
    const taken = before === null ? [] : before.takeBranches();
    for (const branch of taken) branch.changed = changed;
    return taken.length > 0 ? taken : mode.further.map((each) => new Branch(each, stream.preface, changed));
  }

  // The client's bytes.

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.hasMoved = true;
    this.timestampMs = timestampMs;
    this.take(bytes, offset, length);
    // Production's response to a request that waits behind the offer may come before the batch is over.
    if (this.compared !== null) this.offers?.decide();
    this.mode.touch(this);
  }

  gap(length: number): void {
    this.takeGap(length);
    this.mode.touch(this);
  }

  end(): void {
    this.ending = true;
    this.takeEnd();
    this.mode.touch(this);
  }

  /** The client has been silent for long. Returns whether the connection may be ended. */
  rest(): boolean {
    if (this.offers?.isLeftOut === true) return true;
    if (this.phase === Phase.BARE || this.phase === Phase.OFFERING) return this.isGone;
    if (this.http2 !== null) return this.http2.rest();
    if (!this.mode.options.sourceWaits) return true;
    this.pipe.rest();
    for (const branch of this.branches) branch.rest();
    return false;
  }

  /** The batch is over: sends what is due, and notes what it waits for. */
  settle(): void {
    if (this.remains !== null) {
      this.remains.settle();
      this.remains.settleBranches();
      return;
    }
    if (this.isOver) {
      (this.http2 ?? this.pipe).pump();
      this.settleBranches();
      return;
    }
    // The capture's time is certain only when a batch is over.
    if (this.hasMoved) this.lastMs = this.mode.captureMs;
    this.hasMoved = false;
    this.offers?.decide();
    if (this.phase === Phase.BARE && this.isGone) this.turnDeaf();
    this.request.streamIfLong(this.timestampMs);
    if (this.ending && this.phase !== Phase.OFFERING) this.pipe.finish();
    else this.pipe.pump();
    this.http2?.settle(this.ending);
    this.settleBranches();
    if (this.ending && this.phase !== Phase.OFFERING) this.leave();
    else if (this.phase === Phase.DEAF) this.giveWay();
    else this.file();
  }

  /** The batch is over: further destinations get what is due. */
  settleBranches(): void {
    const { branches } = this;
    if (branches.length === 0) return;
    if (this.remains !== null) {
      this.remains.settleBranches();
      return;
    }
    this.request.streamIfLong(this.timestampMs);
    const isEnded = this.ending && this.phase !== Phase.OFFERING;
    for (const branch of branches) {
      if (isEnded) branch.finish();
      else branch.settle();
    }
    this.http2?.settleBranches(isEnded);
  }

  /** Whether the connections of another protocol are over at all destinations. */
  private get isGone(): boolean {
    return this.pipe.isGone && this.branches.every((branch) => branch.isGone);
  }

  /**
   * Gives way to others: the request under way is lost. The client's next bytes begin another conversation, unless
   * earlier requests are still on their way: no later request may overtake them.
   */
  giveWay(): void {
    const { offers } = this;
    if (this.phase === Phase.FRAMING && this.framer.hasRequest && !this.pipe.isIdle) {
      this.framer.evict();
      this.noteStep();
      this.mode.touch(this);
      return;
    }
    if (offers?.isOpen === true) {
      if (!offers.giveWay()) this.turnDeaf();
      this.list?.remove(this);
      this.mode.touch(this);
      return;
    }
    if (this.http2 !== null) {
      this.giveWayInHttp2(this.http2);
      return;
    }
    this.breakOff();
  }

  /**
   * The client's connection gives way to others: the request under way is lost. If the connection goes on, another
   * conversation does.
   */
  evict(): void {
    if (this.phase === Phase.FRAMING) {
      this.breakOff();
      this.mode.touch(this);
      return;
    }
    this.stream.isForeign ||= this.phase === Phase.BARE;
    const step = this.phase === Phase.HTTP2 ? Step.LOST : this.phase === Phase.OFFERING ? Step.BEHIND_LOSS : Step.DEAF;
    this.end();
    this.stream.forget(step, 0, null);
  }

  /** The client's next bytes begin another conversation, which goes on with the requests on their way. */
  private breakOff(): void {
    const { framer, pipe, branches } = this;
    const step = this.nextStep;
    const { bodyLeft } = framer;
    this.stream.hasGivenWay = pipe.hasGivenWay;
    if (this.phase === Phase.FRAMING && framer.hasRequest) this.damaged("evicted");
    else if (this.phase === Phase.FRAMING) framer.end();
    this.leave();
    const remains = new Remains(pipe, branches);
    if (step === Step.DEAF) remains.finish();
    else this.remains = remains;
    remains.settle();
    remains.settleBranches();
    this.stream.forget(step, step === Step.BEHIND_LOSS ? bodyLeft : 0, remains);
  }

  /**
   * Gives way first with what it holds; then, when all others have given that, with its table of the client's header
   * fields.
   */
  private giveWayInHttp2(http2: Http2Conversation): void {
    if (http2.holdsParts) {
      http2.evict();
      this.mode.touch(this);
      return;
    }
    if (http2.letGo()) {
      this.mode.idle.append(this);
      return;
    }
    http2.settleBranches(true);
    // What came before the offer to go on in HTTP/2 has connections of its own.
    this.pipe.finish();
    for (const branch of this.branches) branch.finish();
    this.leave();
    this.stream.forget(Step.LOST, 0, null);
  }

  /** Times from `fromMs` on were in truth `toMs` (LeapListener). */
  leapt(fromMs: number, toMs: number): void {
    if (this.lastMs < fromMs) return;
    this.lastMs = toMs;
    const { mode, headTimer } = this;
    if (headTimer.dueMs !== Infinity) mode.heads.set(headTimer, toMs + mode.options.headerTimeoutMs);
  }

  /** The head under way has taken too long (Deadlines, in the capture's time). */
  expire(): void {
    if (this.isOver || this.phase !== Phase.FRAMING || !this.framer.isInHead) return;
    this.damaged("header_timeout");
    this.phase = Phase.DEAF;
    this.mode.touch(this);
  }

  // The framer's findings (RequestSink).

  proxyHeader(header: Uint8Array, client: string | null): void {
    if (this.compared !== null) {
      this.compared.otherBytes(header.length);
      if (client !== null) this.compared.client = client;
    }
    if (client !== null) this.stream.client = client;
    if (this.mode.options.proxyProtocol !== "pass") return;
    this.stream.preface = header;
    this.pipe.preface = header;
    for (const branch of this.branches) branch.preface = header;
  }

  head(head: RequestHead): void {
    this.request.begin(head, this.compared === null ? null : this.compared.head(head.method, head.minorVersion));
  }

  bytes(bytes: Uint8Array, offset: number, length: number): void {
    if (this.phase !== Phase.FRAMING) {
      this.take(bytes, offset, length);
      return;
    }
    if (this.compared !== null) this.compared.requestBytes(length);
    this.request.take(bytes, offset, length, this.timestampMs);
  }

  whole(): void {
    const { request } = this;
    const head = request.head!;
    countWhole(this.counters, head.isOdd, head.isIsolated);
    this.compared?.whole(this.timestampMs);
    request.whole(this.timestampMs);
    if (head.wantsUpgrade) this.offer(head, request.dropping);
    request.clear();
  }

  damaged(reason: DamageReason): void {
    countDamaged(this.counters, reason);
    this.compared?.damaged();
    this.request.damaged(reason);
  }

  skipped(length: number): void {
    this.compared?.otherBytes(length);
    this.counters.requests.skipped_bytes += length;
  }

  skippedRequestLines(count: number): void {
    this.counters.requests.skipped_request_lines += count;
  }

  foreign(protocol: ForeignProtocol): void {
    if (protocol === "http2" && this.mode.options.http2 !== "pass") {
      // The preface was held, or found no room; else it was not seen.
      const isLate = this.request.isUnseen;
      this.request.discard();
      const http2 = this.beginHttp2(isLate);
      if (this.offers !== null) http2.beginUpgraded();
      return;
    }
    this.compared?.foreign();
    this.counters.foreign[protocol]++;
    const { request } = this;
    if (protocol === "http2" && this.leavesOutStream()) return;
    // The stream is HTTP/2 only with its first bytes, which may have found no room.
    if (protocol === "http2" && this.stream.origin.hasSyn && request.dropping === null) {
      this.phase = Phase.BARE;
      this.pipe.goBare();
      for (const branch of this.branches) branch.goBare(false);
      const held = request.copyHeld();
      if (held !== null) this.passOn(held, 0, held.length);
      request.discard();
      return;
    }
    this.mode.report.foreign(protocol);
    this.counters.foreign.discarded_bytes += request.heldLength;
    request.discard();
    this.turnDeaf();
  }

  // The outcomes of requests (PipeOwner).

  upgradeAccepted(): void {
    if (this.offers?.accepted() === true) this.mode.touch(this);
  }

  upgradeDeclined(): void {
    if (this.offers?.declined() === true) this.mode.touch(this);
  }

  streamLost(reason: RequestDrop): void {
    this.request.streamLost(reason);
  }

  idle(): void {
    this.mode.touch(this);
  }

  // For the readers of the bytes (RequestOwner).

  makeRoom(bytes: number): boolean {
    return this.mode.makeRoom(bytes, this, this.pipe.hasGivenWay);
  }

  knownClient(): Client {
    return (this.client ??= clientOf(this.stream.origin, this.stream.client));
  }

  private beginHttp2(isLate: boolean): Http2Conversation {
    this.phase = Phase.HTTP2;
    const { mode, stream } = this;
    const changed = (): void => mode.touchBranches(this);
    const branches = mode.further.map((each) => new Http2Branch(each, stream.preface, isLate, changed));
    const compared = this.compared?.http2() ?? null;
    this.http2 = new Http2Conversation(mode, this, stream.preface, isLate, branches, compared);
    return this.http2;
  }

  // Bytes, gaps and the end, by the way they are taken.

  private take(bytes: Uint8Array, offset: number, length: number): void {
    switch (this.phase) {
      case Phase.FRAMING:
        this.framer.push(bytes, offset, length);
        this.noteStep();
        return;
      case Phase.OFFERING:
        this.offers!.hold(bytes, offset, length, this.timestampMs);
        return;
      case Phase.BARE:
        this.passOn(bytes, offset, length);
        return;
      case Phase.HTTP2:
        this.http2!.push(bytes, offset, length, this.timestampMs);
        return;
      default:
        this.stream.countDeaf(length);
    }
  }

  private passOn(bytes: Uint8Array, offset: number, length: number): void {
    this.pipe.passOn(bytes, offset, length, this.timestampMs);
    for (const branch of this.branches) branch.passOn(bytes, offset, length, this.timestampMs);
  }

  private takeGap(length: number): void {
    if (this.phase === Phase.FRAMING) {
      this.framer.gap(length);
      this.compared?.otherBytes(length);
      this.noteStep();
    } else if (this.phase === Phase.OFFERING) this.offers!.gap(length);
    else if (this.phase === Phase.BARE) this.abortBare();
    else this.http2?.gap(length);
  }

  private abortBare(): void {
    this.pipe.abortBare();
    for (const branch of this.branches) branch.abortBare();
  }

  /** Out of step, production's next response is not known by its order. */
  private noteStep(): void {
    if (this.compared !== null && !this.framer.isInStep) this.compared.lost();
  }

  private takeEnd(): void {
    if (this.phase === Phase.FRAMING) this.framer.end();
    else if (this.phase === Phase.OFFERING) this.offers!.end();
    else this.http2?.end();
  }

  // Offers of another protocol.

  /** A request that offers another protocol is whole. `dropping`: why it is dropped; null: it is forwarded. */
  private offer(head: RequestHead, dropping: RequestDrop | null): void {
    this.offers ??= new Offers(this.mode, this);
    // If the request was dropped by a fault, nobody knows whether production has accepted the offer.
    if (dropping !== null && !isByPolicy(dropping)) {
      for (const branch of this.branches) branch.declineOffer(false);
      this.framer.goOnBehindOffer();
      return;
    }
    this.offers.begin(head.method === "CONNECT", dropping !== null);
    for (const branch of this.branches) branch.beginOffer();
    this.phase = Phase.OFFERING;
    this.framer.passRest();
  }

  goOn(outcome: number): void {
    switch (outcome) {
      case Outcome.HTTP2: {
        this.declineOffer(true);
        const http2 = this.beginHttp2(false);
        http2.beginUpgraded();
        http2.skipPreface();
        return;
      }
      case Outcome.LEFT_OUT:
        this.stream.isLeftOut = true;
        this.phase = Phase.DEAF;
        return;
      case Outcome.BARE:
        this.pipe.goBare();
        for (const branch of this.branches) branch.goBare(true);
        this.phase = Phase.BARE;
        return;
      case Outcome.DECLINED:
        this.declineOffer(false);
        this.framer.goOnBehindOffer();
        break;
    }
    this.phase = Phase.FRAMING;
  }

  private declineOffer(goesOnInHttp2: boolean): void {
    this.pipe.declineOffer(goesOnInHttp2);
    for (const branch of this.branches) branch.declineOffer(goesOnInHttp2);
  }

  heldBytes(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.timestampMs = timestampMs;
    this.take(bytes, offset, length);
  }

  heldGap(length: number): void {
    this.takeGap(length);
  }

  heldIsOver(): void {
    if (this.ending) this.takeEnd();
  }

  /** Whether policy leaves out a connection with requests that cannot be seen: no later byte is forwarded then. */
  private leavesOutStream(): boolean {
    const { streams } = this.counters;
    const drop = this.policy?.decideStream(this.knownClient()) ?? null;
    if (drop === null) return false;
    streams.dropped[drop]++;
    streams.dropped_bytes += this.request.heldLength;
    this.request.discard();
    this.stream.isLeftOut = true;
    this.phase = Phase.DEAF;
    return true;
  }

  /** Another protocol follows that can neither be framed nor passed. */
  private turnDeaf(): void {
    this.stream.isForeign = true;
    this.phase = Phase.DEAF;
  }

  /** The conversation's cost, as long as bytes may come. */
  private get cost(): number {
    return this.policy === null ? Cost.STREAM : Cost.STREAM + Cost.CLIENT;
  }

  /** The bytes that it holds of requests: the one under way, and those that wait. HTTP/2: all that it holds. */
  get requestBytes(): number {
    return this.http2 === null ? this.request.heldLength + this.pipe.waitingBytes : Infinity;
  }

  /** Whether no request waits for its turn or for a response. */
  get hasNothing(): boolean {
    return this.http2 === null && this.pipe.isIdle;
  }

  // The lists it is in between two batches.

  private get nextStep(): number {
    const { framer } = this;
    if (this.phase === Phase.DEAF || framer.isLastOfAll) return Step.DEAF;
    if (framer.isAtStart) return Step.START;
    if (framer.isSeeking) return Step.LOST;
    return framer.isBetween ? Step.BETWEEN : Step.BEHIND_LOSS;
  }

  /** Puts it in the list where it is found when others need room, and sets the time limit of its head. */
  private file(): void {
    const { mode, headTimer, phase } = this;
    const isInHead = phase === Phase.FRAMING && this.framer.isInHead;
    if (isInHead && headTimer.dueMs === Infinity) mode.heads.set(headTimer, this.lastMs + mode.options.headerTimeoutMs);
    else if (!isInHead && headTimer.dueMs !== Infinity) mode.heads.clear(headTimer);
    if (this.http2 !== null) this.fileHttp2(this.http2);
    else if (phase === Phase.FRAMING && !this.request.isStreaming && this.framer.hasRequest) mode.partial.append(this);
    else if (phase === Phase.FRAMING && mode.isTight && this.pipe.isIdle) mode.idle.append(this);
    else if (this.offers?.holds === true) mode.offering.append(this);
    else this.list?.remove(this);
  }

  private fileHttp2(http2: Http2Conversation): void {
    const { mode } = this;
    if (http2.holdsParts) mode.partial.append(this);
    else if (mode.isTight && http2.isIdle) mode.idle.append(this);
    else this.list?.remove(this);
  }

  /** The client has ended: requests in the pipe go on without the conversation. */
  private leave(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.request.discard();
    this.http2?.leave();
    this.list?.remove(this);
    this.mode.heads.remove(this.headTimer);
    this.mode.destination.memory.giveBack(this.cost);
  }
}
