/**
 * Decodes header blocks into fields, for one direction of an HTTP/2 connection. https://www.rfc-editor.org/rfc/rfc7541
 *
 * A block may be missing, or the connection may have been joined in its middle. Then only the entries that were
 * inserted into the dynamic table since are known: they can be found, because indices count from the newest entry.
 */
import { latin1 } from "../latin1.ts";
import { decodedLengthMax, decodeHuffman } from "./huffman.ts";
import { STATIC_TABLE } from "./static-table.ts";

/** RFC 9113, section 6.5.2: the table's size until a SETTINGS frame says otherwise. */
export const TABLE_BYTES_DEFAULT = 4096;
/** The largest table: no known server allows its clients more. */
export const TABLE_BYTES_MAX = 64 << 10;
/** Section 4.1: the amount added to the lengths of an entry's name and value. */
export const ENTRY_OVERHEAD = 32;
/** The memory that an entry takes beyond its size: two texts, and its places in the ring. */
const ENTRY_COST_BYTES = 112;
/** A longer number, behind the bits of its first byte, can be no valid index or length (section 5.1). */
export const INTEGER_BITS_MAX = 28;
/** The length of the first ring of entries, a power of 2 as all are. */
const PLACES_FIRST = 16;

// Section 6: the first byte shows the representation, and some of its bits begin a number.
const INDEXED = 0x80;
const INDEXED_BITS = 7;
const INSERTED = 0x40;
const INSERTED_BITS = 6;
const SIZE_UPDATE = 0x20;
const SIZE_UPDATE_BITS = 5;
const LITERAL_BITS = 4;
// Section 5.2.
const HUFFMAN = 0x80;
const LENGTH_BITS = 7;

const MALFORMED = -1;
/** Strings are put together here, one at a time. */
let scratch = Buffer.alloc(256);

/** Takes the fields of a block, in order. Names and values have a character for each byte (latin1). */
export interface FieldSink {
  field(name: string, value: string): void;
  /** A field of the block names an entry that is not known. */
  unknownField(): void;
}

/** The decoder of one direction of a connection. */
export class HpackDecoder {
  // The known entries are in a ring, because servers insert entries with each response.
  /** Null: the name came from an entry that is not known, or no entry is here. */
  private names = new Array<string | null>(PLACES_FIRST).fill(null);
  private values = new Array<string>(PLACES_FIRST).fill("");
  private sizes = new Int32Array(PLACES_FIRST);
  /** The place of the oldest entry. */
  private oldest = 0;
  private count = 0;
  /** The size of the known entries, as section 4.1 counts it. */
  tableBytes = 0;
  private tableBytesMax = TABLE_BYTES_DEFAULT;
  /** All entries of the table are known. */
  private isWhole = true;

  // Of the block under way.
  private at = 0;
  /** The last number that was read; {@link MALFORMED}: it was no valid number. */
  private number = 0;
  /** The last string that was read, and its length. */
  private text = "";
  private textLength = 0;

  /** `wanted`: the names whose fields keep their values, the others get an empty one; null: all keep them. */
  constructor(private readonly wanted: ReadonlySet<string> | null = null) {}

  /** The bytes held, with all costs of the entries. */
  get heldBytes(): number {
    return this.tableBytes + this.count * ENTRY_COST_BYTES;
  }

  /** A block is missing: the entries that were inserted before are not known any more. */
  lose(): void {
    this.clear();
    this.isWhole = false;
    this.tableBytesMax = TABLE_BYTES_MAX;
  }

  /** Reads one whole block. False: RFC 7541 does not allow it, so no block behind it can be read either. */
  decode(block: Buffer, length: number, sink: FieldSink): boolean {
    this.at = 0;
    let mayUpdate = true;
    while (this.at < length) {
      const first = block[this.at]!;
      const isUpdate = (first & (INDEXED | INSERTED | SIZE_UPDATE)) === SIZE_UPDATE;
      // Section 4.2: only at a block's beginning.
      if (isUpdate && !mayUpdate) return false;
      mayUpdate &&= isUpdate;
      const isRead = isUpdate ? this.updateSize(block, length) : this.readField(first, block, length, sink);
      if (!isRead) return false;
    }
    return true;
  }

  private readField(first: number, block: Buffer, end: number, sink: FieldSink): boolean {
    if ((first & INDEXED) !== 0) {
      if (!this.readNumber(INDEXED_BITS, block, end)) return false;
      return this.tellIndexed(this.number, sink);
    }
    const isInserted = (first & INSERTED) !== 0;
    if (!this.readNumber(isInserted ? INSERTED_BITS : LITERAL_BITS, block, end)) return false;
    let name: string | null;
    if (this.number > 0) {
      if (!this.mayName(this.number)) return false;
      name = this.nameOf(this.number);
    } else {
      if (!this.readString(block, end)) return false;
      name = this.text;
    }
    const isWanted = this.wanted === null || name === null || this.wanted.has(name);
    if (!this.readString(block, end, isWanted)) return false;
    const value = this.text;
    if (isInserted) this.insert(name, value, this.textLength);
    if (name === null) sink.unknownField();
    else sink.field(name, value);
    return true;
  }

