/**
 * The reasons why a frame did not become a segment. Every frame ends as {@link SEGMENT} or under exactly one reason, so
 * that `frames.captured = frames.segments + Σ frames.dropped` (counters.ts).
 */

/** The frame holds a TCP segment of ours, described by {@link Segment}. */
export const SEGMENT = -1;

/** The reasons' names in counters, in the order of their numbers in {@link Drop}. */
export const DROP_REASONS = [
  "unsupported_link_type",
  "malformed_outer",
  "not_ip",
  "not_udp",
  "other_udp_port",
  "not_vxlan",
  "other_vni",
  "inner_not_ip",
  "not_tcp",
  "other_port",
  "from_server",
  "malformed_inner",
  "truncated",
  "fragment",
  "other_ip_protocol",
  "not_gre",
  "not_geneve",
  "own_connection",
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

export const Drop = {
  /** {@link Decoder} does not know the record's link type. */
  UNSUPPORTED_LINK_TYPE: 0,
  /** Link, IP or UDP header outside the tunnel's header: cut short, or lengths that contradict. */
  MALFORMED_OUTER: 1,
  /** Neither IPv4 nor IPv6 (ARP, LLDP, ...). */
  NOT_IP: 2,
  NOT_UDP: 3,
  /** UDP to another port than the mirror's. */
  OTHER_UDP_PORT: 4,
  /** No whole VXLAN header, or its I flag is not set. */
  NOT_VXLAN: 5,
  OTHER_VNI: 6,
  /** The mirrored frame is neither IPv4 nor IPv6. */
  INNER_NOT_IP: 7,
  /** Mirrored IP, but not TCP; in GENEVE, nor VXLAN. */
  NOT_TCP: 8,
  /** Mirrored TCP, neither to nor from our port. */
  OTHER_PORT: 9,
  /** Mirrored TCP from our port: the server's response. */
  FROM_SERVER: 10,
  /** A header of the mirrored frame contradicts itself. */
  MALFORMED_INNER: 11,
  /** The captured bytes end inside the mirrored frame's headers. */
  TRUNCATED: 12,
  /** An IP fragment that waits for the rest; the fragment that completes a datagram stands for all. */
  FRAGMENT: 13,
  /** With --encapsulation gre: IP that does not carry GRE. */
  OTHER_IP_PROTOCOL: 14,
  /** No GRE or ERSPAN headers, or headers that cannot be read here. */
  NOT_GRE: 15,
  /** No GENEVE header that can be read here, or a control packet. */
  NOT_GENEVE: 16,
  /** Plain frames of a connection that this program itself has made. */
  OWN_CONNECTION: 17,
} as const;
