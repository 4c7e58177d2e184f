/**
 * The range of numbers that one side of a TCP connection has acknowledged. It distinguishes the incarnations of a
 * connection, for any ISN, because the other side begins each with another number.
 */
import { advance, distance } from "./sequence.ts";

/** How much more, or less, a late copy may acknowledge than all segments that came in time. */
export const LATE_ACK_BYTES_MAX = 1 << 20;
/** The longest range: if its ends were further apart, numbers between them would seem to lie outside. */
export const RANGE_BYTES_MAX = 2 ** 30;

/** The range of one side's acknowledgment numbers. */
export class Acknowledgments {
  isKnown = false;
  private first = 0;
  private last = 0;
  /** The other side began at `first`: no number below it was ever acknowledged. */
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

  /** Whether the other side never sent the bytes before this number. */
  isOutside(acknowledgment: number): boolean {
    if (!this.isKnown) return false;
    const belowMax = this.isFirstExact ? 0 : LATE_ACK_BYTES_MAX;
    const isAbove = distance(this.last, acknowledgment) > LATE_ACK_BYTES_MAX;
    return isAbove || distance(acknowledgment, this.first) > belowMax;
  }

  /** Whether there were acknowledgments, but all below this number. */
  isBehind(acknowledgment: number): boolean {
    return this.isKnown && distance(this.last, acknowledgment) > 0;
  }
}

/**
 * Whether two segments may belong to the same incarnation, by their acknowledgment numbers; null: the segment has none.
 */
export function mayBeAlike(a: number | null, b: number | null): boolean {
  return a === null || b === null || Math.abs(distance(a, b)) <= LATE_ACK_BYTES_MAX;
}
