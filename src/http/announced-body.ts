/**
 * When the framer is out of step behind a gap, the bytes may end with the end of a header section that has lost its
 * beginning. If that section announces a body, the bytes that follow are that body and no request, whatever their form.
 */
import { CR, LF } from "./chars.ts";
import { Coding } from "./field-values.ts";
import type { HeaderSection } from "./header-section.ts";
import { DONE } from "./outcome.ts";

/**
 * The length of the body that follows some bytes, by a Content-Length among their last lines; 0: they announce no body.
 * (Chunks begin with their size, which is no request line.) `fields` reads the lines, and keeps nothing.
 */
export function announcedLength(fields: HeaderSection, bytes: Uint8Array, from: number, end: number): number {
  const lastLineEnd = lineEndBefore(bytes, from, end);
  if (lastLineEnd < from) return 0;
  let start = lastLineEnd;
  while (start > from && !(bytes[start - 1] === LF && lineEndBefore(bytes, from, start) >= from)) start--;
  // A line end at the very beginning ends a line that is missing.
  if (start === from) start += bytes[start] === LF ? 1 : bytes[start] === CR && bytes[start + 1] === LF ? 2 : 0;
  fields.begin(false);
  const stop = fields.feed(bytes, start, end);
  if (fields.outcome !== DONE || stop !== end || fields.transferCoding !== Coding.NONE) return 0;
  return Math.max(fields.contentLength, 0);
}

/** The end of the line before the empty line that ends at `end`; below `from`: there is no such line. */
function lineEndBefore(bytes: Uint8Array, from: number, end: number): number {
  const at = end - (bytes[end - 2] === CR ? 3 : 2);
  return at >= from && bytes[end - 1] === LF && bytes[at] === LF ? at : from - 1;
}
