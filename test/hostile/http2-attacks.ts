/**
 * The floods of HTTP/2: frames, streams, and header blocks that stand for much more; and the attacks of an endpoint.
 */
import { FRAME_HEADER_LEN, FrameType, lengthAt, STREAM_OFFSET, writeWord } from "../../src/http/http2/frames.ts";
import {
  block,
  data,
  frame,
  headers,
  inserted,
  PING,
  PREFACE,
  pseudo,
  reset,
  SETTINGS,
} from "../http/http2/client-frames.ts";
import type { Attack } from "./attack.ts";
import type { BehaviourName } from "./endpoint.ts";
import { rounds, Template } from "./frames.ts";

const GOOD = 2000;
const SEGMENT_BYTES = 1440;
/** The stream of a pattern's frames: each time, the connection's next stream replaces it. */
const NEXT = 1;
const GET = headers(NEXT, pseudo("GET", "/"), { end: true });
const POST = headers(NEXT, pseudo("POST", "/"));

/** As many of these frames as fit into a segment. */
const filled = (...frames: Buffer[]): Buffer[] => {
  const one = Buffer.concat(frames);
  return Array.from({ length: Math.max(Math.floor(SEGMENT_BYTES / one.length), 1) }, () => one);
};

/** Each client's SYN, its preface and `first`, then these frames again and again; frames of a stream get its number. */
function* connections(clients: number, count: number, first: Buffer, pieces: Buffer[]): Generator<Uint8Array> {
  const syn = new Template("S");
  const begin = new Template("A", Buffer.concat([PREFACE, SETTINGS, first]));
  const next = new Template("A", Buffer.concat(pieces));
  for (let client = 0; client < clients; client++) {
    yield syn.from(client).at(0);
    yield begin.from(client).at(1);
  }
  const places = streamsOf(pieces).map((ofPiece) => ofPiece.map((at) => at + next.payloadOffset));
  yield* rounds(clients, count, (client, round) => {
    places.forEach((ofPiece, i) => {
      for (const at of ofPiece) writeWord(next.frame, at, 2 * (round * pieces.length + i) + 1);
    });
    return next.from(client).at(1 + begin.payloadLength + round * next.payloadLength);
  });
}

/** The places of the stream numbers in each piece. */
function streamsOf(pieces: readonly Buffer[]): number[][] {
  let from = 0;
  return pieces.map((piece) => {
    const places: number[] = [];
    for (let at = 0; at < piece.length; at += FRAME_HEADER_LEN + lengthAt(piece, at))
      if (piece.readUInt32BE(at + STREAM_OFFSET) === NEXT) places.push(from + at + STREAM_OFFSET);
    from += piece.length;
    return places;
  });
}

const openBlock = frame(FrameType.HEADERS, 0, 3, block([...pseudo("GET", "/"), ["x-long", ""]]).subarray(0, -1));
const continuation = (length: number) => frame(FrameType.CONTINUATION, 0, 3, Buffer.alloc(length, 0x61));

const NO_FRAMES = Buffer.alloc(0);

const flood = (
  name: string,
  what: string,
  clients: number,
  count: number,
  first: Buffer,
  pieces: Buffer[],
  more: Partial<Attack> = {},
): Attack => ({
  name: `http2-${name}`,
  what,
  endpoint: "http2",
  count,
  good: GOOD,
  frames: (scaled) => connections(clients, scaled, first, pieces),
  ...more,
});

/** 64 references to 4000 bytes in the table: 256 kB of fields in 64 bytes. */
const BOMB_BYTES = 4000;
const BOMB_REFERENCES = 64;
const literal = Buffer.concat([Buffer.from("\x40\x01x\x7f\xa1\x1e"), Buffer.alloc(BOMB_BYTES, 0x61)]);
const bombFill = headers(1, Buffer.concat([block(pseudo("GET", "/")), literal]), { end: true });
const bomb = headers(NEXT, Buffer.concat([block(pseudo("GET", "/")), Buffer.alloc(BOMB_REFERENCES, 0xbe)]), {
  end: true,
});

