/**
 * An assembler for classic BPF, the kernel's language of socket filters.
 * https://docs.kernel.org/networking/filter.html, linux/filter.h
 *
 * A program has two registers, A and X, both 0 at its start, and 16 words of memory, M[]. Jumps only go forward. A load
 * outside the packet ends the program with 0, as `ret #0` would.
 */
import { endianness } from "node:os";

/** struct sock_filter: code (2), jt (1), jf (1), k (4), in the host's byte order. */
export const INSTRUCTION_BYTES = 8;
/** The most instructions of a program: BPF_MAXINSNS. */
export const INSTRUCTIONS_MAX = 4096;
/** The words of memory: BPF_MEMWORDS. */
export const MEMORY_WORDS = 16;
/** The longest conditional jump: jt and jf are one byte each. */
const JUMP_MAX = 0xff;

const LD = 0x00;
const LDX = 0x01;
const ST = 0x02;
const STX = 0x03;
const ALU = 0x04;
const JMP = 0x05;
const RET = 0x06;
const MISC = 0x07;
const IMMEDIATE = 0x00;
const ABSOLUTE = 0x20;
const INDEXED = 0x40;
const MEMORY = 0x60;
const LENGTH = 0x80;
const BY_X = 0x08;
const BY_A = 0x10;
const TAX = 0x00;
const TXA = 0x80;
const ALWAYS = 0x00;

const SIZES = { word: 0x00, half: 0x08, byte: 0x10 } as const;
const OPERATIONS = { add: 0x00, sub: 0x10, mul: 0x20, and: 0x50, lsh: 0x60, rsh: 0x70, xor: 0xa0 } as const;
const CONDITIONS = { equal: 0x10, above: 0x20, atLeast: 0x30, anyBit: 0x40 } as const;

export type Size = keyof typeof SIZES;
export type Operation = keyof typeof OPERATIONS;
/** A test of A: equal to a value, above it, at least it, or any of its bits set. */
export type Condition = keyof typeof CONDITIONS;

/** Loads from SKF_AD_OFF on give the kernel's facts about a packet that are not in its bytes. */
export const SKF_AD_OFF = -0x1000;
export const SKF_AD_PROTOCOL = SKF_AD_OFF + 0;
export const SKF_AD_PKTTYPE = SKF_AD_OFF + 4;
export const SKF_AD_VLAN_TAG_PRESENT = SKF_AD_OFF + 48;
/** Loads from SKF_NET_OFF on count from the network header. */
export const SKF_NET_OFF = -0x100000;

/** A place to jump to; it belongs to the assembler that made it. */
export type Label = number;

interface Instruction {
  code: number;
  k: number;
  /** The labels to go to if the condition holds (or always), and if not; undefined: the next instruction. */
  whenTrue: Label | undefined;
  whenFalse: Label | undefined;
}

/** Instructions in order, with labels among them. A program that cannot be encoded is our bug, and throws. */
export class Assembler {
  private readonly instructions: Instruction[] = [];
  /** By label: the index of the instruction behind it. */
  private readonly places: (number | undefined)[] = [];

  label(): Label {
    return this.places.push(undefined) - 1;
  }

  /** Puts the label before the next instruction. */
  place(label: Label): void {
    if (this.places[label] !== undefined) throw new Error("a label has two places");
    this.places[label] = this.instructions.length;
  }

  /** A = the packet's bytes at k. */
  load(size: Size, k: number): void {
    this.push(LD | ABSOLUTE | SIZES[size], k);
  }

  /** A = the packet's bytes at X + k. */
  loadIndexed(size: Size, k: number): void {
    this.push(LD | INDEXED | SIZES[size], k);
  }

  /** A = the packet's length, as the kernel counts it: from where the socket's data begins. */
  loadLength(): void {
    this.push(LD | LENGTH, 0);
  }

  loadValue(value: number): void {
    this.push(LD | IMMEDIATE, value);
  }

  loadMemory(word: number): void {
    this.push(LD | MEMORY, word);
  }

  loadXMemory(word: number): void {
    this.push(LDX | MEMORY, word);
  }

  loadXValue(value: number): void {
    this.push(LDX | IMMEDIATE, value);
  }

  store(word: number): void {
    this.push(ST, word);
  }

  storeX(word: number): void {
    this.push(STX, word);
  }

  /** A = A operation value, modulo 2^32. */
  compute(operation: Operation, value: number): void {
    this.push(ALU | OPERATIONS[operation], value);
  }

