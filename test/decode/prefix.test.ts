/**
 * Every prefix of a valid frame has one outcome, counted once, from the record's own bytes alone (decoding.ts checks
 * this). From the end of the headers on, every prefix is the same segment.
 */
import { expect, test } from "bun:test";
import { builtFrames, capturedFrames } from "../fuzz/corpus.ts";
import { Decoding, type Outcome } from "./decoding.ts";

function checkPrefixes(frame: Uint8Array, linkType: number): void {
  const whole = new Decoding().feed(frame, linkType);
  let previous: Outcome | undefined;
  for (let length = 0; length < frame.length; length++) {
    const outcome = new Decoding().feed(frame.slice(0, length), linkType);
    if (outcome.outcome !== "segment") {
      expect(previous?.outcome).not.toBe("segment");
    } else {
      if (whole.outcome !== "segment") throw new Error(`a prefix of ${length} bytes is a segment, all of it is not`);
      const { payload, missingLength, ...rest } = outcome;
      const { payload: wholePayload, missingLength: wholeMissing, ...wholeRest } = whole;
      expect(rest).toEqual(wholeRest);
      expect(wholePayload.startsWith(payload)).toBe(true);
      expect(payload.length + missingLength).toBe(wholePayload.length + wholeMissing);
    }
    previous = outcome;
  }
}

for (const { name, linkType, frame } of builtFrames()) {
  test(`every prefix of ${name}`, () => checkPrefixes(frame, linkType));
}

test("every prefix of some captured frames, if ../shared exists", () => {
  const frames = capturedFrames().filter((_, i) => i % 40 === 0);
  for (const { linkType, frame } of frames) checkPrefixes(frame, linkType);
});

test("the corpus has a frame of each kind that can be a segment", () => {
  const outcomes = builtFrames().map(({ linkType, frame }) => new Decoding().feed(frame, linkType).outcome);
  expect(outcomes.filter((outcome) => outcome === "segment").length).toBe(8 * 4 + 12 + 8 * 4);
  expect(outcomes.filter((outcome) => outcome === "fragment").length).toBe(6 * 3);
  expect(outcomes.filter((outcome) => outcome === "from_server").length).toBe(4 + 4);
  expect(outcomes.filter((outcome) => outcome === "not_tcp").length).toBe(4 + 4);
});
