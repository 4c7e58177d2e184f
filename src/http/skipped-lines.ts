/**
 * Counts request lines among bytes that are skipped behind a gap: probably, that many requests came, but they begin
 * where a request line may not be trusted.
 */
import { CR, LF } from "./chars.ts";
import { DONE } from "./outcome.ts";
import type { RequestLine } from "./request-line.ts";

/** The end of a request line, without the minor version and the line end. */
const VERSION = new TextEncoder().encode(" HTTP/1.");
const LAST = VERSION.length - 1;
/**
 * By byte: the distance from it to the next place where VERSION may end (Horspool, 1980): most bytes are never read.
 */
const SHIFTS = new Uint8Array(256).fill(VERSION.length);
VERSION.subarray(0, LAST).forEach((byte, i) => (SHIFTS[byte] = LAST - i));

/**
 * How many request lines end in these bytes. The bytes are known not to begin with one. `isContinued`: they follow
 * other bytes that were skipped, and the first line that ends in them may have begun there. `line` reads them, and
 * keeps nothing.
 */
export function countRequestLines(
  line: RequestLine,
  bytes: Uint8Array,
  from: number,
  end: number,
  isContinued: boolean,
): number {
  let count = 0;
  let start = from;
  // No view of the bytes is made: bytes that are skipped in a flood must cost no garbage.
  for (let at = from + LAST; at < end; at += SHIFTS[bytes[at]!]!) {
    if (!isVersion(bytes, at - LAST)) continue;
    const lineFeed = bytes[at + 2] === CR ? at + 3 : at + 2;
    if (lineFeed >= end || bytes[lineFeed] !== LF) continue;
    const begin = lineStart(bytes, start, at);
    if (begin === from ? isContinued : isRequestLine(line, bytes, begin, lineFeed + 1)) count++;
    start = lineFeed + 1;
  }
  return count;
}

function isVersion(bytes: Uint8Array, from: number): boolean {
  for (let i = LAST; i >= 0; i--) if (bytes[from + i] !== VERSION[i]) return false;
  return true;
}

/** The beginning of the line that `at` lies in; `from` at the earliest. */
function lineStart(bytes: Uint8Array, from: number, at: number): number {
  let start = at;
  while (start > from && bytes[start - 1] !== LF) start--;
  return start;
}

function isRequestLine(line: RequestLine, bytes: Uint8Array, start: number, end: number): boolean {
  line.begin(true);
  line.feed(bytes, start, end);
  return line.outcome === DONE;
}
