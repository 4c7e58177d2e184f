/**
 * Pairs one client connection's requests with production's responses.
 *
 * As long as no byte is missing on either side since the connection began, they are paired by their order. Behind a
 * gap, sequence and acknowledgment numbers decide. A response belongs to a request if two things are so: it begins
 * exactly at the byte up to which the client had acknowledged the server's side when it sent the request, and the
 * server had read some of the request and no byte behind it. This rule holds for clients that wait for each response.
 * So it is used only for clients that were seen to wait, and never for clients that were seen not to; and only when the
 * client goes on exactly where the response ended, with no other bytes of the server between. A pair that is not
 * certain is not comparable.
 *
 * Flow delivers a server's bytes only when all bytes that they acknowledge were delivered or given up: a request is
 * known before its response.
 */
import type { ComparedCalls, ComparedStream, Exchange } from "../forward/exchange.ts";
import { advance, distance } from "../flow/sequence.ts";
import type { StreamEnd, StreamNumbers, StreamOrigin } from "../flow/stream.ts";
import { clientAddress } from "../http/client-address.ts";
import { HTTP_1, NUL } from "../http/chars.ts";
import { ResponseFramer } from "../http/response-framer.ts";
import type { ResponseSink, ResponseTap } from "../http/response-sink.ts";
import { SWITCHING_PROTOCOLS } from "../http/status-line.ts";
import { PairedCalls } from "./calls.ts";
import { ComparedExchange, type ExchangeOwner } from "./exchange.ts";
import type { PairingHost } from "./pairing-host.ts";
import type { ResponseRecorder } from "./recorder.ts";
import type { Kept } from "./response.ts";

const UPGRADE_TO_HTTP2 = /^upgrade:[ \t]*h2c[ \t]*$/im;

/** One client connection, as compare sees it: both sides' bytes by number, and the pairs found. */
export class PairedStream implements ComparedStream, ExchangeOwner, ResponseSink {
  client: string | null = null;

  // The client's side.

  /** The sequence number of the client's next byte. */
  private position: number;
  /** Whether a request is under way; where it began, and the client's acknowledgment number then. */
  private isInRequest = false;
  private requestStart = 0;
  private requestAcknowledged: number | null = null;
  /** The exchange of the request under way, once its head is whole. */
  private underWay: ComparedExchange | null = null;
  /** The exchange of a damaged request, which ends where the next one begins. */
  private unended: ComparedExchange | null = null;
  /** Bytes before the next request are lost. */
  private isRequestLost = false;

  // The server's side.

  /** The requests with responses that have not ended, in order. */
  private readonly queue: ComparedExchange[] = [];
  private framer: ResponseFramer | null = null;
  private recorder: ResponseRecorder | null = null;
  /** The exchange of the response that is framed. */
  private current: ComparedExchange | null = null;
  private hasBegun = false;
  private isDamaged = false;
  private code = 0;
  /** It is not known which request the next response belongs to, or where it begins. */
  private isLost = false;
  /** No more responses come. */
  private isOver = false;
  /** The next byte is the server's first one, on the connection or behind an accepted offer of another protocol. */
  private isAtBeginning = false;
  /** The offset one past the head that was read last. */
  headEnd = 0;
  /** The requests of HTTP/2; null: neither side has spoken it. */
  private calls: PairedCalls | null = null;
  /** A response in doubt, found behind a gap: its request, the kept response, and where it ended. */
  private doubt: ComparedExchange | null = null;
  private doubtKept: Kept | null = null;
  private doubtEnd: number | null = null;
  /** The offset and the sequence number of the first byte that is being delivered. */
  private offset = 0;
  private sequence = 0;
  /** How many requests came after the response before them had come, as a client's that waits do. */
  private serialRequests = 0;
  /** The client was seen not to wait. */
  private isPipelining = false;
  private readonly numbers: StreamNumbers;

  constructor(
    private readonly comparison: PairingHost,
    private readonly origin: StreamOrigin,
  ) {
    this.numbers = origin.numbers!;
    this.position = this.numbers.clientStart;
    this.isRequestLost = !origin.hasSyn;
  }

  get clientAddress(): string {
    return this.client ?? clientAddress(this.origin.identity);
  }

  // The client's side (ComparedStream).

  restart(isLost: boolean): void {
    this.isInRequest = false;
    this.underWay = null;
    this.isRequestLost ||= isLost;
  }

