/**
 * All segments with the same addresses, ports and VNI: a few incarnations, the newest first (RFC 9293, section 3.4.1),
 * and two directions with pending segments. It opens and ends incarnations; a direction decides which incarnation a
 * segment belongs to.
 */
import type { Segment } from "../decode/segment.ts";
import { TcpFlag } from "../decode/tcp.ts";
import { ClientDirection } from "./client-direction.ts";
import type { FlowTableCounters, ReassemblyCounters } from "./counters.ts";
import type { DirectionContext, DirectionOwner } from "./direction.ts";
import { findFrom, Incarnation, type IncarnationOwner, LATE_START_BYTES_MAX } from "./incarnation.ts";
import type { Piece } from "./piece.ts";
import { Reassembler } from "./reassembler.ts";
import { advance, distance } from "./sequence.ts";
import { ServerDirection } from "./server-direction.ts";
import type { Continued, StreamEnd, StreamOpener } from "./stream.ts";
import type { Timed } from "./time-list.ts";

/** The most incarnations of a connection, with the ended ones; beyond it the oldest is forgotten. */
export const INCARNATIONS_MAX = 8;

/** Added to a generation, gives a number between it and the next. */
const BETWEEN = 0.5;

/** The part that all connections of a table share. */
export interface ConnectionContext extends DirectionContext {
  readonly counters: FlowTableCounters;
  /** The counters of the server's direction; null: it is not reassembled. */
  readonly serverCounters: ReassemblyCounters | null;
  readonly opener: StreamOpener;
  opened(): void;
  replaced(incarnation: Incarnation, sinceMs: number): void;
  ended(incarnation: Incarnation): void;
  /** An ended incarnation is not remembered any more. */
  forgotten(incarnation: Incarnation): void;
  /** A connection's open incarnations or pending segments may have changed. */
  update(connection: Connection): void;
}

/** A connection of a table: it lives as long as the table remembers one of its incarnations. */
export class Connection implements Timed<Connection>, DirectionOwner, IncarnationOwner {
  newest: Incarnation | null = null;
  /** In the table's list of live connections: since when it has been silent. */
  sinceMs = 0;
  older: Connection | null = null;
  newer: Connection | null = null;
  isLive = false;
  /** No incarnation is open, and segments are pending. */
  isWaiting = false;
  isIndexed = false;
  /** (DirectionOwner) */
  openCount = 0;
  /** (DirectionOwner) */
  generation = 0;
  /**
   * The client's direction; null: only a SYN, or bytes in order, have come. In a flood, such connections must cost very
   * little.
   */
  private client: ClientDirection | null = null;
  private server: ServerDirection | null = null;

  constructor(
    readonly identity: Int32Array,
    readonly hash: number,
    private readonly context: ConnectionContext,
  ) {}

  /** How many segments of the client are pending. */
  get pendingCount(): number {
    return this.client?.pendingCount ?? 0;
  }

  /** Delivers the server's segments that have waited for the client's. */
  settleServer(): void {
    this.server?.settle();
  }

  /** Whether a server's side has not ended, or has pending segments. */
  get hasResponse(): boolean {
    return this.server !== null && this.server.isLive;
  }

  /** The client's direction, made when it is needed. */
  get fromClient(): ClientDirection {
    return (this.client ??= new ClientDirection(this, this.context, this.context.counters.reassembly));
  }

  /** The server's direction, made when it is needed; only if it is reassembled. */
  get fromServer(): ServerDirection {
    return (this.server ??= new ServerDirection(this, this.context, this.context.serverCounters!));
  }

  /**
   * The usual case: the only incarnation gets exactly its next bytes, and no segment is pending. False: it is another
   * case, and nothing was done.
   */
  takeNext(segment: Segment): boolean {
    const only = this.newest;
    if (
      only === null ||
      only.before !== null ||
      only.client.next !== segment.sequence ||
      (this.client !== null && this.client.pendingCount > 0)
    )
      return false;
    const { client } = only;
    if (
      client.isEnded ||
      segment.payloadLength === 0 ||
      segment.missingLength > 0 ||
      (segment.flags & TcpFlag.FIN) !== 0
    )
      return false;
    if ((segment.flags & TcpFlag.ACK) !== 0) {
      if (!only.hasBytes) only.firstAcknowledged = segment.acknowledgment;
      only.noteAck(segment.acknowledgment);
    }
    client.deliver(segment.bytes, segment.payloadOffset, segment.payloadLength, segment.timestampMs);
    if (this.server !== null) this.server.settle();
    return true;
  }

