/**
 * A client's connection of HTTP/2 in --mode http: frames its bytes into requests, and decides for each whether it is
 * held, streamed, dropped or damaged. An {@link Http2Pipe} brings them to the endpoint, and an {@link
 * Http2Branch} to each further destination.
 */
import { HTTP2_PREFACE } from "../http/foreign.ts";
import { Http2RequestFramer, type Http2RequestSink } from "../http/http2/request-framer.ts";
import type { Http2Head } from "../http/http2/request-head.ts";
import { StreamTable } from "../http/http2/stream-table.ts";
import type { DamageReason } from "../http/request-sink.ts";
import { Cost } from "../memory/budget.ts";
import { Timer, type TimerOwner } from "../memory/deadlines.ts";
import { countDropped, judge, mayPass, ratedDrop } from "./admission.ts";
import { describe } from "./request.ts";
import type { RequestDrop } from "./counters.ts";
import type { ComparedCalls } from "./exchange.ts";
import type { Http2Branch } from "./http2-branch.ts";
import { Http2Call } from "./http2-call.ts";
import { Http2Pipe, type Http2PipeOwner } from "./http2-pipe.ts";
import type { RequestHost, RequestOwner } from "./request-host.ts";
import { countDamaged, countUnread, countWhole } from "./request-outcome.ts";

/** A request that is not whole this long after its head, in the capture's time, is streamed. */
export const HELD_MS_MAX = 1000;

const HEAD_BYTES_FIRST = 4096;

/** The share of the budget that header blocks and tables leave to whole requests. */
const KEPT_SHARE = 1 / 8;

/**
 * How many idle timeouts of a client pass before its connection is ended. If the client goes on then, the entries that
 * its header blocks refer to are not known any more.
 */
export const RESTS_MAX = 12;

/** The last head that was read, a byte for each character. */
let headBytes = Buffer.alloc(HEAD_BYTES_FIRST);

function bytesOf(head: string): Uint8Array {
  if (head.length > headBytes.length) headBytes = Buffer.alloc(2 * head.length);
  headBytes.write(head, "latin1");
  return headBytes;
}

/** The conversation that has found its client to speak HTTP/2. */
export interface Http2ConversationOwner extends RequestOwner {
  /** Its state may have changed. */
  idle(): void;
}

/** One client connection of HTTP/2. */
export class Http2Conversation implements Http2RequestSink<Http2Call>, Http2PipeOwner, TimerOwner {
  private readonly framer: Http2RequestFramer<Http2Call>;
  private readonly pipe: Http2Pipe;
  /** Calls that are not whole and that the pipe does not have, in the order of their starts. */
  private readonly held = new Set<Http2Call>();
  /** Whole calls by the client's streams, which the client may cancel. */
  private readonly wholeCalls = new StreamTable<Http2Call>();
  private readonly timer = new Timer(this);
  private timestampMs = 0;
  /** How many bytes of the client's preface are still to come. */
  private prefaceBytes = 0;
  private rests = 0;
  private chargedBytes = 0;

  /** `late`: the connection was joined in its middle. */
  constructor(
    private readonly mode: RequestHost,
    private readonly owner: Http2ConversationOwner,
    preface: Uint8Array | null,
    late: boolean,
    /** One for each further destination. */
    private readonly branches: readonly Http2Branch[],
    /** Pairs calls with production's responses; null: responses are not compared. */
    private readonly compared: ComparedCalls | null,
  ) {
    this.framer = new Http2RequestFramer(this, mode.options.maxHeaderBytes, late);
    this.pipe = new Http2Pipe(mode, this, preface);
    const { memory, counters } = mode.destination;
    memory.take(Cost.HTTP2);
    counters.http2.connections++;
    if (late) counters.http2.picked_up++;
  }

  // The client's bytes.

  /** The client's first request was one of HTTP/1 that offered HTTP/2. */
  beginUpgraded(): void {
    this.framer.beginUpgraded();
  }

  /** The next bytes begin with the preface. */
  skipPreface(): void {
    this.prefaceBytes = HTTP2_PREFACE.length;
  }

  push(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.timestampMs = timestampMs;
    this.rests = 0;
    const skipped = Math.min(this.prefaceBytes, length);
    this.prefaceBytes -= skipped;
    this.framer.push(bytes, offset + skipped, length - skipped);
  }

  gap(length: number): void {
    this.framer.gap(length);
  }

  end(): void {
    this.framer.end();
  }

  /** Whether it holds parts of requests. */
  get holdsParts(): boolean {
    return this.framer.holdsParts;
  }

  /** Whether it waits for nothing. */
  get isIdle(): boolean {
    return this.pipe.isIdle;
  }

