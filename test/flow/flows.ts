/**
 * A flow table that gets segments one by one, and its streams in words: "SYN abc <3> def fin" is a stream that began
 * with its SYN, with a hole of three bytes.
 */
import { Budget } from "../../src/memory/budget.ts";
import { CaptureClock } from "../../src/decode/capture-clock.ts";
import { Segment } from "../../src/decode/segment.ts";
import { FlowTable, type FlowTableOptions } from "../../src/flow/flow-table.ts";
import { Counters } from "../../src/observe/counters.ts";
import { type RecordedResponse, Recorder, type RecordedStream } from "../simulator/recorder.ts";

export const EPOCH_MS = 1_750_000_000_000;

/** A segment; sequence numbers count from the SYN of the test's first connection. */
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
  vni?: number;
  isFromServer?: boolean;
}

/** Time passes. */
export interface Pause {
  ms: number;
}

/** The capture ends. */
export const FLUSH = "flush";

export type Event = Step | Pause | typeof FLUSH;
type More = Partial<Omit<Step, "sequence" | "data">>;

export const syn = (sequence: number, data = "", more: More = {}): Step => ({ sequence, flags: "S", data, ...more });
export const data = (sequence: number, text: string, more: More = {}): Step => ({
  sequence,
  flags: "A",
  data: text,
  ...more,
});
export const fin = (sequence: number, text = "", more: More = {}): Step => ({
  sequence,
  flags: "AF",
  data: text,
  ...more,
});
export const reset = (sequence: number, more: More = {}): Step => ({ sequence, flags: "R", ...more });
/** The server's bytes; their numbers count from 0, and they acknowledge the client's. */
export const answer = (sequence: number, text: string, acknowledgment: number, more: More = {}): Step => ({
  sequence,
  flags: "A",
  data: text,
  acknowledgment,
  isFromServer: true,
  ...more,
});
export const synAck = (sequence: number, acknowledgment: number, more: More = {}): Step =>
  answer(sequence, "", acknowledgment, { flags: "AS", ...more });
export const pause = (ms: number): Pause => ({ ms });

const FLAG_BITS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16 };
/** Before the payload in its buffer, and behind it: none of these bytes may be delivered. */
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
    const limits = {
      maxPendingPackets: 32,
      gapTimeoutMs: 1000,
      idleTimeoutMs: 300_000,
      maxFlows: 1000,
      sourceWaits: false,
      ...options,
    };
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

  /** The outcome of the servers' sides, in the order in which the streams opened; only those with an outcome. */
  get responses(): string[] {
    return this.recorder.streams.flatMap(({ response }) =>
      response === null || response.isFromStart === null ? [] : [describeResponse(response)],
    );
  }

  private accept({
    sequence,
    flags,
    data: text = "",
    acknowledgment,
    missing = 0,
    sourcePort = 1000,
    source = 1,
    destination = 1,
    vni = 7,
    isFromServer = false,
  }: Step): void {
    const { segment } = this;
    const payload = encoder.encode(SURROUNDINGS + text + SURROUNDINGS);
    segment.bytes = payload;
    segment.payloadOffset = SURROUNDINGS.length;
    segment.payloadLength = payload.length - 2 * SURROUNDINGS.length;
    segment.missingLength = missing;
    // A number that one side sends is acknowledged by the other.
    segment.sequence = (isFromServer ? sequence : this.isn + sequence) | 0;
    segment.acknowledgment = (isFromServer ? this.isn + acknowledgment! : (acknowledgment ?? this.acknowledgment)) | 0;
    segment.isFromServer = isFromServer;
    segment.flags = [...flags].reduce((bits, flag) => bits | FLAG_BITS[flag]!, 0);
    segment.identity.set([
      0,
      0,
      0xffff,
      0x0a000000 | source,
      0,
      0,
      0xffff,
      0x0a010000 | destination,
      (sourcePort << 16) | 80,
      vni,
    ]);
    segment.timestampMs = this.nowMs;
    this.clock.tell(this.nowMs);
    this.table.accept(segment);
    // The next frame lies at the same place: a receiver that keeps bytes must have copied them.
    payload.fill(0x21);
  }
}

function describeResponse({ isFromStart, runs, how }: RecordedResponse): string {
  return [
    isFromStart ? "SYN" : "-",
    ...runs.map(({ bytes, length }) => (bytes === null ? `<${length}>` : decoder.decode(bytes.slice()))),
    how ?? "…",
  ].join(" ");
}

export function describe({ hasSyn, runs, how }: RecordedStream): string {
  const parts = runs.map(({ bytes, length }) => (bytes === null ? `<${length}>` : decoder.decode(bytes.slice())));
  return [hasSyn ? "SYN" : "-", ...parts, how ?? "…"].join(" ");
}
