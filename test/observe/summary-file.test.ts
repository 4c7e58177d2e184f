/** --summary's file: a regular file, and no other. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RefusalError } from "../../src/errors.ts";
import { Counters } from "../../src/observe/counters.ts";
import { SummaryFile } from "../../src/observe/summary-file.ts";

const directory = mkdtempSync(join(tmpdir(), "summary-"));
afterAll(() => rmSync(directory, { recursive: true }));

let files = 0;
const newPath = () => join(directory, `file-${files++}`);
const snapshot = new Counters().snapshot();
const TEXT = `${JSON.stringify(snapshot)}\n`;
const OTHER = "what is someone else's";

function refused(path: string, why: string): void {
  expect(() => SummaryFile.open(path)).toThrow(new RefusalError(`Cannot write the summary to ${path}: ${why}`));
}

describe("refused paths", () => {
  test("a symbolic link; its target stays unchanged", () => {
    const [target, link] = [newPath(), newPath()];
    writeFileSync(target, OTHER);
    symlinkSync(target, link);
    refused(link, "it is a symbolic link, which is not followed");
    expect(readFileSync(target, "utf8")).toBe(OTHER);
  });

  test("a symbolic link to nothing; no file is created", () => {
    const [target, link] = [newPath(), newPath()];
    symlinkSync(target, link);
    refused(link, "it is a symbolic link, which is not followed");
    expect(() => statSync(target)).toThrow("ENOENT");
  });

  test("a directory", () => refused(directory, "it is a directory"));
  test("a device", () => refused("/dev/null", "it is not a regular file"));
  test("a path without a directory", () => refused(join(directory, "no/such"), "there is no such directory"));

  test("a FIFO, with and without a reader", () => {
    const path = newPath();
    expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
    refused(path, "it is not a regular file");
    const reader = Bun.spawn(["sh", "-c", `exec 3<>"$0"; echo ready; exec sleep 60`, path], { stdout: "pipe" });
    return reader.stdout
      .getReader()
      .read()
      .then(() => {
        refused(path, "it is not a regular file");
        reader.kill();
      });
  });
});

describe("the written file", () => {
  test("a new file", () => {
    const path = newPath();
    SummaryFile.open(path).write(snapshot);
    expect(readFileSync(path, "utf8")).toBe(TEXT);
  });

  test("an existing file: its content is gone from the start", () => {
    const path = newPath();
    writeFileSync(path, OTHER.repeat(1000));
    const file = SummaryFile.open(path);
    expect(readFileSync(path, "utf8")).toBe("");
    file.write(snapshot);
    expect(readFileSync(path, "utf8")).toBe(TEXT);
  });

  test("the opened file, even if it has another name by then", () => {
    const [path, moved] = [newPath(), newPath()];
    const file = SummaryFile.open(path);
    renameSync(path, moved);
    symlinkSync("/dev/null", path);
    file.write(snapshot);
    expect(readFileSync(moved, "utf8")).toBe(TEXT);
  });

  test("a new file if the old one was removed", () => {
    const path = newPath();
    const file = SummaryFile.open(path);
    unlinkSync(path);
    file.write(snapshot);
    expect(readFileSync(path, "utf8")).toBe(TEXT);
  });

  test.each([
    [
      "a symbolic link",
      (path: string) => symlinkSync(join(directory, "elsewhere"), path),
      "it is a symbolic link, which is not followed",
    ],
    ["a directory", (path: string) => mkdirSync(path), "it is a directory"],
  ])("nothing through %s in the place of the removed file", (_name, put, why) => {
    const path = newPath();
    const file = SummaryFile.open(path);
    unlinkSync(path);
    put(path);
    expect(() => file.write(snapshot)).toThrow(new RefusalError(`Cannot write the summary to ${path}: ${why}`));
    expect(() => statSync(join(directory, "elsewhere"))).toThrow("ENOENT");
  });

  test("a file with two names", () => {
    const [path, other] = [newPath(), newPath()];
    writeFileSync(path, OTHER);
    linkSync(path, other);
    SummaryFile.open(path).write(snapshot);
    expect(readFileSync(other, "utf8")).toBe(TEXT);
  });
});
