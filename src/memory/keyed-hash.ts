/**
 * Keyed hashes of a few words: without the key, nobody can choose words with hashes that collide more often than one
 * pair in 2^17. The family is Multilinear-HM (Lemire and Kaser, "Strongly universal string hashing is fast", 2014):
 * each half word is added to its key, each two sums are multiplied, and all products are added. No step waits for the
 * one before it, so it costs no more than hashes without a key.
 */

/** One key for each half word. */
const KEYS_PER_WORD = 2;

export class KeyedHash {
  private readonly keys: Int32Array;

  /**
   * A hash of up to `words` words. `random` fills the key: each table draws its own; a test may need the same one
   * again.
   */
  constructor(words: number, random: (keys: Int32Array) => void = (keys) => crypto.getRandomValues(keys)) {
    this.keys = new Int32Array(words * KEYS_PER_WORD);
    random(this.keys);
  }

  /** The hash of the words, a signed 32-bit integer. */
  of(words: Int32Array): number {
    const { keys } = this;
    let hash = 0;
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      hash = (hash + Math.imul((word & 0xffff) + keys[2 * i]!, (word >>> 16) + keys[2 * i + 1]!)) | 0;
    }
    // The upper bits are well spread, and sums of neighbours are evenly spaced. After mixing, all bits are well spread.
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b | 0);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35 | 0);
    return hash ^ (hash >>> 16);
  }
}
