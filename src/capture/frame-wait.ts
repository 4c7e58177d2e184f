/**
 * Waits for frames and for the event loop at once. The loop can wait for sockets, but not for a capture handle. So the
 * thread waits here, for the handle and for the loop's own epoll instance (which is readable when the loop has work),
 * and then runs the loop. Frames and responses are seen when they come, and an idle thread sleeps.
 */
import { ptr } from "bun:ffi";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { endianness } from "node:os";
import { type Libc, loadLibc } from "./ffi.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const POLLIN = 1;
/** struct pollfd: descriptor (4), events asked for (2), events that have occurred (2). */
const POLLFD_BYTES = 8;
const REVENTS_OFFSET = 6;
/** If the loop's epoll instance is not known, the thread waits for the handle alone, and no longer than this. */
const BLIND_WAIT_MS = 1;

export class FrameWait {
  private readonly pollfds = new DataView(new ArrayBuffer(2 * POLLFD_BYTES));
  private readonly libc: Libc = loadLibc();
  private readonly littleEndian = endianness() === "LE";

  private constructor(
    captureFd: number,
    private readonly loopFd: number | undefined,
  ) {
    this.set(0, captureFd);
    if (loopFd !== undefined) this.set(POLLFD_BYTES, loopFd);
  }

  /** Makes one for the event loop of the calling thread. */
  static async create(captureFd: number): Promise<FrameWait> {
    return new FrameWait(captureFd, await epollOfThisLoop());
  }

  /** Whether the event loop's work (responses) wakes the thread, too. */
  get seesLoop(): boolean {
    return this.loopFd !== undefined;
  }

  /** Sleeps until frames have come, the event loop has work, or the time is over. Returns whether there are frames. */
  sleep(timeoutMs: number): boolean {
    if (this.loopFd === undefined) return this.sleepUntilFrames(Math.min(timeoutMs, BLIND_WAIT_MS));
    return this.poll(2, timeoutMs);
  }

  /** Sleeps until frames have come, or the time is over. Returns whether there are frames. */
  sleepUntilFrames(timeoutMs: number): boolean {
    return this.poll(1, timeoutMs);
  }

  private poll(count: number, timeoutMs: number): boolean {
    // An interrupted call leaves the old value there.
    this.pollfds.setInt16(REVENTS_OFFSET, 0, this.littleEndian);
    this.libc.poll(ptr(this.pollfds), count, timeoutMs);
    return this.pollfds.getInt16(REVENTS_OFFSET, this.littleEndian) !== 0;
  }

  private set(offset: number, fd: number): void {
    this.pollfds.setInt32(offset, fd, this.littleEndian);
    this.pollfds.setInt16(offset + 4, POLLIN, this.littleEndian);
  }
}

/**
 * Finds the epoll instance of this thread's event loop: the one that waits for a socket that the loop was just given
 * (proc_pid_fdinfo(5)). Undefined: it was not found.
 */
async function epollOfThisLoop(): Promise<number | undefined> {
  const libc = loadLibc();
  const pair = new Int32Array(2);
  if (libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ptr(pair)) !== 0) return undefined;
  const [known, other] = pair as unknown as [number, number];
  // bun-types has FdSocketOptions, but leaves them out of `connect`.
  const options = { fd: known, socket: { data() {} } } as unknown as Parameters<typeof Bun.connect>[0];
  const socket = await Bun.connect(options);
  try {
    return readdirSync("/proc/self/fd")
      .map(Number)
      .find((fd) => isEpollWith(fd, known));
  } catch {
    return undefined;
  } finally {
    socket.terminate();
    libc.close(other);
  }
}

function isEpollWith(fd: number, waitedFor: number): boolean {
  try {
    if (!readlinkSync(`/proc/self/fd/${fd}`).includes("[eventpoll]")) return false;
    return new RegExp(`^tfd: +${waitedFor} `, "m").test(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"));
  } catch {
    // Another thread has just closed it.
    return false;
  }
}
