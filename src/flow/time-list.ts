/** Things in the order of their times: a doubly linked list through themselves. The first is the first to be due. */

export interface Timed<T> {
  /** Since when it is as it is, by the capture's clock. */
  sinceMs: number;
  older: T | null;
  newer: T | null;
}

export class TimeList<T extends Timed<T>> {
  oldest: T | null = null;
  private newest: T | null = null;
  size = 0;

  /** The first, if it is as it is since `sinceMs` or longer; null: it is not, or there is none. */
  firstSince(sinceMs: number): T | null {
    return this.oldest !== null && this.oldest.sinceMs <= sinceMs ? this.oldest : null;
  }

  /** Adds what is in no list: at the end, unless others are of a later time. */
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

  /** Takes out what is in this list. */
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

  /** It is so since `sinceMs`, which is later than all others. */
  renew(item: T, sinceMs: number): void {
    item.sinceMs = sinceMs;
    if (this.newest === item) return;
    this.remove(item);
    this.insert(item);
  }

  /** What is so since `fromMs` or later is so since `toMs`. */
  leapt(fromMs: number, toMs: number): void {
    for (let item = this.newest; item !== null && item.sinceMs >= fromMs; item = item.older) item.sinceMs = toMs;
  }
}
