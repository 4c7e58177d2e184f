/** Request methods (https://www.iana.org/assignments/http-methods, and common ones that are not registered there). */
import { Words } from "./words.ts";

/** Registered as idempotent (RFC 9110, section 9.2.2). */
const IDEMPOTENT = [
  ...["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"],
  ...["PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "UNLOCK", "SEARCH", "REPORT", "ACL"],
  ...["LINK", "UNLINK", "BIND", "REBIND", "UNBIND", "MKACTIVITY", "MKCALENDAR", "MKREDIRECTREF", "MKWORKSPACE"],
  ...["BASELINE-CONTROL", "CHECKIN", "CHECKOUT", "LABEL", "MERGE", "ORDERPATCH", "UNCHECKOUT", "UPDATE"],
  ...["UPDATEREDIRECTREF", "VERSION-CONTROL"],
];
const OTHERS = [
  "POST",
  "CONNECT",
  "PATCH",
  "LOCK",
  "PURGE",
  "BAN",
  "M-SEARCH",
  "NOTIFY",
  "SUBSCRIBE",
  "UNSUBSCRIBE",
  "SOURCE",
];

/** No method: an HTTP/2 preface looks like a request line with it (RFC 9113, section 3.4). */
const RESERVED = "PRI";

/** The known methods, in the order of their numbers in {@link METHOD_WORDS}, which begin with 1. */
export const METHODS = [...IDEMPOTENT, ...OTHERS, RESERVED];
/** Finds a method's number. */
export const METHOD_WORDS = new Words(METHODS, false);

/** The number of the word that begins HTTP/2's preface. */
export const METHOD_RESERVED = METHODS.indexOf(RESERVED) + 1;
/** The number of CONNECT. */
export const METHOD_CONNECT = METHODS.indexOf("CONNECT") + 1;

/** Whether the method of this number is idempotent; 0, an unknown one, is not. */
export function isIdempotent(method: number): boolean {
  return method > 0 && method <= IDEMPOTENT.length;
}

const idempotent = new Set(IDEMPOTENT);

/** Whether the method with this name is idempotent; an unknown one is not. */
export function isIdempotentName(method: string): boolean {
  return idempotent.has(method);
}
