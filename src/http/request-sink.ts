/** What the request framer tells, and of what kind a request is. */

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
  /** Expect: 100-continue. */
  expectsContinue = false;
  /** Length of the request line and header section, with the empty line that ends it. */
  headLength = 0;
  /** Body bytes by Content-Length; -1: chunked; 0: no body. */
  bodyLength = 0;
}

/**
 * Takes what the framer finds, in order. For each request: `bytes` once for each push that it has bytes
 * in, together all of them and nothing else; `head` as soon as its header section is whole, before the
 * `bytes` of that push; and then `whole`, or at any time `damaged` (of a damaged request, the bytes of
 * the last push are not given). Bytes given are valid until the end of the batch.
 */
export interface RequestSink {
  bytes(bytes: Uint8Array, offset: number, length: number): void;
  head(head: RequestHead): void;
  /** All its bytes were given. Here {@link RequestFramer.passRest} may be called, and nothing else of the framer. */
  whole(): void;
  /** The request that was begun, or what should have been one, cannot be told whole. */
  damaged(reason: DamageReason): void;
  /**
   * No HTTP/1: nothing is framed any more. If the connection is known from its first byte, all bytes from
   * there on to here were given to `bytes`; all that follow are given to `bytes` as they are.
   */
  foreign(protocol: ForeignProtocol): void;
}