  /** The batch is over: sends the calls that are due. `isEnded`: the client has ended. */
  settle(isEnded: boolean): void {
    this.chargeWithin();
    if (isEnded) this.pipe.finish();
    else this.pipe.pump();
    this.file();
  }

  /** The batch is over: further destinations send the calls that are due. */
  settleBranches(isEnded: boolean): void {
    for (const branch of this.branches) branch.settle(isEnded);
  }

  pump(): void {
    this.pipe.pump();
  }

  /**
   * The client has been silent for long. Returns whether the connection may be ended: its table of header fields is
   * lost then.
   */
  rest(): boolean {
    this.pipe.rest();
    for (const branch of this.branches) branch.rest();
    return ++this.rests >= RESTS_MAX && this.pipe.isIdle && !this.mode.options.sourceWaits;
  }

  /** Gives way to others: partial requests are lost. */
  evict(): void {
    this.framer.evict();
    this.charge();
  }

  /** Gives way to others with an upstream connection that waits for nothing. False: it has none. */
  letGo(): boolean {
    const hasSome = this.pipe.hasConnection;
    this.pipe.rest();
    return hasSome;
  }

  /** The client has ended: calls in the pipe go on without the conversation. */
  leave(): void {
    const { destination, heads } = this.mode;
    destination.memory.giveBack(Cost.HTTP2 + this.chargedBytes);
    this.chargedBytes = 0;
    heads.remove(this.timer);
  }

  /** Requests have been under way for long without being whole (Deadlines, in the capture's time). */
  expire(): void {
    for (const call of this.held) {
      if (this.mode.captureMs - call.capturedMs < HELD_MS_MAX) break;
      this.stream(call);
    }
    this.owner.idle();
  }

  // The framer's findings (Http2RequestSink).

  head(stream: number, head: Http2Head, isWhole: boolean): Http2Call {
    this.mode.destination.memory.take(Cost.CALL);
    const call = new Http2Call(this.pipe, stream, this.timestampMs);
    call.scheme = head.scheme;
    call.hasAuthority = head.hasAuthority;
    call.protocol = head.protocol;
    call.isOdd = head.isOdd;
    if (this.compared !== null) call.exchange = this.compared.head(stream, head.method, head.target);
    if (!isWhole) this.held.add(call);
    const text = this.decide(call, head.text);
    if (text === null) return call;
    const length = text === headBytes ? head.headLength : text.length;
    this.hold(call, text, 0, length);
    if (call.request === null) return call;
    call.request.headLength = length;
    call.request.exchange = call.exchange;
    describe(call.request, head);
    this.streamIfLong(call);
    return call;
  }

  /** Policy decides. Returns the head that is sent, {@link headBytes} if it is unchanged; null: the call is dropped. */
  private decide(call: Http2Call, head: string): Uint8Array | null {
    const { policy } = this.mode.options;
    if (policy === null || !policy.readsHeads) return bytesOf(head);
    call.judgement = judge(this.mode, policy, this.owner.knownClient(), head);
    const { decision, edited } = call.judgement;
    if (decision.drop !== null) this.drop(call, decision.drop);
    return decision.drop === null ? (edited ?? bytesOf(head)) : null;
  }

  bytes(call: Http2Call, bytes: Uint8Array, offset: number, length: number): void {
    if (this.mustStream(call, length)) this.stream(call);
    for (const branch of this.branches) branch.bytes(call, bytes, offset, length);
    if (call.dropping !== null) return;
    this.hold(call, bytes, offset, length);
    this.streamIfLong(call);
  }

  whole(call: Http2Call, trailer: string): void {
    countWhole(this.mode.destination.counters, call.isOdd, false);
    this.held.delete(call);
    call.trailer = trailer;
    if (call.exchange !== null) this.compared!.whole(call.exchange, this.timestampMs);
    const mayWait = call.isStreaming || this.mode.mayWait(this.pipe.waiting);
    // The further destinations do not depend on the endpoint.
    if (mayWait || this.branches.length > 0) this.admit(call);
    if (call.dropping !== null) call.dropping = ratedDrop(this.mode, call.dropping, this.timestampMs);
    for (const branch of this.branches) branch.whole(call, call.dropping);
    if (!mayWait && call.dropping === null) this.drop(call, "waiting_limit");
    if (call.dropping !== null) {
      countDropped(this.mode, call.dropping, call.judgement);
      call.exchange?.notForwarded();
      this.release();
      return;
    }
    call.isWhole = true;
    this.wholeCalls.add(call.stream, call);
    if (call.isStreaming) this.pipe.more(call);
    else this.pipe.commit(call);
  }

  damaged(call: Http2Call | null, reason: DamageReason): void {
    countDamaged(this.mode.destination.counters, reason);
    if (call === null) this.compared?.damaged();
    else call.exchange?.damaged();
    for (const branch of this.branches) branch.damaged(call, reason);
    if (call !== null) this.discard(call);
  }

