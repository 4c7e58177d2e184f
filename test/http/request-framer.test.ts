/** The outcome of requests, ordinary and odd, whole and in all pieces. */
import { describe, expect, test } from "bun:test";
import { METHOD_BYTES_MAX } from "../../src/http/request-line.ts";
import { V1_PREFIX } from "../../src/http/proxy-protocol.ts";
import { type FramedRequest, frame, splits, happened } from "./recorder.ts";

interface Case {
  name: string;
  input: string;
  /** Each request's text, "" for all of the input; or the reason of its damage. */
  want: (string | `damaged ${string}`)[];
  /** The first request: forwarded unchanged, or on a connection of its own. */
  is?: "odd" | "isolated" | "odd, isolated";
  head?: Partial<FramedRequest>;
}

/** Checks the framing, in one piece, in any two or three, and byte by byte. */
function check({ input, want, is, head }: Case): void {
  const wanted = want.map((text) => (text.startsWith("damaged") ? text : "whole"));
  const texts = want.filter((text) => !text.startsWith("damaged")).map((text) => (text === "" ? input : text));
  let whole: string[] | null = null;
  for (const pieces of splits(input)) {
    const got = frame(pieces);
    whole ??= happened(got);
    expect({ pieces, got: happened(got) }).toEqual({ pieces, got: whole });
    // Only bytes that may be a PROXY protocol header are copied.
    expect(got.copiedBytes).toBeLessThan(V1_PREFIX.length);
    if (pieces.length > 1) continue;
    expect(got.events).toEqual(wanted);
    expect(got.requests.map((request) => request.text)).toEqual(texts);
    const kind = { isOdd: is?.startsWith("odd") ?? false, isIsolated: is?.endsWith("isolated") ?? false };
    if (texts.length > 0) expect(got.requests[0]).toMatchObject({ ...kind, ...head });
  }
}

function table(name: string, cases: Case[]): void {
  describe(name, () => {
    for (const one of cases) test(one.name, () => check(one));
  });
}

const HOST = "Host: example.com\r\n";
const get = (fields: string) => `GET / HTTP/1.1\r\n${fields}\r\n`;
const post = (fields: string, body: string) => `POST / HTTP/1.1\r\n${fields}\r\n${body}`;
const chunked = (body: string) => post("Transfer-Encoding: chunked\r\n", body);
const MALFORMED = ["damaged malformed"];
const UNCLEAR = ["damaged ambiguous_length"];

