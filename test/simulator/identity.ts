/** The identity of a flow, as segment.ts describes it. */
import { address } from "../support/frames.ts";

export interface Addresses {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
}

/** The flow's identity as the program must see it: addresses in 16 bytes, ports (segment.ts). */
export function identityOf({ source, destination, sourcePort }: Addresses, port: number): string {
  const mapped = (text: string) => {
    const bytes = address(text);
    return bytes.length === 16 ? bytes : [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes];
  };
  const words = new DataView(
    new Uint8Array([
      ...mapped(source),
      ...mapped(destination),
      sourcePort >> 8,
      sourcePort & 0xff,
      port >> 8,
      port & 0xff,
    ]).buffer,
  );
  return Array.from({ length: 9 }, (_, i) => words.getInt32(i * 4)).join();
}
