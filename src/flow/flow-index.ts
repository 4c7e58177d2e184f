/**
 * Flows by identity: an open-addressing hash table with linear probing, so that finding a flow
 * builds no key. Grows by doubling; what bounds it is the table that uses it.
 *
 * Addresses and ports are used again: all flows that had them, and are open or remembered, stand
 * together as incarnations of one connection (RFC 9293, section 3.4.1).
 */
import { IDENTITY_WORDS } from "../decode/segment.ts";
import type { Flow } from "./flow.ts";

const INITIAL_SLOTS = 1024;
/** Slots in use, of all, before the table grows. */
const LOAD_MAX = 0.5;

export class Incarnations {
  /** The newest first. */
  readonly flows: Flow[] = [];

  constructor(
    readonly identity: Int32Array,
    readonly hash: number,
  ) {}
}

export class FlowIndex {
  private slots: (Incarnations | null)[] = new Array(INITIAL_SLOTS).fill(null);
  private mask = INITIAL_SLOTS - 1;
  private count = 0;

  get size(): number {
    return this.count;
  }

  find(identity: Int32Array, hash: number): Incarnations | null {
    for (let slot = hash & this.mask; ; slot = (slot + 1) & this.mask) {
      const entry = this.slots[slot]!;
      if (entry === null || (entry.hash === hash && sameIdentity(entry.identity, identity))) return entry;
    }
  }

  /** Makes an entry for an identity that has none; the identity is copied. */
  add(identity: Int32Array, hash: number): Incarnations {
    if (this.count >= this.slots.length * LOAD_MAX) this.grow();
    const entry = new Incarnations(identity.slice(), hash);
    this.slots[this.slotOf(entry)] = entry;
    this.count++;
    return entry;
  }

  /** Takes an entry out; it must be in. Those behind it move up, so that no probe ends early. */
  remove(entry: Incarnations): void {
    let hole = this.slotOf(entry);
    this.count--;
    for (let slot = (hole + 1) & this.mask; this.slots[slot] !== null; slot = (slot + 1) & this.mask) {
      const home = this.slots[slot]!.hash & this.mask;
      const fromHome = (slot - home) & this.mask;
      const fromHole = (slot - hole) & this.mask;
      if (fromHome < fromHole) continue;
      this.slots[hole] = this.slots[slot]!;
      hole = slot;
    }
    this.slots[hole] = null;
  }

  private slotOf(entry: Incarnations): number {
    let slot = entry.hash & this.mask;
    while (this.slots[slot] !== null && this.slots[slot] !== entry) slot = (slot + 1) & this.mask;
    return slot;
  }

  private grow(): void {
    const entries = this.slots.filter((entry) => entry !== null);
    this.slots = new Array(this.slots.length * 2).fill(null);
    this.mask = this.slots.length - 1;
    for (const entry of entries) this.slots[this.slotOf(entry)] = entry;
  }
}

function sameIdentity(a: Int32Array, b: Int32Array): boolean {
  for (let word = IDENTITY_WORDS - 1; word >= 0; word--) if (a[word] !== b[word]) return false;
  return true;
}

/** Mixes all words; murmur3's constants and finish. */
export function hashIdentity(identity: Int32Array): number {
  let hash = 0;
  for (let word = 0; word < IDENTITY_WORDS; word++) {
    let mixed = Math.imul(identity[word]!, 0xcc9e2d51 | 0);
    mixed = (mixed << 15) | (mixed >>> 17);
    hash ^= Math.imul(mixed, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b | 0);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35 | 0);
  return hash ^ (hash >>> 16);
}
