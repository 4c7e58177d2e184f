/** How far a part of a message was read: what `feed` leaves in `outcome`. */

/** More bytes are needed. */
export const MORE = 0;
/** It was read to its end; `feed` returned the offset behind it. */
export const DONE = 1;
/** RFC 9112 does not allow it. */
export const MALFORMED = 2;
/** It is longer than the limit. */
export const TOO_LONG = 3;
