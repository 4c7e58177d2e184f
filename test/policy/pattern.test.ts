/** Patterns match the same texts as JavaScript's own matcher, in a time that the text's length limits. */
import { describe, expect, test } from "bun:test";
import { find, Pattern, STATES_MAX } from "../../src/policy/pattern.ts";
import {
  globProgram,
  INSTRUCTIONS_MAX,
  PARTS_MAX,
  PATTERN_CHARS_MAX,
  type Program,
  regexProgram,
} from "../../src/policy/pattern-program.ts";
import { Unreadable } from "../../src/unreadable.ts";
import { Random } from "../support/random.ts";

const SEEDS = Number(process.env["PATTERN_SEEDS"] ?? 500);

function read(program: Program | Unreadable): Program {
  if (program instanceof Unreadable) throw new Error(program.why);
  return program;
}
const regex = (text: string) => read(regexProgram(text));
const glob = (text: string, kind: "path" | "text") => new Pattern(read(globProgram(text, kind)));

const ATOMS = ["a", "b", "c", "/", ".", "\\d", "[ab]", "[^a/]", "[a-c]", "\\.", "\\w", "\\W", "\\x61"];
const REPEATS = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}", "{1,}"];

/**
 * `isPlain`: groups are not repeated, nor parts that may match nothing: there, matchers differ about the content of a
 * group.
 */
function randomRegex(random: Random, depth: number, isPlain: boolean): string {
  const atom = () => {
    if (depth === 0 || random.chance(0.6)) return random.pick(ATOMS);
    return random.pick(["(", "(?:"]) + randomRegex(random, depth - 1, isPlain) + ")";
  };
  const piece = () => {
    if (random.chance(0.05)) return random.pick(["^", "$"]);
    const one = atom();
    const mayRepeat = !isPlain || !one.startsWith("(");
    return mayRepeat && random.chance(0.35) ? one + random.pick(REPEATS) : one;
  };
  const sequence = () => Array.from({ length: random.int(0, 3) }, piece).join("");
  return Array.from({ length: random.chance(0.3) ? 2 : 1 }, sequence).join("|");
}

const randomText = (random: Random) =>
  Array.from({ length: random.int(0, 12) }, () => random.pick([..."aabbc/1._"])).join("");

test("every regex matches where JavaScript's does", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Random(seed);
    const text = randomRegex(random, 3, false);
    const own = new Pattern(regex(text));
    const subjects = Array.from({ length: 10 }, () => randomText(random));
    const got = subjects.filter((subject) => own.matches(subject));
    expect([seed, text, got]).toEqual([seed, text, subjects.filter((subject) => new RegExp(text).test(subject))]);
  }
});

test("the match has the same place, and the same groups", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Random(seed);
    const text = randomRegex(random, 3, true);
    const program = regex(text);
    const subjects = Array.from({ length: 10 }, () => randomText(random));
    const want = subjects.map(
      (subject) => new RegExp(text, "d").exec(subject)?.indices?.flatMap((place) => place ?? [-1, -1]) ?? null,
    );
    expect([seed, text, subjects.map((subject) => find(program, subject))]).toEqual([seed, text, want]);
  }
});

describe("the time for a match grows only with the text's length", () => {
  const LENGTH = 64 << 10;
  // Each of them takes a backtracking matcher minutes at least, or longer than a life.
  const evil: [regex: string, text: string][] = [
    ["^(a+)+$", "a".repeat(LENGTH) + "b"],
    ["^(a|a)*$", "a".repeat(LENGTH) + "b"],
    ["^(a|aa)+$", "a".repeat(LENGTH) + "b"],
    ["(x+x+)+y", "x".repeat(LENGTH)],
    [".*.*.*=.*", "a".repeat(LENGTH)],
    ["(.*a){12}$", "a".repeat(LENGTH) + "b"],
    ["a*a*a*a*b", "a".repeat(LENGTH)],
    ["(a?){50}a{50}$", "a".repeat(LENGTH) + "b"],
    ["[ab]*a[ab]{12}c", "ab".repeat(LENGTH / 2)],
  ];
  // Hundreds of times the usual time, and nearly nothing beside backtracking.
  const LIMIT_MS = 2000;
  test.each(evil)("%s", (text, subject) => {
    const program = regex(text);
    const startMs = performance.now();
    expect(new Pattern(program).matches(subject)).toBe(false);
    // The place of a match is searched only if there is a match.
    expect(find(program, subject.slice(-LENGTH / 8))).toBeNull();
    expect(performance.now() - startMs).toBeLessThan(LIMIT_MS);
  });

  test("a glob with many stars", () => {
    const pattern = glob(`/${"*a".repeat(30)}**b`, "path");
    const startMs = performance.now();
    expect(pattern.matches("/" + "a".repeat(LENGTH))).toBe(false);
    expect(performance.now() - startMs).toBeLessThan(LIMIT_MS);
  });
});

test("the states have a limit: a text that meets more of them is still matched", () => {
  const pattern = new Pattern(regex("[ab]*a[ab]{12}c"));
  const random = new Random(1);
  const subject = Array.from({ length: 3000 }, () => random.pick(["a", "b"])).join("");
  expect(pattern.matches(subject)).toBe(false);
  expect(pattern["states"].size).toBeLessThanOrEqual(STATES_MAX);
  expect(pattern.matches(`${subject}a${"b".repeat(12)}c`)).toBe(true);
});

