/** What a dry run keeps has limits, and no request goes uncounted at them. */
import { expect, test } from "bun:test";
import { HeadView } from "../../src/http/head-view.ts";
import {
  DECIDERS_MAX,
  DryRun,
  EXAMPLE_CHARS_MAX,
  exampleOf,
  EXAMPLES_MAX,
  OTHER_DECIDERS,
} from "../../src/policy/dry-run.ts";

test("deciders that are too many count as one more, and those that are known as themselves", () => {
  const run = new DryRun();
  for (let i = 0; i < DECIDERS_MAX; i++) run.count(`--deny path:/${i}`, "GET /");
  expect(run.results).toHaveLength(DECIDERS_MAX);
  for (const by of ["--deny path:/one-more", "--deny path:/another", "--deny path:/0"]) run.count(by, "GET /");
  expect(run.results).toHaveLength(DECIDERS_MAX + 1);
  expect(run.results.slice(0, 2).map(({ by, count }) => [by, count])).toEqual([
    ["--deny path:/0", 2],
    [OTHER_DECIDERS, 2],
  ]);
});

test("so many examples are kept, each once", () => {
  const run = new DryRun();
  const examples = Array.from({ length: EXAMPLES_MAX + 1 }, (_, i) => `GET /${i}`);
  for (const example of [...examples, ...examples]) run.count("--sample", example);
  expect(run.results).toEqual([{ by: "--sample", count: 2 * examples.length, examples: examples.slice(0, -1) }]);
});

test.each([0, 1])("an example is as long as it may be, and cut if it is %d longer", (more) => {
  const path = `/${"a".repeat(EXAMPLE_CHARS_MAX - "GET /".length + more)}`;
  const example = exampleOf(new HeadView(`GET ${path}?b HTTP/1.1\r\n\r\n`));
  expect(example).toBe(more === 0 ? `GET ${path}` : `GET ${path.slice(0, -1)}…`);
});
