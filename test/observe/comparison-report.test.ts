/** The messages about comparisons: a route begins to differ, one direction is missing, noise, the table. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RefusalError } from "../../src/errors.ts";
import {
  isShown,
  NOISE_EXCESS_PERCENT,
  NOISE_PER_MILLION,
  newTally,
  placeIn,
  ROUTES_MAX,
  routeIn,
  sumOf,
  type Tally,
} from "../../src/compare/tally.ts";
import {
  ComparisonReport,
  OUTBOUND_WARNING_MS,
  PLACES_SHOWN_MAX,
  ROUTES_SHOWN_MAX,
  SIDE_LEN_MAX,
  tableOf,
} from "../../src/observe/comparison-report.ts";
import { DifferencesFile } from "../../src/observe/differences-file.ts";
import { Log } from "../../src/observe/log.ts";

function setUp(file: DifferencesFile | null = null) {
  const lines: string[] = [];
  const clock = { nowMs: 0 };
  const log = new Log("silent", "plain", () => clock.nowMs);
  log.warn = (line) => void lines.push(line);
  log.info = (line) => void lines.push(line);
  log.error = (line) => void lines.push(line);
  return { lines, clock, report: new ComparisonReport(log, file, () => clock.nowMs) };
}

function tallyOf(compared: number, count: number, control = 0, path = "/users/{}"): Tally {
  const tally = newTally();
  const route = routeIn(tally, "GET", path);
  tally.production_responses = compared;
  tally.compared = compared;
  tally.same = compared - count;
  tally.different = count;
  route.compared = compared;
  route.different = count;
  const place = placeIn(route, "value a", "value", () => "a")!;
  place.count = count;
  place.control_count = control;
  return tally;
}

test("the beginning of a route's differences is reported once", () => {
  const { lines, report } = setUp();
  report.update([tallyOf(10, 0)]);
  expect(lines).toEqual([]);
  report.update([tallyOf(10, 1)]);
  report.update([tallyOf(20, 2)]);
  expect(lines).toEqual(["The endpoint responds differently to GET /users/{}: value a in 1 of 10"]);
});

test("a difference with the same frequency in the control is noise", () => {
  const shown = (compared: number, count: number, control: number) => {
    const [route] = tallyOf(compared, count, control).routes.values();
    return isShown([...route!.places.values()][0]!, route!);
  };
  const most = 100 + NOISE_EXCESS_PERCENT;
  expect([shown(100, 10, 0), shown(1000, most, 100), shown(1000, most + 1, 100)]).toEqual([true, false, true]);
  const compared = 1_000_000;
  const accidents = NOISE_PER_MILLION;
  expect([shown(compared, accidents, 0), shown(compared, accidents + 1, 0)]).toEqual([false, true]);
  const { lines, report } = setUp();
  report.update([tallyOf(100, 10, 10)]);
  expect(lines).toEqual([]);
});

test("a mirror without the outbound direction is noticed after a while, and reported once with advice", () => {
  const { lines, clock, report } = setUp();
  report.tick(0);
  clock.nowMs = OUTBOUND_WARNING_MS;
  report.tick(5);
  clock.nowMs = 2 * OUTBOUND_WARNING_MS - 1;
  report.tick(6);
  expect(lines).toEqual([]);
  clock.nowMs++;
  report.tick(7);
  report.tick(8);
  report.totals(8);
  expect(lines.filter((line) => line.includes("outbound"))).toHaveLength(1);
  const both = setUp();
  both.report.update([tallyOf(1, 0)]);
  both.report.totals(1);
  expect(both.lines.join()).not.toContain("outbound");
});

test("the counts of several threads are added, and the routes beyond the limit count as one", () => {
  const sum = sumOf([tallyOf(10, 1), tallyOf(5, 2)]);
  expect([sum.compared, sum.different, sum.routes.size]).toEqual([15, 3, 1]);
  expect([...sum.routes.values()][0]).toMatchObject({ compared: 15, different: 3 });
  const tally = newTally();
  for (let i = 0; i < ROUTES_MAX + 5; i++) routeIn(tally, "GET", `/r${i}`).compared++;
  expect(tally.routes.size).toBe(ROUTES_MAX + 1);
  expect(tally.routes.get("* other")?.compared).toBe(5);
});

test("the table has the worst routes first, and gives reasons for the other requests", () => {
  const sum = sumOf([tallyOf(10, 1, 0, "/few"), tallyOf(10, 9, 0, "/many"), tallyOf(10, 0, 0, "/none")]);
  sum.not_comparable.unanswered = 3;
  const lines = tableOf(sum).map((line) => line.replace(/ +/g, " ").trim());
  expect(lines[0]).toBe("Comparison: 30 responses compared, 20 same, 10 different; not comparable: 3 unanswered");
  expect(lines.slice(2)).toEqual(["9 of 10 GET /many", "9 value a", "1 of 10 GET /few", "1 value a"]);
});

test.each([0, 1])("as many routes and differences as the table has, and %d more", (more) => {
  const tally = newTally();
  const example = { time: "", method: "GET", target: "/", client: "", endpoint: "" };
  const production = "p".repeat(SIDE_LEN_MAX + more);
  for (let i = 0; i < ROUTES_SHOWN_MAX + more; i++) {
    const route = routeIn(tally, "GET", `/r${i}`);
    route.compared = route.different = 1;
    for (let j = 0; j < PLACES_SHOWN_MAX + more; j++) {
      const place = placeIn(route, `value m${j}`, "value", () => `m${j}`)!;
      place.count = 1;
      place.examples.push({ draw: 0, item: { ...example, production } });
    }
  }
  const lines = tableOf(tally).slice(1);
  const [places, routes] = ["(1 more)", "(1 more routes differ)"].map((told) =>
    lines.filter((line) => line.includes(told)),
  );
  expect([places!.length, routes!.length]).toEqual([more * ROUTES_SHOWN_MAX, more]);
  expect(lines).toHaveLength(ROUTES_SHOWN_MAX * (1 + PLACES_SHOWN_MAX + more) + more);
  expect(lines[1]).toContain(`${"p".repeat(SIDE_LEN_MAX)}${more === 0 ? " in" : "… in"} production`);
});

describe("--differences", () => {
  const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-"));
  const path = join(directory, "found.ndjson");

  test("has one line for each difference, at most 1000 a minute, and counts the ones left out", () => {
    const { clock, report } = setUp(DifferencesFile.open(path));
    const lines = (count: number) => Array.from({ length: count }, (_, i) => `{"i":${i}}`);
    report.write(lines(999));
    report.write(lines(3));
    clock.nowMs = 60_000;
    report.write(lines(1));
    report.update([newTally()]);
    expect(report.summary.differences_left_out).toBe(2);
    report.totals(0);
    expect(readFileSync(path, "utf8").trimEnd().split("\n")).toHaveLength(1001);
  });

  test("counts the missing lines if the disk takes no more", () => {
    const file = DifferencesFile.open(path);
    const { lines, report } = setUp(file);
    report.write(["{}"]);
    file.append = () => {
      throw new RefusalError("its file system is full");
    };
    expect(report.isFileBroken).toBe(false);
    report.write(["{}", "{}"]);
    report.write(["{}", "{}", "{}"]);
    report.update([newTally()]);
    expect(report.summary.differences_left_out).toBe(5);
    expect({ isFileBroken: report.isFileBroken, lines }).toEqual({
      isFileBroken: true,
      lines: ["its file system is full"],
    });
    file.close();
  });

  test("refuses a link and a directory", () => {
    symlinkSync(path, join(directory, "link"));
    for (const bad of [join(directory, "link"), directory])
      expect(() => DifferencesFile.open(bad)).toThrow(`Cannot write differences to ${bad}`);
    rmSync(directory, { recursive: true });
  });
});
