/** PROXY protocol headers before the first request. */
import { describe, expect, test } from "bun:test";
import { DONE, MALFORMED, MORE } from "../../src/http/outcome.ts";
import { NO_HEADER, ProxyHeader, V1_BYTES_MAX, V2_LENGTH_MAX } from "../../src/http/proxy-protocol.ts";
import { frame, type Piece, splits } from "./recorder.ts";

const GET = "GET / HTTP/1.1\r\n\r\n";
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HELLO = "\x16\x03\x01\0\x05\x01\0\0\x01\0";

const text = (...bytes: number[]) => String.fromCharCode(...bytes);
function v2(versionCommand: number, family: number, payload: string, length = payload.length): string {
  return `\r\n\r\n\0\r\nQUIT\n${text(versionCommand, family, length >> 8, length & 0xff)}${payload}`;
}
const PORTS = text(0x1f, 0x90, 0, 80);
const IPV4 = text(192, 0, 2, 1, 192, 0, 2, 2) + PORTS;
const IPV6 =
  text(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) + text(...new Array<number>(15).fill(0), 1) + PORTS;
const TLV = "\x03\0\x04\x12\x34\x56\x78";

const headers: [name: string, header: string, client: string | null][] = [
  ["version 1, IPv4", "PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\r\n", "192.0.2.1"],
  ["version 1, IPv6", "PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 8080 80\r\n", "2001:db8::1"],
  ["version 1, IPv4 as IPv6", "PROXY TCP6 ::ffff:192.0.2.1 ::1 8080 80\r\n", "192.0.2.1"],
  ["version 1, the extreme ports", "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0"],
  ["version 1, unknown", "PROXY UNKNOWN\r\n", null],
  ["version 1, unknown, with bytes to ignore", "PROXY UNKNOWN ffff:: ffff:: 1 2 and more\r\n", null],
  ["version 1, as long as it may be", `PROXY UNKNOWN ${"x".repeat(V1_BYTES_MAX - 16)}\r\n`, null],
  ["version 2, IPv4", v2(0x21, 0x11, IPV4), "192.0.2.1"],
  ["version 2, IPv4 and extensions", v2(0x21, 0x11, IPV4 + TLV), "192.0.2.1"],
  ["version 2, IPv4 by UDP", v2(0x21, 0x12, IPV4), "192.0.2.1"],
  ["version 2, IPv6", v2(0x21, 0x21, IPV6), "2001:db8::1"],
  ["version 2, a path", v2(0x21, 0x31, "x".repeat(216)), null],
  ["version 2, unspecified", v2(0x21, 0x00, ""), null],
  ["version 2, unspecified, with extensions", v2(0x21, 0x00, TLV), null],
  ["version 2, local", v2(0x20, 0x00, ""), null],
  ["version 2, local, with bytes to ignore", v2(0x20, 0xff, "\r\nGET"), null],
  ["version 2, as long as it may be", v2(0x21, 0x11, IPV4 + "x".repeat(V2_LENGTH_MAX - IPV4.length)), "192.0.2.1"],
];

