/** Random requests, from ordinary to odd, and mutations of them. All as latin1 text. */
import type { Random } from "../support/random.ts";

const METHODS = [
  "GET",
  "GET",
  "GET",
  "POST",
  "POST",
  "PUT",
  "DELETE",
  "HEAD",
  "OPTIONS",
  "PATCH",
  "M-SEARCH",
  "PROPFIND",
  "REPORT",
  "QUERY",
];
const ODD_METHODS = ["FROB", "get", "GETS", "PRI", "G@T", "SOURCE"];
const TARGETS = [
  "/",
  "/",
  "/index.html?a=b&c=%20d",
  "/a/b;c=d/../e",
  "http://example.com/",
  "http://user@example.com:8080/x?y",
  "*",
  '/q="|"',
  "/#f",
  "/\xe9",
  "index.html",
  "//x",
  "?x",
  "/a b",
  "/a\x01\x7f",
  "/a HTTP/1.0",
  "/a\tb",
  "[x]",
  "*x",
];
const ODD_VERSIONS = [
  "HTTP/1.2",
  "HTTP/2.0",
  "HTTP/0.9",
  "HTTP/1.10",
  "HTTP/1.01",
  "http/1.1",
  "HTTP/1.1 ",
  "HTTP/1.1\t",
  "HTTP/1.1 x",
  "RTSP/1.0",
  "",
];
const FIELDS = [
  "Host: example.com",
  "Accept: */*",
  "X:",
  "X-A: \t a b \t",
  "Cookie: a=b; c=d",
  "X: caf\xe9",
  "Accept-Encoding:gzip",
  "content-type: text/plain",
];
const ODD_FIELDS = [
  ...["X : a", "X", ": a", "X\t: a", "X: a\r\n b", " X: a", "X: \x01", "X: a\x7fb", "X\xe9: a", "X: a\rb", "X@: a"],
  ...[
    "X[0]/: a",
    "X a: b",
    "<br />",
    "X: \0",
    "X\0: a",
    "X: a\x0bb\x85c",
    "Content_Length: 5",
    "Content-Length\x01: 5",
    "Content-Length 5",
    "X: a\r\n Content-Length: 5",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding : chunked",
  ],
  ...[
    "Connection: keep-alive",
    "Connection: upgrade\r\nUpgrade: x",
    "Connection: close",
    "Connection: te, Close",
    "Proxy-Connection: keep-alive",
    "Expect: 100-continue",
    "Expect: x",
  ],
];
const LENGTHS = [
  "Content-Length: 5",
  "Content-Length: 0",
  "Content-Length: 05",
  "Content-Length:\t5 ",
  "Content-Length: 5, 5",
  "Content-Length: 5,6",
  "Content-Length: +5",
  "Content-Length:",
  "Content-Length : 5",
  "Content-Length: 5 5",
];
const CODINGS = [
  ...["chunked", "Chunked", "gzip, chunked", "gzip,, chunked", ", chunked", "x;a=b, chunked"],
  ...[
    "chunked, gzip",
    "gzip",
    "identity",
    "chunked, chunked",
    "chunked,",
    "chunked;q=1",
    "xchunked",
    "chunkedx",
    "x chunked",
    '"chunked"',
    "",
    'x;a="b, chunked"',
    "\x0bchunked",
  ],
];
const EXTENSIONS = [
  ";a",
  ";a=b",
  ';a="b;c"',
  ";a;b=c",
  ';a="\\""',
  " ;a",
  "; a",
  ";a =b",
  ";",
  ";a=",
  " ",
  ';a="',
  ";a=b=c",
  ";\xe9",
  '="x"',
  ";a=b/c:d",
  ";a\x01",
  "\t",
  " x",
  ";a\0",
];
const TRAILERS = [
  "X: a",
  "Y:",
  "GET /trailer HTTP/1.1",
  "X : a",
  "X: \0",
  "X: a\r\n b",
  " X: a",
  "X",
  "Content-Length: 5",
  "X: \x01",
];

