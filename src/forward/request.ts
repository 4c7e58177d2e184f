/** A request on its way to a destination, and the pool that requests come from. */
import { latin1 } from "../http/latin1.ts";
import { LF, SP } from "../http/chars.ts";
import { costOf } from "../memory/array-pool.ts";
import { Cost } from "../memory/budget.ts";
import { copyBytes } from "../memory/copy-bytes.ts";
import { ARRAY_BYTES_MAX, ByteQueue } from "./byte-queue.ts";
import type { Exchange } from "./exchange.ts";
import type { HeldMemory } from "./held-memory.ts";

/**
 * Requests that are kept to be used again, for one that was used just now is still in the processor's cache: so many, and
 * as many as take so much of the budget, at the most.
 */
const SPARE_MAX = 16_384;
const SPARE_SHARE_MAX = 1 / 32;
/** A request that is kept to be used again keeps an array of up to this length: most requests fit into it. */
const SPARE_ARRAY_BYTES_MAX = 512;
/** Less than any budget's half by far. */
const FEW_BYTES = 16 << 10;
const NOTHING = new Uint8Array(0);

/** How many requests, of several destinations, have the same bytes. */
interface Holders {
  count: number;
}

export class Request {
  method = "";
  /** 0: HTTP/1.0. */
  minorVersion = 1;
  isIdempotent = false;
  /** It asks for its connection to be closed behind the response. */
  isLast = false;
  /** It offers another protocol (Upgrade), or is a CONNECT. */
  wantsUpgrade = false;
  /** Production has declined the offer: the client went on with a request. */
  isDeclined = false;
  /** Servers disagree about it: it has a connection of its own. */
  isIsolated = false;
  /** HTTP/2: of its first bytes, how many are its head. */
  headLength = 0;
  /** Its bytes, in an array of the pool, of which the first {@link length} are its own. */
  bytes: Uint8Array = NOTHING;
  length = 0;
  /** Bytes of a request that is too long for one array: all of them, and none in {@link bytes}. */
  long: ByteQueue | null = null;
  timestampMs = 0;
  /** How often it was written to a connection. */
  tries = 0;
  /** It was handed over without being kept (streamed, or long), and cannot be sent again. */
  isStreamed = false;
  /** The kernel has taken all of it, on some connection. */
  wasTaken = false;
  /** Its response is complete, but not all of it was taken yet. */
  isResponded = false;
  /** Where its response is compared with production's; null: it is not. */
  exchange: Exchange | null = null;

  /**
   * Requests with the same {@link bytes}, which each of them charges to its destination's memory; null: no other has.
   */
  holders: Holders | null = null;

  /** All bytes that are held of it. */
  get heldLength(): number {
    return this.long === null ? this.length : this.long.length;
  }
}

/** What all pipes of a shard share, so that a request costs no new object. */
export class RequestPool {
  private readonly spare: Request[] = [];
  private readonly spareMax: number;

  /** `pieceBytesMax`: a request that is longer is kept in several arrays, and sent once. */
  constructor(
    readonly memory: HeldMemory,
    private readonly pieceBytesMax: number,
  ) {
    const shareBytes = memory.budget.limitBytes * SPARE_SHARE_MAX;
    this.spareMax = Math.min(SPARE_MAX, Math.floor(shareBytes / (Cost.REQUEST + Cost.ARRAY)));
  }

  /** A request that has no bytes yet. It belongs to the caller until {@link giveBack}. */
  take(timestampMs: number): Request {
    const request = this.spare.pop() ?? new Request();
    request.isDeclined = false;
    request.headLength = 0;
    request.timestampMs = timestampMs;
    request.tries = 0;
    request.isStreamed = false;
    request.wasTaken = false;
    request.isResponded = false;
    request.exchange = null;
    this.memory.take(request.bytes === NOTHING ? Cost.REQUEST : Cost.REQUEST + costOf(request.bytes));
    return request;
  }

  /**
   * A request of this pool's destination like another one's, whose head is known: its bytes are held once, unless they
   * are longer than one array, which is handed over to a connection when it is sent.
   */
  share(original: Request): Request {
    const request = this.take(original.timestampMs);
    describe(request, original);
    request.headLength = original.headLength;
    if (original.long !== null) {
      original.long.copyTo((bytes, offset, length) => this.hold(request, bytes, offset, length));
      return request;
    }
    if (request.bytes !== NOTHING) this.memory.free(request.bytes);
    original.holders ??= { count: 1 };
    original.holders.count++;
    request.holders = original.holders;
    request.bytes = original.bytes;
    request.length = original.length;
    this.memory.take(costOf(request.bytes));
    return request;
  }

  /** What {@link share} would charge to the memory. */
  shareCost(original: Request): number {
    return original.long === null ? Cost.REQUEST + costOf(original.bytes) : this.growth(null, original.long.length);
  }

  /** A request of this pool's destination that begins as another does, with bytes of its own. */
  copy(original: Request): Request {
    const request = this.take(original.timestampMs);
    describe(request, original);
    request.headLength = original.headLength;
    if (original.long === null) this.hold(request, original.bytes, 0, original.length);
    else original.long.copyTo((bytes, offset, length) => this.hold(request, bytes, offset, length));
    return request;
  }

