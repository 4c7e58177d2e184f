/**
 * A header or trailer section, and what it says about its message's length and its connection.
 * https://www.rfc-editor.org/rfc/rfc9112#section-5
 *
 *     *( field-name ":" OWS field-value OWS CRLF ) CRLF
 *
 * Obsolete line folding and a bare LF are taken, as section 5.2 and section 2.2 allow. Values are read
 * where they lie: nothing is kept of them but what they say.
 */
import { COLON, COMMA, CR, DIGIT_0, DIGIT_9, HTAB, LF, SEMICOLON, SP, EQUALS, TEXT_CHAR, TOKEN_CHAR } from "./chars.ts";
import { DONE, MALFORMED, MORE } from "./outcome.ts";
import { NO_MATCH, ROOT, Words } from "./words.ts";

const LINE_START = 0;
const NAME = 1;
const VALUE = 2;
const LINE_FEED = 3;
const LAST_LINE_FEED = 4;

const FIELD_WORDS = new Words(["content-length", "transfer-encoding", "connection", "upgrade", "expect"], true);
const OTHER_FIELD = 0;
const CONTENT_LENGTH = 1;
const TRANSFER_ENCODING = 2;
const CONNECTION = 3;
const UPGRADE = 4;
const EXPECT = 5;

const ELEMENT_WORDS = new Words(["chunked", "close", "keep-alive", "upgrade", "100-continue"], true);
const CHUNKED_WORD = 1;
const CLOSE_WORD = 2;
const KEEP_ALIVE_WORD = 3;
const UPGRADE_WORD = 4;
const CONTINUE_WORD = 5;

/** Nothing of a list's element, or of a Content-Length's number, was read yet. */
const EMPTY = 0;

// How far an element of a comma-separated list was read.
const TOKEN = 1;
const AFTER_TOKEN = 2;
const PARAMETERS = 3;
/** It has what no element made of tokens has. */
const ODD = 4;

// How far a number of a Content-Length was read.
const NUMBER = 1;
const AFTER_NUMBER = 2;

/** What Transfer-Encoding says. */
export const Coding = {
  /** There is none. */
  NONE: 0,
  /** The last transfer coding is chunked, and none before it. */
  CHUNKED: 1,
  /** Another is the last one. */
  OTHER: 2,
  /** It may be read in more than one way. */
  UNCLEAR: 3,
} as const;

export class HeaderSection {
  outcome = MORE;
  /** Content-Length; -1: there is none. */
  contentLength = -1;
  /** There are several that differ, or one too large to count to, or one in folded lines. */
  isLengthUnclear = false;
  /** A {@link Coding}. */
  transferCoding: number = Coding.NONE;
  /** Connection: close. */
  hasClose = false;
  /** Connection: keep-alive. */
  hasKeepAlive = false;
  /** Expect: 100-continue. */
  expectsContinue = false;
  private hasUpgradeField = false;
  private hasUpgradeOption = false;

  private state = LINE_START;
  private isTrailer = false;
  /** Whether a field was begun, so that a line may be folded to it. */
  private hasField = false;
  private field = OTHER_FIELD;
  /** Where in FIELD_WORDS the name is, or in ELEMENT_WORDS the element. */
  private node = NO_MATCH;
  private nameLength = 0;
  private part = EMPTY;
  private number = 0;

  /** Begins a section. The fields of a trailer say nothing about its message's length or connection. */
  begin(isTrailer: boolean): void {
    this.outcome = MORE;
    this.contentLength = -1;
    this.isLengthUnclear = false;
    this.transferCoding = Coding.NONE;
    this.hasClose = false;
    this.hasKeepAlive = false;
    this.expectsContinue = false;
    this.hasUpgradeField = false;
    this.hasUpgradeOption = false;
    this.state = LINE_START;
    this.isTrailer = isTrailer;
    this.hasField = false;
    this.field = OTHER_FIELD;
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
        case LINE_FEED:
          if (bytes[at] !== LF) return this.fail(at);
          this.state = LINE_START;
          at++;
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
    const byte = bytes[at];
    if (byte === SP || byte === HTAB) return this.unfold(at);
    if (this.field !== OTHER_FIELD && !this.endField()) return this.fail(at);
    if (byte === CR) {
      this.state = LAST_LINE_FEED;
      return at + 1;
    }
    if (byte === LF) {
      this.outcome = DONE;
      return at + 1;
    }
    this.state = NAME;
    this.hasField = true;
    this.nameLength = 0;
    this.node = this.isTrailer ? NO_MATCH : ROOT;
    return at;
  }

