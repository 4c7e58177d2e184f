/** From a request's head as HTTP/1 has it (request-head.ts) back to HTTP/2's fields. */
import type { HpackEncoder } from "./hpack-encoder.ts";

const LINE_END = "\r\n";
const SEPARATOR = ": ";

/** What the text of a head does not say. */
export interface Http2Words {
  readonly scheme: string;
  /** Its first field `host` is its :authority. */
  readonly hasAuthority: boolean;
  /** Of an extended CONNECT. */
  readonly protocol: string | null;
}

/** `text`: from the request line to the empty line; edits may have changed it. `scheme`: the request's where it goes. */
export function encodeHead(encoder: HpackEncoder, text: string, words: Http2Words, scheme = words.scheme): void {
  const { hasAuthority, protocol } = words;
  const lines = text.split(LINE_END);
  const requestLine = lines[0]!;
  const method = requestLine.slice(0, requestLine.indexOf(" "));
  const target = requestLine.slice(method.length + 1, requestLine.lastIndexOf(" "));
  const authority = hasAuthority ? lines.findIndex((line) => nameOf(line) === "host") : -1;
  encoder.begin();
  encoder.add(":method", method);
  if (protocol !== null) encoder.add(":protocol", protocol);
  if (scheme !== "") encoder.add(":scheme", scheme);
  if (authority > 0) encoder.add(":authority", valueOf(lines[authority]!));
  if (scheme !== "") encoder.add(":path", target);
  for (let i = 1; i < lines.length; i++) if (i !== authority) addLine(encoder, lines[i]!);
}

/** `lines`: those of a trailer section. */
export function encodeTrailer(encoder: HpackEncoder, lines: string): void {
  encoder.begin();
  for (const line of lines.split(LINE_END)) addLine(encoder, line);
}

function addLine(encoder: HpackEncoder, line: string): void {
  if (line !== "") encoder.add(nameOf(line), valueOf(line));
}

/** RFC 9113, section 8.2.1: edits write names as people do. */
function nameOf(line: string): string {
  return line.slice(0, Math.max(line.indexOf(SEPARATOR), 0)).toLowerCase();
}

function valueOf(line: string): string {
  return line.slice(line.indexOf(SEPARATOR) + SEPARATOR.length);
}
