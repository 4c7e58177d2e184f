/** The common part of IPv4 and IPv6: the result of reading a header, and the verdicts. */

export const IP_PROTOCOL_TCP = 6;
/** UDP's number. */
export const IP_PROTOCOL_UDP = 17;
/** GRE's number. */
export const IP_PROTOCOL_GRE = 47;

/** The longest datagram, without its header: what an offset of 13 bits and a length of 16 can say. */
export const DATAGRAM_BYTES_MAX = 0xffff;

/** The header was read; the cursor is behind it. */
export const IP_OK = 0;
/** The captured bytes end inside the header. */
export const IP_CUT = 1;
/** A field contradicts another. */
export const IP_MALFORMED = 2;

/** The last IP header that was read. One object serves all frames; offsets are those of the view. */
export class IpHeader {
  version = 0;
  sourceOffset = 0;
  destinationOffset = 0;
  /** Bytes that the header promises beyond those captured. */
  missingLength = 0;
  isFragment = false;
  /** The fragment's place in its datagram's payload, in bytes. */
  fragmentOffset = 0;
  moreFragments = false;
  identification = 0;
}
