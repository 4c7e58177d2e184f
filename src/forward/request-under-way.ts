/**
 * A client's request, from its first byte to its end. Decides whether it is admitted (policy has looked at its head,
 * the rate has room), and whether it is held until it is whole, streamed, or dropped.
 */
import { latin1 } from "../http/latin1.ts";
import type { DamageReason, RequestHead } from "../http/request-sink.ts";
import type { Policy } from "../policy/policy.ts";
import { countDropped, judge, type Judgement, mayPass, ratedDrop } from "./admission.ts";
import type { Branch } from "./branch.ts";
import type { RequestDrop } from "./counters.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestHost, RequestOwner } from "./request-host.ts";
import type { RequestPipe } from "./request-pipe.ts";
import { describe, type Request } from "./request.ts";

/** The request under way. One object serves a whole conversation: it is used again for each request. */
export class RequestUnderWay {
  /** Its head, once it is whole; the framer's own. */
  head: RequestHead | null = null;
  /** It goes straight to the connection. */
  isStreaming = false;
  /** It is dropped for this reason; null: it is not dropped. */
  dropping: RequestDrop | null = null;
  /** Its held bytes; null: none are held. */
  private request: Request | null = null;
  /** It is to be forwarded, and its head is edited. */
  private isAdmitted = false;
  /** Its head is whole, and policy has not looked at it. */
  private isUndecided = false;
  /** Policy's decision; null: policy was not asked. */
  private judgement: Judgement | null = null;
  /** Its exchange, once its head is whole; null: its response is not compared. */
  private exchange: Exchange | null = null;
  /** Null: there is no policy that could have an effect. */
  private readonly policy: Policy | null;

  constructor(
    private readonly mode: RequestHost,
    private readonly owner: RequestOwner,
    private readonly pipe: RequestPipe,
    /** One for each further destination. */
    private readonly branches: readonly Branch[],
  ) {
    this.policy = mode.options.policy;
  }

  /** Its head is whole; `head` is valid until the next one is. The bytes with the head's end come next. */
  begin(head: RequestHead, exchange: Exchange | null): void {
    this.head = head;
    this.exchange = exchange;
    this.isUndecided = this.policy !== null;
  }

  /** Its next bytes. */
  take(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    if (this.isStreaming) this.pipe.streamBytes(bytes, offset, length, timestampMs);
    else if (this.dropping === null) {
      if (this.isUndecided) {
        this.decide(bytes, offset, length, timestampMs);
        return;
      }
      this.hold(bytes, offset, length, timestampMs);
    }
    for (const branch of this.branches) branch.bytes(bytes, offset, length, timestampMs);
  }

  /** The request is whole: it waits for its turn, or is dropped. A call of {@link clear} follows. */
  whole(timestampMs: number): void {
    const head = this.head!;
    if (this.dropping !== null) this.dropping = ratedDrop(this.mode, this.dropping, timestampMs);
    if (this.branches.length > 0) this.branch(head, timestampMs);
    if (this.isStreaming) this.pipe.endStream(head.isIsolated);
    else if (this.dropping === null) this.commit(head, timestampMs);
    if (this.dropping !== null) this.drop(this.dropping);
  }

  /** The request is damaged: no more of it is forwarded. */
  damaged(reason: DamageReason): void {
    if (this.isStreaming) this.pipe.abortStream();
    else this.discard();
    for (const branch of this.branches) branch.damaged(reason);
    this.clear();
  }

  /** The endpoint cannot get the rest of a streamed request. */
  streamLost(reason: RequestDrop): void {
    this.isStreaming = false;
    this.dropping = reason;
  }

  /** Sends it as it comes, if it is long and its turn has come. */
  streamIfLong(timestampMs: number): void {
    const { request } = this;
    if (request !== null && request.heldLength > this.mode.maxRequestBytes)
      this.streamIfItsTurn(request, false, timestampMs);
  }

  /** How many bytes of it are held. */
  get heldLength(): number {
    return this.request?.heldLength ?? 0;
  }

  /** Whether no byte of it was seen. */
  get isUnseen(): boolean {
    return this.request === null && this.dropping === null;
  }

  /** A copy of its held bytes; null: none are held. */
  copyHeld(): Uint8Array | null {
    return this.request === null ? null : this.request.bytes.slice(0, this.request.length);
  }

  /** Releases its held bytes. */
  discard(): void {
    if (this.request === null) return;
    this.mode.requests.giveBack(this.request);
    this.request = null;
  }

