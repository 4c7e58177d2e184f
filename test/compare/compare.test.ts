/** Two responses side by side: their differences, the kind and place of each, and how they are shown. */
import { describe, expect, test } from "bun:test";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { compareResponses } from "../../src/compare/compare.ts";
import { DECODED_BYTES_MAX, decodeText, TOO_LARGE } from "../../src/compare/content.ts";
import { Ignored, type IgnoreRule, parseIgnoreRule } from "../../src/compare/ignore.ts";
import { SHOWN_BYTES_MAX, show } from "../../src/compare/shown.ts";
import { Redactor } from "../../src/redact/redactor.ts";
import { type Given, keptOf } from "./kept.ts";

function compare(production: Given, endpoint: Given, ignore: string[] = [], path = "/a/b"): string[] | "too large" {
  const ignored = new Ignored(ignore.map((text) => parseIgnoreRule(text) as IgnoreRule));
  const found = compareResponses(keptOf(production), keptOf(endpoint), path, ignored);
  return found === TOO_LARGE ? "too large" : found.map(({ kind, where }) => `${kind} ${where}`.trimEnd());
}

const json = ["Content-Type: application/json"];
const text = ["Content-Type: text/plain"];
const plain = "some text, some text, some text";
const utf16 = (string: string) => Buffer.from(string, "utf16le");

