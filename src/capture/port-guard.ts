/**
 * Keeps the kernel from answering each mirror packet with ICMP port unreachable: a UDP socket on the VXLAN port, with a
 * filter that rejects every datagram before it is queued. If another socket has the port (a vxlan device, another
 * instance), none is needed.
 */
import { ptr } from "bun:ffi";
import { endianness } from "node:os";
import { loadLibc } from "./ffi.ts";
import { rejectAllPackets } from "./kernel-program.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEPORT = 15;

/** The length of sockaddr_in and of sockaddr_in6. */
const ADDRESS_BYTES = { [AF_INET]: 16, [AF_INET6]: 28 };

/** Guards the port until the process ends. Returns whether a socket was bound. */
export function guardPort(port: number): boolean {
  // An IPv6 socket takes IPv4 as well; hosts without IPv6 need an IPv4 socket.
  return bindRejecting(AF_INET6, port) || bindRejecting(AF_INET, port);
}

function bindRejecting(family: typeof AF_INET | typeof AF_INET6, port: number): boolean {
  const libc = loadLibc();
  const littleEndian = endianness() === "LE";
  const fd = libc.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;

  const one = new Int32Array([1]);
  const address = new DataView(new ArrayBuffer(ADDRESS_BYTES[family]));
  address.setUint16(0, family, littleEndian);
  address.setUint16(2, port, false);

  // Several instances on one host share the port, so that the others still have it when one ends.
  const bound =
    rejectAllPackets(fd) &&
    libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, ptr(one), one.byteLength) === 0 &&
    libc.bind(fd, ptr(address), address.byteLength) === 0;
  if (!bound) libc.close(fd);
  return bound;
}
