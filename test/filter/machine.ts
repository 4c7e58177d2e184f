/**
 * Classic BPF as the kernel checks and runs it (net/core/filter.c: bpf_check_classic, bpf_convert_filter), and
 * libpcap's changes for cooked handles. Written from https://docs.kernel.org/networking/filter.html, independent of
 * src/filter/bpf.ts.
 */
const INSTRUCTION_BYTES = 8;
const INSTRUCTIONS_MAX = 4096;
const MEMORY_WORDS = 16;

const LD_WORD = 0x20;
const LD_HALF = 0x28;
const LD_BYTE = 0x30;
const INDEXED = 0x20;
const ADD = 0x04;
const BY_X = 0x08;

const AD_OFF = 0xfffff000;
const NET_OFF = 0xfff00000;
const LL_OFF = 0xffe00000;
const AD_PROTOCOL = AD_OFF;
const AD_PKTTYPE = AD_OFF + 4;
const AD_VLAN_TAG_PRESENT = AD_OFF + 48;

/** A frame as the kernel has it when a program runs. */
export interface Packet {
  /** The base of loads. */
  data: Uint8Array;
  /** The EtherType. */
  protocol?: number;
  /** PACKET_OUTGOING is 4. */
  pktType?: number;
  /** The kernel has taken a tag out of the bytes. */
  hasTag?: boolean;
  /** The place of the network header in the data. */
  networkOffset?: number;
}

interface Instruction {
  code: number;
  jt: number;
  jf: number;
  k: number;
}

export function parse(program: Uint8Array): Instruction[] {
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  return Array.from({ length: program.length / INSTRUCTION_BYTES }, (_, i) => {
    const at = i * INSTRUCTION_BYTES;
    return {
      code: view.getUint16(at, little),
      jt: program[at + 2]!,
      jf: program[at + 3]!,
      k: view.getUint32(at + 4, little),
    };
  });
}

export function encode(instructions: Instruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(instructions.length * INSTRUCTION_BYTES));
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  instructions.forEach(({ code, jt, jf, k }, i) => {
    view.setUint16(i * INSTRUCTION_BYTES, code, little);
    view.setUint8(i * INSTRUCTION_BYTES + 2, jt);
    view.setUint8(i * INSTRUCTION_BYTES + 3, jf);
    view.setUint32(i * INSTRUCTION_BYTES + 4, k, little);
  });
  return new Uint8Array(view.buffer);
}

const ALU = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0].flatMap((operation) => [
  ADD | operation,
  ADD | operation | BY_X,
]);
const JUMPS = [0x10, 0x20, 0x30, 0x40].flatMap((condition) => [0x05 | condition, 0x05 | condition | BY_X]);
const PACKET_LOADS = [LD_WORD, LD_HALF, LD_BYTE];
const KNOWN = new Set([
  ...ALU,
  0x84,
  ...JUMPS,
  0x05,
  ...PACKET_LOADS,
  ...PACKET_LOADS.map((code) => code + INDEXED),
  ...[0x80, 0x81, 0xb1, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03, 0x06, 0x16, 0x07, 0x87],
]);

/** The kernel's reason to refuse a program (EINVAL); undefined: it accepts it. */
export function whyInvalid(program: Uint8Array): string | undefined {
  const instructions = parse(program);
  const count = instructions.length;
  if (count === 0 || count > INSTRUCTIONS_MAX) return `${count} instructions`;
  // For each instruction, the words of M[] that are stored on every path to it.
  const stored = new Array<number>(count + 1).fill(0xffff);
  let words = 0;
  for (let i = 0; i < count; i++) {
    const { code, jt, jf, k } = instructions[i]!;
    const at = `instruction ${i}, code ${code.toString(16)}`;
    words &= stored[i]!;
    if (!KNOWN.has(code)) return `${at}: unknown`;
    if ((code === 0x34 || code === 0x94) && k === 0) return `${at}: division by zero`;
    if ((code === 0x64 || code === 0x74) && k >= 32) return `${at}: shift by ${k}`;
    if ([0x60, 0x61, 0x02, 0x03].includes(code)) {
      if (k >= MEMORY_WORDS) return `${at}: M[${k}]`;
      if (code === 0x02 || code === 0x03) words |= 1 << k;
      else if ((words & (1 << k)) === 0) return `${at}: M[${k}] may not have been stored`;
    } else if (code === 0x05) {
      if (k >= count - i - 1) return `${at}: jumps outside`;
      stored[i + 1 + k]! &= words;
      words = 0xffff;
    } else if (JUMPS.includes(code)) {
      if (i + 1 + jt >= count || i + 1 + jf >= count) return `${at}: jumps outside`;
      stored[i + 1 + jt]! &= words;
      stored[i + 1 + jf]! &= words;
      words = 0xffff;
    } else if (
      PACKET_LOADS.includes(code) &&
      k >= AD_OFF &&
      ![AD_PROTOCOL, AD_PKTTYPE, AD_VLAN_TAG_PRESENT].includes(k)
    ) {
      return `${at}: an ancillary load that this machine does not know`;
    }
  }
  const last = instructions.at(-1)!.code;
  return last === 0x06 || last === 0x16 ? undefined : "does not end in a return";
}

