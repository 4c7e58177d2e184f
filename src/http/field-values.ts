/**
 * What the fields of a header section say about its message's length and its connection.
 * https://www.rfc-editor.org/rfc/rfc9112#section-6.3 https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1
 *
 * Values are read byte by byte, and only their meaning is kept. A request's value is refused only if the request's end
 * may depend on it; a response's fields are read as leniently as curl reads them.
 */
import { COMMA, DIGIT_0, EQUALS, HTAB, isDigit, SEMICOLON, SP, TOKEN_CHAR } from "./chars.ts";
import { NO_MATCH, ROOT, Words } from "./words.ts";

/** The names of the fields that matter here; the first two are also known in odd spellings (Content_Length). */
export const FIELD_WORDS = new Words(["content-length", "transfer-encoding", "connection", "upgrade"], true, 2);
/** A field that says nothing about length or connection. */
export const OTHER_FIELD = 0;
const CONTENT_LENGTH = 1;
const TRANSFER_ENCODING = 2;
const CONNECTION = 3;
const UPGRADE = 4;
/**
 * From here on: odd spellings, names that some server may take for Content-Length or Transfer-Encoding, and that are
 * neither.
 */
export const DRESSED = 5;
/** Stands for any byte that is no letter, in {@link FIELD_WORDS}. */
export const NO_LETTER = 0;

const ELEMENT_WORDS = new Words(["chunked", "close", "keep-alive", "upgrade", "identity"], true);
const CHUNKED_WORD = 1;
const CLOSE_WORD = 2;
const KEEP_ALIVE_WORD = 3;
const UPGRADE_WORD = 4;
const IDENTITY_WORD = 5;

/** No byte of a list's element, or of a Content-Length's number, was read yet. */
const EMPTY = 0;

// How far an element of a comma-separated list was read.
const TOKEN = 1;
const AFTER_TOKEN = 2;
const PARAMETERS = 3;
/** The element has a byte that no token has. */
const SPOILED = 4;

// How far a number of a Content-Length was read.
const NUMBER = 1;
const AFTER_NUMBER = 2;
/** In a response: the bytes behind the number are ignored. */
const BEHIND_NUMBER = 3;

/** The meaning of Transfer-Encoding. */
export const Coding = {
  /** There is no transfer coding. */
  NONE: 0,
  /** The last transfer coding is chunked, and none before it. */
  CHUNKED: 1,
  /** The last transfer coding is another one, or the field names none. */
  OTHER: 2,
  /** The field may be read in more than one way. */
  UNCLEAR: 3,
  /** The field names only `identity`, which HTTP/1.1 had until RFC 7230: there is no transfer coding. */
  IDENTITY: 4,
} as const;

/** Whether some server may take a name, by its word in {@link FIELD_WORDS}, for Content-Length or Transfer-Encoding. */
export function mayFrame(word: number): boolean {
  return word === CONTENT_LENGTH || word === TRANSFER_ENCODING || word >= DRESSED;
}

/** Takes the values of one section's fields, and finds their meaning for the message's length and connection. */
export class FieldValues {
  /** Content-Length; -1: there is no such field. */
  contentLength = -1;
  /** There are several lengths that differ, or one is too large for a number. */
  isLengthUnclear = false;
  /** A {@link Coding}. */
  transferCoding: number = Coding.NONE;
  /** Connection: close. */
  hasClose = false;
  /** Connection: keep-alive. */
  hasKeepAlive = false;
  /** Servers are known to read the section otherwise than RFC 9112 says. */
  isIsolated = false;
  private hasUpgradeField = false;
  private hasUpgradeOption = false;

  /** The field that is read; OTHER_FIELD if it does not matter here. */
  protected field = OTHER_FIELD;
  /** The state of the name in {@link FIELD_WORDS}, or of the element in ELEMENT_WORDS. */
  protected node = NO_MATCH;
  private part = EMPTY;
  private number = 0;
  /** Transfer-Encoding has named a coding. */
  private hasCoding = false;

  /** `isLenient`: the section is a response's. */
  constructor(protected readonly isLenient: boolean) {}

  /** Begins a section: clears the values of the last one. */
  protected beginValues(): void {
    this.contentLength = -1;
    this.isLengthUnclear = false;
    this.transferCoding = Coding.NONE;
    this.hasClose = false;
    this.hasKeepAlive = false;
    this.isIsolated = false;
    this.hasUpgradeField = false;
    this.hasUpgradeOption = false;
    this.field = OTHER_FIELD;
    this.hasCoding = false;
  }

  /** Whether there is an Upgrade field, and the connection option that makes it valid (RFC 9110, section 7.8). */
  get offersUpgrade(): boolean {
    return this.hasUpgradeField && this.hasUpgradeOption;
  }

  /** RFC 9112, section 9.3: whether the connection can carry another message after this one. */
  isPersistent(minorVersion: number): boolean {
    return !this.hasClose && (minorVersion > 0 || this.hasKeepAlive);
  }

  /** The name of {@link field} is complete. */
  protected beginValue(): void {
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
  }

  /** Takes a byte of the value. False: the value is not allowed. */
  protected take(byte: number): boolean {
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

  /** The value is complete. False: the value is not allowed. */
  protected endField(): boolean {
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

  /** RFC 9112, section 6.3: one number, or the same one several times; in a response, the first one counts. */
  private takeOfNumber(byte: number): boolean {
    if (this.part === BEHIND_NUMBER) return true;
    if (isDigit(byte)) {
      if (this.part === AFTER_NUMBER) return this.endOfNumber();
      // Some servers take a number that begins with a zero as octal.
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
      // Some servers name chunked twice, and have applied it once.
      if (!this.isLenient || word !== CHUNKED_WORD) this.transferCoding = Coding.UNCLEAR;
    } else if (word === CHUNKED_WORD) {
      this.transferCoding = Coding.CHUNKED;
    } else {
      const isIdentity = word === IDENTITY_WORD && (isFirst || before === Coding.IDENTITY);
      this.transferCoding = isIdentity ? Coding.IDENTITY : Coding.OTHER;
    }
  }
}
