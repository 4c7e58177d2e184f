/**
 * How many headers of a kind are read in a row. Networks nest only a few; the kernel's filter (src/filter) has no loops
 * and must follow all of them.
 */
export interface Depths {
  /** VLAN tags before one IP header. A tag behind the last one is not IP. */
  readonly vlanTags: number;
  /** IPv6 extension headers: RFC 8200 knows six, each once (destination options twice). More are malformed. */
  readonly extensionHeaders: number;
  /** MPLS labels: networks stack about five. A label behind the last one is not IP. */
  readonly labels: number;
}

export const DEPTHS: Depths = { vlanTags: 8, extensionHeaders: 8, labels: 8 };

/**
 * The place of decoding in a frame: each layer reads the header at `offset`, and moves the cursor on to the next one.
 * One cursor serves all frames.
 */
export class Cursor {
  /** How many tags, extension headers and labels are read in a row. */
  constructor(readonly depths: Depths = DEPTHS) {}

  /** The next header's place in the view. */
  offset = 0;
  /** One past the last captured byte that belongs to the header and its payload. */
  end = 0;
  /** The kind of the next header: an EtherType after the link layer, an IP protocol number after IP. */
  protocol = 0;
}
