/**
 * One HTTP/2 client connection's calls on their way to a further destination. Held calls come here when they are whole,
 * and share the endpoint's bytes. A streamed call goes on separately here, with bytes of its own.
 */
import { StreamTable } from "../http/http2/stream-table.ts";
import type { DamageReason } from "../http/request-sink.ts";
import { Cost } from "../memory/budget.ts";
import type { RequestDrop } from "./counters.ts";
import type { FurtherDestination } from "./further-destination.ts";
import { Http2Call } from "./http2-call.ts";
import { Http2Pipe, type Http2PipeOwner } from "./http2-pipe.ts";
import { countDamaged, countUnread, countWhole } from "./request-outcome.ts";
import type { Request } from "./request.ts";

/** One HTTP/2 conversation's way to one further destination. */
export class Http2Branch implements Http2PipeOwner {
  private readonly pipe: Http2Pipe;
  /** Calls that are not whole and are streamed, by the endpoint's call. */
  private readonly streaming = new Map<Http2Call, Http2Call>();
  /** Whole calls by the client's streams, which the client may cancel. */
  private readonly wholeCalls = new StreamTable<Http2Call>();
  private isOver = false;

  /** `changed`: called when the conversation is to be settled. `isLate`: the connection was joined in its middle. */
  constructor(
    private readonly destination: FurtherDestination,
    preface: Uint8Array | null,
    isLate: boolean,
    private readonly changed: () => void,
  ) {
    this.pipe = new Http2Pipe(destination, this, preface);
    destination.destination.memory.take(Cost.BRANCH);
    const { http2 } = destination.counters;
    http2.connections++;
    if (isLate) http2.picked_up++;
  }

  // Calls under way.

  /** From here on a call is streamed; `original` holds its bytes so far. */
  begin(original: Http2Call): void {
    const { requests } = this.destination;
    const call = this.callLike(original);
    this.streaming.set(original, call);
    const held = original.request!;
    if (!this.destination.hasRoomFor(requests.growth(null, held.heldLength))) {
      call.dropping = "buffer_limit";
      return;
    }
    call.request = requests.copy(held);
    call.request.exchange = this.destination.exchangeOf(original.exchange);
    call.isStreaming = true;
    requests.makeLong(call.request);
    this.pipe.commit(call);
  }

  /** Bytes of a call. They matter only if the call is streamed. */
  bytes(original: Http2Call, bytes: Uint8Array, offset: number, length: number): void {
    const call = this.streaming.get(original);
    if (call === undefined || call.request === null) return;
    const { requests } = this.destination;
    if (!this.destination.hasRoomFor(requests.growth(call.request, length))) {
      this.pipe.abort(call);
      call.dropping = "buffer_limit";
      return;
    }
    requests.hold(call.request, bytes, offset, length);
    this.pipe.more(call);
  }

  /** A call is whole. `reason`: it is dropped at all destinations that have not begun it; null: it is not dropped. */
  whole(original: Http2Call, reason: RequestDrop | null): void {
    const { counters } = this.destination;
    countWhole(counters, original.isOdd, false);
    const streaming = this.streaming.get(original);
    if (streaming === undefined && reason === null) {
      this.commit(original, original.request!);
    } else if (streaming === undefined || streaming.dropping !== null) {
      counters.requests.dropped[streaming?.dropping ?? reason!]++;
      this.destination.controlOf(original.exchange)?.notForwarded();
      this.forget(original);
    } else {
      this.streaming.delete(original);
      this.finishCall(streaming, original);
      this.pipe.more(streaming);
    }
  }

  damaged(original: Http2Call | null, reason: DamageReason): void {
    countDamaged(this.destination.counters, reason);
    if (original !== null) this.discard(original);
  }

  /** The client has cancelled a call that is not whole. */
  cancelled(original: Http2Call): void {
    countUnread(this.destination.counters, (this.streaming.get(original) ?? original).dropping ?? "cancelled");
    this.discard(original);
  }

  /** The client has cancelled a call that is whole, at `capturedMs`. */
  cancelWhole(stream: number, capturedMs: number): void {
    const call = this.wholeCalls.get(stream);
    if (call !== undefined) this.pipe.cancel(call, capturedMs);
  }

  /** A call found no room among those of its connection, or in the endpoint's memory. */
  refused(reason: RequestDrop): void {
    countUnread(this.destination.counters, reason);
  }

  /** Hands on a whole call, which `held` has. */
  private commit(original: Http2Call, held: Request): void {
    const { destination } = this;
    const { requests } = destination;
    const refusal = destination.refusalOf(this.pipe.waiting, Cost.CALL + requests.shareCost(held));
    if (refusal !== null) {
      destination.counters.requests.dropped[refusal]++;
      destination.controlOf(original.exchange)?.notForwarded();
      return;
    }
    const call = this.callLike(original);
    call.request = requests.share(held);
    call.request.exchange = destination.exchangeOf(original.exchange);
    this.finishCall(call, original);
    this.pipe.commit(call);
  }

  private callLike(original: Http2Call): Http2Call {
    const call = new Http2Call(this.pipe, original.stream, original.capturedMs);
    call.scheme = original.scheme;
    call.hasAuthority = original.hasAuthority;
    call.protocol = original.protocol;
    this.destination.destination.memory.take(Cost.CALL);
    return call;
  }

  private finishCall(call: Http2Call, original: Http2Call): void {
    call.isWhole = true;
    call.trailer = original.trailer;
    this.wholeCalls.add(call.stream, call);
  }

  private discard(original: Http2Call): void {
    const call = this.streaming.get(original);
    if (call?.isStreaming === true) this.pipe.abort(call);
    this.forget(original);
  }

  private forget(original: Http2Call): void {
    if (this.streaming.delete(original)) this.release();
  }

  /** A call is over. */
  private release(): void {
    this.destination.destination.memory.giveBack(Cost.CALL);
  }

  // The outcomes of calls (Http2PipeOwner).

  callOver(call: Http2Call): void {
    if (this.wholeCalls.get(call.stream) === call) this.wholeCalls.delete(call.stream);
    this.release();
  }

  idle(): void {
    this.changed();
  }

  // Work that is due.

  /** The batch is over. `isEnded`: the client has ended. */
  settle(isEnded: boolean): void {
    if (isEnded) {
      this.leave();
      this.pipe.finish();
      this.pipe.list?.remove(this.pipe);
    } else {
      this.pipe.pump();
      this.destination.file(this.pipe);
    }
  }

  /** The client has been silent for long. */
  rest(): void {
    this.pipe.rest();
  }

  private leave(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.destination.destination.memory.giveBack(Cost.BRANCH);
  }
}
