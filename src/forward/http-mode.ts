/**
 * --mode http: whole requests, on one connection per flow, each sent when the one before it was
 * answered. This file holds what all streams share: options, limits, and the clock.
 */
import type { StreamConsumer, StreamEnd, StreamOpener, StreamOrigin } from "../flow/stream.ts";
import type { HeaderEdits } from "../http/header-edits.ts";
import type { ForeignProtocol } from "../http/request-sink.ts";
import type { Endpoint } from "./endpoint.ts";
import { HttpStream } from "./http-stream.ts";
import { RequestPool } from "./request.ts";
import type { RequestPipe } from "./request-pipe.ts";

const TICK_MS = 100;

export interface HttpOptions {
  /** Requests on a connection that are not answered yet. */
  readonly pipelineDepth: number;
  /** Whole requests of a flow that wait for their turn; over it the newest is dropped. */
  readonly maxWaitingRequests: number;
  /** Larger requests are streamed instead of held. */
  readonly maxRequestBytes: number;
  readonly maxHeaderBytes: number;
  /** Time for a request's head, in the capture's time. */
  readonly headerTimeoutMs: number;
  /** Time between two reads of a response. */
  readonly responseTimeoutMs: number;
  /** Time for a whole response; Infinity: no limit. */
  readonly maxResponseMs: number;
  /** Silence either way after which the client's end follows on a connection that is passed through. */
  readonly finDelayMs: number;
  /** What becomes of a PROXY protocol header before the first request. */
  readonly proxyProtocol: "pass" | "strip";
  /** Null: header sections are sent as they came. */
  readonly headerEdits: HeaderEdits | null;
}

/** Where a stream's troubles are told. */
export interface HttpReport {
  foreign(protocol: ForeignProtocol): void;
}

export class HttpMode implements StreamOpener {
  readonly requestPool = new RequestPool();
  /** Streams that got something to do in this batch. */
  readonly dirty = new Set<HttpStream>();
  /** How many pipes have requests, waiting or in flight. */
  busyPipes = 0;
  /** How many requests wait for their turn. */
  waitingRequests = 0;
  /** In how many pipes half as many requests wait as may: a source that can wait should. */
  crowdedPipes = 0;
  /** How many pipes wait for an answer. */
  answeringPipes = 0;
  /** All pipes that wait for an answer, and some that have had theirs since the last tick: most wait again by the next. */
  readonly watched = new Set<RequestPipe>();
  /** Pipes that got answers, whose next requests are due. */
  private readonly answered: RequestPipe[] = [];
  /** The time of the last {@link tick}: near enough for time limits, and no call per request. */
  tickedMs: number;
  /** When the last answer was whole; at first, when there could be none. */
  answeredMs: number;
  private nextTickMs = 0;

  constructor(
    readonly endpoint: Endpoint,
    readonly options: HttpOptions,
    readonly report: HttpReport,
  ) {
    this.tickedMs = endpoint.now();
    this.answeredMs = this.tickedMs;
  }

  /** How long no answer was whole. */
  get silenceMs(): number {
    return this.tickedMs - this.answeredMs;
  }

  open(origin: StreamOrigin): StreamConsumer {
    return new UnbegunStream(this, origin);
  }

  /** Sends a pipe's next requests when the answers that came with this one have been read: many leave together then. */
  pumpSoon(pipe: RequestPipe): void {
    this.answered.push(pipe);
    if (this.answered.length > 1) return;
    this.endpoint.afterEvents(() => {
      this.flush();
      this.endpoint.flush();
    });
  }

  /** The batch is over: sends the requests whose turn it is. */
  flush(): void {
    for (const pipe of this.answered) pipe.pump();
    this.answered.length = 0;
    for (const stream of this.dirty) {
      // First, for it may get something to do again.
      this.dirty.delete(stream);
      stream.pump();
    }
  }

  /** Looks at the time limit for answers; cheap to call often. */
  tick(): void {
    const nowMs = this.endpoint.now();
    this.tickedMs = nowMs;
    if (nowMs < this.nextTickMs) return;
    this.nextTickMs = nowMs + TICK_MS;
    for (const pipe of this.watched) if (!pipe.expire(nowMs)) this.watched.delete(pipe);
  }
}

/** A flow of which nothing has come but its start: many, in a flood, and they must cost next to nothing. */
class UnbegunStream implements StreamConsumer {
  private stream: HttpStream | null = null;

  constructor(
    private readonly mode: HttpMode,
    private readonly origin: StreamOrigin,
  ) {}

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.stream ??= new HttpStream(this.mode, this.origin);
    this.stream.data(bytes, offset, length, timestampMs);
  }

  gap(length: number): void {
    this.stream ??= new HttpStream(this.mode, this.origin);
    this.stream.gap(length);
  }

  idle(): boolean {
    return this.stream?.idle() ?? true;
  }

  end(how: StreamEnd): void {
    this.stream?.end(how);
  }
}
