/** Words that strangers choose do not collide, even if the strangers know the program. */
import { expect, test } from "bun:test";
import { KeyedHash } from "../../src/memory/keyed-hash.ts";
import { Random } from "../support/random.ts";

const WORDS = 9;
const COUNT = 20_000;
/** The number of slots of a table for this many words. */
const SLOTS = 2 ** 16;
/** With 20,000 random words in 65,536 slots, the fullest slot has 5 or 6. */
const SLOT_MAX = 12;

const seeded = (seed: number) => (keys: Int32Array) => {
  const random = new Random(seed);
  keys.forEach((_, i) => (keys[i] = random.int(0, 0xffff_ffff) | 0));
};

function slotMax(hash: KeyedHash, all: Int32Array[]): number {
  const slots = new Uint32Array(SLOTS);
  let most = 0;
  for (const words of all) {
    const slot = hash.of(words) & (SLOTS - 1);
    most = Math.max(most, ++slots[slot]!);
  }
  return most;
}

const rotated = (value: number, by: number) => (value << by) | (value >>> (32 - by));
const C1 = 0xcc9e2d51 | 0;
const C2 = 0x1b873593;
/** The inverse of an odd number modulo 2^32, by Newton's method. */
function inverse(odd: number): number {
  let x = odd;
  for (let i = 0; i < 5; i++) x = Math.imul(x, 2 - Math.imul(odd, x));
  return x;
}

/** murmur3 without a key, as the table once had, without its last step: the last step collides if this part does. */
const murmurMix = (word: number) => Math.imul(rotated(Math.imul(word, C1), 15), C2);
const murmurStep = (hash: number, word: number) => (Math.imul(rotated(hash ^ murmurMix(word), 13), 5) + 0xe6546b64) | 0;
const murmur = (words: Int32Array) => words.reduce(murmurStep, 0);

/** Sources over IPv6 that all have the same hash in murmur3: the second word undoes the effect of the first. */
function murmurCollisions(): Int32Array[] {
  return Array.from({ length: COUNT }, (_, i) => {
    const mixed = murmurStep(0, i) ^ 0x1234_5678;
    const second = Math.imul(rotated(Math.imul(mixed, inverse(C2)), 17), inverse(C1));
    return Int32Array.of(i, second, 1, 2, 3, 4, 5, 6, 7);
  });
}

/** Words that differ as little, or as regularly, as possible. */
const PATTERNS: [string, (i: number) => number[]][] = [
  ["the last word counts", (i) => [0, 0, 0xffff, 0x0a000001, 0, 0, 0xffff, 0x0a000002, i]],
  ["an address counts", (i) => [0x20010db8, 0, 0, i, 0, 0, 0, 1, 80]],
  ["ports count in the upper half", (i) => [0, 0, 0xffff, 0x0a000001, 0, 0, 0xffff, 0x0a000002, (i << 16) | 80]],
  ["multiples of 65,536 in two words", (i) => [(i & 0xff) << 24, (i >> 8) << 16, 0, 0, 0, 0, 0, 0, 0]],
  [
    "the top bits of many words",
    (i) =>
      Array.from({ length: WORDS }, (_, bit) => ((i >> bit) & 1) << 31).map((word, at) => word | ((i >> (9 + at)) & 1)),
  ],
  ["words that swap their halves", (i) => [i & 0xff, (i >> 8) << 8, i & 0xff, (i >> 8) << 8, 0, 0, 0, 0, 0]],
];

test("collisions made for a hash without a key are spread", () => {
  const all = murmurCollisions();
  expect(new Set(all.map(murmur)).size).toBe(1);
  expect(slotMax(new KeyedHash(WORDS), all)).toBeLessThan(SLOT_MAX);
});

test.each(PATTERNS)("%s: spread, with any key", (_, make) => {
  const all = Array.from({ length: COUNT }, (_, i) => Int32Array.from(make(i)));
  for (let seed = 1; seed <= 10; seed++)
    expect(slotMax(new KeyedHash(WORDS, seeded(seed)), all)).toBeLessThan(SLOT_MAX);
});

test("words that collide with one key do not collide with another", () => {
  const [one, other] = [new KeyedHash(WORDS, seeded(1)), new KeyedHash(WORDS, seeded(2))];
  const bySlot = Map.groupBy(murmurCollisions(), (words) => one.of(words) & 0xff);
  for (const same of bySlot.values())
    expect(new Set(same.map((words) => other.of(words) & 0xff)).size).toBeGreaterThan(same.length / 4);
});

test("each hash draws its own key, unless one is given", () => {
  const words = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
  const random = new Set(Array.from({ length: 10 }, () => new KeyedHash(WORDS).of(words)));
  expect(random.size).toBeGreaterThan(8);
  expect(new KeyedHash(WORDS, seeded(3)).of(words)).toBe(new KeyedHash(WORDS, seeded(3)).of(words));
});
