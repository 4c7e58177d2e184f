/**
 * What a request line and a header section say of their request, and above all how long its body is.
 * https://www.rfc-editor.org/rfc/rfc9112#section-6.3
 */
import { Coding } from "./field-values.ts";
import type { HeaderSection } from "./header-section.ts";
import type { RequestLine } from "./request-line.ts";
import type { RequestHead } from "./request-sink.ts";

/** RequestHead.bodyLength of a chunked body. */
export const CHUNKED_LENGTH = -1;
/** No length that all would agree on. */
export const UNCLEAR_LENGTH = -2;

/** Fills `head` with what they say; bodyLength is {@link UNCLEAR_LENGTH} where nobody can say. */
export function fillHead(head: RequestHead, line: RequestLine, fields: HeaderSection, headLength: number): void {
  head.method = line.method;
  head.isIdempotent = line.isIdempotent;
  head.minorVersion = line.minorVersion;
  // RFC 9110, sections 7.8 and 10.1.1: HTTP/1.0 has neither.
  head.wantsUpgrade = line.isConnect || (line.minorVersion > 0 && fields.offersUpgrade);
  head.isLast = !fields.isPersistent(line.minorVersion);
  head.expectsContinue = line.minorVersion > 0 && fields.expectsContinue;
  head.headLength = headLength;
  head.isIsolated = line.hasBareEnd || fields.isIsolated;
  head.isOdd = line.isOdd || fields.isOdd;
  head.bodyLength = bodyLength(head, line, fields);
  // Python's server takes no field that follows such a line: to it, there is no body.
  if (fields.hasStrayLine && head.bodyLength !== 0) head.isIsolated = true;
}

/** What RFC 9112 leaves to servers, refuse or guess, is refused. */
function bodyLength(head: RequestHead, line: RequestLine, fields: HeaderSection): number {
  const { transferCoding, isLengthUnclear, contentLength } = fields;
  if (isLengthUnclear) return UNCLEAR_LENGTH;
  // RFC 9110, section 9.3.6: CONNECT has no content. Where it is declined, a server may read one all the same.
  if (line.isConnect) return transferCoding !== Coding.NONE || contentLength > 0 ? UNCLEAR_LENGTH : 0;
  switch (transferCoding) {
    case Coding.NONE:
      return Math.max(contentLength, 0);
    case Coding.CHUNKED:
      // Section 6.3: it overrides a length. Section 6.1: of HTTP/1.0, the framing is not to be trusted further.
      if (contentLength >= 0 || line.minorVersion === 0) head.isIsolated = true;
      return CHUNKED_LENGTH;
    case Coding.IDENTITY:
      head.isIsolated = true;
      return contentLength >= 0 ? contentLength : UNCLEAR_LENGTH;
    default:
      return UNCLEAR_LENGTH;
  }
}
