/**
 * The time limits of a shard: a wheel of slots, each a list of timers that are due in the same few milliseconds. To
 * set, move or clear a timer takes the same time however many there are. A tick looks only at timers that are due, or
 * were due at this time before they were moved: a timer that is moved to a later time stays in its slot until that
 * comes.
 */

/**
 * How much later than its time a timer's owner may hear of it, in addition to the time between two calls of {@link
 * Deadlines.advance}.
 */
export const SLOT_MS = 10;
const SLOTS = 1024;
const NOWHERE = -1;

/** Hears that a time limit is reached. */
export interface TimerOwner {
  expire(nowMs: number): void;
}

/** A time limit of `owner`. It is made once, and set as often as it is needed. */
export class Timer {
  /** Infinity: it is not set. */
  dueMs = Infinity;
  /** Its slot in the wheel; {@link NOWHERE}: it is in none. */
  slot = NOWHERE;
  /** The time of its slot. */
  slotMs = 0;
  previous: Timer | null = null;
  next: Timer | null = null;

  constructor(readonly owner: TimerOwner) {}
}

export class Deadlines {
  /** The first timer of each slot. */
  private readonly slots: (Timer | null)[] = new Array<Timer | null>(SLOTS).fill(null);
  /** The next slot, in slots since 1970. */
  private tick: number;

  constructor(nowMs: number) {
    this.tick = Math.floor(nowMs / SLOT_MS);
  }

  /** Sets a timer: its owner hears at `dueMs`, and not at the time that was set before. */
  set(timer: Timer, dueMs: number): void {
    timer.dueMs = dueMs;
    if (timer.slot !== NOWHERE) {
      if (timer.slotMs <= dueMs) return;
      this.unlink(timer);
    }
    this.link(timer);
  }

  /** Clears a timer: its owner does not hear. The timer may stay in its slot, to be set again. */
  clear(timer: Timer): void {
    timer.dueMs = Infinity;
  }

  /** Removes a timer that is not needed any more: the wheel keeps no reference to it. */
  remove(timer: Timer): void {
    timer.dueMs = Infinity;
    if (timer.slot !== NOWHERE) this.unlink(timer);
  }

  /** Tells the owners of all timers that are due. They may set and clear any. */
  advance(nowMs: number): void {
    const last = Math.floor(nowMs / SLOT_MS);
    // After a long pause each slot is looked at once.
    if (last - this.tick >= SLOTS) this.tick = last - SLOTS + 1;
    while (this.tick <= last) {
      const slot = this.tick % SLOTS;
      // Moved on first, so that timers that are set from here on are in no slot that is being looked at.
      this.tick++;
      for (let timer = this.slots[slot]!; timer !== null; timer = this.slots[slot]!) {
        this.unlink(timer);
        if (timer.dueMs !== Infinity) this.due(timer, nowMs);
      }
    }
  }

  private due(timer: Timer, nowMs: number): void {
    if (timer.dueMs > nowMs) {
      this.link(timer);
      return;
    }
    timer.dueMs = Infinity;
    timer.owner.expire(nowMs);
  }

  private link(timer: Timer): void {
    const furthest = this.tick + SLOTS - 2;
    const tick = Math.min(Math.max(Math.ceil(timer.dueMs / SLOT_MS), this.tick), furthest);
    const slot = tick % SLOTS;
    const first = this.slots[slot]!;
    timer.slot = slot;
    timer.slotMs = tick * SLOT_MS;
    timer.previous = null;
    timer.next = first;
    if (first !== null) first.previous = timer;
    this.slots[slot] = timer;
  }

  private unlink(timer: Timer): void {
    if (timer.previous === null) this.slots[timer.slot] = timer.next;
    else timer.previous.next = timer.next;
    if (timer.next !== null) timer.next.previous = timer.previous;
    timer.slot = NOWHERE;
    timer.previous = null;
    timer.next = null;
  }
}
