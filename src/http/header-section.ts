/**
 * A header or trailer section, and what it says about its message's length and its connection.
 * https://www.rfc-editor.org/rfc/rfc9112#section-5
 *
 *     *( field-name ":" OWS field-value OWS CRLF ) CRLF
 *
 * Values are read where they lie: nothing is kept of them but what they say. Of a request only that is refused on
 * which its end may hang; a response's section is read as leniently as curl reads it.
 */
import { COLON, COMMA, CR, DIGIT_0, DIGIT_9, EQUALS, HTAB, LF, NUL, SEMICOLON, SP } from "./chars.ts";
import { DEL, TEXT_CHAR, TOKEN_CHAR } from "./chars.ts";
import { DONE, MALFORMED, MORE } from "./outcome.ts";
import { NO_MATCH, ROOT, Words } from "./words.ts";

const LINE_START = 0;
const NAME = 1;
const VALUE = 2;
const LINE_FEED = 3;
const LAST_LINE_FEED = 4;
/** In a line before all fields that begins with a blank. */
const IGNORED_NAME = 5;

/** The first two also in odd dress (Content_Length). */
const FIELD_WORDS = new Words(["content-length", "transfer-encoding", "connection", "upgrade", "expect"], true, 2);
const OTHER_FIELD = 0;
const CONTENT_LENGTH = 1;
const TRANSFER_ENCODING = 2;
const CONNECTION = 3;
const UPGRADE = 4;
const EXPECT = 5;
/** Of this and above: a name that some server may take for Content-Length or Transfer-Encoding, and that is neither. */
const DRESSED = 6;
/** In FIELD_WORDS, any byte that is no letter. */
const NO_LETTER = 0;

const ELEMENT_WORDS = new Words(["chunked", "close", "keep-alive", "upgrade", "100-continue", "identity"], true);
const CHUNKED_WORD = 1;
const CLOSE_WORD = 2;
const KEEP_ALIVE_WORD = 3;
const UPGRADE_WORD = 4;
const CONTINUE_WORD = 5;
const IDENTITY_WORD = 6;

/** Nothing of a list's element, or of a Content-Length's number, was read yet. */
const EMPTY = 0;

// How far an element of a comma-separated list was read.
const TOKEN = 1;
const AFTER_TOKEN = 2;
const PARAMETERS = 3;
/** It has what no element made of tokens has. */
const SPOILED = 4;

// How far a number of a Content-Length was read.
const NUMBER = 1;
const AFTER_NUMBER = 2;
/** Of a response: whatever comes behind the number counts for nothing. */
const BEHIND_NUMBER = 3;

/** What Transfer-Encoding says. */
export const Coding = {
  /** There is none. */
  NONE: 0,
  /** The last transfer coding is chunked, and none before it. */
  CHUNKED: 1,
  /** Another is the last one, or it names none. */
  OTHER: 2,
  /** It may be read in more than one way. */
  UNCLEAR: 3,
  /** It names none but `identity`, which HTTP/1.1 had until RFC 7230: there is none. */
  IDENTITY: 4,
} as const;

export class HeaderSection {
  outcome = MORE;
  /** Content-Length; -1: there is none. */
  contentLength = -1;
  /** There are several that differ, or one too large to count to. */
  isLengthUnclear = false;
  /** A {@link Coding}. */
  transferCoding: number = Coding.NONE;
  /** Connection: close. */
  hasClose = false;
  /** Connection: keep-alive. */
  hasKeepAlive = false;
  /** Expect: 100-continue. */
  expectsContinue = false;
  /** It has a line. */
  hasLine = false;
  /** It was read to its end, and has a NUL. */
  hasNul = false;
  /** Servers are known to read it otherwise than RFC 9112 says. */
  isIsolated = false;
  /** It has what RFC 9112 does not allow, and what says nothing about a length. */
  isOdd = false;
  /** It has a line that is no field to some servers (Python's), which then take nothing behind it for one. */
  hasStrayLine = false;
  private hasUpgradeField = false;
  private hasUpgradeOption = false;

  private state = LINE_START;
  private isTrailer = false;
  private field = OTHER_FIELD;
  /** Where in FIELD_WORDS the name is, or in ELEMENT_WORDS the element. */
  private node = NO_MATCH;
  /** The name so far has a blank, a control character or what is not ASCII. */
  private isNameStray = false;
  private part = EMPTY;
  private number = 0;
  /** Transfer-Encoding has named one. */
  private hasCoding = false;

