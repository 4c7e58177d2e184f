/** Counts mirror frames that are not for us, by their VNI or port, so that a wrong VNI or port can be named. */

/**
 * The most VNIs, or ports, with a count of their own; frames of further ones are only counted under their drop reason.
 */
export const STRANGERS_MAX = 16;

/** The VNIs and ports of frames that are not for us, with their counts. */
export class Strangers {
  /** Frames of other VNIs, by VNI. */
  readonly vnis = new Map<number, number>();
  /** Segments of our VNI neither to nor from our port, by the lower of their two ports: as a rule, the service's. */
  readonly ports = new Map<number, number>();

  /** A copy of the counts as they are now. */
  copy(): Strangers {
    const copy = new Strangers();
    for (const [vni, frames] of this.vnis) copy.vnis.set(vni, frames);
    for (const [port, segments] of this.ports) copy.ports.set(port, segments);
    return copy;
  }

  countVni(vni: number): void {
    count(this.vnis, vni);
  }

  countPort(port: number): void {
    count(this.ports, port);
  }
}

function count(counts: Map<number, number>, key: number): void {
  const known = counts.get(key);
  if (known !== undefined) counts.set(key, known + 1);
  else if (counts.size < STRANGERS_MAX) counts.set(key, 1);
}
