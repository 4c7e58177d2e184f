/**
 * One flow in --mode http: frames its bytes as requests, and decides for each whether it is held,
 * streamed, dropped or damaged. A {@link RequestPipe} brings them to the endpoint.
 */
import type { StreamConsumer, StreamEnd, StreamOrigin } from "../flow/stream.ts";
import { clientAddress } from "../http/client-address.ts";
import { editHead } from "../http/header-edits.ts";
import type { ProxyClient } from "../http/proxy-protocol.ts";
import { RequestFramer } from "../http/request-framer.ts";
import type { DamageReason, ForeignProtocol, RequestHead, RequestSink } from "../http/request-sink.ts";
import type { Counters, RequestDrop } from "../observe/counters.ts";
import type { HttpMode } from "./http-mode.ts";
import { type PipeOwner, RequestPipe } from "./request-pipe.ts";

/** Bytes of one flow that are held while a large request waits for its turn. */
export const HELD_BYTES_MAX = 16 << 20;

const Phase = {
  /** Bytes are framed as requests. */
  FRAMING: 0,
  /** The endpoint was asked to upgrade: what comes next is held until it has answered. */
  UPGRADING: 1,
  /** Another protocol: bytes pass as they are. */
  BARE: 2,
  /** Nothing can be done with what comes. */
  DEAF: 3,
} as const;

const Streaming = {
  NO: 0,
  /** The request under way goes straight to the connection. */
  ACTIVE: 1,
  /** The same, and it was answered (and counted) already. */
  ANSWERED: 2,
  /** Its connection is gone, and it was not answered. */
  LOST: 3,
} as const;

export class HttpStream implements StreamConsumer, RequestSink, PipeOwner {
  private phase: number = Phase.FRAMING;
  private readonly framer: RequestFramer;
  private readonly pipe: RequestPipe;
  private readonly counters: Counters;

  /** The request under way; what is known of it once its head is. */
  private readonly current = { method: "", isIdempotent: false, wantsUpgrade: false };
  private framed: RequestHead | null = null;
  private headLength = 0;
  /** The client's address as a PROXY protocol header has told it. */
  private client: string | null = null;
  private streaming: number = Streaming.NO;
  /** The request under way is dropped for this reason; null: it is not. */
  private dropping: RequestDrop | null = null;

  /** What came after an upgrade was asked for: bytes, or the length of a hole. */
  private paused: (Uint8Array | number)[] = [];
  private pausedBytes = 0;
  private ending = false;
  private timestampMs = 0;

  constructor(
    private readonly mode: HttpMode,
    private readonly origin: StreamOrigin,
  ) {
    this.counters = mode.endpoint.counters;
    this.framer = new RequestFramer({ maxHeaderBytes: mode.options.maxHeaderBytes }, this, origin.hasSyn);
    this.pipe = new RequestPipe(mode, this);
  }

