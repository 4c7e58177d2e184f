/**
 * One of several TCP connections with the same addresses and ports (RFC 9293, section 3.4.1): what it can claim, by
 * sequence and acknowledgment numbers. Between several that claim the same, their connection's direction decides.
 */
import { Acknowledgments, LATE_ACK_BYTES_MAX } from "./acknowledgments.ts";
import type { Piece } from "./piece.ts";
import type { Reassembler } from "./reassembler.ts";
import { advance, distance } from "./sequence.ts";
import type { ResponseConsumer, StreamConsumer, StreamNumbers, StreamOrigin } from "./stream.ts";
import type { Timed } from "./time-list.ts";

/** The largest window TCP can offer (RFC 7323, section 2.3): nothing of a connection lies further ahead. */
export const WINDOW_BYTES_MAX = 2 ** 30;
/** How far below the bytes seen a late SYN, or late first bytes, may lie and still belong to them. */
export const LATE_START_BYTES_MAX = 1 << 20;

/** Of all of whom nothing has come but a SYN: in a flood they must cost next to nothing. */
const NOTHING_ACKNOWLEDGED = new Acknowledgments();

/** The connection of an incarnation, as its limits need it. */
export interface IncarnationOwner {
  readonly identity: Int32Array;
  /** Something is open, or pending. */
  readonly isLive: boolean;
  /** Another took an incarnation's place long ago: delivers what is pending of it, gaps told, and ends it. */
  endReplaced(incarnation: Incarnation): void;
  /** Takes out an incarnation that has ended. */
  forget(incarnation: Incarnation): void;
}

export class Incarnation implements StreamOrigin, StreamNumbers, Timed<Incarnation> {
  /** What its client acknowledges. */
  acks = NOTHING_ACKNOWLEDGED;
  client!: Reassembler;
  /** Null: nobody wants it, or nothing is known of it yet. */
  server: Reassembler | null = null;
  /** Who takes the server's side; null: nobody, or it has ended. */
  response: ResponseConsumer | null = null;
  consumer: StreamConsumer | null = null;
  /** (StreamNumbers) */
  clientAcknowledged: number | null = null;
  serverAcknowledged: number | null = null;
  /** The ISN of a SYN that came behind bytes: a late copy's, or another incarnation's with the same ISN. */
  synAgain: number | null = null;
  /** Bytes that came with its SYN (TCP Fast Open, RFC 7413): a SYN-ACK may acknowledge them. */
  synBytes = 0;
  /** Another took its place: it may still get bytes, but not for long. */
  isReplaced = false;
  /** The one before it. */
  before: Incarnation | null = null;

  /**
   * When it opened; in the table's list of those that were replaced, when it was; of those that have ended, when it
   * did.
   */
  sinceMs = 0;
  older: Incarnation | null = null;
  newer: Incarnation | null = null;

  /** It opened without its SYN. */
  readonly isPickedUp: boolean;

