/** The repository's promises about itself. */
import { expect, test } from "bun:test";
import { accessSync, constants, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { spreadTable } from "../scripts/aws/spread.ts";

const path = (name: string) => join(import.meta.dir, "..", name);
const read = (name: string) => readFileSync(path(name), "utf8");
/** The documents, by their paths. */
const DOCUMENTS = ["*.md", "src/**/*.md", "scripts/**/*.md", ".github/*.md"].flatMap((pattern) => [
  ...new Bun.Glob(pattern).scanSync({ cwd: path("."), dot: true }),
]);

/** The anchor of a heading: lower case, hyphens for blanks, no other punctuation. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\w\s-]/g, "")
    .replaceAll(" ", "-");

const { version, license, scripts } = JSON.parse(read("package.json")) as {
  version: string;
  license: string;
  scripts: Record<string, string>;
};

test("the newest entry of the changelog, except for what comes next, is for this version, and the others are older", () => {
  const told = [...read(".github/CHANGELOG.md").matchAll(/^## (\S+)$/gm)].map(([, version]) => version!);
  const versions = told[0] === "Next" ? told.slice(1) : told;
  expect(versions[0]).toBe(version);
  expect(versions).toEqual(versions.toSorted(Bun.semver.order).toReversed());
});

test("only the owner may use it until the owner decides otherwise", () => expect(license).toBe("UNLICENSED"));

test.each(["bench", "build", "demo", "fuzz", "lint", "test"])("bun run %s is the script of that name", (name) => {
  expect(scripts[name]).toBe(`./scripts/${name}`);
  accessSync(path(`scripts/${name}`), constants.X_OK);
});

test("the workflow runs .ci/run on both kinds of machine, and fetches nothing except its checkout", () => {
  const workflow = read(".github/workflows/ci.yml");
  expect(workflow).toContain("runner: [ubuntu-24.04, ubuntu-24.04-arm]");
  expect([...workflow.matchAll(/^ *- run: (.*)$/gm)].map(([, command]) => command)).toEqual([
    expect.stringMatching(/ \.ci\/run$/),
  ]);
  expect([...workflow.matchAll(/uses: (\S+)/g)].map(([, action]) => action)).toEqual([
    expect.stringMatching(/^actions\/checkout@[0-9a-f]{40}$/),
  ]);
  expect(workflow).not.toMatch(/https?:/);
});

test("the guide's table of the spread over replay servers is the output of scripts/spread", () => {
  expect(read("scripts/aws/README.md")).toContain(`\n${spreadTable()}\n`);
});

/** Limits that no test names. */
const LIMITS_BY_VALUE = {
  "what a format or the kernel can say": [
    ...[
      "ADDRESS_WORDS_MAX",
      "ASCII_MAX",
      "DATAGRAM_BYTES_MAX",
      "FAMILY_UNIX_MAX",
      "FRAME_TYPE_MAX",
      "JUMP_MAX",
      "KEY_MAX",
    ],
    ...["LENGTH_NUMBER_MAX", "LITERAL_NUMBER_MAX", "NUMBER_BYTES_MAX", "OWN_FRAME_BYTES_MAX", "PADDING_BITS_MAX"],
    ...["PORT_MAX", "RECORD_LENGTH_MAX", "RECORD_TYPE_MAX", "RECORD_VERSION_MINOR_MAX", "SNAPSHOT_BYTES_MAX"],
    ...["STATM_BYTES_MAX", "STREAM_MAX", "TRANSPORT_DATAGRAM_MAX", "UNIT_BYTES_MAX", "VNI_MAX", "WINDOW_BYTES_MAX"],
    ...["WINDOW_MAX", "FLAGS_BYTES_MAX", "RECORD_BYTES_MAX"],
  ],
  "tests have the number that the user is told": [
    "ALSO_MAX",
    "FACTOR_MAX",
    "REPEAT_MAX",
    "STRANGERS_SHOWN_MAX",
    "THREADS_MAX",
  ],
  "nothing can be lost: it is about what a message shows": [
    "CHARS_MAX",
    "NAMES_MAX",
    "QUOTED_CHARS_MAX",
    "SHORT_CHARS_MAX",
  ],
  "nothing can be lost: it is about how much is done at a time": [
    ...[
      "ALIKE_MAX",
      "CHECKED_RECORDS_MAX",
      "COPIED_HERE_BYTES_MAX",
      "GROWTH_SHARE_MAX",
      "LINE_BYTES_MAX",
      "LOAD_MAX",
      "PART_BYTES_MAX",
    ],
    ...["PROBES_MAX", "READ_RECORDS_MAX", "RECORDS_MAX", "REHEARSAL_MS_MAX"],
  ],
};

test("every limit of the sources has a test that names it, or a reason for none", () => {
  const textsOf = (pattern: string) => [...new Bun.Glob(pattern).scanSync(path("."))].map(read);
  const limits = textsOf("src/**/*.ts").flatMap((text) =>
    [...text.matchAll(/^(?:export )?const ([A-Z\d_]*_MAX(?:_[A-Z\d]+)*) =/gm)].map(([, name]) => name!),
  );
  // This file names all that it leaves out.
  const tests = textsOf("test/**/*.ts").filter((text) => !text.includes("LIMITS_BY_VALUE"));
  const byValue = Object.values(LIMITS_BY_VALUE).flat();
  const named = new Set(tests.flatMap((text) => text.match(/\b[A-Z\d_]*_MAX\w*\b/g) ?? []));
  expect(limits.length).toBeGreaterThan(100);
  expect(limits.filter((name) => !named.has(name) && !byValue.includes(name))).toEqual([]);
});

test("every test that the threat model names exists", () => {
  const named = [...read(".github/SECURITY.md").matchAll(/`(test\/[^`]+)`/g)].map(([, name]) => name!);
  expect(named.length).toBeGreaterThan(10);
  for (const name of named) accessSync(path(name));
});

test("there are a document for users, one for developers, and guides", () => {
  expect(DOCUMENTS).toEqual(expect.arrayContaining(["README.md", "src/README.md", "src/compare/README.md"]));
});

test.each(DOCUMENTS)("every link of %s leads to a file, and to a heading in it", (document) => {
  const links = [...read(document).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)];
  for (const [, file, heading] of links) {
    const target = file === "" ? document : join(dirname(document), file!);
    accessSync(path(target));
    if (heading === undefined) continue;
    expect([...read(target).matchAll(/^#+ (.*)$/gm)].map(([, text]) => anchor(text!))).toContain(heading);
  }
});

test("the README can be read in a few minutes", () => expect(read("README.md").split("\n").length).toBeLessThan(400));
