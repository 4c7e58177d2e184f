/**
 * One of several TCP connections with the same addresses and ports (RFC 9293, section 3.4.1). It decides which segments
 * may belong to it, by sequence and acknowledgment numbers. If a segment may belong to several incarnations, the
 * direction of their connection decides.
 */
import { Acknowledgments } from "./acknowledgments.ts";
import type { Piece } from "./piece.ts";
import type { Reassembler } from "./reassembler.ts";
import { advance, distance } from "./sequence.ts";
import type { Continued, ResponseConsumer, StreamConsumer, StreamNumbers, StreamOrigin } from "./stream.ts";
import type { Timed } from "./time-list.ts";

/** The largest window that TCP can offer (RFC 7323, section 2.3): no byte of a connection lies further ahead. */
export const WINDOW_BYTES_MAX = 2 ** 30;
/** How far below the bytes seen a late SYN, or late first bytes, may lie and still belong to the same incarnation. */
export const LATE_START_BYTES_MAX = 1 << 20;

/** Shared by all incarnations that have only got a SYN: in a flood these must cost very little. */
const NOTHING_ACKNOWLEDGED = new Acknowledgments();

/** The connection of an incarnation, as seen by the table's limits. */
export interface IncarnationOwner {
  readonly identity: Int32Array;
  /** Whether an incarnation is open, or segments are pending. */
  readonly isLive: boolean;
  /** An incarnation was replaced long ago: delivers its pending segments, reports the gaps, and ends it. */
  endReplaced(incarnation: Incarnation): void;
  /** Removes an incarnation that has ended. */
  forget(incarnation: Incarnation): void;
}

/** An incarnation of a connection, open or ended. */
export class Incarnation implements StreamOrigin, StreamNumbers, Timed<Incarnation> {
  /** The range of its client's acknowledgment numbers. */
  acks = NOTHING_ACKNOWLEDGED;
  client!: Reassembler;
  /** The server's direction; null: no consumer wants it, or it has not begun. */
  server: Reassembler | null = null;
  /** Takes the server's side; null: no consumer does, or it has ended. */
  response: ResponseConsumer | null = null;
  consumer: StreamConsumer | null = null;
  isEvicted = false;
  /** The consumer of its bytes, if it was evicted and may go on; null: it may not, or has gone on. */
  evicted: StreamConsumer | null = null;
  /** (StreamOrigin) */
  continued: Continued | null = null;
  /** (StreamNumbers) */
  clientAcknowledged: number | null = null;
  serverAcknowledged: number | null = null;
  /**
   * The acknowledgment number that came with the client's first byte: the server's bytes begin there, or go on there if
   * the server sent first. Null: the byte was not seen, or came with the SYN. A bare ACK does not count: the server's
   * bytes before it may still be on their way.
   */
  firstAcknowledged: number | null = null;
  /** The ISN of a SYN that came behind bytes: it is a late copy, or another incarnation with the same ISN. */
  synAgain: number | null = null;
  /** Bytes that came with the SYN (TCP Fast Open, RFC 7413): a SYN-ACK may acknowledge them. */
  synBytes = 0;
  /** Another incarnation took its place: it may still get bytes, but not for long. */
  isReplaced = false;
  /** The incarnation before it. */
  before: Incarnation | null = null;

  /**
   * When it opened; in the table's list of replaced incarnations, when it was replaced; in that of ended ones, when it
   * ended.
   */
  sinceMs = 0;
  older: Incarnation | null = null;
  newer: Incarnation | null = null;

  /** It opened without its SYN. */
  readonly isPickedUp: boolean;

  constructor(
    readonly connection: IncarnationOwner,
    /** How many incarnations its connection had had when it opened, with this one. */
    readonly generation: number,
    public hasSyn: boolean,
    public isn: number,
  ) {
    this.isPickedUp = !hasSyn;
  }

  get identity(): Int32Array {
    return this.connection.identity;
  }

  get isOpen(): boolean {
    return !this.client.isEnded;
  }

  get numbers(): StreamNumbers {
    return this;
  }

  get clientStart(): number {
    return this.client.start;
  }

  get clientNext(): number {
    return this.client.next;
  }

  get serverNext(): number {
    return this.server!.next;
  }

