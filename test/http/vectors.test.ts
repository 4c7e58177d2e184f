/**
 * The HTTP inputs of llhttp's and picohttpparser's own tests, with those parsers' verdicts (../shared/vectors, if it
 * exists): inputs that they call complete are framed, and inputs that they refuse are not.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { frame, frameResponses, type Piece, splits, happened } from "./recorder.ts";

const FILE = join(import.meta.dir, "../../../shared/vectors/http.jsonl");

interface Vector {
  id: string;
  kind: "request" | "response";
  text: string;
  /** llhttp's mode; undefined: picohttpparser. */
  mode: string | undefined;
  /** Messages that were read to their end; picohttpparser reads only a head. */
  complete: number;
  refused: boolean;
  methods: string[] | undefined;
}

const LENIENT = "llhttp is told here to take what RFC 9112 and its strict mode refuse";
const NO_HTTP1 = "no HTTP/1: RFC 9112 knows no other version or protocol";
const BARE_LF = "RFC 9112, section 2.2 allows a bare LF; nginx, Go, Python and picohttpparser take it";
const ODD_LINE =
  "a blank, a tab or DEL in a target, or a tab for a space: Python's and Java's servers take one or the other";
const ODD_FIELD =
  "an odd name, a line without a colon or a control character in a value: nginx or Python's server takes each";
const ODD_CHUNK = "nginx and Go take blanks and any extension behind a chunk's size";
const RFC_READING = "servers disagree, and RFC 9112, section 6.3 has one reading: isolated";
const AS_CURL = "curl takes it, and of a response only the end matters";
const NO_BODIES = "llhttp's test tells its parser to expect no bodies, whatever the header says";

/**
 * The differences from a parser's verdict, by id and mode, with reasons. `whole`: the requests that we frame instead.
 */