  /** Takes a SYN. False: it was a late copy. */
  takeSyn(segment: Segment): boolean {
    const isn = segment.sequence;
    const { reassembly } = this.context.counters;
    const hasSame = findFrom(this.newest, (incarnation) => incarnation.hasSyn && incarnation.isn === isn);
    let known = hasSame ?? findFrom(this.newest, (incarnation) => incarnation.isOpenedBy(isn));
    // Bytes that wait for exactly this SYN belong to the next incarnation.
    if (hasSame !== undefined && this.client !== null && this.client.isAwaited(isn)) known = undefined;
    if (known !== undefined && !known.isOpen) {
      known.synAgain = isn;
      reassembly.retransmitted_bytes += segment.payloadLength;
      return false;
    }
    if (known === undefined) {
      this.context.makeRoom();
      known = this.open(isn, segment.payloadLength + segment.missingLength);
    } else if (!known.hasSyn) {
      this.openLate(known, isn);
    } else if (known.hasBytes || this.client?.hasPendingOf(known) === true) {
      // A second SYN behind bytes may be the next incarnation's, and have overtaken this one's end.
      known.synAgain = isn;
    }
    if (!known.isOpen) reassembly.retransmitted_bytes += segment.payloadLength;
    else if (segment.payloadLength + segment.missingLength > 0) {
      this.fromClient.takeSynBytes(known, segment);
    }
    return true;
  }

  /** Delivers all pending segments, reports the gaps, and ends all incarnations. */
  flush(how: StreamEnd): void {
    this.client?.refuseUnowned();
    for (;;) {
      const open = findFrom(this.newest, ({ isOpen }) => isOpen);
      if (open !== undefined) this.flushOne(open, how);
      // Segments behind an end may belong to another incarnation that was never opened.
      else if (this.client?.giveUpAny() !== true) break;
    }
    this.server?.flush(how);
  }

  /** (DirectionOwner) */
  update(): void {
    this.context.update(this);
  }

  /** (IncarnationOwner) */
  endReplaced(incarnation: Incarnation): void {
    this.flushOne(incarnation, "replaced");
    this.update();
  }

  /** Delivers an incarnation's pending segments, reports the gaps, and ends it. */
  private flushOne(incarnation: Incarnation, how: StreamEnd): void {
    this.client?.flushPendingOf(incarnation);
    if (incarnation.isOpen) {
      incarnation.client.skipCutOff();
      this.finish(incarnation, how);
      this.client?.settle();
    }
    this.server?.end(incarnation, how);
  }

  /** Whether the open incarnations may be ended for silence. */
  mayEndIdle(): boolean {
    let mayEnd = true;
    for (let incarnation = this.newest; incarnation !== null; incarnation = incarnation.before) {
      if (incarnation.consumer !== null && !incarnation.consumer.idle()) mayEnd = false;
    }
    return mayEnd;
  }

  /** (IncarnationOwner) */
  forget(incarnation: Incarnation): void {
    this.takeOut(incarnation);
    this.update();
  }

  private takeOut(incarnation: Incarnation): void {
    this.context.forgotten(incarnation);
    this.server?.end(incarnation, "idle");
    if (this.newest === incarnation) {
      this.newest = incarnation.before;
      return;
    }
    let after = this.newest!;
    while (after.before !== incarnation) after = after.before!;
    after.before = incarnation.before;
  }

  /** (DirectionOwner) */
  open(isn: number, synBytes = 0): Incarnation {
    const incarnation = new Incarnation(this, ++this.generation, true, isn);
    incarnation.synBytes = synBytes;
    const hint = this.client?.hintOf(advance(isn, 1)) ?? null;
    for (let other = this.newest; other !== null; other = other.before)
      if (other.isOpen) this.replace(other, this.context.nowMs);
    this.context.counters.flows.opened++;
    this.begin(incarnation, advance(isn, 1));
    if (hint !== null) incarnation.ownAcks.note(hint);
    this.client?.settle();
    this.server?.opened(incarnation);
    this.client?.keepLimits();
    return incarnation;
  }

