/**
 * Frames from a network interface, in batches: one call of pcap_dispatch has libpcap's own pcap_dump
 * write the records, in the shape of a pcap savefile, into a memory stream over one long-lived
 * buffer, which is then read here. So a batch costs a handful of native calls, not a frame.
 */
import { ptr } from "bun:ffi";
import { readdirSync } from "node:fs";
import { endianness } from "node:os";
import { RefusalError } from "../errors.ts";
import { cString, type Libc, type LoadedLibpcap, loadLibc, loadLibpcap, type NativePointer } from "./ffi.ts";
import type { RecordSource } from "./record-source.ts";

const RECORD_HEADER_LEN = 16;
/** The largest IP packet behind any link header: offloads make frames longer than the MTU. */
const SNAPSHOT_BYTES = 0xffff + 1024;
const RECORD_BYTES_MAX = SNAPSHOT_BYTES + RECORD_HEADER_LEN;
const BATCH_BYTES = 16 << 20;
/** How long the kernel gathers frames in a block before it shows it, and so the least delay. */
const BLOCK_TIMEOUT_MS = 1;
const ERROR_BUFFER_BYTES = 256;
/** struct bpf_program: count (4), padding, pointer (8). */
const FILTER_PROGRAM_BYTES = 16;
/** struct pcap_stat: received, dropped by the kernel, dropped by the interface. */
const STATS_BYTES = 12;
const STATS_KERNEL_DROPPED_WORD = 1;
const STATS_INTERFACE_DROPPED_WORD = 2;

const PCAP_ERROR = -1;
const PCAP_ERROR_NO_SUCH_DEVICE = -5;
const PCAP_ERROR_PERM_DENIED = -8;
const PCAP_ERROR_IFACE_NOT_UP = -9;
const PCAP_NETMASK_UNKNOWN = 0xffffffff;

export interface LiveOptions {
  readonly interfaceName: string;
  readonly vxlanPort: number;
  readonly captureBufferMib: number;
  /** Loaded instead of any other. */
  readonly libpcapPath: string | undefined;
}

