/** The kind of world of a seed. Every knob is drawn only from the seed, so a seed is enough to repeat a failing run. */
import { LinkType } from "../../src/decode/link.ts";
import { Random } from "../support/random.ts";

/**
 * "exact": nothing is displaced beyond the limits, so the right outcome is known byte for byte. "limits": the limits
 * are small and are met all the time; then the outcome must be true, in its place and once, but the limits decide which
 * holes are given up. "memory": there is so little memory that holes and connections are given up for lack of it; then
 * only the rules that always hold are checked.
 */
export type Regime = "exact" | "limits" | "memory";

/**
 * The smallest distance of two connections with the same addresses and ports. "quiet": everything of the first has
 * arrived before the second begins. "late copies": arrived bytes of the first may arrive again during and after the
 * second. "overlapping": the second may overtake the last bytes of the first.
 */
export type Reuse = "none" | "quiet" | "late copies" | "overlapping";

const REGIMES: readonly Regime[] = ["exact", "exact", "exact", "exact", "limits", "memory"];
const REUSES: readonly Reuse[] = ["none", "none", "quiet", "late copies", "overlapping"];

export interface Scenario {
  readonly seed: number;
  readonly regime: Regime;
  readonly vni: number;
  readonly port: number;
  readonly vxlanPort: number;
  readonly linkType: number;
  /** Live: time also passes between frames. Otherwise as with --read: time comes only with frames. */
  readonly isLive: boolean;
  readonly connections: number;
  readonly streamBytesMax: number;
  readonly segmentBytesMax: number;
  readonly pauseMsMax: number;
  readonly reuse: Reuse;

  /** The client's behaviour, apart from sending its bytes once; for a segment. */
  readonly retransmit: number;
  readonly overlap: number;
  readonly probe: number;
  readonly forgedReset: number;
  readonly fastOpen: number;

  /** The mirror's behaviour, for a packet. */
  readonly drop: number;
  readonly repeat: number;
  /** The longest delay of a repeated packet. */
  readonly repeatMsMax: number;
  readonly delay: number;
  readonly delayMsMax: number;
  /** The probability that the SYN of a second connection with the same addresses and ports is as late as allowed. */
  readonly lateSyn: number;
  readonly truncate: number;
  readonly innerFragments: number;
  readonly outerFragments: number;
  /** Frames that are not ours, for each frame of ours. */
  readonly foreign: number;

  /** The endpoint's behaviour, for a connection. */
  readonly outage: number;
  readonly harm: number;
  readonly slow: number;

  /** The mirror also carries the servers' bytes, and one of the two programs reassembles them. */
  readonly hearsServer: boolean;
}

export function scenarioOf(seed: number): Scenario {
  const random = new Random(seed);
  const sometimes = (probability: number, value: () => number) => (random.chance(probability) ? value() : 0);
  const regime: Regime = random.pick(REGIMES);
  const size = random.int(1, 3);
  return {
    seed,
    regime,
    vni: random.pick([0, 1, 7, 0xffffff, random.int(0, 0xffffff)]),
    port: random.pick([80, 8080, 443, 65_535, 1]),
    vxlanPort: random.pick([4789, 4789, 8472]),
    linkType: random.pick([
      LinkType.ETHERNET,
      LinkType.ETHERNET,
      LinkType.ETHERNET,
      LinkType.RAW,
      LinkType.NULL,
      LinkType.LINUX_SLL,
      LinkType.LINUX_SLL2,
    ]),
    isLive: random.chance(0.6),
    connections: random.int(1, [3, 8, 25][size - 1]!),
    streamBytesMax: random.pick([10, 200, 3000, 20_000, 60_000]),
    segmentBytesMax: random.pick([1, 20, 536, 1460, 1460, 8900]),
    pauseMsMax: random.pick([0, 1, 5, 40]),
    // If holes are given up at once, late bytes of one connection would be taken for the next one's.
    reuse: random.pick(regime === "exact" ? REUSES : (["none", "quiet"] as const)),

    retransmit: sometimes(0.7, () => random.next() * 0.3),
    overlap: sometimes(0.4, () => random.next() * 0.4),
    probe: sometimes(0.3, () => random.next() * 0.2),
    forgedReset: sometimes(0.2, () => random.next() * 0.1),
    fastOpen: sometimes(0.3, () => random.next()),

    drop: sometimes(0.5, () => random.next() * 0.2),
    repeat: sometimes(0.6, () => random.next() * 0.4),
    repeatMsMax: random.pick([0, 1, 20, 300, 20_000]),
    delay: sometimes(0.7, () => random.next() * 0.6),
    delayMsMax: random.pick([1, 5, 50, 300]),
    truncate: sometimes(0.25, () => random.next() * 0.3),
    innerFragments: sometimes(0.25, () => random.next() * 0.4),
    outerFragments: sometimes(0.2, () => random.next() * 0.4),
    foreign: sometimes(0.4, () => random.next()),

    outage: sometimes(0.2, () => random.next()),
    harm: sometimes(0.25, () => random.next() * 0.6),
    slow: sometimes(0.6, () => random.next()),

    lateSyn: sometimes(0.7, () => random.next()),
    // If limits are met, hearing the server keeps its flow from being ended: the two programs would end different
    // connections.
    hearsServer: regime === "exact" && random.chance(0.4),
  };
}
