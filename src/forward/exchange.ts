/**
 * What forward tells of requests and responses where the endpoint's responses are compared with production's
 * (src/compare). Nothing of this exists where they are not.
 */
import type { ResponseConsumer, StreamOrigin } from "../flow/stream.ts";
import type { ResponseHead } from "../http/http2/response-head.ts";
import type { ResponseTap } from "../http/response-sink.ts";

/** Keeps the response under way of one upstream connection. */
export interface Recorder extends ResponseTap {
  /** Whether the response that comes next is to be kept. */
  isWanted: boolean;
  /** Bytes have come, at this time; the last byte of what they respond to was written at `writtenMs`. */
  received(nowMs: number, writtenMs: number): void;
  /** A final head of HTTP/2 was read: its response begins. */
  http2Head(section: ResponseHead): void;
  /** A trailer section of HTTP/2 was read: its fields are the response's as well. */
  http2Trailer(section: ResponseHead): void;
  /** The last byte of what it responds to was written only now, when it had begun. */
  written(writtenMs: number): void;
  /** What was kept is not wanted any more. */
  discard(): void;
}

/** A response of production, whole. */
export interface ProductionResponse {
  readonly code: number;
  /** Status line and header section, each byte a character. */
  readonly head: string;
  /** Without its transfer coding. Where there is a digest, not all of it. */
  readonly body: Uint8Array;
  readonly bodyLength: number;
  /** Of a body that is longer than --max-compare-bytes, its SHA-256; null: all of it is in `body`. */
  readonly digest: string | null;
  /** When the request's last segment was captured, and the response's first and last one. */
  readonly requestMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** Knows, at one time or another, what production has responded to one request: for a file in which that is written. */
export interface Witness {
  /** Calls back once, at once where it is known; null: it did not come whole, or found no room. */
  whenKnown(tell: (response: ProductionResponse | null) => void): void;
}

/** One request that is compared, on its way to one destination. */
export interface Exchange {
  /** Null: the destination is no file. */
  readonly witness: Witness | null;
  /** Its target, before anything is changed; empty: not told yet. */
  target: string;
  /** The same request on its way to the control; null: there is none. */
  readonly control: Exchange | null;
  /** The same request on its way to a further destination that is a file. */
  toFile(): Exchange | null;
  /** Its response is complete, and stands in the connection's recorder. */
  responded(recorder: Recorder, code: number): void;
  /** It was forwarded, and {@link responded} to. */
  forwarded(): void;
  /** It was forwarded, and no response came, or none to its end. */
  unanswered(): void;
  /** It was not forwarded. */
  notForwarded(): void;
  /** It did not come whole. */
  damaged(): void;
  /** Nothing more is told of it here. */
  released(): void;
}

/** One client connection: what its requests are is told here, and what production said is taken. */
export interface ComparedStream extends ResponseConsumer {
  /** The client's address, where a PROXY protocol header tells another than the packets. */
  client: string | null;
  /** The framer begins anew with the next byte; `isLost`: within a request, or nobody knows. */
  restart(isLost: boolean): void;
  /** The next bytes are a request's. */
  requestBytes(length: number): void;
  /** The next bytes are no request's, or a damaged one's; or they are missing. */
  otherBytes(length: number): void;
  /** A request's head is whole. Null: it is not compared (--compare-sample). */
  head(method: string, minorVersion: number): Exchange | null;
  /** The request under way is whole; its last segment was captured at this time. */
  whole(timestampMs: number): void;
  /** The request under way is damaged. */
  damaged(): void;
  /** Where the next request begins is not known. */
  lost(): void;
  /** A request was dropped of which nothing else is told. */
  dropped(): void;
  /** The client speaks another protocol, of which nothing is compared. */
  foreign(): void;
  /** The client goes on in HTTP/2, or speaks nothing else. */
  http2(): ComparedCalls;
}

/** The requests of a client connection of HTTP/2, each by the number of its stream. */
export interface ComparedCalls {
  /** A request's head is whole. Null: it is not compared (--compare-sample). */
  head(stream: number, method: string, target: string): Exchange | null;
  /** A request is whole; its last segment was captured at this time. */
  whole(exchange: Exchange, timestampMs: number): void;
  /** The client has taken a request back: production's response is not waited for. */
  cancelled(stream: number): void;
  /** A request of which no head was told is damaged. */
  damaged(): void;
  /** A request was dropped of which nothing else is told. */
  dropped(): void;
}

/** What all client connections of a shard share. */
export interface ResponseComparison {
  /** The last of the further destinations is the control. */
  readonly hasControl: boolean;
  /** A client connection has been seen. */
  openStream(origin: StreamOrigin): ComparedStream;
  /** For a connection to the endpoint; of HTTP/2, for a call. */
  newRecorder(): Recorder;
}
