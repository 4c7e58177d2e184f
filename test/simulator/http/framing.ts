/**
 * What must be found in a stream that came in these pieces and with these holes: which requests are
 * whole and which bytes are damage. It follows from where the requests lie (session.ts), and from the
 * rules of README's "What a gap does to a request" and what damage does; nothing is parsed here.
 */
import type { DamageReason } from "../../../src/http/request-sink.ts";
import type { RecordedStream } from "../recorder.ts";
import { HTTP2, type Item, type Session } from "./session.ts";

export interface Framed {
  /** The requests that must be told whole, in their order. */
  readonly whole: Item[];
  /** Why something was damaged, as often as it must be counted. */
  readonly damage: DamageReason[];
  /** From where on bytes must pass as they are, up to where; null: nowhere. */
  bare: { readonly from: number; readonly to: number } | null;
}

interface Hole {
  readonly from: number;
  readonly to: number;
}

/**
 * `at`: the place of the recorded stream's first byte. `isUpgraded`: whether the endpoint has taken this request's
 * offer.
 */
export function frame(
  session: Session,
  stream: RecordedStream,
  at: number,
  isUpgraded: (item: Item) => boolean,
): Framed {
  return new Framing(session, stream, at, isUpgraded).run();
}

class Framing {
  private readonly framed: Framed = { whole: [], damage: [], bare: null };
  private readonly holes: Hole[] = [];
  /** Where calls of `data` began. */
  private readonly begins: number[] = [];
  private readonly first: number;
  private end: number;

  constructor(
    private readonly session: Session,
    private readonly stream: RecordedStream,
    first: number,
    private readonly isUpgraded: (item: Item) => boolean,
  ) {
    this.first = first;
    this.end = first;
    for (const length of stream.calls) {
      const to = this.end + Math.abs(length);
      if (length > 0) this.begins.push(this.end);
      else this.holes.push({ from: this.end, to });
      this.end = to;
    }
  }

  run(): Framed {
    // Each step takes what follows one place, and says where to go on: in step, or looking for a request.
    let place: Place | null = this.stream.hasSyn
      ? { at: this.first, isInStep: true }
      : { at: this.first, isInStep: false };
    while (place !== null) place = place.isInStep ? this.stepAt(place.at) : this.seekFrom(place.at);
    return this.framed;
  }

  /** In step, between requests. */
  private stepAt(at: number): Place | null {
    const item = this.session.items.find(({ start }) => start >= at);
    const hole = this.holeFrom(at);
    const start = item?.start ?? Infinity;
    if (hole.from <= start && hole.from < this.end) return this.lose("gap", hole.to);
    if (item === undefined || this.end <= start) return null;
    return this.take(item, hole, false);
  }

  /** `isFound`: behind a gap, by its request line. */
  private take(item: Item, hole: Hole, isFound: boolean): Place | null {
    const { start, end, headEnd, kind, seenAt } = item;
    const known = Math.min(hole.from, this.end);
    // What was found and has lines that are no fields is rather a text.
    if (isFound && item.isStray && headEnd <= known && seenAt >= headEnd - 1)
      return this.lose("malformed", this.nextBegin(headEnd - 1));
    if (kind !== "request" && seenAt < known) {
      if (kind === "broken") return this.takeBroken(item, known, isFound);
      if (item.id === HTTP2) this.framed.bare = { from: start, to: known };
      return null;
    }
    if (kind === "request" && end <= known) {
      this.framed.whole.push(item);
      if (item.wantsUpgrade && this.isUpgraded(item) && !this.isDeclined(item)) {
        this.framed.bare = { from: end, to: this.holeFrom(end).from };
        return null;
      }
      return this.after(item);
    }
    if (this.end <= hole.from) return this.damage("cut_off");
    if (kind !== "request" || !item.hasLength || hole.from < headEnd || hole.to > end) return this.lose("gap", hole.to);
    this.damage("gap");
    return this.passOver(item, hole.to);
  }

  /** The damage is seen; what comes of it does not count again. */
  private takeBroken(item: Item, known: number, isFound: boolean): Place | null {
    const { end, headEnd, reason, seenAt } = item;
    this.damage(reason);
    // In a head that was found: it was no request, or the gap was in it.
    if (isFound && reason !== "ambiguous_length" && seenAt < headEnd - 1)
      return { at: this.nextBegin(seenAt), isInStep: false };
    if (!item.isEndKnown) return null;
    if (end <= known) return this.after(item);
    const hole = this.holeFrom(seenAt);
    if (hole.from >= this.end) return null;
    return item.hasLength && hole.from >= headEnd ? this.passOver(item, hole.from) : { at: hole.to, isInStep: false };
  }

  /** The rest of a body of known length is skipped, holes included, as long as they end with it. */
  private passOver(item: Item, from: number): Place | null {
    const { end } = item;
    for (let next = this.holeFrom(from); next.from < end; next = this.holeFrom(next.to)) {
      if (next.to > end) return this.lose("gap", next.to);
    }
    return this.end < end ? null : this.after(item);
  }

  /**
   * Whether what the client says behind its offer shows that production has declined it: a request line of a method
   * that everyone knows. A gap there shows nothing, but nothing of another protocol could be understood behind it.
   */
  private isDeclined({ start, end }: Item): boolean {
    if (Buffer.from(this.session.stream.subarray(start, end)).toString("latin1").startsWith("CONNECT ")) return false;
    let at = end;
    while (at < this.end && (this.session.stream[at] === 0x0d || this.session.stream[at] === 0x0a)) at++;
    const hole = this.holeFrom(end);
    const next = this.session.items.find(({ start }) => start === at);
    if (hole.from <= at && hole.from < this.end) return true;
    // A part of a request line and a gap behind it is as good as a whole one.
    return next !== undefined && next.lineEnd > 0 && Math.min(next.lineEnd, hole.from) < this.end + 1;
  }

  private after({ end, isLast }: Item): Place | null {
    if (!isLast) return { at: end, isInStep: true };
    // Whatever follows, but for line ends, is one that no server reads.
    for (let at = end; at < this.end; at++) {
      const hole = this.holes.find(({ from, to }) => from <= at && at < to);
      if (hole !== undefined) at = hole.to - 1;
      else if (this.session.stream[at] !== 0x0d && this.session.stream[at] !== 0x0a) return this.damage("after_close");
    }
    return null;
  }

  /** Out of step: a request is found where bytes begin with its line, and the line is whole. */
  private seekFrom(at: number): Place | null {
    for (const begin of this.begins) {
      if (begin < at) continue;
      const item = this.session.items.find(({ start }) => start === begin);
      if (item === undefined || item.lineEnd === 0) continue;
      if (item.lineEnd <= Math.min(this.holeFrom(begin).from, this.end))
        return this.take(item, this.holeFrom(begin), true);
    }
    return null;
  }

  private lose(reason: DamageReason, at: number): Place {
    this.damage(reason);
    return { at, isInStep: false };
  }

  private damage(reason: DamageReason): null {
    this.framed.damage.push(reason);
    return null;
  }

  /** The first hole at a place or behind it. */
  private holeFrom(at: number): Hole {
    return this.holes.find(({ from }) => from >= at) ?? { from: Infinity, to: Infinity };
  }

  private nextBegin(at: number): number {
    return this.begins.find((begin) => begin > at) ?? Infinity;
  }
}

interface Place {
  readonly at: number;
  readonly isInStep: boolean;
}
