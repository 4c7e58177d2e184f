import { afterEach, beforeEach, describe, expect, type Mock, spyOn, test } from "bun:test";
import { Log, LOG_LEVELS, type LogFormat, type LogLevel } from "../../src/observe/log.ts";

let written: Mock<typeof process.stderr.write>;

beforeEach(() => {
  written = spyOn(process.stderr, "write").mockImplementation(() => true);
});

afterEach(() => written.mockRestore());

/** What `use` has the log write to standard error, line by line; nothing goes anywhere else. */
function lines(level: LogLevel, format: LogFormat, use: (log: Log) => void): string[] {
  const elsewhere = spyOn(process.stdout, "write").mockImplementation(() => true);
  use(new Log(level, format));
  expect(elsewhere).not.toHaveBeenCalled();
  elsewhere.mockRestore();
  const text = written.mock.calls.map(([chunk]) => String(chunk)).join("");
  written.mockClear();
  if (text === "") return [];
  expect(text.endsWith("\n")).toBe(true);
  return text.slice(0, -1).split("\n");
}

function sayAll(log: Log): void {
  log.error("an error");
  log.warn("a warning");
  log.info("information");
  log.debug("a detail");
}

describe("levels", () => {
  const told: [LogLevel, number][] = [
    ["silent", 0],
    ["error", 1],
    ["warn", 2],
    ["info", 3],
    ["debug", 4],
    ["trace", 4],
  ];
  test.each(told)("%s tells what is at least as grave", (level, count) => {
    for (const format of ["plain", "json"] as const) expect(lines(level, format, sayAll), format).toHaveLength(count);
  });

  test("are all the options' levels", () => expect(told.map(([level]) => level)).toEqual(["silent", ...LOG_LEVELS]));
});

test("plain is one line: time, level, message", () => {
  const [error, warn, info, debug] = lines("debug", "plain", sayAll);
  expect(error).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ERROR an error$/);
  expect(warn).toMatch(/Z WARN {2}a warning$/);
  expect(info).toMatch(/Z INFO {2}information$/);
  expect(debug).toMatch(/Z DEBUG a detail$/);
});

test("json is one object a line: time, level, message, and the fields of the call", () => {
  const got = lines("debug", "json", (log) => {
    sayAll(log);
    log.info("with fields", { frames: { captured: 3 } });
  });
  const objects = got.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(objects.map(({ level, message }) => `${level} ${message}`)).toEqual(["error an error", "warn a warning", "info information", "debug a detail", "info with fields"]);
  for (const { time } of objects) expect(new Date(time as string).toISOString()).toBe(time as string);
  expect(objects.at(-1)!.frames).toEqual({ captured: 3 });
});

test("only json shows fields", () => {
  const got = lines("info", "plain", (log) => log.info("with fields", { frames: 3 }));
  expect(got).toEqual([expect.stringMatching(/ with fields$/)]);
});

test("a message is told as it is, whatever is in it", () => {
  const messages = ['quotes " and \\', "%s %d %o %%", "<b>&amp;", "tab\tand ünïcode ⇒", "[object Object]", "{}"];
  const plain = lines("info", "plain", (log) => messages.forEach((message) => log.info(message)));
  expect(plain.map((line) => line.replace(/^\S+ INFO {2}/, ""))).toEqual(messages);
  const json = lines("info", "json", (log) => messages.forEach((message) => log.info(message)));
  expect(json.map((line) => JSON.parse(line).message)).toEqual(messages);
});

test("the same message many times is told many times", () => {
  for (const format of ["plain", "json"] as const) {
    const got = lines("info", format, (log) => {
      for (let i = 0; i < 100; i++) log.info("again");
    });
    expect(got).toHaveLength(100);
  }
});

describe("warnOften", () => {
  /** Warns of each kind at each time, and checks what of it is told. */
  function check(calls: [kind: string, message: string, atMs: number][], want: string[]): void {
    const got = lines("info", "plain", (log) => {
      for (const [kind, message, atMs] of calls) log.warnOften(kind, message, atMs);
    });
    expect(got.map((line) => line.replace(/^\S+ WARN {2}/, ""))).toEqual(want);
  }

  test("tells the first at once, then one a second, with the number of those left out", () => {
    check([["a", "one", 0], ["a", "two", 1], ["a", "three", 999], ["a", "four", 1000], ["a", "five", 2000]], ["one", "four (and 2 more like this since the last line)", "five"]);
  });

  test("knows kinds apart", () => {
    check([["a", "one", 0], ["b", "two", 0], ["a", "three", 10], ["b", "four", 1500]], ["one", "two", "four"]);
  });

  test("counts by the clock it is given", () => {
    const nowMs = 1_700_000_000_000.25;
    check([["a", "one", nowMs], ["a", "two", nowMs + 999.5], ["a", "three", nowMs + 1000.5]], ["one", "three (and 1 more like this since the last line)"]);
  });
});