const CASES: [name: string, production: Given, endpoint: Given, expected: string[] | "too large"][] = [
  ["nothing", {}, {}, []],
  ["another status", { code: 200 }, { code: 404 }, ["status"]],
  [
    "after a different status nothing else is compared",
    { code: 200, body: "a" },
    { code: 500, fields: ["A: b"] },
    ["status"],
  ],
  [
    "a field's value",
    { fields: ["Cache-Control: no-store"] },
    { fields: ["cache-control: private"] },
    ["header cache-control"],
  ],
  ["names have no case, values no blanks around", { fields: ["X-A:  b "] }, { fields: ["x-a: b"] }, []],
  ["a field more, and one less", { fields: ["A: 1"] }, { fields: ["B: 1"] }, ["header a", "header b"]],
  ["several fields are a list", { fields: ["Vary: a", "Vary: b"] }, { fields: ["Vary: a, b"] }, []],
  ["a folded value", { fields: ["A: b", " c"] }, { fields: ["A: b c"] }, []],
  [
    "volatile fields",
    { fields: ["Date: a", "Age: 1", "Server: a", "Via: a", "Connection: close", "X-Request-Id: 1", "traceparent: 0"] },
    { fields: ["Date: b", "Keep-Alive: b", "Transfer-Encoding: chunked", "Content-Length: 1", "X-Amzn-Trace-Id: 2"] },
    [],
  ],
  [
    "volatile fields that one side has, and the other has elsewhere",
    { fields: ["Server: a", "X-A: b", "Date: c", "X-B: d"] },
    { fields: ["X-A: b", "X-B: d", "Date: e"] },
    [],
  ],
  ["a field after a volatile one", { fields: ["Date: a", "X-A: b"] }, { fields: ["X-A: c"] }, ["header x-a"]],
  [
    "the continuation of a volatile field belongs to no other field",
    { fields: ["X-A: b", "Date: c", " d"] },
    { fields: ["X-A: b", " d"] },
    ["header x-a"],
  ],
  ["a field at the end of only one side", { fields: ["X-A: b"] }, { fields: ["X-A: b", "X-B: c"] }, ["header x-b"]],
  ["cookies by name", { fields: ["Set-Cookie: a=1; Path=/"] }, { fields: ["Set-Cookie: a=2"] }, []],
  ["another cookie", { fields: ["Set-Cookie: a=1"] }, { fields: ["Set-Cookie: b=1"] }, ["header set-cookie"]],
  ["text", { fields: text, body: "ab" }, { fields: text, body: "ac" }, ["text"]],
  ["JSON by its type", { fields: json, body: "1" }, { fields: json, body: "2" }, ["value"]],
  ["JSON by its content", { body: '{"a":1}' }, { body: '{"a":1,"b":2}' }, ["extra b"]],
  ["JSON that says the same", { fields: json, body: '{"a":1}' }, { fields: json, body: ' {"a":1.0}' }, []],
  ["JSON on one side", { fields: json, body: '{"a":1}' }, { fields: json, body: '{"a":1' }, ["text"]],
  [
    "a type with a suffix",
    { fields: ["Content-Type: application/problem+json; charset=utf-8"], body: "1" },
    {
      fields: ["Content-Type: application/problem+json; charset=utf-8"],
      body: "2",
    },
    ["value"],
  ],
  [
    "bytes",
    { fields: ["Content-Type: image/png"], body: "ab" },
    { fields: ["Content-Type: image/png"], body: "ac" },
    ["bytes"],
  ],
  ["bytes that no type names", { body: new Uint8Array([0, 1]) }, { body: new Uint8Array([0, 2]) }, ["bytes"]],
  [
    "bytes that are not UTF-8 are no text",
    { fields: text, body: new Uint8Array([0xff, 0x80]) },
    { fields: text, body: "a" },
    ["bytes"],
  ],
  [
    "the same text in other charsets",
    { fields: ["Content-Type: text/plain; charset=utf-16"], body: utf16("grün") },
    { fields: ["Content-Type: text/plain; charset=utf-8"], body: "grün" },
    ["header content-type"],
  ],
  [
    "Latin-1",
    { fields: ["Content-Type: text/plain; charset=iso-8859-1"], body: Buffer.from("grün", "latin1") },
    { fields: ["Content-Type: text/plain; charset=ISO-8859-1"], body: Buffer.from("grau", "latin1") },
    ["header content-type", "text"],
  ],
  [
    "gzip against br",
    { fields: ["Content-Encoding: gzip"], body: gzipSync(plain) },
    { fields: ["Content-Encoding: br"], body: brotliCompressSync(plain) },
    ["header content-encoding"],
  ],
  ...[
    ["gzip", gzipSync],
    ["x-gzip", gzipSync],
    ["deflate", deflateSync],
    ["deflate", deflateRawSync],
    ["br", brotliCompressSync],
    ["zstd", zstdCompressSync],
  ].map(([coding, compress], i): (typeof CASES)[number] => {
    const fields = [`Content-Encoding: ${coding as string}`, ...text];
    const body = (content: string) => (compress as typeof gzipSync)(content);
    return [`${coding as string} (${i})`, { fields, body: body("ab") }, { fields, body: body("ac") }, ["text"]];
  }),
  [
    "codings on top of each other",
    { fields: ["Content-Encoding: gzip, identity, br"], body: brotliCompressSync(gzipSync('{"a":1}')) },
    { fields: ["Content-Encoding: gzip, identity, br"], body: brotliCompressSync(gzipSync('{"a":2}')) },
    ["value a"],
  ],
  [
    "too many codings are bytes",
    { fields: [`Content-Encoding: ${"gzip,".repeat(5)}`], body: "a" },
    { fields: [`Content-Encoding: ${"gzip,".repeat(5)}`], body: "b" },
    ["bytes"],
  ],
  [
    "an unknown coding",
    { fields: ["Content-Encoding: x"], body: "a" },
    {
      fields: ["Content-Encoding: x"],
      body: "b",
    },
    ["bytes"],
  ],
  [
    "a coding that does not hold",
    { fields: ["Content-Encoding: gzip"], body: "a" },
    {
      fields: ["Content-Encoding: gzip"],
      body: gzipSync("a"),
    },
    ["bytes"],
  ],
  ["a coding of nothing", { fields: ["Content-Encoding: gzip"] }, { fields: ["Content-Encoding: gzip"] }, []],
  [
    "a bomb",
    { fields: ["Content-Encoding: gzip"], body: gzipSync(new Uint8Array(DECODED_BYTES_MAX + 1)) },
    { fields: ["Content-Encoding: gzip"], body: gzipSync("a") },
    "too large",
  ],
  [
    "as much as a body may become",
    { fields: ["Content-Encoding: gzip"], body: gzipSync(new Uint8Array(DECODED_BYTES_MAX)) },
    { fields: ["Content-Encoding: gzip"], body: gzipSync(new Uint8Array(DECODED_BYTES_MAX), { level: 1 }) },
    [],
  ],
  ["large bodies by their digest", { digest: "a", bodyLength: 9 }, { digest: "a", bodyLength: 9 }, []],
  ["large bodies that differ", { digest: "a", bodyLength: 9 }, { digest: "b", bodyLength: 9 }, ["bytes"]],
  ["one body is large", { digest: "a", bodyLength: 9 }, { body: "a" }, ["bytes"]],
  [
    "large bodies that are coded",
    { digest: "a", fields: ["Content-Encoding: gzip"] },
    { digest: "b", fields: ["Content-Encoding: gzip"] },
    "too large",
  ],
];

test.each(CASES)("%s", (_name, production, endpoint, expected) => {
  expect(compare(production, endpoint)).toEqual(expected);
});

test("a text that is cut within a character, or has a byte order mark, changes nothing for the next text", () => {
  const types: [type: string, whole: Uint8Array][] = [
    ["text/plain", Buffer.from("\ufeffgrün")],
    ["text/plain; charset=utf-16", utf16("\ufeffgrün")],
    ["text/plain; charset=utf-16be", utf16("\ufeffgrün").swap16()],
  ];
  for (const [type, whole] of types) {
    expect(decodeText(whole, type)).toBe("grün");
    for (let length = 0; length < whole.length; length++) {
      decodeText(whole.subarray(0, length), type);
      expect({ type, length, text: decodeText(whole, type) }).toEqual({ type, length, text: "grün" });
    }
  }
});

