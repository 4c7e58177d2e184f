/**
 * TCP's checksum (RFC 9293, section 3.1). Mirrored packets often carry none that holds: production's interface computes
 * it later, or the mirror cut the packet. It decides only where nothing else can: whether a packet was put together
 * from fragments of one datagram.
 */
import { IP_PROTOCOL_TCP } from "./ip.ts";

/** So many right checksums must come for each wrong one. */
const RIGHT_PER_WRONG_MIN = 8;

/** Whether the checksum of the TCP segment from `offset` to `end` holds. `addresses`: where both addresses stand. */
export function tcpChecksumHolds(
  view: DataView,
  addresses: number,
  version: number,
  offset: number,
  end: number,
): boolean {
  const addressesLength = version === 4 ? 8 : 32;
  let sum = IP_PROTOCOL_TCP + end - offset;
  for (let at = addresses; at < addresses + addressesLength; at += 2) sum += view.getUint16(at);
  let at = offset;
  for (; at + 1 < end; at += 2) sum += view.getUint16(at);
  if (at < end) sum += view.getUint8(at) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum === 0xffff;
}

/** The checksums that were seen, right and wrong: of one direction, and one kind of packet. */
export class ChecksumTally {
  private right = 0;
  private wrong = 0;

  note(holds: boolean): void {
    if (holds) this.right++;
    else this.wrong++;
  }

  get areUsuallyRight(): boolean {
    return this.right > 0 && this.right >= this.wrong * RIGHT_PER_WRONG_MIN;
  }
}
