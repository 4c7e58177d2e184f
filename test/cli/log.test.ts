import { afterEach, beforeEach, describe, expect, type Mock, spyOn, test } from "bun:test";
import { Log, LOG_LEVELS, type LogFormat, type LogLevel } from "../../src/observe/log.ts";

let written: Mock<typeof process.stderr.write>;

beforeEach(() => {
  written = spyOn(process.stderr, "write").mockImplementation(() => true);
});

afterEach(() => written.mockRestore());

/** The lines that the log writes to standard error during `use`; it writes nothing anywhere else. */
function lines(level: LogLevel, format: LogFormat, use: (log: Log) => void, now = () => 0): string[] {
  const elsewhere = spyOn(process.stdout, "write").mockImplementation(() => true);
  use(new Log(level, format, now));
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
  test.each(told)("%s writes messages of at least this severity", (level, count) => {
    for (const format of ["plain", "json"] as const) expect(lines(level, format, sayAll), format).toHaveLength(count);
  });

  test("are the levels of the option", () => expect(told.map(([level]) => level)).toEqual(["silent", ...LOG_LEVELS]));
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
  expect(objects.map(({ level, message }) => `${level} ${message}`)).toEqual([
    "error an error",
    "warn a warning",
    "info information",
    "debug a detail",
    "info with fields",
  ]);
  for (const { time } of objects) expect(new Date(time as string).toISOString()).toBe(time as string);
  expect(objects.at(-1)!.frames).toEqual({ captured: 3 });
});

test("only json shows fields", () => {
  const got = lines("info", "plain", (log) => log.info("with fields", { frames: 3 }));
  expect(got).toEqual([expect.stringMatching(/ with fields$/)]);
});

test("a message is written unchanged, with any content", () => {
  const messages = ['quotes " and \\', "%s %d %o %%", "<b>&amp;", "tab\tand ünïcode ⇒", "[object Object]", "{}"];
  const plain = lines("info", "plain", (log) => messages.forEach((message) => log.info(message)));
  expect(plain.map((line) => line.replace(/^\S+ INFO {2}/, ""))).toEqual(messages);
  const json = lines("info", "json", (log) => messages.forEach((message) => log.info(message)));
  expect(json.map((line) => JSON.parse(line).message)).toEqual(messages);
});

test("a repeated message is written each time", () => {
  for (const format of ["plain", "json"] as const) {
    const got = lines("info", format, (log) => {
      for (let i = 0; i < 100; i++) log.info("again");
    });
    expect(got).toHaveLength(100);
  }
});

describe("lines that repeat", () => {
  type Event = [atMs: number, kind: string, message: string] | [atMs: number, "tick"] | [atMs: number, "finish"];

  /** Logs lines of each kind at each time (a kind in capitals: as information), and checks the written lines. */
  function check(events: Event[], want: string[]): void {
    let nowMs = 0;
    const use = (log: Log) => {
      for (const [atMs, kind, message] of events) {
        nowMs = atMs;
        if (message === undefined) log[kind as "tick" | "finish"]();
        else if (kind === kind.toUpperCase()) log.infoOften(kind, message);
        else log.warnOften(kind, message);
      }
    };
    const got = lines("info", "plain", use, () => nowMs);
    expect(got.map((line) => line.replace(/^\S+ /, "").replace(/^WARN {2}/, ""))).toEqual(want);
  }

  const more = (count: number) => ` (and ${count} more like this since the last line)`;

  test("the first is written at once, then one a second, with the number of lines left out", () => {
    check(
      [
        [0, "a", "one"],
        [1, "a", "two"],
        [999, "a", "three"],
        [1000, "a", "four"],
        [2000, "a", "five"],
      ],
      ["one", `four${more(2)}`, "five"],
    );
  });

  test("kinds are independent", () => {
    check(
      [
        [0, "a", "one"],
        [0, "b", "two"],
        [10, "a", "three"],
        [1500, "b", "four"],
      ],
      ["one", "two", "four"],
    );
  });

  test("they are counted by the given clock", () => {
    const nowMs = 1_700_000_000_000.25;
    check(
      [
        [nowMs, "a", "one"],
        [nowMs + 999.5, "a", "two"],
        [nowMs + 1000.5, "a", "three"],
      ],
      ["one", `three${more(1)}`],
    );
  });

  test("after the burst, the last line that was left out is written, with the number of those before it", () => {
    check(
      [
        [0, "a", "one"],
        [1, "a", "two"],
        [2, "a", "three"],
        [3, "a", "four"],
        [999, "tick"],
        [1000, "tick"],
        [2000, "tick"],
      ],
      ["one", `four${more(2)}`],
    );
    check(
      [
        [0, "a", "one"],
        [1, "a", "two"],
        [1000, "tick"],
      ],
      ["one", "two"],
    );
    check(
      [
        [0, "a", "one"],
        [1000, "tick"],
        [9000, "tick"],
      ],
      ["one"],
    );
  });

  test("this line is also a line of its kind: the next one waits for its second", () => {
    check(
      [
        [0, "a", "one"],
        [1, "a", "two"],
        [1000, "tick"],
        [1500, "a", "three"],
        [2000, "tick"],
      ],
      ["one", "two", "three"],
    );
  });

  test("at the end, all lines that were left out are reported", () => {
    check(
      [
        [0, "a", "one"],
        [1, "a", "two"],
        [2, "a", "three"],
        [3, "finish"],
        [4, "finish"],
      ],
      ["one", `three${more(1)}`],
    );
  });

  test("information is limited like warnings; of two kinds, the last line is written last", () => {
    const flapping: Event[] = [
      [0, "down", "down 1"],
      [1, "UP", "up 1"],
      [2, "down", "down 2"],
      [3, "UP", "up 2"],
      [4, "down", "down 3"],
    ];
    check([...flapping, [1100, "tick"]], ["down 1", "INFO  up 1", "INFO  up 2", `down 3${more(1)}`]);
    check(
      [...flapping, [5, "UP", "up 3"], [1100, "tick"]],
      ["down 1", "INFO  up 1", `down 3${more(1)}`, `INFO  up 3${more(1)}`],
    );
  });

  test("of 339 lines a second, one a second is written for each kind, and the others are counted", () => {
    const events: Event[] = Array.from({ length: 60 * 339 }, (_, i) => [(i * 1000) / 339, "a", `number ${i}`]);
    let nowMs = 0;
    const got = lines(
      "info",
      "plain",
      (log) => {
        for (const [atMs, kind, message] of events) {
          nowMs = atMs;
          log.warnOften(kind, message!);
          log.tick();
        }
        log.finish();
      },
      () => nowMs,
    );
    expect(got.length).toBeWithin(60, 62);
    const untold = got.map((line) => Number(/\(and (\d+) more/.exec(line)?.[1] ?? 0));
    expect(untold.reduce((sum, count) => sum + count, got.length)).toBe(events.length);
  });
});
