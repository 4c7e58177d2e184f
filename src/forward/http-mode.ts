/**
 * --mode http: whole requests, on a connection for each client connection, each sent when the one before it was
 * responded to. This file holds what all conversations share: options, memory, time limits, and who has something to
 * do.
 */
import type { StreamConsumer, StreamOpener, StreamOrigin } from "../flow/stream.ts";
import { AgeList } from "../memory/age-list.ts";
import { Deadlines } from "../memory/deadlines.ts";
import { Holders } from "../memory/holders.ts";
import { DryRun } from "../policy/dry-run.ts";
import type { Conversation } from "./conversation.ts";
import type { Destination } from "./destination.ts";
import type { ResponseComparison } from "./exchange.ts";
import { FurtherDestination } from "./further-destination.ts";
import type { HttpOptions, HttpReport } from "./http-options.ts";
import { HttpStream, PLACE_BYTES, type StreamHost } from "./http-stream.ts";
import { Load } from "./load.ts";
import { RequestPool } from "./request.ts";
import type { Waiter } from "./waiter.ts";

/** A request that has stood still for so long, in the capture's time, gives way to others where memory is short. */
export const STALLED_MS = 1000;
/**
 * A connection on which nothing but a response has been awaited for so long gives way to new ones: not sooner, for
 * making connections costs more than they hold.
 */
export const AWAITED_MS = 2000;

/** Of the budget, what one request may hold in one piece at most; a larger one is streamed, or held in several. */
const REQUEST_SHARE_MAX = 1 / 16;
/** So much a request may hold in any case. */
const SMALL_REQUEST_BYTES = 64 << 10;
/**
 * Of the budget, what is kept for bytes of streamed requests that are not written yet, where the source waits for
 * that.
 */
const UNSENT_SHARE = 1 / 4;

export class HttpMode implements StreamOpener, StreamHost {
  readonly requests: RequestPool;
  readonly options: HttpOptions;
  readonly load = new Load();
  /** Null: requests are forwarded. */
  readonly dryRun: DryRun | null;
  /** Larger requests are streamed when it is their turn. */
  readonly maxRequestBytes: number;
  /**
   * Conversations between two requests, with nothing under way, that have been so longest first; those since memory is
   * tight.
   */
  readonly idle = new AgeList<Conversation>();
  /** Conversations that have a part of a request, the one that has stood still longest first. */
  readonly partial = new AgeList<Conversation>();
  /** Conversations that hold what follows an offer of another protocol, the longest silent first. */
  readonly offering = new AgeList<Conversation>();
  /**
   * Pipes whose requests wait for their turn, the one that has made no progress for longest first; since memory is
   * tight.
   */
  readonly waiters = new AgeList<Waiter>();
  /** Pipes that wait for nothing but a response, the one that has waited for longest first; since memory is tight. */
  readonly awaited = new AgeList<Waiter>();
  /** What holds requests that wait, by how much; since memory is tight. */
  readonly holders = new Holders();
  /** The time limits of heads, in the capture's time. */
  readonly heads = new Deadlines(0);
  /** Those beside the endpoint. */
  readonly further: readonly FurtherDestination[];
  /** Conversations that something has come for in this batch. */
  private readonly touched: Conversation[] = [];
  /** Those for which a further destination has done something. */
  private readonly branched: Conversation[] = [];
  /** Pipes that got responses, or lost their connection, whose next requests are due. */
  private readonly due: Waiter[] = [];

  private readonly afterEvents = (): void => {
    this.flush();
    this.destination.flush();
    this.flushFurther();
  };

  constructor(
    readonly destination: Destination,
    options: HttpOptions,
    readonly report: HttpReport,
    /** The capture's. */
    private readonly clock: { readonly nowMs: number },
    further: readonly Destination[] = [],
    /** Null: responses are not compared. */
    readonly comparison: ResponseComparison | null = null,
  ) {
    this.options = optionsFor(destination, options);
    this.dryRun = options.policy?.isDryRun === true ? new DryRun() : null;
    const shareBytes = Math.max(destination.memory.budget.limitBytes * REQUEST_SHARE_MAX, SMALL_REQUEST_BYTES);
    this.maxRequestBytes = Math.min(options.maxRequestBytes, shareBytes);
    const pieceBytesMax = Math.max(this.maxRequestBytes, options.maxHeaderBytes);
    this.requests = new RequestPool(destination.memory, pieceBytesMax);
    const flush = (): void => this.flushFurther();
    const control = comparison?.hasControl === true ? further.at(-1) : undefined;
    this.further = further.map(
      (each) =>
        new FurtherDestination(
          each,
          optionsFor(each, options),
          pieceBytesMax,
          flush,
          each === control ? comparison : null,
        ),
    );
  }

  /** Memory may become short: who has nothing to do is listed, so that it can give way. */
  get isTight(): boolean {
    return this.destination.memory.budget.isTight;
  }

  open(origin: StreamOrigin): StreamConsumer {
    return new HttpStream(this, origin);
  }

  /** Something has come for a conversation: it is settled when the batch is over. */
  touch(conversation: Conversation): void {
    if (conversation.isTouched) return;
    conversation.isTouched = true;
    // Until then it is none of those that stand still.
    conversation.list?.remove(conversation);
    this.touched.push(conversation);
  }

  /** A further destination has done something for a conversation: the same, but for the endpoint. */
  touchBranches(conversation: Conversation): void {
    if (conversation.areBranchesTouched) return;
    conversation.areBranchesTouched = true;
    this.branched.push(conversation);
  }

