/**
 * A request line. https://www.rfc-editor.org/rfc/rfc9112#section-3
 *
 *     method SP request-target SP "HTTP/1." DIGIT CRLF
 *
 * The version is the text behind the last blank; all text between it and the method is the target, odd as it may be:
 * servers accept more targets than RFC 9112 allows, and no boundary depends on them. Some servers serve any text for a
 * version that begins with "HTTP/1." (`HTTP/1.0.8`, `HTTP/1.`), and clients send it.
 */
import { ASTERISK, COLON, CR, DIGIT_0, HTAB, HTTP_1, LF, NUL, SLASH, SP } from "./chars.ts";
import { isDigit, isLetter, SCHEME_CHAR, TARGET_CHAR, TOKEN_CHAR } from "./chars.ts";
import { isIdempotent, METHOD_CONNECT, METHOD_RESERVED, METHOD_WORDS, METHODS } from "./methods.ts";
import { DONE, MALFORMED, MORE } from "./outcome.ts";
import { NO_MATCH, ROOT } from "./words.ts";

const METHOD = 0;
const BEFORE_TARGET = 1;
const SCHEME = 2;
const TARGET = 3;
/** Behind an asterisk that is all of the target. */
const AFTER_ASTERISK = 4;
const BEFORE_VERSION = 5;
const VERSION = 6;
const MINOR_VERSION = 7;
const AFTER_VERSION = 8;
/** A blank behind a possible version. */
const AFTER_BLANK = 9;
const LINE_FEED = 10;
/** In a version that RFC 9112 does not have. */
const ODD_VERSION = 11;

/** The part of an unknown method that is kept. Registered methods have up to 17 bytes. */
export const METHOD_BYTES_MAX = 64;
/** The end of nearly every line: it need not be looked at byte by byte. */
const USUAL_END = new TextEncoder().encode("HTTP/1.1\r\n");

/** Reads one request line after the other, in any pieces. It keeps only the beginning of an unknown method. */
export class RequestLine {
  outcome = MORE;
  /** 0: HTTP/1.0; 1: HTTP/1.1, and later minor versions. */
  minorVersion = 1;
  /** The line has something that RFC 9112 does not allow. */
  isOdd = false;
  /** The line's target has a NUL. */
  hasNul = false;
  /** The line ends with a bare LF: some servers want a CR before it. */
  hasBareEnd = false;
  /** The version is no number: some servers read the request as HTTP/0.9, which ends with its line. */
  hasOddVersion = false;
  private state = METHOD;
  private isStrict = false;
  /** The state of the method in METHOD_WORDS; once the method is read, its number. */
  private node = ROOT;
  /** The method's bytes so far, if it came in pieces, or is not a known one. */
  private text = "";
  private versionLength = 0;

  /** Begins a line. `isStrict`: only a known method is accepted, and nothing odd. */
  begin(isStrict: boolean): void {
    this.outcome = MORE;
    this.state = METHOD;
    this.isStrict = isStrict;
    this.isOdd = false;
    this.hasNul = false;
    this.hasBareEnd = false;
    this.hasOddVersion = false;
    this.node = ROOT;
    this.text = "";
  }

  /** An unknown one is cut after {@link METHOD_BYTES_MAX}. */
  get method(): string {
    return this.node === NO_MATCH ? this.text : METHODS[this.node - 1]!;
  }

  get isIdempotent(): boolean {
    return isIdempotent(this.node);
  }

  get isConnect(): boolean {
    return this.node === METHOD_CONNECT;
  }

  /** Whether the line began with a token and a blank. */
  get hasMethod(): boolean {
    return this.state !== METHOD;
  }

  /** Whether the line began with a known method, and so was meant as a request line. */
  get looksLikeHttp(): boolean {
    return this.state !== METHOD && this.node !== NO_MATCH;
  }

  /** Reads on, from `at` to `end` at most. Returns where it stopped. */
  feed(bytes: Uint8Array, at: number, end: number): number {
    while (at < end && this.outcome === MORE) {
      switch (this.state) {
        case METHOD:
          at = this.readMethod(bytes, at, end);
          break;
        case TARGET:
          at = this.readTarget(bytes, at, end);
          break;
        default:
          if (this.take(bytes[at]!)) at++;
      }
    }
    return at;
  }

  /** Takes a byte behind the method and outside the target's rest. False: the byte is to be looked at again. */
  private take(byte: number): boolean {
    switch (this.state) {
      case BEFORE_TARGET:
        return byte === SP || (byte === HTAB ? this.noteOdd() : this.beginTarget(byte));
      case SCHEME:
        if (byte === COLON) this.state = TARGET;
        else if (SCHEME_CHAR[byte] === 0) return this.goOnAsTarget();
        return true;
      case AFTER_ASTERISK:
        if (byte !== SP) return this.goOnAsTarget();
        this.state = BEFORE_VERSION;
        return true;
      case BEFORE_VERSION:
        if (byte === SP) return true;
        if (byte === HTAB) return this.noteOdd();
        this.state = VERSION;
        this.versionLength = 0;
        this.hasOddVersion = false;
        return false;
      case VERSION:
        if (byte !== HTTP_1[this.versionLength]) return this.goOnAsTarget();
        if (++this.versionLength === HTTP_1.length) this.state = MINOR_VERSION;
        return true;
      case MINOR_VERSION:
        this.minorVersion = byte === DIGIT_0 ? 0 : 1;
        this.state = AFTER_VERSION;
        return isDigit(byte) || this.beginOddVersion();
      case AFTER_VERSION:
      case ODD_VERSION:
        return this.takeAfterVersion(byte);
      case AFTER_BLANK:
        if (byte === SP || byte === HTAB || byte === CR || byte === LF) return this.takeAfterVersion(byte);
        this.state = BEFORE_VERSION;
        return false;
      default:
        // A bare CR ends the line for some servers, and not for others.
        this.outcome = byte === LF ? DONE : MALFORMED;
        return byte === LF;
    }
  }

