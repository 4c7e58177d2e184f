/**
 * Holders of memory, by how much they hold. If memory is full and no holder stands still, the one that holds most gives
 * way to one that holds much less (as FQ-CoDel drops from the longest queue: RFC 8290, section 4.1). So newcomers get a
 * share, however many hold as much as they can. Each class holds twice as much as the one before it, so each operation
 * takes the same time, however many holders there are.
 */
import { Aged, AgeList } from "./age-list.ts";

/**
 * If two holders are this many classes apart, one holds more than twice, and at most eight times, as much as the other.
 */
const CLASSES_APART = 2;
/** Classes by the base-2 logarithm of the held bytes. */
const CLASSES = 32;

export abstract class Holder extends Aged<Holder> {
  /** The bytes that would be given back if it gave way with all that it can. */
  heldBytes = 0;

  /** Gives back some of its bytes. */
  abstract giveWay(): void;
}

export class Holders {
  private readonly classes = Array.from({ length: CLASSES }, () => new AgeList<Holder>());
  /** No holder is in a higher class. */
  private highest = 0;

  /** Files a holder by the bytes that it holds now. */
  file(holder: Holder): void {
    const { heldBytes, list } = holder;
    if (heldBytes === 0) {
      list?.remove(holder);
      return;
    }
    const own = classOf(heldBytes);
    if (list === this.classes[own]) return;
    this.classes[own]!.append(holder);
    if (own > this.highest) this.highest = own;
  }

  /**
   * The holder that holds most, if that is much more than `bytes`; among several in its class, the one that was filed
   * first. Null: there is none.
   */
  muchMoreThan(bytes: number): Holder | null {
    while (this.highest > 0 && this.classes[this.highest]!.size === 0) this.highest--;
    return this.highest >= classOf(bytes) + CLASSES_APART ? this.classes[this.highest]!.oldest : null;
  }
}

function classOf(bytes: number): number {
  return CLASSES - 1 - Math.clz32(Math.min(bytes, 0xffff_ffff));
}