/** A program, ready to run. */
export class Machine {
  /** Instructions that the last run took. */
  executed = 0;
  private readonly instructions: Instruction[];
  private readonly memory = new Uint32Array(MEMORY_WORDS);

  constructor(program: Uint8Array) {
    const why = whyInvalid(program);
    if (why !== undefined) throw new Error(`not a program: ${why}`);
    this.instructions = parse(program);
  }

  get length(): number {
    return this.instructions.length;
  }

  /** The program's result for a packet. */
  run(packet: Packet): number {
    const { instructions, memory } = this;
    let a = 0;
    let x = 0;
    this.executed = 0;
    for (let i = 0; ; i++) {
      const { code, jt, jf, k } = instructions[i]!;
      this.executed++;
      const source = (code & BY_X) === 0 ? k : x;
      switch (code & 0x07) {
        case 0x00:
        case 0x01: {
          let value: number;
          switch (code & 0xe0) {
            case 0x00:
              value = k;
              break;
            case 0x60:
              value = memory[k]!;
              break;
            case 0x80:
              value = packet.data.length;
              break;
            case 0xa0: {
              const first = load(packet, LD_BYTE, k);
              if (first < 0) return 0;
              value = (first & 0x0f) * 4;
              break;
            }
            default:
              value = load(packet, code & 0x18, (code & 0xe0) === 0x40 ? (x + k) >>> 0 : k);
              if (value < 0) return 0;
          }
          if ((code & 0x07) === 0x00) a = value;
          else x = value;
          break;
        }
        case 0x02:
          memory[k] = a;
          break;
        case 0x03:
          memory[k] = x;
          break;
        case 0x04: {
          const operation = code & 0xf0;
          // The kernel's programs return 0 there.
          if ((operation === 0x30 || operation === 0x90) && source === 0) return 0;
          a = compute(operation, a, source);
          break;
        }
        case 0x05:
          if (code === 0x05) i += k;
          else i += holds(code & 0xf0, a, source) ? jt : jf;
          break;
        case 0x06:
          return code === 0x16 ? a : k;
        default:
          if (code === 0x07) x = a;
          else a = x;
      }
    }
  }
}

/** -1: outside the packet. */
function load(packet: Packet, code: number, offset: number): number {
  const { data } = packet;
  if (offset === AD_PROTOCOL) return packet.protocol ?? 0;
  if (offset === AD_PKTTYPE) return packet.pktType ?? 0;
  if (offset === AD_VLAN_TAG_PRESENT) return packet.hasTag === true ? 1 : 0;
  const at =
    offset >= NET_OFF ? offset - NET_OFF + (packet.networkOffset ?? 0) : offset >= LL_OFF ? offset - LL_OFF : offset;
  const size = (code & 0x18) === 0x00 ? 4 : (code & 0x18) === 0x08 ? 2 : 1;
  if (at + size > data.length) return -1;
  if (size === 1) return data[at]!;
  const half = data[at]! * 256 + data[at + 1]!;
  return size === 2 ? half : half * 65_536 + data[at + 2]! * 256 + data[at + 3]!;
}

function compute(operation: number, a: number, b: number): number {
  switch (operation) {
    case 0x00:
      return (a + b) >>> 0;
    case 0x10:
      return (a - b) >>> 0;
    case 0x20:
      return Math.imul(a, b) >>> 0;
    case 0x30:
      return Math.floor(a / b);
    case 0x40:
      return (a | b) >>> 0;
    case 0x50:
      return (a & b) >>> 0;
    case 0x60:
      return (a << b) >>> 0;
    case 0x70:
      return a >>> b;
    case 0x80:
      return -a >>> 0;
    case 0x90:
      return a % b;
    default:
      return (a ^ b) >>> 0;
  }
}

function holds(condition: number, a: number, b: number): boolean {
  switch (condition) {
    case 0x10:
      return a === b;
    case 0x20:
      return a > b;
    case 0x30:
      return a >= b;
    default:
      return (a & b) !== 0;
  }
}

/**
 * The program that pcap_setfilter makes for a cooked handle, whose socket's data begins behind the link header
 * (libpcap's pcap-linux.c: fix_program, fix_offset). Throws if libpcap would run the program itself.
 */
export function fixedForCooked(program: Uint8Array, headerLen: number, protocolOffset: number): Uint8Array {
  return encode(
    parse(program).map((instruction) => {
      const { code, k } = instruction;
      const loadsPacket = (code & 0x07) <= 0x01 && [0x20, 0x40, 0xa0].includes(code & 0xe0);
      if (!loadsPacket || k >= AD_OFF) return instruction;
      if (k >= headerLen) return { ...instruction, k: k - headerLen };
      if (k === protocolOffset && (code & 0xe0) === 0x20) return { ...instruction, k: AD_PROTOCOL };
      throw new Error(`libpcap cannot put a load at ${k} into the kernel`);
    }),
  );
}
