/**
 * IP datagrams put together from their fragments (RFC 791, section 3.2; RFC 8200, section 4.5), in a
 * table bounded in number, bytes and time. The first copy of a byte wins. Fragments are rare, so
 * this is written for clearness, not for speed.
 */
import type { FragmentCounters } from "../observe/counters.ts";
import type { CaptureClock, LeapListener } from "./capture-clock.ts";
import type { IpHeader } from "./ip.ts";

export const DATAGRAMS_MAX = 1024;
export const FRAGMENT_BYTES_MAX = 16 << 20;
export const FRAGMENT_TIMEOUT_MS = 30_000;

const DATAGRAM_BYTES_MAX = 0xffff;
/** What a datagram's own bookkeeping is charged with, beside its bytes. */
const DATAGRAM_OVERHEAD_BYTES = 512;
const MISSING = 0;
/** The byte's place was announced by a fragment that the mirror cut short. */
const TRUNCATED = 1;
const PRESENT = 2;

/** One datagram. When complete it belongs to whoever was handed it. */
export class Datagram {
  /** Both addresses (4 or 16 bytes each), then the payload. */
  bytes: Uint8Array;
  /** For each payload byte MISSING, TRUNCATED or PRESENT. */
  private state: Uint8Array;
  readonly payloadOffset: number;
  protocol = -1;
  /** Payload length as the last fragment gives it; -1: not seen. */
  private length = -1;
  readonly version: number;
  readonly key: string;
  startedMs: number;

  constructor(key: string, view: DataView, header: IpHeader, startedMs: number) {
    const addressLength = header.version === 4 ? 4 : 16;
    this.key = key;
    this.version = header.version;
    this.startedMs = startedMs;
    this.payloadOffset = 2 * addressLength;
    this.bytes = new Uint8Array(this.payloadOffset);
    this.state = new Uint8Array(0);
    for (let i = 0; i < addressLength; i++) {
      this.bytes[i] = view.getUint8(header.sourceOffset + i);
      this.bytes[addressLength + i] = view.getUint8(header.destinationOffset + i);
    }
  }

  get heldBytes(): number {
    return this.bytes.length + this.state.length + DATAGRAM_OVERHEAD_BYTES;
  }

  /** Places a fragment's bytes; `claimedLength` counts those the mirror cut off as well. */
  place(view: DataView, from: number, at: number, length: number, claimedLength: number, last: boolean): void {
    this.grow(at + claimedLength);
    for (let i = 0; i < length; i++) {
      if (this.state[at + i] === PRESENT) continue;
      this.state[at + i] = PRESENT;
      this.bytes[this.payloadOffset + at + i] = view.getUint8(from + i);
    }
    for (let i = length; i < claimedLength; i++) {
      if (this.state[at + i] !== MISSING) continue;
      this.state[at + i] = TRUNCATED;
    }
    if (last && this.length < 0) this.length = at + claimedLength;
  }

  get complete(): boolean {
    return this.length >= 0 && this.protocol >= 0 && this.prefixIs(PRESENT, TRUNCATED) >= this.length;
  }

  /** Payload bytes from the start that are all there. */
  get presentLength(): number {
    return Math.min(this.prefixIs(PRESENT, PRESENT), this.length);
  }

  /** Payload bytes behind {@link presentLength} up to the datagram's end. */
  get missingLength(): number {
    return this.length - this.presentLength;
  }

  private prefixIs(a: number, b: number): number {
    const state = this.state;
    let i = 0;
    while (i < state.length && (state[i] === a || state[i] === b)) i++;
    return i;
  }

  private grow(length: number): void {
    if (length <= this.state.length) return;
    const state = new Uint8Array(length);
    state.set(this.state);
    this.state = state;
    const bytes = new Uint8Array(this.payloadOffset + length);
    bytes.set(this.bytes);
    this.bytes = bytes;
  }
}

export class FragmentTable implements LeapListener {
  private readonly datagrams = new Map<string, Datagram>();
  private heldBytes = 0;

  constructor(
    private readonly counters: FragmentCounters,
    private readonly clock: CaptureClock,
  ) {
    clock.listen(this);
  }

  /**
   * Takes the fragment whose payload lies at `offset` in `view`. Returns the datagram that it
   * completes; null: more are awaited; undefined: the fragment is malformed.
   * `layer` keeps the outer packets' identifications apart from the mirrored ones'.
   */
  add(
    layer: "outer" | "inner",
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
    // IPv4 tells datagrams apart by protocol as well; in IPv6 only the first fragment's counts.
    const key = fragmentKey(layer, view, header, header.version === 4 ? protocol : 0);
    let datagram = this.datagrams.get(key);
    if (datagram === undefined) {
      datagram = new Datagram(key, view, header, this.clock.nowMs);
      this.datagrams.set(key, datagram);
      this.heldBytes += datagram.heldBytes;
    }
    const heldBefore = datagram.heldBytes;
    datagram.place(view, offset, header.fragmentOffset, length, claimedLength, !header.moreFragments);
    this.heldBytes += datagram.heldBytes - heldBefore;
    if (header.fragmentOffset === 0 && datagram.protocol < 0) datagram.protocol = protocol;
    if (datagram.complete) {
      this.remove(datagram);
      this.counters.completed++;
      return datagram;
    }
    this.evictOverLimit();
    return null;
  }

  /** Gives up datagrams that have waited too long. */
  expire(): void {
    const { nowMs } = this.clock;
    for (const datagram of this.datagrams.values()) {
      if (nowMs - datagram.startedMs < FRAGMENT_TIMEOUT_MS) break;
      this.remove(datagram);
      this.counters.expired++;
    }
  }

  leapt(fromMs: number, toMs: number): void {
    for (const datagram of this.datagrams.values()) if (datagram.startedMs >= fromMs) datagram.startedMs = toMs;
  }

  /** Datagrams that wait. */
  get size(): number {
    return this.datagrams.size;
  }

  get bytes(): number {
    return this.heldBytes;
  }

  private evictOverLimit(): void {
    while (this.datagrams.size > DATAGRAMS_MAX || this.heldBytes > FRAGMENT_BYTES_MAX) {
      const [oldest] = this.datagrams.values();
      this.remove(oldest!);
      this.counters.evicted++;
    }
  }

  private remove(datagram: Datagram): void {
    if (this.datagrams.delete(datagram.key)) this.heldBytes -= datagram.heldBytes;
  }
}

function fragmentKey(layer: string, view: DataView, header: IpHeader, protocol: number): string {
  let key = `${layer} ${protocol} ${header.identification}`;
  for (let offset = header.sourceOffset; offset < header.destinationOffset; offset += 4) key += ` ${view.getInt32(offset)}`;
  const addressLength = header.destinationOffset - header.sourceOffset;
  for (let i = 0; i < addressLength; i += 4) key += ` ${view.getInt32(header.destinationOffset + i)}`;
  return key;
}
