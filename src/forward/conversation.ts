/**
 * What a client says on one connection in --mode http: frames its bytes as requests, and decides for each whether it is
 * held, streamed, dropped or damaged. A {@link RequestPipe} brings them to the destination.
 */
import type { StreamEnd, StreamOrigin } from "../flow/stream.ts";
import type { ProxyClient } from "../http/proxy-protocol.ts";
import { RequestFramer } from "../http/request-framer.ts";
import type { DamageReason, ForeignProtocol, RequestHead, RequestSink } from "../http/request-sink.ts";
import { Aged, type AgeList } from "../memory/age-list.ts";
import { Cost } from "../memory/budget.ts";
import { type Deadlines, Timer, type TimerOwner } from "../memory/deadlines.ts";
import type { Client } from "../policy/client.ts";
import { type Policy, POLICY_DROPS } from "../policy/policy.ts";
import {
  type AdmissionHost,
  clientOf,
  countDropped,
  describe,
  judge,
  type Judgement,
  mayPass,
  ratedDrop,
} from "./admission.ts";
import { Branches } from "./branches.ts";
import type { ForwardCounters, RequestDrop } from "./counters.ts";
import type { ComparedStream, Exchange } from "./exchange.ts";
import type { FurtherDestination } from "./further-destination.ts";
import { Http2Branch } from "./http2-branch.ts";
import { Http2Conversation, type Http2ConversationOwner } from "./http2-conversation.ts";
import type { HttpReport } from "./http-options.ts";
import type { Request } from "./request.ts";
import { type PipeOwner, RequestPipe } from "./request-pipe.ts";
import { UpgradeOffer, Verdict } from "./upgrade-offer.ts";

const Phase = {
  /** Bytes are framed as requests. */
  FRAMING: 0,
  /** Another protocol was offered: what comes next is held until it is known which one it is of. */
  OFFERING: 1,
  /** Another protocol: bytes pass as they are. */
  BARE: 2,
  /** Nothing can be done with what comes. */
  DEAF: 3,
  /** Frames of HTTP/2. */
  HTTP2: 4,
} as const;

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
export interface ConversationHost extends AdmissionHost {
  /** Those beside the endpoint. */
  readonly further: readonly FurtherDestination[];
  readonly report: HttpReport;
  /** Larger requests are streamed when it is their turn. */
  readonly maxRequestBytes: number;
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
  /** What --max-rate goes by, for a request that was captured then. */
  rateMs(timestampMs: number): number;
  /** Whether another request may wait behind so many of its connection. */
  mayWait(waiting: number): boolean;
  /** Whether so many bytes may be held more; what stands still gives way, but never `asking`. */
  makeRoom(bytes: number, asking: Conversation | null): boolean;
  /** Whether a request that would hold so much more is better sent as it comes. */
  mustStream(bytes: number): boolean;
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
  /**
   * The conversation is over for now: the next bytes begin another, at this {@link Step}. `bodyLeft`: what of the body
   * of a request that is lost is still to come.
   */
  forget(step: number, bodyLeft: number): void;
  /** Counts bytes that nothing can be done with. */
  countDeaf(length: number): void;
}

