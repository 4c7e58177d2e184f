/**
 * Reads what a request line and a header section say about their request: above all, the length of its body.
 * https://www.rfc-editor.org/rfc/rfc9112#section-6.3
 */
import { Coding } from "./field-values.ts";
import type { HeaderSection } from "./header-section.ts";
import type { RequestLine } from "./request-line.ts";
import type { RequestHead } from "./request-sink.ts";

/** RequestHead.bodyLength of a chunked body. */
export const CHUNKED_LENGTH = -1;
/** Servers would not agree on a length. */
export const UNCLEAR_LENGTH = -2;

/**
 * Fills `head` with what the request line and the fields say; bodyLength is {@link UNCLEAR_LENGTH} if the length is
 * unclear.
 */
export function fillHead(head: RequestHead, line: RequestLine, fields: HeaderSection, headLength: number): void {
  head.method = line.method;
  head.isIdempotent = line.isIdempotent;
  head.minorVersion = line.minorVersion;
  // RFC 9110, section 7.8: HTTP/1.0 has no Upgrade.
  head.wantsUpgrade = line.isConnect || (line.minorVersion > 0 && fields.offersUpgrade);
  head.isLast = !fields.isPersistent(line.minorVersion);
  head.headLength = headLength;
  head.isIsolated = line.hasBareEnd || line.hasOddVersion || fields.isIsolated;
  head.isOdd = line.isOdd || fields.isOdd;
  head.bodyLength = bodyLength(head, line, fields);
  // Python's server ignores the fields behind a stray line: it sees no body.
  if (fields.hasStrayLine && head.bodyLength !== 0) head.isIsolated = true;
}

/** Where RFC 9112 lets a server either refuse or guess, we refuse. */
function bodyLength(head: RequestHead, line: RequestLine, fields: HeaderSection): number {
  const { transferCoding, isLengthUnclear, contentLength } = fields;
  if (isLengthUnclear) return UNCLEAR_LENGTH;
  // RFC 9110, section 9.3.6: CONNECT has no content. A server that declines CONNECT may read content all the same.
  if (line.isConnect) return transferCoding !== Coding.NONE || contentLength > 0 ? UNCLEAR_LENGTH : 0;
  switch (transferCoding) {
    case Coding.NONE:
      return Math.max(contentLength, 0);
    case Coding.CHUNKED:
      // Section 6.3: a transfer coding overrides a length. Section 6.1: in HTTP/1.0, the framing behind it is not to be
      // trusted.
      if (contentLength >= 0 || line.minorVersion === 0) head.isIsolated = true;
      return CHUNKED_LENGTH;
    case Coding.IDENTITY:
      head.isIsolated = true;
      return contentLength >= 0 ? contentLength : UNCLEAR_LENGTH;
    default:
      return UNCLEAR_LENGTH;
  }
}
