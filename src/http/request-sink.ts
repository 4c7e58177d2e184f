/** What the request framer tells, and of what kind a request is. */
import type { ProxyClient } from "./proxy-protocol.ts";

/** Why bytes were no whole request. */
export const DAMAGE_REASONS = [
  /** A hole, in or before the request. */
  "gap",
  /** The connection ended within the request. */
  "cut_off",
  /** The request line, a header field or a chunk is not what RFC 9112 allows. */
  "malformed",
  /** Content-Length and Transfer-Encoding say different things, or things nobody knows. */
  "ambiguous_length",
  /** The request line and header section are longer than --max-header-bytes. */
  "header_too_long",
  /** It came behind a request that ends its connection (Connection: close): no server reads it. */
  "after_close",
  /** Its head did not come within --header-timeout-s. */
  "header_timeout",
  /** It stood still, and what was held of it gave way to others (--max-buffer-mib). */
  "evicted",
  /** HTTP/2: its head names a field that was told before a gap, or before the connection was joined. */
  "unknown_header",
] as const;
export type DamageReason = (typeof DAMAGE_REASONS)[number];

/** Bytes on our port that are no HTTP/1 at all. */
export const FOREIGN_PROTOCOLS = ["tls", "http2", "unknown"] as const;
export type ForeignProtocol = (typeof FOREIGN_PROTOCOLS)[number];

/** The request whose head was just read. One object serves all requests of a framer. */
export class RequestHead {
  method = "";
  /** RFC 9110, section 9.2.2: sending it twice is as sending it once. */
  isIdempotent = false;
  /** 0 or 1: HTTP/1.0 or HTTP/1.1. */
  minorVersion = 1;
  /** It offers to go on with another protocol (Upgrade), or is a CONNECT. */
  wantsUpgrade = false;
  /** Whoever reads it closes the connection behind the response (RFC 9112, section 9.6), and need not say so. */
  isLast = false;
  /** Expect: 100-continue. */
  expectsContinue = false;
  /** Length of the request line and header section, with the empty line that ends it. */
  headLength = 0;
  /** Body bytes by Content-Length; -1: chunked; 0: no body. */
  bodyLength = 0;
  /**
   * Servers are known to disagree about where it ends, though RFC 9112 has one reading: it must not share a
   * connection. Known at `head`; what comes behind the head may still turn it true until `whole`.
   */
  isIsolated = false;
  /** It has something that RFC 9112 does not allow, and that does not touch where it ends. Final at `whole`. */
  isOdd = false;
}

/**
 * Takes what the framer finds, in order. For each request: `bytes` once for each push that it has bytes
 * in, together all of them and nothing else; `head` as soon as its header section is whole, before the
 * `bytes` of that push; and then `whole`, or at any time `damaged` (of a damaged request, the bytes of
 * the last push are not given). Bytes given are valid until the end of the batch.
 *
 * Every byte pushed is told once, by `bytes`, by `skipped` or as a part of a `proxyHeader`: when
 * {@link RequestFramer.end} has returned, the lengths add up to what was pushed. (A few bytes that begin
 * a connection, and a request line that begins behind a gap, are told when it is decided what they are.)
 */
export interface RequestSink {
  bytes(bytes: Uint8Array, offset: number, length: number): void;
  head(head: RequestHead): void;
  /** All its bytes were given. Here {@link RequestFramer.passRest} may be called, and nothing else of the framer. */
  whole(): void;
  /**
   * The request that was begun, or what should have been one, cannot be told whole. Each is damaged once; what
   * comes of it afterwards is skipped. A request may begin behind it, where its end is known.
   */
  damaged(reason: DamageReason): void;
  /**
   * Bytes that are no whole request's and not given to `bytes`: empty lines between requests, what came while out
   * of step or behind the connection's end, and of a damaged request what was not given before. May be called at
   * any time, and says nothing about the request under way.
   */
  skipped(length: number): void;
  /** Among skipped bytes, so many lines are request lines, but do not begin where one may be trusted. */
  skippedRequestLines(count: number): void;
  /**
   * A PROXY protocol header stood before everything else. `header`: its bytes, the sink's to keep. `client`: whom the
   * connection is for; null: the header does not say.
   */
  proxyHeader(header: Uint8Array, client: ProxyClient | null): void;
  /**
   * No HTTP/1: nothing is framed any more. If the connection is known from its first byte, all bytes from
   * there (behind a PROXY protocol header) on to here were given to `bytes`; all that follow are given to
   * `bytes` as they are.
   */
  foreign(protocol: ForeignProtocol): void;
}