  /** `isLenient`: it is a response's. */
  constructor(private readonly isLenient: boolean) {}

  /** Begins a section. The fields of a trailer say nothing about its message's length or connection. */
  begin(isTrailer: boolean): void {
    this.outcome = MORE;
    this.contentLength = -1;
    this.isLengthUnclear = false;
    this.transferCoding = Coding.NONE;
    this.hasClose = false;
    this.hasKeepAlive = false;
    this.expectsContinue = false;
    this.hasLine = false;
    this.hasNul = false;
    this.isIsolated = false;
    this.isOdd = false;
    this.hasStrayLine = false;
    this.hasUpgradeField = false;
    this.hasUpgradeOption = false;
    this.state = LINE_START;
    this.isTrailer = isTrailer;
    this.field = OTHER_FIELD;
    this.isNameStray = false;
    this.hasCoding = false;
  }

  /** Upgrade, with the connection option that makes it count (RFC 9110, section 7.8). */
  get offersUpgrade(): boolean {
    return this.hasUpgradeField && this.hasUpgradeOption;
  }

  /** RFC 9112, section 9.3: whether the connection can carry another message after this one. */
  isPersistent(minorVersion: number): boolean {
    return !this.hasClose && (minorVersion > 0 || this.hasKeepAlive);
  }

  /** Reads on, from `at` to `end` at most. Returns where it stopped. */
  feed(bytes: Uint8Array, at: number, end: number): number {
    while (at < end) {
      switch (this.state) {
        case LINE_START:
          at = this.beginLine(bytes, at);
          break;
        case NAME:
          at = this.readName(bytes, at, end);
          break;
        case VALUE:
          at = this.readValue(bytes, at, end);
          break;
        case IGNORED_NAME:
          at = this.readIgnoredName(bytes, at, end);
          break;
        case LINE_FEED:
          if (bytes[at] === LF) {
            this.state = LINE_START;
            at++;
          } else {
            // A bare CR ends the line for some servers, and not for others.
            if (!this.isLenient) return this.fail(at);
            this.state = VALUE;
          }
          break;
        default:
          if (bytes[at] !== LF) return this.fail(at);
          this.outcome = DONE;
          return at + 1;
      }
      if (this.outcome !== MORE) return at;
    }
    return at;
  }

  private beginLine(bytes: Uint8Array, at: number): number {
    const byte = bytes[at]!;
    if (byte === SP || byte === HTAB) {
      this.unfold();
      return at;
    }
    if (this.field !== OTHER_FIELD && !this.endField()) return this.fail(at);
    if (byte === CR) {
      this.state = LAST_LINE_FEED;
      return at + 1;
    }
    if (byte === LF) {
      this.isIsolated = true;
      this.outcome = DONE;
      return at + 1;
    }
    this.state = NAME;
    this.hasLine = true;
    this.node = this.isTrailer ? NO_MATCH : ROOT;
    return at;
  }

  /**
   * Section 5.2: the line goes on with the field before it. Section 2.2: without one, it is ignored. Some servers take
   * such a line for a field.
   */
  private unfold(): void {
    this.isIsolated = true;
    this.state = this.hasLine ? VALUE : IGNORED_NAME;
    this.hasLine = true;
    this.node = this.isTrailer ? NO_MATCH : ROOT;
  }

  /** The name in a line that is ignored, which must not be a length's. */
  private readIgnoredName(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    if (this.node === ROOT) while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
    while (this.node !== NO_MATCH && at < end && TOKEN_CHAR[bytes[at]!] === 1) {
      this.node = FIELD_WORDS.next[(this.node << 7) | bytes[at++]!]!;
    }
    if (at === end) return at;
    const word = FIELD_WORDS.word[this.node]!;
    const isFraming = word === CONTENT_LENGTH || word === TRANSFER_ENCODING || word >= DRESSED;
    if (isFraming && !this.isLenient) return this.fail(at);
    this.state = VALUE;
    return at;
  }

  private readName(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    let node = this.node;
    while (node !== NO_MATCH && at < end && TOKEN_CHAR[bytes[at]!] === 1) {
      node = FIELD_WORDS.next[(node << 7) | bytes[at++]!]!;
    }
    while (at < end && TOKEN_CHAR[bytes[at]!] === 1) at++;
    this.node = node;
    if (at === end) return at;
    if (bytes[at] !== COLON || node === ROOT) return this.readStray(bytes, at);
    this.state = VALUE;
    this.field = FIELD_WORDS.word[node]!;
    if ((this.field !== OTHER_FIELD || this.isNameStray) && !this.beginField()) return this.fail(at);
    return at + 1;
  }

