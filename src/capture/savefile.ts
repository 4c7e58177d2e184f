/**
 * Savefiles and pipes of them: pcap (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html)
 * and pcapng (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html).
 *
 *     pcap    file header (24): magic, version (2+2), reserved (8), snaplen, link type
 *             record: seconds, fraction, captured length, original length, frame
 *     pcapng  block: type, total length, body, total length
 *
 * libpcap reads them as well, but only by blocking: connections would stand still while a pipe is silent. And it
 * refuses pcapng files with several link types, which Wireshark writes.
 */
import { RefusalError } from "../errors.ts";
import { type ByteSource, compressionOf, FileBytes, MAGIC_LEN, nameOf, UnpackedBytes } from "./byte-source.ts";
import { SNAPSHOT_BYTES_MAX, type WaitingSource } from "./record-source.ts";

/** The size of a chunk. The end of a larger one would not be in the processor's cache when it is decoded. */
const CHUNK_BYTES = 512 << 10;
/** The longest block, the same limit as libpcap's. */
export const BLOCK_BYTES_MAX = 16 << 20;

/** The most interfaces that a pcapng section may describe. */
export const INTERFACES_MAX = 65_536;

const PCAP_HEADER_LEN = 24;
const PCAP_LINK_TYPE_OFFSET = 20;
const RECORD_HEADER_LEN = 16;
const RECORD_FRACTION_OFFSET = 4;
const RECORD_CAPTURED_OFFSET = 8;
const PCAP_MAGIC_MICROSECONDS = 0xa1b2c3d4;
const PCAP_MAGIC_NANOSECONDS = 0xa1b23c4d;
/** A variant of old Linux systems with longer record headers. */
const PCAP_MAGIC_KUZNETZOV = 0xa1b2cd34;
const KUZNETZOV_RECORD_HEADER_LEN = 24;
/** Above the link type's 16 bits, files may have the length of the frame check sequence. */
const LINK_TYPE_MASK = 0xffff;

const BLOCK_HEADER_LEN = 8;
const BLOCK_TRAILER_LEN = 4;
const BLOCK_LENGTH_OFFSET = 4;
const SECTION_HEADER_BLOCK = 0x0a0d0d0a;
const SECTION_MAGIC = 0x1a2b3c4d;
const SECTION_BLOCK_LEN_MIN = 28;
const INTERFACE_BLOCK = 1;
const INTERFACE_BODY_LEN_MIN = 8;
const OBSOLETE_PACKET_BLOCK = 2;
const SIMPLE_PACKET_BLOCK = 3;
const SIMPLE_BODY_LEN_MIN = 4;
const ENHANCED_PACKET_BLOCK = 6;
const PACKET_BODY_LEN_MIN = 20;
const OPTION_HEADER_LEN = 4;
const OPTION_TIMESTAMP_RESOLUTION = 9;
const OPTION_TIMESTAMP_OFFSET = 14;

const Format = { UNKNOWN: 0, PCAP: 1, PCAPNG: 2 } as const;

/** An interface of a pcapng section. */
interface Interface {
  linkType: number;
  snapshotBytes: number;
  /** How many timestamp units a millisecond has. */
  unitsPerMs: number;
  offsetMs: number;
}

/** Reads a savefile batch by batch: {@link fill}, then {@link next} until it is false. */
export class Savefile implements WaitingSource {
  bytes = new Uint8Array(2 * CHUNK_BYTES);
  view = new DataView(this.bytes.buffer);
  offset = 0;
  length = 0;
  linkType = 0;
  timestampMs = 0;

  private begin = 0;
  private end = 0;
  private atEnd = false;
  /** How many bytes of the savefile come before the buffer's first one. */
  private bufferPosition = 0;
  private format: number = Format.UNKNOWN;
  private littleEndian = true;
  private recordHeaderLength = RECORD_HEADER_LEN;
  private fractionsPerMs = 1000;
  private interfaces: Interface[] = [];

  private isUnpacked = false;

  /** `name`: as messages show it. */
  constructor(
    private readonly name: string,
    private source: ByteSource,
  ) {}

  /** Opens a file, or standard input for "-". Throws RefusalError. */
  static open(path: string): Savefile {
    return new Savefile(nameOf(path), FileBytes.open(path));
  }

  get position(): number {
    return this.isUnpacked ? this.source.position : this.place;
  }

  /** Whether its source has no more bytes. */
  get isAtEnd(): boolean {
    return this.atEnd;
  }

  /** The position of the next record in the unpacked bytes. */
  private get place(): number {
    return this.bufferPosition + this.begin;
  }

  /**
   * Reads the next batch, and waits for it. False: the savefile has ended. Throws RefusalError if it is no capture, or
   * ends in the middle of a record.
   */
  async fill(): Promise<boolean> {
    this.makeRoom();
    const count = await this.source.read(this.bytes, this.end, CHUNK_BYTES);
    if (count === 0) this.atEnd = true;
    this.end += count;
    if (this.format === Format.UNKNOWN && !this.unpack()) this.recognise();
    if (this.atEnd && this.begin === this.end) return false;
    return true;
  }

