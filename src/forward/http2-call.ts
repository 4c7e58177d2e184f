/** A request of HTTP/2, from its head to the end of its response: a stream of the client, and one of ours. */
import type { Http2Words } from "../http/http2/head-encoder.ts";
import { Aged } from "../memory/age-list.ts";
import { Timer, type TimerOwner } from "../memory/deadlines.ts";
import type { Judgement } from "./admission.ts";
import type { RequestDrop } from "./counters.ts";
import type { Exchange, Recorder } from "./exchange.ts";
import type { Request } from "./request.ts";

/** Hears that a time limit of a call is reached. */
export interface CallOwner {
  callExpired(call: Http2Call, nowMs: number): void;
}

/** A connection that calls are on. */
export interface CallCarrier {
  /** Bytes that it was given wait for the kernel. */
  readonly hasBacklog: boolean;
  /** When something came last; to within a tick. */
  readonly receivedMs: number;
  /** More of a call has come, or its end. */
  more(call: Http2Call): void;
  /** A call is cancelled. No more events of it are reported. */
  cancel(call: Http2Call): void;
  giveUp(why: string): void;
}

/** One request of HTTP/2, on its way to one destination. */
export class Http2Call extends Aged<Http2Call> implements TimerOwner, Http2Words {
  // The client's side.
  /** Its bytes; null: none are held. */
  request: Request | null = null;
  scheme = "";
  hasAuthority = false;
  protocol: string | null = null;
  /** The lines of its trailer section. */
  trailer = "";
  /** The whole request has come. */
  isWhole = false;
  isOdd = false;
  /** Policy's decision; null: policy was not asked. */
  judgement: Judgement | null = null;
  /** It is dropped for this reason; null: it is not dropped. */
  dropping: RequestDrop | null = null;
  /** It is streamed. */
  isStreaming = false;
  /** The exchange that compares its response with production's; null: it is not compared. */
  exchange: Exchange | null = null;
  /** How long after its head the client took it back, in the capture's time; Infinity: it did not. */
  cancelledAfterMs = Infinity;

  // On a connection to the destination.
  /** Null: it is on no connection. */
  connection: CallCarrier | null = null;
  /** Its stream there; 0: it is on no connection. */
  number = 0;
  /** How many bytes of its body the destination takes before it allows more. */
  window = 0;
  /** Bytes of its request's array that were handed over. */
  offset = 0;
  /** How often the destination has reported that it did not process the call. */
  unprocessed = 0;
  /** The number of all bytes that the connection had been given before its head, and with its end. */
  startPosition = 0;
  endPosition = 0;
  /** Its end was handed over. */
  isSent = false;
  /** Bytes of its response that were not given back to the destination's window. */
  unacknowledgedBytes = 0;
  /** When its head was handed over, and when some of its bytes last were. */
  sentMs = 0;
  handedMs = 0;
  /** When its end was handed over; 0: not yet. */
  writtenMs = 0;
  /** The final status; 0: not yet. */
  status = 0;
  grpcStatus = -1;
  /** Keeps its response, if that is compared. */
  recorder: Recorder | null = null;
  /** Its response is complete. */
  isResponded = false;
  /** The destination does not want the rest of the request. */
  isUnwanted = false;
  /** The time limit of its response, or the time when it is cancelled. */
  readonly timer: Timer;

  constructor(
    private readonly owner: CallOwner,
    /** The client's stream. */
    readonly stream: number,
    /** When its head came, in the capture's time. */
    readonly capturedMs: number,
  ) {
    super();
    this.timer = new Timer(this);
  }

  expire(nowMs: number): void {
    this.owner.callExpired(this, nowMs);
  }

  /** Prepares it for another connection, from its beginning. */
  reset(): void {
    this.number = 0;
    this.offset = 0;
    this.isSent = false;
    this.writtenMs = 0;
    this.unacknowledgedBytes = 0;
    this.status = 0;
    this.grpcStatus = -1;
    this.recorder?.discard();
  }
}
