/**
 * Forward's events about requests and responses for src/compare, which compares the endpoint's responses with
 * production's. If responses are not compared, no object of these exists.
 */
import type { ResponseConsumer, StreamOrigin } from "../flow/stream.ts";
import type { ResponseHead } from "../http/http2/response-head.ts";
import type { ResponseTap } from "../http/response-sink.ts";

/** Keeps the response under way of one upstream connection. */
export interface Recorder extends ResponseTap {
  /** Whether the next response is to be kept. */
  isWanted: boolean;
  /** Bytes have come at `nowMs`; the last byte of the request that they respond to was written at `writtenMs`. */
  received(nowMs: number, writtenMs: number): void;
  /** A final head of HTTP/2 was read: its response begins. */
  http2Head(section: ResponseHead): void;
  /** A trailer section of HTTP/2 was read: its fields belong to the response as well. */
  http2Trailer(section: ResponseHead): void;
  /** The last byte of the request was written only now, after the response had begun. */
  written(writtenMs: number): void;
  /** The kept bytes are not wanted any more. */
  discard(): void;
}

/** A response of production, whole. */
export interface ProductionResponse {
  readonly code: number;
  /** Status line and header section, each byte a character. */
  readonly head: string;
  /** The body without its transfer coding. If there is a digest, the body is longer. */
  readonly body: Uint8Array;
  readonly bodyLength: number;
  /** The SHA-256 of a body that is longer than --max-compare-bytes; null: all of it is in `body`. */
  readonly digest: string | null;
  /** When the request's last segment was captured, and the response's first and last one. */
  readonly requestMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** Gets to know production's response to one request, for a file that it is written to. */
export interface Witness {
  /** Calls back once; at once, if the response is known. Null: it did not come whole, or found no room. */
  whenKnown(tell: (response: ProductionResponse | null) => void): void;
}

/** One request that is compared, on its way to one destination. */
export interface Exchange {
  /** Null: the destination is no file. */
  readonly witness: Witness | null;
  /** The request's target, before edits; empty: not known yet. */
  target: string;
  /** The same request on its way to the control; null: there is no control. */
  readonly control: Exchange | null;
  /** The same request on its way to a further destination that is a file. */
  toFile(): Exchange | null;
  /** The response is complete, and is in the connection's recorder. */
  responded(recorder: Recorder, code: number): void;
  /** The request was forwarded, and {@link responded} was called. */
  forwarded(): void;
  /** The request was forwarded, and no response came, or none to its end. */
  unanswered(): void;
  /** The request was not forwarded. */
  notForwarded(): void;
  /** The request was damaged. */
  damaged(): void;
  /** No more calls follow. */
  released(): void;
}

/** Takes one client connection's requests, and production's bytes. */
export interface ComparedStream extends ResponseConsumer {
  /** The client's address, if a PROXY protocol header names another than the packets. */
  client: string | null;
  /** The framer begins anew with the next byte. `isLost`: this byte is within a request, or its place is not known. */
  restart(isLost: boolean): void;
  /** The next `length` bytes are a request's. */
  requestBytes(length: number): void;
  /** The next `length` bytes are no request's, or a damaged one's; or they are missing. */
  otherBytes(length: number): void;
  /** A request's head is whole. Null: it is not compared (--compare-sample). */
  head(method: string, minorVersion: number): Exchange | null;
  /** The request under way is whole; its last segment was captured at this time. */
  whole(timestampMs: number): void;
  /** The request under way is damaged. */
  damaged(): void;
  /** Where the next request begins is not known. */
  lost(): void;
  /** A request was dropped that no other call reports. */
  dropped(): void;
  /** The client speaks another protocol, which is not compared. */
  foreign(): void;
  /** The client goes on in HTTP/2, or has begun in it. */
  http2(): ComparedCalls;
}

/** Takes the requests of a client connection of HTTP/2, each by the number of its stream. */
export interface ComparedCalls {
  /** The bytes that each call of {@link head} charges to the budget, without asking for room. */
  readonly costBytes: number;
  /** A request's head is whole. Null: it is not compared (--compare-sample). */
  head(stream: number, method: string, target: string): Exchange | null;
  /** A request is whole; its last segment was captured at this time. */
  whole(exchange: Exchange, timestampMs: number): void;
  /** The client has taken a request back: production's response is not waited for. */
  cancelled(stream: number): void;
  /** A request without a call of {@link head} is damaged. */
  damaged(): void;
  /** A request was dropped that no other call reports. */
  dropped(): void;
}

/** The part that all client connections of a shard share. */
export interface ResponseComparison {
  /** Whether the last of the further destinations is the control. */
  readonly hasControl: boolean;
  /** A client connection has been seen. */
  openStream(origin: StreamOrigin): ComparedStream;
  /** A recorder for a connection to the endpoint; with HTTP/2, for a call. */
  newRecorder(): Recorder;
}
