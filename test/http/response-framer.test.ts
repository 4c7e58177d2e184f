/** The ends of responses, ordinary and odd, whole and in all pieces. */
import { describe, expect, test } from "bun:test";
import { RESPONSE_HEAD_BYTES_MAX, ResponseFramer } from "../../src/http/response-framer.ts";
import { frameResponses, splits } from "./recorder.ts";

interface Case {
  name: string;
  input: string;
  want: string[];
  /** The methods of the requests that were sent; GET, if not given. */
  methods?: string[];
  /** The endpoint closes its side at the end. */
  ends?: boolean;
}

const ok = (fields: string, body = "") => `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;
const OK = ok("Content-Length: 2\r\n", "ok");
const CHUNKED = ok("Transfer-Encoding: chunked\r\n", "2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n");
const DONE = ["200", "complete"];
const CLOSED = ["200", "complete, closes"];

const cases: Case[] = [
  // Length (section 6.3).
  { name: "Content-Length", input: OK, want: DONE },
  { name: "Content-Length 0", input: ok("Content-Length: 0\r\n"), want: DONE },
  { name: "a body like a response", input: ok("Content-Length: 19\r\n", "HTTP/1.1 200 OK\r\n\r\n"), want: DONE },
  { name: "not all of the body", input: OK.slice(0, -1), want: ["200"], ends: true },
  { name: "chunked", input: CHUNKED, want: DONE },
  { name: "chunked behind another coding", input: ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), want: DONE },
  { name: "not all chunks", input: CHUNKED.slice(0, -2), want: ["200"], ends: true },
  {
    name: "until the connection ends",
    input: ok("Content-Type: x\r\n", "anything\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    want: CLOSED,
    ends: true,
  },
  { name: "until the connection ends, empty", input: ok(""), want: CLOSED, ends: true },
  { name: "until the connection ends, and it does not", input: ok("", "anything"), want: ["200"] },
  {
    name: "another coding last: until the connection ends",
    input: ok("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
    want: CLOSED,
    ends: true,
  },
  { name: "HEAD", input: ok("Content-Length: 2\r\n") + OK, methods: ["HEAD", "GET"], want: [...DONE, ...DONE] },
  { name: "HEAD of a chunked body", input: ok("Transfer-Encoding: chunked\r\n"), methods: ["HEAD"], want: DONE },
  {
    name: "204",
    input: `HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n${OK}`,
    methods: ["GET", "GET"],
    want: ["204", "complete", ...DONE],
  },
  {
    name: "304",
    input: `HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n${OK}`,
    methods: ["GET", "GET"],
    want: ["304", "complete", ...DONE],
  },
  { name: "100, then the response", input: `HTTP/1.1 100 Continue\r\n\r\n${OK}`, want: ["100", ...DONE] },
  {
    name: "several 1xx with fields",
    input: `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 P\r\n\r\n${OK}`,
    want: ["103", "102", ...DONE],
  },
  {
    name: "100 to HEAD",
    input: `HTTP/1.1 100 Continue\r\n\r\n${ok("Content-Length: 2\r\n")}`,
    methods: ["HEAD"],
    want: ["100", ...DONE],
  },
  {
    name: "101",
    input: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x81\x05hello",
    want: ["101", "upgraded"],
  },
  {
    name: "CONNECT",
    input: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nanything",
    methods: ["CONNECT"],
    want: ["200", "upgraded"],
  },
  {
    name: "CONNECT redirected",
    input: "HTTP/1.1 300 Multiple Choices\r\nContent-Length: 0\r\n\r\n",
    methods: ["CONNECT"],
    want: ["300", "complete"],
  },
  { name: "CONNECT, any 2xx", input: "HTTP/1.1 299 OK\r\n\r\n", methods: ["CONNECT"], want: ["299", "upgraded"] },
  {
    name: "CONNECT refused",
    input: "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
    methods: ["CONNECT"],
    want: ["403", "complete"],
  },
  { name: "Content-Length twice the same", input: ok("Content-Length: 2\r\nContent-Length: 2\r\n", "ok"), want: DONE },
  {
    name: "two that differ: the last one, once",
    input: ok("Content-Length: 3\r\nContent-Length: 2\r\n", "ok"),
    want: CLOSED,
  },
  { name: "a list: the first one", input: ok("Content-Length: 2, 3\r\n", "ok"), want: DONE },
  { name: "more bytes after it", input: ok("Content-Length: 2 bytes\r\n", "ok"), want: DONE },
  { name: "folded", input: ok("Content-Length:\r\n 2\r\n", "ok"), want: DONE },
  { name: "a blank before its colon (section 5.1)", input: ok("Content-Length : 2\r\n", "ok"), want: DONE },
  {
    name: "too large a number: until the connection ends",
    input: ok("Content-Length: 99999999999999999999\r\n", "ok"),
    want: CLOSED,
    ends: true,
  },
  {
    name: "similar names",
    input: ok(
      "Content_Length: 9\r\nContent Length: 9\r\nContent-Length x: 9\r\nX-Content-Length: 9\r\nContent-Length: 2\r\n",
      "ok",
    ),
    want: DONE,
  },
  { name: "no number", input: ok("Content-Length: two\r\n", "ok"), want: ["200", "malformed"] },
  {
    name: "Transfer-Encoding beats Content-Length, once",
    input: ok("Content-Length: 9\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    want: CLOSED,
  },
  {
    name: "Transfer-Encoding beats Content-Length 0, once",
    input: ok("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    want: CLOSED,
  },
  {
    name: "identity: by Content-Length, once",
    input: ok("Transfer-Encoding: identity\r\nContent-Length: 2\r\n", "ok"),
    want: CLOSED,
  },
  {
    name: "only identity: until the connection ends",
    input: ok("Transfer-Encoding: identity\r\n", "ok"),
    want: CLOSED,
    ends: true,
  },
  {
    name: "an unknown coding: by Content-Length, once",
    input: ok("Transfer-Encoding: x\r\nContent-Length: 2\r\n", "ok"),
    want: CLOSED,
  },
  {
    name: "chunked, said twice",
    input: ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
    want: DONE,
  },
  {
    name: "chunked in an odd form",
    input: ok("Transfer-Encoding: ,\tChunked ,\r\n", "2\r\nok\r\n0\r\n\r\n"),
    want: DONE,
  },
  // Chunks (section 7.1).
  { name: "blanks behind a size", input: ok("Transfer-Encoding: chunked\r\n", "2  \r\nok\r\n0\t\r\n\r\n"), want: DONE },
  { name: "an empty extension", input: ok("Transfer-Encoding: chunked\r\n", "2;\r\nok\r\n0;\r\n\r\n"), want: DONE },
  {
    name: "any extension",
    input: ok("Transfer-Encoding: chunked\r\n", '2;a="b\x01\r/\r\nok\r\n0xyz\r\n\r\n'),
    want: DONE,
  },
  { name: "bare LF", input: ok("Transfer-Encoding: chunked\r\n", "2\nok\n0;a\nX: y\n\n"), want: DONE },
  { name: "more CR than one", input: ok("Transfer-Encoding: chunked\r\n", "2\r\r\nok\r\r\n0\r\n\r\n"), want: DONE },
  {
    name: "odd trailers",
    input: ok("Transfer-Encoding: chunked\r\n", "0\r\n folded\r\nX : y\r\nno colon\r\n\r\n"),
    want: DONE,
  },
  { name: "no size", input: ok("Transfer-Encoding: chunked\r\n", " 2\r\nok\r\n"), want: ["200", "malformed"] },
  {
    name: "more data than the size",
    input: ok("Transfer-Encoding: chunked\r\n", "2\r\nokay\r\n"),
    want: ["200", "malformed"],
  },
  // The header section (section 5).
  { name: "a blank in a name", input: ok("X a: y\r\nX : y\r\nContent-Length: 2\r\n", "ok"), want: DONE },
  { name: "a name that is no token", input: ok("X[/\xe9]: y\r\n: y\r\nContent-Length: 2\r\n", "ok"), want: DONE },
  { name: "lines without a colon", input: ok("no colon\r\n<br />\r\nContent-Length: 2\r\n", "ok"), want: DONE },
  {
    name: "a PHP warning",
    input: ok("<b>Warning</b>:  Undefined index in <b>/a.php</b> on line <b>3</b><br />\nContent-Length: 2\r\n", "ok"),
    want: DONE,
  },
  { name: "a control character in a value", input: ok("X: a\x01\x7f\rb\r\nContent-Length: 2\r\n", "ok"), want: DONE },
  { name: "a blank before the first field", input: ok(" X: y\r\nContent-Length: 2\r\n", "ok"), want: DONE },
  { name: "NUL in a value", input: ok("X: a\0b\r\nContent-Length: 2\r\n", "ok"), want: ["200", "malformed"] },
  { name: "NUL in a name", input: ok("X\0: a\r\nContent-Length: 2\r\n", "ok"), want: ["200", "malformed"] },
  // The connection (section 9.3).
  { name: "Connection: close", input: ok("Connection: close\r\nContent-Length: 2\r\n", "ok"), want: CLOSED },
  {
    name: "nothing counts after it",
    input: ok("Connection: close\r\nContent-Length: 2\r\n", "ok") + OK,
    methods: ["GET", "GET"],
    want: CLOSED,
  },
  { name: "HTTP/1.0", input: "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", want: CLOSED },
  {
    name: "HTTP/1.0 that is kept",
    input: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    want: DONE,
  },
  {
    name: "HTTP/1.0 that is chunked",
    input: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    want: CLOSED,
  },
  {
    name: "several responses, in one piece and with empty lines between",
    input: `${OK}\r\n${CHUNKED}${OK}\r\n`,
    methods: ["GET", "POST", "GET"],
    want: [...DONE, ...DONE, ...DONE],
  },
  { name: "unasked", input: OK, methods: [], want: ["unsolicited 200"] },
  { name: "once more than asked", input: OK + OK, want: [...DONE, "unsolicited 200"] },
  {
    name: "408 before the connection is closed for idleness",
    input: "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
    methods: [],
    want: ["unsolicited 408"],
  },
  {
    name: "408 with a body, and more",
    input: `HTTP/1.1 408 Request Timeout\r\nContent-Length: 2\r\n\r\nno${OK}`,
    methods: [],
    want: ["unsolicited 408"],
    ends: true,
  },
  { name: "a part of one without a request", input: "HTTP/1.1 408", methods: [], want: [], ends: true },
  { name: "garbage without a request", input: "\0\x01\x02", methods: [], want: ["malformed"] },
  // The status line (section 4).
  { name: "no reason", input: "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", want: DONE },
  { name: "no reason, and no space", input: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", want: DONE },
  { name: "bare LF", input: "HTTP/1.1 200 OK\nContent-Length: 0\n\n", want: DONE },
  { name: "several spaces", input: "HTTP/1.1   200   OK\r\nContent-Length: 0\r\n\r\n", want: DONE },
  { name: "a reason that is not ASCII", input: "HTTP/1.1 200 \xc3\xb6k\tay\r\nContent-Length: 0\r\n\r\n", want: DONE },
  { name: "an unknown code", input: "HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n", want: ["799", "complete"] },
  { name: "no HTTP", input: "SSH-2.0-OpenSSH\r\n", want: ["malformed"] },
  { name: "another protocol", input: "ICY 200 OK\r\n\r\n", want: ["malformed"] },
  { name: "HTTP/2", input: "HTTP/2.0 200 OK\r\n\r\n", want: ["malformed"] },
  { name: "two digits of version", input: "HTTP/1.10 200 OK\r\n\r\n", want: ["malformed"] },
  { name: "a code of two digits", input: "HTTP/1.1 20 OK\r\n\r\n", want: ["malformed"] },
  { name: "a code of four digits", input: "HTTP/1.1 2000 OK\r\n\r\n", want: ["malformed"] },
  { name: "a code below 100", input: "HTTP/1.1 099 OK\r\n\r\n", want: ["malformed"] },
  { name: "no code", input: "HTTP/1.1 OK\r\n\r\n", want: ["malformed"] },
  {
    name: "control characters and a bare CR in the reason",
    input: "HTTP/1.1 200 O\x01\x7f\rK\r\nContent-Length: 0\r\n\r\n",
    want: DONE,
  },
  { name: "no space before the reason", input: "HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n", want: DONE },
  { name: "NUL", input: "HTTP/1.1 200 O\0K\r\n\r\n", want: ["malformed"] },
  { name: "a bad chunk", input: ok("Transfer-Encoding: chunked\r\n", "x\r\n"), want: ["200", "malformed"] },
  {
    name: "nothing counts after a malformed one",
    input: `x${OK}`,
    methods: ["GET", "GET"],
    want: ["malformed"],
    ends: true,
  },
  { name: "cut off", input: "HTTP/1.1 20", want: [], ends: true },
  { name: "closed before a response", input: "", want: [], ends: true },
];

describe("responses", () => {
  for (const { name, input, want, methods, ends } of cases) {
    test(name, () => {
      for (const pieces of splits(input)) {
        expect({ pieces, got: frameResponses(pieces, methods ?? ["GET"], ends ?? false) }).toEqual({
          pieces,
          got: want,
        });
      }
    });
  }

  test("a head of at most 256 KiB", () => {
    const head = (length: number) => `HTTP/1.1 200 OK\r\nX: ${"x".repeat(length - 43)}\r\nContent-Length: 0\r\n\r\n`;
    expect(head(100).length).toBe(100);
    expect(frameResponses([head(RESPONSE_HEAD_BYTES_MAX)], ["GET"], false)).toEqual(DONE);
    expect(frameResponses([head(RESPONSE_HEAD_BYTES_MAX + 1)], ["GET"], false)).toEqual(["200", "malformed"]);
    expect(frameResponses([`HTTP/1.1 200 ${"x".repeat(RESPONSE_HEAD_BYTES_MAX)}`], ["GET"], false)).toEqual([
      "malformed",
    ]);
    const several = head(RESPONSE_HEAD_BYTES_MAX / 2).repeat(4);
    expect(frameResponses([several], ["GET", "GET", "GET", "GET"], false)).toEqual([
      ...DONE,
      ...DONE,
      ...DONE,
      ...DONE,
    ]);
  });
});

/** The events of a tap for responses, with gaps in them, and the framing after them. */
describe("a tap", () => {
  const whole = (fields: string, body = "") => `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;
  const KEPT = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

  function tapped(input: (string | number)[], methods = ["GET", "GET"]) {
    const told: string[] = [];
    const sink = {
      status() {},
      complete: () => void told.push("complete"),
      upgraded: () => void told.push("upgraded"),
      unsolicited: () => void told.push("unsolicited"),
      malformed: () => void told.push("malformed"),
    };
    const add = (what: string, bytes: Uint8Array, from: number, to: number) => {
      const text = `${what} ${Buffer.from(bytes.subarray(from, to)).toString("latin1")}`;
      if (told.at(-1)?.startsWith(what) === true) told.push(told.pop()! + text.slice(what.length + 1));
      else told.push(text);
    };
    const framer = new ResponseFramer(sink, {
      begin: (at) => void told.push(`begin ${at}`),
      head: (bytes, from, to) => add("head", bytes, from, to),
      body: (bytes, from, to) => add("body", bytes, from, to),
    });
    for (const method of methods) framer.expect(method);
    for (const part of input) {
      const bytes = typeof part === "string" ? new TextEncoder().encode(part) : null;
      if (bytes !== null) framer.push(bytes, 0, bytes.length);
      else told.push(`gap ${framer.gap(part as number) ? "in step" : "out of step"}`);
    }
    framer.end();
    return told;
  }

  const CHUNKED_HEAD = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const rules: [name: string, input: (string | number)[], told: string[], methods?: string[]][] = [
    ["is given head and body", [`${KEPT}ok`], ["begin 0", `head ${KEPT}`, "body ok", "complete"]],
    [
      "is given them in pieces",
      [KEPT.slice(0, 9), `${KEPT.slice(9)}o`, "k"],
      ["begin 0", `head ${KEPT}`, "body ok", "complete"],
    ],
    [
      "gets a body without its chunks",
      [`${CHUNKED_HEAD}1\r\no\r\n1\r\nk\r\n0\r\nX: y\r\n\r\n`],
      ["begin 0", `head ${CHUNKED_HEAD}`, "body ok", "complete"],
    ],
    [
      "gets a body that ends with its connection",
      [whole("", "any"), "thing"],
      ["begin 0", `head ${whole("")}`, "body anything", "complete"],
    ],
    [
      "gets interim responses, and the place where each begins",
      [`\r\nHTTP/1.1 100 C\r\n\r\n${KEPT}ok`],
      ["begin 2", "head HTTP/1.1 100 C\r\n\r\n", "begin 20", `head ${KEPT}`, "body ok", "complete"],
    ],
    [
      "gets no body of HEAD",
      [whole("Content-Length: 5\r\n")],
      ["begin 0", `head ${whole("Content-Length: 5\r\n")}`, "complete"],
      ["HEAD"],
    ],
    [
      "a gap in a body of known length keeps step",
      [`${KEPT}o`, 1, `${KEPT}ok`],
      [
        "begin 0",
        `head ${KEPT}`,
        "body o",
        "complete",
        "gap in step",
        "begin 0",
        `head ${KEPT}`,
        "body ok",
        "complete",
      ],
    ],
    [
      "a gap beyond it does not",
      [`${KEPT}o`, 2, `${KEPT}ok`],
      ["begin 0", `head ${KEPT}`, "body o", "gap out of step"],
    ],
    [
      "a gap in the data of a chunk keeps step",
      [`${CHUNKED_HEAD}3\r\na`, 1, "b\r\n0\r\n\r\n"],
      ["begin 0", `head ${CHUNKED_HEAD}`, "body a", "gap in step", "body b", "complete"],
    ],
    [
      "a gap beyond it does not",
      [`${CHUNKED_HEAD}3\r\na`, 3, "b"],
      ["begin 0", `head ${CHUNKED_HEAD}`, "body a", "gap out of step"],
    ],
    [
      "a gap in a head does not",
      [KEPT.slice(0, 20), 1, "x"],
      ["begin 0", `head ${KEPT.slice(0, 20)}`, "gap out of step"],
    ],
    ["a gap between two does not", [3, KEPT], ["gap out of step"]],
    [
      "nothing can follow a body that ends with its connection",
      [whole("", "a"), 3, "b"],
      ["begin 0", `head ${whole("")}`, "body a", "gap in step", "body b", "complete"],
    ],
  ];

  test.each(rules.map(([name, input, told, methods = ["GET", "GET"]]) => [name, input, told, methods] as const))(
    "%s",
    (_name, input, told, methods) => expect(tapped([...input], [...methods])).toEqual([...told]),
  );
});
