/**
 * IP datagrams put together from their fragments (RFC 791, section 3.2; RFC 8200, section 4.5), in a table bounded in
 * number, bytes and time. The first copy of a byte wins. A fragment takes time in proportion to its bytes, however many
 * other fragments there are: strangers may send a datagram in eight thousand parts.
 *
 * Some senders give all datagrams the same identification: AWS's mirror packets have 0 (RFC 6864, section 4.1: they are
 * not meant to be fragmented). If one of their fragments is lost, another datagram's would take its place. So a
 * fragment that contradicts the waiting ones begins another datagram there, and the receiver looks twice at what was
 * put together ({@link Datagram.isUncertain}).
 */
import { KeyedHash } from "../memory/keyed-hash.ts";
import type { FragmentCounters } from "./counters.ts";
import type { CaptureClock, LeapListener } from "./capture-clock.ts";
import { CompletedKeys } from "./completed-keys.ts";
import { Datagram, type Layer } from "./datagram.ts";
import { DATAGRAM_BYTES_MAX, type IpHeader } from "./ip.ts";

/** The most datagrams that wait for fragments; beyond it the oldest is given up. */
export const DATAGRAMS_MAX = 1024;
/** The most bytes that all datagrams hold; beyond it the oldest is given up. */
export const FRAGMENT_BYTES_MAX = 16 << 20;
/** How long a datagram waits for its fragments, in the capture's time. */
export const FRAGMENT_TIMEOUT_MS = 30_000;
/** An identification with which so many datagrams were completed is shared: once more may be a copy. */
const SHARED_MIN = 2;

/** Layer, version and protocol (1), identification (1), both addresses (8), VNI (1). */
const KEY_WORDS = 11;
const ADDRESS_WORDS_MAX = 4;
const KEY_VNI = 10;
/** Twice as many as there can be datagrams, so that the lists of the buckets are short. */
const BUCKETS = 2 * DATAGRAMS_MAX;

/** The datagrams that wait for fragments. Bytes are copied. */
export class FragmentTable implements LeapListener {
  /** Datagrams by hash, linked by {@link Datagram.sameBucket}. */
  private readonly buckets: (Datagram | null)[] = new Array(BUCKETS).fill(null);
  private oldest: Datagram | null = null;
  private newest: Datagram | null = null;
  private count = 0;
  private heldBytes = 0;
  private readonly completedKeys = new CompletedKeys(KEY_WORDS, FRAGMENT_TIMEOUT_MS);
  /** Fragments with the same identification were of several datagrams, and none has been completed since. */
  private hasLost = false;
  /** How many datagrams came in order, less those that came backwards. */
  private inOrder = 0;
  /** The key of the fragment at hand. */
  private readonly key = new Int32Array(KEY_WORDS);

  constructor(
    private readonly counters: FragmentCounters,
    private readonly clock: CaptureClock,
    private readonly hash = new KeyedHash(KEY_WORDS),
  ) {
    clock.listen(this);
  }

  /**
   * Takes the fragment with its payload at `offset` in `bytes`; `view` is a view of `bytes`. Returns the datagram that
   * it completes; null: more fragments are awaited; undefined: the fragment is malformed. `layer` keeps the outer
   * packets' identifications apart from those of mirrored packets, and `vni` (0 for outer packets) those of different
   * networks.
   */
  add(
    layer: Layer,
    vni: number,
    bytes: Uint8Array,
    view: DataView,
    header: IpHeader,
    protocol: number,
    offset: number,
    length: number,
  ): Datagram | null | undefined {
    const claimedLength = length + header.missingLength;
    const end = header.fragmentOffset + claimedLength;
    if (claimedLength === 0 || end > DATAGRAM_BYTES_MAX) return undefined;
    this.expire();
    // IPv4 datagrams also differ by protocol; in IPv6 only the first fragment's protocol counts.
    this.readKey(layer, vni, view, header, header.version === 4 ? protocol : 0);
    const hash = this.hash.of(this.key);
    const bucket = hash & (BUCKETS - 1);
    const isUncertain =
      (header.version === 4 && header.identification === 0) ||
      this.completedKeys.countOf(this.key, hash, this.clock.nowMs) >= SHARED_MIN;
    const isLast = !header.moreFragments;
    let datagram = this.find(bucket);
    if (isUncertain && datagram?.contradicts(bytes, offset, header.fragmentOffset, length, claimedLength, isLast)) {
      this.giveUp(datagram);
      this.hasLost = true;
      datagram = null;
    }
    datagram ??= this.create(bucket, view, header);
    datagram.isUncertain ||= isUncertain;
    datagram.isBehindLoss ||= this.hasLost;
    this.heldBytes -= datagram.heldBytes;
    datagram.place(bytes, offset, header.fragmentOffset, length, claimedLength, isLast);
    this.heldBytes += datagram.heldBytes;
    if (header.fragmentOffset === 0 && datagram.protocol < 0) datagram.protocol = protocol;
    if (datagram.isComplete) {
      this.remove(datagram);
      this.completedKeys.add(this.key, hash, this.clock.nowMs);
      this.counters.completed++;
      this.hasLost = false;
      this.noteOrder(datagram);
      datagram.join();
      return datagram;
    }
    while (this.oldest !== null && (this.count > DATAGRAMS_MAX || this.heldBytes > FRAGMENT_BYTES_MAX)) {
      this.remove(this.oldest);
      this.counters.evicted++;
    }
    return null;
  }

