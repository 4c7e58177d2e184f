/** Things in the order in which they were last put at the end: a doubly linked list through themselves. */

export abstract class Aged<T extends Aged<T>> {
  older: T | null = null;
  newer: T | null = null;
  /** The list that it is in. */
  list: AgeList<T> | null = null;
}

export class AgeList<T extends Aged<T>> {
  oldest: T | null = null;
  private newest: T | null = null;
  size = 0;

  /** Puts it at the end of this list; if it is in another, it is taken out of that. */
  append(item: T): void {
    if (this.newest === item) return;
    item.list?.remove(item);
    item.list = this;
    item.older = this.newest;
    if (this.newest === null) this.oldest = item;
    else this.newest.newer = item;
    this.newest = item;
    this.size++;
  }

  /** Takes out what is in this list. */
  remove(item: T): void {
    if (item.older === null) this.oldest = item.newer;
    else item.older.newer = item.newer;
    if (item.newer === null) this.newest = item.older;
    else item.newer.older = item.older;
    item.older = null;
    item.newer = null;
    item.list = null;
    this.size--;
  }
}
