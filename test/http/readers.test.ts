/** Framers share what reads heads: no framer's findings depend on what others read between its pieces. */
import { describe, expect, test } from "bun:test";
import { Lender, requestReaders, responseReaders, SPARE_READERS_MAX } from "../../src/http/readers.ts";
import { RequestFramer } from "../../src/http/request-framer.ts";
import { ResponseFramer } from "../../src/http/response-framer.ts";
import { Random } from "../support/random.ts";
import { mutate, randomRequest } from "./random-request.ts";
import { frame, frameResponses, happened, type Piece, push, RequestRecorder, ResponseRecorder } from "./recorder.ts";

const ROUNDS = 300;
const STREAMS = 8;
const RESPONSES = [
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
  "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
  "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
];

/** A text in random pieces. */
function cut(random: Random, text: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    const length = random.int(1, random.chance(0.5) ? 8 : text.length);
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
}

/** A client's bytes in random pieces, some with holes between them. */
function clientPieces(random: Random): Piece[] {
  const texts = Array.from({ length: random.int(1, 4) }, () => randomRequest(random, 0.1));
  const text = random.chance(0.3) ? mutate(random, texts.join("")) : texts.join("");
  const holes = random.chance(0.5) ? 0.1 : 0;
  return cut(random, text).flatMap((piece): Piece[] => (random.chance(holes) ? [random.int(1, 40), piece] : [piece]));
}

/** Gives each stream's pieces to `take` in their order, and the streams in turns at random. */
function interleave<P>(random: Random, streams: readonly P[][], take: (stream: number, piece: P) => void): void {
  const left = streams
    .map((pieces, stream) => ({ stream, pieces: [...pieces] }))
    .filter(({ pieces }) => pieces.length > 0);
  while (left.length > 0) {
    const i = random.int(0, left.length - 1);
    const { stream, pieces } = left[i]!;
    take(stream, pieces.shift()!);
    if (pieces.length === 0) left.splice(i, 1);
  }
}

describe("framers that read by turns find what each finds by itself", () => {
  test("requests, with holes, also joined in their middle", () => {
    const random = new Random(1);
    for (let round = 0; round < ROUNDS; round++) {
      const streams = Array.from({ length: STREAMS }, () => clientPieces(random));
      const late = streams.map(() => random.chance(0.3));
      const recorders = streams.map(() => new RequestRecorder());
      const framers = recorders.map((recorder, i) => new RequestFramer(65_536, recorder, !late[i]!));
      interleave(random, streams, (i, piece) => {
        if (typeof piece === "number") framers[i]!.gap(piece);
        else push(piece, recorders[i]!, framers[i]!);
      });
      for (const framer of framers) framer.end();
      expect(recorders.map(happened)).toEqual(streams.map((pieces, i) => happened(frame(pieces, { late: late[i]! }))));
    }
  });

  test("responses", () => {
    const random = new Random(2);
    for (let round = 0; round < ROUNDS; round++) {
      const streams = Array.from({ length: STREAMS }, () =>
        cut(random, Array.from({ length: 4 }, () => random.pick(RESPONSES)).join("")),
      );
      const methods = Array.from({ length: 4 }, () => "GET");
      const recorders = streams.map(() => new ResponseRecorder());
      const framers = recorders.map((recorder) => new ResponseFramer(recorder));
      for (const framer of framers) for (const method of methods) framer.expect(method);
      interleave(random, streams, (i, piece) => framers[i]!.push(Buffer.from(piece), 0, piece.length));
      expect(recorders.map(({ events }) => events)).toEqual(
        streams.map((pieces) => frameResponses(pieces, methods, false)),
      );
    }
  });
});

describe("a framer has a reader only while it needs one", () => {
  /** Whether the reader that was free before `use` is free behind it. */
  function isBack<Reader>(lender: Lender<Reader>, use: () => void): boolean {
    const reader = lender.take();
    lender.giveBack(reader);
    use();
    const next = lender.take();
    lender.giveBack(next);
    return next === reader;
  }

  test.each([
    ["a whole request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true],
    ["a whole chunked request", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true],
    ["bytes that are no HTTP", "\x16\x03\x01\x02", true],
    ["a request that ends the connection, and more", "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n\r\n", true],
    ["a malformed request", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", true],
    ["half a line", "GET /", false],
    ["half a head", "GET / HTTP/1.1\r\nHost", false],
    ["half a body", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel", false],
  ])("behind %s", (_name, text, isFree) => {
    const bytes = Buffer.from(text, "latin1");
    const pushed = () => {
      const framer = new RequestFramer(65_536, new RequestRecorder(), true);
      framer.push(bytes, 0, bytes.length);
      return framer;
    };
    expect(isBack(requestReaders, pushed)).toBe(isFree);
    expect(isBack(requestReaders, () => pushed().end())).toBe(true);
  });

  test.each([
    ["a whole response", RESPONSES[0]!, true],
    ["a whole chunked response", RESPONSES[1]!, true],
    ["bytes that are no response", "nothing\r\n", true],
    ["half a head", "HTTP/1.1 200 OK\r\nContent", false],
    ["half a body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", false],
  ])("behind %s", (_name, text, isFree) => {
    const pushed = () => {
      const framer = new ResponseFramer(new ResponseRecorder());
      framer.expect("GET");
      framer.push(Buffer.from(text), 0, text.length);
      return framer;
    };
    expect(isBack(responseReaders, pushed)).toBe(isFree);
    expect(isBack(responseReaders, () => pushed().end())).toBe(true);
  });
});

test(`${SPARE_READERS_MAX} readers are kept, and not one more`, () => {
  let made = 0;
  const lender = new Lender(() => ({ number: made++ }));
  const lent = Array.from({ length: SPARE_READERS_MAX + 1 }, () => lender.take());
  for (const reader of lent) lender.giveBack(reader);
  const again = Array.from({ length: SPARE_READERS_MAX + 1 }, () => lender.take());
  expect(made).toBe(SPARE_READERS_MAX + 2);
  expect(new Set(again).size).toBe(SPARE_READERS_MAX + 1);
});
