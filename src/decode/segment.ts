/** Words in a connection's identity: client's address (4), server's address (4), both ports (1), VNI (1). */
export const IDENTITY_WORDS = 10;
/** The index of the server's address in an identity. */
export const IDENTITY_DESTINATION = 4;
/** The index of the ports in an identity. */
export const IDENTITY_PORTS = 8;
/** The index of the VNI in an identity; GRE keys from 2^31 on are negative there. */
export const IDENTITY_VNI = 9;

/**
 * A mirrored TCP segment to our port (or from it, if asked for), as {@link Decoder} found it. One object serves all
 * frames: a caller that keeps a part of it copies that before the next frame is decoded.
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
  /** True: the server's segment, from our port. False: the client's. */
  isFromServer = false;
  /** {@link TcpFlag} bits. */
  flags = 0;
  /**
   * The connection's inner addresses and ports, the client's first, and its VNI, the same for both directions.
   * An IPv4 address takes the form ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
   */
  readonly identity = new Int32Array(IDENTITY_WORDS);
  /** When the frame was captured, in milliseconds since 1970. */
  timestampMs = 0;
}
