/** Any bytes, in any pieces, with any holes: no exception, and all events keep the framers' promises. */
import { expect, test } from "bun:test";
import { Random } from "../support/random.ts";
import { frame, frameResponses, type Piece } from "./recorder.ts";
import { mutate, randomRequest } from "./random-request.ts";

const SEEDS = process.env.SEED === undefined ? Array.from({ length: 3000 }, (_, i) => i) : [Number(process.env.SEED)];

function randomPieces(random: Random, text: string, holes: number): Piece[] {
  const pieces: Piece[] = [];
  for (let at = 0; at < text.length;) {
    const length = random.chance(0.3) ? 1 : random.int(1, 80);
    const piece = text.slice(at, at + length);
    pieces.push(random.chance(holes) ? piece.length : piece);
    at += length;
  }
  return pieces;
}

function randomText(random: Random): string {
  const text = Array.from({ length: random.int(1, 4) }, () => randomRequest(random, 1)).join("");
  if (random.chance(0.1)) return Buffer.from(random.bytes(random.int(1, 200))).toString("latin1");
  return random.chance(0.5) ? mutate(random, text) : text;
}

test(`requests of ${SEEDS.length} seeds (again with SEED)`, () => {
  for (const seed of SEEDS) {
    const random = new Random(seed);
    const text = randomText(random);
    const pieces = randomPieces(random, text, random.pick([0, 0.05, 0.3]));
    const got = frame(pieces, {
      late: random.chance(0.3),
      maxHeaderBytes: random.pick([20, 100, 65_536]),
      stopAtUpgrade: random.chance(0.5),
    });
    // No event has bytes that were not pushed, or in another order.
    let at = 0;
    for (const { text: whole } of got.requests) {
      const found = text.indexOf(whole, at);
      expect({ seed, pieces, found: found >= at }).toEqual({ seed, pieces, found: true });
      at = found + whole.length;
    }
    // A hole is counted at most once.
    const holes = pieces.filter((piece) => typeof piece === "number").length;
    expect(got.events.filter((event) => event === "damaged gap").length).toBeLessThanOrEqual(holes + 1);
  }
});

test("responses", () => {
  for (const seed of SEEDS) {
    const random = new Random(seed);
    const head = `HTTP/1.${random.int(0, 1)} ${random.pick([100, 101, 200, 204, 304, 404, 503])} OK\r\n`;
    const text = randomText(random).replace(/^[^\n]*\n/, head);
    const methods = Array.from({ length: random.int(0, 3) }, () => random.pick(["GET", "HEAD", "CONNECT"]));
    const pieces = randomPieces(random, text, 0) as string[];
    const got = frameResponses(pieces, methods, true);
    expect({ seed, got }).toEqual({ seed, got: frameResponses([text], methods, true) });
    expect(got.filter((event) => event.startsWith("complete")).length).toBeLessThanOrEqual(methods.length);
  }
});
