/**
 * One direction of one incarnation: hands its bytes on in order, and reports gaps (RFC 9293, section 3.4). It does not
 * know other incarnations. The rules are those of a receiver that cannot respond: missing bytes are waited for, up to a
 * limit, and then given up.
 */
import type { ReassemblyCounters } from "./counters.ts";
import { advance, distance } from "./sequence.ts";
import type { ByteConsumer } from "./stream.ts";

/** One direction of one incarnation. */
export class Reassembler {
  /** The next expected sequence number; after a FIN, that of the FIN. */
  next: number;
  isEnded = false;
  /** It has ended with a FIN. */
  hasFin = false;
  /** One past the furthest byte that the mirror cut off from delivered segments; null: it cut none. */
  private cutOffEnd: number | null = null;
  /** No byte was delivered behind the last gap: the next missing bytes belong to the same gap. */
  private endsInGap = false;

  constructor(
    /** The first byte's sequence number. */
    readonly start: number,
    /** Takes the bytes; null: the direction has ended. */
    public consumer: ByteConsumer | null,
    private readonly counters: ReassemblyCounters,
  ) {
    this.next = start;
  }

  /** Hands on bytes that are in order. */
  deliver(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.next = advance(this.next, length);
    this.endsInGap = false;
    this.counters.delivered_bytes += length;
    this.consumer!.data(bytes, offset, length, timestampMs);
  }

  /** Gives up the hole before `sequence`. */
  skipTo(sequence: number): void {
    const length = distance(this.next, sequence);
    if (length <= 0) return;
    if (!this.endsInGap) this.counters.gaps++;
    this.counters.gap_bytes += length;
    this.next = sequence;
    this.endsInGap = true;
    this.consumer!.gap(length);
  }

  /** The mirror cut off the bytes between the delivered ones and `end`. */
  noteCutOff(end: number): void {
    if (this.cutOffEnd === null || distance(this.cutOffEnd, end) > 0) this.cutOffEnd = end;
  }

  /** No more bytes come: those that were cut off at the end are a gap. */
  skipCutOff(): void {
    if (this.cutOffEnd !== null) this.skipTo(this.cutOffEnd);
  }
}
