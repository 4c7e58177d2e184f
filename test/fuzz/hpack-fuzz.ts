/**
 * Header blocks of another implementation, some of them missing: the fields that are read are the written ones, or
 * unknown.
 *
 *     python test/fuzz/hpack_blocks.py 1 10000 | bun test/fuzz/hpack-fuzz.ts
 */
import { createInterface } from "node:readline";
import { HpackDecoder } from "../../src/http/http2/hpack-decoder.ts";
import { Random } from "../support/random.ts";

type Block = [hex: string, fields: [name: string, value: string][]];
const UNKNOWN = "?";

let blocks = 0;
let unknown = 0;
let failures = 0;
const random = new Random(1);

function read(decoder: HpackDecoder, hex: string): string[] | null {
  const bytes = Buffer.from(hex, "hex");
  const fields: string[] = [];
  const isRead = decoder.decode(bytes, bytes.length, {
    field: (name, value) => fields.push(`${name}: ${value}`),
    unknownField: () => fields.push(UNKNOWN),
  });
  return isRead ? fields : null;
}

/** Reads a connection's blocks; some are lost. */
function check(connection: Block[], lossShare: number): void {
  const decoder = new HpackDecoder();
  for (const [hex, fields] of connection) {
    if (random.chance(lossShare)) {
      decoder.lose();
      continue;
    }
    blocks++;
    const want = fields.map(([name, value]) => `${name}: ${value}`);
    const got = read(decoder, hex);
    unknown += got?.filter((field) => field === UNKNOWN).length ?? 0;
    const isRight = got?.length === want.length && got.every((field, i) => field === UNKNOWN || field === want[i]);
    if (isRight && (lossShare > 0 || !got.includes(UNKNOWN))) continue;
    if (failures++ < 10) console.error(`${hex}\n  ${JSON.stringify(got)}, not\n  ${JSON.stringify(want)}`);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const connection = JSON.parse(line) as Block[];
  check(connection, 0);
  check(connection, 0.05);
}
console.log(`${blocks} header blocks, ${unknown} fields not known behind lost ones, ${failures} failures`);
process.exit(failures === 0 ? 0 : 1);
