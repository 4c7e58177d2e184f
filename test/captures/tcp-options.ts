/** TCP options as clients send them, and wrong ones (RFC 9293, section 3.2). */
import { bytes, u16, u32 } from "../support/frames.ts";
import type { Random } from "../support/random.ts";

const LENGTH_MAX = 40;
const END = 0;
const NO_OPERATION = 1;
const SEGMENT_SIZE = 2;
const WINDOW_SCALE = 3;
const SELECTIVE_PERMITTED = 4;
const SELECTIVE = 5;
const TIMESTAMPS = 8;
const MD5 = 19;
const FAST_OPEN = 34;

/** As many bytes as a header has room for, or fewer; a multiple of four. */
export function tcpOptions(random: Random): Uint8Array {
  const option = (kind: number, ...body: number[]) => bytes([kind, 2 + body.length], body);
  const number = () => u32(random.int(0, 0xffff_ffff));
  const makers = [
    () => bytes([NO_OPERATION]),
    () => bytes([END]),
    () => option(SEGMENT_SIZE, ...u16(1460)),
    () => option(WINDOW_SCALE, 7),
    () => option(SELECTIVE_PERMITTED),
    () => option(TIMESTAMPS, ...number(), ...number()),
    () => option(SELECTIVE, ...Array.from({ length: 2 * random.int(1, 4) }, number).flat()),
    () => option(MD5, ...random.bytes(16)),
    () => option(FAST_OPEN, ...random.bytes(8)),
    // Impossible lengths: shorter than the option's own two bytes, or beyond the header's end.
    () => bytes([random.int(2, 255), random.int(0, 1)]),
    () => bytes([random.int(2, 255), random.int(LENGTH_MAX, 255)]),
    () => random.bytes(random.int(1, LENGTH_MAX)),
  ];
  const options = bytes(...Array.from({ length: random.int(0, 5) }, () => random.pick(makers)()));
  return options.slice(0, Math.min(LENGTH_MAX, options.length - (options.length % 4)));
}
