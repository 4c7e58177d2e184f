/**
 * One oddity a line: its outcome between two ordinary requests on one connection. `odd`: it is forwarded unchanged,
 * because a server takes it and all servers that take it end it at the same place. `isolated`: servers end it at
 * different places, and RFC 9112 at one. `damaged`: it has no clear end, or its end is clear but it must not be sent
 * (`… behind it all is well`).
 */
import { describe, expect, test } from "bun:test";
import { frame, splits } from "./recorder.ts";

const GOOD = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";
const get = (fields: string, line = "GET /one HTTP/1.1") => `${line}\r\nHost: a\r\n${fields}\r\n`;
const post = (fields: string, body = "hello") => `POST /one HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}`;
const line = (text: string) => get("", text);
const five = "Content-Length: 5\r\n";
const chunks = (body: string) => post("Transfer-Encoding: chunked\r\n", body);
const HELLO = "5\r\nhello\r\n0\r\n\r\n";

type Fate =
  | "ordinary"
  | "odd"
  | "isolated"
  | "odd, isolated"
  | "malformed, behind it all is well"
  | "malformed"
  | "ambiguous_length";

const oddities: [what: string, input: string, fate: Fate][] = [
  // The request line. Python's server splits it at white space, Java's looks for blanks.
  ["a blank behind the version (nginx, Python, Java)", line("GET /one HTTP/1.1 "), "odd"],
  ["several, and a tab (Python, Java)", line("GET /one HTTP/1.1 \t "), "odd"],
  ["a target without a slash (Python)", line("GET one HTTP/1.1"), "odd"],
  ["a target that is a query (Python)", line("GET ?x HTTP/1.1"), "odd"],
  ["a target in brackets (Python)", line("GET [x] HTTP/1.1"), "odd"],
  ["a blank in a target (Java)", line("GET /a b HTTP/1.1"), "odd"],
  ["several in a row (Java)", line("GET /a  b  HTTP/1.1"), "odd"],
  ["a version in a target (Java)", line("GET /a HTTP/1.0 HTTP/1.1"), "odd"],
  ["text that begins like a version in a target (Java)", line("GET /a HTTP/1.x HTTP/ HTTP/1.1"), "odd"],
  ["a control character in a target (Python)", line("GET /a\x01b HTTP/1.1"), "odd"],
  ["DEL in a target (Python, Bun)", line("GET /a\x7fb HTTP/1.1"), "odd"],
  ["tabs for spaces (Python)", line("GET\t/one\tHTTP/1.1"), "odd"],
  ["a longer minor version (nginx, Python, Java)", line("GET /one HTTP/1.10"), "odd"],
  ["the same with a zero before it", line("GET /one HTTP/1.01"), "odd"],
  // Public web servers answered these with 200, and clients sent them. HTTP/0.9 would end behind such a line.
  ["a version with two points", get("Connection: keep-alive\r\n", "GET /one HTTP/1.0.8"), "odd, isolated"],
  ["a version that ends with a point", line("GET /one HTTP/1."), "odd, isolated"],
  ["a letter in a version, and a blank behind it", line("GET /one HTTP/1.1b "), "odd, isolated"],
  ["such a version in a target", line("GET /a HTTP/1.0.8 HTTP/1.1"), "odd"],
  ["a control character in a version", line("GET /one HTTP/1.1\x01"), "malformed"],
  ["such a version in a target, with a control character", line("GET /a HTTP/1.b\x01 HTTP/1.1"), "odd"],
  ["more than an asterisk (Node, Python)", line("OPTIONS *x HTTP/1.1"), "odd"],
  ["NUL in a target", line("GET /\0 HTTP/1.1"), "malformed, behind it all is well"],
  ["a bare CR in a target", line("GET /\r HTTP/1.1"), "malformed"],
  ["no version", line("GET /one"), "malformed"],
  ["another protocol's", line("GET /one HTTP/2.0"), "malformed"],
  ["a version and more", line("GET /one HTTP/1.1 x"), "malformed"],
  // Names.
  ["brackets in a name (nginx, Python)", post(`X-D[0]: a\r\n${five}`), "odd"],
  ["a slash in a name (nginx, Python)", post(`X/a: a\r\n${five}`), "odd"],
  ["no name (Python)", post(`: a\r\n${five}`), "odd"],
  ["UTF-8 in a name (nginx, Python)", get("X\xc3\xa9: a\r\n"), "odd"],
  ["a blank in a name (Python)", get("X a: a\r\n"), "odd"],
  ["a blank behind a name (Python)", get("X : a\r\n"), "odd"],
  ["a control character in a name (Python)", get("X\x01: a\r\n"), "odd"],
  ["a line without a colon (nginx, Python)", get("hello\r\n"), "odd"],
  // Python's server looks for fields up to the first line that it does not accept as one.
  ["UTF-8 in a name, with a body", post(`X\xc3\xa9: a\r\n${five}`), "odd, isolated"],
  ["a blank in a name, with a body", post(`X a: a\r\n${five}`), "odd, isolated"],
  [
    "a control character in a name, with chunks",
    post("X\x01: a\r\nTransfer-Encoding: chunked\r\n", HELLO),
    "odd, isolated",
  ],
  ["a line without a colon, with a body", post(`hello\r\n${five}`), "odd, isolated"],
  ["a line without a colon behind the length", post(`${five}hello\r\n`), "odd, isolated"],
  ["NUL in a name", get("X\0: a\r\n"), "malformed, behind it all is well"],
  // Values.
  ["a control character in a value (nginx, Python, Java)", post(`Cookie: a\x01b\r\n${five}`), "odd"],
  ["DEL in a value (nginx, Python, Java, Bun)", post(`Cookie: a\x7fb\r\n${five}`), "odd"],
  ["a character that is a line end for some runtimes", post(`X: a\x0bb\x0cc\x1cd\x1ee\r\n${five}`), "odd"],
  ["and is beyond ASCII: no control character in HTTP", post(`X: a\x85\xe2\x80\xa8b\r\n${five}`), "ordinary"],
  ["a control character in a value that says something", get("Connection: a\x01b\r\n"), "odd"],
  ["NUL in a value", post(`X: a\0b\r\n${five}`), "malformed, behind it all is well"],
  [
    "NUL in a value, with chunks",
    post("X: \0\r\nTransfer-Encoding: chunked\r\n", HELLO),
    "malformed, behind it all is well",
  ],
  [
    "NUL in a value, with a request that cannot be framed",
    post("X: \0\r\nContent-Length: 5\r\nContent-Length: 6\r\n"),
    "malformed",
  ],
  [
    "NUL in a value, with an isolated request",
    post(`X: \0\r\n${five}Transfer-Encoding: chunked\r\n`, HELLO),
    "malformed, behind it all is well",
  ],
  ["a bare CR in a value", get("X: a\rb\r\n"), "malformed"],
  ["a bare CR in a line without a colon", get("hello\rb\r\n"), "malformed"],
  ["two CR", get("X: a\r\r\n"), "malformed"],
  // Line ends and folded lines. Java's server leaves a byte of the body for the next request.
  ["bare LF", `GET /one HTTP/1.1\nHost: a\n\n`, "isolated"],
  ["a bare LF behind a length", "POST /one HTTP/1.1\r\nContent-Length: 5\n\r\nhello", "isolated"],
  ["a bare LF at the end", "POST /one HTTP/1.1\r\nContent-Length: 5\r\n\nhello", "isolated"],
  ["a folded field", get("X: a\r\n b\r\n"), "isolated"],
  ["a folded invalid length", get("X: a\r\n Content-Length: 5\r\n"), "isolated"],
  ["a length that is folded", post("Content-Length:\r\n\t5\r\n"), "isolated"],
  ["a coding that is folded", post("Transfer-Encoding:\r\n chunked\r\n", HELLO), "isolated"],
  ["a blank before the first field", "POST /one HTTP/1.1\r\n X: a\r\nContent-Length: 5\r\n\r\nhello", "isolated"],
  ["a length there, which some would take for one", "POST /one HTTP/1.1\r\n Content-Length: 5\r\n\r\n", "malformed"],
  ["a coding there, behind a tab", "POST /one HTTP/1.1\r\n\t transfer-encoding: chunked\r\n\r\n", "malformed"],
  ["a name there that is longer than a length's", "POST /one HTTP/1.1\r\n Content-Lengthy: 5\r\n\r\n", "isolated"],
  ["a length that is folded to two", post("Content-Length: 5\r\n 5\r\n"), "malformed"],
  // Length.
  ["the same length twice", post(five + five), "isolated"],
  ["the same length in a list", post("Content-Length: 5, 5\r\n"), "isolated"],
  ["a length with zeros", post("Content-Length: 005\r\n"), "isolated"],
  ["a length behind a tab", post("Content-Length:\t5\r\n"), "isolated"],
  ["lengths that differ", post(`${five}Content-Length: 6\r\n`), "ambiguous_length"],
  [
    "a length beside a coding, which differs from itself",
    post(`${five}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n`, HELLO),
    "ambiguous_length",
  ],
  ["a sign", post("Content-Length: +5\r\n"), "malformed"],
  ["a control character in a length", post("Content-Length: 5\x0b\r\n"), "malformed"],
  ["a blank behind its name", post("Content-Length : 5\r\n"), "malformed"],
  ["a tab behind its name", post("Content-Length\t: 5\r\n"), "malformed"],
  ["a blank in its name", post("Content- Length: 5\r\n"), "malformed"],
  ["a control character before its name", post("\x01Content-Length: 5\r\n"), "malformed"],
  ["a control character in its name", post("Content\x01-Length: 5\r\n"), "malformed"],
  ["a blank that is not ASCII behind its name", post("Content-Length\xa0: 5\r\n"), "malformed"],
  ["DEL behind its name", post("Content-Length\x7f: 5\r\n"), "malformed"],
  ["NUL in its name", post("Content-Length\0: 5\r\n"), "malformed"],
  ["its name without a colon", post("Content-Length 5\r\n"), "malformed"],
  ["only its name", post("Content-Length\r\n"), "malformed"],
  ["its name as uWSGI reads it", post("Content_Length: 5\r\n", ""), "isolated"],
  ["its name in other dress", post("Content.Length: 5\r\n", ""), "isolated"],
  ["its name after another character than a letter", post("-Content-Length: 5\r\n", ""), "isolated"],
  ["its name and a slash", post("Content-Length/: 5\r\n", ""), "odd, isolated"],
  ["CONNECT with a length", `CONNECT a:1 HTTP/1.1\r\n${five}\r\nhello`, "ambiguous_length"],
  ["CONNECT with chunks", `CONNECT a:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${HELLO}`, "ambiguous_length"],
  ["CONNECT with a length of 0", "CONNECT a:1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "ordinary"],
  // Transfer codings.
  ["a coding and a length", post(`Transfer-Encoding: chunked\r\n${five}`, HELLO), "isolated"],
  ["a length and a coding", post(`Content-Length: 15\r\nTransfer-Encoding: chunked\r\n`, HELLO), "isolated"],
  [
    "a coding in HTTP/1.0",
    `POST /one HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${HELLO}`,
    "isolated",
  ],
  ["identity and a length", post(`Transfer-Encoding: identity\r\n${five}`), "isolated"],
  ["identity twice and a length", post(`Transfer-Encoding: Identity, identity\r\n${five}`), "isolated"],
  ["identity before chunked", post("Transfer-Encoding: identity, chunked\r\n", HELLO), "isolated"],
  ["another coding before chunked", post("Transfer-Encoding: gzip, chunked\r\n", HELLO), "isolated"],
  ["a comma before chunked", post("Transfer-Encoding: , chunked\r\n", HELLO), "isolated"],
  ["a comma behind chunked", post("Transfer-Encoding: chunked, ,\r\n", HELLO), "isolated"],
  ["a tab before chunked", post("Transfer-Encoding:\tchunked\r\n", HELLO), "isolated"],
  ["an empty field behind chunked", post("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", HELLO), "isolated"],
  ["its name as uWSGI reads it, too", post("Transfer_Encoding: chunked\r\n", ""), "isolated"],
  ["identity alone", get("Transfer-Encoding: identity\r\n"), "ambiguous_length"],
  ["identity behind chunked", post("Transfer-Encoding: chunked, identity\r\n", HELLO), "ambiguous_length"],
  ["identity behind another", post(`Transfer-Encoding: x, identity\r\n${five}`), "ambiguous_length"],
  ["an unknown coding and a length", post(`Transfer-Encoding: x\r\n${five}`), "ambiguous_length"],
  ["no coding and a length", post(`Transfer-Encoding:\r\n${five}`), "ambiguous_length"],
  ["chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", HELLO), "ambiguous_length"],
  ["a control character behind chunked", post("Transfer-Encoding: chunked\x0b\r\n", HELLO), "ambiguous_length"],
  ["a control character behind its name", post("Transfer-Encoding\x01: chunked\r\n", HELLO), "malformed"],
  ["its name, and the colon folded", post("Transfer-Encoding\r\n : chunked\r\n", HELLO), "malformed"],
  // Chunks.
  ["blanks behind a size (nginx, Go)", chunks("5 \t\r\nhello\r\n0  \r\n\r\n"), "odd"],
  ["an empty extension (nginx, Go, Java, Bun)", chunks("5;\r\nhello\r\n0;\r\n\r\n"), "odd"],
  ["an odd extension (nginx, Go, Java, Bun)", chunks("5;a=b/c:d\r\nhello\r\n0\r\n\r\n"), "odd"],
  ["control characters in an extension (nginx, Go, Java)", chunks("5;a\x01\x7f\r\nhello\r\n0\r\n\r\n"), "odd"],
  ["an open quote (nginx, Go, Java, Bun)", chunks('5;a="b\r\nhello\r\n0\r\n\r\n'), "odd"],
  ["no semicolon behind a blank (nginx)", chunks("5 a\r\nhello\r\n0\r\n\r\n"), "odd"],
  ["zeros before a size", chunks("0000000005\r\nhello\r\n0000\r\n\r\n"), "ordinary"],
  // Bun's server reads a trailer as a request.
  ["a trailer section", chunks("5\r\nhello\r\n0\r\nX: a\r\n\r\n"), "isolated"],
  [
    "a trailer section like a request",
    chunks("5\r\nhello\r\n0\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n"),
    "odd, isolated",
  ],
  ["a bare LF behind all chunks", chunks("5\r\nhello\r\n0\r\n\n"), "isolated"],
  ["a bare LF behind a size", chunks("5\nhello\r\n0\r\n\r\n"), "malformed"],
  ["a bare LF behind an extension", chunks("5;a\nhello\r\n0\r\n\r\n"), "malformed"],
  ["a bare LF behind data", chunks("5\r\nhello\n0\r\n\r\n"), "malformed"],
  ["a bare LF behind the last size", chunks("5\r\nhello\r\n0\n\r\n"), "malformed"],
  ["a bare CR in an extension", chunks("5;a\rb\r\nhello\r\n0\r\n\r\n"), "malformed"],
  ["NUL in an extension", chunks("5;a\0\r\nhello\r\n0\r\n\r\n"), "malformed"],
  ["NUL in a trailer", chunks("5\r\nhello\r\n0\r\nX: \0\r\n\r\n"), "malformed"],
  ["no size", chunks(" 5\r\nhello\r\n0\r\n\r\n"), "malformed"],
];