  /** Copies bytes behind those that the request has. */
  hold(request: Request, bytes: Uint8Array, offset: number, length: number): void {
    if (request.long === null && request.length + length > this.pieceBytesMax) this.lengthen(request);
    if (request.long !== null) {
      request.long.push(bytes, offset, length);
      return;
    }
    const needed = request.length + length;
    if (needed > request.bytes.length) this.grow(request, needed);
    copyBytes(bytes, offset, request.bytes, request.length, length);
    request.length = needed;
  }

  /** Whether {@link hold} needs no look at the budget: a few bytes more, with plenty of room. */
  fits(request: Request | null, length: number): boolean {
    return length <= FEW_BYTES && !this.memory.budget.isTight && (request === null || request.length <= FEW_BYTES);
  }

  /** What {@link hold} would charge to the budget for so many bytes more, at most. */
  growth(request: Request | null, length: number): number {
    const held = request === null ? 0 : request.length;
    if (request !== null && held + length <= request.bytes.length) return 0;
    return Cost.REQUEST + Cost.ARRAY + 2 * (held + length);
  }

  /** The head, a character for each byte (latin1). */
  headOf({ long, bytes, headLength }: Request): string {
    return latin1(long === null ? bytes : long.beginning(headLength), 0, headLength);
  }

  /** All that is held, as Latin-1. */
  text(request: Request): string {
    const { long, bytes, length } = request;
    return long === null ? latin1(bytes, 0, length) : latin1(long.beginning(long.length), 0, long.length);
  }

  /** Its target, blanks in it included; at least `headLength` bytes are held. */
  targetOf({ long, bytes }: Request, headLength: number): string {
    const head = long === null ? bytes : long.beginning(headLength);
    let end = 0;
    while (end < headLength && head[end] !== LF) end++;
    while (end > 0 && head[end - 1]! <= SP) end--;
    let from = 0;
    while (from < end && head[from] !== SP) from++;
    let to = end;
    while (to > from && head[to] !== SP) to--;
    return latin1(head, from < end ? from + 1 : 0, to > from ? to : end);
  }

  /** Moves what is held in one array to where there may be several. */
  makeLong(request: Request): void {
    if (request.long !== null) return;
    request.long = new ByteQueue(this.memory);
    request.long.adopt(request.bytes, request.length);
    request.bytes = NOTHING;
    request.length = 0;
  }

  /** Lets go of bytes that others may hold. */
  private leaveShared(request: Request, holders: Holders): void {
    this.memory.giveBack(costOf(request.bytes));
    holders.count--;
    if (holders.count === 0) this.memory.recycle(request.bytes);
    request.holders = null;
    request.bytes = NOTHING;
    request.length = 0;
  }

  /** Lets go of the bytes that are held. */
  freeBytes(request: Request): void {
    if (request.bytes !== NOTHING) this.memory.free(request.bytes);
    request.long?.clear();
    request.bytes = NOTHING;
    request.length = 0;
    request.long = null;
  }

  /** `request` is another one's from here on. */
  giveBack(request: Request): void {
    if (request.holders !== null) this.leaveShared(request, request.holders);
    const isSpare = this.spare.length < this.spareMax;
    request.exchange?.released();
    request.exchange = null;
    if (isSpare && request.long === null && request.bytes.length <= SPARE_ARRAY_BYTES_MAX) {
      request.length = 0;
      this.memory.giveBack(request.bytes === NOTHING ? Cost.REQUEST : Cost.REQUEST + costOf(request.bytes));
    } else {
      this.freeBytes(request);
      this.memory.giveBack(Cost.REQUEST);
    }
    if (isSpare) this.spare.push(request);
  }

  private grow(request: Request, needed: number): void {
    const grown = this.memory.allocate(needed);
    copyBytes(request.bytes, 0, grown, 0, request.length);
    if (request.bytes !== NOTHING) this.memory.free(request.bytes);
    request.bytes = grown;
  }

  private lengthen(request: Request): void {
    const { bytes, length } = request;
    if (bytes.length >= ARRAY_BYTES_MAX) {
      this.makeLong(request);
      return;
    }
    request.long = new ByteQueue(this.memory);
    if (length === 0) return;
    // In one array, as far as one goes: so it leaves in one write.
    request.long.push(bytes, 0, length);
    this.memory.free(bytes);
    request.bytes = NOTHING;
    request.length = 0;
  }
}

/** What a head says of how its request is sent. */
type Description = Pick<Request, "method" | "minorVersion" | "isIdempotent" | "isLast" | "wantsUpgrade" | "isIsolated">;

/** Notes of a request what its head, or that of the same request, says. */
export function describe(request: Request, head: Readonly<Description>): void {
  request.method = head.method;
  request.minorVersion = head.minorVersion;
  request.isIdempotent = head.isIdempotent;
  request.isLast = head.isLast;
  request.wantsUpgrade = head.wantsUpgrade;
  request.isIsolated = head.isIsolated;
}
