/**
 * A body in the chunked transfer coding. https://www.rfc-editor.org/rfc/rfc9112#section-7.1
 *
 *     *chunk last-chunk trailer-section CRLF
 *     chunk      = 1*HEXDIG *( BWS ";" BWS name [ BWS "=" BWS value ] ) CRLF data CRLF
 *     last-chunk = 1*"0" [ extensions ] CRLF
 *
 * The text between a chunk's size and the end of its line has no meaning, and is not looked at. But a bare LF does not
 * end a request's chunk line: section 2.2 does not allow it there, so the RFC has no reading of it. Some servers end
 * the line at the bare LF, some read on to a CRLF, some refuse.
 */
import { CR, EQUALS, HEX_VALUE, HTAB, LF, NUL, SEMICOLON, SP, TOKEN_CHAR } from "./chars.ts";
import { HeaderSection } from "./header-section.ts";
import { MALFORMED, MORE, TOO_LONG } from "./outcome.ts";
import type { ResponseTap } from "./response-sink.ts";

const SIZE_START = 0;
const SIZE = 1;
/** Behind blanks behind the size. */
const AFTER_SIZE = 2;
/** Behind a semicolon or an equals sign. */
const EXTENSION_START = 3;
const EXTENSION = 4;
const LINE_FEED = 5;
const DATA = 6;
const DATA_RETURN = 7;
const DATA_LINE_FEED = 8;
const TRAILER = 9;

/** Reads one chunked body after the other, in any pieces. It keeps no bytes. */
export class ChunkedBody {
  outcome = MORE;
  /** The body has something that RFC 9112 does not allow, and that moves no boundary. */
  isOdd = false;
  /** Servers are known to disagree about the body's end: some read a trailer section as the next request. */
  isIsolated = false;
  private state = SIZE_START;
  /** The chunk's size; within its data, how much of it is still to come. */
  private size = 0;
  /** How much longer the chunk's line, or the trailer section, may be. */
  private room = 0;
  private lineBytesMax = 0;
  private readonly trailer: HeaderSection;
  /** Gets the data; null: nobody wants it. */
  private tap: Pick<ResponseTap, "body"> | null = null;

  /** `isLenient`: the body is a response's, and is read as leniently as curl reads it. */
  constructor(private readonly isLenient: boolean) {
    this.trailer = new HeaderSection(isLenient);
  }

  /**
   * Begins a body. `lineBytesMax` bounds the line before each chunk, and the trailer section. `tap` gets the data; null:
   * nobody wants it.
   */
  begin(lineBytesMax: number, tap: Pick<ResponseTap, "body"> | null = null): void {
    this.tap = tap;
    this.outcome = MORE;
    this.isOdd = false;
    this.isIsolated = false;
    this.lineBytesMax = lineBytesMax;
    this.beginChunk();
  }

  /** Lifts the limit, after it was exceeded: the body is read on only to find its end. */
  goOnWithoutLimit(): void {
    this.outcome = MORE;
    this.lineBytesMax = Infinity;
    this.room = Infinity;
  }

  /**
   * The next `length` bytes are missing. False: they are not only data of the chunk under way, and nothing is skipped.
   */
  skip(length: number): boolean {
    if (this.state !== DATA || length > this.size) return false;
    this.size -= length;
    if (this.size === 0) this.state = DATA_RETURN;
    return true;
  }

  /** Reads on, from `at` to `end` at most. Returns where it stopped. */
  feed(bytes: Uint8Array, at: number, end: number): number {
    while (at < end) {
      if (this.state < DATA) {
        if (this.room === 0) return this.fail(at, TOO_LONG);
        this.room--;
        if (!this.takeOfLine(bytes[at]!)) return this.fail(at, MALFORMED);
        at++;
      } else if (this.state === DATA) {
        const taken = Math.min(this.size, end - at);
        this.size -= taken;
        if (this.tap !== null) this.tap.body(bytes, at, at + taken);
        at += taken;
        if (this.size === 0) this.state = DATA_RETURN;
      } else if (this.state === TRAILER) {
        return this.readTrailer(bytes, at, end);
      } else {
        if (!this.takeBehindData(bytes[at]!)) return this.fail(at, MALFORMED);
        at++;
      }
    }
    return at;
  }

  private beginChunk(): void {
    this.state = SIZE_START;
    this.size = 0;
    this.room = this.lineBytesMax;
  }

  /** Takes a byte of the line before a chunk. False: the byte may not stand there. */
  private takeOfLine(byte: number): boolean {
    const { state } = this;
    const digit = HEX_VALUE[byte]!;
    if (state <= SIZE && digit >= 0) return this.takeDigit(digit);
    if (state === SIZE_START) return false;
    if (byte === LF) {
      if (state === LINE_FEED || this.isLenient) this.endLine();
      return this.state >= DATA;
    }
    // A bare CR ends the line for some servers, and not for others.
    if (state === LINE_FEED && !this.isLenient) return false;
    if (byte === CR) {
      if (state === AFTER_SIZE || state === EXTENSION_START) this.isOdd = true;
      this.state = LINE_FEED;
      return true;
    }
    return this.takeOfExtension(byte) || this.isLenient;
  }

  private takeDigit(digit: number): boolean {
    this.state = SIZE;
    this.size = this.size * 16 + digit;
    return this.size <= Number.MAX_SAFE_INTEGER;
  }

  private takeOfExtension(byte: number): boolean {
    const isBlank = byte === SP || byte === HTAB;
    if (this.state === SIZE) {
      this.state = isBlank ? AFTER_SIZE : EXTENSION_START;
      return isBlank || byte === SEMICOLON;
    }
    if (isBlank) return true;
    if (this.state === AFTER_SIZE && byte !== SEMICOLON) this.isOdd = true;
    this.state = byte === SEMICOLON || byte === EQUALS ? EXTENSION_START : EXTENSION;
    // A byte that only a quoted string may have counts as odd: nobody sends quoted strings here.
    if (TOKEN_CHAR[byte] === 0 && this.state === EXTENSION) this.isOdd = true;
    return byte !== NUL;
  }

  private endLine(): void {
    if (this.size > 0) {
      this.state = DATA;
      return;
    }
    this.state = TRAILER;
    this.room = this.lineBytesMax;
    this.trailer.begin(true);
  }

  private takeBehindData(byte: number): boolean {
    if (byte === LF && (this.state === DATA_LINE_FEED || this.isLenient)) {
      this.beginChunk();
      return true;
    }
    const isReturn = byte === CR && (this.state === DATA_RETURN || this.isLenient);
    this.state = DATA_LINE_FEED;
    return isReturn;
  }

  private readTrailer(bytes: Uint8Array, at: number, end: number): number {
    const { trailer } = this;
    const stop = trailer.feed(bytes, at, Math.min(end, at + this.room));
    this.room -= stop - at;
    this.isOdd ||= trailer.isOdd;
    this.isIsolated ||= trailer.hasLine || trailer.isIsolated;
    if (trailer.outcome !== MORE) this.outcome = trailer.hasNul ? MALFORMED : trailer.outcome;
    else if (stop < end) this.outcome = TOO_LONG;
    return stop;
  }

  private fail(at: number, outcome: number): number {
    this.outcome = outcome;
    return at;
  }
}