  requestBytes(length: number): void {
    this.beginRequest();
    this.position = advance(this.position, length);
  }

  otherBytes(length: number): void {
    this.position = advance(this.position, length);
  }

  head(method: string, minorVersion: number): Exchange | null {
    this.beginRequest();
    const { comparison } = this;
    const exchange = new ComparedExchange(
      comparison,
      this,
      method,
      minorVersion,
      this.requestStart,
      this.requestAcknowledged,
      this.isRequestLost,
      comparison.isSampledOut(),
      comparison.captureMs,
    );
    this.isRequestLost = false;
    this.underWay = exchange;
    if (this.isOver || this.calls !== null) exchange.unproduced("production_response_missing");
    else {
      this.queue.push(exchange);
      comparison.await(exchange);
    }
    return exchange.isSampledOut ? null : exchange;
  }

  whole(timestampMs: number): void {
    const exchange = this.underWay;
    if (exchange !== null) {
      exchange.end = this.position;
      exchange.requestMs = timestampMs;
    }
    this.underWay = null;
    this.isInRequest = false;
  }

  damaged(): void {
    const exchange = this.underWay;
    if (exchange === null) this.comparison.tally.not_comparable.request_damaged++;
    else exchange.damaged();
    this.unended = exchange;
    // A request without a head has no place in the order.
    this.isRequestLost ||= exchange === null;
    this.underWay = null;
    this.isInRequest = false;
  }

  lost(): void {
    this.unended = null;
    this.isRequestLost = true;
  }

  dropped(): void {
    this.comparison.tally.not_comparable.request_not_forwarded++;
  }

  foreign(): void {
    this.calls?.end();
    this.over();
    this.isAtBeginning = false;
  }

  http2(): ComparedCalls {
    return (this.calls ??= new PairedCalls(this.comparison, this));
  }

  private beginRequest(): void {
    if (this.isInRequest) return;
    this.isInRequest = true;
    this.requestStart = this.position;
    const { clientAcknowledged } = this.numbers;
    // A client that waits for a response has got some bytes since the last request.
    if (clientAcknowledged !== null && clientAcknowledged === this.requestAcknowledged) this.isPipelining = true;
    this.requestAcknowledged = clientAcknowledged;
    if (this.doubtEnd !== null) this.settleDoubt(clientAcknowledged === this.doubtEnd);
    if (this.unended !== null) this.unended.end = this.position;
    this.unended = null;
  }

  // The server's side (ResponseConsumer).

