/**
 * The encapsulation of the mirror, and the frames that count as ours. Both src/decode and the kernel's programs
 * (src/filter) go by it.
 */
import { type Depths, DEPTHS } from "./cursor.ts";
import { UDP_PORT as GENEVE_PORT } from "./geneve.ts";
import { IP_PROTOCOL_GRE, IP_PROTOCOL_UDP } from "./ip.ts";

/**
 * vxlan: frames in VXLAN. geneve: frames, packets, or packets with VXLAN in them, in GENEVE. gre: frames or packets in
 * GRE, or ERSPAN in it. none: frames as they are.
 */
export const ENCAPSULATIONS = ["vxlan", "geneve", "gre", "none"] as const;
export type Encapsulation = (typeof ENCAPSULATIONS)[number];

/**
 * The carrier of each encapsulation in the outer packet: an IP protocol, and for UDP whether the port is
 * --vxlan-port's.
 */
export const CARRIERS = {
  vxlan: { protocol: IP_PROTOCOL_UDP, port: undefined },
  geneve: { protocol: IP_PROTOCOL_UDP, port: GENEVE_PORT },
  gre: { protocol: IP_PROTOCOL_GRE, port: undefined },
  none: null,
} as const satisfies Record<Encapsulation, { protocol: number; port: number | undefined } | null>;

/**
 * How many headers are read in a row. If the kernel's filter must follow three nested packets, it is fewer in each: old
 * kernels limit the filter's length.
 */
export function depthsOf(encapsulation: Encapsulation): Depths {
  return encapsulation === "geneve" ? { vlanTags: 4, extensionHeaders: 4, labels: 4 } : DEPTHS;
}

/** The most VNIs, or ports, that may be named: the kernel's filter compares with one after the other. */
export const LIST_MAX = 64;

/** Tells the frames that count as ours. */
export interface Mirror {
  /** Unset: vxlan. */
  readonly encapsulation?: Encapsulation;
  readonly vxlanPort: number;
  /** The mirror sessions' VNIs. Without an encapsulation frames have no VNI, and count as VNI 0. */
  readonly vnis: readonly number[] | "any";
  /** The mirrored connections' destination ports. */
  readonly ports: readonly number[];
}

/** The UDP port that the mirror is sent to; undefined: the encapsulation has no UDP. */
export function tunnelPort({ encapsulation = "vxlan", vxlanPort }: Mirror): number | undefined {
  const carrier = CARRIERS[encapsulation];
  return carrier?.protocol === IP_PROTOCOL_UDP ? (carrier.port ?? vxlanPort) : undefined;
}

/** A set of numbers, nearly always of one: then a look-up costs one comparison. */
export class Chosen {
  private readonly first: number;
  /** Null: there are no others. */
  private readonly others: ReadonlySet<number> | null;
  private readonly isAny: boolean;

  constructor(numbers: readonly number[] | "any") {
    this.isAny = numbers === "any";
    this.first = numbers === "any" ? -1 : numbers[0]!;
    this.others = numbers === "any" || numbers.length < 2 ? null : new Set(numbers);
  }

  has(number: number): boolean {
    return number === this.first || this.isAny || (this.others !== null && this.others.has(number));
  }
}