  next(): boolean {
    if (this.format === Format.PCAP) return this.nextRecord();
    if (this.format === Format.PCAPNG) return this.nextBlock();
    return false;
  }

  close(): void {
    this.source.close();
  }

  private nextRecord(): boolean {
    const offset = this.begin + this.recordHeaderLength;
    if (offset > this.end) return this.needMore(this.recordHeaderLength);
    const length = this.u32(this.begin + RECORD_CAPTURED_OFFSET);
    if (length > SNAPSHOT_BYTES_MAX) throw this.damaged(`claims a frame of ${length} bytes`);
    if (offset + length > this.end) return this.needMore(this.recordHeaderLength + length);
    this.offset = offset;
    this.length = length;
    this.timestampMs =
      this.u32(this.begin) * 1000 + this.u32(this.begin + RECORD_FRACTION_OFFSET) / this.fractionsPerMs;
    this.begin = offset + length;
    return true;
  }

  private nextBlock(): boolean {
    for (;;) {
      if (this.begin + BLOCK_HEADER_LEN + BLOCK_TRAILER_LEN > this.end)
        return this.needMore(BLOCK_HEADER_LEN + BLOCK_TRAILER_LEN);
      const block = this.begin;
      const type = this.u32(block);
      if (type === SECTION_HEADER_BLOCK) this.beginSection(block);
      const total = this.u32(block + BLOCK_LENGTH_OFFSET);
      if (total < BLOCK_HEADER_LEN + BLOCK_TRAILER_LEN || total % 4 !== 0 || total > BLOCK_BYTES_MAX) {
        throw this.damaged(`claims a block of ${total} bytes`);
      }
      if (block + total > this.end) return this.needMore(total);
      if (this.u32(block + total - BLOCK_TRAILER_LEN) !== total) throw this.damaged("gives a block two lengths");
      const isPacket = this.readBlock(type, block + BLOCK_HEADER_LEN, block + total - BLOCK_TRAILER_LEN);
      this.begin = block + total;
      if (isPacket) return true;
    }
  }

  /** Reads a block's body. Returns whether it was a packet's. */
  private readBlock(type: number, body: number, end: number): boolean {
    switch (type) {
      case INTERFACE_BLOCK:
        if (this.interfaces.length === INTERFACES_MAX)
          throw this.damaged(`describes more than ${INTERFACES_MAX} interfaces`);
        this.interfaces.push(this.readInterface(body, end));
        return false;
      case ENHANCED_PACKET_BLOCK:
        return this.readPacket(body, end, this.u32(body));
      case OBSOLETE_PACKET_BLOCK:
        return this.readPacket(body, end, this.view.getUint16(body, this.littleEndian));
      case SIMPLE_PACKET_BLOCK:
        return this.readSimplePacket(body, end);
      default:
        return false;
    }
  }

  private readPacket(body: number, end: number, interfaceId: number): boolean {
    if (body + PACKET_BODY_LEN_MIN > end) throw this.damaged("has a packet block that is too short");
    const from = this.interfaces[interfaceId];
    if (from === undefined) throw this.damaged(`names interface ${interfaceId}, which it does not describe`);
    const length = this.u32(body + 12);
    if (body + PACKET_BODY_LEN_MIN + length > end) throw this.damaged("has a packet that is longer than its block");
    const units = this.u32(body + 4) * 2 ** 32 + this.u32(body + 8);
    this.timestampMs = units / from.unitsPerMs + from.offsetMs;
    this.linkType = from.linkType;
    this.offset = body + PACKET_BODY_LEN_MIN;
    this.length = length;
    return true;
  }

  /** A simple packet has no timestamp: it takes that of the packet before it. */
  private readSimplePacket(body: number, end: number): boolean {
    const from = this.interfaces[0];
    if (from === undefined) throw this.damaged("has a packet before any interface");
    if (body + SIMPLE_BODY_LEN_MIN > end) throw this.damaged("has a packet block that is too short");
    const snapshotBytes = from.snapshotBytes || Infinity;
    this.offset = body + SIMPLE_BODY_LEN_MIN;
    this.length = Math.min(this.u32(body), snapshotBytes, end - this.offset);
    this.linkType = from.linkType;
    return true;
  }

  private beginSection(block: number): void {
    const magic = this.view.getUint32(block + BLOCK_HEADER_LEN, true);
    this.littleEndian = magic === SECTION_MAGIC;
    if (!this.littleEndian && this.view.getUint32(block + BLOCK_HEADER_LEN, false) !== SECTION_MAGIC) {
      throw this.damaged("has a section without a byte order");
    }
    this.interfaces = [];
  }

