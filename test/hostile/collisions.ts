/**
 * Clients over IPv6 whose identities have the same hash of 32 bits, if the hash is murmur3's mixing of their words
 * without a secret: each step can be inverted, so one word of the address compensates for the word before it.
 */

const FIRST = 0xcc9e2d51 | 0;
const SECOND = 0x1b873593;
const ADDED = 0xe6546b64 | 0;
/** The words before the two that differ: 2001:db8:: */
const PREFIX = [0x2001_0db8, 0] as const;
const SAME = 0x1234_5678;

const left = (value: number, bits: number) => (value << bits) | (value >>> (32 - bits));
const right = (value: number, bits: number) => (value >>> bits) | (value << (32 - bits));

/** The inverse of multiplication by an odd number, modulo 2^32 (Newton's method). */
function inverse(odd: number): number {
  let found = odd;
  for (let i = 0; i < 5; i++) found = Math.imul(found, 2 - Math.imul(odd, found));
  return found;
}

const mix = (word: number) => Math.imul(left(Math.imul(word, FIRST), 15), SECOND);
const step = (hash: number, word: number) => (Math.imul(left(hash ^ mix(word), 13), 5) + ADDED) | 0;

/** The word that changes the hash from one value to the other. */
function between(from: number, to: number): number {
  const mixed = right(Math.imul((to - ADDED) | 0, inverse(5)), 13) ^ from;
  return Math.imul(right(Math.imul(mixed, inverse(SECOND)), 15), inverse(FIRST));
}

/** The last two words of the address of the client with this number. */
export function collidingWords(client: number): [number, number] {
  const third = Math.imul(client, 0x9e37_79b1);
  const before = step(PREFIX.reduce(step, 0), third);
  return [third, between(before, SAME)];
}
