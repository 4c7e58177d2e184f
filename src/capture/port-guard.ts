/**
 * Keeps the kernel from answering each mirror packet with ICMP port unreachable: a UDP socket on the
 * VXLAN port whose filter refuses every datagram before it is queued. Where something else has the
 * port (a vxlan device, another instance), nothing needs to be done.
 */
import { ptr } from "bun:ffi";
import { endianness } from "node:os";
import { loadLibc } from "./ffi.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEPORT = 15;
const SO_ATTACH_FILTER = 26;

/** struct sock_fprog: count (2), padding (6), pointer (8). */
const FILTER_PROGRAM_BYTES = 16;
/** struct sock_filter: code (2), jt (1), jf (1), k (4). */
const FILTER_INSTRUCTION_BYTES = 8;
const BPF_RET_K = 0x06;
/** sockaddr_in6, of which sockaddr_in is shorter. */
const ADDRESS_BYTES = { [AF_INET]: 16, [AF_INET6]: 28 };

/** Guards the port until the process ends. Returns whether a socket was bound. */
export function guardPort(port: number): boolean {
  // An IPv6 socket takes IPv4 as well; hosts without IPv6 need the other.
  return bindRefusing(AF_INET6, port) || bindRefusing(AF_INET, port);
}

function bindRefusing(family: typeof AF_INET | typeof AF_INET6, port: number): boolean {
  const libc = loadLibc();
  const littleEndian = endianness() === "LE";
  const fd = libc.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;

  const instruction = new DataView(new ArrayBuffer(FILTER_INSTRUCTION_BYTES));
  instruction.setUint16(0, BPF_RET_K, littleEndian);
  const program = new DataView(new ArrayBuffer(FILTER_PROGRAM_BYTES));
  program.setUint16(0, 1, littleEndian);
  program.setBigUint64(8, BigInt(ptr(instruction)), littleEndian);
  const one = new Int32Array([1]);
  const address = new DataView(new ArrayBuffer(ADDRESS_BYTES[family]));
  address.setUint16(0, family, littleEndian);
  address.setUint16(2, port, false);

  // Several instances on one host share the port, so that none is left without when another ends.
  const bound =
    libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, ptr(program), program.byteLength) === 0 &&
    libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, ptr(one), one.byteLength) === 0 &&
    libc.bind(fd, ptr(address), address.byteLength) === 0;
  if (!bound) libc.close(fd);
  return bound;
}
