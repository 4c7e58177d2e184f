/**
 * Bytes about which servers and proxies have disagreed: where does a request end? Each line of these tables is a
 * client's connection. `NNN` stands for the case's number. A request is named by its target (or X-Id), `NNN/NAME`. The
 * bytes contain `NNN/smuggled`, but in no allowed reading it is a request.
 */
export interface SmugglingCase {
  readonly kind: string;
  readonly name: string;
  /** The client's segments. */
  readonly segments: string[];
  /**
   * The names of the requests that must be forwarded, in order; with a question mark: it may be forwarded or not; with
   * an exclamation mark: isolated, alone on its connection.
   */
  readonly forwards: string;
}

const SMUGGLED = "GET /NNN/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const SIZE = SMUGGLED.length;
const HEX = SIZE.toString(16);
const B = "GET /NNN/b HTTP/1.1\r\nHost: a\r\n\r\n";
const C = "GET /NNN/c HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED = "Transfer-Encoding: chunked\r\n";
/** The smuggled request, as a chunked body. */
const IN_CHUNKS = `${HEX}\r\n${SMUGGLED}\r\n0\r\n\r\n`;
/** More than --max-header-bytes. */
const LONG = "x".repeat(70_000);

/** A request head with these field lines, each with its end. */
function head(fields: string, line = "POST /NNN/a HTTP/1.1"): string {
  return `${line}\r\nHost: a\r\n${fields}\r\n`;
}

type Row = [name: string, segments: string[], forwards: string];

/** A request, its body and another request: in one segment, in a segment each, and cut at every place. */
function ways(name: string, request: string, body: string, forwards: string): Row[] {
  const middle = request.length >> 1;
  return [
    [`${name}; in one segment`, [request + body + B], forwards],
    [`${name}; a segment each`, [request, body, B], forwards],
    [`${name}; cut in the head`, [request.slice(0, middle), request.slice(middle) + body, B], forwards],
  ];
}

/** Each byte is a segment; the case's number stays together, until it is known. */
function bytewise(text: string): string[] {
  return text.match(/NNN|[\s\S]/g)!;
}

/** The same with the body in its own segment. */
function apart(name: string, request: string, body: string, forwards: string): Row {
  return [name, [request, body, B], forwards];
}

/** Values of Content-Length that some servers read as SIZE, and others as another length or none. */
const BAD_LENGTHS: [string, string][] = [
  ["a plus sign", `+${SIZE}`],
  ["a minus sign", `-${SIZE}`],
  ["a minus sign and zero", "-0"],
  ["hexadecimal", `0x${HEX}`],
  ["hexadecimal without a prefix", "2A"],
  ["nothing", ""],
  ["a blank between digits", "4 2"],
  ["a tab between digits", "4\t2"],
  ["a point", `${SIZE}.0`],
  ["an exponent", "4e1"],
  ["quotes", `"${SIZE}"`],
  ["an underscore", "4_2"],
  ["letters behind", `${SIZE}abc`],
  ["a semicolon behind", `${SIZE};`],
  ["a list of different lengths", `${SIZE}, 0`],
  ["a list that begins with zero", `0, ${SIZE}`],
  ["a list with an empty member", `${SIZE},`],
  ["a list that begins empty", `,${SIZE}`],
  ["2^64 too much", "18446744073709551658"],
  ["2^128 too much", "340282366920938463463374607431768211498"],
  ["a vertical tab before", `\x0b${SIZE}`],
  ["a form feed before", `\x0c${SIZE}`],
  ["a vertical tab behind", `${SIZE}\x0b`],
  ["NUL behind", `${SIZE}\0`],
  ["NUL before", `\0${SIZE}`],
  ["a bare CR behind", `${SIZE}\r`],
  ["a bare CR before", `\r${SIZE}`],
  ["a bare CR between", `4\r2`],
  ["digits of another script", "\xd9\xa4\xd9\xa2"],
  ["the word chunked", "chunked"],
];

