/**
 * Flows by identity: an open-addressing hash table with linear probing, so that finding a flow
 * builds no key. Strangers choose identities, so hashes are keyed (keyed-hash.ts). Grows by doubling; what bounds it is the table that uses it.
 *
 * Addresses and ports are used again: all flows that had them, and are open or remembered, are
 * incarnations of one connection (RFC 9293, section 3.4.1), chained from the newest to the oldest.
 */
import { IDENTITY_WORDS } from "../decode/segment.ts";
import type { Flow } from "./flow.ts";

const INITIAL_SLOTS = 1024;
/** Slots in use, of all, before the table grows. */
const LOAD_MAX = 0.5;

export class FlowIndex {
  /** Of each identity the newest flow. */
  private slots: (Flow | null)[] = new Array(INITIAL_SLOTS).fill(null);
  private mask = INITIAL_SLOTS - 1;
  private count = 0;

  /** Identities. */
  get size(): number {
    return this.count;
  }

  /** The newest flow that has, or had, this identity. */
  find(identity: Int32Array, hash: number): Flow | null {
    for (let slot = hash & this.mask; ; slot = (slot + 1) & this.mask) {
      const flow = this.slots[slot]!;
      if (flow === null || (flow.hash === hash && sameIdentity(flow.identity, identity))) return flow;
    }
  }

  /** Puts in a flow as the newest of its identity; `before` is the newest so far, null: there is none. */
  add(flow: Flow, before: Flow | null): void {
    flow.before = before;
    if (before !== null) {
      this.slots[this.slotOf(before)] = flow;
      return;
    }
    if (this.count >= this.slots.length * LOAD_MAX) this.grow();
    this.slots[this.slotOf(flow)] = flow;
    this.count++;
  }

  /** Takes out a flow that is in. */
  remove(flow: Flow): void {
    const newest = this.find(flow.identity, flow.hash)!;
    if (newest !== flow) {
      let after = newest;
      while (after.before !== flow) after = after.before!;
      after.before = flow.before;
    } else if (flow.before !== null) {
      this.slots[this.slotOf(flow)] = flow.before;
    } else {
      this.empty(this.slotOf(flow));
    }
    flow.before = null;
  }

  /** Those behind an emptied slot move up, so that no probe ends early. */
  private empty(hole: number): void {
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

  /** The slot of a newest flow, or where it belongs. */
  private slotOf(flow: Flow): number {
    let slot = flow.hash & this.mask;
    while (this.slots[slot] !== null && this.slots[slot] !== flow) slot = (slot + 1) & this.mask;
    return slot;
  }

  private grow(): void {
    const flows = this.slots.filter((flow) => flow !== null);
    this.slots = new Array(this.slots.length * 2).fill(null);
    this.mask = this.slots.length - 1;
    for (const flow of flows) this.slots[this.slotOf(flow)] = flow;
  }
}

function sameIdentity(a: Int32Array, b: Int32Array): boolean {
  for (let word = IDENTITY_WORDS - 1; word >= 0; word--) if (a[word] !== b[word]) return false;
  return true;
}
