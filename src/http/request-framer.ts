/**
 * Frames a client's bytes, in order and with gaps, into requests. https://www.rfc-editor.org/rfc/rfc9112#section-6.3
 *
 * Bytes are looked at once, where they lie, in whatever pieces they come. Two things are copied: a request line that
 * begins behind a gap, until it is complete, and bytes that may be a PROXY protocol header.
 */
import { CHUNKED_LENGTH, fillHead, UNCLEAR_LENGTH } from "./body-length.ts";
import { CR, LF } from "./chars.ts";
import { HTTP2_PREFACE, isHttp2, isTls, RECORD_TYPE_HANDSHAKE, RECORD_VERSION_MAJOR } from "./foreign.ts";
import { Beginning, OutOfStep } from "./out-of-step.ts";
import { DONE, MALFORMED, MORE, TOO_LONG } from "./outcome.ts";
import { mayBeProxyHeader, ProxyHeader } from "./proxy-protocol.ts";
import { type RequestReader, requestReaders } from "./readers.ts";
import type { DamageReason, ForeignProtocol, RequestSink } from "./request-sink.ts";

// Before the first request.
/** The connection's first byte is still to come. */
const START = 0;
/** The connection's first bytes, while they may be a PROXY protocol header. */
const PROXY = 1;
/** The first bytes (behind such a header), while they may be HTTP/2's preface. */
const OPENING = 2;
/** The connection's first byte was that of a TLS handshake. */
const OPENING_TLS = 3;

// Between requests.
const BETWEEN = 4;
/** Behind a request that ends the connection. */
const AFTER_CLOSE = 5;

// In a request.
const LINE = 6;
const FIELDS = 7;
/** A body of known length. */
const BODY = 8;
const CHUNKED = 9;

/** Out of step: the beginning of the next request is unknown. */
const LOST = 10;
/** Another protocol: bytes pass as they are. */
const PASSING = 11;
/** No more bytes are read: no server would read them, or the beginning of the next request is unknown. */
const OVER = 12;

/**
 * A gap of so many bytes behind a request that ends the connection: no client sends them. The mirror has lost this
 * connection's end and the next one's beginning, on the same port, and the bytes behind the gap are the next one's.
 */
export const OTHER_CONNECTION_GAP_MIN = 1 << 20;

/** The framer of one client connection's requests. */
export class RequestFramer {
  private state: number;
  /** Borrowed while a request is under way, or the next one is looked for; null: neither is so. */
  private reader: RequestReader | null = null;
  /** Bytes of the request line and header section so far. */
  private headLength = 0;
  /** The bytes of the body of known length that are still to come. */
  private remaining = 0;
  /** The offset, in the push under way, of the first byte that the sink did not get. */
  private from = 0;
  /** The sink knows that the request under way is damaged: it is read on only to find its end. */
  private isDamaged = false;
  /** It is damaged only because bytes are missing: a request may be looked for behind it. */
  private isOnlyHoled = false;
  /** The request under way was found behind a gap, and its head is not whole yet: it may be no request. */
  private isFound = false;

  /** The connection is known from its first byte, and its first line was not read yet. */
  private isFirstLine: boolean;
  /** No request was found yet. */
  private isUnproven = true;
  private openingLength = 0;
  private proxy: ProxyHeader | null = null;
  private isPassingRest = false;

  /** Null: the framer has not been out of step. */
  private outOfStep: OutOfStep | null = null;

  /**
   * `maxHeaderBytes`: the limit of the request line and header section together; of a chunk's line; of a trailer
   * section. `fromStart`: the first byte pushed is the connection's first one.
   */
  constructor(
    private readonly maxHeaderBytes: number,
    private readonly sink: RequestSink,
    fromStart: boolean,
  ) {
    this.state = fromStart ? START : LOST;
    this.isFirstLine = fromStart;
    if (!fromStart) this.outOfStep = new OutOfStep(maxHeaderBytes, sink, true);
  }

  /** The next bytes, beginning with a segment's first byte. They are not kept. */
  push(bytes: Uint8Array, offset: number, length: number): void {
    if (length === 0) return;
    if (this.state === BODY && length < this.remaining && !this.isDamaged) {
      this.remaining -= length;
      this.sink.bytes(bytes, offset, length);
      return;
    }
    const end = offset + length;
    this.from = offset;
    this.isPassingRest = false;
    let at = offset;
    if (this.state === LOST) at = this.seek(this.outOfStep!, bytes, offset, end);
    while (at < end && !this.isPassingRest) at = this.step(bytes, at, end);
    this.tellRest(bytes, end);
    this.giveBack();
  }