  begin(isFromStart: boolean): void {
    this.isLost ||= !isFromStart;
    this.isAtBeginning = isFromStart && !this.isOver;
  }

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    const { isAtBeginning } = this;
    this.isAtBeginning = false;
    // A server may be the first to speak HTTP/2: it begins with SETTINGS, and their first byte is NUL.
    if (isAtBeginning && this.queue.length === 0 && bytes[offset] === NUL) this.http2();
    if (this.calls !== null && !this.awaitsHttp1) {
      this.calls.data(bytes, offset, length, timestampMs, !isAtBeginning);
      return;
    }
    if (this.isOver) return;
    this.offset = offset;
    this.sequence = advance(this.numbers.serverNext, -length);
    if (this.current === null && !this.isLost) this.expectNext();
    if (this.isLost && !this.find(bytes, offset, length)) return;
    const framer = this.framer ?? this.newFramer();
    this.recorder!.received(timestampMs, 0);
    framer.push(bytes, offset, length);
    const left = offset + length - this.headEnd;
    // An offer was accepted: the rest of the bytes is not HTTP/1.
    if (this.isAtBeginning && left > 0) this.data(bytes, this.headEnd, left, timestampMs);
    if (this.doubt !== null && this.doubtKept !== null && this.doubtEnd === null) this.endDoubt();
  }

  gap(length: number): void {
    this.isAtBeginning = false;
    if (this.calls !== null && !this.awaitsHttp1) this.calls.gap(length);
    if (this.isOver || this.isLost) return;
    if (this.hasBegun) this.isDamaged = true;
    if (this.framer === null || !this.framer.gap(length)) this.lose();
  }

  end(how: StreamEnd): void {
    this.calls?.end();
    if (this.isOver) return;
    // A response that ends with its connection is whole if the connection ended with a FIN.
    if (how === "fin" && !this.isLost) this.framer?.end();
    this.lose();
    this.over();
  }

  /** Whether a request of HTTP/1, before those of HTTP/2, still waits for its response, which comes first. */
  private get awaitsHttp1(): boolean {
    return this.queue.length > 0 && !this.isLost && !this.isOver;
  }

  // The parts of responses (ResponseSink, and a tap).

  status(code: number): void {
    this.code = code;
  }

  /** A response begins with the byte at `at`. Its interim responses begin so too. */
  beginResponse(at: number): void {
    if (this.doubtKept !== null && this.doubtEnd === null) this.followDoubt();
    const exchange = this.current;
    if (this.isLost || exchange === null) return;
    if (!this.hasBegun && !this.mayBegin(exchange, advance(this.sequence, at - this.offset))) {
      this.isLost = true;
      this.current = null;
      return;
    }
    this.hasBegun = true;
    this.comparison.begun(exchange);
    this.recorder!.isWanted = exchange.isWanted;
    this.recorder!.begin();
  }

  complete(persistent: boolean): void {
    if (this.isLost) return;
    const isDamaged = this.isDamaged;
    const exchange = this.takeCurrent();
    this.comparison.tally.production_responses++;
    if (isDamaged) this.recorder!.discard();
    if (isDamaged) exchange.unproduced("production_response_damaged");
    else if (exchange === this.doubt) this.doubtKept = this.recorder!.take(this.code);
    else this.produce(exchange, this.recorder!.take(this.code));
    if (!persistent) this.over();
    else this.expectNext();
  }

  /** A response is whole: the exchange's, unless it says that the exchange's response follows in HTTP/2. */
  private produce(exchange: ComparedExchange, kept: Kept): void {
    if (this.code !== SWITCHING_PROTOCOLS || !UPGRADE_TO_HTTP2.test(kept.response?.head ?? "")) {
      exchange.produced(kept);
      return;
    }
    this.comparison.memory.giveBackKept(kept);
    this.calls ??= new PairedCalls(this.comparison, this);
    this.calls.adopt(exchange);
  }

  upgraded(): void {
    if (this.isLost) return;
    this.complete(false);
    this.isAtBeginning = this.code === SWITCHING_PROTOCOLS;
  }

  unsolicited(): void {
    this.isLost = true;
    if (this.doubt !== null) this.followDoubt();
  }

  malformed(): void {
    if (this.isLost) return;
    this.lose();
    this.over();
  }

  /**
   * Production's response is not waited for any more (Comparison). If it still comes, it belongs to no known request.
   */
  expire(exchange: ComparedExchange): void {
    const place = this.queue.indexOf(exchange);
    if (place >= 0) this.queue.splice(place, 1);
    if (exchange === this.doubt) this.settleDoubt(false);
    if (place === 0) {
      this.isLost = true;
      this.current = null;
    } else if (place > 0) {
      // If its response comes, it is not the next one's.
      const next = this.queue[place];
      if (next === undefined) this.isRequestLost = true;
      else next.isBehindLoss = true;
    }
    exchange.unproduced("production_response_missing");
  }

  // In step and out of step.

  /** The next response belongs to the next request in order, unless bytes are missing before that request. */
  private expectNext(): void {
    const next = this.queue[0];
    if (next === undefined) return;
    if (next.isBehindLoss) this.isLost = true;
    else this.expect(next);
  }

  private expect(exchange: ComparedExchange): void {
    const framer = this.framer ?? this.newFramer();
    this.current = exchange;
    this.hasBegun = false;
    this.isDamaged = false;
    framer.expect(exchange.method, exchange.minorVersion);
  }

  /**
   * Whether a response that begins at the server's sequence number may belong to an exchange, which is the next in
   * order.
   */
  private mayBegin(exchange: ComparedExchange, sequence: number): boolean {
    const { serverAcknowledged } = this.numbers;
    const { start, end, acknowledged } = exchange;
    // A server does not respond to a request before it has got some of it.
    if (serverAcknowledged !== null && distance(start, serverAcknowledged) <= 0) return false;
    if (acknowledged === null) return true;
    const ahead = distance(acknowledged, sequence);
    if (ahead > 0) this.isPipelining = true;
    else if (ahead === 0 && hasReadNoFurther(end, serverAcknowledged)) this.serialRequests++;
    return true;
  }

  /** Out of step: looks whether a segment begins a response that certainly belongs to a known request. */
  private find(bytes: Uint8Array, offset: number, length: number): boolean {
    const { queue, numbers } = this;
    const { serverAcknowledged } = numbers;
    if (this.isFirst(queue[0])) {
      this.isLost = false;
      this.expectNext();
      return true;
    }
    if (this.isPipelining || serverAcknowledged === null || !beginsResponse(bytes, offset, length)) return false;
    // The server has read on: a client that waits had the responses to the requests before.
    while (queue.length > 0 && !hasReadNoFurther(queue[0]!.end, serverAcknowledged))
      queue.shift()!.unproduced("production_response_missing");
    const next = queue[0];
    if (next === undefined || distance(next.start, serverAcknowledged) <= 0) return false;
    if (next.acknowledged !== this.sequence) return false;
    // If the client was not yet seen to wait, its first response is only evidence that it waits.
    if (this.serialRequests === 0) next.unproduced("production_response_missing");
    this.isLost = false;
    this.newFramer();
    this.settleDoubt(false);
    this.doubt = next;
    this.expect(next);
    return true;
  }

  /**
   * Whether the bytes that are being delivered are the server's first ones although its SYN was not seen: a client's
   * first request acknowledges no other bytes.
   */
  private isFirst(next: ComparedExchange | undefined): boolean {
    const { origin, numbers } = this;
    if (next === undefined || !origin.hasSyn || next.isBehindLoss || next.start !== numbers.clientStart) return false;
    return next.acknowledged === this.sequence;
  }

  /** The response in doubt is complete: the server must send nothing behind it before the client goes on. */
  private endDoubt(): void {
    this.doubtEnd = this.numbers.serverNext;
    const next = this.queue[0];
    if (next !== undefined) this.settleDoubt(next.acknowledged === this.doubtEnd);
  }

  /** Another response was outstanding: the response in doubt may have been another request's. */
  private followDoubt(): void {
    this.isPipelining = true;
    this.settleDoubt(false);
  }

  /**
   * Settles the doubt. `isCertain`: the client went on exactly where the response ended, so it had waited for that
   * response.
   */
  private settleDoubt(isCertain: boolean): void {
    const { doubt, doubtKept } = this;
    this.doubt = null;
    this.doubtKept = null;
    this.doubtEnd = null;
    if (doubt === null || doubtKept === null) return;
    if (!isCertain) doubt.unproduced("production_response_missing");
    // An exchange that has its verdict gives the kept response back.
    doubt.produced(doubtKept);
  }

  /** It is not known any more which response comes next, or where it begins. */
  private lose(): void {
    if (this.isLost) return;
    this.isLost = true;
    this.settleDoubt(false);
    if (this.current === null || !this.hasBegun) {
      this.current = null;
      return;
    }
    this.recorder!.discard();
    this.takeCurrent().unproduced("production_response_damaged");
  }

  /** The server's bytes have ended. */
  private over(): void {
    this.isOver = true;
    this.settleDoubt(false);
    this.recorder?.discard();
    this.framer = null;
    this.recorder = null;
    this.current = null;
    for (const exchange of this.queue) exchange.unproduced("production_response_missing");
    this.queue.length = 0;
  }

  private takeCurrent(): ComparedExchange {
    this.current = null;
    this.hasBegun = false;
    this.isDamaged = false;
    return this.queue.shift()!;
  }

  private newFramer(): ResponseFramer {
    this.recorder ??= this.comparison.newRecorder();
    this.framer = new ResponseFramer(this, new ProductionTap(this, this.recorder));
    return this.framer;
  }
}

/** Takes the parts of production's responses. */
class ProductionTap implements ResponseTap {
  constructor(
    private readonly stream: PairedStream,
    private readonly recorder: ResponseRecorder,
  ) {}

  begin(at: number): void {
    this.stream.beginResponse(at);
  }

  head(bytes: Uint8Array, from: number, to: number): void {
    this.stream.headEnd = to;
    this.recorder.head(bytes, from, to);
  }

  body(bytes: Uint8Array, from: number, to: number): void {
    this.recorder.body(bytes, from, to);
  }
}

/** Whether the server had read no byte behind a request; `end` null: no byte has come behind it. */
function hasReadNoFurther(end: number | null, serverAcknowledged: number | null): boolean {
  return end === null || serverAcknowledged === null || distance(end, serverAcknowledged) <= 0;
}

function beginsResponse(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length < HTTP_1.length) return false;
  for (let i = 0; i < HTTP_1.length; i++) if (bytes[offset + i] !== HTTP_1[i]) return false;
  return true;
}
