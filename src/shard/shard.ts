/**
 * The whole path of a packet in one thread: decode, flow, forward. It does not know where its records come from, and
 * shares no memory with another shard.
 */
import type { Config } from "../config.ts";
import { Recorder, type RecordReport } from "../capture/recorder.ts";
import type { RecordSource } from "../capture/record-source.ts";
import { Comparison } from "../compare/comparison.ts";
import { Ignored } from "../compare/ignore.ts";
import { Decoder } from "../decode/decoder.ts";
import { Drop, SEGMENT } from "../decode/drop-reason.ts";
import type { Strangers } from "../decode/strangers.ts";
import type { FileReport } from "../files/request-file.ts";
import { FlowTable } from "../flow/flow-table.ts";
import type { Destination } from "../forward/destination.ts";
import type { DestinationReport } from "../forward/destination-options.ts";
import type { HeldMemory } from "../forward/held-memory.ts";
import { Load } from "../forward/load.ts";
import type { Connector } from "../forward/socket.ts";
import { HttpMode } from "../forward/http-mode.ts";
import type { HttpReport } from "../forward/http-options.ts";
import { TcpMode } from "../forward/tcp-mode.ts";
import { ArrayPool } from "../memory/array-pool.ts";
import type { DryRun } from "../policy/dry-run.ts";
import type { Counters } from "../observe/counters.ts";
import type { Gauges } from "../observe/gauges.ts";
import { Redactor } from "../redact/redactor.ts";
import { destinationsFor } from "./destinations.ts";
import { ReadAhead } from "./read-ahead.ts";
import type { ShardComparison, ShardOptions } from "./setup.ts";

/** The options of a recording. */
type RecordConfig = Pick<Config, "record" | "recordMaxMib" | "recordMaxS" | "recordFiles">;
/** Gets word of a shard's troubles. */
export type ShardReport = DestinationReport & HttpReport & RecordReport & FileReport;

/** The path of a packet, wired together. */
export class Shard {
  /** The endpoint. */
  readonly destination: Destination;
  /** The further destinations. */
  readonly further: readonly Destination[];
  private readonly all: readonly Destination[];
  private readonly decoder: Decoder;
  private readonly flows: FlowTable;
  /** Null: --mode tcp. */
  private readonly http: HttpMode | null;
  /** Null: responses are not compared. */
  readonly comparison: Comparison | null;
  private readonly readAhead: ReadAhead;
  private readonly sourceWaits: boolean;
  private readonly responseTimeoutMs: number;
  /** Null: nothing is recorded. */
  private recorder: Recorder | null = null;

  /** `now`: returns milliseconds since 1970, with fractions. Throws RefusalError. */
  constructor(
    options: ShardOptions,
    private readonly counters: Counters,
    report: DestinationReport & HttpReport,
    connector: Connector,
    now: () => number,
  ) {
    const bufferBytes = options.maxBufferMib * 2 ** 20;
    const pool = new ArrayPool(bufferBytes);
    const destinations = destinationsFor(options, bufferBytes, pool, counters, report, connector, now);
    [this.destination, ...this.further] = destinations;
    this.all = destinations;
    const { budget } = this.destination.memory;
    const comparesResponses = options.comparison !== null;
    this.decoder = new Decoder({ ...options, takesServer: comparesResponses }, counters);
    const { clock } = this.decoder;
    this.comparison =
      options.comparison === null ? null : newComparison(options.comparison, this.destination.memory, clock);
    this.http =
      options.mode === "http"
        ? new HttpMode(this.destination, options, report, clock, this.further, this.comparison)
        : null;
    if (this.http !== null) clock.listen(this.http);
    const opener = this.http ?? new TcpMode(this.destination, options, this.further);
    const flowOptions = { ...options, reassemblesServer: comparesResponses };
    this.flows = new FlowTable(flowOptions, counters, budget, opener, clock, pool);
    this.readAhead = new ReadAhead(this.destination, this.http?.load ?? new Load(), this.comparison?.memory ?? null);
    this.sourceWaits = options.sourceWaits;
    this.responseTimeoutMs = options.responseTimeoutMs;
  }

  /**
   * Takes up to `recordsMax` records of the source's batch; fewer if the source can wait, and should. False: the batch
   * has ended.
   */
  process(source: RecordSource, recordsMax: number): boolean {
    const { bytes, view } = source;
    this.beginBatch();
    let more = true;
    for (let count = 0; count < recordsMax && !this.isBehind && (more = source.next()); count++) {
      const outcome = this.decoder.decode(
        bytes,
        view,
        source.offset,
        source.length,
        source.linkType,
        source.timestampMs,
      );
      if (outcome === SEGMENT) this.flows.accept(this.decoder.segment);
      if (this.recorder !== null && (outcome === SEGMENT || outcome === Drop.FRAGMENT))
        this.keep(this.recorder, source);
    }
    this.flush();
    this.recorder?.flush();
    return more;
  }

  private keep(recorder: Recorder, source: RecordSource): void {
    const { bytes, offset, length, linkType, timestampMs } = source;
    recorder.add(bytes, offset, length, linkType, timestampMs, this.decoder.clock.nowMs);
  }

  /**
   * Records our frames from now on, if that is asked for. `thread`: the thread's number, if there are several. Rejects
   * with RefusalError.
   */
  async record(config: RecordConfig, report: RecordReport, thread?: number): Promise<void> {
    const { record: path, recordMaxMib, recordMaxS, recordFiles: files } = config;
    if (path === undefined) return;
    const options = { path, fileBytesMax: recordMaxMib * 2 ** 20, fileMsMax: recordMaxS * 1000, files, thread };
    this.recorder = await Recorder.open(options, this.counters.record, report);
    this.decoder.clock.listen(this.recorder);
  }

