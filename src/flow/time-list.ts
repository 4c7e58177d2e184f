/** Items in the order of their times: a doubly linked list through the items. The first one is due first. */

export interface Timed<T> {
  /** When the item's current state began, by the capture's clock. */
  sinceMs: number;
  older: T | null;
  newer: T | null;
}

/** A list of items in the order of their times. */
export class TimeList<T extends Timed<T>> {
  oldest: T | null = null;
  private newest: T | null = null;
  size = 0;

  /** The first item, again and again, while its state began at `sinceMs` or earlier. The caller removes or renews it. */
  *due(sinceMs: number): Generator<T> {
    while (this.oldest !== null && this.oldest.sinceMs <= sinceMs) yield this.oldest;
  }

  /** Adds an item that is in no list: at the end, but before items with a later time. */
  insert(item: T): void {
    let older = this.newest;
    while (older !== null && older.sinceMs > item.sinceMs) older = older.older;
    const newer = older === null ? this.oldest : older.newer;
    item.older = older;
    item.newer = newer;
    if (older === null) this.oldest = item;
    else older.newer = item;
    if (newer === null) this.newest = item;
    else newer.older = item;
    this.size++;
  }

  /** Removes an item that is in this list. */
  remove(item: T): void {
    const { older, newer } = item;
    if (older === null) this.oldest = newer;
    else older.newer = newer;
    if (newer === null) this.newest = older;
    else newer.older = older;
    item.older = null;
    item.newer = null;
    this.size--;
  }

  /** The item's state begins anew at `sinceMs`, which is later than all others' times. */
  renew(item: T, sinceMs: number): void {
    item.sinceMs = sinceMs;
    if (this.newest === item) return;
    this.remove(item);
    this.insert(item);
  }

  /** States that began at `fromMs` or later began at `toMs`. */
  leapt(fromMs: number, toMs: number): void {
    for (let item = this.newest; item !== null && item.sinceMs >= fromMs; item = item.older) item.sinceMs = toMs;
  }
}
