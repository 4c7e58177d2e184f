/**
 * --mode http: whole requests, on one upstream connection for each client connection, each sent when the one before it
 * was responded to. This file holds the part that all conversations share: options, memory, time limits, and the lists
 * of those that have something to do.
 */
import type { StreamConsumer, StreamOpener, StreamOrigin } from "../flow/stream.ts";
import { AgeList } from "../memory/age-list.ts";
import type { Budget } from "../memory/budget.ts";
import { Deadlines } from "../memory/deadlines.ts";
import { DryRun } from "../policy/dry-run.ts";
import type { Conversation } from "./conversation.ts";
import type { Destination } from "./destination.ts";
import type { ResponseComparison } from "./exchange.ts";
import { FurtherDestination } from "./further-destination.ts";
import type { HttpOptions, HttpReport } from "./http-options.ts";
import { HttpStream, PLACE_BYTES, type StreamHost } from "./http-stream.ts";
import { PipeHost } from "./pipe-host.ts";
import { countUnread } from "./request-outcome.ts";
import { STALLED_MS, type Waiter } from "./waiter.ts";

/**
 * A connection that has only waited for a response for this long gives way to new ones; not sooner, because making
 * connections costs more than they hold.
 */
export const AWAITED_MS = 2000;

/**
 * The share of the budget that one request may hold in one piece; a larger one is streamed, or held in several pieces.
 */
export const REQUEST_SHARE_MAX = 1 / 16;
/** A request may hold this much in any case. */
export const SMALL_REQUEST_BYTES = 64 << 10;
/** The share of the budget that is kept for unwritten bytes of streamed requests, if the source waits for them. */
export const UNSENT_SHARE = 1 / 4;

/** --mode http, for one shard. */
export class HttpMode extends PipeHost implements StreamOpener, StreamHost {
  readonly dryRun: DryRun | null;
  readonly maxRequestBytes: number;
  readonly idle = new AgeList<Conversation>();
  readonly partial = new AgeList<Conversation>();
  readonly offering = new AgeList<Conversation>();
  readonly heads = new Deadlines(0);
  readonly further: readonly FurtherDestination[];
  private readonly budget: Budget;
  /** Conversations that got bytes in this batch. */
  private readonly touched: Conversation[] = [];
  /** Conversations that a further destination has done something for. */
  private readonly branched: Conversation[] = [];

  protected readonly afterEvents = (): void => {
    this.flush();
    this.destination.flush();
    this.flushFurther();
  };

  constructor(
    destination: Destination,
    options: HttpOptions,
    readonly report: HttpReport,
    /** The capture's clock. */
    private readonly clock: { readonly nowMs: number },
    further: readonly Destination[] = [],
    comparison: ResponseComparison | null = null,
  ) {
    const shareBytes = Math.max(destination.memory.budget.limitBytes * REQUEST_SHARE_MAX, SMALL_REQUEST_BYTES);
    const maxRequestBytes = Math.min(options.maxRequestBytes, shareBytes);
    const pieceBytesMax = Math.max(maxRequestBytes, options.maxHeaderBytes);
    super(destination, options, pieceBytesMax, comparison);
    this.budget = destination.memory.budget;
    this.maxRequestBytes = maxRequestBytes;
    this.dryRun = options.policy?.isDryRun === true ? new DryRun() : null;
    const flush = (): void => this.flushFurther();
    const control = comparison?.hasControl === true ? further.at(-1) : undefined;
    this.further = further.map(
      (each) => new FurtherDestination(each, options, pieceBytesMax, each === control ? comparison : null, flush),
    );
  }

  get isTight(): boolean {
    return this.budget.isTight;
  }

  open(origin: StreamOrigin): StreamConsumer {
    const stream = new HttpStream(this, origin);
    const { continued } = origin;
    if (continued?.consumer instanceof HttpStream) stream.continue(continued.consumer, continued.missing);
    return stream;
  }

  touch(conversation: Conversation): void {
    if (conversation.isTouched) return;
    conversation.isTouched = true;
    // Until then it does not stand still.
    conversation.list?.remove(conversation);
    this.touched.push(conversation);
  }

  touchBranches(conversation: Conversation): void {
    if (conversation.areBranchesTouched) return;
    conversation.areBranchesTouched = true;
    this.branched.push(conversation);
  }

  /** The batch is over: sends the requests that are due. */
  flush(): void {
    // Either may give the other something to do.
    while (this.pump() || this.touched.length > 0) {
      for (let i = 0; i < this.touched.length; i++) {
        const conversation = this.touched[i]!;
        // Before it is settled, because that may give it something to do again.
        conversation.isTouched = false;
        conversation.settle();
      }
      this.touched.length = 0;
    }
  }

  /** Settles and flushes only the further destinations. */
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

  /** The capture's time has leapt, and the leap is believed now (LeapListener). */
  leapt(fromMs: number, toMs: number): void {
    for (let each = this.partial.oldest; each !== null; each = each.newer) each.leapt(fromMs, toMs);
  }

  get captureMs(): number {
    return this.clock.nowMs;
  }

  /**
   * The time that --max-rate goes by, for a request that was captured at `timestampMs`: our clock's, so that the
   * endpoint never gets more requests; if the source waits, the capture's, because a file that is read fast would lose
   * requests otherwise.
   */
  rateMs(timestampMs: number): number {
    return this.options.sourceWaits ? timestampMs : this.destination.now();
  }

  /** Looks at the time limits that go by the capture's time. */
  advance(): void {
    this.heads.advance(this.clock.nowMs);
  }

  /**
   * Whether `bytes` more may be held. Others make room for them, but never `asking` (null: a conversation that does not
   * exist yet): those that stand still; or the one that holds most, for one that holds much less; or one of many, for
   * one that has nothing, unless it `hasGivenWay` itself (Waiter).
   */
  makeRoom(bytes: number, asking: Conversation | null, hasGivenWay: boolean): boolean {
    const { budget } = this;
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
   * Whether a request that would hold `bytes` more is better streamed: the source waits, and no request is to
   * be lost.
   */
  mustStream(bytes: number): boolean {
    const { budget } = this;
    return this.options.sourceWaits && !budget.hasRoomFor(bytes + budget.limitBytes * UNSENT_SHARE);
  }

  countLost(): void {
    countUnread(this.destination.counters, "buffer_limit");
    for (const { counters } of this.further) countUnread(counters, "buffer_limit");
  }

  /**
   * The next one to give way among those that have stood still for {@link STALLED_MS}: first conversations with nothing
   * under way, then parts of requests, then bytes behind an offer of another protocol, then requests that wait behind
   * one that the destination has not responded to; the longest silent first. Null: none has stood still.
   */
  private standing(): Conversation | Waiter | null {
    const idle = this.idle.oldest;
    // If the source waits, ending an idle conversation loses nothing and costs nothing.
    if (idle !== null && (this.options.sourceWaits || this.isStalled(idle))) return idle;
    const partial = this.partial.oldest;
    if (partial !== null && this.isStalled(partial)) return partial;
    if (this.offering.oldest !== null) return this.offering.oldest;
    const waiter = this.stalled.oldest ?? this.waiters.oldest;
    return waiter !== null && this.destination.tickedMs - waiter.progressMs >= STALLED_MS ? waiter : null;
  }

  /**
   * The one that gives its place to a conversation that has nothing, and asks for no more than the other costs: a
   * conversation with nothing under way, or a connection that has only waited for a response for {@link AWAITED_MS}.
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
