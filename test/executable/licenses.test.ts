import { expect, test } from "bun:test";
import { licenses } from "../../src/cli/licenses.ts";
import { run, TemporaryDirectory } from "./program.ts";

test("the executable alone, in an empty directory, prints all notices", async () => {
  using directory = new TemporaryDirectory();
  const executable = directory.copyOfProgram();
  const got = await run(["--licenses"], { executable, cwd: directory.path });
  expect(got).toEqual({ status: 0, stdout: `${licenses()}\n`, stderr: "" });
});

test("a reader that stops early is no error", async () => {
  const got = await run(["--licenses"], { through: ["sh", "-c", `"$@" | head -n 1`, "sh"] });
  expect(got).toEqual({ status: 0, stdout: `${licenses().split("\n")[0]}\n`, stderr: "" });
});
