/** Mirror frames that are not for us, by what they are for: so that a wrong VNI or port can be named. */

/** VNIs, or ports, that are told apart; frames of more are counted together. */
export const STRANGERS_MAX = 16;

export class Strangers {
  /** Frames of other VNIs, by VNI. */
  readonly vnis = new Map<number, number>();
  /**
   * Segments of our VNI to other ports than ours, and not from it, by the lower of their ports: the service's, as a
   * rule.
   */
  readonly ports = new Map<number, number>();

  /** As it is now. */
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
