/**
 * A client's TCP connections as the mirror saw them, segment by segment. The layers are dressed at random
 * in all that may not matter: tags, options, padding, fragments, ECN, the server's packets between.
 */
import { ethernet, ip, mirrored, type Tcp, TCP, tcp, vxlanPacket } from "../support/frames.ts";
import type { Random } from "../support/random.ts";

export const VNI = 4242;
export const PORT = 8080;
const SERVER_V4 = "10.9.9.9";
const SERVER_V6 = "fd00::9";
/** Without padding; Ethernet's shortest frame without its check sequence. */
const FRAME_BYTES_MIN = 60;
const IDENTIFICATIONS_PER_CLIENT = 1000;

/** One packet of production. */
export interface Packet {
  /** The frames that carry it; none of it arrives if one of them is lost. */
  frames: Uint8Array[];
  /** Which of the client's bytes it carries; null: it is the server's, or forged. */
  bytes: { from: number; to: number } | null;
  isSyn: boolean;
  isFin: boolean;
}

export interface Extra {
  payload?: Uint8Array;
  /** The payload is not the client's bytes of this place. */
  isForged?: boolean;
}

/** How a connection's packets are dressed. */
interface Dress {
  vlans: number[];
  isV6: boolean;
  innerFragments: number;
  outerFragments: number;
  isPadded: boolean;
}

export class Client {
  readonly packets: Packet[] = [];
  private isn: number;
  private serverNext: number;
  /** The outer fragments of all clients have the same addresses: each client has identifications of its own. */
  private identification: number;
  private readonly identificationsEnd: number;
  private readonly dress: Dress;
  private readonly address: string;
  private readonly port: number;

  constructor(
    private readonly random: Random,
    index: number,
  ) {
    const sometimes = () => (random.chance(0.2) ? random.next() : 0);
    this.dress = {
      vlans: random.pick([[], [], [7], [100, 200]]),
      isV6: random.chance(0.3),
      innerFragments: sometimes(),
      outerFragments: sometimes(),
      isPadded: random.chance(0.5),
    };
    this.address = this.dress.isV6 ? `fd00::${(index + 16).toString(16)}` : `10.0.${index >> 8}.${index & 0xff}`;
    const port = random.int(1024, 65_535);
    // The server's packets are told by their ports.
    this.port = port === PORT ? port + 1 : port;
    this.isn = random.pick([0xffff_ffff, 0xffff_fff0, 0xffff_ff00, 0x7fff_ff00, 0, random.int(0, 0xffff_ffff)]);
    this.serverNext = random.int(0, 0xffff_ffff);
    this.identification = index * IDENTIFICATIONS_PER_CLIENT;
    this.identificationsEnd = this.identification + IDENTIFICATIONS_PER_CLIENT;
  }

  /** Another connection with the same addresses and ports begins; its ISN lies so far above the last one's. */
  again(isnDistance: number): void {
    this.isn = (this.isn + isnDistance) >>> 0;
    this.serverNext = (this.serverNext + 0x3000_0000) >>> 0;
  }

  /** Bytes of the client's; `at` is the first one's place in its stream, -1 the SYN's. */
  send(flags: string, at: number, { payload = new Uint8Array(0), isForged = false }: Extra = {}): void {
    const isSyn = flags.includes("S");
    const sequence = (this.isn + 1 + at) >>> 0;
    const { random } = this;
    const ecn = random.chance(0.1) ? random.pick(["E", "C", "EC"]) : "";
    const segment = { sourcePort: this.port, destinationPort: PORT, sequence, flags: flags + ecn, payload, options: this.options(), ...(flags.includes("A") && { acknowledgment: this.serverNext }) };
    const from = isSyn ? 0 : at;
    this.packets.push({
      frames: this.frames(this.address, this.server, segment),
      bytes: isForged ? null : { from, to: from + payload.length },
      isSyn: isSyn && !isForged,
      isFin: flags.includes("F") && !isForged,
    });
  }

  /** The server's packet. */
  answer(flags: string, length = 0): void {
    const segment = { sourcePort: PORT, destinationPort: this.port, sequence: this.serverNext, acknowledgment: this.isn, flags, payload: this.random.bytes(length) };
    this.packets.push({ frames: this.frames(this.server, this.address, segment), bytes: null, isSyn: false, isFin: false });
    this.serverNext = (this.serverNext + length + (/[SF]/.test(flags) ? 1 : 0)) >>> 0;
  }

  private get server(): string {
    return this.dress.isV6 ? SERVER_V6 : SERVER_V4;
  }

  /** No-operations, as many as there is room for or fewer. */
  private options(): Uint8Array {
    return new Uint8Array(this.random.chance(0.5) ? 4 * this.random.int(0, 10) : 0).fill(1);
  }

  private frames(source: string, destination: string, segment: Omit<Tcp, "source" | "destination">): Uint8Array[] {
    const { dress, random } = this;
    const whole = tcp({ source, destination, ...segment });
    const isFragmented = (probability: number) => this.identification < this.identificationsEnd && random.chance(probability);
    const packets = isFragmented(dress.innerFragments) ? this.fragments(whole, TCP, source, destination) : [ip(source, destination, TCP, whole)];
    return packets.flatMap((packet) => {
      const frame = ethernet(packet, dress.vlans);
      const padded = dress.isPadded && frame.length < FRAME_BYTES_MIN ? Uint8Array.from({ length: FRAME_BYTES_MIN }, (_, i) => frame[i] ?? 0) : frame;
      if (!isFragmented(dress.outerFragments)) return [mirrored(padded, { vni: VNI })];
      const outer = vxlanPacket(padded, { vni: VNI });
      return this.fragments(outer.subarray(20), 17, "172.31.0.238", "172.31.17.188").map((fragment) => ethernet(fragment));
    });
  }

  private fragments(payload: Uint8Array, protocol: number, source: string, destination: string): Uint8Array[] {
    const identification = this.identification++;
    const size = 8 * this.random.int(2, 40);
    const count = Math.ceil(payload.length / size);
    return Array.from({ length: count }, (_, i) =>
      ip(source, destination, protocol, payload.subarray(i * size, (i + 1) * size), { identification, fragmentOffset: i * size, moreFragments: i < count - 1 }),
    );
  }
}

