/**
 * Compares two responses to the same request: status, header fields, body, in this order. If the status differs, the
 * rest belongs to another kind of response, and is not looked at.
 */
import { COLON, HTAB, LF, SP } from "../http/chars.ts";
import { latin1 } from "../http/latin1.ts";
import { codingsOf, decodeContent, decodeText, isJsonType, textOf, TOO_LARGE } from "./content.ts";
import { type Difference, Differences } from "./difference.ts";
import { cookieNames, fieldOf, type Fields, readFields } from "./fields.ts";
import type { Ignored } from "./ignore.ts";
import { type JsonValue, parseJson } from "./json.ts";
import { compareJson } from "./json-difference.ts";
import type { ComparedResponse } from "./response.ts";

const NO_NAMES: readonly string[] = [];
const CONTENT_TYPE = "content-type";
const CONTENT_ENCODING = "content-encoding";
const CONTENT_FIELDS = [CONTENT_TYPE, CONTENT_ENCODING];
/** Compares parts of arrays without making views. */
const { compare } = Buffer.prototype;
/** The beginning of JSON that its Content-Type does not announce: an object or an array. */
const JSON_BEGINNING = /^[\s\ufeff]*[{[]/;

/** The differences of two responses; {@link TOO_LARGE}: the kept parts do not show them. `path`: the request's. */
export function compareResponses(
  production: ComparedResponse,
  endpoint: ComparedResponse,
  path: string,
  ignored: Ignored,
): readonly Difference[] | typeof TOO_LARGE {
  const differences = new Differences();
  if (ignored.path(path)) return differences.all;
  if (production.code !== endpoint.code && !ignored.status(path)) {
    differences.add("status", "", NO_NAMES, String(production.code), String(endpoint.code));
    return differences.all;
  }
  const isSameHead = hasSameFields(production, endpoint, ignored);
  // Nearly always the responses are the same: then only the bytes are compared.
  if (isSameHead && isSameKept(production, endpoint)) return differences.all;
  const productionFields = readFields(production.head);
  // If these fields were compared, they are the same in both heads.
  const isSameContent = isSameHead && !CONTENT_FIELDS.some((name) => ignored.header(name));
  const endpointFields = isSameContent ? productionFields : readFields(endpoint.head);
  if (!isSameHead) compareFields(productionFields, endpointFields, differences, ignored);
  if (ignored.body(path)) return differences.all;
  const isWhole = compareBodies(
    new Body(production, productionFields),
    new Body(endpoint, endpointFields),
    differences,
    ignored,
  );
  return isWhole ? differences.all : TOO_LARGE;
}

/** Whether two header sections have the same lines in the same order, without the ignored ones. */
function hasSameFields(production: ComparedResponse, endpoint: ComparedResponse, ignored: Ignored): boolean {
  const { headBytes: bytes, headLength: end } = production;
  const { headBytes: others, headLength: otherEnd } = endpoint;
  // The beginnings of the lines under way, and how far they were compared; at first, behind the status lines.
  let line = behindLine(bytes, 0, end);
  let otherLine = behindLine(others, 0, otherEnd);
  let at = line;
  let otherAt = otherLine;
  for (;;) {
    while (at < end && otherAt < otherEnd && bytes[at] === others[otherAt]) {
      otherAt++;
      if (bytes[at++] !== LF) continue;
      line = at;
      otherLine = otherAt;
    }
    if (at === end && otherAt === otherEnd) return true;
    at = behindIgnored(bytes, line, end, ignored);
    otherAt = behindIgnored(others, otherLine, otherEnd, ignored);
    if ((at === line && otherAt === otherLine) || isFolded(bytes[at]) || isFolded(others[otherAt])) return false;
    line = at;
    otherLine = otherAt;
  }
}

/** The offset behind a line if its field is ignored, else the line's own offset. */
function behindIgnored(bytes: Uint8Array, line: number, end: number, ignored: Ignored): number {
  let colon = line;
  while (colon < end && bytes[colon] !== COLON && bytes[colon] !== LF) colon++;
  if (colon === end || bytes[colon] === LF || !ignored.header(latin1(bytes, line, colon).toLowerCase())) return line;
  return behindLine(bytes, colon, end);
}

function behindLine(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && bytes[at] !== LF) at++;
  return Math.min(at + 1, end);
}

/**
 * Whether a line with this first byte continues the field before it, which may have been skipped on one side only.
 */
function isFolded(byte: number | undefined): boolean {
  return byte === SP || byte === HTAB;
}

/** Whether the bodies of two responses are the same, coded as they are. Both have the same codings. */
function isSameKept(production: ComparedResponse, endpoint: ComparedResponse): boolean {
  const { bodyBytes, keptLength, bodyLength, digest } = production;
  if (digest !== endpoint.digest || keptLength !== endpoint.keptLength || bodyLength !== endpoint.bodyLength)
    return false;
  return compare.call(bodyBytes, endpoint.bodyBytes, 0, keptLength, 0, keptLength) === 0;
}

function compareFields(production: Fields, endpoint: Fields, differences: Differences, ignored: Ignored): void {
  for (const [name, values] of production) {
    if (ignored.header(name)) continue;
    const others = endpoint.get(name);
    const isSame = others !== undefined && shownValue(name, values) === shownValue(name, others);
    if (isSame) continue;
    const shown = others === undefined ? null : shownValue(name, others);
    differences.add("header", name, NO_NAMES, shownValue(name, values), shown);
  }
  for (const [name, values] of endpoint) {
    if (!production.has(name) && !ignored.header(name))
      differences.add("header", name, NO_NAMES, null, shownValue(name, values));
  }
}

/** A field's value in the form that is compared and shown; for cookies, their names. */
function shownValue(name: string, values: readonly string[]): string {
  if (name === "set-cookie") return cookieNames(values);
  return values.length === 1 ? values[0]! : values.join(", ");
}

/** A body, which is decoded when that is needed. */
class Body {
  readonly type: string;
  readonly codings: string[];

  constructor(
    readonly response: ComparedResponse,
    fields: Fields,
  ) {
    this.type = fieldOf(fields, CONTENT_TYPE);
    this.codings = codingsOf(fieldOf(fields, CONTENT_ENCODING));
  }

  /** The body without its codings; unchanged if the codings are unknown. */
  decoded(): { bytes: Uint8Array; isDecoded: boolean } | typeof TOO_LARGE {
    const { body } = this.response;
    if (this.codings.length === 0) return { bytes: body, isDecoded: true };
    const decoded = decodeContent(body, this.codings);
    if (decoded === TOO_LARGE) return TOO_LARGE;
    return decoded === null ? { bytes: body, isDecoded: false } : { bytes: decoded, isDecoded: true };
  }

  /** Length and digest, as text. */
  shown(bytes: Uint8Array): string {
    const { bodyLength, digest } = this.response;
    return digest === null
      ? `${bytes.length} bytes, sha256 ${Bun.SHA256.hash(bytes, "hex")}`
      : `${bodyLength} bytes, sha256 ${digest}`;
  }
}

/** Compares two bodies. False: the kept parts do not show whether they are the same. */
function compareBodies(production: Body, endpoint: Body, differences: Differences, ignored: Ignored): boolean {
  const isSameCoding = production.codings.join() === endpoint.codings.join();
  if (production.response.digest !== null || endpoint.response.digest !== null)
    return compareDigests(production, endpoint, isSameCoding, differences);
  if (isSameCoding && isSameBytes(production.response.body, endpoint.response.body)) return true;
  const a = production.decoded();
  const b = endpoint.decoded();
  if (a === TOO_LARGE || b === TOO_LARGE) return false;
  if (a.isDecoded && b.isDecoded) {
    if (isSameBytes(a.bytes, b.bytes)) return true;
    if (compareTexts(a.bytes, b.bytes, production.type, endpoint.type, differences, ignored)) return true;
  }
  differences.add("bytes", "", NO_NAMES, production.shown(a.bytes), endpoint.shown(b.bytes));
  return true;
}

/** Compares bodies that were too long to be kept. (The same content may have different bytes in the same coding.) */
function compareDigests(production: Body, endpoint: Body, isSameCoding: boolean, differences: Differences): boolean {
  const [a, b] = [production.response, endpoint.response];
  if (isSameCoding && a.digest === b.digest) return true;
  if (production.codings.length > 0 || endpoint.codings.length > 0) return false;
  differences.add("bytes", "", NO_NAMES, production.shown(a.body), endpoint.shown(b.body));
  return true;
}

/** Compares two bodies as texts. False: they are no texts. */
function compareTexts(
  production: Uint8Array,
  endpoint: Uint8Array,
  productionType: string,
  endpointType: string,
  differences: Differences,
  ignored: Ignored,
): boolean {
  const [a, b] = [jsonOf(production, productionType), jsonOf(endpoint, endpointType)];
  if (a !== null && b !== null) {
    compareJson(a, b, differences, ignored.json);
    return true;
  }
  const [text, other] = [textOf(production, productionType), textOf(endpoint, endpointType)];
  if (text === null || other === null) return false;
  if (text !== other) differences.add("text", "", NO_NAMES, text, other);
  return true;
}

function jsonOf(bytes: Uint8Array, type: string): JsonValue | null {
  const text = decodeText(bytes, type);
  if (text === null || (!isJsonType(type) && !JSON_BEGINNING.test(text))) return null;
  return parseJson(text);
}

function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
