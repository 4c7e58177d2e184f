/**
 * Pairs one client connection's requests of HTTP/2 with production's responses: a request and a response of the same
 * stream belong together. No stream is used twice (RFC 9113, section 5.1.1), so missing bytes never pair the wrong
 * ones.
 */
import type { ComparedCalls, Exchange } from "../forward/exchange.ts";
import { type Http2Response, Http2ResponseFramer, type Http2StatusSink } from "../http/http2/response-framer.ts";
import type { ResponseHead } from "../http/http2/response-head.ts";
import { Cost } from "../memory/budget.ts";
import { ComparedExchange, EXCHANGE_COST_BYTES, type ExchangeOwner } from "./exchange.ts";
import type { PairingHost } from "./pairing-host.ts";
import type { ResponseRecorder } from "./recorder.ts";

/** The cost of a call: its exchange, and the recorders of its responses from both sides. */
export const CALL_COST_BYTES = EXCHANGE_COST_BYTES + 768;

/** Stream 1 is the request of HTTP/1 that offered HTTP/2. */
const UPGRADED_STREAM = 1;

/** Production's response to one request. */
class AwaitedResponse implements Http2Response, ExchangeOwner {
  /** Null: the response has not begun. */
  private recorder: ResponseRecorder | null = null;
  private code = 0;
  exchange!: ComparedExchange;

  constructor(
    private readonly calls: PairedCalls,
    readonly stream: number,
  ) {}

  get clientAddress(): string {
    return this.calls.clientAddress;
  }

  /** The response is not waited for any more (ExchangeOwner). */
  expire(): void {
    this.calls.giveUp(this);
  }

  // The parts of the response (Http2Response).

  get isBegun(): boolean {
    return this.recorder !== null;
  }

  head(section: ResponseHead): void {
    const { calls, exchange } = this;
    this.recorder = calls.newRecorder(exchange);
    this.recorder.isWanted = exchange.isWanted;
    this.recorder.received(calls.timestampMs, 0);
    this.recorder.http2Head(section);
    this.code = section.status;
  }

  body(bytes: Uint8Array, offset: number, length: number): void {
    this.recorder!.body(bytes, offset, offset + length);
  }

  whole(trailer: ResponseHead | null): void {
    const recorder = this.recorder!;
    recorder.received(this.calls.timestampMs, 0);
    if (trailer !== null) recorder.http2Trailer(trailer);
    this.exchange.produced(recorder.take(this.code));
  }

  damaged(isSeen: boolean): void {
    this.recorder?.discard();
    this.exchange.unproduced(isSeen ? "production_response_damaged" : "production_response_missing");
  }
}

/** The calls of one client connection, with production's responses to them. */
export class PairedCalls implements ComparedCalls, Http2StatusSink {
  readonly costBytes = CALL_COST_BYTES;
  private readonly awaited = new Map<number, AwaitedResponse>();
  /** Null: the server has sent nothing yet, or sends nothing any more. */
  private framer: Http2ResponseFramer | null = null;
  private isOver = false;
  private isLate = false;
  /** The capture time of the bytes that are read. */
  timestampMs = 0;
  private chargedBytes = 0;

  constructor(
    private readonly comparison: PairingHost,
    private readonly client: { readonly clientAddress: string },
  ) {}

  get clientAddress(): string {
    return this.client.clientAddress;
  }

  // The client's side (ComparedCalls).

  head(stream: number, method: string, target: string): Exchange | null {
    const { comparison } = this;
    if (comparison.isSampledOut()) {
      comparison.tally.sampled_out++;
      return null;
    }
    const response = new AwaitedResponse(this, stream);
    const exchange = ComparedExchange.ofCall(comparison, response, method, comparison.captureMs, CALL_COST_BYTES);
    exchange.target = target;
    response.exchange = exchange;
    this.expect(response);
    return exchange;
  }

  whole(exchange: Exchange, timestampMs: number): void {
    (exchange as ComparedExchange).requestMs = timestampMs;
  }

  cancelled(stream: number): void {
    const response = this.awaited.get(stream);
    if (response !== undefined) this.giveUp(response);
  }

  damaged(): void {
    this.comparison.tally.not_comparable.request_damaged++;
  }

  dropped(): void {
    this.comparison.tally.not_comparable.request_not_forwarded++;
  }

  /** Takes the request that offered HTTP/2, after production has accepted the offer. */
  adopt(exchange: ComparedExchange): void {
    exchange.isUpgraded = true;
    const response = new AwaitedResponse(this, UPGRADED_STREAM);
    response.exchange = exchange;
    this.expect(response);
  }

  private expect(response: AwaitedResponse): void {
    const { exchange, stream } = response;
    if (this.isOver) return exchange.unproduced("production_response_missing");
    const other = this.awaited.get(stream);
    if (other !== undefined) this.giveUp(other);
    this.awaited.set(stream, response);
    this.comparison.await(exchange);
  }

  /** A response is not waited for any more. */
  giveUp(response: AwaitedResponse): void {
    this.awaited.delete(response.stream);
    response.damaged(response.isBegun);
  }

  // The server's side (ResponseConsumer).

  /** Takes bytes of the server. `isLate`: some of its earlier bytes in HTTP/2 are missing, or may be. */
  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number, isLate: boolean): void {
    this.isLate ||= isLate;
    if (this.isOver || !this.begin()) return;
    const framer = this.framer!;
    this.timestampMs = timestampMs;
    framer.push(bytes, offset, length);
    this.charge(Cost.HTTP2 + framer.heldBytes);
  }

  /**
   * Begins to frame the responses. False: there is no room for the framer. It then begins later, in the middle of the
   * server's bytes.
   */
  private begin(): boolean {
    if (this.framer !== null) return true;
    const hasRoom = this.comparison.memory.hasRoomFor(Cost.HTTP2);
    if (hasRoom) this.framer = new Http2ResponseFramer(this, this.awaited, this.isLate);
    this.isLate = true;
    return hasRoom;
  }

  gap(length: number): void {
    this.framer?.gap(length);
  }

  end(): void {
    this.isOver = true;
    for (const response of this.awaited.values()) response.damaged(response.isBegun);
    this.awaited.clear();
    this.framer = null;
    this.charge(0);
  }

  /** A recorder for the response to an exchange; the response has begun. */
  newRecorder(exchange: ComparedExchange): ResponseRecorder {
    this.comparison.begun(exchange);
    return this.comparison.newRecorder();
  }

  status(): void {
    this.comparison.tally.production_responses++;
  }

  private charge(bytes: number): void {
    this.comparison.memory.take(bytes - this.chargedBytes);
    this.chargedBytes = bytes;
  }
}