const DIFFERENCES: Record<string, { whole: number; why: string }> = {
  "llhttp/content-length/Invalid whitespace token with `Content-Length` header field (lenient) [request-lenient-headers]":
    { whole: 0, why: LENIENT },
  "llhttp/content-length/Missing CRLF-CRLF before body (lenient) [request-lenient-optional-lf-after-cr]": {
    whole: 0,
    why: LENIENT,
  },
  "llhttp/invalid/Headers separated by dummy characters (lenient) [request-lenient-optional-lf-after-cr]": {
    whole: 0,
    why: LENIENT,
  },
  "llhttp/invalid/Only LFs present (lenient) [request-lenient-all]": { whole: 0, why: `${LENIENT}: bare LF in chunks` },
  "llhttp/lenient-version/Invalid HTTP version (lenient) [request-lenient-version]": { whole: 0, why: LENIENT },
  "llhttp/transfer-encoding/Chunk header not terminated by CRLF (lenient) [request-lenient-optional-lf-after-cr]": {
    whole: 0,
    why: LENIENT,
  },
  "llhttp/method/SOURCE request with ICE [request]": { whole: 0, why: NO_HTTP1 },
  "llhttp/method/OPTIONS request with RTSP [request]": { whole: 0, why: NO_HTTP1 },
  "llhttp/method/ANNOUNCE request with RTSP [request]": { whole: 0, why: NO_HTTP1 },
  "llhttp/sample/No HTTP version [request]": { whole: 0, why: NO_HTTP1 },
  "llhttp/invalid/HTTP protocol and ANNOUNCE method [request]": {
    whole: 1,
    why: "RFC 9110, section 9.1: any token is a method",
  },
  "llhttp/invalid/Invalid method [request]": { whole: 1, why: "RFC 9110, section 9.1: any token is a method" },
  "llhttp/uri/Disallow UTF-8 in URI path in strict mode [request]": {
    whole: 1,
    why: "nginx, Go and picohttpparser take it (pico/request/29), and no boundary depends on it",
  },
  "llhttp/invalid/Missing CR between headers [request]": { whole: 2, why: BARE_LF },
  "llhttp/sample/Line folding in header value with LF [request]": { whole: 1, why: BARE_LF },
  "llhttp/invalid/Only LFs present and no body [response]": { whole: 1, why: BARE_LF },
  "llhttp/invalid/Only LFs present [response]": { whole: 0, why: BARE_LF },
  "llhttp/sample/No carriage ret [response]": { whole: 0, why: BARE_LF },
  "llhttp/invalid/Spaces before headers [request]": {
    whole: 2,
    why: "RFC 9112, section 5.2 allows obsolete line folding: the line is no Content-Length",
  },
  "llhttp/invalid/Extra space between HTTP version and status code [response]": {
    whole: 0,
    why: "RFC 9112, section 4 allows it; picohttpparser takes it (pico/response/28)",
  },
  "llhttp/connection/Invalid whitespace token with `Connection` header field [request]": { whole: 1, why: ODD_FIELD },
  "llhttp/invalid/Invalid header token #1 [request]": { whole: 1, why: ODD_FIELD },
  "llhttp/invalid/Invalid header token #2 [request]": { whole: 1, why: ODD_FIELD },
  "llhttp/invalid/Invalid header token #3 [request]": { whole: 1, why: ODD_FIELD },
  "llhttp/invalid/Illegal header field name line folding [request]": { whole: 1, why: ODD_FIELD },
  "llhttp/lenient-header-value-relaxed/Control char in header value (strict) [request]": { whole: 1, why: ODD_FIELD },
  "llhttp/lenient-headers/Header value [request]": { whole: 1, why: ODD_FIELD },
  "pico/request/5/parse header name with trailing space": { whole: 1, why: ODD_FIELD },
  "pico/request/18/empty header name": { whole: 1, why: ODD_FIELD },
  "pico/request/19/header name (space only)": {
    whole: 1,
    why: "RFC 9112, section 2.2: a line before the first field that begins with a blank is ignored",
  },
  "pico/request/26/CTL in header name": { whole: 1, why: ODD_FIELD },
  "pico/request/27/CTL in header value": { whole: 1, why: ODD_FIELD },
  "pico/request/28/invalid char in header value": { whole: 1, why: ODD_FIELD },
  "pico/request/31/disallow {": { whole: 1, why: ODD_FIELD },
  "pico/request/21/tab in method": { whole: 1, why: ODD_LINE },
  "pico/request/23/DEL in uri-path": { whole: 1, why: ODD_LINE },
  "llhttp/uri/Space in URI [request]": { whole: 1, why: ODD_LINE },
  "llhttp/method/CONNECT with body [request]": {
    whole: 0,
    why: "RFC 9110, section 9.3.6: CONNECT has no content, and servers disagree about what follows",
  },
  "llhttp/transfer-encoding/No semicolon before chunk extensions [request]": { whole: 1, why: ODD_CHUNK },
  "llhttp/transfer-encoding/No extension after semicolon [request]": { whole: 1, why: ODD_CHUNK },
  "llhttp/transfer-encoding/Space after chunk header [request]": { whole: 1, why: ODD_CHUNK },
  "llhttp/transfer-encoding/POST with `Transfer-Encoding` and `Content-Length` [request]": {
    whole: 1,
    why: RFC_READING,
  },
  "llhttp/transfer-encoding/POST with `Transfer-Encoding` and `Content-Length` (lenient) [request-lenient-chunked-length]":
    { whole: 1, why: RFC_READING },
  "llhttp/invalid/Bare CR after response line (lenient) [response-lenient-optional-lf-after-cr]": {
    whole: 0,
    why: LENIENT,
  },
  "llhttp/invalid/Headers separated by CR [response]": { whole: 0, why: AS_CURL },
  "llhttp/invalid/Bare CR after response line [response]": { whole: 0, why: AS_CURL },
  "llhttp/invalid/Bare CR followed by CR after response line [response]": { whole: 0, why: AS_CURL },
  "llhttp/invalid/Invalid space after start line [response]": { whole: 0, why: AS_CURL },
  "llhttp/sample/Spaces in header name [response]": { whole: 1, why: AS_CURL },
  "llhttp/transfer-encoding/Trailing space on chunked body [response]": { whole: 1, why: AS_CURL },
  "llhttp/transfer-encoding/No semicolon before chunk extensions [response]": { whole: 1, why: AS_CURL },
  "llhttp/transfer-encoding/No extension after semicolon [response]": { whole: 1, why: AS_CURL },
  "llhttp/transfer-encoding/Unbalanced chunk extensions quoting [response]": { whole: 0, why: AS_CURL },
  "pico/response/24/garbage after status 1": { whole: 1, why: AS_CURL },
  "pico/response/25/garbage after status 2": { whole: 1, why: AS_CURL },
  "pico/response/26/garbage after status 3": { whole: 1, why: AS_CURL },
  "llhttp/content-length/Content-Length reset when no body is received [request]": { whole: 0, why: NO_BODIES },
  "llhttp/content-length/Content-Length reset when no body is received [response]": { whole: 0, why: NO_BODIES },
};

function load(): Vector[] {
  const lines = readFileSync(FILE, "utf8").trim().split("\n");
  return lines.map((line) => {
    const { id, kind, segments_b64, expect: says } = JSON.parse(line);
    const text = (segments_b64 as string[])
      .map((segment) => Buffer.from(segment, "base64").toString("latin1"))
      .join("");
    if (says.type === undefined) {
      return {
        id,
        kind,
        text,
        mode: undefined,
        complete: says.ret === "complete" ? 1 : 0,
        refused: says.ret === "error",
        methods: undefined,
      };
    }
    // A pause is no refusal: the parser stops where another protocol may begin.
    const refused = says.error !== null && !says.error.startsWith("Pause");
    return { id, kind, text, mode: says.type, complete: says.messages_complete, refused, methods: says.methods };
  });
}