  /** A = A operation X. */
  computeX(operation: Operation): void {
    this.push(ALU | OPERATIONS[operation] | BY_X, 0);
  }

  /** X = A. */
  setX(): void {
    this.push(MISC | TAX, 0);
  }

  /** A = X. */
  getX(): void {
    this.push(MISC | TXA, 0);
  }

  jump(to: Label): void {
    this.push(JMP | ALWAYS, 0, to);
  }

  /** Goes to a label by comparing A with a value; without a label, to the next instruction. */
  jumpIf(condition: Condition, value: number, whenTrue: Label | undefined, whenFalse?: Label): void {
    this.push(JMP | CONDITIONS[condition], value, whenTrue, whenFalse);
  }

  /** Goes to a label by comparing A with X; without a label, to the next instruction. */
  jumpIfX(condition: Condition, whenTrue: Label | undefined, whenFalse?: Label): void {
    this.push(JMP | CONDITIONS[condition] | BY_X, 0, whenTrue, whenFalse);
  }

  /** Ends the program with a value. */
  finish(value: number): void {
    this.push(RET, value);
  }

  /** Ends the program with A. */
  finishWithA(): void {
    this.push(RET | BY_A, 0);
  }

  /** The program: an array of struct sock_filter. */
  encode(): Uint8Array<ArrayBuffer> {
    const starts = this.layOut();
    const count = starts.at(-1)!;
    if (count > INSTRUCTIONS_MAX) throw new Error(`a filter of ${count} instructions, more than the kernel takes`);
    const view = new DataView(new ArrayBuffer(count * INSTRUCTION_BYTES));
    const littleEndian = endianness() === "LE";
    const write = (at: number, code: number, jt: number, jf: number, k: number) => {
      view.setUint16(at * INSTRUCTION_BYTES, code, littleEndian);
      view.setUint8(at * INSTRUCTION_BYTES + 2, jt);
      view.setUint8(at * INSTRUCTION_BYTES + 3, jf);
      view.setUint32(at * INSTRUCTION_BYTES + 4, k, littleEndian);
    };

    this.instructions.forEach(({ code, k, whenTrue, whenFalse }, i) => {
      const start = starts[i]!;
      if (code === (JMP | ALWAYS)) return write(start, code, 0, 0, this.target(whenTrue, i, starts) - start - 1);
      // A jump that is too far for a byte goes through a `ja` of its own right behind.
      let behind = start + 1;
      const trampolines: number[] = [];
      const distance = (label: Label | undefined): number => {
        const target = this.target(label, i, starts);
        if (target - start - 1 <= JUMP_MAX) return target - start - 1;
        trampolines.push(target);
        return behind++ - start - 1;
      };
      const jumps = (code & 0x07) === JMP;
      write(start, code, jumps ? distance(whenTrue) : 0, jumps ? distance(whenFalse) : 0, k);
      trampolines.forEach((target, n) => write(start + 1 + n, JMP | ALWAYS, 0, 0, target - (start + 1 + n) - 1));
    });
    return new Uint8Array(view.buffer);
  }

  private push(code: number, k: number, whenTrue?: Label, whenFalse?: Label): void {
    this.instructions.push({ code, k: k >>> 0, whenTrue, whenFalse });
  }

  /** The place of each instruction, and the program's end. */
  private layOut(): number[] {
    // All jumps are taken as short at first; each long one needs an instruction more, which may make another one long.
    const trampolines = this.instructions.map(() => 0);
    for (;;) {
      const starts = [0];
      for (const count of trampolines) starts.push(starts.at(-1)! + 1 + count);
      let changed = false;
      this.instructions.forEach(({ code, whenTrue, whenFalse }, i) => {
        if (code === (JMP | ALWAYS) || (code & 0x07) !== JMP) return;
        const isLong = (label: Label | undefined) =>
          label !== undefined && this.target(label, i, starts) - starts[i]! - 1 > JUMP_MAX;
        const count = Number(isLong(whenTrue)) + Number(isLong(whenFalse));
        if (count > trampolines[i]!) {
          trampolines[i] = count;
          changed = true;
        }
      });
      if (!changed) return starts;
    }
  }

  private target(label: Label | undefined, from: number, starts: number[]): number {
    const place = label === undefined ? from + 1 : this.places[label];
    if (place === undefined || place <= from || place >= this.instructions.length)
      throw new Error("a jump that leads nowhere, or back");
    return starts[place]!;
  }
}