  /** Writes the rest of the recording. */
  async endRecord(): Promise<void> {
    await this.recorder?.end();
    this.recorder = null;
  }

  /** The state now, which the main thread shows. Call it once an interval. */
  takeGauges(): Gauges {
    const { destination, further, http } = this;
    return {
      ...gaugesOf(destination, http?.load),
      destinations: further.map((each, i) => gaugesOf(each, http?.further[i]!.load)),
    };
  }

  /** The findings of a dry run; null: this is no dry run. */
  get dryRun(): DryRun | null {
    return this.http?.dryRun ?? null;
  }

  /** The VNIs and ports of frames that were not for us. */
  get strangers(): Strangers {
    return this.decoder.strangers;
  }

  /** Whether the source can wait, and should, because the endpoint is behind. */
  get isBehind(): boolean {
    return this.sourceWaits && this.readAhead.isFar;
  }

  /** Whether some work waits for the endpoint: for a response, for bytes to be taken, for a connection to be made. */
  get awaitsEndpoint(): boolean {
    if (this.destination.isAwaited || (this.http !== null && this.http.load.waitingRequests > 0)) return true;
    return this.further.some(({ isLively }) => isLively);
  }

  /** Whether all that was handed on has come to its end. */
  get isSettled(): boolean {
    return this.isEndpointSettled && this.further.every(({ openCount }) => openCount === 0) && this.hasNoFurtherWork;
  }

  private get isEndpointSettled(): boolean {
    return this.destination.openCount === 0 && (this.http === null || this.http.load.busyPipes === 0);
  }

  private get hasNoFurtherWork(): boolean {
    return this.http === null || this.http.further.every(({ load }) => load.busyPipes === 0);
  }

  /**
   * When the endpoint has come to its end, gives up further destinations that have done nothing for `silenceMs`, or for
   * --response-timeout-ms.
   */
  giveUpSilent(silenceMs: number): void {
    if (this.further.length === 0 || !this.isEndpointSettled) return;
    const mostMs = Math.min(silenceMs, this.responseTimeoutMs);
    for (const destination of this.further) if (destination.silenceMs >= mostMs) destination.terminate();
  }

  /** Gives up every connection, for good. */
  terminate(): void {
    for (const destination of this.all) destination.terminate();
  }

  /** Time passes, whether or not frames come: `captureMs` is the capture's time. */
  advance(captureMs: number): void {
    this.beginBatch();
    this.decoder.advance(captureMs);
    this.flows.advance(captureMs);
    this.tick();
  }

  /** Time passes for the endpoint alone. */
  tick(): void {
    this.destination.tick();
    this.comparison?.advance(this.destination.tickedMs);
    for (const destination of this.further) destination.tick();
    this.flush();
  }

  /**
   * No more frames come: delivers all waiting bytes of up to `flowsMax` flows, and ends their connections behind them.
   * False: no flow was left.
   */
  finish(flowsMax = Infinity): boolean {
    this.beginBatch();
    const some = this.flows.flush(flowsMax);
    if (!some) this.comparison?.finish();
    this.flush();
    return some;
  }

  /** Sets this share of all budgets aside (MemoryGuard). */
  setAside(share: number): void {
    for (const { memory } of this.all) memory.budget.setAside(share);
  }

  private beginBatch(): void {
    for (const destination of this.all) destination.beginBatch();
  }

  /** Connections fill the budget: idle ones make room. */
  private makeRoom(): void {
    const { destination, flows } = this;
    destination.makeRoom();
    for (let left = destination.connectionsOver; left > 0 && flows.evictIdlest(); left--);
    this.http?.flush();
    destination.flush();
    destination.endWritten();
    destination.giveUpHolders();
  }

  private flushFurther(): void {
    if (this.http !== null) {
      this.http.flushFurther();
      for (const further of this.http.further) further.relieve();
      return;
    }
    for (const destination of this.further) {
      destination.flush();
      if (destination.isCrowded) destination.makeRoom();
      destination.giveUpHolders();
    }
  }

  /** The batch is over: its bytes leave, in one write for each connection. */
  private flush(): void {
    this.http?.advance();
    this.http?.flush();
    this.destination.flush();
    if (this.destination.isCrowded) this.makeRoom();
    // If streams are passed on, all held bytes wait for connections: the connections' own cost may have filled the
    // budget.
    else if (this.http === null) this.destination.relieve();
    if (this.further.length > 0) this.flushFurther();
    this.flows.endBatch();
  }
}

/** The gauges of a destination. `load` undefined: it has no requests (--mode tcp). */
function gaugesOf({ memory, openCount, unsettledCount, connectedMs, unconnectedMs }: Destination, load?: Load) {
  return {
    waiting_requests: load?.waitingRequests ?? 0,
    longest_waiting_requests: load?.takeLongest() ?? 0,
    requests_in_flight: load?.awaitingPipes ?? 0,
    upstream_open: openCount,
    upstream_unsettled: unsettledCount,
    buffer_bytes: memory.budget.usedBytes,
    max_buffer_bytes: memory.budget.roomBytes,
    connected_ms: connectedMs,
    unconnected_ms: unconnectedMs,
  };
}

function newComparison(options: ShardComparison, memory: HeldMemory, clock: { readonly nowMs: number }): Comparison {
  const { ignore, redact, noRedact, random } = options;
  return new Comparison(options, new Ignored(ignore), new Redactor(redact, noRedact), memory, clock, random);
}