/** `oddness`: from 0 (everything is ordinary) to 1. */
export function randomRequest(random: Random, oddness: number): string {
  const odd = (probability: number) => random.chance(oddness * probability);
  const kind = random.next();
  const isChunked = kind >= 0.3 && kind < 0.65;
  const isOld = isChunked ? odd(0.05) : random.chance(0.15);
  const version = odd(0.08) ? random.pick(ODD_VERSIONS) : isOld ? "HTTP/1.0" : "HTTP/1.1";
  const line = `${random.pick(odd(0.04) ? ODD_METHODS : METHODS)}${odd(0.03) ? "  " : " "}${random.pick(odd(0.3) ? TARGETS : TARGETS.slice(0, 4))}${odd(0.03) ? "  " : " "}${version}`;
  const fields = Array.from({ length: random.int(0, 4) }, () => random.pick(FIELDS));
  if (odd(0.2)) fields.push(random.pick(ODD_FIELDS));
  let body = "";
  if (kind < 0.3) {
    fields.push(odd(0.4) ? random.pick(LENGTHS) : random.pick(LENGTHS.slice(0, 1)));
    if (odd(0.1)) fields.push(random.pick(LENGTHS));
    body = random.pick(["hello", "GET /", "\r\n\r\n0", "\0\xff\x80ab"]);
  } else if (isChunked) {
    fields.push(`Transfer-Encoding: ${odd(0.4) ? random.pick(CODINGS) : "chunked"}`);
    if (odd(0.05)) fields.push(random.pick(LENGTHS));
    if (odd(0.05)) fields.push(`Transfer-Encoding: ${random.pick(CODINGS)}`);
    body = randomChunks(random, oddness);
  }
  for (let i = fields.length - 1; i > 0; i--) {
    const j = random.int(0, i);
    [fields[i], fields[j]] = [fields[j]!, fields[i]!];
  }
  const lineEnd = () => (odd(0.02) ? random.pick(["\n", "\r", "\r\r\n", "\n\r\n"]) : "\r\n");
  return `${odd(0.1) ? random.pick(["\r\n", "\n", "\r", " "]) : ""}${[line, ...fields, ""].map((text) => text + lineEnd()).join("")}${body}`;
}

function randomChunks(random: Random, oddness: number): string {
  const odd = (probability: number) => random.chance(oddness * probability);
  const extension = () => (random.chance(0.2) ? random.pick(odd(0.5) ? EXTENSIONS : EXTENSIONS.slice(0, 5)) : "");
  const end = () => (odd(0.02) ? random.pick(["\n", "\r", ""]) : "\r\n");
  let text = "";
  for (let i = random.int(0, 3); i > 0; i--) {
    const data = random.pick(["a", "hello", "0\r\n\r\n", "x".repeat(17), "\r\n"]);
    const size = data.length.toString(16);
    text += `${odd(0.05) ? random.pick(["0x", "00", " ", "+"]) : ""}${random.chance(0.3) ? size.toUpperCase() : size}${extension()}${end()}${data}${end()}`;
  }
  const trailers = random.chance(0.2) ? [random.pick(odd(0.5) ? TRAILERS : TRAILERS.slice(0, 2))] : [];
  return `${text}${random.pick(["0", "000"])}${extension()}${end()}${trailers.map((trailer) => `${trailer}\r\n`).join("")}\r\n`;
}

const BYTES = '\0\x01\t\n\r "(),/0123456789:;=ABCZ\\_abcz\x7f\x80\xff';

/** Changes, doubles, adds or removes a few bytes. */
export function mutate(random: Random, text: string): string {
  for (let i = random.int(1, 3); i > 0; i--) {
    const at = random.int(0, text.length - 1);
    const length = random.chance(0.8) ? 1 : random.int(1, 12);
    const kind = random.int(0, 3);
    const put =
      kind === 0 ? "" : kind === 1 ? text.slice(at, at + length).repeat(2) : BYTES[random.int(0, BYTES.length - 1)]!;
    text = text.slice(0, at) + put + text.slice(at + (kind === 3 ? 0 : length));
  }
  return text;
}
