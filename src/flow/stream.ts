/** What a connection hands its bytes to. */

/** How a stream ended; "flushed": the capture ended or the program was stopped. */
export type StreamEnd = "fin" | "reset" | "idle" | "replaced" | "evicted" | "flushed";

/** Takes the bytes of one direction, in order. Calls never come back into the flow. */
export interface ByteConsumer {
  /**
   * The next bytes. They stay valid until the end of the batch; who needs them longer copies them.
   * `timestampMs` is the capture time of the frame that brought them.
   */
  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void;
  /** The next `length` bytes were never seen, and never will be. */
  gap(length: number): void;
  /** Nothing comes after this. */
  end(how: StreamEnd): void;
}

/** Takes the server's side. */
export interface ResponseConsumer extends ByteConsumer {
  /** Called first. False: where it began is not known, and what comes may be its middle. */
  begin(isFromStart: boolean): void;
}

/** Takes the client's side of one incarnation of a connection. */
export interface StreamConsumer extends ByteConsumer {
  /**
   * The connection has been silent for --idle-timeout-s. True: it may be ended. False: it stays, and is asked again
   * when it has been silent for as long again. Where the source waits, it stays whatever is said.
   */
  idle(): boolean;
  /**
   * Who takes the server's side, where that is reassembled (FlowTableOptions.reassemblesServer); it may end later, and
   * is told nothing where the server has said nothing.
   */
  readonly response?: ResponseConsumer | null;
}

/** Sequence numbers of both sides, for consumers that lay them beside each other; signed 32-bit integers. */
export interface StreamNumbers {
  /** Of the client's first byte. */
  readonly clientStart: number;
  /** One past the client's last byte that was delivered or given up. */
  readonly clientNext: number;
  /** What the client acknowledged of the server's side with the bytes that are being delivered; null: nothing. */
  readonly clientAcknowledged: number | null;
  /** One past the server's last byte that was delivered or given up. */
  readonly serverNext: number;
  /** What the server acknowledged of the client's side with the bytes that are being delivered; null: nothing. */
  readonly serverAcknowledged: number | null;
}

/** A stream that was evicted, and goes on. */
export interface Continued {
  /** Who took its bytes before. */
  readonly consumer: StreamConsumer;
  /** Of those that follow, so many were not seen. */
  readonly missing: number;
}

/** The incarnation as its consumer may know it. */
export interface StreamOrigin {
  /** Where both sides are reassembled. */
  readonly numbers?: StreamNumbers;
  /** Addresses, ports and VNI, as {@link Segment.identity} has them. */
  readonly identity: Int32Array;
  /** The SYN was seen, so that the first byte is the connection's first. */
  readonly hasSyn: boolean;
  /** Its first bytes are the next ones of a stream that was evicted; null: of none that is remembered. */
  readonly continued?: Continued | null;
}

export interface StreamOpener {
  open(origin: StreamOrigin): StreamConsumer;
}