table("request line (RFC 9112, section 3)", [
  {
    name: "origin-form",
    input: "GET /where?q=now HTTP/1.1\r\n\r\n",
    want: [""],
    head: { method: "GET", isIdempotent: true, minorVersion: 1, headLength: 29, bodyLength: 0 },
  },
  { name: "absolute-form", input: "GET http://www.example.org/pub/WWW/TheProject.html HTTP/1.1\r\n\r\n", want: [""] },
  { name: "absolute-form of another scheme", input: "GET urn:isbn:0451450523 HTTP/1.1\r\n\r\n", want: [""] },
  {
    name: "authority-form",
    input: "CONNECT www.example.com:80 HTTP/1.1\r\n\r\n",
    want: [""],
    head: { method: "CONNECT", wantsUpgrade: true, isIdempotent: false },
  },
  { name: "asterisk-form", input: "OPTIONS * HTTP/1.1\r\n\r\n", want: [""] },
  { name: "HTTP/1.0", input: "GET / HTTP/1.0\r\n\r\n", want: [""], head: { minorVersion: 0 } },
  {
    name: "a later HTTP/1 is HTTP/1.1 (RFC 9110, section 2.5)",
    input: "GET / HTTP/1.7\r\n\r\n",
    want: [""],
    head: { minorVersion: 1 },
  },
  { name: "the last HTTP/1 there can be", input: "GET / HTTP/1.9\r\n\r\n", want: [""], head: { minorVersion: 1 } },
  {
    name: "an unknown method",
    input: "FROB!NICATE / HTTP/1.1\r\n\r\n",
    want: [""],
    head: { method: "FROB!NICATE", isIdempotent: false },
  },
  {
    name: "a method that begins like a known one",
    input: "GETS / HTTP/1.1\r\n\r\n",
    want: [""],
    head: { method: "GETS", isIdempotent: false },
  },
  {
    name: "methods are case-sensitive",
    input: "get / HTTP/1.1\r\n\r\n",
    want: [""],
    head: { method: "get", isIdempotent: false },
  },
  {
    name: "PATCH is not idempotent",
    input: "PATCH / HTTP/1.1\r\n\r\n",
    want: [""],
    head: { method: "PATCH", isIdempotent: false },
  },
  { name: "DELETE is", input: "DELETE / HTTP/1.1\r\n\r\n", want: [""], head: { method: "DELETE", isIdempotent: true } },
  {
    name: "VERSION-CONTROL is",
    input: "VERSION-CONTROL / HTTP/1.1\r\n\r\n",
    want: [""],
    head: { method: "VERSION-CONTROL", isIdempotent: true },
  },
  { name: "POST is not", input: "POST / HTTP/1.1\r\n\r\n", want: [""], head: { method: "POST", isIdempotent: false } },
  { name: "bytes in the target that are no URI's", input: 'GET /\xe9"|<>`{}^\\#\xff HTTP/1.1\r\n\r\n', want: [""] },
  { name: "several spaces", input: "GET   /   HTTP/1.1\r\n\r\n", want: [""] },
  { name: "bare LF", input: "GET / HTTP/1.1\n\n", want: [""], is: "isolated" },
  {
    name: "empty lines before it are not part of it",
    input: "\r\n\r\n\nGET / HTTP/1.1\r\n\r\n\r\n\r\nGET /2 HTTP/1.1\r\n\r\n\r\n",
    want: ["GET / HTTP/1.1\r\n\r\n", "GET /2 HTTP/1.1\r\n\r\n"],
  },
  { name: "a tab for a space", input: "GET\t/ HTTP/1.1\r\n\r\n", want: [""], is: "odd" },
  { name: "a tab before the version", input: "GET /\tHTTP/1.1\r\n\r\n", want: [""], is: "odd" },
  { name: "no target", input: "GET HTTP/1.1\r\n\r\n", want: MALFORMED },
  { name: "no version (HTTP/0.9)", input: "GET /\r\n\r\n", want: MALFORMED },
  { name: "a relative target", input: "GET index.html HTTP/1.1\r\n\r\n", want: [""], is: "odd" },
  { name: "more than an asterisk", input: "OPTIONS *x HTTP/1.1\r\n\r\n", want: [""], is: "odd" },
  { name: "CONNECT to a path", input: "CONNECT / HTTP/1.1\r\n\r\n", want: [""], is: "odd" },
  { name: "a control character in the target", input: "GET /\x01 HTTP/1.1\r\n\r\n", want: [""], is: "odd" },
  { name: "DEL in the target", input: "GET /\x7f HTTP/1.1\r\n\r\n", want: [""], is: "odd" },
  { name: "a space in the target", input: "GET /a b HTTP/1.1\r\n\r\n", want: [""], is: "odd" },
  { name: "another protocol", input: "GET / ICY/1.0\r\n\r\n", want: MALFORMED },
  { name: "another major version", input: "GET / HTTP/2.0\r\n\r\n", want: MALFORMED },
  { name: "two digits", input: "GET / HTTP/1.10\r\n\r\n", want: [""], is: "odd" },
  { name: "HTTP in small letters", input: "GET / http/1.1\r\n\r\n", want: MALFORMED },
  { name: "a space behind the version", input: "GET / HTTP/1.1 \r\n\r\n", want: [""], is: "odd" },
  { name: "bare CR", input: "GET / HTTP/1.1\rHost: a\r\n\r\n", want: MALFORMED },
  {
    name: "HTTP/2's method with HTTP/1's version, second",
    input: `${get("")}PRI * HTTP/1.1\r\n\r\n`,
    want: [get(""), ...MALFORMED],
  },
  { name: "a second line that is no request line", input: `${get("")}\x16\x03\x01\r\n`, want: [get(""), ...MALFORMED] },
]);