  // The flow's bytes (StreamConsumer).

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.timestampMs = timestampMs;
    if (this.phase === Phase.FRAMING) this.framer.push(bytes, offset, length);
    else this.bytes(bytes, offset, length);
  }

  gap(length: number): void {
    if (this.phase === Phase.FRAMING) this.framer.gap(length);
    else if (this.phase === Phase.UPGRADING) this.paused.push(length);
    else if (this.phase === Phase.BARE) this.pipe.abortBare();
  }

  idle(): boolean {
    return true;
  }

  end(_how: StreamEnd): void {
    this.ending = true;
    if (this.phase === Phase.UPGRADING) return;
    if (this.phase === Phase.FRAMING) this.framer.end();
    this.mode.dirty.add(this);
  }

  /** Sends what is due. */
  pump(): void {
    if (this.ending && this.phase !== Phase.UPGRADING) this.pipe.finish();
    else this.pipe.pump();
  }

  // What the framer finds (RequestSink).

  head(head: RequestHead): void {
    this.framed = head;
    this.current.method = head.method;
    this.current.isIdempotent = head.isIdempotent;
    this.current.wantsUpgrade = head.wantsUpgrade;
    this.headLength = head.headLength;
  }

  bytes(bytes: Uint8Array, offset: number, length: number): void {
    if (this.phase === Phase.BARE) {
      this.pipe.passOn(bytes, offset, length, this.timestampMs);
    } else if (this.phase === Phase.UPGRADING) {
      this.pause(bytes, offset, length);
    } else if (this.phase === Phase.DEAF) {
      this.counters.foreign.discarded_bytes += length;
    } else if (this.streaming !== Streaming.NO) {
      if (this.streaming !== Streaming.LOST) this.pipe.streamBytes(bytes, offset, length, this.timestampMs);
    } else if (this.dropping === null) {
      this.hold(bytes, offset, length);
    }
  }

  whole(): void {
    const { requests } = this.counters;
    requests.seen++;
    if (this.framed!.isIsolated) requests.isolated++;
    if (this.framed!.isOdd) requests.odd++;
    if (this.dropping !== null) requests.dropped[this.dropping]++;
    else if (this.streaming !== Streaming.NO) this.endStream();
    else this.commit();
    this.reset();
  }

  damaged(reason: DamageReason): void {
    const { requests } = this.counters;
    requests.seen++;
    // One that was answered before it was all sent is counted as forwarded.
    if (this.streaming !== Streaming.ANSWERED) {
      requests.damaged++;
      requests.damage[reason]++;
    }
    if (this.streaming !== Streaming.NO) this.pipe.abortStream();
    else this.pipe.discard();
    this.reset();
  }

  skipped(length: number): void {
    this.counters.requests.skipped_bytes += length;
  }

  proxyHeader(_header: Uint8Array, client: ProxyClient | null): void {
    this.client = client?.address ?? null;
  }

  foreign(protocol: ForeignProtocol): void {
    this.counters.foreign[protocol]++;
    // Without its first bytes, which may have found no room, it is no such stream.
    if (protocol === "http2" && this.origin.hasSyn && this.dropping === null) {
      this.phase = Phase.BARE;
      this.pipe.goBare(this.timestampMs);
      return;
    }
    this.mode.report.foreign(protocol);
    this.phase = Phase.DEAF;
    this.counters.foreign.discarded_bytes += this.pipe.underWayBytes;
    this.pipe.discard();
  }

  // What becomes of requests (PipeOwner).

  upgraded(): void {
    this.phase = Phase.BARE;
    this.pipe.goBare(this.timestampMs);
    this.resume();
  }

  upgradeRefused(): void {
    if (this.phase !== Phase.UPGRADING) return;
    this.phase = Phase.FRAMING;
    this.resume();
  }

  streamOver(how: "answered" | "lost"): void {
    if (how === "answered") this.streaming = Streaming.ANSWERED;
    else if (this.streaming === Streaming.ACTIVE) this.streaming = Streaming.LOST;
  }

  private hold(bytes: Uint8Array, offset: number, length: number): void {
    const { budget } = this.mode.endpoint.memory;
    if (!budget.hasRoomFor(length) || this.pipe.underWayBytes + length > HELD_BYTES_MAX) {
      this.drop("buffer_limit");
      return;
    }
    this.pipe.hold(bytes, offset, length);
    const isLarge = this.pipe.underWayBytes > this.mode.options.maxRequestBytes;
    if (isLarge && this.headLength > 0 && this.pipe.mayStream && this.edit()) {
      this.streaming = Streaming.ACTIVE;
      this.pipe.startStream(this.current, this.timestampMs);
    }
  }

  private drop(reason: RequestDrop): void {
    this.dropping = reason;
    this.pipe.discard();
  }

  private commit(): void {
    const { requests } = this.counters;
    if (this.pipe.waiting >= this.mode.options.maxWaitingRequests) this.drop("waiting_limit");
    else this.edit();
    if (this.dropping !== null) {
      requests.dropped[this.dropping]++;
      return;
    }
    this.pipe.commit(this.current, this.timestampMs);
    if (this.pipe.mayPump) this.mode.dirty.add(this);
    if (!this.current.wantsUpgrade) return;
    this.phase = Phase.UPGRADING;
    this.framer.passRest();
  }

  private endStream(): void {
    const { requests } = this.counters;
    if (this.streaming === Streaming.LOST) requests.dropped.endpoint_closed++;
    if (this.streaming === Streaming.ACTIVE) requests.forwarded++;
    this.pipe.endStream();
  }

  /** Edits the header section, if that is wanted. False: the request is dropped. */
  private edit(): boolean {
    const { headerEdits } = this.mode.options;
    if (headerEdits === null) return true;
    const request = this.pipe.underWay.slice();
    const client = this.client ?? clientAddress(this.origin.identity);
    const edited = editHead(request.subarray(0, this.headLength), headerEdits, client);
    if (edited === null) {
      this.drop("loop");
      return false;
    }
    this.pipe.discard();
    this.pipe.hold(edited, 0, edited.length);
    if (request.length > this.headLength) this.pipe.hold(request, this.headLength, request.length - this.headLength);
    return true;
  }

  private reset(): void {
    this.headLength = 0;
    this.streaming = Streaming.NO;
    this.dropping = null;
  }

  private pause(bytes: Uint8Array, offset: number, length: number): void {
    const { budget } = this.mode.endpoint.memory;
    if (!budget.hasRoomFor(length) || this.pausedBytes + length > HELD_BYTES_MAX) {
      this.paused.push(length);
      this.counters.foreign.discarded_bytes += length;
      return;
    }
    budget.take(length);
    this.pausedBytes += length;
    this.paused.push(bytes.slice(offset, offset + length));
  }

  /** Gives on what came while the endpoint was asked. */
  private resume(): void {
    const paused = this.paused;
    this.mode.endpoint.memory.budget.giveBack(this.pausedBytes);
    this.paused = [];
    this.pausedBytes = 0;
    for (const piece of paused) {
      if (typeof piece === "number") this.gap(piece);
      else this.data(piece, 0, piece.length, this.timestampMs);
    }
    if (this.ending && this.phase === Phase.FRAMING) this.framer.end();
    this.mode.dirty.add(this);
  }
}
