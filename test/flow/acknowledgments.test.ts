/** How acknowledgments distinguish incarnations: rules, and properties over random numbers. */
import { describe, expect, test } from "bun:test";
import { Acknowledgments, LATE_ACK_BYTES_MAX, mayBeAlike, RANGE_BYTES_MAX } from "../../src/flow/acknowledgments.ts";
import { Random } from "../support/random.ts";

const SEEDS = 500;
const ISNS = [0, 0x7fff_ff00, -0x8000_0000, -256];

/** Numbers that a client acknowledges: from its server's first number on, never back, in any order of arrival. */
function said(random: Random, start: number): number[] {
  let at = start;
  const all = [at];
  for (let i = random.int(0, 20); i > 0; i--) all.push((at = (at + random.int(0, 1 << 20)) | 0));
  return all.sort(() => random.next() - 0.5);
}

function noted(numbers: number[]): Acknowledgments {
  const acks = new Acknowledgments();
  for (const number of numbers) acks.note(number);
  return acks;
}

test("without acknowledgments, no number is outside", () => {
  const acks = new Acknowledgments();
  expect([acks.isKnown, acks.isOutside(5), acks.isBehind(5)]).toEqual([false, false, false]);
});

describe.each(ISNS)("from %i on", (start) => {
  test("a noted number is inside, in any order", () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const numbers = said(new Random(seed), start);
      const acks = noted(numbers);
      expect({ seed, outside: numbers.filter((number) => acks.isOutside(number)) }).toEqual({ seed, outside: [] });
    }
  });

  test("the order of arrival does not matter", () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = new Random(seed);
      const numbers = said(random, start);
      const [one, other] = [noted(numbers), noted(numbers.toReversed())];
      const probe = (start + random.int(-(2 ** 30), 2 ** 30)) | 0;
      expect({ seed, outside: one.isOutside(probe) }).toEqual({ seed, outside: other.isOutside(probe) });
    }
  });

  test("a late copy may acknowledge a little more or less, at the limit and not beyond it", () => {
    const acks = noted([start]);
    expect([1, -1].map((side) => acks.isOutside((start + side * LATE_ACK_BYTES_MAX) | 0))).toEqual([false, false]);
    expect([1, -1].map((side) => acks.isOutside((start + side * (LATE_ACK_BYTES_MAX + 1)) | 0))).toEqual([true, true]);
  });

  test("if the other side's SYN was seen, no number below its start is inside", () => {
    const acks = new Acknowledgments();
    acks.begin(start);
    acks.note((start + 5000) | 0);
    acks.note((start - 1) | 0);
    expect([acks.isOutside((start - 1) | 0), acks.isOutside(start), acks.isOutside((start + 5000) | 0)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test.each([
    ["the longest range", RANGE_BYTES_MAX, true],
    ["a longer one", RANGE_BYTES_MAX + 1, false],
  ])("whether it is known where the other side began: %s", (_name, length, isKnown) => {
    const acks = new Acknowledgments();
    acks.begin(start);
    acks.note((start + length) | 0);
    expect(acks.isOutside((start - 1) | 0)).toBe(isKnown);
    expect(acks.isOutside((start + length) | 0)).toBe(false);
  });

  test("a range too large for sequence numbers: the last number is inside, and is not behind", () => {
    const acks = new Acknowledgments();
    for (let gib = 0; gib < 5; gib += 0.9) acks.note((start + gib * 2 ** 30) | 0);
    const last = (start + 4.5 * 2 ** 30) | 0;
    expect([acks.isOutside(last), acks.isBehind(last), acks.isBehind((last + 1) | 0)]).toEqual([false, false, true]);
  });
});

test("two may be the same if one has no number, or both have nearly the same", () => {
  expect([
    mayBeAlike(null, 5),
    mayBeAlike(5, null),
    mayBeAlike(-1, 1),
    mayBeAlike(0, LATE_ACK_BYTES_MAX),
    mayBeAlike(0, LATE_ACK_BYTES_MAX + 1),
  ]).toEqual([true, true, true, true, false]);
});