describe("--ignore", () => {
  const all = { code: 200, fields: ["ETag: a", ...json], body: '{"a":1,"b":2}' };
  const other = { code: 200, fields: ["ETag: b", ...json], body: '{"a":2,"b":3}' };
  const left: [string[], string[]][] = [
    [[], ["header etag", "value a", "value b"]],
    [["header:ETAG"], ["value a", "value b"]],
    [["json:a", "header:etag"], ["value b"]],
    [["body:/a/*"], ["header etag"]],
    [["body:/a"], ["header etag", "value a", "value b"]],
    [["path:/**"], []],
    [["path:/x/**"], ["header etag", "value a", "value b"]],
  ];
  test.each(left)("%p leaves %p", (ignore, expected) => expect(compare(all, other, ignore)).toEqual(expected));

  test("if the status is ignored, the rest is compared", () => {
    expect(compare({ ...all, code: 201 }, other, ["status:/a/**"])).toEqual(["header etag", "value a", "value b"]);
  });

  test("a body is still decoded as its own side says, if the field with its coding is ignored", () => {
    const coded = { fields: [...text, "Content-Encoding: gzip"], body: gzipSync(plain) };
    const uncoded = { fields: text, body: plain };
    expect(compare(coded, uncoded, ["header:content-encoding"])).toEqual([]);
    expect(compare(uncoded, coded, ["header:content-encoding"])).toEqual([]);
  });

  test.each(["header:", "json", "cookie:a", "Header:a", ""])("%p is no rule", (rule) => {
    expect(parseIgnoreRule(rule)).toBeUndefined();
  });
});

describe("the shown parts", () => {
  const shown = (production: Given, endpoint: Given) => {
    const found = compareResponses(keptOf(production), keptOf(endpoint), "/", new Ignored([]));
    if (found === TOO_LARGE) throw new Error("too large");
    return found.map((difference) => show(difference, new Redactor([])));
  };

  test("the first difference of texts, with a little of both sides", () => {
    const [difference] = shown(
      { fields: text, body: `${"a".repeat(500)}1${"b".repeat(5000)}` },
      { fields: text, body: `${"a".repeat(500)}2${"b".repeat(5000)}` },
    );
    expect(difference!.production).toStartWith(`…${"a".repeat(24)}1bbb`);
    expect(difference!.endpoint).toStartWith(`…${"a".repeat(24)}2bbb`);
    for (const side of [difference!.production, difference!.endpoint])
      expect(Buffer.byteLength(side)).toBeLessThanOrEqual(SHOWN_BYTES_MAX);
  });

  test("values of JSON as JSON, length and digest of bytes, and nothing for an absent value", () => {
    expect(shown({ body: '{"a":[1,{"b":"x"}],"c":1}' }, { body: '{"a":null}' })).toEqual([
      { production: '[1,{"b":"x"}]', endpoint: "null" },
      { production: "1", endpoint: "" },
    ]);
    const digest = "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a";
    expect(shown({ body: new Uint8Array([1, 0]) }, { body: new Uint8Array([1]) })[0]!.endpoint).toBe(
      `1 bytes, sha256 ${digest}`,
    );
  });

  test("each side has at most 1 KiB, in whole characters", () => {
    const [difference] = shown({ body: `{"a":"${"ü".repeat(5000)}"}` }, { body: '{"a":1}' });
    expect(Buffer.byteLength(difference!.production)).toBeLessThanOrEqual(SHOWN_BYTES_MAX);
    expect(difference!.production).toMatch(/^"ü+…$/);
  });

  test("a secret in JSON is not shown, at any depth, also if the texts differ within the secret", () => {
    expect(shown({ body: '{"a":{"password":"hunter2","b":1}}' }, { body: '{"a":1}' })[0]!.production).toBe(
      '{"password":"[redacted]","b":1}',
    );
    expect(
      shown({ body: '{"user":{"token":{"x":"hunter2"}}}' }, { body: '{"user":{"token":{"x":"hunter3"}}}' }),
    ).toEqual([{ production: '"[redacted]"', endpoint: '"[redacted]"' }]);
    const pair = shown(
      { fields: text, body: "a=1&password=hunter2&b=1" },
      { fields: text, body: "a=1&password=hunter3&b=2" },
    );
    expect(JSON.stringify(pair)).not.toContain("hunter");
    expect(pair[0]!.production).toEndWith("b=1");
  });
});
