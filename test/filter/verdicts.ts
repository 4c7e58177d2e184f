/** The verdict of decode about a frame, and the verdicts of the programs of src/filter for each form of the frame. */
import { Decoder } from "../../src/decode/decoder.ts";
import { Drop, DROP_REASONS, SEGMENT } from "../../src/decode/drop-reason.ts";
import { LinkType } from "../../src/decode/link.ts";
import { mirrorFilter, rejectedFilter } from "../../src/filter/mirror-filter.ts";
import type { Mirror } from "../../src/decode/tunnel.ts";
import { Counters } from "../../src/observe/counters.ts";
import { fixedForCooked, Machine, type Packet } from "./machine.ts";

export type Ours = Mirror & { readonly takesServer?: boolean };

const COOKED: Record<number, { headerLen: number; protocolOffset: number }> = {
  [LinkType.LINUX_SLL]: { headerLen: 16, protocolOffset: 14 },
  [LinkType.LINUX_SLL2]: { headerLen: 20, protocolOffset: 0 },
};
/** The tags that the kernel takes out of a received frame. */
const STRIPPED_TPIDS = [0x8100, 0x88a8];
/** Outcomes inside the tunnel or behind it: packets of the mirror that are not ours. */
const REFUSED_OUTCOMES: readonly number[] = [
  Drop.NOT_VXLAN,
  Drop.NOT_GENEVE,
  Drop.NOT_GRE,
  Drop.OTHER_VNI,
  Drop.INNER_NOT_IP,
  Drop.NOT_TCP,
  Drop.OTHER_PORT,
  Drop.FROM_SERVER,
  Drop.MALFORMED_INNER,
  Drop.TRUNCATED,
];

/** The outcome of a new decoder. */
export function outcomeOf(ours: Ours, frame: Uint8Array, linkType: number): number {
  const copy = frame.slice();
  return new Decoder(ours, new Counters()).decode(copy, new DataView(copy.buffer), 0, copy.length, linkType, 0);
}

export function nameOf(outcome: number): string {
  return outcome === SEGMENT ? "segment" : DROP_REASONS[outcome]!;
}

export function isOurs(outcome: number): boolean {
  return outcome === SEGMENT || outcome === Drop.FRAGMENT;
}

/** The filters of one link type, in the kernel and in libpcap, against decode. */
export class Verdicts {
  private readonly mirror: Machine;
  private readonly refused: Machine;
  /** The program as libpcap hands it to the kernel. */
  private readonly kernelMirror: Machine;
  private readonly kernelRefused: Machine;

  constructor(
    readonly ours: Ours,
    readonly linkType: number,
  ) {
    const [mirror, refused] = [mirrorFilter({ ...ours, linkType }), rejectedFilter({ ...ours, linkType })];
    const cooked = COOKED[linkType];
    const fixed = (program: Uint8Array) =>
      cooked === undefined ? program : fixedForCooked(program, cooked.headerLen, cooked.protocolOffset);
    this.mirror = new Machine(mirror);
    this.refused = new Machine(refused);
    this.kernelMirror = new Machine(fixed(mirror));
    this.kernelRefused = new Machine(fixed(refused));
  }

  /** Throws unless all forms of the frame get decode's verdict. Returns decode's outcome. */
  check(frame: Uint8Array): number {
    const outcome = outcomeOf(this.ours, frame, this.linkType);
    const cooked = COOKED[this.linkType];
    const expectMirror = isOurs(outcome);
    const expectRefused = REFUSED_OUTCOMES.includes(outcome);
    const verify = (form: string, machine: Machine, packet: Packet, expected: boolean) => {
      const value = machine.run(packet);
      const accepts = value !== 0;
      if (accepts !== expected)
        throw new Error(
          `${form} returns ${value}, but decode says ${nameOf(outcome)}; ${JSON.stringify(this.ours)}, link type ${this.linkType}: ${frame.toHex()}`,
        );
    };
    verify("the filter", this.mirror, { data: frame }, expectMirror);
    if (cooked === undefined) verify("the filter of the refused", this.refused, { data: frame }, expectRefused);
    for (const [form, packet] of kernelForms(frame, this.linkType)) {
      verify(`the filter, ${form},`, this.kernelMirror, packet, expectMirror);
      verify(`the filter of the refused, ${form},`, this.kernelRefused, packet, expectRefused);
    }
    return outcome;
  }
}

/** The forms in which the kernel can show a frame to a filter, if it can. */
export function kernelForms(frame: Uint8Array, linkType: number): [form: string, packet: Packet][] {
  const forms: [string, Packet][] = [];
  const u16 = (at: number) => frame[at]! * 256 + frame[at + 1]!;
  const without = (at: number) => Uint8Array.from([...frame.subarray(0, at), ...frame.subarray(at + 4)]);
  const cooked = COOKED[linkType];
  if (cooked !== undefined) {
    const { headerLen, protocolOffset } = cooked;
    if (frame.length < headerLen) return [];
    const protocol = u16(protocolOffset);
    forms.push(["in a cooked socket", { data: frame.slice(headerLen), protocol }]);
    // libpcap puts the tag back only on v1.
    if (linkType === LinkType.LINUX_SLL && STRIPPED_TPIDS.includes(protocol) && frame.length >= headerLen + 4) {
      forms.push([
        "in a cooked socket, its tag stripped",
        { data: frame.slice(headerLen + 4), protocol: u16(headerLen + 2), hasTag: true },
      ]);
    }
  } else if (linkType === LinkType.ETHERNET) {
    forms.push(["in the kernel", { data: frame, protocol: frame.length < 14 ? 0 : u16(12) }]);
    if (frame.length >= 18 && STRIPPED_TPIDS.includes(u16(12)))
      forms.push(["its tag stripped", { data: without(12), protocol: u16(16), hasTag: true }]);
  } else {
    forms.push(["in the kernel", { data: frame }]);
  }
  return forms;
}
