/** The differences of JSON values, as the operator reads them: `kind path`. */
import { describe, expect, test } from "bun:test";
import { Differences, DIFFERENCES_MAX } from "../../src/compare/difference.ts";
import { Ignored, type IgnoreRule, parseIgnoreRule } from "../../src/compare/ignore.ts";
import { isSameNumber, JSON_DEPTH_MAX, JSON_VALUES_MAX, parseJson } from "../../src/compare/json.ts";
import { compareJson, PATH_LEN_MAX, pathOf } from "../../src/compare/json-difference.ts";
import { Random } from "../support/random.ts";

function differences(production: string, endpoint: string, ignore: string[] = []): string[] {
  const [a, b] = [parseJson(production), parseJson(endpoint)];
  if (a === null || b === null) throw new Error(`no JSON: ${a === null ? production : endpoint}`);
  const found = new Differences();
  compareJson(a, b, found, new Ignored(ignore.map((text) => parseIgnoreRule(text) as IgnoreRule)).json);
  return found.all.map(({ kind, where }) => `${kind} ${where}`.trimEnd());
}

const CASES: [name: string, production: string, endpoint: string, differences: string[]][] = [
  ["the same", '{"a":[1,{"b":null}]}', ' { "a" : [ 1 , {"b":null} ] } ', []],
  ["members in another order", '{"a":1,"b":2}', '{"b":2,"a":1}', []],
  ["a member that is missing", '{"a":1,"b":{"c":2}}', '{"b":{}}', ["missing a", "missing b.c"]],
  ["a member more", '{"a":1}', '{"a":1,"b":null}', ["extra b"]],
  ["another type", '{"a":"1"}', '{"a":1}', ["type a"]],
  ["null is a type", '{"a":null}', '{"a":"x"}', ["type a"]],
  ["another value", '{"a":{"b":true}}', '{"a":{"b":false}}', ["value a.b"]],
  [
    "elements drop their index",
    '{"items":[{"price":1},{"price":2}]}',
    '{"items":[{"price":3},{"price":4}]}',
    ["value items[].price"],
  ],
  ["at the root", "[1,2]", "[1,3]", ["value []"]],
  ["a scalar at the root", '"a"', '"b"', ["value"]],
  ["another order", '{"a":[1,2,3]}', '{"a":[3,1,2]}', ["order a"]],
  ["another order of objects", '[{"i":1},{"i":2}]', '[{"i":2},{"i":1}]', ["order"]],
  ["an element more at the front shifts nothing", '[{"i":1},{"i":2}]', '[{"i":0},{"i":1},{"i":2}]', ["extra []"]],
  ["elements that are missing here and there", "[1,2,3,4,5]", "[1,3,5]", ["missing []"]],
  [
    "an element that changed among others that moved",
    '[{"i":1,"p":1},{"i":2,"p":2}]',
    '[{"i":2,"p":2},{"i":1,"p":9}]',
    ["value [].p"],
  ],
  ["the same words twice", "[true,true,null]", "[true,null,null]", ["type []"]],
  ["nested arrays", '{"a":[[1],[2]]}', '{"a":[[1],[3]]}', ["value a[][]"]],
  ["names of the same kind", '{"a":1,"a":2}', '{"a":1,"a":3}', ["value a"]],
  ["a duplicate that is missing", '{"a":1,"a":2}', '{"a":1}', ["missing a"]],
  [
    "names that a path could misread",
    '{"a.b":{"c d":1},"":2}',
    '{"a.b":{"c d":2},"":3}',
    ['value ["a.b"]["c d"]', 'value [""]'],
  ],
  ["a name of Object's", '{"__proto__":1,"constructor":2}', '{"__proto__":3,"constructor":2}', ["value __proto__"]],
  ["escapes stand for characters", '"\\u0041\\/"', '"A/"', []],
  ["numbers by their value", "[1,100,0.5,-0,1e2]", "[1.0,1e2,5e-1,0,100]", []],
  ["numbers that are one double", "9007199254740993", "9007199254740992", ["value"]],
  ["a number beyond doubles", "1e400", "2e400", ["value"]],
  ["digits beyond doubles", "0.1000000000000000055511151231257827", "0.1", ["value"]],
];

describe("differences", () => {
  test.each(CASES)("%s", (_name, production, endpoint, expected) => {
    expect(differences(production, endpoint)).toEqual(expected);
  });

  test.each(CASES)("%s, the other way round, is in the same places", (_name, production, endpoint, expected) => {
    const turned: Record<string, string> = { missing: "extra", extra: "missing" };
    const turn = (line: string) => line.replace(/^\w+/, (kind) => turned[kind] ?? kind);
    expect(differences(endpoint, production).toSorted()).toEqual(expected.map(turn).toSorted());
  });
});