  /** The lowest sequence number that may belong to its client. */
  get base(): number {
    return this.hasSyn ? advance(this.isn, 1) : advance(this.client.start, -LATE_START_BYTES_MAX);
  }

  /** Whether bytes have come in order behind its SYN. */
  get hasBytes(): boolean {
    return this.client.next !== this.client.start;
  }

  /** Whether a SYN-ACK that acknowledges this answers its SYN. */
  isSynAcknowledged(acknowledgment: number): boolean {
    if (!this.hasSyn) return false;
    const above = distance(this.client.start, acknowledgment);
    return above >= 0 && above <= this.synBytes;
  }

  /** Whether the SYN with this ISN is the one that opened it, or would have. */
  isOpenedBy(isn: number): boolean {
    if (this.hasSyn) return this.isn === isn;
    const below = distance(advance(isn, 1), this.client.start);
    return below >= 0 && below <= LATE_START_BYTES_MAX;
  }

  /** Whether a second SYN came just before these bytes. */
  isBehindSynAgain(sequence: number): boolean {
    return this.synAgain !== null && advance(this.synAgain, 1) === sequence;
  }

  /**
   * Whether a segment acknowledges bytes that were never sent to this incarnation's client: then it belongs to another
   * incarnation, although its sequence numbers may be the same.
   */
  isAnothersAck(acknowledgment: number | null): boolean {
    return acknowledgment !== null && this.acks.isOutside(acknowledgment);
  }

  /** Whether the client has acknowledged about the same number. */
  knowsAck(acknowledgment: number | null): boolean {
    return acknowledgment !== null && this.acks.isKnown && !this.isAnothersAck(acknowledgment);
  }

  /** Whether it expects exactly these bytes (or its FIN); if it has ended: whether this is its FIN again. */
  expects({ sequence, length }: Piece): boolean {
    return this.client.next === sequence && (this.isOpen || (length === 0 && this.client.hasFin));
  }

  /** The range of its client's acknowledgment numbers, to be changed. */
  get ownAcks(): Acknowledgments {
    if (this.acks === NOTHING_ACKNOWLEDGED) this.acks = new Acknowledgments();
    return this.acks;
  }

  noteAck(acknowledgment: number): void {
    this.clientAcknowledged = acknowledgment;
    this.ownAcks.note(acknowledgment);
  }

  /** Whether a server's segment with this acknowledgment number may belong to it. */
  mayBeAnswered(acknowledgment: number, aheadMax: number): boolean {
    const { next, hasFin } = this.client;
    // A client sends no bytes behind its FIN.
    return distance(this.base, acknowledgment) >= 0 && distance(next, acknowledgment) <= (hasFin ? 1 : aheadMax);
  }

  /** Whether it existed when a piece came that belonged to no incarnation. */
  isStrangeTo({ isUnowned, generation }: Piece): boolean {
    return isUnowned && this.generation <= generation;
  }

  /**
   * How far a piece lies above its first byte; negative: the piece does not belong to it. If it has ended, only bytes
   * that it had belong to it.
   */
  fit({ sequence, length, generation }: Piece): number {
    const { next, hasFin } = this.client;
    const above = distance(this.base, sequence);
    // A keep-alive probe before any data repeats the SYN's number, and may come late.
    if (above === -1 && length === 1) return 0;
    if (!this.isOpen) {
      const isKnown = length === 0 ? hasFin && sequence === next : distance(advance(sequence, length), next) >= 0;
      return isKnown ? above : -1;
    }
    // A piece that came before its SYN belongs to it only if it is near.
    const aheadMax = generation < this.generation && !this.isPickedUp ? LATE_START_BYTES_MAX : WINDOW_BYTES_MAX;
    return distance(next, sequence) > aheadMax ? -1 : above;
  }

  /** Whether a segment without bytes may belong to it: late ones of the incarnation before it have other numbers. */
  isNear(sequence: number): boolean {
    return distance(this.base, sequence) >= -1 && distance(this.client.next, sequence) <= LATE_START_BYTES_MAX;
  }
}

/** The newest incarnation, from this one on, that satisfies the condition. */
export function findFrom(
  newest: Incarnation | null,
  isWanted: (incarnation: Incarnation) => boolean,
): Incarnation | undefined {
  for (let incarnation = newest; incarnation !== null; incarnation = incarnation.before)
    if (isWanted(incarnation)) return incarnation;
  return undefined;
}
