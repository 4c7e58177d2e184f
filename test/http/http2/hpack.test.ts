/** HPACK: the examples of RFC 7541, the blocks that it forbids, and tables with unknown entries. */
import { describe, expect, test } from "bun:test";
import {
  ENTRY_OVERHEAD,
  HpackDecoder,
  INTEGER_BITS_MAX,
  TABLE_BYTES_MAX,
} from "../../../src/http/http2/hpack-decoder.ts";
import { HpackEncoder } from "../../../src/http/http2/hpack-encoder.ts";
import { Random } from "../../support/random.ts";
import { TableEncoder } from "./table-encoder.ts";

/** A block's fields, `?` for an unknown one; null: the block is malformed. */
function decode(decoder: HpackDecoder, block: string | Buffer): string[] | null {
  const bytes = typeof block === "string" ? Buffer.from(block.replaceAll(" ", ""), "hex") : block;
  const fields: string[] = [];
  const isRead = decoder.decode(bytes, bytes.length, {
    field: (name, value) => fields.push(`${name}: ${value}`),
    unknownField: () => fields.push("?"),
  });
  return isRead ? fields : null;
}

const GET = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const SECURE = [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com"];
const LOCATION = "location: https://www.example.com";
const PRIVATE = "cache-control: private";
const AT_21 = "date: Mon, 21 Oct 2013 20:13:21 GMT";
const AT_22 = "date: Mon, 21 Oct 2013 20:13:22 GMT";
const COOKIE = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
/** A table of 256 bytes, as in sections C.5 and C.6. */
const SMALL_TABLE = "3fe101";

const examples: [section: string, blocks: string[], fields: string[][], tableBytes: number][] = [
  ["C.2.1", ["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"], [["custom-key: custom-header"]], 55],
  ["C.2.2", ["040c 2f73 616d 706c 652f 7061 7468"], [[":path: /sample/path"]], 0],
  ["C.2.3", ["1008 7061 7373 776f 7264 0673 6563 7265 74"], [["password: secret"]], 0],
  ["C.2.4", ["82"], [[":method: GET"]], 0],
  [
    "C.3",
    [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
    [GET, [...GET, "cache-control: no-cache"], [...SECURE, "custom-key: custom-value"]],
    164,
  ],
  [
    "C.4",
    [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
    [GET, [...GET, "cache-control: no-cache"], [...SECURE, "custom-key: custom-value"]],
    164,
  ],
  [
    "C.5",
    [
      `${SMALL_TABLE} 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133
       3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`.replaceAll("\n", ""),
      "4803 3330 37c1 c0bf",
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f
       6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
       2076 6572 7369 6f6e 3d31`.replaceAll("\n", ""),
    ],
    [
      [":status: 302", PRIVATE, AT_21, LOCATION],
      [":status: 307", PRIVATE, AT_21, LOCATION],
      [":status: 200", PRIVATE, AT_22, LOCATION, "content-encoding: gzip", COOKIE],
    ],
    215,
  ],
  [
    "C.6",
    [
      `${SMALL_TABLE} 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d
       29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`.replaceAll("\n", ""),
      "4883 640e ffc1 c0bf",
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
       dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`.replaceAll("\n", ""),
    ],
    [
      [":status: 302", PRIVATE, AT_21, LOCATION],
      [":status: 307", PRIVATE, AT_21, LOCATION],
      [":status: 200", PRIVATE, AT_22, LOCATION, "content-encoding: gzip", COOKIE],
    ],
    215,
  ],
];

describe("examples of RFC 7541", () => {
  test.each(examples)("%s", (_section, blocks, fields, tableBytes) => {
    const decoder = new HpackDecoder();
    expect(blocks.map((block) => decode(decoder, block))).toEqual(fields);
    expect(decoder.tableBytes).toBe(tableBytes);
  });
});

const malformed: [what: string, block: string][] = [
  ["index 0", "80"],
  ["an entry that there is not", "be"],
  ["a name of an entry that there is not", "7f00 01 61"],
  ["a number without an end", "ff ff"],
  ["a number that is too long", "ff ff ff ff ff ff 01"],
  ["a string that is longer than the block", "40 05 61"],
  ["a name without a value", "40 01 61"],
  ["no byte after a literal's first one", "00"],
  ["Huffman code that ends with other bits than ones", "40 81 18 01 61"],
  ["Huffman code that ends with eight ones", "40 82 1f ff 01 61"],
  ["Huffman code with the end-of-string symbol", "40 84 ff ff ff ff 01 61"],
  ["a change of the table's size after a field", "82 20"],
  ["a table that is larger than any", "3f e2ff 03"],
];

describe("malformed blocks", () => {
  test.each(malformed)("%s", (_what, block) => {
    expect(decode(new HpackDecoder(), block)).toBeNull();
  });

  test.each([
    [0, [`a: ${"v".repeat(0x7f)}`]],
    [1, null],
  ])("a number may have as many bytes as its bits fill, and not %d more", (more, want) => {
    // A value's length of 127, whose further bytes add nothing.
    const length = [0x7f, ...Array<number>(INTEGER_BITS_MAX / 7 + more - 1).fill(0x80), 0];
    const block = Buffer.concat([Buffer.from([0, 1, 0x61, ...length]), Buffer.alloc(0x7f, "v")]);
    expect(decode(new HpackDecoder(), block)).toEqual(want);
  });

  test("the largest allowed table is accepted", () => {
    // 31 + 0x61 + (0x7f << 7) + (3 << 14) = 65,536
    expect(TABLE_BYTES_MAX).toBe(31 + 0x61 + (0x7f << 7) + (3 << 14));
    expect(decode(new HpackDecoder(), "3f e1ff 03")).toEqual([]);
    expect(decode(new HpackDecoder(), "3f e2ff 03")).toBeNull();
  });

  test("no input causes an exception, and the table stays within its limit", () => {
    const random = new Random(5);
    for (let run = 0; run < 2000; run++) {
      const decoder = new HpackDecoder();
      for (let i = 0; i < 4; i++) decode(decoder, Buffer.from(random.bytes(random.int(1, 40))));
      expect(decoder.tableBytes).toBeLessThanOrEqual(TABLE_BYTES_MAX);
    }
  });
});

const literal = (name: string, value: string) =>
  Buffer.from(`\x40${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`, "latin1");

describe("the dynamic table", () => {
  test("an entry as large as the table fills it alone; a larger one empties it", () => {
    const size = 100;
    const decoder = new HpackDecoder();
    decode(decoder, Buffer.from([0x3f, size - 31]));
    decode(decoder, literal("a", "b"));
    decode(decoder, literal("c", "d".repeat(size - ENTRY_OVERHEAD - 1)));
    expect(decoder.tableBytes).toBe(size);
    expect(decode(decoder, "bf")).toBeNull();
    decode(decoder, literal("c", "d".repeat(size - ENTRY_OVERHEAD)));
    expect(decoder.tableBytes).toBe(0);
    expect(decode(decoder, "be")).toBeNull();
  });

  test("after a lost block, later entries are known, and no others", () => {
    const decoder = new HpackDecoder();
    decode(decoder, literal("old", "1"));
    decoder.lose();
    expect(decode(decoder, "be")).toEqual(["?"]);
    decode(decoder, literal("new", "1"));
    decode(decoder, literal("new", "2"));
    expect(decode(decoder, "be bf c0")).toEqual(["new: 2", "new: 1", "?"]);
  });

  test("an entry with an unknown name has a place, and its name stays unknown", () => {
    const decoder = new HpackDecoder();
    decoder.lose();
    // A literal with the name of the newest entry, inserted.
    expect(decode(decoder, "7e 01 61")).toEqual(["?"]);
    decode(decoder, literal("new", "1"));
    expect(decode(decoder, "be bf")).toEqual(["new: 1", "?"]);
  });

  test("a table that the client empties is known again", () => {
    const decoder = new HpackDecoder();
    decoder.lose();
    decode(decoder, "20 3f e11f");
    expect(decode(decoder, "be")).toBeNull();
    decode(decoder, literal("new", "1"));
    expect(decode(decoder, "be")).toEqual(["new: 1"]);
  });
});

test("if only some values are wanted, the others are left out, and the table is the same", () => {
  const encoder = new TableEncoder(new Random(11));
  const random = new Random(12);
  const [whole, some] = [new HpackDecoder(), new HpackDecoder(new Set([":status"]))];
  for (let run = 0; run < 300; run++) {
    const date = `date ${random.int(1, 9)} ${"x".repeat(random.int(0, 200))}`;
    const block = encoder.block([
      [":status", random.pick(["200", "418"])],
      ["date", date],
      ["x-a", "1"],
    ]);
    const wanted = decode(whole, block)!.map((field) => (field.startsWith(":") ? field : `${field.split(":")[0]}: `));
    expect(decode(some, block)).toEqual(wanted);
    expect(some.tableBytes).toBe(whole.tableBytes);
  }
});

test("encoded fields can be decoded again, without a table", () => {
  const random = new Random(6);
  const names = [":method", ":path", ":scheme", ":authority", "cookie", "x-any", "user-agent", "a"];
  const values = ["", "GET", "/", "http", "x".repeat(126), "y".repeat(127), "z".repeat(20_000), "\xe4\xff"];
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  for (let run = 0; run < 500; run++) {
    const fields = Array.from({ length: random.int(0, 12) }, () => [random.pick(names), random.pick(values)] as const);
    encoder.begin();
    for (const [name, value] of fields) encoder.add(name, value);
    const block = encoder.block.subarray(0, encoder.length);
    expect(decode(decoder, block)).toEqual(fields.map(([name, value]) => `${name}: ${value}`));
    expect(decoder.tableBytes).toBe(0);
    const listBytes = fields.reduce((sum, [name, value]) => sum + name.length + value.length + ENTRY_OVERHEAD, 0);
    expect(encoder.listBytes).toBe(listBytes);
  }
});