table("header section (RFC 9112, section 5)", [
  { name: "fields", input: get(`${HOST}Accept: */*\r\nX-Empty:\r\nX-Spaces: \t a b\t \r\n`), want: [""] },
  { name: "no space behind the colon", input: get("Host:example.com\r\n"), want: [""] },
  { name: "bytes that are not ASCII", input: get("X: D\xfcsseldorf \xff\r\n"), want: [""] },
  { name: "all that a name may be", input: get("!#$%&'*+-.^_`|~09azAZ: 1\r\n"), want: [""] },
  { name: "bare LF", input: `GET / HTTP/1.1\nHost: a\nX: b\r\nY: c\n\n`, want: [""], is: "isolated" },
  { name: "bare LF behind a CRLF", input: `GET / HTTP/1.1\r\nHost: a\r\n\n`, want: [""], is: "isolated" },
  { name: "obsolete folding", input: get("X: a\r\n b\r\n\t c\r\n \r\nHost: a\r\n"), want: [""], is: "isolated" },
  { name: "a folded empty value", input: get("X:\r\n a\r\n"), want: [""], is: "isolated" },
  { name: "a folded first line", input: get(" X: a\r\n"), want: [""], is: "isolated" },
  { name: "a tab before the first field", input: get("\tX: a\r\n"), want: [""], is: "isolated" },
  { name: "a space before the colon", input: get("Host : a\r\n"), want: [""], is: "odd" },
  { name: "a tab before the colon", input: get("Host\t: a\r\n"), want: [""], is: "odd" },
  { name: "a space in the name", input: get("en-US Content-Type: a\r\n"), want: [""], is: "odd" },
  { name: "no name", input: get(": a\r\n"), want: [""], is: "odd" },
  { name: "no colon", input: get("Host\r\n"), want: [""], is: "odd" },
  { name: "no colon, folded", input: get("Host\r\n : a\r\n"), want: [""], is: "odd, isolated" },
  { name: "a name with a character that no token has", input: get("H@st: a\r\n"), want: [""], is: "odd" },
  { name: "a name that is not ASCII", input: get("H\xf6st: a\r\n"), want: [""], is: "odd" },
  { name: "NUL in a name", input: get("H\0st: a\r\n"), want: MALFORMED },
  { name: "NUL in a value", input: get("Host: \0\r\n"), want: MALFORMED },
  { name: "a control character in a value", input: get("Host: a\x0bb\r\n"), want: [""], is: "odd" },
  { name: "DEL in a value", input: get("Host: a\x7f\r\n"), want: [""], is: "odd" },
  { name: "bare CR in a value", input: get("Host: a\rb\r\n"), want: MALFORMED },
  { name: "two CR", input: get("Host: a\r\r\n"), want: MALFORMED },
  { name: "bare CR for the empty line", input: `GET / HTTP/1.1\r\nHost: a\r\n\rX`, want: MALFORMED },
]);