  /** The next `length` bytes are missing. */
  gap(length: number): void {
    if (this.state === PROXY) this.noProxyHeader();
    switch (this.state) {
      case LOST:
        this.outOfStep!.gap(length);
        if (this.outOfStep!.owesDamage) this.lose("gap");
        break;
      case BODY:
        this.gapInBody(length);
        break;
      case CHUNKED:
        if (this.reader!.chunked.skip(length)) this.damage("gap");
        else this.loseEnd();
        break;
      case AFTER_CLOSE:
        if (length >= OTHER_CONNECTION_GAP_MIN) this.seekAnew();
        break;
      case PASSING:
      case OVER:
        break;
      default:
        this.loseEnd();
    }
    this.giveBack();
  }

  /** The request under way gives way to others: it is damaged. It is read on if its end will be known. */
  evict(): void {
    if (this.state === BODY || this.state === CHUNKED) this.damage("evicted");
    else this.lose("evicted");
  }

  /** The client's bytes have ended. */
  end(): void {
    if (this.state === PROXY) this.noProxyHeader();
    if (this.isUnderWay) this.lose("cut_off");
    else if (this.state === LOST && this.outOfStep!.hasMissed) this.lose("gap");
    this.outOfStep?.dropHeld();
    this.state = OVER;
    this.giveBack();
  }

  /**
   * To be called in {@link RequestSink.whole}: the rest of the push under way is not framed but given to `bytes` as it
   * is. (Bytes behind a request that wants an upgrade may be of another protocol.)
   */
  passRest(): void {
    this.isPassingRest = true;
  }

  /**
   * To be called before all other methods: another framer read the connection's beginning, and stood between two
   * requests.
   */
  goOnBetween(): void {
    this.state = BETWEEN;
    this.isFirstLine = false;
    this.isUnproven = false;
  }

  /**
   * An offer of another protocol was declined by the destination, or was not sent. Production may have accepted it: the
   * next bytes are a request only if they begin like one, as on a new connection.
   */
  goOnBehindOffer(): void {
    if (this.state !== BETWEEN) return;
    this.state = OPENING;
    this.openingLength = 0;
    this.isFirstLine = true;
  }

  /**
   * To be called before all other methods: another framer read the connection's beginning, and stood within a request
   * that it reported as damaged. `bodyLeft`: the other framer's {@link bodyLeft}.
   */
  goOnLost(bodyLeft: number): void {
    this.outOfStep!.begin();
    this.isUnproven = false;
    if (bodyLeft === 0) return;
    this.state = BODY;
    // As far as is known, the connection goes on behind it.
    const { head } = this.borrow();
    head.wantsUpgrade = false;
    head.isLast = false;
    this.remaining = bodyLeft;
    this.isDamaged = true;
    this.isOnlyHoled = true;
  }

  /** Whether no byte has come yet. */
  get isAtStart(): boolean {
    return this.state === START;
  }

  /** Whether the next byte begins a request, as far as is known. */
  get isBetween(): boolean {
    return this.state === BETWEEN || this.state === START || (this.state === OPENING && this.openingLength === 0);
  }

  /** Where the next request begins is known, or will be when the one under way ends. */
  get isInStep(): boolean {
    return this.state < LOST;
  }

  /** Whether no request has been found yet on a connection that was joined in its middle. */
  get isSeeking(): boolean {
    return this.state === LOST && this.isUnproven;
  }

  /** Whether a request, or bytes that may become one, is under way and was not reported as damaged. */
  get hasRequest(): boolean {
    return this.isUnderWay && !this.isDamaged;
  }

  /** Whether {@link hasRequest} holds, and the header section is not whole yet. */
  get isInHead(): boolean {
    return (this.state === LINE || this.state === FIELDS) && !this.isDamaged;
  }

  /** How many bytes of a body of known length are still to come; 0: no such body is under way. */
  get bodyLeft(): number {
    return this.state === BODY ? this.remaining : 0;
  }

  /** Whether no more bytes are framed. */
  get isOver(): boolean {
    return this.state === OVER || this.state === AFTER_CLOSE;
  }

