/** A segment that has just come, as a piece. */
import type { Segment } from "../decode/segment.ts";
import { TcpFlag } from "../decode/tcp.ts";
import { Doubt, type Piece } from "./pending-segments.ts";
import { advance } from "./sequence.ts";

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