const keyOf = (vector: Vector) => (vector.mode === undefined ? vector.id : `${vector.id} [${vector.mode}]`);

function checkRequest(vector: Vector): void {
  const { text, complete, methods } = vector;
  const difference = DIFFERENCES[keyOf(vector)];
  const wholes = difference?.whole ?? complete;
  const got = frame([text], { stopAtUpgrade: true });
  const texts = got.requests.map((request) => request.text);
  expect(texts.length).toBe(wholes);
  if (methods !== undefined && difference === undefined)
    expect(got.requests.map((request) => request.method)).toEqual(methods.slice(0, wholes));
  // Requests stand side by side, with only line ends between them.
  let at = 0;
  for (const request of texts) {
    while ("\r\n".includes(text[at]!)) at++;
    expect(text.startsWith(request, at)).toBe(true);
    at += request.length;
  }
  if (vector.refused && difference === undefined) expect(got.events.at(-1)).toMatch(/^(damaged|foreign) /);

  for (const pieces of splits(text)) {
    if (pieces.length === 3) continue;
    expect({ pieces, got: happened(frame(pieces, { stopAtUpgrade: true })) }).toEqual({ pieces, got: happened(got) });
  }
  checkHoles(text);
}

/** Removes each byte, and each line: a request that is whole then was whole before, or begins a segment. */
function checkHoles(text: string): void {
  const before = frame([text]).requests.map((request) => request.text);
  const framedTo = before.length === 0 ? 0 : text.lastIndexOf(before.at(-1)!) + before.at(-1)!.length;
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  const holes = [
    ...Array.from(text, (_, i) => [i, 1]),
    ...lines.map((line, i) => [lines.slice(0, i).join("").length, line.length]),
  ];
  for (const [from, length] of holes as [number, number][]) {
    const pieces: Piece[] = [
      text.slice(0, from),
      length,
      ...(text.slice(from + length).match(/[^\n]*\n|[^\n]+$/g) ?? []),
    ];
    const got = frame(pieces);
    if (from < framedTo) expect(got.events.filter((event) => event !== "whole")).not.toEqual([]);
    for (const { text: whole, method } of got.requests) {
      // "M-" or "UN" is missing from a method: the rest is another method, and no byte could show it.
      const isMethodsEnd =
        text.startsWith(whole, from + length) && before.some((request) => request.split(" ")[0]!.endsWith(method));
      if (!before.includes(whole) && !isMethodsEnd) beginsSegment(whole, pieces);
    }
  }
}

/** A line that begins a segment after a hole, and is a request line, is taken for one, for any earlier meaning. */
function beginsSegment(whole: string, pieces: Piece[]): void {
  const line = whole.slice(0, whole.indexOf("\n") + 1);
  expect(pieces.slice(pieces.findIndex((piece) => typeof piece === "number"))).toContain(line);
}

function checkResponse(vector: Vector): void {
  const { text, mode, complete } = vector;
  const difference = DIFFERENCES[keyOf(vector)];
  // picohttpparser reads heads: without a length, the body ends with the input.
  const ends = mode === undefined;
  const methods = new Array<string>(9).fill("GET");
  const got = frameResponses([text], methods, ends);
  const finals = got.filter((event) => event.startsWith("complete") || event === "upgraded").length;
  // llhttp counts interim responses as messages.
  const interim = got.filter((event) => /^1\d\d$/.test(event) && event !== "101").length;
  expect(finals).toBe(difference?.whole ?? complete - interim);
  const isBehindClose = got.at(-1) === "complete, closes" || got.at(-1) === "upgraded";
  if (vector.refused && difference === undefined && !isBehindClose) expect(got.at(-1)).toBe("malformed");
  for (const pieces of splits(text)) {
    if (pieces.length === 3) continue;
    expect({ pieces, got: frameResponses(pieces, methods, ends) }).toEqual({ pieces, got });
  }
}

if (existsSync(FILE)) {
  const vectors = load();
  describe("vectors", () => {
    for (const kind of ["request", "response"] as const) {
      for (const vector of vectors.filter((one) => one.kind === kind)) {
        const why = DIFFERENCES[keyOf(vector)]?.why;
        test(`${kind} ${keyOf(vector)}${why === undefined ? "" : `: different here, because of ${why}`}`, () => {
          if (kind === "request") checkRequest(vector);
          else checkResponse(vector);
        });
      }
    }

    test("every listed difference occurs", () => {
      expect(Object.keys(DIFFERENCES).filter((key) => !vectors.some((vector) => keyOf(vector) === key))).toEqual([]);
    });
  });
} else {
  test.skip(`vectors: ${FILE} is not there`, () => {});
}