  /** Whether another framer that went on from here could not know where the next request begins, and must not guess. */
  get isLastOfAll(): boolean {
    if (this.state === BODY) return this.afterRequest === AFTER_CLOSE;
    return this.isOver || this.isBroken;
  }

  private borrow(): RequestReader {
    return (this.reader ??= requestReaders.take());
  }

  /** Gives the reader back, unless it is needed any longer. */
  private giveBack(): void {
    if (this.reader === null || (this.state >= LINE && this.state <= LOST)) return;
    requestReaders.giveBack(this.reader);
    this.reader = null;
  }

  private get isUnderWay(): boolean {
    const { state } = this;
    if (state >= LINE) return state <= CHUNKED;
    return state === OPENING_TLS || (state === OPENING && this.openingLength > 0);
  }

  /** Takes one byte or more, or goes on to another state. */
  private step(bytes: Uint8Array, at: number, end: number): number {
    switch (this.state) {
      case START:
        return this.start(bytes, at, end);
      case PROXY:
        return this.readProxyHeader(bytes, at, end);
      case OPENING:
        return this.open(bytes, at, end);
      case OPENING_TLS:
        return this.foreign(bytes[at] === RECORD_VERSION_MAJOR ? "tls" : "unknown", bytes, at);
      case BETWEEN:
        // Section 2.2: empty lines before a request are ignored; servers ignore a lone CR or LF as well.
        if (bytes[at] === CR || bytes[at] === LF) return at + 1;
        this.beginRequest(at);
        return at;
      case AFTER_CLOSE:
        if (bytes[at] === CR || bytes[at] === LF) return at + 1;
        this.state = OVER;
        this.sink.damaged("after_close");
        return end;
      case LINE:
        return this.readLine(bytes, at, end);
      case FIELDS:
        return this.readFields(bytes, at, end);
      case BODY:
        return this.readBody(bytes, at, end);
      case CHUNKED:
        return this.readChunked(bytes, at, end);
      default:
        return end;
    }
  }

  /** Tells the sink about the push's bytes that it does not know yet. */
  private tellRest(bytes: Uint8Array, end: number): void {
    if (this.state === PROXY || (this.state === LOST && this.outOfStep!.isHolding)) return;
    const isGiven = this.isPassingRest || this.state === PASSING || (this.isUnderWay && !this.isDamaged);
    if (isGiven) this.give(bytes, this.from, end);
    else this.skipTo(end);
  }

  // The connection's beginning.

  private start(bytes: Uint8Array, at: number, end: number): number {
    this.state = OPENING;
    if (!mayBeProxyHeader(bytes, at, end)) return at;
    this.state = PROXY;
    this.proxy = new ProxyHeader();
    return at;
  }

  private readProxyHeader(bytes: Uint8Array, from: number, end: number): number {
    const proxy = this.proxy!;
    const at = proxy.feed(bytes, from, end);
    this.from = at;
    if (proxy.outcome === DONE) {
      this.state = OPENING;
      this.proxy = null;
      this.sink.proxyHeader(proxy.bytes, proxy.client);
    } else if (proxy.outcome === MALFORMED) {
      this.proxy = null;
      this.give(proxy.bytes, 0, proxy.bytes.length);
      return this.foreign("unknown", bytes, at);
    } else if (proxy.outcome !== MORE) {
      this.noProxyHeader();
      this.from = at;
    }
    return at;
  }

  /** The connection does not begin with a PROXY protocol header: the held bytes are read as if they came now. */
  private noProxyHeader(): void {
    const { bytes } = this.proxy!;
    this.proxy = null;
    this.state = OPENING;
    this.from = 0;
    for (let at = 0; at < bytes.length;) at = this.step(bytes, at, bytes.length);
    this.tellRest(bytes, bytes.length);
  }

  private open(bytes: Uint8Array, from: number, end: number): number {
    if (this.openingLength === 0) {
      if (bytes[from] === RECORD_TYPE_HANDSHAKE) {
        this.state = OPENING_TLS;
        return from + 1;
      }
      if (bytes[from] === CR || bytes[from] === LF) {
        this.state = BETWEEN;
        this.isFirstLine = false;
        return from;
      }
    }
    let at = from;
    while (at < end && bytes[at] === HTTP2_PREFACE[this.openingLength]) {
      at++;
      if (++this.openingLength === HTTP2_PREFACE.length) return this.foreign("http2", bytes, at);
    }
    if (at === end) return at;
    // Not HTTP/2: the bytes that were like its preface begin a request line.
    this.beginRequest(this.from);
    this.headLength = this.openingLength;
    const { line } = this.borrow();
    line.feed(HTTP2_PREFACE, 0, this.openingLength);
    return line.outcome === MORE ? at : this.lineFailed("malformed", bytes, at, end);
  }