  /** Prepares the object for another request. */
  clear(): void {
    this.head = null;
    this.exchange = null;
    this.isAdmitted = false;
    this.isUndecided = false;
    this.judgement = null;
    this.isStreaming = false;
    this.dropping = null;
  }

  /** The bytes bring the end of the head: policy decides, and may replace the head. */
  private decide(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.isUndecided = false;
    const policy = this.policy!;
    const head = this.head!;
    if (!policy.readsHeads) {
      this.take(bytes, offset, length, timestampMs);
      return;
    }
    const { requests } = this.mode;
    const before = this.request === null ? "" : requests.text(this.request);
    const rest = head.headLength - before.length;
    const text = before + latin1(bytes, offset, offset + rest);
    this.judgement = judge(this.mode, policy, this.owner.knownClient(), text);
    const { decision, edited, target } = this.judgement;
    if (this.exchange !== null) this.exchange.target = target;
    this.dropping = decision.drop;
    if (this.dropping !== null) {
      this.discard();
      return;
    }
    if (edited === null) {
      this.take(bytes, offset, length, timestampMs);
      return;
    }
    if (this.request !== null) requests.freeBytes(this.request);
    head.headLength = edited.length;
    this.take(edited, 0, edited.length, timestampMs);
    if (rest < length) this.take(bytes, offset + rest, length - rest, timestampMs);
  }

  private hold(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    const { requests, maxRequestBytes } = this.mode;
    if (!requests.fits(this.request, length)) {
      const growth = requests.growth(this.request, length);
      if (this.mode.mustStream(growth) && this.hasHead && this.streamIfItsTurn(this.request!, false, timestampMs)) {
        if (this.isStreaming) this.pipe.streamBytes(bytes, offset, length, timestampMs);
        return;
      }
      if (!this.owner.makeRoom(growth)) {
        this.dropping = "buffer_limit";
        this.discard();
        return;
      }
    }
    const request = (this.request ??= requests.take(timestampMs));
    requests.hold(request, bytes, offset, length);
    if (request.heldLength > maxRequestBytes) this.streamIfItsTurn(request, true, timestampMs);
  }

  /** Whether the whole head is held. */
  private get hasHead(): boolean {
    return this.request !== null && this.head !== null && this.request.heldLength >= this.head.headLength;
  }

  /**
   * Sends a request as it comes, if its turn has come. Returns whether it is no longer held. `hasNext`: the bytes that
   * further destinations get next are held already.
   */
  private streamIfItsTurn(request: Request, hasNext: boolean, timestampMs: number): boolean {
    const { mayStream } = this.pipe;
    if (this.head === null || !(mayStream || this.branches.some((branch) => branch.mayStream))) return false;
    if (!this.isAdmitted && !this.admit(request, this.head, timestampMs)) {
      this.discard();
      return true;
    }
    this.isAdmitted = true;
    for (const branch of this.branches) branch.begin(request, mayStream, hasNext);
    if (!mayStream) return false;
    this.request = null;
    this.isStreaming = true;
    this.pipe.startStream(request);
    return true;
  }

  /** Hands on a whole request that was held. */
  private commit(head: RequestHead, timestampMs: number): void {
    const request = this.request!;
    if (!this.mode.mayWait(this.pipe.waiting)) this.dropping = "waiting_limit";
    if (this.dropping !== null || !(this.isAdmitted || this.admit(request, head, timestampMs))) return;
    // It may have been admitted before its end was seen.
    request.isIsolated = head.isIsolated;
    this.request = null;
    this.pipe.commit(request);
  }

  /** The request is whole: gives it to further destinations, independently of the endpoint's part. */
  private branch(head: RequestHead, timestampMs: number): void {
    const { request } = this;
    if (request !== null && this.dropping === null) this.isAdmitted ||= this.admit(request, head, timestampMs);
    const original = this.dropping === null ? request : null;
    for (const branch of this.branches) branch.whole(head, original, this.dropping);
  }

  /** The request is whole, and is not forwarded. */
  private drop(reason: RequestDrop): void {
    countDropped(this.mode, reason, this.judgement);
    this.exchange?.notForwarded();
    this.discard();
  }

  /** The request is about to be forwarded. False: it is dropped ({@link dropping}). */
  private admit(request: Request, head: RequestHead, timestampMs: number): boolean {
    describe(request, head);
    const { exchange } = this;
    request.exchange = exchange;
    if (exchange !== null && exchange.target === "")
      exchange.target = this.mode.requests.targetOf(request, head.headLength);
    if (mayPass(this.mode, timestampMs)) return true;
    this.dropping = "rate_limit";
    return false;
  }
}