table("Content-Length (RFC 9112, section 6.2 and 6.3)", [
  { name: "a body", input: post("Content-Length: 3\r\n", "abc"), want: [""], head: { bodyLength: 3, headLength: 38 } },
  { name: "none", input: post("Content-Length: 0\r\n", ""), want: [""], head: { bodyLength: 0 } },
  { name: "none said", input: post(HOST, ""), want: [""], head: { bodyLength: 0 } },
  { name: "of a GET", input: get("Content-Length: 3\r\n") + "abc", want: [""] },
  { name: "in any case and spacing", input: post("cONTENT-lENGTH:\t 003 \t\r\n", "abc"), want: [""], is: "isolated" },
  { name: "in HTTP/1.0", input: "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", want: [""] },
  { name: "a body like a request", input: post("Content-Length: 18\r\n", "GET / HTTP/1.1\r\n\r\n"), want: [""] },
  {
    name: "twice the same",
    input: post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
    want: [""],
    is: "isolated",
  },
  { name: "twice the same in one field", input: post("Content-Length: 3 , 3\r\n", "abc"), want: [""], is: "isolated" },
  {
    name: "similar names",
    input: post("Content-Length-X: 9\r\nContent-Lengt: 9\r\nXContent-Length: 9\r\nContent-Length: 3\r\n", "abc"),
    want: [""],
  },
  { name: "two that differ", input: post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"), want: UNCLEAR },
  {
    name: "two that differ, the first 0",
    input: post("Content-Length: 0\r\nContent-Length: 3\r\n", "abc"),
    want: UNCLEAR,
  },
  { name: "two that differ in one field", input: post("Content-Length: 3, 4\r\n", "abc"), want: UNCLEAR },
  {
    name: "the largest number",
    input: post("Content-Length: 9007199254740991\r\n", ""),
    want: ["damaged cut_off"],
  },
  { name: "more than anyone can count", input: post("Content-Length: 9007199254740992\r\n", "abc"), want: UNCLEAR },
  { name: "far more", input: post(`Content-Length: ${"9".repeat(400)}\r\n`, "abc"), want: UNCLEAR },
  { name: "folded", input: post("Content-Length:\r\n 3\r\n", "abc"), want: [""], is: "isolated" },
  { name: "folded behind the number", input: post("Content-Length: 3\r\n \r\n", "abc"), want: [""], is: "isolated" },
  { name: "empty", input: post("Content-Length:\r\n", ""), want: MALFORMED },
  { name: "blank", input: post("Content-Length: \r\n", ""), want: MALFORMED },
  { name: "signed", input: post("Content-Length: +3\r\n", "abc"), want: MALFORMED },
  { name: "negative", input: post("Content-Length: -1\r\n", "abc"), want: MALFORMED },
  { name: "hexadecimal", input: post("Content-Length: 0x3\r\n", "abc"), want: MALFORMED },
  { name: "two numbers without a comma", input: post("Content-Length: 3 3\r\n", "abc"), want: MALFORMED },
  { name: "an empty element", input: post("Content-Length: 3,\r\n", "abc"), want: MALFORMED },
  { name: "an empty element first", input: post("Content-Length: ,3\r\n", "abc"), want: MALFORMED },
  {
    name: "of a CONNECT, which has no content (RFC 9110, section 9.3.6)",
    input: "CONNECT a:1 HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
    want: UNCLEAR,
  },
]);

table("Transfer-Encoding (RFC 9112, section 6.1 and 6.3)", [
  { name: "chunked", input: chunked("3\r\nabc\r\n0\r\n\r\n"), want: [""], head: { bodyLength: -1 } },
  {
    name: "in any case and spacing",
    input: post("tRANSFER-eNCODING: \t CHUNked \t\r\n", "0\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  {
    name: "another coding before it",
    input: post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  {
    name: "an unknown one, with parameters",
    input: post("Transfer-Encoding: frob ; a=b;c=d , chunked\r\n", "0\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  {
    name: "one with parameters and no space",
    input: post("Transfer-Encoding: frob;a=b;c,chunked\r\n", "0\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  {
    name: "in several fields",
    input: post("Transfer-Encoding: gzip\r\nX: y\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  {
    name: "empty elements before it",
    input: post("Transfer-Encoding: ,, chunked\r\n", "0\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  {
    name: "with Content-Length",
    input: post("Content-Length: 13\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  {
    name: "before Content-Length",
    input: post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "3\r\nabc\r\n0\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  {
    name: "in HTTP/1.0",
    input: "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    want: [""],
    is: "isolated",
  },
  { name: "without chunked", input: post("Transfer-Encoding: gzip\r\n", ""), want: UNCLEAR },
  { name: "identity", input: post("Transfer-Encoding: identity\r\n", ""), want: UNCLEAR },
  { name: "empty", input: post("Transfer-Encoding:\r\n", ""), want: UNCLEAR },
  { name: "chunked not last", input: post("Transfer-Encoding: chunked, gzip\r\n", ""), want: UNCLEAR },
  {
    name: "chunked not last, in two fields",
    input: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", ""),
    want: UNCLEAR,
  },
  { name: "chunked twice", input: post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), want: UNCLEAR },
  {
    name: "chunked twice, in two fields",
    input: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    want: UNCLEAR,
  },
  {
    name: "an empty element after chunked",
    input: post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  {
    name: "an empty field after chunked",
    input: post("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", "0\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  { name: "chunked with parameters", input: post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), want: UNCLEAR },
  { name: "like chunked, longer", input: post("Transfer-Encoding: chunkedx\r\n", "0\r\n\r\n"), want: UNCLEAR },
  { name: "like chunked, longer before", input: post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), want: UNCLEAR },
  { name: "a word before chunked", input: post("Transfer-Encoding: x chunked\r\n", "0\r\n\r\n"), want: UNCLEAR },
  { name: "chunked in quotes", input: post('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n"), want: UNCLEAR },
  {
    name: "chunked within a quoted string",
    input: post('Transfer-Encoding: x;a="b, chunked"\r\n', "0\r\n\r\n"),
    want: UNCLEAR,
  },
  {
    name: "a character within a coding that no coding has",
    input: post("Transfer-Encoding: x@y, chunked\r\n", "0\r\n\r\n"),
    want: UNCLEAR,
  },
  { name: "the same behind a blank", input: post("Transfer-Encoding: x @, chunked\r\n", "0\r\n\r\n"), want: UNCLEAR },
  {
    name: "a character no coding has",
    input: post("Transfer-Encoding: \x80, chunked\r\n", "0\r\n\r\n"),
    want: UNCLEAR,
  },
  { name: "folded", input: post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), want: [""], is: "isolated" },
  { name: "folded behind chunked", input: post("Transfer-Encoding: chunked\r\n  abc\r\n", "0\r\n\r\n"), want: UNCLEAR },
  { name: "a space before the colon", input: post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), want: MALFORMED },
  {
    name: "a control character before chunked",
    input: post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
    want: UNCLEAR,
  },
]);

table("chunks (RFC 9112, section 7.1)", [
  {
    name: "several, in any case of digits, with zeros before",
    input: chunked("00A\r\n0123456789\r\na\r\n0123456789\r\n1\r\n\n\r\n000\r\n\r\n"),
    want: [""],
  },
  { name: "data like chunks", input: chunked("5\r\n0\r\n\r\n\r\n0\r\n\r\n"), want: [""] },
  {
    name: "extensions",
    input: chunked('3;a;b=c ; d = "e;\\" \\\\ \t\xe9" \t;f=g\r\nabc\r\n0;h\r\n\r\n'),
    want: [""],
    is: "odd",
  },
  {
    name: "a trailer section",
    input: chunked("0\r\nExpires: never\r\nX:\r\n folded\r\n\r\n"),
    want: [""],
    is: "isolated",
  },
  { name: "bare LF in the trailer section", input: chunked("0\r\nExpires: never\n\n"), want: [""], is: "isolated" },
  {
    name: "fields in the trailer section change nothing",
    input: chunked("0\r\nContent-Length: 9\r\nConnection: close\r\n\r\n") + get(""),
    want: [chunked("0\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"), get("")],
    is: "isolated",
  },
  { name: "no size", input: chunked("\r\nabc\r\n0\r\n\r\n"), want: MALFORMED },
  { name: "no digit", input: chunked("g\r\nabc\r\n0\r\n\r\n"), want: MALFORMED },
  { name: "a sign", input: chunked("+3\r\nabc\r\n0\r\n\r\n"), want: MALFORMED },
  { name: "0x", input: chunked("0x3\r\nabc\r\n0\r\n\r\n"), want: MALFORMED },
  { name: "a space before the size", input: chunked(" 3\r\nabc\r\n0\r\n\r\n"), want: MALFORMED },
  { name: "a space behind the size", input: chunked("3 \r\nabc\r\n0\r\n\r\n"), want: [""], is: "odd" },
  { name: "as much as anyone can count", input: chunked("1FFFFFFFFFFFFF\r\nabc"), want: ["damaged cut_off"] },
  { name: "more than anyone can count", input: chunked("20000000000000\r\n"), want: MALFORMED },
  { name: "bare LF behind the size", input: chunked("3\nabc\r\n0\r\n\r\n"), want: MALFORMED },
  { name: "bare LF behind an extension", input: chunked("3;a\nabc\r\n0\r\n\r\n"), want: MALFORMED },
  { name: "bare LF in a quoted extension", input: chunked('3;a="\nabc\r\n0\r\n\r\n'), want: MALFORMED },
  { name: "bare LF behind the data", input: chunked("3\r\nabc\n0\r\n\r\n"), want: MALFORMED },
  { name: "bare CR behind the size", input: chunked("3\rabc\r\n0\r\n\r\n"), want: MALFORMED },
  { name: "bare CR behind the data", input: chunked("3\r\nabc\r0\r\n\r\n"), want: MALFORMED },
  { name: "more data than its size", input: chunked("3\r\nabcd\r\n0\r\n\r\n"), want: MALFORMED },
  { name: "less data than its size", input: chunked("5\r\nabc\r\n0\r\n\r\n"), want: MALFORMED },
  { name: "an extension without a name", input: chunked("3;\r\nabc\r\n0\r\n\r\n"), want: [""], is: "odd" },
  { name: "an extension without a value", input: chunked("3;a=\r\nabc\r\n0\r\n\r\n"), want: [""], is: "odd" },
  { name: "an extension without a semicolon", input: chunked("3 a=b\r\nabc\r\n0\r\n\r\n"), want: [""], is: "odd" },
  { name: "a space behind an extension", input: chunked("3;a \r\nabc\r\n0\r\n\r\n"), want: [""] },
  {
    name: "an extension after a quoted one without a semicolon",
    input: chunked('3;a="b"c\r\nabc\r\n0\r\n\r\n'),
    want: [""],
    is: "odd",
  },
  { name: "a quoted extension without an end", input: chunked('3;a="b\r\nabc\r\n0\r\n\r\n'), want: [""], is: "odd" },
  { name: "a bad trailer", input: chunked("0\r\nnever\r\n\r\n"), want: [""], is: "odd, isolated" },
  { name: "a folded first trailer", input: chunked("0\r\n a: b\r\n\r\n"), want: [""], is: "isolated" },
]);

const CLOSE = get("Connection: close\r\n");
const OLD = "GET / HTTP/1.0\r\n\r\n";
const OLD_KEPT = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
const UPGRADE = get("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n");
table("the connection (RFC 9112, section 9)", [
  {
    name: "several requests",
    input: get(HOST) + post("Content-Length: 3\r\n", "abc") + chunked("1\r\nx\r\n0\r\n\r\n") + get(""),
    want: [get(HOST), post("Content-Length: 3\r\n", "abc"), chunked("1\r\nx\r\n0\r\n\r\n"), get("")],
  },
  {
    name: "nothing is a request after Connection: close",
    input: `${CLOSE}\r\n${get("")}${get("")}`,
    want: [CLOSE, "damaged after_close"],
  },
  { name: "an empty line may be", input: `${CLOSE}\r\n`, want: [CLOSE] },
  {
    name: "close among other options",
    input: get("Connection: te,\tClose , keep-alive\r\n") + get(""),
    want: [get("Connection: te,\tClose , keep-alive\r\n"), "damaged after_close"],
  },
  {
    name: "options that are not close",
    input: get("Connection: closed, close x, xclose\r\n") + get(""),
    want: [get("Connection: closed, close x, xclose\r\n"), get("")],
  },
  { name: "HTTP/1.0 is not persistent", input: OLD + OLD, want: [OLD, "damaged after_close"] },
  { name: "unless it says so", input: OLD_KEPT + OLD_KEPT, want: [OLD_KEPT, OLD_KEPT] },
  {
    name: "only if it says so, before another option",
    input: OLD_KEPT.replace("Alive", "Alive, te") + OLD,
    want: [OLD_KEPT.replace("Alive", "Alive, te"), OLD],
  },
  {
    name: "close before another option",
    input: get("Connection: close, te\r\nConnection: x\r\n") + OLD,
    want: [get("Connection: close, te\r\nConnection: x\r\n"), "damaged after_close"],
  },
  {
    name: "Upgrade before another option",
    input: get("Connection: upgrade, te\r\nUpgrade: x \r\n"),
    want: [""],
    head: { wantsUpgrade: true },
  },
  {
    name: "an empty Upgrade",
    input: get("Connection: upgrade\r\nUpgrade: \t \r\n"),
    want: [""],
    head: { wantsUpgrade: false },
  },
  {
    name: "Expect before another expectation",
    input: post("Expect: 100-continue, x\r\nContent-Length: 3\r\n", "abc"),
    want: [""],
  },
  { name: "Upgrade", input: UPGRADE, want: [""], head: { wantsUpgrade: true } },
  {
    name: "Upgrade without its connection option",
    input: get("Upgrade: websocket\r\n"),
    want: [""],
    head: { wantsUpgrade: false },
  },
  {
    name: "its connection option without Upgrade",
    input: get("Connection: upgrade\r\n"),
    want: [""],
    head: { wantsUpgrade: false },
  },
  {
    name: "Upgrade in HTTP/1.0",
    input: "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    want: [""],
    head: { wantsUpgrade: false },
  },
  {
    name: "Upgrade with a body",
    input: post("Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n", "abc"),
    want: [""],
    head: { wantsUpgrade: true, bodyLength: 3 },
  },
  {
    name: "Expect",
    input: post("Expect: 100-Continue\r\nContent-Length: 3\r\n", "abc"),
    want: [""],
  },
  {
    name: "another Expect",
    input: post("Expect: 100-continued\r\nContent-Length: 3\r\n", "abc"),
    want: [""],
  },
  {
    name: "Expect in HTTP/1.0",
    input: "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    want: [""],
  },
]);

table("cut off", [
  { name: "nothing", input: "", want: [] },
  { name: "in the method", input: "GE", want: ["damaged cut_off"] },
  { name: "in the method, like HTTP/2's", input: "PR", want: ["damaged cut_off"] },
  { name: "in the header section", input: "GET / HTTP/1.1\r\nHost: a\r\n", want: ["damaged cut_off"] },
  { name: "in the last line end", input: "GET / HTTP/1.1\r\nHost: a\r\n\r", want: ["damaged cut_off"] },
  { name: "before a body", input: post("Content-Length: 3\r\n", ""), want: ["damaged cut_off"] },
  { name: "in a body", input: post("Content-Length: 3\r\n", "ab"), want: ["damaged cut_off"] },
  { name: "in chunks", input: chunked("3\r\nabc\r\n"), want: ["damaged cut_off"] },
  { name: "before the trailer section's end", input: chunked("0\r\n"), want: ["damaged cut_off"] },
  { name: "in the second request", input: `${get("")}G`, want: [get(""), "damaged cut_off"] },
  { name: "behind an empty line", input: `${get("")}\r\n`, want: [get("")] },
]);

describe("limits", () => {
  const head = get("X: 0123456789\r\n");
  const cases: [name: string, input: string, maxHeaderBytes: number, want: string[]][] = [
    ["a head of exactly the limit", head, head.length, ["whole"]],
    ["a head longer by a byte", head, head.length - 1, ["damaged header_too_long"]],
    ["an endless request line", `GET /${"a".repeat(1000)}`, 100, ["damaged header_too_long"]],
    ["a name", get(`${"a".repeat(1000)}: b\r\n`), 100, ["damaged header_too_long"]],
    ["a bad byte beyond the limit", `GET / HTTP/1.1\r\n${"a".repeat(100)}\0`, 100, ["damaged header_too_long"]],
    ["a body is no part of it", post("Content-Length: 500\r\n", "a".repeat(500)), 50, ["whole"]],
    ["nor is another request", get("").repeat(9), 20, new Array<string>(9).fill("whole")],
    ["chunks do not count", chunked(`${"1\r\na\r\n".repeat(100)}0\r\n\r\n`), 50, ["whole"]],
    ["a chunk's line of exactly the limit", chunked(`1;${"a".repeat(46)}\r\na\r\n0\r\n\r\n`), 50, ["whole"]],
    [
      "a chunk's line longer by a byte",
      chunked(`1;${"a".repeat(47)}\r\na\r\n0\r\n\r\n`),
      50,
      ["damaged header_too_long"],
    ],
    ["zeros before a size", chunked("0".repeat(100)), 50, ["damaged header_too_long"]],
    ["a trailer section of exactly the limit", chunked(`0\r\n${"a:b\r\n".repeat(9)}a:\r\n\r\n`), 51, ["whole"]],
    [
      "a trailer section longer by a byte",
      chunked(`0\r\n${"a:b\r\n".repeat(9)}a:b\r\n\r\n`),
      51,
      ["damaged header_too_long"],
    ],
  ];
  for (const [name, input, maxHeaderBytes, want] of cases) {
    test(name, () => {
      for (const pieces of splits(input)) {
        if (pieces.length === 3) continue;
        const got = frame(pieces, { maxHeaderBytes });
        expect({ pieces, events: happened(got).slice(0, want.length) }).toEqual({ pieces, events: want });
      }
    });
  }
});

// The beginning is all that is kept: a client may send a method that never ends, byte by byte.
test.each([METHOD_BYTES_MAX, METHOD_BYTES_MAX + 1, 10 * METHOD_BYTES_MAX])(
  "an unknown method of %d bytes is known by its first ones, and forwarded whole",
  (length) => {
    const method = "M".repeat(length);
    const request = `${method} / HTTP/1.1\r\n\r\n`;
    for (const pieces of [[request], [...request], [method.slice(0, 40), request.slice(40)]]) {
      const { requests } = frame(pieces);
      expect(requests).toMatchObject([{ method: "M".repeat(METHOD_BYTES_MAX), text: request }]);
    }
  },
);

test("after an upgrade, the rest of the push is given unchanged", () => {
  const rest = "\x81\x05hello";
  const got = frame([UPGRADE + rest], { stopAtUpgrade: true });
  expect(got.events).toEqual(["whole"]);
  expect(got.requests[0]!.text).toBe(UPGRADE);
  expect(got.given).toBe(rest);
});