  /** Takes a byte that no name has (or a colon without one). */
  private readStray(bytes: Uint8Array, at: number): number {
    const byte = bytes[at]!;
    this.isOdd = true;
    if (byte === COLON) {
      this.state = VALUE;
      return at + 1;
    }
    const word = FIELD_WORDS.word[this.node]!;
    const isFraming = word === CONTENT_LENGTH || word === TRANSFER_ENCODING || word >= DRESSED;
    if (byte === CR || byte === LF) return isFraming && !this.isLenient ? this.fail(at) : this.endStrayLine(byte, at);
    if (byte === NUL && !this.takeNul()) return this.fail(at);
    if (byte <= SP || byte >= DEL) {
      this.isNameStray = true;
      if (isFraming && !this.isLenient) return this.fail(at);
    }
    // Section 5.1: of a response, the blanks before a colon are no part of the name.
    const staysInPlace = this.isLenient && (byte === SP || byte === HTAB) && word !== OTHER_FIELD;
    if (!staysInPlace) this.node = FIELD_WORDS.next[(this.node << 7) | NO_LETTER]!;
    return at + 1;
  }

  /** The line has no colon. */
  private endStrayLine(byte: number, at: number): number {
    this.hasStrayLine = true;
    this.isNameStray = false;
    this.state = LINE_FEED;
    return byte === CR ? at + 1 : this.endBareLine(at);
  }

  private readValue(bytes: Uint8Array, from: number, end: number): number {
    for (let at = from; ; at++) {
      if (this.field === OTHER_FIELD) {
        while (at < end && TEXT_CHAR[bytes[at]!] === 1) at++;
      } else {
        while (at < end && TEXT_CHAR[bytes[at]!] === 1) if (!this.take(bytes[at++]!)) return this.fail(at - 1);
      }
      if (at === end) return at;
      const byte = bytes[at]!;
      if (byte === CR) {
        this.state = LINE_FEED;
        return at + 1;
      }
      if (byte === LF) return this.endBareLine(at);
      this.isOdd = true;
      if (byte === NUL && !this.takeNul()) return this.fail(at);
      if (this.field !== OTHER_FIELD && !this.take(byte)) return this.fail(at);
    }
  }

  /** Section 2.2 allows that a bare LF ends a line; some servers want a CR before it. */
  private endBareLine(at: number): number {
    this.isIsolated = true;
    this.state = LINE_START;
    return at + 1;
  }

  /** False: it cannot be read on. */
  private takeNul(): boolean {
    this.hasNul = true;
    return !this.isLenient;
  }

  // The fields that say something.

  /** False: no such name is allowed. */
  private beginField(): boolean {
    if (this.isNameStray) {
      this.isNameStray = false;
      this.hasStrayLine = true;
      if (this.field >= DRESSED && !this.isLenient) return false;
    }
    if (this.field >= DRESSED) {
      this.isIsolated = true;
      this.field = OTHER_FIELD;
    }
    this.part = EMPTY;
    this.number = 0;
    this.node = ROOT;
    // Several fields are one list (RFC 9110, section 5.3).
    if (this.field === TRANSFER_ENCODING) {
      if (this.transferCoding === Coding.NONE) this.transferCoding = Coding.OTHER;
      else this.isIsolated = true;
    }
    return true;
  }

  /** Takes a byte of the value. False: no such value is allowed. */
  private take(byte: number): boolean {
    switch (this.field) {
      case CONTENT_LENGTH:
        return this.takeOfNumber(byte);
      case UPGRADE:
        this.hasUpgradeField ||= byte !== SP && byte !== HTAB;
        return true;
      default:
        this.takeOfList(byte);
        return true;
    }
  }

  /** The value is complete. False: no such value is allowed. */
  private endField(): boolean {
    const field = this.field;
    if (field === CONTENT_LENGTH) {
      if (this.part === EMPTY) return false;
      this.endNumber();
    } else if (field !== UPGRADE) {
      this.endElement();
    }
    this.field = OTHER_FIELD;
    return true;
  }

