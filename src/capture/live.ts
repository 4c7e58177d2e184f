/**
 * Frames from a network interface, in batches. One call of pcap_dispatch makes libpcap's own pcap_dump write the
 * records, in the form of a pcap savefile, to a stream. The stream's buffer (setvbuf(3)) is one long-lived array, which
 * is then read here. So there are a few native calls for each batch, none for each frame, and a frame is copied once.
 *
 * A handle rejects every frame until {@link LiveCapture.accept}, so that several can first divide the
 * interface among themselves.
 */
import { ptr } from "bun:ffi";
import { readdirSync } from "node:fs";
import { endianness } from "node:os";
import { RefusalError } from "../errors.ts";
import { cString, type Libc, type LoadedLibpcap, loadLibc, loadLibpcap, type NativePointer } from "./ffi.ts";
import { programHeader, rejectAllPackets } from "./kernel-program.ts";
import type { RecordSource } from "./record-source.ts";

const RECORD_HEADER_LEN = 16;
/** The largest IP packet behind any link header: offloads make frames longer than the MTU. */
const SNAPSHOT_BYTES = 0xffff + 1024;
const RECORD_BYTES_MAX = SNAPSHOT_BYTES + RECORD_HEADER_LEN;
/** The usual size of a batch. */
export const BATCH_BYTES = 16 << 20;
/**
 * How long the kernel gathers frames in a block before it shows the block, full or not: the longest delay of a frame.
 * libpcap makes blocks of 256 KiB: at low rates each MiB of the buffer bridges four times this without reading. With 1
 * ms, a buffer of 32 MiB was full after 128 ms, and at times the start and garbage collections take that long. Kernels
 * that count this in ticks take 4 ms for less as well.
 */
const BLOCK_TIMEOUT_MS = 4;
const ERROR_BUFFER_BYTES = 256;
/** _IOFBF of stdio.h: a buffer is written when it is full. */
const FULLY_BUFFERED = 0;
/** What is behind the stream's buffer. Nothing is ever written there. */
const STREAM_BYTES = 1;
/** struct pcap_stat: received, dropped by the kernel, dropped by the interface. */
const STATS_BYTES = 12;
const STATS_RECEIVED_WORD = 0;
const STATS_KERNEL_DROPPED_WORD = 1;
const STATS_INTERFACE_DROPPED_WORD = 2;

const PCAP_ERROR = -1;
const PCAP_ERROR_NO_SUCH_DEVICE = -5;
const PCAP_ERROR_PERM_DENIED = -8;
const PCAP_ERROR_IFACE_NOT_UP = -9;

/** The options of a capture on an interface. */
export interface LiveOptions {
  readonly interfaceName: string;
  /** The kernel's buffer for frames that wait to be read. */
  readonly captureBufferMib: number;
  /** The libpcap to load instead of others; undefined: the first one found. */
  readonly libpcapPath: string | undefined;
  /** The most bytes of a batch. */
  readonly batchBytes: number;
  /** The most bytes of a frame that are kept; unset: all. */
  readonly snapshotBytes?: number;
}

/**
 * A capture handle on an interface, as a source of batches. The bytes of a batch are valid until the next {@link poll}.
 */
export class LiveCapture implements RecordSource {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  offset = 0;
  length = 0;
  timestampMs = 0;
  readonly linkType: number;
  /**
   * Frames from before this time are skipped, up to the first later one. The time is the same for all handles that
   * share an interface.
   */
  sinceMs = Infinity;

  private readonly libc: Libc;
  private readonly handle: NativePointer;
  private readonly stream: NativePointer;
  private readonly dumper: NativePointer;
  private readonly streamBytes = new Uint8Array(STREAM_BYTES);
  private readonly errorBuffer = new Uint8Array(ERROR_BUFFER_BYTES);
  private readonly stats = new Uint32Array(STATS_BYTES / 4);
  private readonly littleEndian = endianness() === "LE";
  private timeMs = Infinity;
  private aheadMs = 0;
  private begin = 0;
  private end = 0;
  private droppedBefore = 0;
  private acceptedBefore = 0;

  private constructor(
    private readonly options: LiveOptions,
    private readonly library: LoadedLibpcap,
  ) {
    const { pcap } = library;
    this.bytes = new Uint8Array(options.batchBytes);
    this.view = new DataView(this.bytes.buffer);
    this.libc = loadLibc();
    const name = cString(options.interfaceName);
    const handle = pcap.pcap_create(name, ptr(this.errorBuffer));
    if (handle === null) throw this.refusal(this.errorText());
    this.handle = handle;
    pcap.pcap_set_snaplen(handle, options.snapshotBytes ?? SNAPSHOT_BYTES);
    pcap.pcap_set_timeout(handle, BLOCK_TIMEOUT_MS);
    pcap.pcap_set_buffer_size(handle, options.captureBufferMib << 20);
    const status = pcap.pcap_activate(handle);
    if (status < 0) throw this.activationError(status);
    if (pcap.pcap_setnonblock(handle, 1, ptr(this.errorBuffer)) !== 0) throw this.refusal(this.errorText());
    this.linkType = pcap.pcap_datalink(handle);
    this.reject();

    const stream = this.libc.fmemopen(ptr(this.streamBytes), STREAM_BYTES, cString("w"));
    const isBuffered =
      stream !== null && this.libc.setvbuf(stream, ptr(this.bytes), FULLY_BUFFERED, options.batchBytes) === 0;
    const dumper = isBuffered ? pcap.pcap_dump_fopen(handle, stream) : null;
    if (stream === null || dumper === null) throw this.refusal("no memory stream can be made");
    this.stream = stream;
    this.dumper = dumper;
  }

