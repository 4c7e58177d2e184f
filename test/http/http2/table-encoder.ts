/** Header blocks as servers and browsers make them: what comes again is named by its place in the dynamic table. */
import { ENTRY_OVERHEAD } from "../../../src/http/http2/hpack-decoder.ts";
import { STATIC_TABLE } from "../../../src/http/http2/static-table.ts";
import type { Random } from "../../support/random.ts";
import { block, type Fields } from "./client-frames.ts";

const TABLE_BYTES_DEFAULT = 4096;

export class TableEncoder {
  /** The newest last. */
  private readonly entries: (readonly [name: string, value: string])[] = [];
  private bytes = 0;
  private bytesMax = TABLE_BYTES_DEFAULT;

  constructor(private readonly random: Random) {}

  block(fields: Fields): Buffer {
    const { random } = this;
    const update = random.chance(0.02) ? [this.resize(random.pick([0, 200, TABLE_BYTES_DEFAULT]))] : [];
    return Buffer.concat([...update, ...fields.map(([name, value]) => this.field(name, value))]);
  }

  private field(name: string, value: string): Buffer {
    const index = this.indexOf((entry) => entry[0] === name && entry[1] === value);
    if (index > 0) return integer(0x80, 7, index);
    if (this.random.chance(0.4)) return block([[name, value]]);
    const known = this.indexOf((entry) => entry[0] === name);
    this.entries.push([name, value]);
    this.bytes += sizeOf(name, value);
    this.evict();
    const text = known > 0 && this.random.chance(0.7) ? integer(0x40, 6, known) : literal(integer(0x40, 6, 0), name);
    return literal(text, value);
  }

  /** 0: there is none. */
  private indexOf(is: (entry: readonly [string, string]) => boolean): number {
    const at = this.entries.findLastIndex(is);
    return at < 0 ? 0 : STATIC_TABLE.length + this.entries.length - 1 - at;
  }

  private resize(bytesMax: number): Buffer {
    this.bytesMax = bytesMax;
    this.evict();
    return integer(0x20, 5, bytesMax);
  }

  private evict(): void {
    while (this.bytes > this.bytesMax) this.bytes -= sizeOf(...this.entries.shift()!);
  }
}

function sizeOf(name: string, value: string): number {
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