export class Conversation
  extends Aged<Conversation>
  implements RequestSink, PipeOwner, Http2ConversationOwner, TimerOwner
{
  /** It is in the mode's list of those that something has come for in this batch. */
  isTouched = false;
  /** It is in the list of those whose branches are to be settled. */
  areBranchesTouched = false;
  /** When something came last, in the capture's time. */
  lastMs = 0;
  /** Something has come in this batch. */
  private hasMoved = false;
  /** When the frame that brought the bytes under way was captured, by its own stamp. */
  private timestampMs = 0;
  private phase: number = Phase.FRAMING;
  private readonly framer: RequestFramer;
  private readonly pipe: RequestPipe;
  /** What further destinations get; null: there is none. */
  private readonly branches: Branches | null;
  private readonly counters: ForwardCounters;
  /** Null: there is none that would do anything. */
  private readonly policy: Policy | null;
  /** Null: policy has not asked for it. */
  private client: Client | null = null;

  /** The request under way; null: nothing of it is held. */
  private request: Request | null = null;
  /** Its head, once it is whole; the framer's own. */
  private current: RequestHead | null = null;
  /** It has been decided that the request under way is forwarded, and its head is edited. */
  private isAdmitted = false;
  /** Its head is whole, and policy has not looked at it. */
  private isUndecided = false;
  /** What policy has found about it; null: nothing yet. */
  private judgement: Judgement | null = null;
  /** The request under way goes straight to the connection. */
  private isStreaming = false;
  /** The request under way is dropped for this reason; null: it is not. */
  private dropping: RequestDrop | null = null;

  /** What the requests are is told to this, where their responses are compared. */
  private readonly compared: ComparedStream | null;
  /** Of the request under way, once its head is whole. */
  private exchange: Exchange | null = null;

  /** What follows an offer of another protocol; null: none is open. */
  private offer: UpgradeOffer | null = null;
  /** One was made. */
  private hasOffered = false;
  /** What frames HTTP/2; null: the client does not speak it. */
  private http2: Http2Conversation | null = null;
  private ending = false;
  private isOver = false;
  private readonly headTimer = new Timer(this);

  constructor(
    private readonly mode: ConversationHost,
    private readonly stream: ConversationOwner,
    step: number,
    bodyLeft: number,
  ) {
    super();
    this.counters = mode.destination.counters;
    this.compared = stream.response;
    this.policy = mode.options.policy;
    this.framer = new RequestFramer({ maxHeaderBytes: mode.options.maxHeaderBytes }, this, step < Step.LOST);
    if (step === Step.BETWEEN) this.framer.goOnBetween();
    if (step === Step.BEHIND_LOSS) this.framer.goOnLost(bodyLeft);
    this.pipe = new RequestPipe(mode, this);
    this.pipe.preface = stream.preface;
    const { further } = mode;
    this.branches = further.length === 0 ? null : new Branches(further, stream.preface, () => mode.touchBranches(this));
    mode.destination.memory.take(this.cost);
  }

  // The client's bytes.

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.hasMoved = true;
    this.timestampMs = timestampMs;
    this.take(bytes, offset, length);
    // A response to what waits behind the offer may come before the batch is over.
    if (this.compared !== null) this.decideOffer();
    this.mode.touch(this);
  }

  gap(length: number): void {
    this.takeGap(length);
    this.mode.touch(this);
  }

  end(_how: StreamEnd): void {
    this.ending = true;
    this.takeEnd();
    this.mode.touch(this);
  }

  /** The client has been silent for long. Returns whether the connection may be ended. */
  rest(): boolean {
    if (this.offer?.isLeftOut === true) return true;
    if (this.phase === Phase.BARE || this.phase === Phase.OFFERING) return this.isGone;
    if (this.http2 !== null) return this.http2.rest();
    if (!this.mode.options.sourceWaits) return true;
    this.pipe.rest();
    this.branches?.rest();
    return false;
  }

  /** The batch is over: sends what is due, and notes what it waits for. */
  settle(): void {
    if (this.isOver) {
      (this.http2 ?? this.pipe).pump();
      this.settleBranches();
      return;
    }
    // Only when a batch is over is it known for certain what time it is.
    if (this.hasMoved) this.lastMs = this.mode.captureMs;
    this.hasMoved = false;
    this.decideOffer();
    if (this.phase === Phase.BARE && this.isGone) this.turnDeaf();
    const { request } = this;
    if (request !== null && request.heldLength > this.mode.maxRequestBytes) this.streamIfItsTurn(request, false);
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
    const { branches, request } = this;
    if (branches === null) return;
    if (request !== null && request.heldLength > this.mode.maxRequestBytes) this.streamIfItsTurn(request, false);
    const isEnded = this.ending && this.phase !== Phase.OFFERING;
    if (isEnded) branches.finish();
    else branches.settle();
    this.http2?.settleBranches(isEnded);
  }

  /** What passes as another protocol has come to its end everywhere. */
  private get isGone(): boolean {
    return this.pipe.isGone && (this.branches === null || this.branches.areGone);
  }

  /** Gives way to others: what is under way is lost, and the client's next bytes begin another conversation. */
  giveWay(): void {
    const { offer } = this;
    if (offer !== null) {
      this.counters.foreign.discarded_bytes += offer.heldBytes;
      if (offer.verdict >= Verdict.ACCEPTED) {
        // Of another protocol, nothing can be understood behind what was let go.
        offer.clear();
        this.offer = null;
        this.turnDeaf();
      } else {
        offer.forget();
      }
      this.list?.remove(this);
      this.mode.touch(this);
      return;
    }
    if (this.http2 !== null) {
      this.http2.letGo();
      this.list?.remove(this);
      return;
    }
    const step = this.nextStep;
    const { bodyLeft } = this.framer;
    if (this.phase === Phase.FRAMING && this.framer.hasRequest) this.damaged("evicted");
    this.pipe.finish();
    // What comes next goes on other connections: nothing that waits may be overtaken.
    if (step === Step.DEAF) this.branches?.finish();
    else this.branches?.giveWay();
    this.leave();
    this.stream.forget(step, step === Step.BEHIND_LOSS ? bodyLeft : 0);
  }

  /** What was taken for the time since `fromMs` was `toMs` (LeapListener). */
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

  // What the framer finds (RequestSink).

  proxyHeader(header: Uint8Array, client: ProxyClient | null): void {
    if (this.compared !== null) {
      this.compared.otherBytes(header.length);
      if (client !== null) this.compared.client = client.address;
    }
    if (client !== null) this.stream.client = client;
    if (this.mode.options.proxyProtocol !== "pass") return;
    this.stream.preface = header;
    this.pipe.preface = header;
    if (this.branches !== null) this.branches.preface = header;
  }

  head(head: RequestHead): void {
    this.current = head;
    if (this.compared !== null) this.exchange = this.compared.head(head.method, head.minorVersion);
    this.isUndecided = this.policy !== null;
  }

  bytes(bytes: Uint8Array, offset: number, length: number): void {
    if (this.compared !== null && this.phase === Phase.FRAMING) this.compared.requestBytes(length);
    this.takeOfRequest(bytes, offset, length);
  }

  private takeOfRequest(bytes: Uint8Array, offset: number, length: number): void {
    if (this.isStreaming) this.pipe.streamBytes(bytes, offset, length, this.timestampMs);
    else if (this.phase === Phase.FRAMING && this.dropping === null) {
      if (this.isUndecided) {
        this.decide(bytes, offset, length);
        return;
      }
      this.hold(bytes, offset, length);
    } else if (this.phase !== Phase.FRAMING) this.take(bytes, offset, length);
    if (this.branches !== null && this.phase === Phase.FRAMING)
      this.branches.bytes(bytes, offset, length, this.timestampMs);
  }

  whole(): void {
    const { requests } = this.counters;
    const head = this.current!;
    requests.seen++;
    if (head.isOdd) requests.odd++;
    if (head.isIsolated) requests.isolated++;
    this.compared?.whole(this.timestampMs);
    if (this.dropping !== null) this.dropping = ratedDrop(this.mode, this.dropping, this.timestampMs);
    if (this.branches !== null) this.branch(this.branches, head);
    if (this.isStreaming) this.pipe.endStream(head.isIsolated);
    else if (this.dropping === null) this.commit(head);
    if (this.dropping !== null) this.drop(this.dropping);
    // Behind what something has gone wrong with, nobody knows what production has made of the offer.
    const isLeftOut = this.dropping !== null && isByPolicy(this.dropping);
    if (head.wantsUpgrade && (this.dropping === null || isLeftOut)) this.beginOffer(head, isLeftOut);
    else if (head.wantsUpgrade) this.branches?.declineOffer();
    this.reset();
  }

  damaged(reason: DamageReason): void {
    const { requests } = this.counters;
    requests.seen++;
    requests.damaged++;
    requests.damage[reason]++;
    this.compared?.damaged();
    if (this.isStreaming) this.pipe.abortStream();
    else this.discard();
    this.branches?.damaged(reason);
    this.reset();
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
      // Its preface was held, or found no room; else it was not seen.
      const isLate = this.request === null && this.dropping === null;
      this.discard();
      const http2 = this.beginHttp2(isLate);
      if (this.hasOffered) http2.beginUpgraded();
      return;
    }
    this.counters.foreign[protocol]++;
    const { request } = this;
    if (protocol === "http2" && this.leavesOutStream()) return;
    // Without its first bytes, which may have found no room, it is no such stream.
    if (protocol === "http2" && this.stream.origin.hasSyn && this.dropping === null) {
      this.phase = Phase.BARE;
      this.pipe.goBare();
      this.branches?.goBare(false);
      if (request !== null) this.passOn(request.bytes.slice(0, request.length), 0, request.length);
      this.discard();
      return;
    }
    this.mode.report.foreign(protocol);
    this.counters.foreign.discarded_bytes += request?.heldLength ?? 0;
    this.discard();
    this.turnDeaf();
  }

  // What becomes of requests (PipeOwner).

  upgradeAccepted(): void {
    if (this.offer === null || this.offer.isLeftOut) return;
    this.offer.isAccepted = true;
    this.mode.touch(this);
  }

  upgradeDeclined(): void {
    if (this.offer === null || this.offer.isLeftOut) return;
    this.offer.isDeclined = true;
    this.decideOffer();
    this.mode.touch(this);
  }

  // HTTP/2 (Http2ConversationOwner).

  makeRoom(bytes: number): boolean {
    return this.mode.makeRoom(bytes, this);
  }

  knownClient(): Client {
    return (this.client ??= clientOf(this.stream.origin, this.stream.client));
  }

  private beginHttp2(isLate: boolean): Http2Conversation {
    this.phase = Phase.HTTP2;
    const { mode, stream } = this;
    const changed = (): void => mode.touchBranches(this);
    const branches = mode.further.map((each) => new Http2Branch(each, stream.preface, isLate, changed));
    this.http2 = new Http2Conversation(mode, this, stream.preface, isLate, branches);
    return this.http2;
  }

  streamLost(reason: RequestDrop): void {
    this.isStreaming = false;
    this.dropping = reason;
  }

  idle(): void {
    this.mode.touch(this);
  }

  // Bytes, gaps and the end, by what they are of.

  private take(bytes: Uint8Array, offset: number, length: number): void {
    switch (this.phase) {
      case Phase.FRAMING:
        this.framer.push(bytes, offset, length);
        this.noteStep();
        return;
      case Phase.OFFERING:
        this.holdBehindOffer(bytes, offset, length);
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
    this.branches?.passOn(bytes, offset, length, this.timestampMs);
  }

  private takeGap(length: number): void {
    if (this.phase === Phase.FRAMING) {
      this.framer.gap(length);
      this.compared?.otherBytes(length);
      this.noteStep();
    } else if (this.phase === Phase.OFFERING) this.offer!.addGap(length);
    else if (this.phase === Phase.BARE) this.abortBare();
    else this.http2?.gap(length);
  }

  private abortBare(): void {
    this.pipe.abortBare();
    this.branches?.abortBare();
  }

  /** Out of step, what comes next of production is not known by its order. */
  private noteStep(): void {
    if (this.compared !== null && !this.framer.isInStep) this.compared.lost();
  }

  private takeEnd(): void {
    if (this.phase === Phase.FRAMING) this.framer.end();
    else if (this.phase === Phase.OFFERING) this.offer!.end();
    else this.http2?.end();
  }

  // The request under way.

  /** The bytes bring the end of the head: policy decides, and may put another head in its place. */
  private decide(bytes: Uint8Array, offset: number, length: number): void {
    this.isUndecided = false;
    const policy = this.policy!;
    const head = this.current!;
    if (!policy.readsHeads) {
      this.takeOfRequest(bytes, offset, length);
      return;
    }
    const { requests } = this.mode;
    const before = this.request === null ? "" : requests.text(this.request);
    const rest = head.headLength - before.length;
    const text = before + Buffer.from(bytes.buffer, bytes.byteOffset + offset, rest).toString("latin1");
    this.judgement = judge(this.mode, policy, this.knownClient(), text);
    const { decision, edited, target } = this.judgement;
    if (this.exchange !== null) this.exchange.target = target;
    this.dropping = decision.drop;
    if (this.dropping !== null) {
      this.discard();
      return;
    }
    if (edited === null) {
      this.takeOfRequest(bytes, offset, length);
      return;
    }
    if (this.request !== null) requests.freeBytes(this.request);
    head.headLength = edited.length;
    this.takeOfRequest(edited, 0, edited.length);
    if (rest < length) this.takeOfRequest(bytes, offset + rest, length - rest);
  }

  private hold(bytes: Uint8Array, offset: number, length: number): void {
    const { requests, maxRequestBytes } = this.mode;
    if (!requests.fits(this.request, length)) {
      const growth = requests.growth(this.request, length);
      if (this.mode.mustStream(growth) && this.hasHead && this.streamIfItsTurn(this.request!, false)) {
        if (this.isStreaming) this.pipe.streamBytes(bytes, offset, length, this.timestampMs);
        return;
      }
      if (!this.mode.makeRoom(growth, this)) {
        this.dropping = "buffer_limit";
        this.discard();
        return;
      }
    }
    const request = (this.request ??= requests.take(this.timestampMs));
    requests.hold(request, bytes, offset, length);
    if (request.heldLength > maxRequestBytes) this.streamIfItsTurn(request, true);
  }

  /** Whether the whole head is held. */
  private get hasHead(): boolean {
    return this.request !== null && this.current !== null && this.request.heldLength >= this.current.headLength;
  }

  /**
   * Sends a request as it comes, if its turn has come. Returns whether it is not held any more. `hasNext`: the bytes
   * that further destinations are told of next are held already.
   */
  private streamIfItsTurn(request: Request, hasNext: boolean): boolean {
    const { mayStream } = this.pipe;
    if (this.current === null || !(mayStream || this.branches?.mayStream === true)) return false;
    if (!this.isAdmitted && !this.admit(request, this.current)) {
      this.discard();
      return true;
    }
    this.isAdmitted = true;
    this.branches?.begin(request, mayStream, hasNext);
    if (!mayStream) return false;
    this.request = null;
    this.isStreaming = true;
    this.pipe.startStream(request);
    return true;
  }

  /** The request under way is whole. */
  private commit(head: RequestHead): void {
    const request = this.request!;
    if (!this.mode.mayWait(this.pipe.waiting)) this.dropping = "waiting_limit";
    if (this.dropping !== null || !(this.isAdmitted || this.admit(request, head))) return;
    // It may have been admitted before its end was seen.
    request.isIsolated = head.isIsolated;
    this.request = null;
    this.pipe.commit(request);
  }

  /** The request under way is whole: what further destinations get of it does not depend on the endpoint. */
  private branch(branches: Branches, head: RequestHead): void {
    const { request } = this;
    if (request !== null && this.dropping === null) this.isAdmitted ||= this.admit(request, head);
    branches.whole(head, this.dropping === null ? request : null, this.dropping);
  }

  /** The request under way is whole, and is not forwarded. */
  private drop(reason: RequestDrop): void {
    countDropped(this.mode, reason, this.judgement);
    this.exchange?.notForwarded();
    this.discard();
  }

  /** `isLeftOut`: the request is not forwarded, and so is nothing that is said in another protocol behind it. */
  private beginOffer(head: RequestHead, isLeftOut: boolean): void {
    this.offer = new UpgradeOffer(
      this.mode.destination.memory,
      this.mode.options.maxHeaderBytes,
      head.method === "CONNECT",
      isLeftOut,
    );
    this.branches?.beginOffer();
    this.phase = Phase.OFFERING;
    this.hasOffered = true;
    this.framer.passRest();
  }

  /** A request is about to be forwarded. False: it is dropped, for {@link dropping}. */
  private admit(request: Request, head: RequestHead): boolean {
    describe(request, head);
    const { exchange } = this;
    request.exchange = exchange;
    if (exchange !== null && exchange.target === "")
      exchange.target = this.mode.requests.targetOf(request, head.headLength);
    if (mayPass(this.mode, this.timestampMs)) return true;
    this.dropping = "rate_limit";
    return false;
  }

  private discard(): void {
    if (this.request === null) return;
    this.mode.requests.giveBack(this.request);
    this.request = null;
  }

  private reset(): void {
    this.current = null;
    this.exchange = null;
    this.isAdmitted = false;
    this.isUndecided = false;
    this.judgement = null;
    this.isStreaming = false;
    this.dropping = null;
  }

  // An offer of another protocol.

  private holdBehindOffer(bytes: Uint8Array, offset: number, length: number): void {
    const offer = this.offer!;
    if (this.mode.makeRoom(2 * length + Cost.ARRAY, this)) {
      offer.add(bytes, offset, length, this.timestampMs);
    } else {
      offer.addGap(length);
      this.counters.foreign.discarded_bytes += length;
    }
  }

  private decideOffer(): void {
    // What was held behind one may have another.
    for (let last = null; this.offer !== null && this.offer !== last;) {
      last = this.offer;
      this.decideOne(last);
    }
  }

  private decideOne(offer: UpgradeOffer): void {
    if (offer.verdict === Verdict.HTTP2 && this.mode.options.http2 !== "pass") {
      // Whatever the destination makes of the offer: it gets HTTP/2 on a connection that begins so.
      this.pipe.declineOffer(true);
      this.branches?.declineOffer(true);
      const http2 = this.beginHttp2(false);
      http2.beginUpgraded();
      http2.skipPreface();
      this.resume(offer, Phase.HTTP2);
      return;
    }
    if (offer.isLeftOut) {
      this.stream.isLeftOut = offer.verdict >= Verdict.ACCEPTED;
      if (this.stream.isLeftOut) this.resume(offer, Phase.DEAF);
      else if (offer.verdict === Verdict.DECLINED || offer.isEnded) this.resume(offer, Phase.FRAMING);
      return;
    }
    if (offer.verdict === Verdict.DECLINED || offer.isDeclined) {
      this.pipe.declineOffer();
      this.branches?.declineOffer();
      this.framer.goOnBehindOffer();
      this.resume(offer, Phase.FRAMING);
    } else if (offer.isAccepted && (offer.verdict >= Verdict.ACCEPTED || offer.isEnded)) {
      this.pipe.goBare();
      this.branches?.goBare(true);
      this.resume(offer, Phase.BARE);
    }
  }

  /** Gives on what was held behind an offer. */
  private resume(offer: UpgradeOffer, phase: number): void {
    this.offer = null;
    this.phase = phase;
    offer.release({
      bytes: (bytes, timestampMs) => {
        this.timestampMs = timestampMs;
        this.take(bytes, 0, bytes.length);
      },
      gap: (length) => this.takeGap(length),
    });
    if (this.ending) this.takeEnd();
  }

  /** Whether policy leaves out a connection whose requests cannot be seen: nothing that comes is forwarded then. */
  private leavesOutStream(): boolean {
    const { streams } = this.counters;
    const drop = this.policy?.decideStream(this.knownClient()) ?? null;
    if (drop === null) return false;
    streams.dropped[drop]++;
    streams.dropped_bytes += this.request?.heldLength ?? 0;
    this.discard();
    this.stream.isLeftOut = true;
    this.phase = Phase.DEAF;
    return true;
  }

  /** It is another protocol that comes, and nothing can be done with it. */
  private turnDeaf(): void {
    this.stream.isForeign = true;
    this.phase = Phase.DEAF;
  }

  /** What it costs as long as something may come. */
  private get cost(): number {
    return this.policy === null ? Cost.STREAM : Cost.STREAM + Cost.CLIENT;
  }

  // Where it stands between two batches.

  private get nextStep(): number {
    const { framer } = this;
    if (this.phase === Phase.DEAF || framer.isLastOfAll) return Step.DEAF;
    if (framer.isAtStart) return Step.START;
    return framer.isBetween ? Step.BETWEEN : Step.BEHIND_LOSS;
  }

  /** Puts it where it is found when others need room, and when its head has taken too long. */
  private file(): void {
    const { mode, headTimer, phase } = this;
    const isInHead = phase === Phase.FRAMING && this.framer.isInHead;
    if (isInHead && headTimer.dueMs === Infinity) mode.heads.set(headTimer, this.lastMs + mode.options.headerTimeoutMs);
    else if (!isInHead && headTimer.dueMs !== Infinity) mode.heads.clear(headTimer);
    if (this.http2 !== null && mode.isTight && this.http2.mayLetGo) mode.idle.append(this);
    else if (phase === Phase.FRAMING && !this.isStreaming && this.framer.hasRequest) mode.partial.append(this);
    else if (phase === Phase.FRAMING && mode.isTight && this.pipe.isIdle) mode.idle.append(this);
    else if (this.offer?.holds === true) mode.offering.append(this);
    else this.list?.remove(this);
  }

  /** Nothing more comes of the client: what is under way in the pipe goes on alone. */
  private leave(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.discard();
    this.http2?.leave();
    this.list?.remove(this);
    this.mode.heads.remove(this.headTimer);
    this.mode.destination.memory.giveBack(this.cost);
  }
}

/** Whether a request was not to be forwarded. */
function isByPolicy(reason: RequestDrop): boolean {
  return (POLICY_DROPS as readonly RequestDrop[]).includes(reason);
}
