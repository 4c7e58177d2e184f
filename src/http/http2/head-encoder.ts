/** From a request's head as HTTP/1 has it (request-head.ts) back to HTTP/2's fields. */
import { type HpackEncoder, isStaticName } from "./hpack-encoder.ts";

const LINE_END = "\r\n";
const SEPARATOR = ": ";
const HOST = "host: ";

/** The parts of HTTP/2's head that the text in HTTP/1's form does not have. */
export interface Http2Words {
  readonly scheme: string;
  /** The first field `host` of the text is the request's :authority. */
  readonly hasAuthority: boolean;
  /** The :protocol of an extended CONNECT; null: the request is no extended CONNECT. */
  readonly protocol: string | null;
}

/**
 * Adds a head's fields to the encoder's block. `text`: from the request line to the empty line; edits may have changed
 * it. `scheme`: the one at its destination.
 */
export function encodeHead(encoder: HpackEncoder, text: string, words: Http2Words, scheme = words.scheme): void {
  const requestEnd = text.indexOf(LINE_END);
  const methodEnd = text.indexOf(" ");
  const fields = requestEnd + LINE_END.length;
  const authority = words.hasAuthority ? hostLine(text, fields) : text.length;
  encoder.begin();
  encoder.add(":method", text.slice(0, methodEnd));
  if (words.protocol !== null) encoder.add(":protocol", words.protocol);
  if (scheme !== "") encoder.add(":scheme", scheme);
  if (authority < text.length) encoder.add(":authority", valueOf(text, authority));
  if (scheme !== "") encoder.add(":path", text.slice(methodEnd + 1, text.lastIndexOf(" ", requestEnd)));
  addLines(encoder, text, fields, authority);
}

/** Adds a trailer section's fields to the encoder's block. `lines`: the lines of the section. */
export function encodeTrailer(encoder: HpackEncoder, lines: string): void {
  encoder.begin();
  addLines(encoder, lines, 0, lines.length);
}

/** Adds the lines from `begin` on, without the one that begins at `leftOut`. */
function addLines(encoder: HpackEncoder, text: string, begin: number, leftOut: number): void {
  for (let at = begin; at < text.length;) {
    const end = text.indexOf(LINE_END, at);
    if (at !== leftOut && end > at) {
      const nameEnd = text.indexOf(SEPARATOR, at);
      encoder.add(asName(text.slice(at, nameEnd)), text.slice(nameEnd + SEPARATOR.length, end));
    }
    at = end + LINE_END.length;
  }
}

/** Where the first field `host` begins; the text's end: there is no such field. */
function hostLine(text: string, begin: number): number {
  let at = begin;
  while (at < text.length && !isHost(text, at)) at = text.indexOf(LINE_END, at) + LINE_END.length;
  return at;
}

function isHost(text: string, at: number): boolean {
  return text.startsWith(HOST, at) || text.slice(at, at + HOST.length).toLowerCase() === HOST;
}

/** The name in lower case (RFC 9113, section 8.2.1): edits may have capital letters. */
function asName(text: string): string {
  return isStaticName(text) ? text : text.toLowerCase();
}

function valueOf(text: string, at: number): string {
  return text.slice(text.indexOf(SEPARATOR, at) + SEPARATOR.length, text.indexOf(LINE_END, at));
}