export class LiveCapture implements RecordSource {
  readonly bytes = new Uint8Array(BATCH_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  offset = 0;
  length = 0;
  timestampMs = 0;
  readonly linkType: number;

  private readonly libc: Libc;
  private readonly handle: NativePointer;
  private readonly stream: NativePointer;
  private readonly dumper: NativePointer;
  private readonly errorBuffer = new Uint8Array(ERROR_BUFFER_BYTES);
  private readonly stats = new Uint32Array(STATS_BYTES / 4);
  private readonly littleEndian = endianness() === "LE";
  private begin = 0;
  private end = 0;
  private droppedBefore = 0;

  private constructor(
    private readonly options: LiveOptions,
    private readonly library: LoadedLibpcap,
  ) {
    const { pcap } = library;
    this.libc = loadLibc();
    const name = cString(options.interfaceName);
    const handle = pcap.pcap_create(name, ptr(this.errorBuffer));
    if (handle === null) throw this.refusal(this.errorText());
    this.handle = handle;
    pcap.pcap_set_snaplen(handle, SNAPSHOT_BYTES);
    pcap.pcap_set_timeout(handle, BLOCK_TIMEOUT_MS);
    pcap.pcap_set_buffer_size(handle, options.captureBufferMib << 20);
    const status = pcap.pcap_activate(handle);
    if (status < 0) throw this.activationError(status);
    if (pcap.pcap_setnonblock(handle, 1, ptr(this.errorBuffer)) !== 0) throw this.refusal(this.errorText());
    this.linkType = pcap.pcap_datalink(handle);
    this.setFilter();

    const stream = this.libc.fmemopen(ptr(this.bytes), BATCH_BYTES, cString("w"));
    const dumper = stream === null ? null : pcap.pcap_dump_fopen(handle, stream);
    if (stream === null || dumper === null) throw this.refusal("no memory stream can be made");
    this.stream = stream;
    this.dumper = dumper;
  }

  /** Starts capturing. Throws RefusalError. */
  static open(options: LiveOptions): LiveCapture {
    return new LiveCapture(options, loadLibpcap(options.libpcapPath));
  }

  /** Where libpcap was found, and its version. */
  get libraryName(): string {
    return `${this.library.origin} (${this.library.pcap.pcap_lib_version()})`;
  }

  /** Fetches the frames that have arrived, without waiting. Returns how many. Throws RefusalError. */
  poll(): number {
    const { pcap, dumpCallback } = this.library;
    this.libc.rewind(this.stream);
    this.begin = 0;
    this.end = 0;
    let total = 0;
    for (;;) {
      // So many fit at their largest; most are far shorter, so that there is room for more after that.
      const room = Math.floor((BATCH_BYTES - this.end) / RECORD_BYTES_MAX);
      if (room === 0) return total;
      const count = pcap.pcap_dispatch(this.handle, room, dumpCallback, this.dumper);
      if (count < 0) throw this.refusal(String(pcap.pcap_geterr(this.handle)));
      if (count === 0) return total;
      total += count;
      this.libc.fflush(this.stream);
      this.end = Number(this.libc.ftell(this.stream));
      if (count < room) return total;
    }
  }

  next(): boolean {
    if (this.begin >= this.end) return false;
    const { view, begin, littleEndian } = this;
    this.timestampMs = view.getUint32(begin, littleEndian) * 1000 + view.getUint32(begin + 4, littleEndian) / 1000;
    this.length = view.getUint32(begin + 8, littleEndian);
    this.offset = begin + RECORD_HEADER_LEN;
    this.begin = this.offset + this.length;
    return true;
  }

  /** Frames that the kernel or the interface has dropped since this was last asked. */
  newlyDropped(): number {
    if (this.library.pcap.pcap_stats(this.handle, ptr(this.stats)) !== 0) return 0;
    const dropped = this.stats[STATS_KERNEL_DROPPED_WORD]! + this.stats[STATS_INTERFACE_DROPPED_WORD]!;
    const newly = (dropped - this.droppedBefore) >>> 0;
    this.droppedBefore = dropped;
    return newly;
  }

  close(): void {
    this.libc.fclose(this.stream);
    this.library.pcap.pcap_close(this.handle);
  }

  /** Lets only the mirror's datagrams through to user space; what is in them is looked at there. */
  private setFilter(): void {
    const { pcap } = this.library;
    const program = new Uint8Array(FILTER_PROGRAM_BYTES);
    const compiled = filterExpressions(this.options.vxlanPort).some(
      (expression) => pcap.pcap_compile(this.handle, ptr(program), cString(expression), 1, PCAP_NETMASK_UNKNOWN) === 0,
    );
    if (!compiled) throw this.refusal(String(pcap.pcap_geterr(this.handle)));
    const status = pcap.pcap_setfilter(this.handle, ptr(program));
    pcap.pcap_freecode(ptr(program));
    if (status !== 0) throw this.refusal(String(pcap.pcap_geterr(this.handle)));
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
          "not permitted; run it as root, or as a service with AmbientCapabilities=CAP_NET_RAW (systemd)",
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

/**
 * What the kernel lets through, the first that the link type's compiler understands: UDP to the
 * mirror's port, fragments of UDP, and IPv6 whose extension headers hide what it carries; the same
 * behind a VLAN tag where the link type can have one.
 */
function filterExpressions(vxlanPort: number): string[] {
  const mirror =
    `udp dst port ${vxlanPort} or (ip proto 17 and ip[6:2] & 0x1fff != 0) or ` +
    "(ip6 and not ip6 proto 6 and not ip6 proto 17 and not ip6 proto 58)";
  return [`${mirror} or (vlan and (${mirror})) or (vlan and (${mirror}))`, mirror];
}

function interfaceNames(): string[] {
  try {
    return readdirSync("/sys/class/net").filter((name) => name !== "bonding_masters");
  } catch {
    return ["none that can be listed"];
  }
}
