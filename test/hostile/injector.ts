/**
 * Puts unchanged frames onto the loopback interface of this network namespace, through a packet socket, many with one
 * call. So the test can also mirror outer fragments, IPv6, and packets that no UDP socket would send.
 */
import { dlopen, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";

const AF_PACKET = 17;
const SOCK_RAW = 3;
/** struct sockaddr_ll */
const ADDRESS_BYTES = 20;
const ADDRESS_INTERFACE_OFFSET = 4;
/** struct iovec: the place, and the number of bytes. */
const IOVEC_WORDS = 2;
/**
 * struct mmsghdr, in words of 64 bits: name, its length, iovecs, their number, control, its length, flags; then the
 * bytes sent.
 */
const MESSAGE_WORDS = 8;
const MESSAGE_IOVECS_WORD = 2;
const MESSAGE_IOVEC_COUNT_WORD = 3;
const AT_ONCE = 64;
/** The longest frame: an attack may have a first segment of more than the usual MTU. */
const FRAME_BYTES_MAX = 8192;

const load = () =>
  dlopen("libc.so.6", {
    socket: { args: ["int", "int", "int"], returns: "int" },
    bind: { args: ["int", "ptr", "u32"], returns: "int" },
    sendmmsg: { args: ["int", "ptr", "u32", "int"], returns: "int" },
    close: { args: ["int"], returns: "int" },
  }).symbols;

export class Injector implements Disposable {
  private readonly libc = load();
  private readonly fd: number;
  private readonly slots = new Uint8Array(AT_ONCE * FRAME_BYTES_MAX);
  private readonly iovecs = new BigUint64Array(AT_ONCE * IOVEC_WORDS);
  private readonly messages = new BigUint64Array(AT_ONCE * MESSAGE_WORDS);
  private count = 0;

  constructor() {
    this.fd = this.libc.socket(AF_PACKET, SOCK_RAW, 0);
    const address = new DataView(new ArrayBuffer(ADDRESS_BYTES));
    address.setUint16(0, AF_PACKET, true);
    address.setInt32(ADDRESS_INTERFACE_OFFSET, Number(readFileSync("/sys/class/net/lo/ifindex", "utf8")), true);
    if (this.fd < 0 || this.libc.bind(this.fd, ptr(address), ADDRESS_BYTES) !== 0)
      throw new Error("Cannot open a packet socket on lo");
    for (let i = 0; i < AT_ONCE; i++) {
      this.iovecs[i * IOVEC_WORDS] = BigInt(ptr(this.slots)) + BigInt(i * FRAME_BYTES_MAX);
      this.messages[i * MESSAGE_WORDS + MESSAGE_IOVECS_WORD] = BigInt(ptr(this.iovecs)) + BigInt(i * IOVEC_WORDS * 8);
      this.messages[i * MESSAGE_WORDS + MESSAGE_IOVEC_COUNT_WORD] = 1n;
    }
  }

  /** Takes a frame; the caller may change it afterwards. */
  add(frame: Uint8Array): void {
    this.slots.set(frame, this.count * FRAME_BYTES_MAX);
    this.iovecs[this.count * IOVEC_WORDS + 1] = BigInt(frame.length);
    if (++this.count === AT_ONCE) this.flush();
  }

  /** Sends the taken frames. */
  flush(): void {
    for (let done = 0; done < this.count;) {
      const at = BigInt(ptr(this.messages)) + BigInt(done * MESSAGE_WORDS * 8);
      // If the kernel does not take a frame now (ENOBUFS), it takes it a moment later.
      done += Math.max(this.libc.sendmmsg(this.fd, Number(at) as never, this.count - done, 0), 0);
    }
    this.count = 0;
  }

  [Symbol.dispose](): void {
    this.libc.close(this.fd);
  }
}