  /** The datagram that was completed last was put together from fragments of several. */
  takeBack(): void {
    this.counters.completed--;
    this.counters.expired++;
    this.hasLost = true;
  }

  /** Gives up datagrams that have waited too long. */
  expire(): void {
    const startedMs = this.clock.nowMs - FRAGMENT_TIMEOUT_MS;
    while (this.oldest !== null && this.oldest.startedMs <= startedMs) this.giveUp(this.oldest);
  }

  private giveUp(datagram: Datagram): void {
    this.remove(datagram);
    this.counters.expired++;
  }

  /** A sender's fragments all come in the same order, unless some are lost or overtaken. */
  private noteOrder(datagram: Datagram): void {
    const { isAscending, isDescending } = datagram;
    datagram.isInUsualOrder = isAscending ? this.inOrder >= 0 : isDescending && this.inOrder <= 0;
    this.inOrder += Number(isAscending) - Number(isDescending);
  }

  leapt(fromMs: number, toMs: number): void {
    for (let datagram = this.newest; datagram !== null && datagram.startedMs >= fromMs; datagram = datagram.older)
      datagram.startedMs = toMs;
  }

  /** How many datagrams wait. */
  get size(): number {
    return this.count;
  }

  /** The bytes that they hold, with all that they cost. */
  get bytes(): number {
    return this.heldBytes;
  }

  private readKey(layer: Layer, vni: number, view: DataView, header: IpHeader, protocol: number): void {
    const { key } = this;
    const { version, sourceOffset, destinationOffset } = header;
    const words = (destinationOffset - sourceOffset) / 4;
    key.fill(0);
    key[0] = (layer << 16) | (version << 8) | protocol;
    key[1] = header.identification;
    key[KEY_VNI] = vni;
    for (let word = 0; word < words; word++) {
      key[2 + word] = view.getInt32(sourceOffset + 4 * word);
      key[2 + ADDRESS_WORDS_MAX + word] = view.getInt32(destinationOffset + 4 * word);
    }
  }

  private find(bucket: number): Datagram | null {
    let datagram = this.buckets[bucket] ?? null;
    while (datagram !== null && !isSame(datagram.key, this.key)) datagram = datagram.sameBucket;
    return datagram;
  }

  private create(bucket: number, view: DataView, header: IpHeader): Datagram {
    const datagram = new Datagram(this.key.slice(), bucket, view, header, this.clock.nowMs);
    datagram.sameBucket = this.buckets[bucket]!;
    this.buckets[bucket] = datagram;
    datagram.older = this.newest;
    if (this.newest === null) this.oldest = datagram;
    else this.newest.newer = datagram;
    this.newest = datagram;
    this.count++;
    this.heldBytes += datagram.heldBytes;
    return datagram;
  }

  private remove(datagram: Datagram): void {
    const { bucket, older, newer } = datagram;
    if (this.buckets[bucket] === datagram) {
      this.buckets[bucket] = datagram.sameBucket;
    } else {
      let before = this.buckets[bucket]!;
      while (before.sameBucket !== datagram) before = before.sameBucket!;
      before.sameBucket = datagram.sameBucket;
    }
    if (older === null) this.oldest = newer;
    else older.newer = newer;
    if (newer === null) this.newest = older;
    else newer.older = older;
    this.count--;
    this.heldBytes -= datagram.heldBytes;
  }
}

function isSame(a: Int32Array, b: Int32Array): boolean {
  for (let word = 0; word < KEY_WORDS; word++) if (a[word] !== b[word]) return false;
  return true;
}