  private foreign(protocol: ForeignProtocol, bytes: Uint8Array, at: number): number {
    this.give(bytes, this.from, at);
    this.from = at;
    this.state = PASSING;
    this.sink.foreign(protocol);
    return at;
  }

  // A request.

  private beginRequest(at: number): void {
    if (at > this.from) this.skipTo(at);
    this.state = LINE;
    this.headLength = 0;
    this.borrow().line.begin(false);
  }

  private readLine(bytes: Uint8Array, at: number, end: number): number {
    const { line } = this.borrow();
    const stop = line.feed(bytes, at, this.headEnd(at, end));
    this.headLength += stop - at;
    if (line.outcome === DONE) {
      this.beginFields();
      return stop;
    }
    if (line.outcome !== MORE) return this.lineFailed("malformed", bytes, stop, end);
    return stop < end ? this.lineFailed("header_too_long", bytes, stop, end) : stop;
  }

  private lineFailed(reason: DamageReason, bytes: Uint8Array, at: number, end: number): number {
    const { line } = this.borrow();
    if (this.isFirstLine && !line.looksLikeHttp) return this.foreign("unknown", bytes, at);
    if (reason === "malformed" || !line.hasMethod) return this.fail(reason, end);
    this.isFirstLine = false;
    this.damage(reason);
    return at;
  }

  private beginFields(): void {
    this.state = FIELDS;
    this.isFirstLine = false;
    this.isUnproven = false;
    this.borrow().fields.begin(false);
  }

  private readFields(bytes: Uint8Array, at: number, end: number): number {
    const { fields } = this.borrow();
    const stop = fields.feed(bytes, at, this.headEnd(at, end));
    this.headLength += stop - at;
    if (fields.outcome === DONE) return this.endHead(bytes, stop, end);
    if (fields.outcome !== MORE) return this.fail("malformed", end);
    if (stop === end) return stop;
    // The bytes found behind a gap may be a text without an end.
    if (this.isFound) return this.fail("header_too_long", end);
    this.damage("header_too_long");
    return stop;
  }

  /** The offset beyond which the request line and header section may not go. */
  private headEnd(at: number, end: number): number {
    return this.isDamaged ? end : Math.min(end, at + Math.max(this.maxHeaderBytes - this.headLength, 0));
  }

  private endHead(bytes: Uint8Array, at: number, end: number): number {
    const { head, line, fields } = this.borrow();
    const hasNul = line.hasNul || fields.hasNul;
    // Lines without a colon rather belong to a text that the gap was in.
    if (this.isFound && fields.hasStrayLine) return this.fail("malformed", end);
    this.isFound = false;
    fillHead(head, line, fields, this.headLength);
    if (head.bodyLength === UNCLEAR_LENGTH) return this.fail(hasNul ? "malformed" : "ambiguous_length", end);
    if (hasNul) this.damage("malformed");
    // The next bytes do not tell for certain whether another protocol is spoken behind this request.
    if (this.isDamaged && head.wantsUpgrade) return this.fail("malformed", end);
    if (!this.isDamaged) this.sink.head(head);
    return this.beginBody(bytes, at);
  }

  private beginBody(bytes: Uint8Array, at: number): number {
    const reader = this.borrow();
    const { bodyLength } = reader.head;
    if (bodyLength === 0) return this.endRequest(bytes, at);
    if (bodyLength === CHUNKED_LENGTH) {
      this.state = CHUNKED;
      reader.chunked.begin(this.isDamaged ? Infinity : this.maxHeaderBytes);
    } else {
      this.state = BODY;
      this.remaining = bodyLength;
    }
    return at;
  }

  private readBody(bytes: Uint8Array, at: number, end: number): number {
    const taken = Math.min(this.remaining, end - at);
    this.remaining -= taken;
    at += taken;
    return this.remaining === 0 ? this.endRequest(bytes, at) : at;
  }

