/**
 * The whole path of a packet in one thread: decode, flow, forward. It knows nothing of where its
 * records come from, and shares nothing with another shard.
 */
import { Budget } from "../memory/budget.ts";
import type { RecordSource } from "../capture/record-source.ts";
import { Decoder, type DecoderOptions } from "../decode/decoder.ts";
import { SEGMENT } from "../decode/drop-reason.ts";
import type { Strangers } from "../decode/strangers.ts";
import { FlowTable } from "../flow/flow-table.ts";
import { Destination } from "../forward/destination.ts";
import type { DestinationReport } from "../forward/destination-options.ts";
import { HeldMemory } from "../forward/held-memory.ts";
import { Load } from "../forward/load.ts";
import { Tls, type TlsMaterial } from "../forward/tls.ts";
import type { ForwardAddress } from "../address.ts";
import type { Connector } from "../forward/socket.ts";
import { HttpMode } from "../forward/http-mode.ts";
import type { HttpOptions, HttpReport } from "../forward/http-options.ts";
import { TcpMode, type TcpOptions } from "../forward/tcp-mode.ts";
import { ArrayPool } from "../memory/array-pool.ts";
import type { DryRun } from "../policy/dry-run.ts";
import type { Counters } from "../observe/counters.ts";
import { ReadAhead } from "./read-ahead.ts";

export interface ShardOptions extends DecoderOptions, HttpOptions, TcpOptions {
  readonly mode: "http" | "tcp";
  readonly address: ForwardAddress;
  readonly maxPendingPackets: number;
  readonly gapTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxFlows: number;
  readonly maxBufferMib: number;
  readonly maxRetries: number;
  readonly connectTimeoutMs: number;
  readonly measuresDelay: boolean;
  /** For https:// destinations; null: there is none. */
  readonly tls: TlsMaterial | null;
}

/** Where a shard's troubles are told. */
export type ShardReport = DestinationReport & HttpReport;

export class Shard {
  readonly destination: Destination;
  private readonly decoder: Decoder;
  private readonly flows: FlowTable;
  /** Null: --mode tcp. */
  private readonly http: HttpMode | null;
  private readonly readAhead: ReadAhead;
  private readonly sourceWaits: boolean;

  /** `now`: milliseconds since 1970, with fractions. Throws RefusalError. */
  constructor(options: ShardOptions, counters: Counters, report: ShardReport, connector: Connector, now: () => number) {
    const budget = new Budget(options.maxBufferMib * 2 ** 20);
    const { tls } = options;
    this.destination = new Destination(
      { ...options, tls: tls === null ? null : new Tls(options.address.host, tls) },
      counters,
      new HeldMemory(budget, new ArrayPool()),
      report,
      connector,
      now,
    );
    this.decoder = new Decoder(options, counters);
    this.http = options.mode === "http" ? new HttpMode(this.destination, options, report, this.decoder.clock) : null;
    if (this.http !== null) this.decoder.clock.listen(this.http);
    const opener = this.http ?? new TcpMode(this.destination, options);
    this.flows = new FlowTable(options, counters, budget, opener, this.decoder.clock);
    this.readAhead = new ReadAhead(this.destination, this.http?.load ?? new Load());
    this.sourceWaits = options.sourceWaits;
  }

  /**
   * Takes up to `recordsMax` records of the source's batch; fewer where the source can wait and should.
   * False: the batch is at its end.
   */
  process(source: RecordSource, recordsMax: number): boolean {
    const { bytes, view } = source;
    this.destination.beginBatch();
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
    }
    this.flush();
    return more;
  }

  /** What a dry run has found; null: it is none. */
  get dryRun(): DryRun | null {
    return this.http?.dryRun ?? null;
  }

  /** Whom the frames were for that were not for us. */
  get strangers(): Strangers {
    return this.decoder.strangers;
  }

  /** Whether the source can wait, and should, for the endpoint has enough to do. */
  get isBehind(): boolean {
    return this.sourceWaits && this.readAhead.isFar;
  }

  /** Whether something waits for what the endpoint does: a response, bytes taken, a connection made. */
  get awaitsEndpoint(): boolean {
    return this.destination.isAwaited || (this.http !== null && this.http.load.waitingRequests > 0);
  }

  /** Whether everything that was handed on has come to its end. */
  get isSettled(): boolean {
    return this.destination.openCount === 0 && (this.http === null || this.http.load.busyPipes === 0);
  }

  /** Time passes, whether or not frames come: `captureMs` is the capture's time. */
  advance(captureMs: number): void {
    this.destination.beginBatch();
    this.decoder.advance(captureMs);
    this.flows.advance(captureMs);
    this.tick();
  }

  /** Time passes for the endpoint alone. */
  tick(): void {
    this.destination.tick();
    this.flush();
  }

  /**
   * Nothing more comes: delivers all that waits in up to `flowsMax` flows, and has their connections end
   * behind it. False: there was none left.
   */
  finish(flowsMax = Infinity): boolean {
    this.destination.beginBatch();
    const some = this.flows.flush(flowsMax);
    this.flush();
    return some;
  }

  /** Connections fill the budget: those that do nothing make room. */
  private makeRoom(): void {
    const { destination, flows } = this;
    destination.makeRoom();
    for (let left = destination.connectionsOver; left > 0 && flows.evictIdlest(); left--);
    this.http?.flush();
    destination.flush();
    destination.endWritten();
    destination.giveUpHolders();
  }

  /** The batch is over: what it brought leaves, in one write for each connection. */
  private flush(): void {
    this.http?.advance();
    this.http?.flush();
    this.destination.flush();
    if (this.destination.isCrowded) this.makeRoom();
    // Where streams are passed on, all that is held waits for connections: their own cost may have filled it.
    else if (this.http === null) this.destination.relieve();
    this.flows.endBatch();
  }
}