  /** RFC 9112, section 6.3: one number, or the same one several times; of a response, the first one. */
  private takeOfNumber(byte: number): boolean {
    if (this.part === BEHIND_NUMBER) return true;
    if (byte >= DIGIT_0 && byte <= DIGIT_9) {
      if (this.part === AFTER_NUMBER) return this.endOfNumber();
      // To some, a zero before it makes it octal.
      if (this.part === NUMBER && this.number === 0) this.isIsolated = true;
      this.part = NUMBER;
      this.number = this.number * 10 + (byte - DIGIT_0);
    } else if (byte === COMMA && !this.isLenient) {
      if (this.part === EMPTY) return false;
      this.isIsolated = true;
      this.endNumber();
      this.part = EMPTY;
    } else if (byte === SP || byte === HTAB) {
      if (byte === HTAB) this.isIsolated = true;
      if (this.part === NUMBER) this.part = AFTER_NUMBER;
    } else {
      return this.endOfNumber();
    }
    return true;
  }

  /** Something else follows the number. */
  private endOfNumber(): boolean {
    const isEnough = this.isLenient && this.part !== EMPTY;
    this.part = BEHIND_NUMBER;
    return isEnough;
  }

  private endNumber(): void {
    if (this.number > Number.MAX_SAFE_INTEGER) this.isLengthUnclear = true;
    if (this.contentLength >= 0) {
      this.isIsolated = true;
      if (this.contentLength !== this.number) this.isLengthUnclear = true;
    }
    this.contentLength = this.number;
    this.number = 0;
  }

  private takeOfList(byte: number): void {
    if (byte === COMMA) {
      this.endElement();
      if (this.field === TRANSFER_ENCODING) this.isIsolated = true;
      this.part = EMPTY;
      this.node = ROOT;
    } else if (byte === SP || byte === HTAB) {
      if (byte === HTAB && this.field === TRANSFER_ENCODING) this.isIsolated = true;
      if (this.part === TOKEN) this.part = AFTER_TOKEN;
    } else if (TOKEN_CHAR[byte] === 1 && (this.part === EMPTY || this.part === TOKEN)) {
      this.part = TOKEN;
      this.node = ELEMENT_WORDS.next[(this.node << 7) | byte]!;
    } else if (byte === SEMICOLON && (this.part === TOKEN || this.part === AFTER_TOKEN)) {
      // Section 7.1: chunked has no parameters.
      this.part = ELEMENT_WORDS.word[this.node] === CHUNKED_WORD ? SPOILED : PARAMETERS;
    } else if (this.part !== PARAMETERS || (TOKEN_CHAR[byte] === 0 && byte !== EQUALS && byte !== SEMICOLON)) {
      this.part = SPOILED;
    }
  }

  private endElement(): void {
    if (this.field === TRANSFER_ENCODING) {
      if (this.part !== EMPTY) this.endCoding();
      return;
    }
    if (this.part !== TOKEN && this.part !== AFTER_TOKEN) return;
    const word = ELEMENT_WORDS.word[this.node];
    if (this.field === CONNECTION) {
      this.hasClose ||= word === CLOSE_WORD;
      this.hasKeepAlive ||= word === KEEP_ALIVE_WORD;
      this.hasUpgradeOption ||= word === UPGRADE_WORD;
    } else if (this.field === EXPECT) {
      this.expectsContinue ||= word === CONTINUE_WORD;
    }
  }

  private endCoding(): void {
    const word = this.part === TOKEN || this.part === AFTER_TOKEN ? ELEMENT_WORDS.word[this.node] : 0;
    const before = this.transferCoding;
    const isFirst = !this.hasCoding;
    this.hasCoding = true;
    if (this.part === SPOILED || before === Coding.UNCLEAR) {
      this.transferCoding = Coding.UNCLEAR;
    } else if (before === Coding.CHUNKED) {
      // Some servers say so twice, and have done it once.
      if (!this.isLenient || word !== CHUNKED_WORD) this.transferCoding = Coding.UNCLEAR;
    } else if (word === CHUNKED_WORD) {
      this.transferCoding = Coding.CHUNKED;
    } else {
      const isIdentity = word === IDENTITY_WORD && (isFirst || before === Coding.IDENTITY);
      this.transferCoding = isIdentity ? Coding.IDENTITY : Coding.OTHER;
    }
  }

  private fail(at: number): number {
    this.outcome = MALFORMED;
    return at;
  }
}