const malformed: [name: string, header: string][] = [
  ["an unknown family", "PROXY UDP4 192.0.2.1 192.0.2.2 8080 80\r\n"],
  ["an address too few", "PROXY TCP4 192.0.2.1 8080 80\r\n"],
  ["a blank too many", "PROXY TCP4  192.0.2.1 192.0.2.2 8080 80\r\n"],
  ["no address", "PROXY TCP4 192.0.2.256 192.0.2.2 8080 80\r\n"],
  ["no destination", "PROXY TCP4 192.0.2.1 192.0.2 8080 80\r\n"],
  ["a zero before a number", "PROXY TCP4 192.0.2.1 192.0.2.2 080 80\r\n"],
  ["an address of the other family", "PROXY TCP6 192.0.2.1 ::1 8080 80\r\n"],
  ["an invalid port", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n"],
  ["an invalid destination port", "PROXY TCP4 192.0.2.1 192.0.2.2 80 65536\r\n"],
  ["a bare LF", "PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\n"],
  ["a line too long by a byte", `PROXY UNKNOWN ${"x".repeat(V1_BYTES_MAX - 15)}\r\n`],
  ["another version", v2(0x11, 0x11, IPV4)],
  ["an unknown command", v2(0x22, 0x11, IPV4)],
  ["an unknown family, in version 2", v2(0x21, 0x41, IPV4)],
  ["an unknown transport", v2(0x21, 0x13, IPV4)],
  ["addresses cut short", v2(0x21, 0x11, IPV4.slice(1))],
  ["longer than we take", v2(0x21, 0x11, "", V2_LENGTH_MAX + 1)],
];

const behind: [name: string, rest: string, want: string[]][] = [
  ["requests", GET + GET, ["whole", "whole"]],
  ["empty lines and a request", `\r\n${GET}`, ["whole"]],
  ["TLS", HELLO, ["foreign tls"]],
  ["HTTP/2", `${PREFACE}\0\0`, ["foreign http2"]],
  ["no HTTP", "SSH-2.0-OpenSSH_9.6\r\n", ["foreign unknown"]],
  ["nothing", "", []],
  ["a second one", "PROXY UNKNOWN\r\n", ["foreign unknown"]],
];

/** The text in one piece, in two at every place of its first bytes, and byte by byte. */
function* someSplits(whole: string): Generator<string[]> {
  yield [whole];
  for (let i = 1; i < Math.min(whole.length, 300); i++) yield [whole.slice(0, i), whole.slice(i)];
  yield [...whole];
}

describe("before requests", () => {
  for (const [name, header, client] of headers) {
    test(name, () => {
      for (const pieces of someSplits(header + GET)) {
        const got = frame(pieces);
        expect({ pieces, headers: got.proxyHeaders }).toEqual({ pieces, headers: [{ header, client }] });
        expect(got.requests.map((request) => request.text)).toEqual([GET]);
        expect(got.events).toEqual(["whole"]);
      }
    });
  }

  for (const [name, rest, want] of behind) {
    for (const header of ["PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\r\n", v2(0x20, 0, "")]) {
      test(`and after it ${name}`, () => {
        for (const pieces of splits(header + rest)) {
          if (pieces.length === 3) continue;
          const got = frame(pieces);
          expect({ pieces, events: got.events }).toEqual({ pieces, events: want });
          expect(got.proxyHeaders.length).toBe(1);
          if (want[0]?.startsWith("foreign")) expect(got.given).toBe(rest);
        }
      });
    }
  }

  for (const [name, header] of malformed) {
    test(`${name}: foreign, and all bytes pass`, () => {
      for (const pieces of someSplits(header + GET)) {
        const got = frame(pieces);
        expect({ pieces, events: got.events }).toEqual({ pieces, events: ["foreign unknown"] });
        expect({ given: got.given, headers: got.proxyHeaders }).toEqual({ given: header + GET, headers: [] });
      }
    });
  }

  const none: [name: string, pieces: Piece[], want: string[]][] = [
    ["bytes that begin like version 1", ["PR", "OPFIND / HTTP/1.1\r\n\r\n"], ["whole"]],
    ["bytes that begin like version 2", ["\r\n\r", "\nGET / HTTP/1.1\r\n\r\n"], ["whole"]],
    ["a method that begins with it", ["PROXYING / HTTP/1.1\r\n\r\n"], ["whole"]],
    ["version 1, cut off", ["PROXY TCP4 192."], ["damaged cut_off"]],
    ["cut off at a place where it may be a method", ["PROX"], ["damaged cut_off"]],
    ["only empty lines", ["\r\n\r\n"], []],
    ["a gap in it", ["PROXY TCP4 192.", 20, GET], ["damaged gap", "whole"]],
    ["not first", [GET, "PROXY UNKNOWN\r\n", GET], ["whole", "damaged malformed"]],
  ];
  for (const [name, pieces, want] of none) {
    test(`${name} is no PROXY header`, () => {
      const got = frame(pieces);
      expect({ events: got.events, headers: got.proxyHeaders }).toEqual({ events: want, headers: [] });
    });
  }

  test("joined in the middle, there is none", () => {
    const got = frame(["PROXY UNKNOWN\r\n", GET], { late: true });
    expect({ events: got.events, headers: got.proxyHeaders }).toEqual({
      events: ["damaged gap", "whole"],
      headers: [],
    });
  });
});

describe("alone", () => {
  const outcomes: [header: string, outcome: number, length: number][] = [
    ["PROXY UNKNOWN\r\nmore", DONE, 15],
    ["PROXY UNKNOWN", MORE, 13],
    ["PRIVET", NO_HEADER, 2],
    ["\r\n\r\n\0\r\nQUIET", NO_HEADER, 10],
    ["x", NO_HEADER, 0],
    [v2(0x31, 0, "more"), MALFORMED, 16],
  ];
  for (const [header, outcome, length] of outcomes) {
    test(`${JSON.stringify(header)} in any pieces`, () => {
      for (const pieces of splits(header)) {
        const reader = new ProxyHeader();
        let read = 0;
        for (const piece of pieces) {
          const at = reader.feed(Buffer.from(piece, "latin1"), 0, piece.length);
          read += at;
          if (at < piece.length) break;
        }
        expect({ outcome: reader.outcome, read, text: Buffer.from(reader.bytes).toString("latin1") }).toEqual({
          outcome,
          read: length,
          text: header.slice(0, length),
        });
      }
    });
  }
});
