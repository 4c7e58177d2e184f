/** The highest cost of framing, counted and not timed: bytes read, bytes copied, calls to the sink. */
import { describe, expect, test } from "bun:test";
import { V1_PREFIX } from "../../src/http/proxy-protocol.ts";
import { RequestFramer } from "../../src/http/request-framer.ts";
import { ResponseFramer } from "../../src/http/response-framer.ts";
import { RequestRecorder, ResponseRecorder } from "./recorder.ts";

const HEAD = "POST /path?query HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
const GET = "GET /path?query HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n";
/** No byte is read more often: at the end of a loop it is read again, and classified. */
const READS_PER_BYTE = 4;

/** Bytes that count how often they are read. */
function counted(text: string): { bytes: Uint8Array; reads: () => number } {
  let reads = 0;
  const bytes = new Proxy(new Uint8Array(Buffer.from(text, "latin1")), {
    get(target, key) {
      if (typeof key === "string" && /^\d/.test(key)) reads++;
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { bytes, reads: () => reads };
}

interface Cost {
  readsPerByte: number;
  copiedBytes: number;
  calls: number;
  events: string[];
}

/** Frames the text, pushed in pieces of `size` bytes. */
function costOf(text: string, size: number, options: { lost?: boolean; maxHeaderBytes?: number } = {}): Cost {
  const recorder = new RequestRecorder();
  const framer = new RequestFramer(options.maxHeaderBytes ?? 65_536, recorder, !options.lost);
  const { bytes, reads } = counted(text);
  recorder.beginPush(bytes);
  for (let at = 0; at < text.length; at += size) {
    recorder.beginPush(bytes);
    framer.push(bytes, at, Math.min(size, text.length - at));
  }
  return {
    readsPerByte: reads() / text.length,
    copiedBytes: recorder.copiedBytes,
    calls: recorder.calls,
    events: recorder.events,
  };
}

const hostile: [name: string, text: (n: number) => string, pushSize: number, want: string | undefined][] = [
  ["a long header section, byte by byte", (n) => `GET / HTTP/1.1\r\n${"a: b\r\n".repeat(n / 6)}\r\n`, 1, "whole"],
  ["a long header line, byte by byte", (n) => `GET / HTTP/1.1\r\nCookie: ${"x".repeat(n)}\r\n\r\n`, 1, "whole"],
  ["a long target, byte by byte", (n) => `GET /${"x".repeat(n)} HTTP/1.1\r\n\r\n`, 1, "whole"],
  ["a long method, byte by byte", (n) => `${"X".repeat(n)} / HTTP/1.1\r\n\r\n`, 1, "whole"],
  ["a long list of codings", (n) => HEAD.replace("chunked", `${"x,".repeat(n / 2)}chunked`) + "0\r\n\r\n", 1, "whole"],
  ["folded lines", (n) => `GET / HTTP/1.1\r\nX: y\r\n${" z\r\n".repeat(n / 4)}\r\n`, 7, "whole"],
  ["empty lines", (n) => "\r\n".repeat(n / 2) + GET, 1, "whole"],
  ["tiny chunks in one push", (n) => `${HEAD}${"1\r\na\r\n".repeat(n / 6)}0\r\n\r\n`, 1 << 30, "whole"],
  ["tiny chunks, byte by byte", (n) => `${HEAD}${"1\r\na\r\n".repeat(n / 6)}0\r\n\r\n`, 1, "whole"],
  ["long extensions", (n) => `${HEAD}${`1;${"x".repeat(94)}\r\na\r\n`.repeat(n / 100)}0\r\n\r\n`, 3, "whole"],
  ["a long trailer section", (n) => `${HEAD}0\r\n${"a: b\r\n".repeat(n / 6)}\r\n`, 5, "whole"],
  ["no end of line", (n) => `GET /${"x".repeat(n)}`, 1, undefined],
];

describe("linear", () => {
  for (const [name, text, pushSize, want] of hostile) {
    test(name, () => {
      for (const length of [6_000, 12_000]) {
        const cost = costOf(text(length), pushSize);
        expect(cost.events).toEqual(want === undefined ? [] : [want]);
        expect(cost.readsPerByte).toBeLessThanOrEqual(READS_PER_BYTE);
        // Only bytes that may be a PROXY protocol header are copied.
        expect(cost.copiedBytes).toBeLessThan(V1_PREFIX.length);
        expect(cost.calls).toBeLessThanOrEqual(Math.ceil(text(length).length / pushSize) + 2);
      }
    });
  }

  test("a body of known length is not read", () => {
    const text = `PUT / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n${"x".repeat(100_000)}`;
    expect(costOf(text, 1460).readsPerByte).toBeLessThan(0.01);
  });

  /** In skipped bytes, request lines are counted: if there are any, each byte is read less than twice. */
  test.each([
    ["request lines without end", `x${GET.repeat(20)}x`, 2],
    ["and the end of a push, if it is a header section", `x${GET.repeat(20)}`, 2],
  ])("while out of step: %s", (_, segment, readsPerByteMax) => {
    const cost = costOf(segment.repeat(50), segment.length, { lost: true });
    expect(cost.events).toEqual([]);
    expect(cost.readsPerByte).toBeLessThan(readsPerByteMax);
  });

  test("a held request line has a limit and is read once", () => {
    const limit = 4096;
    const text = `GET /${"x".repeat(3 * limit)}`;
    const cost = costOf(text, 1, { lost: true, maxHeaderBytes: limit });
    expect(cost.events).toEqual([]);
    expect(cost.readsPerByte).toBeLessThanOrEqual(READS_PER_BYTE);
  });

  test("and its held bytes are copied once", () => {
    const cost = costOf(GET, 1, { lost: true });
    expect(cost.events).toEqual(["whole"]);
    expect(cost.copiedBytes).toBe(GET.indexOf("\n"));
  });
});

test("a request in one push takes three calls, and no copy", () => {
  const requests = 500;
  const cost = costOf(GET.repeat(requests), 1 << 30);
  expect(cost.calls).toBe(3 * requests);
  expect(cost.copiedBytes).toBe(0);
});

test("one framer serves any number of requests with the same objects", () => {
  const heads = new Set<unknown>();
  const sink = {
    bytes() {},
    head: (head: unknown) => void heads.add(head),
    whole() {},
    damaged() {},
    skipped() {},
    skippedRequestLines() {},
    proxyHeader() {},
    foreign() {},
  };
  const framer = new RequestFramer(65_536, sink, true);
  const bytes = Buffer.from(GET.repeat(100));
  for (let i = 0; i < 100; i++) framer.push(bytes, 0, bytes.length);
  expect(heads.size).toBe(1);
});

test("responses are read once too", () => {
  const response = `HTTP/1.1 200 OK\r\nX: ${"x".repeat(3000)}\r\nTransfer-Encoding: chunked\r\n\r\n${"1\r\na\r\n".repeat(500)}0\r\n\r\n`;
  for (const size of [1, 7, 1 << 30]) {
    const recorder = new ResponseRecorder();
    const framer = new ResponseFramer(recorder);
    const { bytes, reads } = counted(response);
    framer.expect("GET");
    for (let at = 0; at < response.length; at += size) framer.push(bytes, at, Math.min(size, response.length - at));
    expect(recorder.events).toEqual(["200", "complete"]);
    expect(reads() / response.length).toBeLessThanOrEqual(READS_PER_BYTE);
  }
});
