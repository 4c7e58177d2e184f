/**
 * A body in the chunked transfer coding. https://www.rfc-editor.org/rfc/rfc9112#section-7.1
 *
 *     *chunk last-chunk trailer-section CRLF
 *     chunk      = 1*HEXDIG *( BWS ";" BWS name [ BWS "=" BWS value ] ) CRLF data CRLF
 *     last-chunk = 1*"0" [ extensions ] CRLF
 *
 * A bare LF ends the lines of the trailer section, but none of a chunk's: section 2.2 does not allow
 * it there, and servers differ in what they make of it.
 */
import { BACKSLASH, CR, DQUOTE, EQUALS, HEX_VALUE, HTAB, LF, SEMICOLON, SP, TEXT_CHAR, TOKEN_CHAR } from "./chars.ts";
import { HeaderSection } from "./header-section.ts";
import { MALFORMED, MORE, TOO_LONG } from "./outcome.ts";

const SIZE_START = 0;
const SIZE = 1;
const BEFORE_SEMICOLON = 2;
const BEFORE_NAME = 3;
const NAME = 4;
const AFTER_NAME = 5;
const BEFORE_VALUE = 6;
const VALUE = 7;
const QUOTED = 8;
const QUOTED_PAIR = 9;
const AFTER_QUOTED = 10;
const LINE_FEED = 11;
const DATA = 12;
const DATA_RETURN = 13;
const DATA_LINE_FEED = 14;
const TRAILER = 15;

export class ChunkedBody {
  outcome = MORE;
  private state = SIZE_START;
  /** The chunk's size; of its data, what is still to come. */
  private size = 0;
  /** How much longer the chunk's line, or the trailer section, may be. */
  private room = 0;
  private readonly trailer = new HeaderSection();

  /** `lineBytesMax` bounds the line before each chunk, and the trailer section. */
  constructor(private readonly lineBytesMax: number) {}

  begin(): void {
    this.outcome = MORE;
    this.beginChunk();
  }

  /** Reads on, from `at` to `end` at most. Returns where it stopped. */
  feed(bytes: Uint8Array, at: number, end: number): number {
    while (at < end) {
      if (this.state < DATA) {
        if (this.room-- === 0) return this.fail(at, TOO_LONG);
        if (!this.takeOfLine(bytes[at])) return this.fail(at, MALFORMED);
        at++;
      } else if (this.state === DATA) {
        const taken = Math.min(this.size, end - at);
        this.size -= taken;
        at += taken;
        if (this.size === 0) this.state = DATA_RETURN;
      } else if (this.state === TRAILER) {
        return this.readTrailer(bytes, at, end);
      } else {
        if (bytes[at] !== (this.state === DATA_RETURN ? CR : LF)) return this.fail(at, MALFORMED);
        if (this.state === DATA_RETURN) this.state = DATA_LINE_FEED;
        else this.beginChunk();
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

  /** Takes a byte of the line before a chunk. False: it may not stand there. */
  private takeOfLine(byte: number): boolean {
    switch (this.state) {
      case SIZE_START:
      case SIZE:
        return this.takeOfSize(byte);
      case BEFORE_SEMICOLON:
        if (byte === SEMICOLON) this.state = BEFORE_NAME;
        return byte === SEMICOLON || isBlank(byte);
      case BEFORE_NAME:
        if (!isBlank(byte)) this.state = NAME;
        return isBlank(byte) || TOKEN_CHAR[byte] === 1;
      case NAME:
        return TOKEN_CHAR[byte] === 1 || this.endOfName(byte);
      case AFTER_NAME:
        return byte !== CR && this.endOfName(byte);
      case BEFORE_VALUE:
        if (byte === DQUOTE) this.state = QUOTED;
        else if (!isBlank(byte)) this.state = VALUE;
        return this.state !== VALUE || TOKEN_CHAR[byte] === 1;
      case VALUE:
        return TOKEN_CHAR[byte] === 1 || this.endOfExtension(byte);
      case QUOTED:
        if (byte === DQUOTE) this.state = AFTER_QUOTED;
        else if (byte === BACKSLASH) this.state = QUOTED_PAIR;
        return TEXT_CHAR[byte] === 1;
      case QUOTED_PAIR:
        this.state = QUOTED;
        return TEXT_CHAR[byte] === 1;
      case AFTER_QUOTED:
        return this.endOfExtension(byte);
      default:
        this.endLine();
        return byte === LF;
    }
  }

  private takeOfSize(byte: number): boolean {
    const digit = HEX_VALUE[byte];
    if (digit < 0) return this.state === SIZE && this.endOfExtension(byte);
    this.state = SIZE;
    this.size = this.size * 16 + digit;
    return this.size <= Number.MAX_SAFE_INTEGER;
  }

  private endOfName(byte: number): boolean {
    if (byte === EQUALS) this.state = BEFORE_VALUE;
    else if (isBlank(byte)) this.state = AFTER_NAME;
    else return this.endOfExtension(byte);
    return true;
  }

  private endOfExtension(byte: number): boolean {
    if (byte === CR) this.state = LINE_FEED;
    else if (byte === SEMICOLON) this.state = BEFORE_NAME;
    else if (isBlank(byte)) this.state = BEFORE_SEMICOLON;
    else return false;
    return true;
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

  private readTrailer(bytes: Uint8Array, at: number, end: number): number {
    const stop = this.trailer.feed(bytes, at, Math.min(end, at + this.room));
    this.room -= stop - at;
    if (this.trailer.outcome !== MORE) this.outcome = this.trailer.outcome;
    else if (stop < end) this.outcome = TOO_LONG;
    return stop;
  }

  private fail(at: number, outcome: number): number {
    this.outcome = outcome;
    return at;
  }
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === HTAB;
}
