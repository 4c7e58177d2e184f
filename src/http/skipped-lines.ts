/**
 * Request lines among bytes that are passed over behind a gap: as many requests came after all, as far as can be told,
 * and begin where nobody may trust that they do.
 */
import { CR, LF, SP } from "./chars.ts";
import { DONE } from "./outcome.ts";
import type { RequestLine } from "./request-line.ts";

const VERSION = new TextEncoder().encode("HTTP/1.");

/**
 * How many of them end in these bytes. That these do not begin with one is known; `isContinued`: they follow others,
 * and what ends first in them may have begun there. `line` reads them, and keeps nothing.
 */
export function countRequestLines(
  line: RequestLine,
  bytes: Uint8Array,
  from: number,
  end: number,
  isContinued: boolean,
): number {
  const text = bytes.subarray(from, end);
  let count = 0;
  let start = 0;
  for (let at = text.indexOf(LF); at >= 0; at = text.indexOf(LF, start)) {
    if (endsWithVersion(text, at) && (start === 0 ? isContinued : isRequestLine(line, text, start, at + 1))) count++;
    start = at + 1;
  }
  return count;
}

/** Whether a blank, a version and perhaps a CR stand before a line feed. */
function endsWithVersion(text: Uint8Array, lineFeed: number): boolean {
  const minor = text[lineFeed - 1] === CR ? lineFeed - 2 : lineFeed - 1;
  const version = minor - VERSION.length;
  return text[version - 1] === SP && VERSION.every((byte, i) => text[version + i] === byte);
}

function isRequestLine(line: RequestLine, text: Uint8Array, start: number, end: number): boolean {
  line.begin(true);
  line.feed(text, start, end);
  return line.outcome === DONE;
}