  private takeAfterVersion(byte: number): boolean {
    if (byte === CR) {
      this.state = LINE_FEED;
    } else if (byte === LF) {
      this.hasBareEnd = true;
      this.outcome = DONE;
    } else if (byte === SP || byte === HTAB) {
      this.state = AFTER_BLANK;
      return this.noteOdd();
    } else if (this.state === ODD_VERSION) {
      return TARGET_CHAR[byte] === 1 || this.goOnAsTarget();
    } else if (isDigit(byte)) {
      // HTTP/1.10: servers that accept it take all digits as the minor version.
      if (byte !== DIGIT_0) this.minorVersion = 1;
      return this.noteOdd();
    } else {
      return this.beginOddVersion();
    }
    return true;
  }

  /** The version is no number. Always false: the next byte is still to be taken. */
  private beginOddVersion(): boolean {
    this.noteOdd();
    this.hasOddVersion = true;
    this.state = ODD_VERSION;
    return false;
  }

  private readTarget(bytes: Uint8Array, at: number, end: number): number {
    while (at < end && TARGET_CHAR[bytes[at]!] === 1) at++;
    if (at === end) return at;
    const byte = bytes[at];
    if (byte === SP) {
      this.state = BEFORE_VERSION;
      return isUsualEnd(bytes, at + 1, end) ? this.endAsUsual(at + 1) : at + 1;
    }
    // Without a version, it is HTTP/0.9 or no HTTP at all.
    if (byte === CR || byte === LF || !this.noteOdd()) return this.fail(at);
    if (byte === HTAB) this.state = BEFORE_VERSION;
    if (byte === NUL) this.hasNul = true;
    return at + 1;
  }

  private endAsUsual(at: number): number {
    this.minorVersion = 1;
    this.outcome = DONE;
    return at + USUAL_END.length;
  }

  private readMethod(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    let node = this.node;
    while (at < end && TOKEN_CHAR[bytes[at]!] === 1) node = METHOD_WORDS.next[(node << 7) | bytes[at++]!]!;
    this.node = node;
    if (this.isStrict && node === NO_MATCH) return this.fail(at);
    if (at === end) {
      this.keep(bytes, from, at);
      return at;
    }
    const isSeparated = bytes[at] === SP || (bytes[at] === HTAB && this.noteOdd());
    if (!isSeparated || node === ROOT) return this.fail(at);
    const method = METHOD_WORDS.word[node]!;
    if (method === METHOD_RESERVED || (this.isStrict && method === 0)) return this.fail(at);
    if (method === 0) this.keep(bytes, from, at);
    this.node = method;
    this.state = BEFORE_TARGET;
    return at + 1;
  }

  private keep(bytes: Uint8Array, from: number, to: number): void {
    const room = METHOD_BYTES_MAX - this.text.length;
    if (room > 0) this.text += latin1(bytes, from, Math.min(to, from + room));
  }

  /** Section 3.2: origin-form, asterisk-form, authority-form (of CONNECT alone) or absolute-form. */
  private beginTarget(byte: number): boolean {
    if (this.isConnect) {
      if (byte === SLASH || byte === ASTERISK) this.noteOdd();
      this.state = TARGET;
      return false;
    }
    if (byte === SLASH) this.state = TARGET;
    else if (byte === ASTERISK) this.state = AFTER_ASTERISK;
    else if (isLetter(byte)) this.state = SCHEME;
    else return this.goOnAsTarget();
    return true;
  }

  /** The bytes so far are in none of the forms of a target. Always false: the next byte is still to be taken. */
  private goOnAsTarget(): boolean {
    this.noteOdd();
    this.hasOddVersion = false;
    this.state = TARGET;
    return false;
  }

  /** Notes something odd. False: in a strict line, which then is no request line. */
  private noteOdd(): boolean {
    this.isOdd = true;
    if (this.isStrict) this.outcome = MALFORMED;
    return !this.isStrict;
  }

  private fail(at: number): number {
    this.outcome = MALFORMED;
    return at;
  }
}

function isUsualEnd(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < USUAL_END.length) return false;
  for (let i = 0; i < USUAL_END.length; i++) if (bytes[at + i] !== USUAL_END[i]) return false;
  return true;
}

/** Not latin1.ts: in tests, the bytes may be an object that counts how often they are read. */
function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
}