  private readChunked(bytes: Uint8Array, at: number, end: number): number {
    const { head, chunked } = this.borrow();
    const stop = chunked.feed(bytes, at, end);
    if (chunked.outcome === MORE) return stop;
    head.isIsolated ||= chunked.isIsolated;
    head.isOdd ||= chunked.isOdd;
    if (chunked.outcome === DONE) return this.endRequest(bytes, stop);
    if (chunked.outcome !== TOO_LONG) return this.fail("malformed", end);
    this.damage("header_too_long");
    chunked.goOnWithoutLimit();
    return stop;
  }

  private endRequest(bytes: Uint8Array, at: number): number {
    if (this.isDamaged) {
      this.skipTo(at);
      this.endDamagedInStep();
      return at;
    }
    this.state = this.afterRequest;
    this.give(bytes, this.from, at);
    this.from = at;
    this.sink.whole();
    return at;
  }

  /** RFC 9112, section 9.6: a request behind one that ends the connection is not processed. */
  private get afterRequest(): number {
    const { head } = this.borrow();
    return head.wantsUpgrade || !head.isLast ? BETWEEN : AFTER_CLOSE;
  }

  private give(bytes: Uint8Array, from: number, to: number): void {
    if (to > from) this.sink.bytes(bytes, from, to - from);
  }

  private skipTo(at: number): void {
    if (at > this.from) this.sink.skipped(at - this.from);
    this.from = at;
  }

  // Damage, and the way back into step.

  /** The request under way is damaged, and not only because bytes are missing. */
  private get isBroken(): boolean {
    return this.isDamaged && !this.isOnlyHoled;
  }

  /** The request under way is damaged. The sink hears it once for each request. */
  private damage(reason: DamageReason): void {
    this.isOnlyHoled = (reason === "gap" || reason === "evicted") && !this.isBroken;
    if (this.isDamaged) return;
    this.isDamaged = true;
    this.sink.damaged(reason);
  }

  /** The request under way is damaged, and the beginning of the next one is unknown. */
  private fail(reason: DamageReason, end: number): number {
    if (this.isFound) {
      // It was no request, or the gap was in it: the framer stays out of step.
      this.lose(reason);
    } else {
      this.damage(reason);
      this.endDamaged();
    }
    return end;
  }

  /** No server reads on behind the damaged request: the bytes that follow are never guessed to be a request. */
  private endDamaged(): void {
    this.isDamaged = false;
    this.state = OVER;
  }

  /** The damaged request ends here. If it was an offer, production may have accepted it. */
  private endDamagedInStep(): void {
    this.isDamaged = false;
    this.state = this.afterRequest;
    if (this.borrow().head.wantsUpgrade) this.goOnBehindOffer();
  }

  /** A gap: the end of the request under way is unknown behind it. */
  private loseEnd(): void {
    if (this.isBroken) this.endDamaged();
    else this.lose("gap");
  }

  /** A gap, or the end, that may have been within a request or between two. */
  private lose(reason: DamageReason): void {
    this.damage(reason);
    this.isDamaged = false;
    this.isFound = false;
    this.seekAnew();
  }

  /** Where the next request begins is unknown, and none is under way. */
  private seekAnew(): void {
    this.state = LOST;
    this.outOfStep ??= new OutOfStep(this.maxHeaderBytes, this.sink, false);
    this.outOfStep.begin();
  }

  private gapInBody(length: number): void {
    if (length > this.remaining) {
      // The gap reaches into another request.
      this.isDamaged = false;
      this.lose("gap");
      return;
    }
    this.remaining -= length;
    this.damage("gap");
    if (this.remaining === 0) this.endDamagedInStep();
  }

  // Out of step.

  /** Looks whether the push begins with a request. */
  private seek(outOfStep: OutOfStep, bytes: Uint8Array, offset: number, end: number): number {
    const reader = this.borrow();
    const beginning = outOfStep.look(reader.line, bytes, offset, end);
    if (beginning === Beginning.REQUEST) {
      const held = outOfStep.takeHeld();
      this.headLength = outOfStep.lineLength;
      this.beginFields();
      this.isFound = true;
      this.give(held, 0, held.length);
      return outOfStep.lineEnd;
    }
    if (beginning === Beginning.OTHER) {
      if (this.isUnproven && isTls(bytes, offset, end)) return this.foreign("tls", bytes, offset);
      if (this.isUnproven && isHttp2(bytes, offset, end)) return this.foreign("http2", bytes, offset);
      outOfStep.passOver(reader, bytes, offset, end);
    }
    return end;
  }
}