  /** Section 5.2: the line goes on with the field before it. */
  private unfold(at: number): number {
    // Section 2.2: whitespace between the start line and the first field.
    if (!this.hasField) return this.fail(at);
    // Servers differ in what they make of these two when they are folded, and a length is no matter for a guess.
    if (this.field === CONTENT_LENGTH) this.isLengthUnclear = true;
    if (this.field === TRANSFER_ENCODING) this.transferCoding = Coding.UNCLEAR;
    this.state = VALUE;
    return at;
  }

  private readName(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    let node = this.node;
    while (node !== NO_MATCH && at < end && TOKEN_CHAR[bytes[at]] === 1) node = FIELD_WORDS.next[(node << 7) | bytes[at++]];
    while (at < end && TOKEN_CHAR[bytes[at]] === 1) at++;
    this.node = node;
    this.nameLength += at - from;
    if (at === end) return at;
    // Section 5.1: no whitespace between name and colon.
    if (bytes[at] !== COLON || this.nameLength === 0) return this.fail(at);
    this.state = VALUE;
    this.field = FIELD_WORDS.word[node];
    if (this.field !== OTHER_FIELD) this.beginField();
    return at + 1;
  }

  private readValue(bytes: Uint8Array, at: number, end: number): number {
    if (this.field === OTHER_FIELD) {
      while (at < end && TEXT_CHAR[bytes[at]] === 1) at++;
    } else {
      while (at < end && TEXT_CHAR[bytes[at]] === 1) if (!this.take(bytes[at++])) return this.fail(at);
    }
    if (at === end) return at;
    if (bytes[at] === CR) this.state = LINE_FEED;
    else if (bytes[at] === LF) this.state = LINE_START;
    else return this.fail(at);
    return at + 1;
  }

  // The fields that say something.

  private beginField(): void {
    this.part = EMPTY;
    this.number = 0;
    this.node = ROOT;
    if (this.field !== TRANSFER_ENCODING) return;
    // Several fields are one list (RFC 9110, section 5.3): with a chunked before this one, it is not the last.
    const isFirst = this.transferCoding === Coding.NONE || this.transferCoding === Coding.OTHER;
    this.transferCoding = isFirst ? Coding.OTHER : Coding.UNCLEAR;
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

  /** RFC 9112, section 6.3: one number, or the same one several times. */
  private takeOfNumber(byte: number): boolean {
    if (byte >= DIGIT_0 && byte <= DIGIT_9) {
      if (this.part === AFTER_NUMBER) return false;
      this.part = NUMBER;
      this.number = this.number * 10 + (byte - DIGIT_0);
    } else if (byte === COMMA) {
      if (this.part === EMPTY) return false;
      this.endNumber();
      this.part = EMPTY;
    } else if (byte === SP || byte === HTAB) {
      if (this.part === NUMBER) this.part = AFTER_NUMBER;
    } else {
      return false;
    }
    return true;
  }

  private endNumber(): void {
    if (this.number > Number.MAX_SAFE_INTEGER) this.isLengthUnclear = true;
    if (this.contentLength >= 0 && this.contentLength !== this.number) this.isLengthUnclear = true;
    this.contentLength = this.number;
    this.number = 0;
  }

  private takeOfList(byte: number): void {
    if (byte === COMMA) {
      this.endElement();
      // Even an empty element: what follows chunked is read in different ways.
      if (this.field === TRANSFER_ENCODING && this.transferCoding === Coding.CHUNKED) this.transferCoding = Coding.UNCLEAR;
      this.part = EMPTY;
      this.node = ROOT;
    } else if (byte === SP || byte === HTAB) {
      if (this.part === TOKEN) this.part = AFTER_TOKEN;
    } else if (TOKEN_CHAR[byte] === 1 && (this.part === EMPTY || this.part === TOKEN)) {
      this.part = TOKEN;
      this.node = ELEMENT_WORDS.next[(this.node << 7) | byte];
    } else if (byte === SEMICOLON && (this.part === TOKEN || this.part === AFTER_TOKEN)) {
      // Section 7.1: chunked has no parameters.
      this.part = ELEMENT_WORDS.word[this.node] === CHUNKED_WORD ? ODD : PARAMETERS;
    } else if (this.part !== PARAMETERS || (TOKEN_CHAR[byte] === 0 && byte !== EQUALS && byte !== SEMICOLON)) {
      this.part = ODD;
    }
  }

  private endElement(): void {
    if (this.field === TRANSFER_ENCODING) {
      this.endCoding();
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
    if (this.part === ODD) this.transferCoding = Coding.UNCLEAR;
    if (this.transferCoding !== Coding.OTHER || (this.part !== TOKEN && this.part !== AFTER_TOKEN)) return;
    if (ELEMENT_WORDS.word[this.node] === CHUNKED_WORD) this.transferCoding = Coding.CHUNKED;
  }

  private fail(at: number): number {
    this.outcome = MALFORMED;
    return at;
  }
}
