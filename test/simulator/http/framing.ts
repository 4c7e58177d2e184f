/**
 * The requests and damage that must be found in a stream with these pieces and holes. They follow from the places of
 * the requests (session.ts), from the rules of src/http/README.md, "What a gap does to a request", and from the rules
 * for damage; nothing is parsed here.
 */
import type { DamageReason } from "../../../src/http/request-sink.ts";
import type { RecordedStream } from "../recorder.ts";
import { HTTP2, type Item, type Run, type Session } from "./session.ts";

export interface Framed {
  /** The requests that must be given whole, in their order. */
  readonly whole: Item[];
  /** The reasons of damage, as often as each must be counted. */
  readonly damage: DamageReason[];
  /** The range of bytes that must pass through; null: none. */
  bare: { readonly from: number; readonly to: number } | null;
  /** It ends after an offer that was left out: all later bytes are left out too, or are the beginning of a request. */
  leavesOutRest: boolean;
  /** It ends in step, between two requests, or before the first. */
  isBetween: boolean;
}

/**
 * `at`: the place of the recorded stream's first byte. `isInStep`: a request begins there. `isUpgraded`: whether the
 * endpoint has accepted this request's offer. `isLeftOut`: whether policy has left it out.
 */
export function frame(
  session: Session,
  stream: RecordedStream,
  at: number,
  isInStep: boolean,
  isUpgraded: (item: Item) => boolean,
  isLeftOut: (item: Item) => boolean,
): Framed {
  return new Framing(session, stream, at, isUpgraded, isLeftOut).run(isInStep);
}

class Framing {
  private readonly framed: Framed = { whole: [], damage: [], bare: null, leavesOutRest: false, isBetween: false };
  private readonly holes: Run[] = [];
  /** Calls of `data`. */
  private readonly pushes: Run[] = [];
  private readonly first: number;
  /** Whether the stream ends because others need the memory. */
  private readonly isEvicted: boolean;
  private end: number;
  /** The last item whose end was found. */
  private behind: Item | null = null;

  constructor(
    private readonly session: Session,
    stream: RecordedStream,
    first: number,
    private readonly isUpgraded: (item: Item) => boolean,
    private readonly isLeftOut: (item: Item) => boolean,
  ) {
    this.first = first;
    this.isEvicted = stream.how === "evicted";
    this.end = first;
    for (const length of stream.calls) {
      const to = this.end + Math.abs(length);
      if (length > 0) this.pushes.push({ from: this.end, to });
      else this.holes.push({ from: this.end, to });
      this.end = to;
    }
  }

  run(isInStep: boolean): Framed {
    // Each step takes the item at one place, and returns the next place: in step, or looking for a request.
    let place: Place | null = { at: this.first, isInStep };
    while (place !== null) {
      this.framed.isBetween = place.isInStep && place.at === this.end;
      place = place.isInStep ? this.stepAt(place.at) : this.seekFrom(place.at);
    }
    return this.framed;
  }

  /** In step, between requests. */
  private stepAt(at: number): Place | null {
    const item = this.nextItem(at);
    const hole = this.holeFrom(at);
    const start = item?.start ?? Infinity;
    if (hole.from <= start && hole.from < this.end) return this.lose("gap", hole.to);
    if (item === undefined || this.end <= start) return null;
    return this.take(item, hole, false);
  }

  /** `isFound`: found after a gap, by its request line. */
  private take(item: Item, hole: Run, isFound: boolean): Place | null {
    const { start, end, headEnd, kind, seenAt, runs } = item;
    const known = Math.min(hole.from, this.end);
    // A found request with lines that are no fields counts as text.
    if (isFound && item.isStray && headEnd <= known && seenAt >= headEnd - 1)
      return this.lose("malformed", this.nextBegin(headEnd - 1));
    if (kind !== "request" && seenAt < known) {
      if (kind === "broken") return this.takeBroken(item, known, isFound);
      // Behind a request that offers nothing (a body that looks like one), other bytes are a broken request.
      if (this.behind?.wantsUpgrade === false) return this.damage("malformed");
      if (item.id === HTTP2) this.framed.bare = { from: start, to: known };
      return null;
    }
    if (kind === "request" && end <= known) {
      this.framed.whole.push(item);
      if (item.wantsUpgrade && this.isUpgraded(item) && !this.isDeclined(item)) {
        this.framed.bare = { from: end, to: this.holeFrom(end).from };
        return null;
      }
      if (item.wantsUpgrade && this.isLeftOut(item) && !this.isDeclined(item)) {
        this.framed.leavesOutRest = true;
        return null;
      }
      return this.after(item);
    }
    if (this.end <= hole.from) return this.damage(this.isEvicted ? "evicted" : "cut_off");
    if (!isWithin(runs, hole)) return this.lose("gap", hole.to);
    this.damage("gap");
    return this.passOver(item, hole.to, false);
  }

  /** The damage is visible; its consequences do not count again. */
  private takeBroken(item: Item, known: number, isFound: boolean): Place | null {
    const { end, headEnd, reason, seenAt, runs } = item;
    this.damage(reason);
    // In a found head: it was no request, or the gap was in it.
    if (isFound && reason !== "ambiguous_length" && seenAt < headEnd - 1)
      return { at: this.nextBegin(seenAt), isInStep: false };
    if (!item.isEndKnown) return null;
    if (end <= known) return this.after(item);
    return runs.length === 0 || this.holeFrom(seenAt).from < headEnd ? null : this.passOver(item, seenAt, true);
  }

