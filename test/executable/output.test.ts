/** The executable's output, with readers of different speeds. */
import { expect, test } from "bun:test";
import { licenses } from "../../src/cli/licenses.ts";
import { usage } from "../../src/cli/usage.ts";
import { run, TemporaryDirectory } from "./program.ts";
import { oneRequest, PORT, VNI } from "./sessions.ts";

const shell = (script: string): { through: string[] } => ({ through: ["sh", "-c", script, "sh"] });
/** The capacity of a pipe. */
const PIPE_BYTES = 65_536;

test("standard output that cannot be written is an error", async () => {
  for (const flag of ["--help", "--version", "--licenses"])
    expect(await run([flag], shell(`exec "$@" >/dev/full`))).toEqual({
      status: 1,
      stdout: "",
      stderr: "vxlan-to-http: Cannot write to standard output: its file system is full\n",
    });
});

test("a slow reader gets the whole output", async () => {
  expect(licenses().length).toBeGreaterThan(PIPE_BYTES);
  const got = await run(["--licenses"], shell(`"$@" | { sleep 0.3; cat; }`));
  // Not toEqual: it would print both texts completely.
  expect(got.stdout === `${licenses()}\n`).toBe(true);
  expect((await run(["--help"], shell(`"$@" | { sleep 0.1; cat; }`))).stdout).toBe(`${usage()}\n`);
});

test("the last log lines wait for a slow reader", async () => {
  const { stdout } = await run(
    ["--nope"],
    shell(`{ head -c ${PIPE_BYTES} /dev/zero; "$@"; } 2>&1 | { sleep 0.3; cat; }`),
  );
  expect(stdout.slice(PIPE_BYTES)).toEndWith("there is no such flag\nTry vxlan-to-http --help\n");
});

test("a savefile that a shell's <(command) makes", async () => {
  using directory = new TemporaryDirectory();
  const capture = directory.file("one.pcap", oneRequest);
  const args = ["--dry-run", String(VNI), String(PORT), "nobody:80"];
  const got = await run(args, { through: ["bash", "-c", `"$@" --read <(cat ${capture})`, "bash"] });
  expect({ status: got.status, stderr: got.stderr }).toEqual({
    status: 0,
    stderr: expect.stringContaining("Requests: 1 seen"),
  });
});

test("a savefile of another VNI or port is reported, even with few frames", async () => {
  using directory = new TemporaryDirectory();
  const capture = directory.file("one.pcap", oneRequest);
  const cases: [args: string[], says: string][] = [
    [[String(VNI + 1), String(PORT)], `carried VNI ${VNI}, none ${VNI + 1}`],
    [[String(VNI), String(PORT + 1)], `for port ${PORT}, none for ${PORT + 1}`],
    [["--encapsulation", "geneve", String(VNI), String(PORT)], "belongs to a geneve mirror"],
  ];
  for (const [args, says] of cases) {
    const { status, stderr } = await run(["--dry-run", "--read", capture, ...args, "nobody:80"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining(says) });
  }
});
