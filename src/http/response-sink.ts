/** What the response framer tells. */
export interface ResponseSink {
  /** A response's status line was read; 1xx ones too. */
  status(code: number): void;
  /** The final response (not 1xx) was read to its end. `persistent`: the connection can carry another. */
  complete(persistent: boolean): void;
  /** 101, or 2xx to CONNECT: from here on both sides speak another protocol. */
  upgraded(): void;
  /**
   * The status line of a response that nobody asked for was read: often a 408 before the endpoint closes an idle
   * connection. What comes behind it is passed over.
   */
  unsolicited(code: number): void;
  /** The bytes are no response of HTTP/1, or one of which nobody could tell the end. */
  malformed(): void;
}
