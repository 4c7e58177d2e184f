/**
 * A flow table to be told of segments one by one, and the streams that come out of it in words:
 * "SYN abc <3> def fin" is a stream that began with its SYN, with a hole of three bytes.
 */
import { Budget } from "../../src/memory/budget.ts";
import { CaptureClock } from "../../src/decode/capture-clock.ts";
import { Segment } from "../../src/decode/segment.ts";
import { FlowTable, type FlowTableOptions } from "../../src/flow/flow-table.ts";
import { Counters } from "../../src/observe/counters.ts";
import { Recorder, type RecordedStream } from "../simulator/recorder.ts";

export const EPOCH_MS = 1_750_000_000_000;

/** A segment; sequence numbers are told from the SYN's of the test's first connection on. */
export interface Step {
  sequence: number;
  flags: string;
  data?: string;
  acknowledgment?: number;
  /** Payload bytes that the mirror cut off. */
  missing?: number;
  sourcePort?: number;
  source?: number;
  destination?: number;
}

/** Time passes. */
export interface Pause {
  ms: number;
}

/** The capture ends. */
export const FLUSH = "flush";

export type Event = Step | Pause | typeof FLUSH;
type More = Partial<Omit<Step, "sequence" | "flags" | "data">>;

export const syn = (sequence: number, data = "", more: More = {}): Step => ({ sequence, flags: "S", data, ...more });
export const data = (sequence: number, text: string, more: More = {}): Step => ({ sequence, flags: "A", data: text, ...more });
export const fin = (sequence: number, text = "", more: More = {}): Step => ({ sequence, flags: "AF", data: text, ...more });
export const reset = (sequence: number, more: More = {}): Step => ({ sequence, flags: "R", ...more });
export const pause = (ms: number): Pause => ({ ms });

const FLAG_BITS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16 };
/** In front of the payload in its buffer, and behind it: nothing of this may be delivered. */
const SURROUNDINGS = "##########";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface FlowsOptions extends Partial<FlowTableOptions> {
  bufferBytes?: number;
  /** Added to all sequence numbers. */
  isn?: number;
  acknowledgment?: number;
}

export class Flows {
  readonly counters = new Counters();
  readonly budget: Budget;
  readonly recorder = new Recorder();
  readonly table: FlowTable;
  readonly segment = new Segment();
  readonly clock = new CaptureClock();
  nowMs = EPOCH_MS;
  private readonly isn: number;
  private readonly acknowledgment: number;

  constructor({ bufferBytes = 1 << 20, isn = 0, acknowledgment = 5000, ...options }: FlowsOptions = {}) {
    this.isn = isn;
    this.acknowledgment = acknowledgment;
    this.clock.advance(EPOCH_MS);
    this.budget = new Budget(bufferBytes);
    const limits = { maxPendingPackets: 32, gapTimeoutMs: 1000, idleTimeoutMs: 300_000, maxFlows: 1000, sourceWaits: false, ...options };
    this.table = new FlowTable(limits, this.counters, this.budget, this.recorder, this.clock);
  }

  play(...events: Event[]): this {
    for (const event of events) {
      if (event === FLUSH) {
        this.table.flush();
      } else if ("ms" in event) {
        this.nowMs += event.ms;
        this.table.advance(this.nowMs);
      } else {
        this.accept(event);
      }
      this.table.endBatch();
    }
    return this;
  }

  /** Every stream, in the order in which they were opened. */
  get streams(): string[] {
    return this.recorder.streams.map(describe);
  }

  private accept({ sequence, flags, data: text = "", acknowledgment, missing = 0, sourcePort = 1000, source = 1, destination = 1 }: Step): void {
    const { segment } = this;
    const payload = encoder.encode(SURROUNDINGS + text + SURROUNDINGS);
    segment.bytes = payload;
    segment.payloadOffset = SURROUNDINGS.length;
    segment.payloadLength = payload.length - 2 * SURROUNDINGS.length;
    segment.missingLength = missing;
    segment.sequence = (this.isn + sequence) | 0;
    segment.acknowledgment = (acknowledgment ?? this.acknowledgment) | 0;
    segment.flags = [...flags].reduce((bits, flag) => bits | FLAG_BITS[flag]!, 0);
    segment.identity.set([0, 0, 0xffff, 0x0a000000 | source, 0, 0, 0xffff, 0x0a010000 | destination, (sourcePort << 16) | 80]);
    segment.timestampMs = this.nowMs;
    this.clock.tell(this.nowMs);
    this.table.accept(segment);
    // The next frame lies where this one lay: who keeps bytes must have copied them.
    payload.fill(0x21);
  }
}

export function describe({ hasSyn, runs, how }: RecordedStream): string {
  const parts = runs.map(({ bytes, length }) => (bytes === null ? `<${length}>` : decoder.decode(bytes.slice())));
  return [hasSyn ? "SYN" : "-", ...parts, how ?? "…"].join(" ");
}

