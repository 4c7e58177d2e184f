/**
 * Frames the bytes that an endpoint sends into responses. https://www.rfc-editor.org/rfc/rfc9112#section-6.3 It looks
 * only for the end of a response, as leniently as curl does. It skips bodies and keeps nothing: a tap gets what
 * somebody wants to keep.
 */
import { CR, LF } from "./chars.ts";
import { Coding } from "./field-values.ts";
import { DONE, MORE } from "./outcome.ts";
import { type ResponseReader, responseReaders } from "./readers.ts";
import type { ResponseSink, ResponseTap } from "./response-sink.ts";
import { FINAL_CODE_MIN, SWITCHING_PROTOCOLS } from "./status-line.ts";

/**
 * The longest status line and header section together; the longest line before a chunk; the longest trailer section.
 */
export const RESPONSE_HEAD_BYTES_MAX = 256 << 10;

const BETWEEN = 0;
const LINE = 1;
const FIELDS = 2;
/** A body of known length. */
const BODY = 3;
const CHUNKED = 4;
/** A body that ends where the connection ends. */
const UNTIL_CLOSE = 5;
/** The status line of a response without a request. */
const UNSOLICITED = 6;
/** The connection carries no other response: further bytes are skipped. */
const OVER = 7;

const NO_CONTENT = 204;
const NOT_MODIFIED = 304;

// The properties of a request that its response depends on: one number for all of them, because each list costs time.
/** The request is of HTTP/1.1, or a later minor version. */
const MINOR_VERSION = 1;
const HEAD = 2;
const CONNECT = 4;

/** The framer of one connection's responses. */
export class ResponseFramer {
  private state = BETWEEN;
  /** Borrowed while a response is under way; null: none is. */
  private reader: ResponseReader | null = null;
  /** Bytes of the status line and header section so far. */
  private headLength = 0;
  /** The offset of the status line that was read in this push and that the tap does not know; -1: there is none. */
  private lineAt = -1;
  /** The bytes of the body of known length that are still to come. */
  private remaining = 0;
  /** The requests that were sent and not responded to yet, by their properties. */
  private readonly expected: number[] = [];

  /** `tap` gets the parts of responses; null: they are not wanted. */
  constructor(
    private readonly sink: ResponseSink,
    private readonly tap: ResponseTap | null = null,
  ) {}

  /** A request of this method and minor version was sent, or is about to be. */
  expect(method: string, minorVersion = 1): void {
    const kind = method === "HEAD" ? HEAD : method === "CONNECT" ? CONNECT : 0;
    this.expected.push(kind | (minorVersion > 0 ? MINOR_VERSION : 0));
  }

  /** The next bytes. They are not kept. */
  push(bytes: Uint8Array, offset: number, length: number): void {
    const end = offset + length;
    let at = offset;
    while (at < end) at = this.step(bytes, at, end);
    this.giveBack();
  }

  /**
   * The next `length` bytes are missing; the response under way, if there is one, is damaged. False: where the next one
   * begins is not known, and nothing that comes is looked at.
   */
  gap(length: number): boolean {
    const isKnown = this.skip(length);
    this.giveBack();
    return isKnown;
  }

  private skip(length: number): boolean {
    if (this.state === BODY && length <= this.remaining) {
      this.remaining -= length;
      if (this.remaining === 0) this.complete(this.isPersistent);
      return true;
    }
    if (this.state === UNTIL_CLOSE || this.state === OVER) return true;
    if (this.state === CHUNKED && this.reader!.chunked.skip(length)) return true;
    this.state = OVER;
    return false;
  }

  /** The endpoint has closed its side. A response that does not end with the connection is left incomplete. */
  end(): void {
    const isComplete = this.state === UNTIL_CLOSE;
    this.state = OVER;
    if (isComplete) this.complete(false);
    this.giveBack();
  }

  private borrow(): ResponseReader {
    return (this.reader ??= responseReaders.take());
  }

  /** Gives the reader back, unless a response is under way. */
  private giveBack(): void {
    if (this.reader === null || (this.state !== BETWEEN && this.state !== OVER)) return;
    responseReaders.giveBack(this.reader);
    this.reader = null;
  }

  /** Takes one byte or more, or goes on to another state. */
  private step(bytes: Uint8Array, at: number, end: number): number {
    switch (this.state) {
      case BETWEEN:
        // Some servers send one empty line too many.
        if (bytes[at] === CR || bytes[at] === LF) return at + 1;
        this.state = this.expected.length === 0 ? UNSOLICITED : LINE;
        this.headLength = 0;
        this.borrow().line.begin();
        if (this.tap !== null && this.state === LINE) this.tap.begin(at);
        return at;
      case LINE:
      case UNSOLICITED:
        return this.readLine(bytes, at, end);
      case FIELDS:
        return this.readFields(bytes, at, end);
      case BODY:
        return this.skipBody(bytes, at, end);
      case CHUNKED:
        return this.readChunked(bytes, at, end);
      case UNTIL_CLOSE:
        this.tap?.body(bytes, at, end);
        return end;
      default:
        return end;
    }
  }