  constructor(
    readonly connection: IncarnationOwner,
    /** How many its connection had had when it opened, this one included. */
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

  /** The client's first byte's sequence number. */
  get start(): number {
    return this.client.start;
  }

  /** The lowest sequence number that may be its client's. */
  private get base(): number {
    return this.hasSyn ? advance(this.isn, 1) : advance(this.start, -LATE_START_BYTES_MAX);
  }

  /** Whether bytes have come behind its SYN in order. */
  get hasBytes(): boolean {
    return this.client.next !== this.client.start;
  }

  /** Whether a SYN-ACK that acknowledges this answers its SYN. */
  isSynAcknowledged(acknowledgment: number): boolean {
    if (!this.hasSyn) return false;
    const above = distance(this.start, acknowledgment);
    return above >= 0 && above <= this.synBytes;
  }

  /** Whether the SYN with this ISN is the one that opened it, or would have. */
  isOpenedBy(isn: number): boolean {
    if (this.hasSyn) return this.isn === isn;
    const below = distance(advance(isn, 1), this.start);
    return below >= 0 && below <= LATE_START_BYTES_MAX;
  }

  /** Whether a second SYN came just before these bytes. */
  isBehindSynAgain(sequence: number): boolean {
    return this.synAgain !== null && advance(this.synAgain, 1) === sequence;
  }

  /**
   * Whether what a segment acknowledges was never said to the client: then it is another incarnation's, though its
   * sequence numbers may be the same. A late retransmission may acknowledge a little more than all before it, and so
   * needs a second SYN to be taken for another's.
   */
  isAnothersAck(acknowledgment: number | null): boolean {
    if (acknowledgment === null) return false;
    return this.acks.isOutside(acknowledgment, this.synAgain !== null && !this.isOpen ? 0 : LATE_ACK_BYTES_MAX);
  }

  /** Whether the client has acknowledged about as much. */
  knowsAck(acknowledgment: number | null): boolean {
    return acknowledgment !== null && this.acks.isKnown && !this.isAnothersAck(acknowledgment);
  }

  /** Whether it expects just these bytes (or its FIN); ended: whether this is its FIN again. */
  expects({ sequence, length }: Piece): boolean {
    return this.client.next === sequence && (this.isOpen || (length === 0 && this.client.hasFin));
  }

  noteAck(acknowledgment: number): void {
    this.clientAcknowledged = acknowledgment;
    if (this.acks === NOTHING_ACKNOWLEDGED) this.acks = new Acknowledgments();
    this.acks.note(acknowledgment);
  }

  /** The server's SYN was seen: its client acknowledges nothing below its first byte. */
  serverBegan(start: number): void {
    if (this.acks === NOTHING_ACKNOWLEDGED) this.acks = new Acknowledgments();
    this.acks.begin(start);
  }

  /**
   * How far above its client's first byte lies what a server acknowledges that may speak to it; Infinity: it may not.
   */
  answeredBy(acknowledgment: number | null, aheadMax: number): number {
    if (acknowledgment === null) return 0;
    const above = distance(this.base, acknowledgment);
    // Behind its FIN a client says nothing.
    return above < 0 || distance(this.client.next, acknowledgment) > (this.client.hasFin ? 1 : aheadMax)
      ? Infinity
      : above;
  }

  /** Whether it was there when a piece came that was none's. */
  isStrangeTo({ isUnowned, generation }: Piece): boolean {
    return isUnowned && this.generation <= generation;
  }

  /**
   * How far above its first byte a piece lies that may be its own; negative: it is not. Of one that has ended, only
   * what it had.
   */
  fit({ sequence, length, generation }: Piece): number {
    const { next, start, hasFin } = this.client;
    const above = distance(this.base, sequence);
    // A keep-alive probe before any data repeats the SYN's number, and may come late.
    if (above === -1 && (length === 1 || (this.isOpen && next === start))) return 0;
    if (!this.isOpen) {
      const isKnown = length === 0 ? hasFin && sequence === next : distance(advance(sequence, length), next) >= 0;
      return isKnown ? above : -1;
    }
    // What came before its SYN is its own only if it is near.
    const aheadMax = generation < this.generation && !this.isPickedUp ? LATE_START_BYTES_MAX : WINDOW_BYTES_MAX;
    return distance(next, sequence) > aheadMax ? -1 : above;
  }

  /** Whether a segment without bytes may be this one's: late ones of the incarnation before it lie elsewhere. */
  isNear(sequence: number): boolean {
    return distance(this.base, sequence) >= -1 && distance(this.client.next, sequence) <= LATE_START_BYTES_MAX;
  }
}

/** The newest of the incarnations, from this one on, of which it holds. */
export function findFrom(
  newest: Incarnation | null,
  isWanted: (incarnation: Incarnation) => boolean,
): Incarnation | undefined {
  for (let incarnation = newest; incarnation !== null; incarnation = incarnation.before)
    if (isWanted(incarnation)) return incarnation;
  return undefined;
}