  /** Opens an incarnation by a SYN that came after bytes that were delivered already. */
  private openLate(incarnation: Incarnation, isn: number): void {
    const { reassembly } = this.context.counters;
    incarnation.hasSyn = true;
    incarnation.isn = isn;
    const lost = distance(advance(isn, 1), incarnation.client.start);
    if (lost > 0) {
      reassembly.gaps++;
      reassembly.gap_bytes += lost;
    }
  }

  /** (DirectionOwner) */
  pickUp(generation: number, start: number): Incarnation {
    // If a SYN has opened another incarnation since the bytes came, theirs was before that one.
    const isOld = findFrom(this.newest, (other) => other.generation > generation && !other.isPickedUp) !== undefined;
    const incarnation = new Incarnation(this, isOld ? generation + BETWEEN : ++this.generation, false, 0);
    incarnation.continued = this.continuedAt(start);
    this.context.counters.flows.picked_up++;
    this.begin(incarnation, start);
    return incarnation;
  }

  /** (DirectionOwner) */
  goesOn({ sequence, acknowledgment, length }: Piece): boolean {
    const { newest } = this;
    if (newest === null || !newest.isEvicted || length === 0) return false;
    return sequence === newest.client.next && !newest.isAnothersAck(acknowledgment);
  }

  /** The evicted stream that goes on with the byte at this sequence number; null: there is none. */
  private continuedAt(start: number): Continued | null {
    const { newest } = this;
    if (newest === null || newest.evicted === null) return null;
    const consumer = newest.evicted;
    const missing = distance(newest.client.next, start);
    if (missing < 0 || missing > LATE_START_BYTES_MAX) return null;
    newest.evicted = null;
    return { consumer, missing };
  }

  private begin(incarnation: Incarnation, start: number): void {
    const { context } = this;
    let after: Incarnation | null = null;
    let count = 0;
    for (let other = this.newest; other !== null; other = other.before) {
      if (other.generation > incarnation.generation) after = other;
      count++;
    }
    incarnation.before = after === null ? this.newest : after.before;
    if (after === null) this.newest = incarnation;
    else after.before = incarnation;
    incarnation.sinceMs = context.nowMs;
    this.openCount++;
    context.opened();
    context.counters.flows.active++;
    // The consumer may ask for the incarnation's numbers.
    incarnation.client = new Reassembler(start, null, context.counters.reassembly);
    incarnation.consumer = context.opener.open(incarnation);
    incarnation.client.consumer = incarnation.consumer;
    if (context.serverCounters !== null) incarnation.response = incarnation.consumer.response ?? null;
    if (count >= INCARNATIONS_MAX) this.forgetOldest();
  }

  private forgetOldest(): void {
    let oldest = this.newest!;
    while (oldest.before !== null) oldest = oldest.before;
    if (oldest.isOpen) this.flushOne(oldest, "replaced");
    this.takeOut(oldest);
  }

  /** (DirectionOwner) */
  replaceOld(incarnation: Incarnation): void {
    let after: Incarnation | null = null;
    for (let other = this.newest; other !== incarnation; other = other!.before) after = other;
    if (after !== null) this.replace(incarnation, after.sinceMs);
  }

  private replace(incarnation: Incarnation, sinceMs: number): void {
    if (incarnation.isReplaced) return;
    incarnation.isReplaced = true;
    this.context.replaced(incarnation, sinceMs);
  }

  /** (DirectionOwner) */
  finish(incarnation: Incarnation, how: StreamEnd): void {
    const { client } = incarnation;
    const { flows } = this.context.counters;
    client.isEnded = true;
    client.hasFin = how === "fin";
    this.openCount--;
    flows.active--;
    if (how === "evicted") flows.evicted++;
    else flows.closed++;
    incarnation.consumer!.end(how);
    incarnation.isEvicted = how === "evicted";
    if (how === "evicted" && incarnation.consumer!.mayGoOn === true) incarnation.evicted = incarnation.consumer;
    incarnation.consumer = null;
    client.consumer = null;
    if (how === "reset") {
      this.server?.end(incarnation, "reset");
      incarnation.response = null;
    }
    this.context.ended(incarnation);
  }
}