  private readLine(bytes: Uint8Array, at: number, end: number): number {
    const { line, fields } = this.borrow();
    const stop = line.feed(bytes, at, this.headEnd(at, end));
    this.headLength += stop - at;
    if (this.tap !== null && this.state === LINE) {
      // The bytes behind it in this push are given with it.
      if (line.outcome === DONE && stop < end) this.lineAt = at;
      else this.tap.head(bytes, at, stop);
    }
    if (line.outcome === DONE) {
      if (this.state === UNSOLICITED) {
        this.state = OVER;
        this.sink.unsolicited(line.code);
        return end;
      }
      this.state = FIELDS;
      fields.begin(false);
      this.sink.status(line.code);
      return stop;
    }
    return line.outcome !== MORE || stop < end ? this.fail(end) : stop;
  }

  private readFields(bytes: Uint8Array, at: number, end: number): number {
    const { fields } = this.borrow();
    const stop = fields.feed(bytes, at, this.headEnd(at, end));
    this.headLength += stop - at;
    if (this.tap !== null) {
      this.tap.head(bytes, this.lineAt < 0 ? at : this.lineAt, stop);
      this.lineAt = -1;
    }
    if (fields.outcome === DONE) return this.endHead(stop, end);
    return fields.outcome !== MORE || stop < end ? this.fail(end) : stop;
  }

  /** The offset beyond which the status line and header section may not go. */
  private headEnd(at: number, end: number): number {
    return Math.min(end, at + RESPONSE_HEAD_BYTES_MAX - this.headLength);
  }

  /** RFC 9112, section 6.3. */
  private endHead(at: number, end: number): number {
    const reader = this.borrow();
    const { code } = reader.line;
    const { transferCoding, contentLength } = reader.fields;
    const request = this.expected[0]!;
    if (code === SWITCHING_PROTOCOLS || ((request & CONNECT) !== 0 && code >= FINAL_CODE_MIN && code < 300)) {
      this.state = OVER;
      this.sink.upgraded();
      return end;
    }
    if (code < FINAL_CODE_MIN) {
      this.state = BETWEEN;
    } else if ((request & HEAD) !== 0 || code === NO_CONTENT || code === NOT_MODIFIED) {
      this.complete(this.isPersistent);
    } else if (transferCoding === Coding.CHUNKED) {
      this.state = CHUNKED;
      reader.chunked.begin(RESPONSE_HEAD_BYTES_MAX, this.tap);
    } else if (contentLength === 0) {
      this.complete(this.isPersistent);
    } else if (contentLength > 0 && contentLength <= Number.MAX_SAFE_INTEGER) {
      this.state = BODY;
      this.remaining = contentLength;
    } else {
      this.state = UNTIL_CLOSE;
    }
    return at;
  }

  private skipBody(bytes: Uint8Array, at: number, end: number): number {
    const taken = Math.min(this.remaining, end - at);
    this.remaining -= taken;
    if (this.tap !== null) this.tap.body(bytes, at, at + taken);
    if (this.remaining === 0) this.complete(this.isPersistent);
    return at + taken;
  }

  private readChunked(bytes: Uint8Array, at: number, end: number): number {
    const { chunked } = this.borrow();
    const stop = chunked.feed(bytes, at, end);
    if (chunked.outcome === DONE) this.complete(this.isPersistent);
    else if (chunked.outcome !== MORE) return this.fail(end);
    return stop;
  }

  /**
   * RFC 9112, section 9.3; section 6.1: behind a transfer coding beside a length, or in HTTP/1.0, the framing is not
   * trusted. Nor is it behind several lengths, though curl does so: the last one is taken. Behind a request of HTTP/1.0
   * the server says so if it keeps the connection, in whatever version it responds.
   */
  private get isPersistent(): boolean {
    const { fields, line } = this.borrow();
    const isOdd = fields.transferCoding !== Coding.NONE && (fields.contentLength >= 0 || line.minorVersion === 0);
    const minorVersion = Math.min(line.minorVersion, this.expected[0]! & MINOR_VERSION);
    return !isOdd && !fields.isLengthUnclear && fields.isPersistent(minorVersion);
  }

  private complete(persistent: boolean): void {
    this.state = persistent ? BETWEEN : OVER;
    this.expected.shift();
    this.sink.complete(persistent);
  }

  private fail(end: number): number {
    this.state = OVER;
    this.sink.malformed();
    return end;
  }
}
