/**
 * What one side of a TCP connection has acknowledged: a range of numbers that tells the incarnations of a connection
 * apart, whatever their ISN, for the other side begins each with another number.
 */
import { advance, distance } from "./sequence.ts";

/** How far a late copy may acknowledge more, or less, than all that came in time. */
export const LATE_ACK_BYTES_MAX = 1 << 20;
/** Further apart, what lies between two numbers would seem to lie outside of them. */
const RANGE_BYTES_MAX = 2 ** 30;

export class Acknowledgments {
  isKnown = false;
  private first = 0;
  private last = 0;
  /** Nothing below `first` was ever acknowledged: it is where the other side began. */
  private isFirstExact = false;

  /** The other side began here: its SYN was seen. */
  begin(start: number): void {
    if (!this.isKnown) this.last = start;
    this.isKnown = true;
    this.first = start;
    this.isFirstExact = true;
  }

  note(acknowledgment: number): void {
    if (!this.isKnown) {
      this.isKnown = true;
      this.first = acknowledgment;
      this.last = acknowledgment;
    } else if (distance(this.last, acknowledgment) > 0) {
      this.last = acknowledgment;
      const apart = distance(this.first, acknowledgment);
      if (apart >= 0 && apart <= RANGE_BYTES_MAX) return;
      this.first = advance(acknowledgment, -RANGE_BYTES_MAX);
      this.isFirstExact = false;
    } else if (!this.isFirstExact && distance(acknowledgment, this.first) > 0) {
      this.first = acknowledgment;
    }
  }

  /** Whether this was never said to the side that acknowledges; `aboveMax`: how much more it may be all the same. */
  isOutside(acknowledgment: number, aboveMax = LATE_ACK_BYTES_MAX): boolean {
    if (!this.isKnown) return false;
    const belowMax = this.isFirstExact ? 0 : LATE_ACK_BYTES_MAX;
    return distance(this.last, acknowledgment) > aboveMax || distance(acknowledgment, this.first) > belowMax;
  }

  /** Whether something was acknowledged, but not this much. */
  isBehind(acknowledgment: number): boolean {
    return this.isKnown && distance(this.last, acknowledgment) > 0;
  }
}

/** Whether two segments may be of the same incarnation, by what they acknowledge; null: nothing. */
export function mayBeAlike(a: number | null, b: number | null): boolean {
  return a === null || b === null || Math.abs(distance(a, b)) <= LATE_ACK_BYTES_MAX;
}