  /**
   * The rest of a damaged request is skipped, with its holes, as long as its end stays known. `isBroken`: it is damaged
   * by more than holes, and reading stops if its end is unknown.
   */
  private passOver(item: Item, from: number, isBroken: boolean): Place | null {
    const end = item.kind === "broken" && !item.isEndKnown ? item.seenAt + 1 : item.end;
    for (let next = this.holeFrom(from); next.from < end; next = this.holeFrom(next.to)) {
      if (isWithin(item.runs, next)) continue;
      // Missing bytes beyond a body belong to another request.
      if (item.hasLength) return this.lose("gap", next.to);
      return isBroken ? null : { at: next.to, isInStep: false };
    }
    return this.end < end || end !== item.end ? null : this.after(item);
  }

  /**
   * Whether the client's bytes behind its offer show that production has declined it: a request line with a known
   * method, even if it is too long. A gap there shows nothing, but no later bytes of another protocol could be
   * understood.
   */
  private isDeclined({ start, end }: Item): boolean {
    if (Buffer.from(this.session.stream.subarray(start, end)).toString("latin1").startsWith("CONNECT ")) return false;
    let at = end;
    while (at < this.end && (this.session.stream[at] === 0x0d || this.session.stream[at] === 0x0a)) at++;
    const hole = this.holeFrom(end);
    const next = this.nextItem(at);
    if (hole.from <= at && hole.from < this.end) return true;
    // A part of a request line with a gap behind it counts as a whole one.
    if (next === undefined || next.start !== at) return false;
    const isTooLong = next.reason === "header_too_long" && next.lineEnd === 0;
    if (next.lineEnd === 0 && !isTooLong) return hole.from <= next.strangeAt && hole.from < this.end;
    return Math.min(isTooLong ? next.seenAt + 1 : next.lineEnd, hole.from) <= this.end;
  }

  private after(item: Item): Place | null {
    const { end, isLast } = item;
    this.behind = item;
    if (!isLast) return { at: end, isInStep: true };
    // Any later bytes, except line ends, are a request that no server reads.
    for (let at = end; at < this.end; at++) {
      const hole = this.holes.find(({ from, to }) => from <= at && at < to);
      if (hole !== undefined) at = hole.to - 1;
      else if (this.session.stream[at] !== 0x0d && this.session.stream[at] !== 0x0a) return this.damage("after_close");
    }
    return null;
  }

  /**
   * Out of step: a request is found where bytes begin with its line, and the line is whole. A body that looks like a
   * request is found too, because no byte distinguishes them; except if the end of a head that announces the body came
   * right before it.
   */
  private seekFrom(at: number): Place | null {
    let bodyEnd = at;
    for (const push of this.pushes) {
      if (push.from < bodyEnd) continue;
      const item = this.itemAt(push.from);
      const hole = this.holeFrom(push.from);
      if (item !== undefined && item.lineEnd > 0 && item.lineEnd <= Math.min(hole.from, this.end))
        return this.take(item, hole, true);
      bodyEnd = this.announcedEnd(push);
    }
    return null;
  }

  /**
   * The end of a push, or of the body that its last lines announce as the end of a head (or of text that looks like
   * one).
   */
  private announcedEnd({ from, to }: Run): number {
    const text = Buffer.from(this.session.stream.subarray(from, to)).toString("latin1");
    const section = /(?:^|\n\r?\n)((?:(?!\n\r?\n)[^])*\n)\r?\n$/.exec(text)?.[1];
    if (section === undefined || /\r(?!\n)|^transfer-encoding:|^content-length[ \t]/im.test(section)) return to;
    const lengths = [...section.matchAll(/^content-length:(.*(?:\r?\n[ \t].*)*)/gim)].map(([, value]) => value!.trim());
    const isSound = lengths.every((length) => /^\d+(\s*,\s*\d+)*$/.test(length));
    return isSound && lengths.length > 0 ? to + Number(/\d+$/.exec(lengths.at(-1)!)![0]) : to;
  }

  /** The first item at a place or after it; the rest of a chunk only after the item that was found in it. */
  private nextItem(at: number): Item | undefined {
    const isIn = this.session.nested.some(({ kind, end }) => kind === "request" && end === at);
    const rest = this.session.nested.find(({ kind, start }) => kind === "broken" && start >= at);
    const item = this.session.items.find(({ start }) => start >= at);
    return isIn && rest !== undefined && rest.start < (item?.start ?? Infinity) ? rest : item;
  }

  private itemAt(at: number): Item | undefined {
    return [...this.session.items, ...this.session.nested].find(({ start }) => start === at);
  }

  private lose(reason: DamageReason, at: number): Place {
    this.damage(reason);
    return { at, isInStep: false };
  }

  private damage(reason: DamageReason): null {
    this.framed.damage.push(reason);
    return null;
  }

  /** The first hole at a place or after it. */
  private holeFrom(at: number): Run {
    return this.holes.find(({ from }) => from >= at) ?? { from: Infinity, to: Infinity };
  }

  private nextBegin(at: number): number {
    return this.pushes.find(({ from }) => from > at)?.from ?? Infinity;
  }
}

function isWithin(runs: readonly Run[], hole: Run): boolean {
  return runs.some(({ from, to }) => from <= hole.from && hole.to <= to);
}

interface Place {
  readonly at: number;
  readonly isInStep: boolean;
}
