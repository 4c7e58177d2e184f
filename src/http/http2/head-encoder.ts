/** From a request's head as HTTP/1 has it (request-head.ts) back to HTTP/2's fields. */
import { LF, SP } from "../chars.ts";
import { latin1 } from "../latin1.ts";
import { FieldCache } from "./field-cache.ts";
import { type HpackEncoder, isStaticName } from "./hpack-encoder.ts";
import { AUTHORITY_INDEX, PATH_INDEX } from "./static-table.ts";

const LINE_END_LEN = 2;
const SEPARATOR = ": ";
const HOST = Buffer.from("host: ");
/** The bit that makes a small letter of a capital one, and leaves the other bytes of {@link HOST} as they are. */
const SMALL = 0x20;

/** The parts of HTTP/2's head that the text in HTTP/1's form does not have. */
export interface Http2Words {
  /** The first field `host` of the text is the request's :authority. */
  readonly hasAuthority: boolean;
  /** The :protocol of an extended CONNECT; null: the request is no extended CONNECT. */
  readonly protocol: string | null;
}

const cache = new FieldCache();

/**
 * Adds a head's fields to the encoder's block. `head`: its first `length` bytes are from the request line to the empty
 * line; edits may have changed them. `scheme`: the one at its destination; empty: a CONNECT, which has none.
 */
export function encodeHead(
  encoder: HpackEncoder,
  head: Uint8Array,
  length: number,
  words: Http2Words,
  scheme: string,
): void {
  let methodEnd = 0;
  while (head[methodEnd] !== SP) methodEnd++;
  const fields = lineEnd(head, methodEnd, length);
  let targetEnd = fields - 1;
  while (head[targetEnd] !== SP) targetEnd--;
  const authority = words.hasAuthority ? hostLine(head, fields, length) : length;
  encoder.add(":method", latin1(head, 0, methodEnd));
  if (words.protocol !== null) encoder.add(":protocol", words.protocol);
  if (scheme !== "") encoder.add(":scheme", scheme);
  if (authority < length)
    encoder.addNamed(AUTHORITY_INDEX, head, authority + HOST.length, lineEnd(head, authority, length) - LINE_END_LEN);
  if (scheme !== "") addTarget(encoder, head, methodEnd + 1, targetEnd);
  addLines(encoder, head, fields, length, authority);
}

/** Adds a trailer section's fields to the encoder's block. `lines`: the lines of the section. */
export function encodeTrailer(encoder: HpackEncoder, lines: string): void {
  const bytes = Buffer.from(lines, "latin1");
  addLines(encoder, bytes, 0, bytes.length, bytes.length);
}

function addTarget(encoder: HpackEncoder, head: Uint8Array, from: number, to: number): void {
  // This one is in the static table.
  if (to - from === 1) encoder.add(":path", latin1(head, from, to));
  else encoder.addNamed(PATH_INDEX, head, from, to);
}

/** Adds the lines from `begin` on, without the one that begins at `leftOut`. */
function addLines(encoder: HpackEncoder, bytes: Uint8Array, begin: number, length: number, leftOut: number): void {
  for (let at = begin; at < length; at = cache.end) {
    cache.look(bytes, at, length);
    if (at === leftOut || cache.end - at <= LINE_END_LEN || cache.addTo(encoder)) continue;
    const { length: blockFrom, listBytes } = encoder;
    addLine(encoder, latin1(bytes, at, cache.end - LINE_END_LEN));
    cache.keep(encoder, blockFrom, listBytes);
  }
}

function addLine(encoder: HpackEncoder, line: string): void {
  const nameEnd = line.indexOf(SEPARATOR);
  encoder.add(asName(line.slice(0, nameEnd)), line.slice(nameEnd + SEPARATOR.length));
}

/** Where the first field `host` begins; the head's end: there is no such field. */
function hostLine(head: Uint8Array, begin: number, length: number): number {
  let at = begin;
  while (at < length && !isHost(head, at)) at = lineEnd(head, at, length);
  return at;
}

function isHost(head: Uint8Array, at: number): boolean {
  for (let i = 0; i < HOST.length; i++) if ((head[at + i]! | SMALL) !== HOST[i]) return false;
  return true;
}

/** Behind the line feed. */
function lineEnd(head: Uint8Array, at: number, length: number): number {
  while (at < length && head[at] !== LF) at++;
  return at + 1;
}

/** The name in lower case (RFC 9113, section 8.2.1): edits may have capital letters. */
function asName(text: string): string {
  return isStaticName(text) ? text : text.toLowerCase();
}
