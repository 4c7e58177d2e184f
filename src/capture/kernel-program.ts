/** Programs of classic BPF, in the form that the kernel takes. https://docs.kernel.org/networking/filter.html */
import { ptr } from "bun:ffi";
import { endianness } from "node:os";
import { loadLibc } from "./ffi.ts";

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
/** struct sock_fprog: count (2), padding (6), pointer (8); libpcap's struct bpf_program has the same layout. */
const HEADER_BYTES = 16;
/** struct sock_filter: code (2), jt (1), jf (1), k (4). */
const INSTRUCTION_BYTES = 8;
const BPF_RET_K = 0x06;

const littleEndian = endianness() === "LE";

/** Rejects every packet: one instruction, "return 0". */
const REJECT_ALL = rejectAll();

/**
 * A header that points the kernel, or libpcap, to a program of struct sock_filter. The caller keeps both alive until
 * the call is over.
 */
export function programHeader(program: Uint8Array): Uint8Array {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  header.setUint16(0, program.length / INSTRUCTION_BYTES, littleEndian);
  header.setBigUint64(8, BigInt(ptr(program)), littleEndian);
  return new Uint8Array(header.buffer);
}

/** Makes a socket reject every packet from now on; packets that wait in it stay. False: the kernel declines. */
export function rejectAllPackets(fd: number): boolean {
  const header = programHeader(REJECT_ALL);
  return loadLibc().setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, ptr(header), header.length) === 0;
}

function rejectAll(): Uint8Array {
  const instruction = new DataView(new ArrayBuffer(INSTRUCTION_BYTES));
  instruction.setUint16(0, BPF_RET_K, littleEndian);
  return new Uint8Array(instruction.buffer);
}
