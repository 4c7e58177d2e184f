/** What flow takes of a segment: as it arrives, or as it is pending. */
import type { Segment } from "../decode/segment.ts";
import { TcpFlag } from "../decode/tcp.ts";
import { advance } from "./sequence.ts";

/** Why a segment is the next incarnation's only if that one's SYN comes, else nobody's. */
export const Doubt = {
  NONE: 0,
  /** It was pending when a reset ended the incarnation that seemed to have it. */
  BEHIND_RESET: 1,
  /** An incarnation that has ended had the same, but its client acknowledged less. */
  MAY_BE_COPY: 2,
} as const;

/** A segment's bytes and what follows them, as it arrives or as it is pending. */
export interface Piece {
  readonly sequence: number;
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
  /** Further than the bytes reach if the mirror cut off what was between. */
  readonly end: number;
  /** A FIN stands at `end`. */
  readonly isFin: boolean;
  /** What the segment acknowledged; null: nothing. */
  readonly acknowledgment: number | null;
  readonly timestampMs: number;
  /** When it arrived. */
  readonly sinceMs: number;
  readonly doubt: number;
  /** How many incarnations its connection had had when it arrived. */
  readonly generation: number;
  /** None of those could have it. */
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

  /** Takes off its first bytes. */
  trim(length: number): void {
    this.sequence = advance(this.sequence, length);
    this.offset += length;
    this.length -= length;
  }
}

/** One object for all, so that none is made for each. It is whoever's took the segment last. */
export const arrival = new Arrival();
