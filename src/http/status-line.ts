/**
 * A status line. https://www.rfc-editor.org/rfc/rfc9112#section-4
 *
 *     "HTTP/1." DIGIT SP 3DIGIT [ SP reason-phrase ] CRLF
 *
 * Only version and code count, as for curl; the reason may be any text without a NUL.
 */
import { DIGIT_0, HTTP_1, isDigit, LF, NUL, SP } from "./chars.ts";
import { DONE, MALFORMED, MORE } from "./outcome.ts";

const VERSION = 0;
const MINOR_VERSION = 1;
const AFTER_VERSION = 2;
const CODE = 3;
const AFTER_CODE = 4;
const REASON = 5;

/** From here on both sides speak another protocol (RFC 9110, section 15.2.2). */
export const SWITCHING_PROTOCOLS = 101;
/** The lowest code of a final response; below it, responses are interim (RFC 9110, section 15). */
export const FINAL_CODE_MIN = 200;

const CODE_LEN = 3;
const CODE_MIN = 100;

/** Reads one status line after the other, in any pieces. It keeps no bytes. */
export class StatusLine {
  outcome = MORE;
  code = 0;
  /** 0: HTTP/1.0; 1: HTTP/1.1, and later minor versions. */
  minorVersion = 1;
  private state = VERSION;
  /** How many bytes of the version, or of the code, were read. */
  private readLength = 0;

  begin(): void {
    this.outcome = MORE;
    this.code = 0;
    this.state = VERSION;
    this.readLength = 0;
  }

  /** Reads on, from `at` to `end` at most. Returns where it stopped. */
  feed(bytes: Uint8Array, at: number, end: number): number {
    for (; at < end; at++) {
      const byte = bytes[at]!;
      switch (this.state) {
        case VERSION:
          if (byte !== HTTP_1[this.readLength]) return this.fail(at);
          if (++this.readLength === HTTP_1.length) this.state = MINOR_VERSION;
          break;
        case MINOR_VERSION:
          if (!isDigit(byte)) return this.fail(at);
          this.minorVersion = byte === DIGIT_0 ? 0 : 1;
          this.state = AFTER_VERSION;
          break;
        case AFTER_VERSION:
          if (byte !== SP) return this.fail(at);
          this.state = CODE;
          this.readLength = 0;
          break;
        case CODE:
          if (byte === SP && this.readLength === 0) break;
          if (!isDigit(byte)) return this.fail(at);
          this.code = this.code * 10 + (byte - DIGIT_0);
          if (++this.readLength < CODE_LEN) break;
          if (this.code < CODE_MIN) return this.fail(at);
          this.state = AFTER_CODE;
          break;
        default:
          if (byte === LF) {
            this.outcome = DONE;
            return at + 1;
          }
          if (byte === NUL || (this.state === AFTER_CODE && isDigit(byte))) return this.fail(at);
          this.state = REASON;
      }
    }
    return at;
  }

  private fail(at: number): number {
    this.outcome = MALFORMED;
    return at;
  }
}
