/**
 * Encodes fields into a header block that any decoder can read, whatever it has read before: the block uses only the
 * static table. https://www.rfc-editor.org/rfc/rfc7541#section-6
 */
import { ENTRY_OVERHEAD } from "./hpack-decoder.ts";
import { STATIC_TABLE } from "./static-table.ts";

/** Section 6.1, 6.2.2 and 5.2: the first byte of each, and the largest number that begins and ends in it. */
const INDEXED = 0x80;
/** Section 6.3: the dynamic table's size is 0 from here on. */
const NO_TABLE = 0x20;
const LITERAL = 0x00;
const LITERAL_NUMBER_MAX = 0x0e;
const LENGTH_NUMBER_MAX = 0x7e;
const BLOCK_BYTES_FIRST = 1024;
/** The most bytes that a number takes. */
const NUMBER_BYTES_MAX = 6;

/** Texts up to this length are written faster here than by the runtime. */
const SHORT_CHARACTERS = 32;

interface StaticName {
  readonly index: number;
  /** The index by value, for fields that the table has with a value; null: it has none. */
  indexOfValue: Map<string, number> | null;
}

const staticNames = new Map<string, StaticName>();
STATIC_TABLE.forEach(([name, value], index) => {
  if (index === 0) return;
  const known = staticNames.get(name) ?? { index, indexOfValue: null };
  staticNames.set(name, known);
  if (value !== "") (known.indexOfValue ??= new Map()).set(value, index);
});

/** Whether the static table has fields of this name. */
export function isStaticName(name: string): boolean {
  return staticNames.has(name);
}

/** Encodes one header block at a time. */
export class HpackEncoder {
  /** The block; its first {@link length} bytes are. Valid until the next one is begun. */
  block = Buffer.alloc(BLOCK_BYTES_FIRST);
  length = 0;
  /** The size of the fields (RFC 9113, section 6.5.2: SETTINGS_MAX_HEADER_LIST_SIZE). */
  listBytes = 0;

  /** `tellsTable`: the block begins with the size of the dynamic table (section 4.2): 0, because it is not used. */
  begin(tellsTable = false): void {
    this.length = 0;
    this.listBytes = 0;
    if (tellsTable) this.block[this.length++] = NO_TABLE;
  }

  /** Adds a field. Each character of its name and value is a byte (latin1). */
  add(name: string, value: string): void {
    this.listBytes += name.length + value.length + ENTRY_OVERHEAD;
    this.reserve(name.length + value.length);
    const known = staticNames.get(name);
    const index = known?.indexOfValue?.get(value);
    if (index !== undefined) {
      this.block[this.length++] = INDEXED | index;
      return;
    }
    this.addNumber(LITERAL, LITERAL_NUMBER_MAX, known?.index ?? 0);
    if (known === undefined) this.addText(name);
    this.addText(value);
  }

  /** Adds a field with a name of the static table, and a value that is not in it: the bytes from `from` to `to`. */
  addNamed(index: number, bytes: Uint8Array, from: number, to: number): void {
    const length = to - from;
    this.listBytes += STATIC_TABLE[index]![0].length + length + ENTRY_OVERHEAD;
    this.reserve(length);
    this.addNumber(LITERAL, LITERAL_NUMBER_MAX, index);
    this.addNumber(0, LENGTH_NUMBER_MAX, length);
    this.addBytes(bytes, from, length);
  }

  /** Adds a field that was encoded before. `listBytes`: its size. */
  addEncoded(bytes: Uint8Array, from: number, length: number, listBytes: number): void {
    this.listBytes += listBytes;
    this.reserve(length);
    this.addBytes(bytes, from, length);
  }

  private addBytes(bytes: Uint8Array, from: number, length: number): void {
    const { block, length: at } = this;
    // Most are so short that a view would cost more.
    for (let i = 0; i < length; i++) block[at + i] = bytes[from + i]!;
    this.length += length;
  }

  private addText(text: string): void {
    this.addNumber(0, LENGTH_NUMBER_MAX, text.length);
    if (text.length > SHORT_CHARACTERS) {
      this.length += this.block.write(text, this.length, "latin1");
      return;
    }
    const { block, length } = this;
    for (let i = 0; i < text.length; i++) block[length + i] = text.charCodeAt(i);
    this.length += text.length;
  }

  /** Section 5.1. */
  private addNumber(first: number, shortMax: number, number: number): void {
    if (number <= shortMax) {
      this.block[this.length++] = first | number;
      return;
    }
    this.block[this.length++] = first | (shortMax + 1);
    let rest = number - (shortMax + 1);
    for (; rest >= 0x80; rest >>>= 7) this.block[this.length++] = (rest & 0x7f) | 0x80;
    this.block[this.length++] = rest;
  }

  private reserve(textBytes: number): void {
    const needed = this.length + textBytes + 3 * NUMBER_BYTES_MAX;
    if (needed <= this.block.length) return;
    const grown = Buffer.alloc(2 * needed);
    this.block.copy(grown, 0, 0, this.length);
    this.block = grown;
  }
}