/** This many requests, each with these frames, as many in a segment as fit. */
const requests = (
  name: string,
  what: string,
  clients: number,
  count: number,
  each: Buffer[],
  { first = NO_FRAMES, ...more }: Partial<Attack> & { first?: Buffer } = {},
): Attack => {
  const pieces = filled(...each);
  const requestsPerFrame = pieces.length;
  return flood(name, what, clients, Math.ceil(count / requestsPerFrame), first, pieces, { requestsPerFrame, ...more });
};

const endpointFlood = (name: BehaviourName, what: string): Attack =>
  flood(
    name.replace("http2 ", "endpoint-").replaceAll(" ", "-"),
    what,
    200,
    400,
    NO_FRAMES,
    [POST, data(NEXT, "x", true)],
    {
      endpoint: name,
      rate: 400,
      good: 500,
      way: "live",
      patienceMs: 2000,
      // The endpoint sends meanwhile.
      after: ({ setup }) => Bun.sleep(15_000 * Math.min(setup.scale, 1)),
    },
  );

export const HTTP2_ATTACKS: readonly Attack[] = [
  flood("continuation", "1,000 header blocks that do not end", 1000, 600_000, openBlock, [continuation(1400)]),
  flood(
    "continuation-tiny",
    "header blocks that do not end, in bytes",
    100,
    50_000,
    openBlock,
    filled(continuation(1)),
  ),
  requests("rapid-reset", "requests that are cancelled at once", 100, 900_000, [GET, reset(NEXT)]),
  requests("rapid-reset-half", "the same with requests that are not whole", 100, 900_000, [POST, reset(NEXT)]),
  flood("settings", "SETTINGS and PING", 100, 100_000, NO_FRAMES, filled(SETTINGS, PING)),
  flood(
    "windows",
    "WINDOW_UPDATE and PRIORITY",
    100,
    100_000,
    NO_FRAMES,
    filled(frame(FrameType.WINDOW_UPDATE, 0, 0, "\0\0\0\x01"), frame(FrameType.PRIORITY, 0, 3, "\0\0\0\0\x10")),
  ),
  flood(
    "empty-data",
    "DATA without content",
    100,
    100_000,
    headers(3, pseudo("POST", "/")),
    filled(frame(FrameType.DATA, 0, 3)),
  ),
  requests("bomb", "heads of 64 bytes that stand for 256 kB", 500, 200_000, [bomb], { first: bombFill }),
  flood("tables", "20,000 connections whose tables are full", 20_000, 60_000, NO_FRAMES, [
    headers(NEXT, Buffer.concat([block(pseudo("GET", "/")), ...Array.from({ length: 36 }, () => inserted("x", "y"))]), {
      end: true,
    }),
  ]),
  requests("streams", "a million requests on one connection", 1, 1_000_000, [GET]),
  requests("streams-silent", "the same on ten, to an endpoint that does not respond", 10, 1_000_000, [GET], {
    endpoint: "http2 silent",
    way: "live",
  }),
  requests("half-open", "1,000 connections with 1,024 requests each that are not whole", 1000, 1_024_000, [POST], {
    rate: 1000,
  }),
  flood(
    "windowless",
    "uploads to an endpoint that takes no bodies",
    500,
    100_000,
    NO_FRAMES,
    [POST, data(NEXT, Buffer.alloc(1300), true)],
    {
      endpoint: "http2 windowless",
      way: "live",
    },
  ),
  endpointFlood("http2 pings", "an endpoint that asks without end"),
  endpointFlood("http2 settings", "an endpoint that has new SETTINGS without end"),
  endpointFlood("http2 fields", "responses whose header blocks do not end"),
  endpointFlood("http2 data", "responses that do not end"),
];
