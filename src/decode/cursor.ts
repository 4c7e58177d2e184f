/**
 * Where decoding stands in a frame: each layer reads the header at `offset`, and moves the cursor
 * on to the next one. One cursor serves all frames.
 */
export class Cursor {
  /** The next header's place in the view. */
  offset = 0;
  /** One past the last byte that was captured of it and belongs to it. */
  end = 0;
  /** What the next header is: an EtherType after the link layer, an IP protocol number after IP. */
  protocol = 0;
}