  private readInterface(body: number, end: number): Interface {
    if (body + INTERFACE_BODY_LEN_MIN > end) throw this.damaged("has an interface block that is too short");
    const found: Interface = {
      linkType: this.view.getUint16(body, this.littleEndian),
      snapshotBytes: this.u32(body + 4),
      unitsPerMs: 1000,
      offsetMs: 0,
    };
    let option = body + INTERFACE_BODY_LEN_MIN;
    while (option + OPTION_HEADER_LEN <= end) {
      const code = this.view.getUint16(option, this.littleEndian);
      const length = this.view.getUint16(option + 2, this.littleEndian);
      const value = option + OPTION_HEADER_LEN;
      if (code === 0 || value + length > end) break;
      if (code === OPTION_TIMESTAMP_RESOLUTION && length >= 1) {
        const resolution = this.view.getUint8(value);
        // The highest bit distinguishes a power of two from a power of ten.
        found.unitsPerMs = ((resolution & 0x80) !== 0 ? 2 ** (resolution & 0x7f) : 10 ** resolution) / 1000;
      }
      if (code === OPTION_TIMESTAMP_OFFSET && length >= 8) {
        found.offsetMs = Number(this.view.getBigInt64(value, this.littleEndian)) * 1000;
      }
      option = value + Math.ceil(length / 4) * 4;
    }
    return found;
  }

  /** Goes on with unpacked bytes, if the first bytes tell that the file is compressed. */
  private unpack(): boolean {
    if (this.isUnpacked || this.end < MAGIC_LEN) return false;
    const compression = compressionOf(this.view.getUint32(0, false));
    if (compression === undefined) return false;
    this.source = new UnpackedBytes(this.name, compression, this.source, this.bytes.slice(0, this.end));
    this.isUnpacked = true;
    this.atEnd = false;
    this.end = 0;
    return true;
  }

  /** Finds the savefile's format by its first bytes. */
  private recognise(): void {
    if (this.end === 0 && this.atEnd) throw new RefusalError(`Cannot read ${this.name}: it is empty`);
    if (this.end < PCAP_HEADER_LEN && !this.atEnd) return;
    const magic = this.end >= 4 ? this.view.getUint32(0, false) : 0;
    if (magic === SECTION_HEADER_BLOCK) {
      if (this.end < SECTION_BLOCK_LEN_MIN && this.atEnd) throw this.cut();
      this.format = Format.PCAPNG;
      return;
    }
    this.littleEndian = isPcapMagic(this.end >= 4 ? this.view.getUint32(0, true) : 0);
    if (!this.littleEndian && !isPcapMagic(magic)) {
      throw new RefusalError(`Cannot read ${this.name}: it is neither pcap nor pcapng`);
    }
    if (this.end < PCAP_HEADER_LEN) throw this.cut();
    const variant = this.u32(0);
    this.format = Format.PCAP;
    this.fractionsPerMs = variant === PCAP_MAGIC_NANOSECONDS ? 1e6 : 1000;
    this.recordHeaderLength = variant === PCAP_MAGIC_KUZNETZOV ? KUZNETZOV_RECORD_HEADER_LEN : RECORD_HEADER_LEN;
    this.linkType = this.u32(PCAP_LINK_TYPE_OFFSET) & LINK_TYPE_MASK;
    this.begin = PCAP_HEADER_LEN;
  }

  /** The rest of a record has not been read yet. Returns false, so that the batch ends before it. */
  private needMore(bytes: number): boolean {
    if (this.atEnd && this.begin < this.end) throw this.cut();
    if (bytes > this.bytes.length) this.moveTo(new Uint8Array(2 * bytes));
    return false;
  }

  /** Moves the rest of the last batch to the front. */
  private makeRoom(): void {
    if (this.bytes.length - this.end >= CHUNK_BYTES) return;
    this.moveTo(
      this.end - this.begin + CHUNK_BYTES <= this.bytes.length ? this.bytes : new Uint8Array(2 * this.bytes.length),
    );
  }

  private moveTo(target: Uint8Array<ArrayBuffer>): void {
    target.set(this.bytes.subarray(this.begin, this.end));
    this.bufferPosition += this.begin;
    this.end -= this.begin;
    this.begin = 0;
    if (target === this.bytes) return;
    this.bytes = target;
    this.view = new DataView(target.buffer);
  }

  private u32(offset: number): number {
    return this.view.getUint32(offset, this.littleEndian);
  }

  private cut(): RefusalError {
    return new RefusalError(
      `Cannot read all of ${this.name}: it ends in the middle of a record (at byte ${this.place})`,
    );
  }

  private damaged(what: string): RefusalError {
    return new RefusalError(`Cannot read ${this.name} further: at byte ${this.place} it ${what}`);
  }
}

function isPcapMagic(magic: number): boolean {
  return magic === PCAP_MAGIC_MICROSECONDS || magic === PCAP_MAGIC_NANOSECONDS || magic === PCAP_MAGIC_KUZNETZOV;
}
