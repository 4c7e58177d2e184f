/**
 * A request line. https://www.rfc-editor.org/rfc/rfc9112#section-3
 *
 *     method SP request-target SP "HTTP/1." DIGIT CRLF
 *
 * More than one SP and a bare LF are taken, as section 3 and section 2.2 allow and servers do.
 */
import { ASTERISK, COLON, CR, DIGIT_0, DIGIT_9, isLetter, LF, SCHEME_CHAR, SLASH, SP, TARGET_CHAR, TOKEN_CHAR } from "./chars.ts";
import { isIdempotent, METHOD_CONNECT, METHOD_RESERVED, METHOD_WORDS, METHODS } from "./methods.ts";
import { DONE, MALFORMED, MORE } from "./outcome.ts";
import { NO_MATCH, ROOT } from "./words.ts";

const METHOD = 0;
const BEFORE_TARGET = 1;
const SCHEME = 2;
const TARGET = 3;
const AFTER_TARGET = 4;
const BEFORE_VERSION = 5;
const VERSION = 6;
const MINOR_VERSION = 7;
const AFTER_VERSION = 8;
const LINE_FEED = 9;

const VERSION_BYTES = new TextEncoder().encode("HTTP/1.");

export class RequestLine {
  outcome = MORE;
  /** 0: HTTP/1.0; 1: HTTP/1.1, and what may come after it. */
  minorVersion = 1;
  private state = METHOD;
  private knownOnly = false;
  /** Where in METHOD_WORDS the method is; once it is read, its number. */
  private node = ROOT;
  /** The method's bytes so far, if it came in pieces, or is none that is known. */
  private text = "";
  private versionLength = 0;

  /** Begins a line. `knownOnly`: methods that are not known are no methods. */
  begin(knownOnly: boolean): void {
    this.outcome = MORE;
    this.state = METHOD;
    this.knownOnly = knownOnly;
    this.node = ROOT;
    this.text = "";
    this.versionLength = 0;
  }

  get method(): string {
    return this.node === NO_MATCH ? this.text : METHODS[this.node - 1];
  }

  get isIdempotent(): boolean {
    return isIdempotent(this.node);
  }

  get isConnect(): boolean {
    return this.node === METHOD_CONNECT;
  }

  /** Whether it began with a method that HTTP knows, and so was meant as a request line. */
  get looksLikeHttp(): boolean {
    return this.state !== METHOD && this.node !== NO_MATCH;
  }

  /** Reads on, from `at` to `end` at most. Returns where it stopped. */
  feed(bytes: Uint8Array, at: number, end: number): number {
    while (at < end) {
      const byte = bytes[at];
      switch (this.state) {
        case METHOD:
          at = this.readMethod(bytes, at, end);
          if (this.outcome !== MORE) return at;
          continue;
        case BEFORE_TARGET:
          if (byte === SP) break;
          if (!this.beginTarget(byte)) return this.fail(at);
          break;
        case SCHEME:
          if (byte === COLON) this.state = TARGET;
          else if (SCHEME_CHAR[byte] === 0) return this.fail(at);
          break;
        case TARGET:
          while (at < end && TARGET_CHAR[bytes[at]] === 1) at++;
          if (at < end) this.state = AFTER_TARGET;
          continue;
        case AFTER_TARGET:
          if (byte !== SP) return this.fail(at);
          this.state = BEFORE_VERSION;
          break;
        case BEFORE_VERSION:
          if (byte === SP) break;
          this.state = VERSION;
          continue;
        case VERSION:
          if (byte !== VERSION_BYTES[this.versionLength]) return this.fail(at);
          if (++this.versionLength === VERSION_BYTES.length) this.state = MINOR_VERSION;
          break;
        case MINOR_VERSION:
          if (byte < DIGIT_0 || byte > DIGIT_9) return this.fail(at);
          this.minorVersion = byte === DIGIT_0 ? 0 : 1;
          this.state = AFTER_VERSION;
          break;
        case AFTER_VERSION:
          if (byte === CR) {
            this.state = LINE_FEED;
            break;
          }
          if (byte !== LF) return this.fail(at);
          this.outcome = DONE;
          return at + 1;
        default:
          if (byte !== LF) return this.fail(at);
          this.outcome = DONE;
          return at + 1;
      }
      at++;
    }
    return at;
  }

  private readMethod(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    let node = this.node;
    while (at < end && TOKEN_CHAR[bytes[at]] === 1) node = METHOD_WORDS.next[(node << 7) | bytes[at++]];
    this.node = node;
    if (this.knownOnly && node === NO_MATCH) return this.fail(at);
    if (at === end) {
      this.text += latin1(bytes, from, at);
      return at;
    }
    if (bytes[at] !== SP || node === ROOT) return this.fail(at);
    const method = METHOD_WORDS.word[node];
    if (method === METHOD_RESERVED || (this.knownOnly && method === 0)) return this.fail(at);
    if (method === 0) this.text += latin1(bytes, from, at);
    this.node = method;
    this.state = BEFORE_TARGET;
    return at + 1;
  }

  /** Section 3.2: origin-form, asterisk-form, authority-form (of CONNECT alone) or absolute-form. */
  private beginTarget(byte: number): boolean {
    if (this.isConnect) {
      this.state = TARGET;
      return TARGET_CHAR[byte] === 1 && byte !== SLASH && byte !== ASTERISK;
    }
    if (byte === SLASH) this.state = TARGET;
    else if (byte === ASTERISK) this.state = AFTER_TARGET;
    else if (isLetter(byte)) this.state = SCHEME;
    else return false;
    return true;
  }

  private fail(at: number): number {
    this.outcome = MALFORMED;
    return at;
  }
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
}
