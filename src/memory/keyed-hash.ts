/**
 * Hashes of a few words, keyed: whoever does not know the key cannot make words whose hashes collide more often than
 * one pair in 2^17 does. The family is Multilinear-HM (Lemire and Kaser, "Strongly universal string hashing is fast",
 * 2014): of each half word and its key the sum, of each two sums the product, of all products the sum. No step waits
 * for the one before it, so that it costs no more than hashes without a key.
 */

/** One for each half word. */
const KEYS_PER_WORD = 2;

export class KeyedHash {
  private readonly keys: Int32Array;

  /** For up to `words` words. `random` fills the key: each table draws its own, a test may want the same again. */
  constructor(words: number, random: (keys: Int32Array) => void = (keys) => crypto.getRandomValues(keys)) {
    this.keys = new Int32Array(words * KEYS_PER_WORD);
    random(this.keys);
  }

  /** A signed 32-bit integer. */
  of(words: Int32Array): number {
    const { keys } = this;
    let hash = 0;
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      hash = (hash + Math.imul((word & 0xffff) + keys[2 * i]!, (word >>> 16) + keys[2 * i + 1]!)) | 0;
    }
    // The upper bits are the good ones, and neighbours' sums are evenly spaced: mixed, all bits are as good.
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b | 0);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35 | 0);
    return hash ^ (hash >>> 16);
  }
}
