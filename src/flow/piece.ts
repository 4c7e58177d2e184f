/** The part of a segment that flow uses: as it arrives, or as it is pending. */
import type { Segment } from "../decode/segment.ts";
import { TcpFlag } from "../decode/tcp.ts";
import { advance } from "./sequence.ts";

/** Why a segment belongs to the next incarnation only if that one's SYN comes, and else to none. */
export const Doubt = {
  NONE: 0,
  /** The segment was pending when a reset ended the incarnation that it seemed to belong to. */
  BEHIND_RESET: 1,
  /** An ended incarnation had the same bytes, but its client acknowledged less. */
  MAY_BE_COPY: 2,
} as const;

/** A segment's bytes and the end behind them, as it arrives or as it is pending. */
export interface Piece {
  readonly sequence: number;
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
  /** The end of the segment; behind its bytes, if the mirror cut off some. */
  readonly end: number;
  /** A FIN stands at `end`. */
  readonly isFin: boolean;
  /** The acknowledgment number; null: the segment has none. */
  readonly acknowledgment: number | null;
  readonly timestampMs: number;
  /** When it arrived. */
  readonly sinceMs: number;
  readonly doubt: number;
  /** How many incarnations its connection had had when it arrived. */
  readonly generation: number;
  /** It can belong to none of those. */
  readonly isUnowned: boolean;
}

/** A segment that has just come. */
export class Arrival implements Piece {
  sequence = 0;
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  length = 0;
  end = 0;
  isFin = false;
  acknowledgment: number | null = null;
  timestampMs = 0;
  sinceMs = 0;
  doubt: number = Doubt.NONE;
  generation = 0;
  isUnowned = false;

  /** `sequence`: of its payload's first byte. */
  set(segment: Segment, sequence: number, generation: number, nowMs: number): void {
    this.sequence = sequence;
    this.bytes = segment.bytes;
    this.offset = segment.payloadOffset;
    this.length = segment.payloadLength;
    this.end = advance(sequence, segment.payloadLength + segment.missingLength);
    this.isFin = (segment.flags & TcpFlag.FIN) !== 0;
    this.acknowledgment = (segment.flags & TcpFlag.ACK) === 0 ? null : segment.acknowledgment;
    this.timestampMs = segment.timestampMs;
    this.sinceMs = nowMs;
    this.doubt = Doubt.NONE;
    this.isUnowned = false;
    this.generation = generation;
  }

  /** Removes its first bytes. */
  trim(length: number): void {
    this.sequence = advance(this.sequence, length);
    this.offset += length;
    this.length -= length;
  }
}

/**
 * One object for all segments, so that none is made for each. It holds the last segment taken, and is valid until the
 * next.
 */
export const arrival = new Arrival();
