/**
 * The whole path of a packet in one thread: decode, flow, forward. It knows nothing of where its
 * records come from, and shares nothing with another shard.
 */
import { Budget } from "./memory/budget.ts";
import type { RecordSource } from "./capture/record-source.ts";
import { Decoder } from "./decode/decoder.ts";
import { SEGMENT } from "./decode/drop-reason.ts";
import type { Strangers } from "./decode/strangers.ts";
import { FlowTable } from "./flow/flow-table.ts";
import { QueueMemory } from "./forward/byte-queue.ts";
import { Endpoint, type EndpointReport } from "./forward/endpoint.ts";
import type { Connector, ForwardAddress } from "./forward/socket.ts";
import { HttpMode, type HttpOptions, type HttpReport } from "./forward/http-mode.ts";
import { TcpMode } from "./forward/tcp-mode.ts";
import type { Counters } from "./observe/counters.ts";

/**
 * How far a source that can wait runs ahead: bytes not taken; connections not made, not ended, or not answered; and
 * requests that wait for their turn, which would only leave the processor's cache before it comes.
 */
const AHEAD_BYTES_MAX = 8 << 20;
const AHEAD_CONNECTIONS_MAX = 512;
export const AHEAD_REQUESTS_MAX = 512;
/**
 * An endpoint that has answered nothing for so long may be one that serves so many connections at a time, and waits
 * for their ends or the rest of an upload: those come only if more is read.
 */
export const SILENCE_MS_MAX = 20;

export interface ShardOptions extends HttpOptions {
  readonly mode: "http" | "tcp";
  readonly vxlanPort: number;
  readonly vni: number;
  readonly port: number;
  readonly address: ForwardAddress;
  readonly maxPendingPackets: number;
  readonly gapTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxFlows: number;
  readonly sourceWaits: boolean;
  readonly maxBufferMib: number;
  readonly maxRetries: number;
  readonly connectTimeoutMs: number;
  readonly outageTimeoutMs: number;
  readonly measuresDelay: boolean;
  /** The source can wait (--read): nothing whole needs to be dropped because it was read too fast. */
  readonly sourceWaits: boolean;
}

/** Where a shard's troubles are told. */
export type ShardReport = EndpointReport & HttpReport;

export class Shard {
  readonly endpoint: Endpoint;
  private readonly decoder: Decoder;
  private readonly flows: FlowTable;
  /** Null: --mode tcp. */
  private readonly http: HttpMode | null;

  /** `now`: milliseconds since 1970, with fractions. */
  constructor(options: ShardOptions, counters: Counters, report: ShardReport, connector: Connector, now: () => number) {
    const budget = new Budget(options.maxBufferMib * 2 ** 20);
    this.endpoint = new Endpoint(options, counters, new QueueMemory(budget), report, connector, now);
    this.decoder = new Decoder(options, counters);
    this.http = options.mode === "http" ? new HttpMode(this.endpoint, options, report) : null;
    this.flows = new FlowTable(options, counters, budget, this.http ?? new TcpMode(this.endpoint, options.responseTimeoutMs), this.decoder.clock);
  }

  /**
   * Takes up to `recordsMax` records of the source's batch; fewer where requests pile up, if the
   * source can wait. False: the batch is at its end.
   */
  process(source: RecordSource, recordsMax: number, canWait = false): boolean {
    const { bytes, view } = source;
    let more = true;
    for (let count = 0; count < recordsMax && !(canWait && this.isCrowded) && (more = source.next()); count++) {
      const outcome = this.decoder.decode(bytes, view, source.offset, source.length, source.linkType, source.timestampMs);
      if (outcome === SEGMENT) this.flows.accept(this.decoder.segment);
    }
    this.flush();
    return more;
  }

  /** Whom the frames were for that were not for us. */
  get strangers(): Strangers {
    return this.decoder.strangers;
  }

  /** Whether the endpoint has more to do than a source which can wait should run ahead of. */
  get isBehind(): boolean {
    const { backlogBytes, unsettledCount } = this.endpoint;
    const unanswered = this.http?.answeringPipes ?? 0;
    return backlogBytes > AHEAD_BYTES_MAX || unsettledCount + unanswered > AHEAD_CONNECTIONS_MAX || this.isCrowded;
  }

  /** Whether something waits for what the endpoint does: an answer, bytes taken, a connection made. */
  get awaitsEndpoint(): boolean {
    return this.endpoint.isAwaited || (this.http !== null && this.http.waitingRequests > 0);
  }

  /** Whether everything that was handed on has come to its end. */
  get isSettled(): boolean {
    return this.endpoint.openCount === 0 && (this.http === null || this.http.busyPipes === 0);
  }

  private get isCrowded(): boolean {
    const { http } = this;
    if (http === null) return false;
    return http.crowdedPipes > 0 || (http.waitingRequests >= AHEAD_REQUESTS_MAX && http.silenceMs < SILENCE_MS_MAX);
  }

  /** Time passes, whether or not frames come: `captureMs` is the capture's time. */
  advance(captureMs: number): void {
    this.decoder.advance(captureMs);
    this.flows.advance(captureMs);
    this.tick();
  }

  /** Time passes for the endpoint alone. */
  tick(): void {
    this.http?.tick();
    this.endpoint.tick();
    this.flush();
  }

  /**
   * Nothing more comes: delivers all that waits in up to `flowsMax` flows, and has their connections end
   * behind it. False: there was none left.
   */
  finish(flowsMax = Infinity): boolean {
    const some = this.flows.flush(flowsMax);
    this.flush();
    return some;
  }

  /** The batch is over: what it brought leaves, in one write for each connection. */
  private flush(): void {
    this.http?.flush();
    this.endpoint.flush();
    this.flows.endBatch();
  }
}