const lengths: Row[] = [
  ...BAD_LENGTHS.map(([name, value]) => apart(name, head(`Content-Length: ${value}\r\n`), SMUGGLED, "")),
  ...BAD_LENGTHS.slice(0, 6).map(([name, value]): Row => [
    `${name}; in one segment`,
    [head(`Content-Length: ${value}\r\n`) + SMUGGLED + B],
    "",
  ]),
  apart("leading zeros", head(`Content-Length: 000${SIZE}\r\n`), SMUGGLED, "a b"),
  apart("many leading zeros", head(`Content-Length: ${"0".repeat(30)}${SIZE}\r\n`), SMUGGLED, "a? b?"),
  apart("blanks around", head(`Content-Length: \t ${SIZE} \t\r\n`), SMUGGLED, "a b"),
  apart("no blank", head(`Content-Length:${SIZE}\r\n`), SMUGGLED, "a b"),
  apart("other case", head(`cOnTeNt-LeNgTh: ${SIZE}\r\n`), SMUGGLED, "a b"),
  apart("2^32 too much, and so not whole", head(`Content-Length: ${2 ** 32 + SIZE}\r\n`), SMUGGLED, ""),
  apart("2^63 too much", head(`Content-Length: 9223372036854775850\r\n`), SMUGGLED, ""),
  ...ways("two that differ", head(`Content-Length: ${SIZE}\r\nContent-Length: 0\r\n`), SMUGGLED, ""),
  ...ways("two that differ, zero first", head(`Content-Length: 0\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, ""),
  apart(
    "two that differ, apart and in other cases",
    head(`content-length: 0\r\nX: y\r\nCONTENT-LENGTH: ${SIZE}\r\n`),
    SMUGGLED,
    "",
  ),
  apart(
    "three, of which one differs",
    head(`Content-Length: ${SIZE}\r\nContent-Length: ${SIZE}\r\nContent-Length: 1\r\n`),
    SMUGGLED,
    "",
  ),
  apart("two, one of them empty", head(`Content-Length: ${SIZE}\r\nContent-Length:\r\n`), SMUGGLED, ""),
  apart("two, one with a sign", head(`Content-Length: ${SIZE}\r\nContent-Length: +${SIZE}\r\n`), SMUGGLED, ""),
  apart("two alike", head(`Content-Length: ${SIZE}\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, "a? b?"),
  apart("a list of two alike", head(`Content-Length: ${SIZE}, ${SIZE}\r\n`), SMUGGLED, "a? b?"),
  apart("two alike but for zeros", head(`Content-Length: ${SIZE}\r\nContent-Length: 0${SIZE}\r\n`), SMUGGLED, "a? b?"),
];

/** Names that some servers read as Content-Length. */
const NEAR_NAMES: [string, string][] = [
  ["a blank behind", "NAME :"],
  ["a tab behind", "NAME\t:"],
  ["a control character behind", "NAME\x01:"],
  ["a vertical tab behind", "NAME\x0b:"],
  ["a control character before", "\x01NAME:"],
  ["NUL behind", "NAME\0:"],
  ["NUL before", "\0NAME:"],
  ["a bare CR behind", "NAME\r:"],
  ["a bare CR before", "\rNAME:"],
  ["DEL behind", "NAME\x7f:"],
  ["a no-break space behind", "NAME\xa0:"],
];

const names: Row[] = [
  ...NEAR_NAMES.map(([name, pattern]) =>
    apart(
      `Content-Length, ${name}`,
      head(`X: y\r\n${pattern.replace("NAME", "Content-Length")} ${SIZE}\r\n`),
      SMUGGLED,
      "",
    ),
  ),
  ...NEAR_NAMES.map(([name, pattern]) =>
    apart(
      `Transfer-Encoding, ${name}`,
      head(`X: y\r\n${pattern.replace("NAME", "Transfer-Encoding")} chunked\r\n`),
      IN_CHUNKS,
      "",
    ),
  ),
  apart("a field of blanks first", `POST /NNN/a HTTP/1.1\r\n Content-Length: ${SIZE}\r\nHost: a\r\n\r\n`, SMUGGLED, ""),
  apart("a colon before Content-Length", head(`:Content-Length: ${SIZE}\r\n`), B, "a? b? b?"),
  apart("Content-Length without a colon", head(`Content-Length ${SIZE}\r\n`), SMUGGLED, ""),
  apart("Content_Length is another field", head(`Content_Length: ${SIZE}\r\n`), "", "a b"),
  apart("Content.Length is another field", head(`Content.Length: ${SIZE}\r\n`), "", "a b"),
  apart("X-Content-Length is another field", head(`X-Content-Length: ${SIZE}\r\n`), "", "a b"),
  apart("Transfer_Encoding is another field", head("Transfer_Encoding: chunked\r\n"), "", "a b"),
  apart("Transfer-Encoding2 is another field", head("Transfer-Encoding2: chunked\r\n"), "", "a b"),
];

const CODINGS: [string, string][] = [
  ["identity", "identity"],
  ["chunked, identity", "chunked, identity"],
  ["chunked twice in a list", "chunked, chunked"],
  ["a parameter", "chunked;q=1"],
  ["quotes", '"chunked"'],
  ["a letter before", "xchunked"],
  ["a letter behind", "chunkedx"],
  ["a vertical tab before", "\x0bchunked"],
  ["a vertical tab behind", "chunked\x0b"],
  ["a control character behind", "chunked\x01"],
  ["NUL behind", "chunked\0"],
  ["a bare CR before", "\rchunked"],
  ["a bare CR behind", "chunked\r"],
  ["nothing", ""],
  ["something else", "cow"],
  ["something else behind", "chunked, cow"],
  ["a blank inside", "chun ked"],
  ["a star", "*"],
];

const codings: Row[] = [
  ...CODINGS.map(([name, value]) => apart(name, head(`Transfer-Encoding: ${value}\r\n`), IN_CHUNKS, "")),
  apart("other case", head("tRANSFER-eNCODING: cHuNkEd\r\n"), IN_CHUNKS, "a b"),
  apart("no blank", head("Transfer-Encoding:chunked\r\n"), IN_CHUNKS, "a b"),
  apart("blanks around", head("Transfer-Encoding: \t chunked \t\r\n"), IN_CHUNKS, "a b"),
  apart("an empty member before", head("Transfer-Encoding: ,chunked\r\n"), IN_CHUNKS, "a? b?"),
  apart("an empty member behind", head("Transfer-Encoding: chunked,\r\n"), IN_CHUNKS, "a? b?"),
  apart("gzip before", head("Transfer-Encoding: gzip, chunked\r\n"), IN_CHUNKS, "a? b?"),
  apart("identity before", head("Transfer-Encoding: identity, chunked\r\n"), IN_CHUNKS, "a? b?"),
  apart("two fields, chunked and identity", head(`${CHUNKED}Transfer-Encoding: identity\r\n`), IN_CHUNKS, ""),
  apart("two fields, identity and chunked", head(`Transfer-Encoding: identity\r\n${CHUNKED}`), IN_CHUNKS, "a? b?"),
  apart("two fields, both chunked", head(CHUNKED + CHUNKED), IN_CHUNKS, ""),
  apart("two fields, chunked and something else", head(`${CHUNKED}Transfer-Encoding: cow\r\n`), IN_CHUNKS, ""),
  apart("with HTTP/1.0", head(CHUNKED, "POST /NNN/a HTTP/1.0"), IN_CHUNKS, "a!?"),
  apart(
    "with HTTP/1.0, kept alive",
    head(`Connection: keep-alive\r\n${CHUNKED}`, "POST /NNN/a HTTP/1.0"),
    IN_CHUNKS,
    "a!? b?",
  ),
  apart(
    "with HTTP/1.0 and a length",
    head(`Connection: keep-alive\r\nContent-Length: ${SIZE}\r\n${CHUNKED}`, "POST /NNN/a HTTP/1.0"),
    IN_CHUNKS,
    "a!? b?",
  ),
];

/** Both lengths: RFC 9112 lets the chunks win, and so do we, on an own connection. */
const both: Row[] = [
  ...ways("the length covers the chunks", head(`Content-Length: ${IN_CHUNKS.length}\r\n${CHUNKED}`), IN_CHUNKS, "a! b"),
  ...ways("the length is shorter than the chunks", head(`Content-Length: 4\r\n${CHUNKED}`), IN_CHUNKS, "a! b"),
  ...ways("the length is zero", head(`Content-Length: 0\r\n${CHUNKED}`), IN_CHUNKS, "a! b"),
  ...ways("the chunks first, the length shorter", head(`${CHUNKED}Content-Length: 4\r\n`), IN_CHUNKS, "a! b"),
  ...ways(
    "the length is longer than the chunks",
    head(`Content-Length: ${5 + B.length}\r\n${CHUNKED}`),
    "0\r\n\r\n",
    "a! b",
  ),
  apart("the length has a sign", head(`Content-Length: +4\r\n${CHUNKED}`), IN_CHUNKS, ""),
  apart("two lengths that differ", head(`Content-Length: 4\r\nContent-Length: 5\r\n${CHUNKED}`), IN_CHUNKS, ""),
  apart("identity and a length", head(`Transfer-Encoding: identity\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, "a! b"),
  apart("a length and identity", head(`Content-Length: ${SIZE}\r\nTransfer-Encoding: identity\r\n`), SMUGGLED, "a! b"),
  apart("something else and a length", head(`Transfer-Encoding: cow\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, ""),
  apart(
    "gzip, chunked and a length",
    head(`Transfer-Encoding: gzip, chunked\r\nContent-Length: 4\r\n`),
    IN_CHUNKS,
    "a? b?",
  ),
  apart(
    "xchunked and a length",
    head(`Transfer-Encoding: xchunked\r\nContent-Length: ${IN_CHUNKS.length}\r\n`),
    IN_CHUNKS,
    "",
  ),
  apart(
    "chunked with a vertical tab and a length",
    head(`Transfer-Encoding: \x0bchunked\r\nContent-Length: ${IN_CHUNKS.length}\r\n`),
    IN_CHUNKS,
    "",
  ),
  apart(
    "a blank behind Transfer-Encoding, and a length",
    head(`Transfer-Encoding : chunked\r\nContent-Length: ${IN_CHUNKS.length}\r\n`),
    IN_CHUNKS,
    "",
  ),
  apart("a blank behind Content-Length, and chunks", head(`Content-Length : 4\r\n${CHUNKED}`), IN_CHUNKS, ""),
  apart(
    "Transfer_Encoding and a length",
    head(`Transfer_Encoding: chunked\r\nContent-Length: ${SIZE}\r\n`),
    SMUGGLED,
    "a b",
  ),
];

/** A chunked body with this line of the first chunk. */
const firstLine = (line: string) => `${line}\r\n${SMUGGLED}\r\n0\r\n\r\n`;

const BAD_CHUNK_LINES: [string, string][] = [
  ["0x before", `0x${HEX}`],
  ["a plus sign", `+${HEX}`],
  ["a minus sign", `-${HEX}`],
  ["a blank before", ` ${HEX}`],
  ["a blank between digits", "2 9"],
  ["nothing", ""],
  ["an extension alone", ";a=b"],
  ["a letter that is no digit", `${HEX}g`],
  ["an underscore", "2_9"],
  ["a comma", `${HEX},`],
  ["quotes", `"${HEX}"`],
  ["a vertical tab behind", `${HEX}\x0b`],
  ["NUL behind", `${HEX}\0`],
  ["a bare CR behind", `${HEX}\r`],
  ["a bare CR before", `\r${HEX}`],
  ["2^64 too much", `100000000000000${HEX.padStart(2, "0")}`.padStart(17, "1")],
  ["2^68 too much", `f00000000000000000${HEX}`],
  ["NUL in the extension", `${HEX};a=\0`],
  ["a bare CR in the extension", `${HEX};a=\rb`],
];

const chunks: Row[] = [
  ...BAD_CHUNK_LINES.map(([name, line]) => apart(`size with ${name}`, head(CHUNKED), firstLine(line), "")),
  apart("size with leading zeros", head(CHUNKED), firstLine(`000${HEX}`), "a b"),
  apart("size with many leading zeros", head(CHUNKED), firstLine(`${"0".repeat(40)}${HEX}`), "a? b?"),
  apart("size in capitals", head(CHUNKED), firstLine(HEX.toUpperCase()), "a b"),
  apart("size with blanks behind", head(CHUNKED), firstLine(`${HEX}  `), "a b"),
  apart("size with an extension", head(CHUNKED), firstLine(`${HEX};a=b`), "a b"),
  apart("size with an empty extension", head(CHUNKED), firstLine(`${HEX};`), "a b"),
  apart("size with a quoted extension", head(CHUNKED), firstLine(`${HEX};a="b;c"`), "a b"),
  apart("2^32 too much, and so not whole", head(CHUNKED), firstLine(`100000${HEX.padStart(3, "0")}`), ""),
  apart("size's line ends in LF", head(CHUNKED), `${HEX}\n${SMUGGLED}\r\n0\r\n\r\n`, ""),
  apart("an extension with LF", head(CHUNKED), `${HEX};a\nb\r\n${SMUGGLED}\r\n0\r\n\r\n`, ""),
  apart("an extension with LF before a size", head(CHUNKED), `2;\nxx\r\n${HEX}\r\n0\r\n\r\n${SMUGGLED}0\r\n\r\n`, ""),
  apart("a quoted extension with CRLF", head(CHUNKED), `2;a="\r\nxx\r\n${HEX}\r\n${SMUGGLED}\r\n0\r\n\r\n`, "a? b?"),
  apart("data ends in LF", head(CHUNKED), `${HEX}\r\n${SMUGGLED}\n0\r\n\r\n`, ""),
  apart("data ends in CR", head(CHUNKED), `${HEX}\r\n${SMUGGLED}\r0\r\n\r\n`, ""),
  apart("data ends without a line end", head(CHUNKED), `${HEX}\r\n${SMUGGLED}0\r\n\r\n`, ""),
  apart("data ends in two other bytes", head(CHUNKED), `${HEX}\r\n${SMUGGLED}XX0\r\n\r\n`, ""),
  apart("data is longer than its size", head(CHUNKED), `5\r\nhello world\r\n0\r\n\r\n${SMUGGLED}`, ""),
  apart("last chunk ends in LF", head(CHUNKED), `2\r\nxx\r\n0\n\n${SMUGGLED}`, ""),
  apart("last chunk's empty line is LF", head(CHUNKED), "2\r\nxx\r\n0\r\n\n", "a! b"),
  apart("last chunk is 000", head(CHUNKED), `${HEX}\r\n${SMUGGLED}\r\n000\r\n\r\n`, "a b"),
  apart("last chunk is -0", head(CHUNKED), `${HEX}\r\n${SMUGGLED}\r\n-0\r\n\r\n`, ""),
  apart("last chunk is 0x0", head(CHUNKED), `${HEX}\r\n${SMUGGLED}\r\n0x0\r\n\r\n`, ""),
  apart("last chunk has an extension", head(CHUNKED), `${HEX}\r\n${SMUGGLED}\r\n0;a=b\r\n\r\n`, "a b"),
  apart("a trailer", head(CHUNKED), `${HEX}\r\n${SMUGGLED}\r\n0\r\nX: y\r\n\r\n`, "a b"),
  apart(
    "a trailer that names a length",
    head(CHUNKED),
    `${HEX}\r\n${SMUGGLED}\r\n0\r\nContent-Length: 3\r\n\r\n`,
    "a b",
  ),
  apart(
    "a trailer that names a coding",
    head(CHUNKED),
    `${HEX}\r\n${SMUGGLED}\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n`,
    "a b",
  ),
  apart("a request in the place of the trailer", head(CHUNKED), `2\r\nxx\r\n0\r\n${SMUGGLED}`, "a? b?"),
  apart("a trailer line with LF", head(CHUNKED), `2\r\nxx\r\n0\r\nX: y\n\r\n`, "a! b"),
  apart("a trailer with NUL", head(CHUNKED), `2\r\nxx\r\n0\r\nX: \0\r\n\r\n`, ""),
  apart("a trailer that is folded", head(CHUNKED), `2\r\nxx\r\n0\r\nX: y\r\n z\r\n\r\n`, "a? b?"),
  apart("a chunk line over the limit", head(CHUNKED), `2;${LONG}\r\nxx\r\n${HEX}\r\n${SMUGGLED}\r\n0\r\n\r\n`, "b?"),
  apart("trailers over the limit", head(CHUNKED), `2\r\nxx\r\n0\r\nX: ${LONG}\r\n\r\n`, "b?"),
  ...ways("well-formed", head(CHUNKED), IN_CHUNKS, "a b"),
  ["well-formed, byte by byte", bytewise(head(CHUNKED) + IN_CHUNKS + B), "a b"],
  ["not ended", [head(CHUNKED), `${HEX}\r\n${SMUGGLED}\r\n`], ""],
];

const lineEnds: Row[] = [
  apart("LF everywhere", "POST /NNN/a HTTP/1.1\nHost: a\n\n", "", "a? b?"),
  apart("LF everywhere, with a body", `POST /NNN/a HTTP/1.1\nHost: a\nContent-Length: ${SIZE}\n\n`, SMUGGLED, "a? b?"),
  apart("LF before Content-Length", head(`X: y\nContent-Length: ${SIZE}\r\n`), SMUGGLED, "a? b?"),
  apart("LF behind Content-Length", head(`Content-Length: ${SIZE}\nX: y\r\n`), SMUGGLED, "a? b?"),
  apart("LF before Transfer-Encoding", head("X: y\nTransfer-Encoding: chunked\r\n"), IN_CHUNKS, "a? b?"),
  apart("LF as the empty line", `POST /NNN/a HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\n`, SMUGGLED, "a? b?"),
  apart("CR before Content-Length", head(`X: y\rContent-Length: ${SIZE}\r\n`), SMUGGLED, ""),
  apart("CR before Transfer-Encoding", head("X: y\rTransfer-Encoding: chunked\r\n"), IN_CHUNKS, ""),
  apart("CR before a request line", head(`X: y\rGET /NNN/smuggled HTTP/1.1\r\n`), "", ""),
  apart("CR CR LF behind a field", head(`X: y\r\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, ""),
  apart(
    "CR CR LF as the empty line",
    `POST /NNN/a HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\r\n`,
    SMUGGLED,
    "",
  ),
  apart("CR behind the version", `POST /NNN/a HTTP/1.1\r\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n`, SMUGGLED, ""),
  apart("CR as the line end of all", `POST /NNN/a HTTP/1.1\rHost: a\rContent-Length: ${SIZE}\r\r`, SMUGGLED, ""),
  apart("LF CR as line ends", `POST /NNN/a HTTP/1.1\n\rHost: a\n\r\n\r`, SMUGGLED, ""),
  apart("NUL in a value", head(`X: a\0b\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, "b?"),
  apart("NUL in a name", head(`X\0: a\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, "b?"),
  apart("NUL in the target", head(`Content-Length: ${SIZE}\r\n`, "POST /NNN/a\0 HTTP/1.1"), SMUGGLED, "b?"),
  apart("NUL in the method", head(`Content-Length: ${SIZE}\r\n`, "PO\0ST /NNN/a HTTP/1.1"), SMUGGLED, "b?"),
  apart("a folded length", head(`Content-Length:\r\n ${SIZE}\r\n`), SMUGGLED, "a? b?"),
  apart("a length with a folded digit", head(`Content-Length: 4\r\n 2\r\n`), SMUGGLED, ""),
  apart("a folded coding", head("Transfer-Encoding:\r\n chunked\r\n"), IN_CHUNKS, "a? b?"),
  apart("a coding with a folded word", head("Transfer-Encoding: chunked\r\n ,identity\r\n"), IN_CHUNKS, ""),
  apart("a folded line that looks like a length", head(`X: y\r\n Content-Length: ${SIZE}\r\n`), C, "a? c? b?"),
  apart(
    "a line folded by a tab that looks like a length",
    head(`X: y\r\n\tContent-Length: ${SIZE}\r\n`),
    C,
    "a? c? b?",
  ),
  apart("a folded line that looks like a coding", head("X: y\r\n Transfer-Encoding: chunked\r\n"), IN_CHUNKS, "a?"),
  apart(
    "a line folded by a tab that looks like a coding",
    head("X: y\r\n\tTransfer-Encoding: chunked\r\n"),
    IN_CHUNKS,
    "a?",
  ),
  apart("a fold of blanks alone before a length", head(`X: y\r\n \r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, "a? b?"),
  apart(
    "a fold behind the request line",
    `POST /NNN/a HTTP/1.1\r\n X: y\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n`,
    SMUGGLED,
    "a? b?",
  ),
];

const others: Row[] = [
  apart(
    "CONNECT with a length",
    head(`Content-Length: ${SIZE}\r\nX-Id: NNN/a\r\n`, "CONNECT a:80 HTTP/1.1"),
    SMUGGLED,
    "",
  ),
  apart("CONNECT with chunks", head(`${CHUNKED}X-Id: NNN/a\r\n`, "CONNECT a:80 HTTP/1.1"), IN_CHUNKS, ""),
  apart(
    "CONNECT with a length of zero",
    head("Content-Length: 0\r\nX-Id: NNN/a\r\n", "CONNECT a:80 HTTP/1.1"),
    "",
    "a? b?",
  ),
  apart(
    "CONNECT with a length, in one segment",
    head(`Content-Length: ${SIZE}\r\nX-Id: NNN/a\r\n`, "CONNECT a:80 HTTP/1.1") + SMUGGLED,
    "",
    "",
  ),
  apart(
    "CONNECT with a path and a length",
    head(`Content-Length: ${SIZE}\r\n`, "CONNECT /NNN/a HTTP/1.1"),
    SMUGGLED,
    "",
  ),
  apart("CONNECT, declined", head("X-Id: NNN/a\r\n", "CONNECT a:80 HTTP/1.1"), "", "a? b?"),
  apart(
    "upgrade with a length",
    head(`Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: ${SIZE}\r\n`),
    SMUGGLED,
    "a b",
  ),
  apart("upgrade with chunks", head(`Connection: upgrade\r\nUpgrade: x\r\n${CHUNKED}`), IN_CHUNKS, "a b"),
  apart(
    "upgrade to h2c with a length",
    head(
      `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: ${SIZE}\r\n`,
    ),
    SMUGGLED,
    "a b",
  ),
  apart(
    "upgrade with GET and a length",
    head(`Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: ${SIZE}\r\n`, "GET /NNN/a HTTP/1.1"),
    SMUGGLED,
    "a b",
  ),
  apart(
    "upgrade with both lengths",
    head(`Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 4\r\n${CHUNKED}`),
    IN_CHUNKS,
    "a? b?",
  ),
  apart("upgrade without Connection", head(`Upgrade: websocket\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, "a b"),
  apart(
    "upgrade with HTTP/1.0",
    head(`Connection: upgrade, keep-alive\r\nUpgrade: x\r\nContent-Length: ${SIZE}\r\n`, "POST /NNN/a HTTP/1.0"),
    SMUGGLED,
    "a b",
  ),
  apart("Connection: close, then a request", head("Connection: close\r\nContent-Length: 0\r\n"), SMUGGLED, "a"),
  apart(
    "Connection: close among others, then a request",
    head("Connection: foo, Close ,bar\r\nContent-Length: 0\r\n"),
    SMUGGLED,
    "a",
  ),
  apart(
    "Connection: close and a body that is one",
    head(`Connection: close\r\nContent-Length: ${SIZE}\r\n`),
    SMUGGLED,
    "a",
  ),
  apart(
    "Connection: close and keep-alive",
    head("Connection: close, keep-alive\r\nContent-Length: 0\r\n"),
    SMUGGLED,
    "a",
  ),
  apart("HTTP/1.0, then a request", head("Content-Length: 0\r\n", "POST /NNN/a HTTP/1.0"), SMUGGLED, "a"),
  apart(
    "HTTP/1.0 kept alive",
    head("Connection: keep-alive\r\nContent-Length: 0\r\n", "POST /NNN/a HTTP/1.0"),
    "",
    "a b",
  ),
  apart(
    "Connection: content-length",
    head(`Connection: content-length\r\nContent-Length: ${SIZE}\r\n`),
    SMUGGLED,
    "a b",
  ),
  apart("Connection: transfer-encoding", head(`Connection: transfer-encoding\r\n${CHUNKED}`), IN_CHUNKS, "a b"),
  apart("Expect with a length", head(`Expect: 100-continue\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, "a b"),
  apart("Expect with chunks", head(`Expect: 100-continue\r\n${CHUNKED}`), IN_CHUNKS, "a b"),
  apart("Expect without a body", head("Expect: 100-continue\r\n", "GET /NNN/a HTTP/1.1"), "", "a b"),
  apart("Expect of something else", head(`Expect: x\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, "a b"),
  apart(
    "Expect twice",
    head(`Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: ${SIZE}\r\n`),
    SMUGGLED,
    "a b",
  ),
  apart(
    "Expect with HTTP/1.0",
    head(`Connection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: ${SIZE}\r\n`, "POST /NNN/a HTTP/1.0"),
    SMUGGLED,
    "a b",
  ),
  ...["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH", "PROPFIND"].flatMap((method) => [
    apart(`${method} with a body`, head(`Content-Length: ${SIZE}\r\n`, `${method} /NNN/a HTTP/1.1`), SMUGGLED, "a b"),
    apart(`${method} with chunks`, head(CHUNKED, `${method} /NNN/a HTTP/1.1`), IN_CHUNKS, "a b"),
  ]),
  apart("TRACE with a body", head(`Content-Length: ${SIZE}\r\n`, "TRACE /NNN/a HTTP/1.1"), SMUGGLED, "a b"),
  apart("POST without a length", head(""), "", "a b"),
];

const lines: Row[] = [
  apart("HTTP/0.9", "GET /NNN/a\r\n", SMUGGLED, ""),
  apart("HTTP/0.9 with fields behind", "GET /NNN/a\r\nHost: a\r\n\r\n", SMUGGLED, ""),
  ...[
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/3",
    "HTTP/1",
    "HTTP/1.",
    "HTTP/01.1",
    "HTTP/1.01",
    "HTTP/1,1",
    "http/1.1",
    "HTTPS/1.1",
    "ICE/1.0",
    "HTTP/1.1x",
    "HTTP /1.1",
    "HTTP/+1.1",
  ].map((version) =>
    apart(`version ${version}`, head(`Content-Length: ${SIZE}\r\n`, `POST /NNN/a ${version}`), SMUGGLED, "a? b?"),
  ),
  apart("version HTTP/1.2", head(`Content-Length: ${SIZE}\r\n`, "POST /NNN/a HTTP/1.2"), SMUGGLED, "a? b?"),
  apart("two versions", head(`Content-Length: ${SIZE}\r\n`, "POST /NNN/a HTTP/1.1 HTTP/1.1"), SMUGGLED, "a? b?"),
  apart("a request within the target", head("", "GET /NNN/a HTTP/1.1 /NNN/smuggled HTTP/1.1"), "", "a? b?"),
  apart(
    "two blanks before the target",
    head(`Content-Length: ${SIZE}\r\n`, "POST  /NNN/a HTTP/1.1"),
    SMUGGLED,
    "a? b?",
  ),
  apart(
    "two blanks before the version",
    head(`Content-Length: ${SIZE}\r\n`, "POST /NNN/a  HTTP/1.1"),
    SMUGGLED,
    "a? b?",
  ),
  apart("a tab for a blank", head(`Content-Length: ${SIZE}\r\n`, "POST\t/NNN/a\tHTTP/1.1"), SMUGGLED, "a? b?"),
  apart("a form feed for a blank", head(`Content-Length: ${SIZE}\r\n`, "POST\x0c/NNN/a\x0cHTTP/1.1"), SMUGGLED, "b?"),
  apart("blanks before the method", head(`Content-Length: ${SIZE}\r\n`, "  POST /NNN/a HTTP/1.1"), SMUGGLED, "a? b?"),
  apart("empty lines before the method", `\r\n\r\n${head(`Content-Length: ${SIZE}\r\n`)}`, SMUGGLED, "a b"),
  apart("LF before the method", `\n${head(`Content-Length: ${SIZE}\r\n`)}`, SMUGGLED, "a b"),
  apart("NUL before the method", `\0${head(`Content-Length: ${SIZE}\r\n`)}`, SMUGGLED, ""),
  apart("a method in small letters", head(`Content-Length: ${SIZE}\r\n`, "post /NNN/a HTTP/1.1"), SMUGGLED, "a? b?"),
  apart("a method with a blank", head(`Content-Length: ${SIZE}\r\n`, "PO ST /NNN/a HTTP/1.1"), SMUGGLED, "a? b?"),
  apart("a method with a colon", head(`Content-Length: ${SIZE}\r\n`, "POST: /NNN/a HTTP/1.1"), SMUGGLED, "a? b?"),
  apart("an unknown method", head(`Content-Length: ${SIZE}\r\n`, "FROB /NNN/a HTTP/1.1"), SMUGGLED, "a b"),
  apart(
    "HTTP/2's preface between requests",
    "GET /NNN/a HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    SMUGGLED,
    "a",
  ),
  apart(
    "absolute-form and another Host",
    head(`Content-Length: ${SIZE}\r\n`, "POST http://b/NNN/a HTTP/1.1"),
    SMUGGLED,
    "a b",
  ),
  apart(
    "absolute-form, two Hosts",
    head(`Host: c\r\nContent-Length: ${SIZE}\r\n`, "POST http://b/NNN/a HTTP/1.1"),
    SMUGGLED,
    "a? b?",
  ),
  apart(
    "absolute-form of another scheme",
    head(`Content-Length: ${SIZE}\r\n`, "POST gopher://b/NNN/a HTTP/1.1"),
    SMUGGLED,
    "a b",
  ),
  apart(
    "absolute-form with userinfo",
    head(`Content-Length: ${SIZE}\r\n`, "POST http://u@b/NNN/a HTTP/1.1"),
    SMUGGLED,
    "a b",
  ),
  apart("two Hosts", head(`Host: b\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, "a? b?"),
  apart("no Host", `POST /NNN/a HTTP/1.1\r\nContent-Length: ${SIZE}\r\n\r\n`, SMUGGLED, "a? b?"),
  apart("an empty Host", `POST /NNN/a HTTP/1.1\r\nHost:\r\nContent-Length: ${SIZE}\r\n\r\n`, SMUGGLED, "a? b?"),
  apart(
    "a Host that is a list",
    `POST /NNN/a HTTP/1.1\r\nHost: a, b\r\nContent-Length: ${SIZE}\r\n\r\n`,
    SMUGGLED,
    "a? b?",
  ),
  apart("a fragment in the target", head(`Content-Length: ${SIZE}\r\n`, "POST /NNN/a#b HTTP/1.1"), SMUGGLED, "a? b?"),
  apart(
    "a control character in the target",
    head(`Content-Length: ${SIZE}\r\n`, "POST /NNN/a\x01 HTTP/1.1"),
    SMUGGLED,
    "a? b?",
  ),
  apart("a bare CR in the target", head(`Content-Length: ${SIZE}\r\n`, "POST /NNN/a\rb HTTP/1.1"), SMUGGLED, ""),
];

/** Damage, and behind it a segment that begins like a request, but is the damaged request's body. */
const damage: Row[] = [
  ["no request at all, then a segment like one", ["blah blah\r\n\r\n", SMUGGLED], ""],
  ["a field's colon first, then a body", [head(`: y\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, B], "a? b?"],
  ["a line without a colon, then a body", [head(`no colon\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, B], "a? b?"],
  ["a line without a colon behind the length", [head(`Content-Length: ${SIZE}\r\nno colon\r\n`), SMUGGLED, B], "a? b?"],
  ["brackets in a name, then a body", [head(`X[0]: y\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, B], "a b"],
  [
    "a control character in a value, then a body",
    [head(`X: a\x01b\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, B],
    "a b",
  ],
  ["a head over the limit, its length before", [head(`Content-Length: ${SIZE}\r\nX: ${LONG}\r\n`), SMUGGLED, B], "b"],
  ["a head over the limit, its coding before", [head(`${CHUNKED}X: ${LONG}\r\n`), IN_CHUNKS, B], "b?"],
  ["a head over the limit, its length behind", [head(`X: ${LONG}\r\nContent-Length: ${SIZE}\r\n`), SMUGGLED, B], "b?"],
  ["a head over the limit without a body", [head(`X: ${LONG}\r\n`, "GET /NNN/a HTTP/1.1"), B], "b?"],
  [
    "a head over the limit with a request in a value",
    [head(`X: ${LONG}`).slice(0, 66_000), SMUGGLED, `\r\n\r\n${B}`],
    "b?",
  ],
  [
    "a head over the limit of many fields",
    [head(`Content-Length: ${SIZE}\r\n${"X: yyyyyyyyyy\r\n".repeat(5000)}`), SMUGGLED, B],
    "b",
  ],
  [
    "a target over the limit, with a body",
    [head(`Content-Length: ${SIZE}\r\n`, `POST /NNN/a?${LONG} HTTP/1.1`), SMUGGLED, B],
    "b?",
  ],
  [
    "contradicting lengths, then many segments like requests",
    [head("Content-Length: 1\r\nContent-Length: 2\r\n"), SMUGGLED, SMUGGLED, SMUGGLED],
    "",
  ],
  [
    "an odd coding, then a body in pieces",
    [head("Transfer-Encoding: cow\r\n"), SMUGGLED.slice(0, 10), SMUGGLED.slice(10)],
    "",
  ],
  ["a bad chunk size, then segments like requests", [head(CHUNKED), "zz\r\n", SMUGGLED, SMUGGLED], ""],
  ["a bad chunk between good ones", [head(CHUNKED), "2\r\nxx\r\n", "zz\r\n", SMUGGLED], ""],
  [
    "a good request, then a damaged one in the same segment",
    [B.replace("/b", "/a") + head("Content-Length: 1\r\nContent-Length: 2\r\n", "POST /NNN/c HTTP/1.1"), SMUGGLED],
    "a",
  ],
  [
    "a good request, then a malformed chunk in the same segment",
    [B.replace("/b", "/a") + head(CHUNKED, "POST /NNN/c HTTP/1.1") + "zz\r\n", SMUGGLED],
    "a",
  ],
  ["cut off in a body", [head(`Content-Length: ${SIZE + 100}\r\n`), SMUGGLED], ""],
  ["cut off in the head", ["POST /NNN/a HTTP/1.1\r\nHost: a\r\n", "X: y\r\n"], ""],
];

/** Correct requests: the text that looks like a request is a body. */
const wellFormed: Row[] = [
  ...ways("a length", head(`Content-Length: ${SIZE}\r\n`), SMUGGLED, "a b"),
  ["a length, byte by byte", bytewise(head(`Content-Length: ${SIZE}\r\n`) + SMUGGLED + B), "a b"],
  [
    "a length, the body cut before a request line",
    [`${head(`Content-Length: ${SIZE + 4}\r\n`)}\r\n\r\n`, SMUGGLED, B],
    "a b",
  ],
  ["many in one segment", [Array.from("abcdefgh", (id) => B.replace("/b", `/${id}`)).join("")], "a b c d e f g h"],
  ["empty lines between requests", [`${B.replace("/b", "/a")}\r\n\r\n\n${B}`], "a b"],
  ["a body that is a response", [head("Content-Length: 19\r\n") + "HTTP/1.1 200 OK\r\n\r\n" + B], "a b"],
];

const TABLES: Record<string, Row[]> = {
  lengths: lengths,
  "names of lengths": names,
  "transfer codings": codings,
  "both a length and chunks": both,
  chunks: chunks,
  "line ends and folding": lineEnds,
  "CONNECT, upgrades, ends, expectations, bodies": others,
  "request lines and Host": lines,
  "behind damage": damage,
  "well-formed": wellFormed,
};

const NUMBER_DIGITS = 3;

/** All cases; each has a number, which is in its requests' targets. */
export const SMUGGLING_CASES: SmugglingCase[] = Object.entries(TABLES)
  .flatMap(([kind, rows]) => rows.map(([name, segments, forwards]) => ({ kind, name, segments, forwards })))
  .map(({ segments, ...rest }, number) => ({
    ...rest,
    segments: segments.filter((each) => each !== "").map((each) => each.replaceAll("NNN", numbered(number))),
  }));

/** The form of a case's number in its targets. */
export function numbered(number: number): string {
  return String(number).padStart(NUMBER_DIGITS, "0");
}
