/**
 * Those who hold memory, by how much: where it is full and all moves, whoever holds most gives way to whoever holds much
 * less (as FQ-CoDel drops from the queue that is longest: RFC 8290, section 4.1). So newcomers get a share, however many
 * hold as much as they can. Each class holds twice as much as the one before it: whatever is done here costs the same,
 * however many there are.
 */
import { Aged, AgeList } from "./age-list.ts";

/** So many classes apart, one holds more than twice, and at most eight times, what the other does. */
const CLASSES_APART = 2;
/** By the base-2 logarithm of what is held. */
const CLASSES = 32;

export abstract class Holder extends Aged<Holder> {
  /** What would be given back if it gave way to the last. */
  heldBytes = 0;

  /** Gives back some of what it holds. */
  abstract giveWay(): void;
}

export class Holders {
  private readonly classes = Array.from({ length: CLASSES }, () => new AgeList<Holder>());
  /** None is in a class above. */
  private highest = 0;

  /** `holder` is found here as holding what it holds now. */
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

  /** One that holds most, if that is much more than `bytes`: the one that has done so longest. Null: none does. */
  muchMoreThan(bytes: number): Holder | null {
    while (this.highest > 0 && this.classes[this.highest]!.size === 0) this.highest--;
    return this.highest >= classOf(bytes) + CLASSES_APART ? this.classes[this.highest]!.oldest : null;
  }
}

function classOf(bytes: number): number {
  return CLASSES - 1 - Math.clz32(Math.min(bytes, 0xffff_ffff));
}
