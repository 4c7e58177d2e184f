/** Takes the parts of responses, if they are wanted. Bytes are valid until the call returns. */
export interface ResponseTap {
  /** A response begins with the byte at `at` of the push under way; interim ones (1xx) too. */
  begin(at: number): void;
  /** Bytes of its status line and header section. */
  head(bytes: Uint8Array, from: number, to: number): void;
  /** Bytes of its body, without the transfer coding. */
  body(bytes: Uint8Array, from: number, to: number): void;
}

/** The response framer's events. */
export interface ResponseSink {
  /** A response's status line was read; 1xx ones too. */
  status(code: number): void;
  /** The final response (not 1xx) was read to its end. `persistent`: the connection can carry another. */
  complete(persistent: boolean): void;
  /** 101, or 2xx to CONNECT: from here on both sides speak another protocol. */
  upgraded(): void;
  /**
   * The status line of a response without a request was read: often a 408 before the endpoint closes an idle
   * connection. The bytes behind it are skipped.
   */
  unsolicited(code: number): void;
  /** The bytes are no response of HTTP/1, or one without an end that can be known. */
  malformed(): void;
}
