/**
 * The bytes that HTTP/1's grammar names (RFC 9110, section 5.6; RFC 5234, appendix B), and tables of classes of bytes.
 * Each table has an entry for every byte.
 */

export const NUL = 0x00;
/** Horizontal tab. */
export const HTAB = 0x09;
/** Line feed. */
export const LF = 0x0a;
/** Carriage return. */
export const CR = 0x0d;
/** A blank. */
export const SP = 0x20;
/** `,` */
export const COMMA = 0x2c;
/** `*` */
export const ASTERISK = 0x2a;
/** `/` */
export const SLASH = 0x2f;
/** `0` */
export const DIGIT_0 = 0x30;
/** `9` */
export const DIGIT_9 = 0x39;
/** `:` */
export const COLON = 0x3a;
/** `;` */
export const SEMICOLON = 0x3b;
/** `=` */
export const EQUALS = 0x3d;
/** Delete, a control character. */
export const DEL = 0x7f;

/** The beginning of every version of HTTP/1; the minor version follows. */
export const HTTP_1 = new TextEncoder().encode("HTTP/1.");

/** By byte: 1 if it is a tchar, of which tokens are made: methods, field names, codings. All are ASCII. */
export const TOKEN_CHAR = table("!#$%&'*+-.^_`|~", isAlphanumeric);

/** By byte: 1 if it may stand in a field value, a reason phrase or a quoted string: no control character but HTAB. */
export const TEXT_CHAR = table("\t ", (byte) => byte > SP && byte !== DEL);

/**
 * By byte: 1 if it may stand in a request target without being odd. The table allows more than URIs do: quotes, bars
 * and bytes outside ASCII are common in real requests, and servers accept them.
 */
export const TARGET_CHAR = table("", (byte) => byte > SP && byte !== DEL);

/** By byte: 1 if it may stand in a URI's scheme, behind its first letter (RFC 3986, section 3.1). */
export const SCHEME_CHAR = table("+-.", isAlphanumeric);

/** By byte: a hexadecimal digit's value; -1: the byte is no hexadecimal digit. */
export const HEX_VALUE = Int8Array.from({ length: 256 }, (_, byte) => {
  const digit = "0123456789abcdef".indexOf(String.fromCharCode(byte).toLowerCase());
  return byte < 0x80 ? digit : -1;
});

/** Whether it is an ASCII letter. */
export function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** Whether it is a decimal digit. */
export function isDigit(byte: number): boolean {
  return byte >= DIGIT_0 && byte <= DIGIT_9;
}

function isAlphanumeric(byte: number): boolean {
  return isDigit(byte) || isLetter(byte);
}

function table(also: string, has: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (has(byte) || also.includes(String.fromCharCode(byte)) ? 1 : 0));
}