test.each([
  [["json:a"], []],
  [["json:a.b"], ["value c[].d"]],
  [["json:*"], []],
  [["json:c[].*"], ["value a.b"]],
  [["json:**.d"], ["value a.b"]],
  [["json:b"], ["value a.b", "value c[].d"]],
])("%p ignores a place and everything inside it", (ignore, left) => {
  const found = differences('{"a":{"b":1},"c":[{"d":1}]}', '{"a":{"b":2},"c":[{"d":2}]}', ignore);
  expect(found).toEqual(ignore.includes("json:a") ? ["value c[].d"] : left);
});

test.each([
  "{",
  '{"a"}',
  "[1,]",
  "01",
  "1.",
  "+1",
  "NaN",
  '"\n"',
  '"\\x"',
  "{}x",
  "",
  "tru",
  "'a'",
  '{"a":1,}',
  "[1 2]",
])("%p is not JSON", (text) => expect(parseJson(text)).toBeNull());

test("it reads the same texts as JSON.parse, and no others", () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = new Random(seed);
    const bytes = [...'{}[]",:0123456789.eE+-truefalsn\\u \n\t'];
    const text = Array.from({ length: random.int(0, 12) }, () => random.pick(bytes)).join("");
    let isJson = true;
    try {
      JSON.parse(text);
    } catch {
      isJson = false;
    }
    expect({ seed, text, isJson: parseJson(text) !== null }).toEqual({ seed, text, isJson });
  }
});

test("numbers equal their doubles if those are exact", () => {
  const random = new Random(1);
  for (let i = 0; i < 300; i++) {
    const [a, b] = [random.int(-20, 20) / 4, random.int(-20, 20) / 4];
    const ways = (x: number) => random.pick([String(x), x.toExponential(), `${x.toFixed(3)}`, `${x * 100}e-2`]);
    expect([a, b, isSameNumber(ways(a), ways(b))]).toEqual([a, b, a === b]);
  }
});

test("limits: depth, values, differences", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  expect(parseJson(nested(JSON_DEPTH_MAX + 1))).not.toBeNull();
  expect(parseJson(nested(JSON_DEPTH_MAX + 2))).toBeNull();
  const many = (count: number) => `[${"0,".repeat(count - 1)}0]`;
  expect(parseJson(many(JSON_VALUES_MAX - 1))).not.toBeNull();
  expect(parseJson(many(JSON_VALUES_MAX))).toBeNull();
  const wide = (value: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: DIFFERENCES_MAX + 1 }, (_, i) => [`m${i}`, value])));
  expect(differences(wide(1), wide(2))).toHaveLength(DIFFERENCES_MAX);
});

test("a path has a maximum length, and a deeper difference is reported at the place of the cut", () => {
  const longest = "n".repeat(PATH_LEN_MAX);
  for (const name of [longest, `${longest}n`]) {
    expect(pathOf([name])).toBe(longest);
    const value = (text: string) => JSON.stringify({ [name]: { [text]: text } });
    expect(differences(value("a"), value("b"))).toEqual([`missing ${longest}`, `extra ${longest}`]);
  }
});

/**
 * A comparison takes dozens of times as long as the engine's parser. Comparing each element with each other would take
 * ten thousands of times as long.
 */
const TIMES_PARSING_MAX = 500;
const MEASURABLE_MS = 1;

/** The CPU time of this process; other processes do not change it. */
function processorMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

test("a MiB is compared in bounded time, for any content", () => {
  const MIB = 1 << 20;
  const list = (count: number, item: (i: number) => string) =>
    `[${Array.from({ length: count }, (_, i) => item(i)).join(",")}]`;
  const pairs: [string, string][] = [
    [list(50_000, (i) => `{"id":${i},"p":1}`), list(50_000, (i) => `{"id":${49_999 - i},"p":2}`)],
    [list(130_000, () => "1"), list(130_000, (i) => String(i % 2))],
    [list(130_000, (i) => String(i)), list(130_000, (i) => String(130_000 - i))],
    [`{${list(60_000, (i) => `"a${i}":${i}`).slice(1, -1)}}`, `{${list(60_000, (i) => `"b${i}":${i}`).slice(1, -1)}}`],
    [`"${"a".repeat(MIB)}"`, `"${"a".repeat(MIB - 1)}b"`],
  ];
  for (const [a, b] of pairs) {
    const parsedMs = processorMs(() => [a, b].map((text) => JSON.parse(text)));
    expect(processorMs(() => differences(a, b))).toBeLessThan(TIMES_PARSING_MAX * Math.max(parsedMs, MEASURABLE_MS));
  }
});
