/** Other protocols than HTTP/1 on the mirrored port. */
import { describe, expect, test } from "bun:test";
import { V1_BYTES_MAX } from "../../src/http/proxy-protocol.ts";
import { frame, type Piece, splits } from "./recorder.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS = "\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
const HEADERS = "\0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84";
const HELLO = "\x16\x03\x01\0\x05\x01\0\0\x01\0";
const DATA_RECORD = "\x17\x03\x03\0\x06secret";
const ALERT_RECORD = "\x15\x03\x03\0\x02\x01\0";
const GET = "GET / HTTP/1.1\r\n\r\n";

const fromStart: [name: string, input: string, want: string][] = [
  ["TLS", HELLO, "foreign tls"],
  ["TLS that goes on", HELLO + DATA_RECORD + GET, "foreign tls"],
  ["HTTP/2 with prior knowledge", PREFACE + SETTINGS + HEADERS, "foreign http2"],
  ["SSH", "SSH-2.0-OpenSSH_9.6 Debian\r\n", "foreign unknown"],
  ["SMTP", "EHLO mail.example.com\r\n", "foreign unknown"],
  ["Redis", "*1\r\n$4\r\nPING\r\n", "foreign unknown"],
  [
    "a malformed PROXY protocol header",
    "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\nGET / HTTP/1.1\r\n\r\n",
    "foreign unknown",
  ],
  ["binary", "\0\x01\x02\x03", "foreign unknown"],
  ["bytes that begin like TLS", "\x16\x04\x01\0\x05", "foreign unknown"],
  ["bytes that begin like HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", "foreign unknown"],
  ["HTTP/2's method with HTTP/1's version", "PRI * HTTP/1.1\r\n\r\n", "foreign unknown"],
  ["a space first", ` ${GET}`, "foreign unknown"],
  ["a line without an end", "A".repeat(300), "foreign unknown"],
];

describe("from the first byte", () => {
  for (const [name, input, want] of fromStart) {
    test(`${name}: all bytes pass`, () => {
      for (const pieces of splits(input)) {
        const got = frame(pieces, { maxHeaderBytes: 200 });
        expect({ pieces, events: got.events }).toEqual({ pieces, events: [want] });
        expect(got.given).toBe(input);
        expect(got.copiedBytes).toBeLessThanOrEqual(V1_BYTES_MAX);
      }
    });
  }

  const methods = ["P", "PR", "PRIX", "PUT", "POST", "PROPFIND", "PRINT"];
  for (const method of methods) {
    test(`${method} is a request like any other, although it begins as HTTP/2 does`, () => {
      const input = `${method} * HTTP/1.1\r\n\r\n`;
      for (const pieces of splits(input)) {
        const got = frame(pieces);
        expect({ pieces, texts: got.requests.map((request) => request.text) }).toEqual({ pieces, texts: [input] });
        expect(got.requests[0]).toMatchObject({ method, headLength: input.length });
      }
    });
  }

  test("bytes that were meant as HTTP are damaged, not foreign, and no later bytes are guessed to be a request", () => {
    for (const line of ["GET /", "POST / HTTP/3.0", "DELETE x http/1.1", "GET / HTTP/1.1 x"]) {
      expect(frame([`${line}\r\n\r\n`, GET]).events).toEqual(["damaged malformed"]);
    }
  });

  test("holes in another protocol change nothing", () => {
    const got = frame([PREFACE, 5, HEADERS]);
    expect(got.events).toEqual(["foreign http2"]);
    expect(got.given).toBe(PREFACE + HEADERS);
  });

  test("after a request nothing is foreign", () => {
    for (const input of [HELLO, PREFACE, "\0"])
      expect(frame([GET, input, GET]).events).toEqual(["whole", "damaged malformed"]);
  });

  test("nor after an empty line", () => {
    expect(frame(["\r\n", HELLO, GET]).events).toEqual(["damaged malformed"]);
  });
});

const record = (type: number, minor: number, length: number) =>
  String.fromCharCode(type, 3, minor, length >> 8, length & 0xff) + "x".repeat(length);
const http2Frame = (length: number, type: number, flags: number, stream: number) =>
  String.fromCharCode(0, length >> 8, length & 0xff, type, flags, stream, 0, 0, 1) + "x".repeat(length);
const BODY = ["damaged gap", "whole"];

const pickedUp: [name: string, pieces: Piece[], want: string[]][] = [
  ["TLS records", [DATA_RECORD, DATA_RECORD], ["foreign tls"]],
  ["TLS records in one segment", [ALERT_RECORD + DATA_RECORD], ["foreign tls"]],
  ["TLS, first within a record", ["ret", "secret", DATA_RECORD, GET], ["foreign tls"]],
  ["TLS after a hole", [3, DATA_RECORD], ["damaged gap", "foreign tls"]],
  ["TLS records of all types", [record(20, 0, 1) + record(23, 4, 1)], ["foreign tls"]],
  ["the longest TLS record", [record(23, 3, 18_432)], ["foreign tls"]],
  ["a longer one", [record(23, 3, 18_433), GET], BODY],
  ["an empty one", [`${record(23, 3, 0)}${record(23, 3, 1)}`, GET], BODY],
  ["TLS records of unknown types", [record(19, 3, 5), record(24, 3, 5), GET], BODY],
  ["a TLS record of an unknown version", [record(23, 5, 5), GET], BODY],
  ["a TLS record that ends elsewhere", [`${DATA_RECORD}more`, DATA_RECORD.slice(0, -1), GET], BODY],
  ["a TLS record's header and no more", [DATA_RECORD.slice(0, 5), GET], BODY],
  ["HTTP/2 frames", [HEADERS + SETTINGS, HEADERS], ["foreign http2"]],
  ["HTTP/2's preface", [PREFACE], ["foreign http2"]],
  ["HTTP/2's preface and more", [`${PREFACE}\0\0`], ["foreign http2"]],
  ["HTTP/2's preface, incomplete", [PREFACE.slice(0, -1), GET], BODY],
  ["a long HTTP/2 frame", [http2Frame(1000, 0, 1, 0)], ["foreign http2"]],
  ["an HTTP/2 frame on the last stream there can be", [http2Frame(1, 0x0c, 0x2d, 0x7f)], ["foreign http2"]],
  ["a HTTP/2 priority update", [http2Frame(5, 0x10, 0, 0)], ["foreign http2"]],
  ["an HTTP/2 frame's header only", [http2Frame(0, 4, 1, 0)], ["foreign http2"]],
  ["an HTTP/2 frame on no stream", [http2Frame(1, 0, 1, 0x80), GET], BODY],
  ["an HTTP/2 frame of an unknown type", [http2Frame(1, 0x0d, 1, 0), http2Frame(1, 0x11, 1, 0), GET], BODY],
  ["an HTTP/2 frame with an unknown flag", [http2Frame(1, 0, 2, 0), GET], BODY],
  ["an HTTP/2 frame that ends elsewhere", [`${HEADERS}more`, HEADERS.slice(0, -1), GET], BODY],
  ["HTTP first: a body may hold anything", [GET, 5, DATA_RECORD, HEADERS, GET], ["whole", "damaged gap", "whole"]],
];

describe("joined in the middle", () => {
  for (const [name, pieces, want] of pickedUp) {
    test(name, () => {
      const got = frame(pieces, { late: true });
      expect(got.events).toEqual(want);
      // From there on, all bytes pass; none before.
      if (want.at(-1)!.startsWith("foreign"))
        expect(pieces.join("").endsWith(got.given) && got.given.length > 0).toBe(true);
    });
  }
});