  /**
   * Sends a pipe's next requests when the responses that came with this one have been read: many leave together then.
   */
  pumpSoon(pipe: Waiter): void {
    this.due.push(pipe);
    if (this.due.length === 1) this.destination.afterEvents(this.afterEvents);
  }

  /** The batch is over: sends the requests whose turn it is. */
  flush(): void {
    // Either may give the other something to do.
    while (this.due.length > 0 || this.touched.length > 0) {
      for (let i = 0; i < this.due.length; i++) this.due[i]!.pump();
      this.due.length = 0;
      for (let i = 0; i < this.touched.length; i++) {
        const conversation = this.touched[i]!;
        // First, for it may get something to do again.
        conversation.isTouched = false;
        conversation.settle();
      }
      this.touched.length = 0;
    }
  }

  /** The same for further destinations, and what they have written leaves: nothing is done for the endpoint. */
  flushFurther(): void {
    if (this.further.length === 0) return;
    while (this.pumpFurther() || this.branched.length > 0) {
      for (let i = 0; i < this.branched.length; i++) {
        const conversation = this.branched[i]!;
        conversation.areBranchesTouched = false;
        conversation.settleBranches();
      }
      this.branched.length = 0;
    }
    for (const { destination } of this.further) destination.flush();
  }

  private pumpFurther(): boolean {
    let some = false;
    for (const each of this.further) some = each.pump() || some;
    return some;
  }

  /** A leap of the capture's time is believed only now (LeapListener). */
  leapt(fromMs: number, toMs: number): void {
    for (let each = this.partial.oldest; each !== null; each = each.newer) each.leapt(fromMs, toMs);
  }

  /** The capture's time. */
  get captureMs(): number {
    return this.clock.nowMs;
  }

  /**
   * What --max-rate goes by, for a request that was captured then: the endpoint's time, so that it is never asked
   * faster; where the source waits, the capture's, or what is read fast would be dropped for it.
   */
  rateMs(timestampMs: number): number {
    return this.options.sourceWaits ? timestampMs : this.destination.now();
  }

  /** Looks at the time limits that go by the capture's time. */
  advance(): void {
    this.heads.advance(this.clock.nowMs);
  }

  /** Whether another request may wait behind so many of its connection. */
  mayWait(waiting: number): boolean {
    return waiting < this.options.maxWaitingRequests || this.options.sourceWaits;
  }

  /**
   * Whether so many bytes may be held more. Others make room, never `asking` (null: one that is not there yet): what
   * stands still; or the one that holds most, for one that holds much less; or one of many, for one that has nothing, unless
   * it `hasGivenWay` itself (Waiter).
   */
  makeRoom(bytes: number, asking: Conversation | null, hasGivenWay: boolean): boolean {
    const { budget } = this.destination.memory;
    if (budget.hasRoomFor(bytes)) return true;
    asking?.list?.remove(asking);
    const askedBytes = bytes + (asking?.requestBytes ?? 0);
    while (!budget.hasRoomFor(bytes)) {
      const giving =
        this.standing() ??
        this.holders.muchMoreThan(askedBytes) ??
        (hasGivenWay ? null : this.placeFor(asking, askedBytes));
      if (giving === null) return false;
      giving.giveWay();
    }
    return true;
  }

  /**
   * Whether a request that would hold so much more is better sent as it comes: the source waits, and nothing is to be
   * lost.
   */
  mustStream(bytes: number): boolean {
    const { budget } = this.destination.memory;
    return this.options.sourceWaits && !budget.hasRoomFor(bytes + budget.limitBytes * UNSENT_SHARE);
  }

  /** A request, or more, found no room for what frames it. */
  countLost(): void {
    const { requests } = this.destination.counters;
    requests.seen++;
    requests.dropped.buffer_limit++;
    for (const each of this.further) {
      each.countSeen(false, false);
      each.countDropped("buffer_limit");
    }
  }

  /**
   * What has stood still for {@link STALLED_MS}: first conversations that have nothing under way, then parts of
   * requests, then what follows an offer of another protocol, then requests that wait behind one which the destination
   * has not responded to; the longest silent first. Null: nothing has.
   */
  private standing(): Conversation | Waiter | null {
    const idle = this.idle.oldest;
    // Where the source waits, nothing is lost, and that costs nothing.
    if (idle !== null && (this.options.sourceWaits || this.isStalled(idle))) return idle;
    const partial = this.partial.oldest;
    if (partial !== null && this.isStalled(partial)) return partial;
    if (this.offering.oldest !== null) return this.offering.oldest;
    const waiter = this.waiters.oldest;
    return waiter !== null && this.destination.tickedMs - waiter.progressMs >= STALLED_MS ? waiter : null;
  }

  /**
   * What one that has nothing, and asks for no more than another costs, may take the place of: a conversation that has
   * nothing under way, or a connection on which nothing but a response has been awaited for {@link AWAITED_MS}.
   */
  private placeFor(asking: Conversation | null, askedBytes: number): Conversation | Waiter | null {
    if (asking !== null && (!asking.hasNothing || askedBytes > PLACE_BYTES)) return null;
    if (this.idle.oldest !== null) return this.idle.oldest;
    const awaited = this.awaited.oldest;
    const nowMs = this.destination.tickedMs;
    return awaited !== null && nowMs - awaited.awaitedSinceMs >= AWAITED_MS ? awaited : null;
  }

  private isStalled({ lastMs }: Conversation): boolean {
    return this.captureMs - lastMs >= STALLED_MS;
  }
}

/** Each request to a file has its own time: they go one by one. */
function optionsFor({ options: { address } }: Destination, options: HttpOptions): HttpOptions {
  return address.file === undefined ? options : { ...options, pipelineDepth: 1 };
}
