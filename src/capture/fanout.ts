/**
 * PACKET_FANOUT: several capture handles share an interface. A program decides which handle gets a frame, so that all
 * frames of a flow reach the same one. https://man7.org/linux/man-pages/man7/packet.7.html
 */
import { ptr } from "bun:ffi";
import { loadLibc } from "./ffi.ts";
import { programHeader } from "./kernel-program.ts";

const SOL_PACKET = 263;
const PACKET_FANOUT = 18;
const PACKET_FANOUT_DATA = 22;
const TYPE_CBPF = 6;
/** The kernel chooses an id that no other group has: two instances on one host never share one by accident. */
const FLAG_UNIQUE_ID = 0x2000;
const ID_MASK = 0xffff;

/** Makes a group with `fd` as its first member. Returns its id; undefined: the kernel refuses. */
export function createFanout(fd: number, program: Uint8Array): number | undefined {
  const libc = loadLibc();
  if (!join(fd, 0, FLAG_UNIQUE_ID)) return undefined;
  const value = new Int32Array(1);
  const size = new Uint32Array([value.byteLength]);
  if (libc.getsockopt(fd, SOL_PACKET, PACKET_FANOUT, ptr(value), ptr(size)) !== 0) return undefined;
  const header = programHeader(program);
  if (libc.setsockopt(fd, SOL_PACKET, PACKET_FANOUT_DATA, ptr(header), header.length) !== 0) return undefined;
  return value[0]! & ID_MASK;
}

/** Makes `fd` a member of the group. False: the kernel refuses. */
export function joinFanout(fd: number, id: number): boolean {
  return join(fd, id, 0);
}

function join(fd: number, id: number, flags: number): boolean {
  const value = new Int32Array([id | ((TYPE_CBPF | flags) << 16)]);
  return loadLibc().setsockopt(fd, SOL_PACKET, PACKET_FANOUT, ptr(value), value.byteLength) === 0;
}
