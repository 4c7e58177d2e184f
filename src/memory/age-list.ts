/** Items in the order in which they were last appended: a doubly linked list through the items. */

export abstract class Aged<T extends Aged<T>> {
  older: T | null = null;
  newer: T | null = null;
  /** The list that the item is in; null: none. */
  list: AgeList<T> | null = null;
}

export class AgeList<T extends Aged<T>> {
  oldest: T | null = null;
  private newest: T | null = null;
  size = 0;

  /** Appends an item to this list; if it is in a list, it is removed from that first. */
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

  /** Removes an item that is in this list. */
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
