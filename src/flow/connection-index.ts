/**
 * Connections by identity: an open-addressing hash table with linear probing, so that a look-up builds no key.
 * Strangers choose identities, so hashes are keyed (keyed-hash.ts). It grows by doubling, and is bounded by the table
 * that uses it.
 */
import { IDENTITY_WORDS } from "../decode/segment.ts";
import type { Connection } from "./connection.ts";

const INITIAL_SLOTS = 1024;
/** The share of slots that may be used before the table grows. */
const LOAD_MAX = 0.5;

export class ConnectionIndex {
  private slots: (Connection | null)[] = new Array(INITIAL_SLOTS).fill(null);
  private mask = INITIAL_SLOTS - 1;
  private count = 0;

  get size(): number {
    return this.count;
  }

  find(identity: Int32Array, hash: number): Connection | null {
    for (let slot = hash & this.mask; ; slot = (slot + 1) & this.mask) {
      const connection = this.slots[slot]!;
      if (connection === null || (connection.hash === hash && sameIdentity(connection.identity, identity)))
        return connection;
    }
  }

  /** Adds a connection that is not in the table. */
  add(connection: Connection): void {
    if (this.count >= this.slots.length * LOAD_MAX) this.grow();
    this.slots[this.slotOf(connection)] = connection;
    this.count++;
  }

  /** Removes a connection that is in the table. Those behind its slot move up, so that no probe ends early. */
  remove(connection: Connection): void {
    this.count--;
    let empty = this.slotOf(connection);
    for (let slot = (empty + 1) & this.mask; this.slots[slot] !== null; slot = (slot + 1) & this.mask) {
      const home = this.slots[slot]!.hash & this.mask;
      if (((slot - home) & this.mask) < ((slot - empty) & this.mask)) continue;
      this.slots[empty] = this.slots[slot]!;
      empty = slot;
    }
    this.slots[empty] = null;
  }

  /** The slot where a connection is, or belongs. */
  private slotOf(connection: Connection): number {
    let slot = connection.hash & this.mask;
    while (this.slots[slot] !== null && this.slots[slot] !== connection) slot = (slot + 1) & this.mask;
    return slot;
  }

  private grow(): void {
    const connections = this.slots.filter((connection) => connection !== null);
    this.slots = new Array(this.slots.length * 2).fill(null);
    this.mask = this.slots.length - 1;
    for (const connection of connections) this.slots[this.slotOf(connection)] = connection;
  }
}

function sameIdentity(a: Int32Array, b: Int32Array): boolean {
  for (let word = IDENTITY_WORDS - 1; word >= 0; word--) if (a[word] !== b[word]) return false;
  return true;
}
