/**
 * One IP datagram, put together from fragments that come in any order, with overlaps, and cut short. Its bytes are kept
 * one behind another as they come, and put in order once, when it is complete: for a fragment at a far place, no room
 * is made for all bytes that may lie before it.
 */
import type { IpHeader } from "./ip.ts";

/** The layer of a datagram. MIDDLE: a packet in GENEVE, which may carry VXLAN. */
export const Layer = { OUTER: 0, INNER: 1, MIDDLE: 2 } as const;
/** One of the layers of {@link Layer}. */
export type Layer = (typeof Layer)[keyof typeof Layer];

/** The cost of a datagram without its bytes: its objects, its slot, its six arrays' own cells. */
const DATAGRAM_OVERHEAD_BYTES = 1024;
const STORE_BYTES_MIN = 256;
const RANGES_MIN = 4;
const NOTHING = new Uint8Array(0);

/**
 * Ranges of a datagram's payload, in order and without overlaps. Each has the place where its bytes are kept, or no
 * bytes are kept at all.
 */
class Ranges {
  count = 0;
  private starts = new Uint16Array(RANGES_MIN);
  private ends = new Uint16Array(RANGES_MIN);
  private places = new Int32Array(RANGES_MIN);
  /** All bytes up to here are in ranges. */
  prefix = 0;

  get heldBytes(): number {
    return this.starts.length * 8;
  }

  start(index: number): number {
    return this.starts[index]!;
  }

  end(index: number): number {
    return this.ends[index]!;
  }

  place(index: number): number {
    return this.places[index]!;
  }

  /** The index of the first range that ends behind `at`; {@link count}: there is none. */
  firstBehind(at: number): number {
    // Most fragments come in order, or backwards.
    if (this.count === 0 || this.ends[this.count - 1]! <= at) return this.count;
    if (this.ends[0]! > at) return 0;
    let low = 0;
    let high = this.count - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.ends[middle]! > at) high = middle;
      else low = middle;
    }
    return high;
  }

  /**
   * Adds a range that overlaps no other, before the one at `index`. Returns by how many the number of ranges has grown.
   */
  insert(index: number, start: number, end: number, place: number): number {
    const before = this.count;
    // Ranges that follow one another both in the payload and in the store become one.
    if (
      index > 0 &&
      this.ends[index - 1] === start &&
      place === this.places[index - 1]! + start - this.starts[index - 1]!
    ) {
      this.ends[index - 1] = end;
    } else {
      if (this.count === this.starts.length) this.grow();
      this.starts.copyWithin(index + 1, index, this.count);
      this.ends.copyWithin(index + 1, index, this.count);
      this.places.copyWithin(index + 1, index, this.count);
      this.starts[index] = start;
      this.ends[index] = end;
      this.places[index] = place;
      this.count++;
    }
    if (start === this.prefix) {
      this.prefix = end;
      for (let next = this.firstBehind(end); next < this.count && this.starts[next] === this.prefix; next++)
        this.prefix = this.ends[next]!;
    }
    return this.count - before;
  }

  private grow(): void {
    const { starts, ends, places } = this;
    this.starts = new Uint16Array(starts.length * 2);
    this.starts.set(starts);
    this.ends = new Uint16Array(ends.length * 2);
    this.ends.set(ends);
    this.places = new Int32Array(places.length * 2);
    this.places.set(places);
  }
}

/** One datagram. When it is complete it belongs to the caller that gets it. */
export class Datagram {
  /** Both addresses (4 or 16 bytes each), then the payload once {@link join} has put it in order. */
  bytes: Uint8Array;
  readonly payloadOffset: number;
  readonly version: number;
  protocol = -1;
  /** Its identification is not its own: it may be put together from fragments of several. */
  isUncertain = false;
  /** Fragments before it were of other datagrams, or got lost. */
  isBehindLoss = false;
  /** Each of its fragments began where those before it had ended, the first at the payload's start. */
  isAscending = true;
  /** Each of its fragments ended where the one before it began, the first at the payload's end. */
  isDescending = true;
  /** Its fragments came in the order that is usual here. */
  isInUsualOrder = false;
  /** Neighbours in the table's list by age, and in its bucket. */
  older: Datagram | null = null;
  newer: Datagram | null = null;
  sameBucket: Datagram | null = null;

  /** The payload's bytes, in the order in which they came. */
  private store: Uint8Array = NOTHING;
  private storedBytes = 0;
  private readonly present = new Ranges();
  /** The ranges that fragments have announced, with those that the mirror cut short; null: nothing was cut. */
  private announced: Ranges | null = null;
  /** The payload's length, by the last fragment; -1: that was not seen. */
  private length = -1;
  /** Where the lowest fragment begins; Infinity: none has come. */
  private lowest = Infinity;

