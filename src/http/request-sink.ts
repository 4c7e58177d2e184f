/** The request framer's events for its sink. */

/** The reasons why bytes were no whole request. */
export const DAMAGE_REASONS = [
  /** A hole, in or before the request. */
  "gap",
  /** The connection ended within the request. */
  "cut_off",
  /** RFC 9112 does not allow the request line, a header field or a chunk. */
  "malformed",
  /** Content-Length and Transfer-Encoding contradict each other, or are not known. */
  "ambiguous_length",
  /** The request line and header section are longer than --max-header-bytes. */
  "header_too_long",
  /** It came behind a request that ends its connection (Connection: close): no server reads it. */
  "after_close",
  /** Its head did not come within --header-timeout-s. */
  "header_timeout",
  /** It stood still, and its held bytes gave way to others (--max-buffer-mib). */
  "evicted",
  /** HTTP/2: its head refers to a field that came before a gap, or before the connection was joined. */
  "unknown_header",
] as const;
/** One of {@link DAMAGE_REASONS}. */
export type DamageReason = (typeof DAMAGE_REASONS)[number];

/** The protocols of bytes on our port that are not HTTP/1. */
export type ForeignProtocol = "tls" | "http2" | "unknown";

/** The head that was just read. One object serves all requests of a framer. */
export class RequestHead {
  method = "";
  /** RFC 9110, section 9.2.2: to send it twice has the effect of sending it once. */
  isIdempotent = false;
  /** 0 or 1: HTTP/1.0 or HTTP/1.1. */
  minorVersion = 1;
  /** It offers to go on with another protocol (Upgrade), or is a CONNECT. */
  wantsUpgrade = false;
  /** The server closes the connection behind the response (RFC 9112, section 9.6), and need not say so. */
  isLast = false;
  /** Length of the request line and header section, with the empty line that ends it. */
  headLength = 0;
  /** Body bytes by Content-Length; -1: chunked; 0: no body. */
  bodyLength = 0;
  /**
   * Servers are known to disagree about where the request ends, though RFC 9112 has one reading: it must not share a
   * connection. Known at `head`; the bytes behind the head may still turn it true until `whole`.
   */
  isIsolated = false;
  /**
   * The request has something that RFC 9112 does not allow, and that does not change where it ends. Final at `whole`.
   */
  isOdd = false;
}

/**
 * Takes what the framer finds, in order. For each request: `bytes` once for each push that has bytes of it, together
 * all of its bytes and no others; `head` as soon as its header section is whole, before the `bytes` of that push; and
 * then `whole`, or at any time `damaged` (the bytes of a damaged request in the last push are not given). Bytes given
 * are valid until the end of the batch.
 *
 * Every byte pushed is told exactly once, by `bytes`, by `skipped` or as a part of a `proxyHeader`: when {@link
 * RequestFramer.end} has returned, the lengths add up to what was pushed. (The first bytes of a connection, and a
 * request line that begins behind a gap, are told when it is decided what they are.)
 */
export interface RequestSink {
  bytes(bytes: Uint8Array, offset: number, length: number): void;
  head(head: RequestHead): void;
  /** All its bytes were given. Here {@link RequestFramer.passRest} may be called, and nothing else of the framer. */
  whole(): void;
  /**
   * The request under way, or bytes that should have been one, is damaged. This is told once for each; the bytes that
   * come of it afterwards are skipped. If its end is known, a request may begin behind it.
   */
  damaged(reason: DamageReason): void;
  /**
   * Bytes that belong to no whole request and are not given to `bytes`: empty lines between requests, bytes that came
   * while out of step or behind the connection's end, and bytes of a damaged request that were not given before. May be
   * called at any time, and says nothing about the request under way.
   */
  skipped(length: number): void;
  /** `count` lines among the skipped bytes are request lines, but do not begin where a request line may be trusted. */
  skippedRequestLines(count: number): void;
  /**
   * A PROXY protocol header stood before all other bytes. `header`: its bytes, which the sink may keep. `client`: the
   * address of the client that the connection is for, as text; null: the header does not say.
   */
  proxyHeader(header: Uint8Array, client: string | null): void;
  /**
   * The bytes are not HTTP/1: no more are framed. If the connection is known from its first byte, all bytes so far
   * (behind a PROXY protocol header, or an offer that was declined) were given to `bytes`; all that follow are given to
   * `bytes` as they are.
   */
  foreign(protocol: ForeignProtocol): void;
}
