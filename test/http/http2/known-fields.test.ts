/**
 * The fields that can be known for sure after lost header blocks, and that all of them are: indices count from the
 * newest entry, so a field is known if its entry was inserted after the last missing block, or if it names no entry.
 */
import { expect, test } from "bun:test";
import { FRAME_HEADER_LEN } from "../../../src/http/http2/frames.ts";
import { Random } from "../../support/random.ts";
import { data, type Fields, headers, pseudo } from "./client-frames.ts";
import { type Piece, Recorder } from "./recorder.ts";
import { TableEncoder } from "./table-encoder.ts";

const SEEDS = Number(process.env["KNOWN_FIELDS_SEEDS"] ?? 100);
const REQUESTS = 60;
const NOTHING = Buffer.alloc(0);

interface Said {
  readonly stream: number;
  readonly head: Buffer;
  /** The body of a gRPC call; null: the request is only a head. */
  readonly body: Buffer | null;
  /** The first block without which the head cannot be read. */
  readonly from: number;
}

function fieldsOf(random: Random, isCall: boolean): Fields {
  const of = (name: string, count: number) => [name, `${name}-${random.int(1, count)}`] as const;
  const type = isCall ? [["content-type", "application/grpc"] as const] : [];
  const some = [of("user-agent", 1), of("x-tenant", 3), of("x-request-id", 1000)].filter(() => random.chance(0.8));
  return [...pseudo(isCall ? "POST" : "GET", `/${random.int(1, 6)}`), ...type, ...some];
}

function says(random: Random): Said[] {
  const encoder = new TableEncoder(random);
  return Array.from({ length: REQUESTS }, (_, i) => {
    const stream = 2 * i + 1;
    const isCall = random.chance(0.5);
    const block = encoder.block(fieldsOf(random, isCall));
    const head = headers(stream, block, { end: !isCall, continuations: random.chance(0.1) ? 2 : 0 });
    return { stream, head, body: isCall ? data(stream, "message", true) : null, from: encoder.from };
  });
}

/** A segment that comes, is missing, or has lost its end. */
function mirrored(random: Random, segment: Buffer, lossShare: number): Piece[] {
  if (segment.length === 0 || !random.chance(lossShare)) return [segment];
  const kept = random.chance(0.7) ? 0 : random.int(1, segment.length - 1);
  return kept === 0 ? [segment.length] : [segment.subarray(0, kept), segment.length - kept];
}

const isWhole = (pieces: Piece[]) => pieces.every((piece) => typeof piece !== "number");

/** In a DATA frame, more bytes are missing than its payload. */
const hidesFrames = (pieces: Piece[]) => !isWhole(pieces) && (pieces.length === 1 || isCutHeader(pieces[0] as Buffer));
const isCutHeader = (kept: Buffer) => kept.length < FRAME_HEADER_LEN;

test(`${SEEDS} clients with lost segments: the fields that can be known are given, and no others`, () => {
  let told = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    const random = new Random(seed);
    const lossShare = random.pick([0.01, 0.05, 0.2]);
    const recorder = new Recorder();
    const wanted: number[] = [];
    let firstKnown = 0;
    says(random).forEach(({ stream, head, body, from }, block) => {
      const [headPieces, bodyPieces] = [head, body ?? NOTHING].map((segment) => mirrored(random, segment, lossShare));
      recorder.feed([...headPieces!, ...bodyPieces!]);
      const isKnown = isWhole(headPieces!) && from >= firstKnown;
      if (isKnown && isWhole(bodyPieces!)) wanted.push(stream);
      // A request that is not certainly a gRPC call may have had a trailer section, too.
      if (!isWhole(headPieces!) || (!isKnown && hidesFrames(bodyPieces!))) firstKnown = block + 1;
    });
    expect([seed, recorder.requests.map(({ stream }) => stream)]).toEqual([seed, wanted]);
    told += wanted.length;
  }
  expect(told).toBeGreaterThan(SEEDS * REQUESTS * 0.2);
});