function check(input: string, fate: Fate): void {
  const isWhole = ["ordinary", "odd", "isolated", "odd, isolated"].includes(fate);
  const goesOn = isWhole || fate.endsWith("all is well");
  const middle = isWhole ? "whole" : `damaged ${fate.split(",")[0]}`;
  for (const pieces of splits(GOOD + input + GOOD)) {
    if (pieces.length === 3) continue;
    // `frame` checks that each byte is given once.
    const { events, requests } = frame(pieces);
    expect({ pieces, events }).toEqual({ pieces, events: ["whole", middle, ...(goesOn ? ["whole"] : [])] });
    expect(requests.map(({ text }) => text)).toEqual([GOOD, ...(isWhole ? [input] : []), ...(goesOn ? [GOOD] : [])]);
    for (const { text, isOdd, isIsolated } of requests) {
      const want = text === GOOD ? [false, false] : [fate.startsWith("odd"), fate.endsWith("isolated")];
      expect({ pieces, is: [isOdd, isIsolated] }).toEqual({ pieces, is: want });
    }
  }
}

describe("oddities", () => {
  for (const [what, input, fate] of oddities) test(`${what}: ${fate}`, () => check(input, fate));
});

describe("a head over the limit is skipped with its body, and counts once", () => {
  const LIMIT = 100;
  const long = "X: " + "x".repeat(LIMIT) + "\r\n";
  const cases: [what: string, input: string, goesOn: boolean][] = [
    ["no body", get(long), true],
    ["a long request line", line(`GET /${"x".repeat(LIMIT)} HTTP/1.1`), true],
    ["a body", post(`${five}${long}`), true],
    ["a body whose length comes beyond the limit", post(`${long}${five}`), true],
    [
      "chunks, with extensions and trailers also over the limit",
      post(`${long}Transfer-Encoding: chunked\r\n`, `5;${"a".repeat(LIMIT)}\r\nhello\r\n0\r\n${long}\r\n`),
      true,
    ],
    ["a request that would be isolated", post(`${long}${five}Transfer-Encoding: chunked\r\n`, HELLO), true],
    ["a NUL beyond the limit", post(`${long}X: \0\r\n${five}`), true],
    ["only a chunk's line is too long", chunks(`5;${"a".repeat(LIMIT)}\r\nhello\r\n0\r\n\r\n`), true],
    ["only a trailer section is too long", chunks(`${HELLO.slice(0, -2)}${long}\r\n`), true],
    ["lengths that differ beyond the limit", post(`${long}${five}Content-Length: 6\r\n`), false],
    ["a bare CR beyond the limit", post(`${long}X: \r-\r\n${five}`), false],
    ["an upgrade", get(`${long}Connection: upgrade\r\nUpgrade: x\r\n`), false],
    ["a method without an end", "X".repeat(2 * LIMIT), false],
    ["a chunk that is malformed beyond the limit", chunks(`5;${"a".repeat(LIMIT)}\n`), false],
  ];
  for (const [what, input, goesOn] of cases) {
    test(what, () => {
      for (const pieces of splits(GOOD + input + GOOD)) {
        if (pieces.length === 3) continue;
        const { events } = frame(pieces, { maxHeaderBytes: LIMIT });
        expect({ pieces, events }).toEqual({
          pieces,
          events: ["whole", "damaged header_too_long", ...(goesOn ? ["whole"] : [])],
        });
      }
    });
  }

  test("and none of its bytes is given beyond the limit", () => {
    const got = frame([GOOD, ...`${post(long + five)}`], { maxHeaderBytes: LIMIT });
    expect(got.givenBytes).toBeLessThanOrEqual(GOOD.length + LIMIT);
  });
});

test("empty lines, bytes out of step and bytes after the end are skipped", () => {
  const cases: [pieces: (string | number)[], skipped: number][] = [
    [[GOOD], 0],
    [["\r\n", GOOD, "\r\n\n"], 5],
    [[`\r\n${GOOD}\r\n`], 4],
    [[GOOD, 3, "abc", `x${GOOD}`, GOOD], 4 + GOOD.length],
    [[GOOD, 3, "GET /", "abc\r\n", GOOD], 10],
    [[GOOD, 3, "GET /", 3, GOOD], 5],
    [[GOOD, 3, "GET /"], 5],
    [["GET / HTTP/1.0\r\n\r\n", "\r\n", GOOD], 2 + GOOD.length],
    [[post("Content-Length: 9\r\n", "12"), 3, `6789${GOOD}`], 4],
    [[`${GOOD}GET /`, "x\r\n\r\n", GOOD], 5 + GOOD.length],
  ];
  for (const [pieces, skipped] of cases)
    expect({ pieces, skipped: frame(pieces).skippedBytes }).toEqual({ pieces, skipped });
});