  cancelled(call: Http2Call | null, stream: number): void {
    this.compared?.cancelled(stream);
    if (call === null) {
      const whole = this.wholeCalls.get(stream);
      if (whole !== undefined) this.pipe.cancel(whole, this.timestampMs);
      for (const branch of this.branches) branch.cancelWhole(stream, this.timestampMs);
      return;
    }
    countUnread(this.mode.destination.counters, call.dropping ?? "cancelled");
    call.exchange?.notForwarded();
    for (const branch of this.branches) branch.cancelled(call);
    this.discard(call);
  }

  hasRoom(): boolean {
    return this.owner.makeRoom(Cost.CALL + (this.compared?.costBytes ?? 0));
  }

  refused(why: "streams" | "memory"): void {
    const reason = why === "streams" ? "waiting_limit" : "buffer_limit";
    countUnread(this.mode.destination.counters, reason);
    this.compared?.dropped();
    for (const branch of this.branches) branch.refused(reason);
  }

  skipped(length: number): void {
    this.mode.destination.counters.requests.skipped_bytes += length;
  }

  // The outcomes of calls (Http2PipeOwner).

  callOver(call: Http2Call): void {
    this.wholeCalls.delete(call.stream);
    this.release();
  }

  idle(): void {
    this.owner.idle();
  }

  // Calls under way.

  private hold(call: Http2Call, bytes: Uint8Array, offset: number, length: number): void {
    const { requests } = this.mode;
    if (!requests.fits(call.request, length)) {
      if (!this.owner.makeRoom(requests.growth(call.request, length))) {
        if (call.isStreaming) this.pipe.abort(call);
        this.drop(call, "buffer_limit");
      }
      // This call may have given way to make the room.
      if (call.dropping !== null || (call.request === null && call.isStreaming)) return;
    }
    call.request ??= requests.take(this.timestampMs);
    requests.hold(call.request, bytes, offset, length);
    if (call.isStreaming) this.pipe.more(call);
  }

  /** Whether a call would hold more than can be held, and no request is to be lost. */
  private mustStream({ isStreaming, request }: Http2Call, length: number): boolean {
    return !isStreaming && request !== null && this.mode.mustStream(this.mode.requests.growth(request, length));
  }

  private streamIfLong(call: Http2Call): void {
    if (!call.isStreaming && call.request !== null && call.request.heldLength > this.mode.maxRequestBytes)
      this.stream(call);
  }

  /** A call that is whole is about to be forwarded. */
  private admit(call: Http2Call): void {
    if (call.isStreaming || call.dropping !== null || mayPass(this.mode, this.timestampMs)) return;
    this.drop(call, "rate_limit");
  }

  /** From here on a call is streamed. */
  private stream(call: Http2Call): void {
    this.held.delete(call);
    if (call.dropping !== null || call.request === null) return;
    if (!mayPass(this.mode, this.timestampMs)) {
      this.drop(call, "rate_limit");
      return;
    }
    call.isStreaming = true;
    for (const branch of this.branches) branch.begin(call);
    this.mode.requests.makeLong(call.request);
    this.pipe.commit(call);
  }

  private drop(call: Http2Call, reason: RequestDrop): void {
    call.dropping = reason;
    this.giveBack(call);
  }

  private discard(call: Http2Call): void {
    if (call.isStreaming) this.pipe.abort(call);
    this.giveBack(call);
    this.release();
  }

  /** A call's bytes are not held any more. */
  private giveBack(call: Http2Call): void {
    this.held.delete(call);
    if (call.request !== null) this.mode.requests.giveBack(call.request);
    call.request = null;
  }

  /** A call is over. */
  private release(): void {
    this.mode.destination.memory.giveBack(Cost.CALL);
  }

  /** Charges what its framer holds; if there is no room for a part, that is released. */
  private chargeWithin(): void {
    const { framer } = this;
    const grownBytes = framer.heldBytes - this.chargedBytes;
    const keptBytes = this.mode.destination.memory.budget.limitBytes * KEPT_SHARE;
    if (grownBytes > 0 && !this.owner.makeRoom(grownBytes + keptBytes)) {
      framer.evict();
      if (framer.heldBytes > this.chargedBytes) framer.loseTable();
    }
    this.charge();
  }

  private charge(): void {
    const { heldBytes } = this.framer;
    this.mode.destination.memory.take(heldBytes - this.chargedBytes);
    this.chargedBytes = heldBytes;
  }

  /** Sets the time when the oldest held call has been held for long. */
  private file(): void {
    const { heads } = this.mode;
    const [oldest] = this.held;
    if (oldest === undefined) heads.clear(this.timer);
    else heads.set(this.timer, oldest.capturedMs + HELD_MS_MAX);
  }
}