test("as many states as may be are kept, and all are made anew with one more", () => {
  const pattern = new Pattern(regex("[ab]*a[ab]{12}c"));
  const random = new Random(1);
  let subject = "";
  const grow = () => pattern.matches((subject += random.pick(["a", "b"])));
  while (pattern["states"].size < STATES_MAX) grow();
  while (pattern["states"].size === STATES_MAX) grow();
  expect(pattern["states"].size).toBeLessThan(STATES_MAX);
});

const globs: [kind: "path" | "text", glob: string, matching: string[], others: string[]][] = [
  ["path", "/a", ["/a"], ["/a/", "/ab", "/A", "", "a", "x/a"]],
  ["path", "/a/*", ["/a/", "/a/b"], ["/a", "/a/b/", "/a/b/c"]],
  ["path", "/*/b", ["/a/b", "//b"], ["/b", "/a/a/b"]],
  ["path", "/a/**", ["/a/", "/a/b", "/a/b/c"], ["/a", "/ab"]],
  ["path", "/**/b", ["/a/b", "/a/c/b", "//b"], ["/b"]],
  ["path", "**", ["", "/", "*", "/a/b"], []],
  ["path", "*", ["", "*", "a"], ["/", "/a"]],
  ["path", "/a.b+(c)[d]", ["/a.b+(c)[d]"], ["/aXb+(c)[d]", "/a.bb(c)d"]],
  ["path", "/ü", ["/\xc3\xbc"], ["/\xfc"]],
  ["text", "*.example", ["a.example", "a.b.example", ".example"], ["example", "a.example.org"]],
  ["text", "*a/b*", ["a/b", "xa/b/c"], ["a-b"]],
  ["text", "**", ["", "a/b"], []],
];
test.each(globs)("%s glob %s", (kind, text, matching, others) => {
  const pattern = glob(text, kind);
  expect([...matching, ...others].filter((each) => pattern.matches(each))).toEqual(matching);
});

const refused: [regex: string, at: number, why: string][] = [
  ["/a(b", 2, "not closed"],
  ["/a)b", 2, "nothing has opened"],
  ["/[ab", 1, "not closed"],
  ["/[b-a]", 2, "range"],
  ["/[\\d-z]", 2, "range"],
  ["*a", 0, "repeated"],
  ["a|+b", 2, "repeated"],
  ["a**", 2, "repetition of a repetition"],
  ["a{2}{3}", 4, "repetition of a repetition"],
  ["a{x}", 1, "no repetition"],
  ["a{3,2}", 1, "smaller number to a larger"],
  ["a{1001}", 1, "smaller number to a larger"],
  ["a}", 1, "nothing has opened"],
  ["^*", 1, "repeated"],
  ["a$+", 2, "repeated"],
  ["(a)\\1", 3, "back-reference"],
  ["(?=a)", 0, "bounded time"],
  ["(?<!a)", 0, "bounded time"],
  ["(?<n>a)", 0, "bounded time"],
  ["a\\b", 1, "not known"],
  ["a\\", 1, "not known"],
  ["\\x4", 0, "hexadecimal"],
  ["/ü", 1, "percent-encoded"],
  ["(((a{9}){9}){9}){9}", 0, "too large"],
  ["(?:(?:(?:){1000}){1000}){1000}", 0, "too large"],
  ["a".repeat(PATTERN_CHARS_MAX + 1), PATTERN_CHARS_MAX, "at most"],
];
test.each(refused)("%s is refused at %d", (text, at, why) => {
  const unreadable = regexProgram(text);
  if (!(unreadable instanceof Unreadable)) throw new Error(`${text} was read`);
  expect([unreadable.at, unreadable.why]).toEqual([at, expect.stringContaining(why)]);
});

test("a pattern of exactly the limit is taken", () => {
  const largest = `a{${INSTRUCTIONS_MAX - 1}}`;
  expect(regex(largest).instructions).toHaveLength(INSTRUCTIONS_MAX);
  expect(regexProgram(`a{${INSTRUCTIONS_MAX}}`)).toBeInstanceOf(Unreadable);
  expect(regex("a".repeat(PATTERN_CHARS_MAX - 1)).instructions).toHaveLength(PATTERN_CHARS_MAX);
});

test.each([
  [0, "read"],
  [1, "too large"],
])("of parts that make no instructions, as many as may be, and %d more: %s", (more, want) => {
  // A sequence of repetitions of nothing: each part counts, and all that it repeats.
  const most = 1000;
  const count = Math.floor((PARTS_MAX - 1) / (most + 1));
  const rest = PARTS_MAX - 1 - count * (most + 1) - 1;
  const program = regexProgram(`${`(?:){${most}}`.repeat(count)}(?:){${rest + more}}`);
  expect(program instanceof Unreadable ? program.why : "read").toContain(want);
});

test("every text is read or refused", () => {
  const random = new Random(7);
  for (let i = 0; i < SEEDS; i++) {
    const text = Array.from({ length: random.int(0, 15) }, () => random.pick([..."ab()[]{}|*+?^$\\.-,1x:=<!"])).join(
      "",
    );
    const program = regexProgram(text);
    if (program instanceof Unreadable) expect(program.at).toBeLessThanOrEqual(text.length);
    // JavaScript also accepts each pattern that is read here.
    else expect(new Pattern(program).matches("ab")).toBe(new RegExp(text).test("ab"));
  }
});