  private tellIndexed(index: number, sink: FieldSink): boolean {
    if (!this.mayName(index)) return false;
    if (index < STATIC_TABLE.length) {
      sink.field(STATIC_TABLE[index]![0], STATIC_TABLE[index]![1]);
      return true;
    }
    const name = this.nameOf(index);
    if (name === null) sink.unknownField();
    else sink.field(name, this.values[this.placeOf(index)]!);
    return true;
  }

  /** Whether there may be an entry of this index. */
  private mayName(index: number): boolean {
    if (index === 0) return false;
    return index < STATIC_TABLE.length || !this.isWhole || this.isKnown(index);
  }

  private nameOf(index: number): string | null {
    if (index < STATIC_TABLE.length) return STATIC_TABLE[index]![0];
    return this.isKnown(index) ? this.names[this.placeOf(index)]! : null;
  }

  private isKnown(index: number): boolean {
    return index - STATIC_TABLE.length < this.count;
  }

  /** The place of a known entry of the dynamic table: indices count from the newest. */
  private placeOf(index: number): number {
    return (this.oldest + this.count - 1 - (index - STATIC_TABLE.length)) & (this.sizes.length - 1);
  }

  /** Section 4.4. */
  private insert(name: string | null, value: string, valueBytes: number): void {
    const bytes = (name === null ? 0 : name.length) + valueBytes + ENTRY_OVERHEAD;
    this.evict(this.tableBytesMax - bytes);
    if (bytes > this.tableBytesMax) return;
    if (this.count === this.sizes.length) this.grow();
    const place = (this.oldest + this.count++) & (this.sizes.length - 1);
    this.names[place] = name;
    this.values[place] = value;
    this.sizes[place] = bytes;
    this.tableBytes += bytes;
  }

  private evict(bytesMax: number): void {
    while (this.tableBytes > bytesMax && this.count > 0) {
      const { oldest } = this;
      this.tableBytes -= this.sizes[oldest]!;
      this.names[oldest] = null;
      this.values[oldest] = "";
      this.oldest = (oldest + 1) & (this.sizes.length - 1);
      this.count--;
    }
  }

  private grow(): void {
    const { names, values, sizes, oldest, count } = this;
    const at = (i: number) => (oldest + i) & (count - 1);
    this.names = Array.from({ length: 2 * count }, (_, i) => (i < count ? names[at(i)]! : null));
    this.values = Array.from({ length: 2 * count }, (_, i) => (i < count ? values[at(i)]! : ""));
    this.sizes = Int32Array.from({ length: 2 * count }, (_, i) => (i < count ? sizes[at(i)]! : 0));
    this.oldest = 0;
  }

  private clear(): void {
    this.names = new Array<string | null>(PLACES_FIRST).fill(null);
    this.values = new Array<string>(PLACES_FIRST).fill("");
    this.sizes = new Int32Array(PLACES_FIRST);
    this.oldest = 0;
    this.count = 0;
    this.tableBytes = 0;
  }

  private updateSize(block: Buffer, end: number): boolean {
    if (!this.readNumber(SIZE_UPDATE_BITS, block, end) || this.number > TABLE_BYTES_MAX) return false;
    this.tableBytesMax = this.number;
    this.evict(this.number);
    // The unknown entries are removed as well.
    if (this.number === 0) this.isWhole = true;
    return true;
  }

  /** Section 5.1. The lowest `bits` bits of its first byte begin the number. */
  private readNumber(bits: number, block: Buffer, end: number): boolean {
    const prefix = (1 << bits) - 1;
    this.number = block[this.at++]! & prefix;
    if (this.number < prefix) return true;
    for (let shift = 0; shift <= INTEGER_BITS_MAX - 7; shift += 7) {
      if (this.at === end) return false;
      const byte = block[this.at++]!;
      this.number += (byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  /** Section 5.2. `isWanted`: else its length is all that is looked at. */
  private readString(block: Buffer, end: number, isWanted = true): boolean {
    if (this.at >= end) return false;
    const isHuffman = (block[this.at]! & HUFFMAN) !== 0;
    if (!this.readNumber(LENGTH_BITS, block, end)) return false;
    const from = this.at;
    const to = from + this.number;
    if (to > end) return false;
    this.at = to;
    if (!isHuffman) {
      this.textLength = this.number;
      this.text = isWanted ? latin1(block, from, to) : "";
      return true;
    }
    const needed = decodedLengthMax(this.number);
    if (needed > scratch.length) scratch = Buffer.alloc(2 * needed);
    const length = decodeHuffman(block, from, to, scratch);
    if (length === MALFORMED) return false;
    this.textLength = length;
    this.text = isWanted ? latin1(scratch, 0, length) : "";
    return true;
  }
}