  constructor(
    readonly key: Int32Array,
    readonly bucket: number,
    view: DataView,
    header: IpHeader,
    public startedMs: number,
  ) {
    const addressLength = header.version === 4 ? 4 : 16;
    this.version = header.version;
    this.payloadOffset = 2 * addressLength;
    this.bytes = new Uint8Array(this.payloadOffset);
    for (let i = 0; i < addressLength; i++) {
      this.bytes[i] = view.getUint8(header.sourceOffset + i);
      this.bytes[addressLength + i] = view.getUint8(header.destinationOffset + i);
    }
  }

  /** The bytes held, with all that the datagram costs. */
  get heldBytes(): number {
    return this.store.length + this.present.heldBytes + (this.announced?.heldBytes ?? 0) + DATAGRAM_OVERHEAD_BYTES;
  }

  /** Keeps the new bytes of a fragment. `claimedLength`: with the bytes that the mirror cut off. */
  place(bytes: Uint8Array, from: number, at: number, length: number, claimedLength: number, isLast: boolean): void {
    const end = at + claimedLength;
    // Copies change no order.
    const { prefix } = this.announced ?? this.present;
    if (end > prefix && at !== prefix) this.isAscending = false;
    if (at < this.lowest) {
      if (this.lowest === Infinity ? !isLast : end !== this.lowest) this.isDescending = false;
      this.lowest = at;
    }
    if (claimedLength > length && this.announced === null) this.announced = this.copyOfPresent();
    if (this.announced !== null) this.fill(this.announced, at, claimedLength, null, 0);
    this.fill(this.present, at, length, bytes, from);
    if (isLast && this.length < 0) this.length = at + claimedLength;
  }

  get isComplete(): boolean {
    return this.length >= 0 && this.protocol >= 0 && (this.announced ?? this.present).prefix >= this.length;
  }

  /** Whether a fragment (as for {@link place}) has other bytes than the fragments so far, or tells another length. */
  contradicts(bytes: Uint8Array, from: number, at: number, length: number, claimed: number, isLast: boolean): boolean {
    const end = at + claimed;
    if (this.length >= 0 && (isLast ? end !== this.length : end > this.length)) return true;
    const { present, store } = this;
    for (let index = present.firstBehind(at); index < present.count && present.start(index) < at + length; index++) {
      const start = Math.max(present.start(index), at);
      const stop = Math.min(present.end(index), at + length);
      const place = present.place(index) - present.start(index);
      for (let i = start; i < stop; i++) if (store[place + i] !== bytes[from + i - at]) return true;
    }
    return false;
  }

  /** How many payload bytes are present without a hole, from the start. */
  get presentLength(): number {
    return Math.min(this.present.prefix, this.length);
  }

  /** How many payload bytes there are behind {@link presentLength}, up to the datagram's end. */
  get missingLength(): number {
    return this.length - this.presentLength;
  }

  /** Puts the payload's bytes in order, as far as they are present from its start. */
  join(): void {
    const { presentLength, payloadOffset, present, store } = this;
    const joined = new Uint8Array(payloadOffset + presentLength);
    joined.set(this.bytes);
    for (let index = 0; index < present.count && present.start(index) < presentLength; index++) {
      const start = present.start(index);
      const length = Math.min(present.end(index), presentLength) - start;
      joined.set(store.subarray(present.place(index), present.place(index) + length), payloadOffset + start);
    }
    this.bytes = joined;
  }

  /**
   * Adds the ranges that are missing among the `length` bytes from `at` on. `bytes` has these bytes from `from` on;
   * null: they are not kept.
   */
  private fill(ranges: Ranges, at: number, length: number, bytes: Uint8Array | null, from: number): void {
    const end = at + length;
    for (let index = ranges.firstBehind(at), start = at; start < end; index++) {
      const gapEnd = index < ranges.count ? Math.min(ranges.start(index), end) : end;
      if (gapEnd > start) {
        const place = bytes === null ? start : this.keep(bytes, from + start - at, gapEnd - start);
        index += ranges.insert(index, start, gapEnd, place);
      }
      if (index < ranges.count) start = Math.max(start, ranges.end(index));
      else break;
    }
  }

  private copyOfPresent(): Ranges {
    const copy = new Ranges();
    for (let index = 0; index < this.present.count; index++)
      copy.insert(copy.count, this.present.start(index), this.present.end(index), this.present.start(index));
    return copy;
  }

  /** Appends bytes to the store. Returns their place in it. */
  private keep(bytes: Uint8Array, from: number, length: number): number {
    const place = this.storedBytes;
    this.storedBytes += length;
    if (this.storedBytes > this.store.length) {
      const grown = new Uint8Array(Math.max(2 ** Math.ceil(Math.log2(this.storedBytes)), STORE_BYTES_MIN));
      grown.set(this.store.subarray(0, place));
      this.store = grown;
    }
    this.store.set(bytes.subarray(from, from + length), place);
    return place;
  }
}
