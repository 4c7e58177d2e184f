/** Header blocks as servers and browsers make them: a repeated field is named by its place in the dynamic table. */
import { ENTRY_OVERHEAD } from "../../../src/http/http2/hpack-decoder.ts";
import { STATIC_TABLE } from "../../../src/http/http2/static-table.ts";
import type { Random } from "../../support/random.ts";
import { block, type Fields } from "./client-frames.ts";

const TABLE_BYTES_DEFAULT = 4096;

interface Entry {
  readonly name: string;
  readonly value: string;
  /** The first block without which the entry is unknown: its own block, or the block of its name. */
  readonly from: number;
}

export class TableEncoder {
  /** For the last block, the first block without which it cannot be read: itself, or an earlier one. */
  from = 0;
  private blocks = 0;
  /** The newest last. */
  private readonly entries: Entry[] = [];
  private bytes = 0;
  private bytesMax = TABLE_BYTES_DEFAULT;

  constructor(private readonly random: Random) {}

  block(fields: Fields): Buffer {
    const { random } = this;
    this.from = this.blocks++;
    const update = random.chance(0.02) ? [this.resize(random.pick([0, 200, TABLE_BYTES_DEFAULT]))] : [];
    return Buffer.concat([...update, ...fields.map(([name, value]) => this.field(name, value))]);
  }

  private field(name: string, value: string): Buffer {
    const whole = this.find((entry) => entry.name === name && entry.value === value);
    if (whole !== undefined) return this.named(0x80, 7, whole);
    if (this.random.chance(0.4)) return block([[name, value]]);
    const known = this.random.chance(0.7) ? this.find((entry) => entry.name === name) : undefined;
    const text = known === undefined ? literal(integer(0x40, 6, 0), name) : this.named(0x40, 6, known);
    this.entries.push({ name, value, from: Math.min(known?.from ?? Infinity, this.blocks - 1) });
    this.bytes += sizeOf({ name, value });
    this.evict();
    return literal(text, value);
  }

  private find(is: (entry: Entry) => boolean): Entry | undefined {
    return this.entries.findLast(is);
  }

  /** The present field names an entry. */
  private named(first: number, bits: number, entry: Entry): Buffer {
    this.from = Math.min(this.from, entry.from);
    return integer(first, bits, STATIC_TABLE.length + this.entries.length - 1 - this.entries.indexOf(entry));
  }

  private resize(bytesMax: number): Buffer {
    this.bytesMax = bytesMax;
    this.evict();
    return integer(0x20, 5, bytesMax);
  }

  private evict(): void {
    while (this.bytes > this.bytesMax) this.bytes -= sizeOf(this.entries.shift()!);
  }
}

function sizeOf({ name, value }: Pick<Entry, "name" | "value">): number {
  return name.length + value.length + ENTRY_OVERHEAD;
}

/** https://www.rfc-editor.org/rfc/rfc7541#section-5.1 */
function integer(first: number, bits: number, number: number): Buffer {
  const most = (1 << bits) - 1;
  if (number < most) return Buffer.from([first | number]);
  const bytes = [first | most];
  let rest = number - most;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

function literal(before: Buffer, text: string): Buffer {
  return Buffer.concat([before, integer(0, 7, text.length), Buffer.from(text, "latin1")]);
}
