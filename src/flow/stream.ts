/** What a flow hands its bytes to. */

/** How a stream ended; "flushed": the capture ended or the program was stopped. */
export type StreamEnd = "fin" | "reset" | "idle" | "replaced" | "evicted" | "flushed";

/** Takes the client's side of one flow, in order. Calls never come back into the flow. */
export interface StreamConsumer {
  /**
   * The next bytes. They stay valid until the end of the batch; who needs them longer copies them.
   * `timestampMs` is the capture time of the frame that brought them.
   */
  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void;
  /** The next `length` bytes were never seen, and never will be. */
  gap(length: number): void;
  /**
   * The connection has been silent for --idle-timeout-s. True: it may be ended. False: it stays, and is asked again
   * when it has been silent for as long again. Where the source waits, it stays whatever is said.
   */
  idle(): boolean;
  /** Nothing comes after this. */
  end(how: StreamEnd): void;
}

/** The flow as its consumer may know it. */
export interface StreamOrigin {
  /** Addresses and ports, as {@link Segment.identity} has them. */
  readonly identity: Int32Array;
  /** The SYN was seen, so that the first byte is the connection's first. */
  readonly hasSyn: boolean;
}

export interface StreamOpener {
  open(origin: StreamOrigin): StreamConsumer;
}
