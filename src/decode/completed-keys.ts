/**
 * The keys of datagrams that were put together last, and how often each came: so that identifications are known that
 * several datagrams share. A bounded list; what is forgotten counts as new.
 */

/** The most keys that are known; beyond it the one that is known longest is forgotten. */
export const KEYS_MAX = 256;

/** The keys of {@link KEYS_MAX} datagrams. */
export class CompletedKeys {
  private readonly keys: Int32Array;
  private readonly hashes = new Int32Array(KEYS_MAX);
  private readonly times = new Float64Array(KEYS_MAX).fill(-Infinity);
  private readonly counts = new Uint32Array(KEYS_MAX);
  private next = 0;

  constructor(
    private readonly keyWords: number,
    private readonly lifeMs: number,
  ) {
    this.keys = new Int32Array(KEYS_MAX * keyWords);
  }

  /** How often a key came, each time within `lifeMs` of the time before. */
  countOf(key: Int32Array, hash: number, nowMs: number): number {
    const place = this.placeOf(key, hash);
    return place < 0 || nowMs - this.times[place]! >= this.lifeMs ? 0 : this.counts[place]!;
  }

  add(key: Int32Array, hash: number, nowMs: number): void {
    const count = this.countOf(key, hash, nowMs) + 1;
    let place = this.placeOf(key, hash);
    if (place < 0) {
      place = this.next;
      this.next = (place + 1) % KEYS_MAX;
      this.keys.set(key, place * this.keyWords);
      this.hashes[place] = hash;
    }
    this.times[place] = nowMs;
    this.counts[place] = count;
  }

  private placeOf(key: Int32Array, hash: number): number {
    for (let place = 0; place < KEYS_MAX; place++)
      if (this.hashes[place] === hash && this.isAt(place, key)) return place;
    return -1;
  }

  private isAt(place: number, key: Int32Array): boolean {
    if (this.counts[place] === 0) return false;
    const from = place * this.keyWords;
    for (let word = 0; word < this.keyWords; word++) if (this.keys[from + word] !== key[word]) return false;
    return true;
  }
}
