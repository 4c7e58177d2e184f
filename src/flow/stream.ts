/** The consumers of a connection's bytes. */

/** How a stream ended; "flushed": the capture ended or the program was stopped. */
export type StreamEnd = "fin" | "reset" | "idle" | "replaced" | "evicted" | "flushed";

/** Takes the bytes of one direction, in order. Calls never come back into the flow. */
export interface ByteConsumer {
  /**
   * The next bytes. They stay valid until the end of the batch; a consumer that needs them longer copies them.
   * `timestampMs` is the capture time of the frame that brought them.
   */
  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void;
  /** The next `length` bytes were never seen, and never will be. */
  gap(length: number): void;
  /** No call follows this one. */
  end(how: StreamEnd): void;
}

/** Takes the server's side. */
export interface ResponseConsumer extends ByteConsumer {
  /** Called first. False: the beginning was not seen, and the first bytes may be from its middle. */
  begin(isFromStart: boolean): void;
}

/** Takes the client's side of one incarnation of a connection. */
export interface StreamConsumer extends ByteConsumer {
  /**
   * The connection has been silent for --idle-timeout-s. True: it may be ended. False: it stays, and is asked again
   * when it has been silent for as long again. If the source waits, the connection stays in any case.
   */
  idle(): boolean;
  /** Asked once it is evicted: whether it knows more than the consumer of a stream that is joined in its middle. */
  readonly mayGoOn?: boolean;
  /**
   * Takes the server's side, if that is reassembled (FlowTableOptions.reassemblesServer). It may end later than the
   * client's side, and gets no calls if the server has sent nothing.
   */
  readonly response?: ResponseConsumer | null;
}

/** Sequence numbers of both sides, for consumers that pair the two; signed 32-bit integers. */
export interface StreamNumbers {
  /** The sequence number of the client's first byte. */
  readonly clientStart: number;
  /** One past the client's last byte that was delivered or given up. */
  readonly clientNext: number;
  /** The client's acknowledgment number with the bytes that are being delivered; null: there was none. */
  readonly clientAcknowledged: number | null;
  /** One past the server's last byte that was delivered or given up. */
  readonly serverNext: number;
  /** The server's acknowledgment number with the bytes that are being delivered; null: there was none. */
  readonly serverAcknowledged: number | null;
}

/** An evicted stream that goes on. */
export interface Continued {
  /** The consumer of its earlier bytes. */
  readonly consumer: StreamConsumer;
  /** How many bytes behind those were not seen. */
  readonly missing: number;
}

/** The incarnation, as seen by its consumer. */
export interface StreamOrigin {
  /** The numbers of both sides, if both are reassembled. */
  readonly numbers?: StreamNumbers;
  /** Addresses, ports and VNI, as {@link Segment.identity} has them. */
  readonly identity: Int32Array;
  /** The SYN was seen, so the first byte is the connection's first one. */
  readonly hasSyn: boolean;
  /** The evicted stream that its first bytes continue; null: they continue no remembered stream. */
  readonly continued?: Continued | null;
}

/** Makes the consumers of incarnations. */
export interface StreamOpener {
  open(origin: StreamOrigin): StreamConsumer;
}
