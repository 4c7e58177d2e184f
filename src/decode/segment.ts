/** Words in a flow's identity: source address (4), destination address (4), both ports (1). */
export const IDENTITY_WORDS = 9;
export const IDENTITY_DESTINATION = 4;
export const IDENTITY_PORTS = 8;

/**
 * A mirrored TCP segment on its way to our port, as {@link Decoder} found it. One object serves all
 * frames: who keeps anything of it copies it before the next frame is decoded.
 */
export class Segment {
  /** The buffer in which the payload lies. Its bytes stay as they are until the batch ends. */
  bytes: Uint8Array = new Uint8Array(0);
  payloadOffset = 0;
  /** Captured payload bytes. */
  payloadLength = 0;
  /** Payload bytes behind the captured ones that the mirror cut off. */
  missingLength = 0;
  /** Sequence number of the first byte (or the SYN), as a signed 32-bit integer. */
  sequence = 0;
  /** Acknowledgment number; means nothing without the ACK flag. */
  acknowledgment = 0;
  /** {@link TcpFlag} bits. */
  flags = 0;
  /**
   * The flow's inner addresses and ports. An IPv4 address takes the form ::ffff:a.b.c.d
   * (RFC 4291, 2.5.5.2). The VNI is not in it: a program forwards one VNI.
   */
  readonly identity = new Int32Array(IDENTITY_WORDS);
  /** When the frame was captured, in milliseconds since 1970. */
  timestampMs = 0;
}
