/**
 * A header or trailer section, line by line; {@link FieldValues} reads what its fields say.
 * https://www.rfc-editor.org/rfc/rfc9112#section-5
 *
 *     *( field-name ":" OWS field-value OWS CRLF ) CRLF
 *
 * Lines are read where they lie, and none is kept. A request's line is refused only if the request's end may depend on
 * it; a response's section is read as leniently as curl reads it.
 */
import { COLON, CR, DEL, HTAB, LF, NUL, SP, TEXT_CHAR, TOKEN_CHAR } from "./chars.ts";
import { DRESSED, FIELD_WORDS, FieldValues, mayFrame, NO_LETTER, OTHER_FIELD } from "./field-values.ts";
import { DONE, MALFORMED, MORE } from "./outcome.ts";
import { NO_MATCH, ROOT } from "./words.ts";

const LINE_START = 0;
const NAME = 1;
const VALUE = 2;
const LINE_FEED = 3;
const LAST_LINE_FEED = 4;
/** In a line that begins with a blank and stands before all fields. */
const IGNORED_NAME = 5;

/** Reads one section after the other, in any pieces. It keeps no bytes. */
export class HeaderSection extends FieldValues {
  outcome = MORE;
  /** The section has a line. */
  hasLine = false;
  /** The section was read to its end, and has a NUL. */
  hasNul = false;
  /** The section has something that RFC 9112 does not allow, and that says nothing about a length. */
  isOdd = false;
  /** The section has a line that is no field for some servers (Python's): they ignore all fields behind it. */
  hasStrayLine = false;

  private state = LINE_START;
  private isTrailer = false;
  /** The name so far has a blank, a control character or a byte outside ASCII. */
  private isNameStray = false;

  /** Begins a section. The fields of a trailer say nothing about its message's length or connection. */
  begin(isTrailer: boolean): void {
    this.outcome = MORE;
    this.beginValues();
    this.hasLine = false;
    this.hasNul = false;
    this.isOdd = false;
    this.hasStrayLine = false;
    this.state = LINE_START;
    this.isTrailer = isTrailer;
    this.isNameStray = false;
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
   * Section 5.2: the line continues the field before it. Section 2.2: if there is no field before it, the line is
   * ignored. Some servers take such a line for a field.
   */
  private unfold(): void {
    this.isIsolated = true;
    this.state = this.hasLine ? VALUE : IGNORED_NAME;
    this.hasLine = true;
    this.node = this.isTrailer ? NO_MATCH : ROOT;
  }

  /** Reads the name in a line that is ignored: it must not be the name of a field that gives a length. */
  private readIgnoredName(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    if (this.node === ROOT) while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
    while (this.node !== NO_MATCH && at < end && TOKEN_CHAR[bytes[at]!] === 1) {
      this.node = FIELD_WORDS.next[(this.node << 7) | bytes[at++]!]!;
    }
    if (at === end) return at;
    const word = FIELD_WORDS.word[this.node]!;
    if (mayFrame(word) && !this.isLenient) return this.fail(at);
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

  /** The name is complete. False: the name is not allowed. */
  private beginField(): boolean {
    if (this.isNameStray) {
      this.isNameStray = false;
      this.hasStrayLine = true;
      if (this.field >= DRESSED && !this.isLenient) return false;
    }
    this.beginValue();
    return true;
  }

  /** Takes a byte that no name may have (or a colon without a name before it). */
  private readStray(bytes: Uint8Array, at: number): number {
    const byte = bytes[at]!;
    this.isOdd = true;
    if (byte === COLON) {
      this.state = VALUE;
      return at + 1;
    }
    const word = FIELD_WORDS.word[this.node]!;
    const isFraming = mayFrame(word);
    if (byte === CR || byte === LF) return isFraming && !this.isLenient ? this.fail(at) : this.endStrayLine(byte, at);
    if (byte === NUL && !this.takeNul()) return this.fail(at);
    if (byte <= SP || byte >= DEL) {
      this.isNameStray = true;
      if (isFraming && !this.isLenient) return this.fail(at);
    }
    // Section 5.1: in a response, the blanks before a colon are not part of the name.
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

  /** Section 2.2 allows a bare LF to end a line; some servers want a CR before it. */
  private endBareLine(at: number): number {
    this.isIsolated = true;
    this.state = LINE_START;
    return at + 1;
  }

  /** Takes a NUL. False: the section cannot be read on. */
  private takeNul(): boolean {
    this.hasNul = true;
    return !this.isLenient;
  }

  private fail(at: number): number {
    this.outcome = MALFORMED;
    return at;
  }
}