  /** Opens a handle that refuses every frame. Throws RefusalError. */
  static open(options: LiveOptions): LiveCapture {
    return new LiveCapture(options, loadLibpcap(options.libpcapPath));
  }

  /** The path of libpcap, and its version. */
  get libraryName(): string {
    return `${this.library.origin} (${this.library.pcap.pcap_lib_version()})`;
  }

  /** The descriptor for {@link FrameWait} and fanout groups. */
  get fd(): number {
    return this.library.pcap.pcap_fileno(this.handle);
  }

  /** Captures frames that the program (struct sock_filter) accepts from now on. Throws RefusalError. */
  accept(program: Uint8Array): void {
    const { pcap } = this.library;
    const header = programHeader(program);
    if (pcap.pcap_setfilter(this.handle, ptr(header)) !== 0) throw this.refusal(String(pcap.pcap_geterr(this.handle)));
  }

  /** From now on no frame is captured; those that wait can still be read. Throws RefusalError. */
  reject(): void {
    // Not through libpcap, which would apply the filter to waiting frames, too.
    if (!rejectAllPackets(this.fd)) throw this.refusal("the kernel takes no filter");
  }

  /** Sets the time of the reader's clock, and how far the system's clock, which stamps the frames, is ahead of it. */
  setTime(nowMs: number, aheadMs: number): void {
    this.timeMs = nowMs;
    this.aheadMs = aheadMs;
  }

  /** Fetches the frames that have arrived, without waiting. Returns how many. Throws RefusalError. */
  poll(): number {
    const { pcap, dumpCallback } = this.library;
    this.libc.__fpurge(this.stream);
    this.begin = 0;
    this.end = 0;
    let total = 0;
    for (;;) {
      // As many as fit at their largest size; most are far shorter, so there is room for more after that.
      const room = Math.floor((this.bytes.length - this.end) / RECORD_BYTES_MAX);
      if (room === 0) return total;
      const count = pcap.pcap_dispatch(this.handle, room, dumpCallback, this.dumper);
      if (count < 0) throw this.refusal(String(pcap.pcap_geterr(this.handle)));
      if (count === 0) return total;
      total += count;
      this.end = this.libc.__fpending(this.stream);
      if (count < room) return total;
    }
  }

  next(): boolean {
    const { view, littleEndian } = this;
    while (this.begin < this.end) {
      const { begin } = this;
      const capturedMs = view.getUint32(begin, littleEndian) * 1000 + view.getUint32(begin + 4, littleEndian) / 1000;
      // Frames from before the system's clock was set may seem to come from the future.
      this.timestampMs = Math.min(capturedMs - this.aheadMs, this.timeMs);
      this.length = view.getUint32(begin + 8, littleEndian);
      this.offset = begin + RECORD_HEADER_LEN;
      this.begin = this.offset + this.length;
      if (this.timestampMs < this.sinceMs) continue;
      // All later frames are taken, even if the system's clock is set back.
      this.sinceMs = 0;
      return true;
    }
    return false;
  }

  /** How many frames the kernel or the interface has dropped since the last call. */
  newlyDropped(): number {
    if (this.library.pcap.pcap_stats(this.handle, ptr(this.stats)) !== 0) return 0;
    const dropped = this.stats[STATS_KERNEL_DROPPED_WORD]! + this.stats[STATS_INTERFACE_DROPPED_WORD]!;
    const newly = (dropped - this.droppedBefore) >>> 0;
    this.droppedBefore = dropped;
    return newly;
  }

  /** How many frames the filter has accepted since the last call, with those that found no room. */
  newlyAccepted(): number {
    if (this.library.pcap.pcap_stats(this.handle, ptr(this.stats)) !== 0) return 0;
    const accepted = this.stats[STATS_RECEIVED_WORD]!;
    const newly = (accepted - this.acceptedBefore) >>> 0;
    this.acceptedBefore = accepted;
    return newly;
  }

  close(): void {
    this.libc.__fpurge(this.stream);
    this.libc.fclose(this.stream);
    this.library.pcap.pcap_close(this.handle);
  }

  private activationError(status: number): RefusalError {
    const { interfaceName } = this.options;
    switch (status) {
      case PCAP_ERROR_NO_SUCH_DEVICE:
        return this.refusal(`no such interface (this host has ${interfaceNames().join(", ")})`);
      case PCAP_ERROR_IFACE_NOT_UP:
        return this.refusal(`the interface is down (ip link set ${interfaceName} up)`);
      case PCAP_ERROR_PERM_DENIED:
        return this.refusal(
          "not permitted; run the program as root, or as a service with AmbientCapabilities=CAP_NET_RAW (systemd)",
        );
      case PCAP_ERROR:
        return this.refusal(String(this.library.pcap.pcap_geterr(this.handle)));
      default:
        return this.refusal(String(this.library.pcap.pcap_statustostr(status)));
    }
  }

  private refusal(why: string): RefusalError {
    return new RefusalError(`Cannot capture on ${this.options.interfaceName}: ${why}`);
  }

  private errorText(): string {
    const end = this.errorBuffer.indexOf(0);
    return new TextDecoder().decode(this.errorBuffer.subarray(0, end));
  }
}

function interfaceNames(): string[] {
  try {
    return readdirSync("/sys/class/net").filter((name) => name !== "bonding_masters");
  } catch {
    return ["none that can be listed"];
  }
}
