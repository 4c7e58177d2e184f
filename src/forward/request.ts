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
 * The limits of requests that are kept to be used again: a number, and a share of the budget. (A request that was used
 * just now is still in the processor's cache.)
 */
export const SPARE_MAX = 16_384;
export const SPARE_SHARE_MAX = 1 / 32;
/** The longest array that a request keeps when it is kept to be used again: most requests fit into it. */
export const SPARE_ARRAY_BYTES_MAX = 512;
/** A few bytes: far less than half of any budget. */
const FEW_BYTES = 16 << 10;
const NOTHING = new Uint8Array(0);

/** Counts the requests of several destinations that have the same bytes. */
interface Sharers {
  count: number;
}

/** A request on its way to one destination. It is made and used again by a {@link RequestPool}. */
export class Request {
  method = "";
  /** 0: HTTP/1.0. */
  minorVersion = 1;
  isIdempotent = false;
  /** The request asks for its connection to be closed behind the response. */
  isLast = false;
  /** The request offers another protocol (Upgrade), or is a CONNECT. */
  wantsUpgrade = false;
  /** Production has declined the offer: the client went on with a request. */
  isDeclined = false;
  /** Servers disagree about its end: it has a connection of its own. */
  isIsolated = false;
  /** HTTP/2: the length of its head, with which its bytes begin. */
  headLength = 0;
  /** An array of the pool; its first {@link length} bytes are the request's. */
  bytes: Uint8Array = NOTHING;
  length = 0;
  /** All bytes of a request that is too long for one array; {@link bytes} then has none. */
  long: ByteQueue | null = null;
  timestampMs = 0;
  /** How often it was written to a connection. */
  tries = 0;
  /** It was handed over without being kept (streamed, or long), and cannot be sent again. */
  isStreamed = false;
  /** The kernel has taken all of it, on some connection. */
  wasTaken = false;
  /** Its response is complete, but the kernel has not taken all of the request yet. */
  isResponded = false;
  /** The exchange that compares its response with production's; null: it is not compared. */
  exchange: Exchange | null = null;

  /**
   * Counts the requests with the same {@link bytes}; each charges them to its destination's memory. Null: no other
   * request has them.
   */
  sharers: Sharers | null = null;

  /** How many bytes of it are held. */
  get heldLength(): number {
    return this.long === null ? this.length : this.long.length;
  }
}

/** The pool of requests that all pipes of a shard share, so that a request costs no new object. */
export class RequestPool {
  private readonly spare: Request[] = [];
  private readonly spareMax: number;

  /** `pieceBytesMax`: a longer request is kept in several arrays, and can be sent only once. */
  constructor(
    readonly memory: HeldMemory,
    private readonly pieceBytesMax: number,
  ) {
    const shareBytes = memory.budget.limitBytes * SPARE_SHARE_MAX;
    this.spareMax = Math.min(SPARE_MAX, Math.floor(shareBytes / (Cost.REQUEST + Cost.ARRAY)));
  }

  /** An empty request. It belongs to the caller until {@link giveBack}. */
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
    this.memory.take(costOfSpare(request));
    return request;
  }

  /**
   * A request for this pool's destination, the same as another destination's with a known head. The bytes are held
   * once, unless they need more than one array: such arrays are handed over to a connection when they are sent.
   */
  share(original: Request): Request {
    if (original.long !== null) return this.copy(original);
    const request = this.takeLike(original);
    if (request.bytes !== NOTHING) this.memory.free(request.bytes);
    original.sharers ??= { count: 1 };
    original.sharers.count++;
    request.sharers = original.sharers;
    request.bytes = original.bytes;
    request.length = original.length;
    this.memory.take(costOf(request.bytes));
    return request;
  }

  /** The bytes that {@link share} would charge to the memory. */
  shareCost(original: Request): number {
    return original.long === null ? Cost.REQUEST + costOf(original.bytes) : this.growth(null, original.long.length);
  }

  /** A request for this pool's destination that begins as another does, with a copy of its bytes. */
  copy(original: Request): Request {
    const request = this.takeLike(original);
    if (original.long === null) this.hold(request, original.bytes, 0, original.length);
    else original.long.copyTo((bytes, offset, length) => this.hold(request, bytes, offset, length));
    return request;
  }

  /** An empty request with another one's description. */
  private takeLike(original: Request): Request {
    const request = this.take(original.timestampMs);
    describe(request, original);
    request.headLength = original.headLength;
    return request;
  }

  /** Appends a copy of bytes to the request. */
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

  /** Whether {@link hold} need not ask the budget: there are only a few more bytes, and plenty of room. */
  fits(request: Request | null, length: number): boolean {
    return length <= FEW_BYTES && !this.memory.budget.isTight && (request === null || request.length <= FEW_BYTES);
  }

  /** The most that {@link hold} would charge to the budget for `length` more bytes. */
  growth(request: Request | null, length: number): number {
    const held = request === null ? 0 : request.length;
    if (request !== null && held + length <= request.bytes.length) return 0;
    return Cost.REQUEST + Cost.ARRAY + 2 * (held + length);
  }

  /** Bytes that begin with the head, valid until the request is changed. */
  headOf({ long, bytes, headLength }: Request): Uint8Array {
    return long === null ? bytes : long.beginning(headLength);
  }

  /** All held bytes, as Latin-1. */
  text(request: Request): string {
    const { long, bytes, length } = request;
    return long === null ? latin1(bytes, 0, length) : latin1(long.beginning(long.length), 0, long.length);
  }

  /** Its target, with any blanks in it; at least `headLength` bytes are held. */
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

  /** Moves the held bytes from one array to a queue of several. */
  makeLong(request: Request): void {
    if (request.long !== null) return;
    request.long = new ByteQueue(this.memory);
    request.long.adopt(request.bytes, request.length);
    request.bytes = NOTHING;
    request.length = 0;
  }

  /** Releases bytes that other requests may hold. */
  private leaveShared(request: Request, sharers: Sharers): void {
    this.memory.giveBack(costOf(request.bytes));
    sharers.count--;
    if (sharers.count === 0) this.memory.recycle(request.bytes);
    request.sharers = null;
    request.bytes = NOTHING;
    request.length = 0;
  }

  /** Releases the held bytes. */
  freeBytes(request: Request): void {
    if (request.bytes !== NOTHING) this.memory.free(request.bytes);
    request.long?.clear();
    request.bytes = NOTHING;
    request.length = 0;
    request.long = null;
  }

  /** Takes a request back; it is used for another one from here on. */
  giveBack(request: Request): void {
    if (request.sharers !== null) this.leaveShared(request, request.sharers);
    const isSpare = this.spare.length < this.spareMax;
    request.exchange?.released();
    request.exchange = null;
    if (isSpare && request.long === null && request.bytes.length <= SPARE_ARRAY_BYTES_MAX) {
      request.length = 0;
      this.memory.giveBack(costOfSpare(request));
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
    // In one array, as far as its length allows, so that it leaves in one write.
    request.long.push(bytes, 0, length);
    this.memory.free(bytes);
    request.bytes = NOTHING;
    request.length = 0;
  }
}

/** The cost of a request with no bytes in its array. */
function costOfSpare({ bytes }: Request): number {
  return bytes === NOTHING ? Cost.REQUEST : Cost.REQUEST + costOf(bytes);
}

/** The part of a head that decides how its request is sent. */
type Description = Pick<Request, "method" | "minorVersion" | "isIdempotent" | "isLast" | "wantsUpgrade" | "isIsolated">;

/** Copies that part from a head, or from the same request elsewhere. */
export function describe(request: Request, head: Readonly<Description>): void {
  request.method = head.method;
  request.minorVersion = head.minorVersion;
  request.isIdempotent = head.isIdempotent;
  request.isLast = head.isLast;
  request.wantsUpgrade = head.wantsUpgrade;
  request.isIsolated = head.isIsolated;
}
