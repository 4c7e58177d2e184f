/** A head in HTTP/1's form, as HTTP/2's fields: the same whether its lines were seen before or not. */
import { expect, test } from "bun:test";
import { encodeHead, encodeTrailer } from "../../../src/http/http2/head-encoder.ts";
import { ENTRY_OVERHEAD, HpackDecoder } from "../../../src/http/http2/hpack-decoder.ts";
import { HpackEncoder } from "../../../src/http/http2/hpack-encoder.ts";
import { Random } from "../../support/random.ts";

const encoder = new HpackEncoder();
const decoder = new HpackDecoder();

function decoded(): string[] {
  const fields: string[] = [];
  const sink = { field: (name: string, value: string) => void fields.push(`${name}: ${value}`), unknownField() {} };
  expect(decoder.decode(encoder.block, encoder.length, sink)).toBe(true);
  const texts = fields.map((field) => field.length - ": ".length + ENTRY_OVERHEAD);
  expect(encoder.listBytes).toBe(texts.reduce((sum, bytes) => sum + bytes, 0));
  return fields;
}

test("random heads with lines that repeat and replace each other", () => {
  const random = new Random(8);
  const names = ["x-a", "X-B", "accept", "Host", "cookie", "x-long", "x\xe4", "user-agent"];
  const values = ["", "1", "*/*", ": ", "a:b", "y".repeat(100), "z".repeat(121), "q".repeat(3000), "\xff"];
  const lines = Array.from({ length: 600 }, (_, i) => {
    const value = random.chance(0.5) ? random.pick(values) : String(i);
    return [random.pick(names), value] as const;
  });
  for (let run = 0; run < 2000; run++) {
    const hasAuthority = random.chance(0.7);
    const isConnect = random.chance(0.1) && hasAuthority;
    const target = random.pick(["/", "/index.html", "*", "/a b", `/${"p".repeat(300)}`]);
    const fields = Array.from({ length: random.int(0, 10) }, () => random.pick(lines));
    const words = { scheme: isConnect ? "" : "http", hasAuthority, protocol: null };
    // An edit may have moved the field `host`, and written it anew.
    const host = [random.pick(["host", "Host"]), random.pick(["production", ""])] as const;
    const isFirst = random.chance(0.8) || fields.some(([name]) => name === "Host");
    const all = hasAuthority ? (isFirst ? [host, ...fields] : [...fields, host]) : fields;
    const method = isConnect ? "CONNECT" : random.pick(["GET", "POST", "PURGE"]);
    const text = `${method} ${target} HTTP/1.1\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
    // The head's array is longer than it is.
    const bytes = Buffer.from(`${text}body: \n`, "latin1");
    encoder.begin();
    encodeHead(encoder, bytes, text.length, words, words.scheme);
    expect(decoded()).toEqual([
      `:method: ${method}`,
      ...(isConnect ? [] : [":scheme: http"]),
      ...(hasAuthority ? [`:authority: ${host[1]}`] : []),
      ...(isConnect ? [] : [`:path: ${target}`]),
      ...fields.map(([name, value]) => `${name.toLowerCase()}: ${value}`),
    ]);
  }
});

test("a trailer section", () => {
  for (let run = 0; run < 2; run++) {
    encoder.begin();
    encodeTrailer(encoder, "x-t: 1\r\ngrpc-status: 0\r\n");
    expect(decoded()).toEqual(["x-t: 1", "grpc-status: 0"]);
  }
});
