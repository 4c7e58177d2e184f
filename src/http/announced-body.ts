/**
 * Out of step behind a gap, bytes may end with the end of a header section of which the beginning is missing. If it
 * announces a body, what follows is that body and no request, however it begins.
 */
import { CR, LF } from "./chars.ts";
import { Coding } from "./field-values.ts";
import type { HeaderSection } from "./header-section.ts";
import { DONE } from "./outcome.ts";

/**
 * How long the body is that follows some bytes, by a Content-Length among their last lines; 0: they announce none.
 * (Chunks begin with their size, which is no request line.) `fields` reads them, and keeps nothing.
 */
export function announcedLength(fields: HeaderSection, bytes: Uint8Array, from: number, end: number): number {
  const lastLineEnd = lineEndBefore(bytes, from, end);
  if (lastLineEnd < from) return 0;
  let start = lastLineEnd;
  while (start > from && !(bytes[start - 1] === LF && lineEndBefore(bytes, from, start) >= from)) start--;
  // A line end that comes first ends a line that is missing.
  if (start === from) start += bytes[start] === LF ? 1 : bytes[start] === CR && bytes[start + 1] === LF ? 2 : 0;
  fields.begin(false);
  const stop = fields.feed(bytes, start, end);
  if (fields.outcome !== DONE || stop !== end || fields.transferCoding !== Coding.NONE) return 0;
  return Math.max(fields.contentLength, 0);
}

/** Where the line ends behind which an empty line ends at `end`; below `from`: none is there. */
function lineEndBefore(bytes: Uint8Array, from: number, end: number): number {
  const at = end - (bytes[end - 2] === CR ? 3 : 2);
  return at >= from && bytes[end - 1] === LF && bytes[at] === LF ? at : from - 1;
}
