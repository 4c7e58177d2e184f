import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { LoopbackOutcome } from "./on-loopback.ts";
import { canIsolate, PROGRAM, REPOSITORY, TemporaryDirectory } from "./program.ts";
import { REQUEST } from "./sessions.ts";

const isolated = canIsolate("capturing on lo with each libpcap");

/** A root file system with the program and the C library that it is linked to, and no libpcap. */
function bareSystem(): TemporaryDirectory {
  const root = new TemporaryDirectory();
  root.copyOfProgram();
  const libraries = Bun.spawnSync(["ldd", PROGRAM]).stdout.toString().match(/\/\S+/g) ?? [];
  for (const library of libraries) {
    mkdirSync(join(root.path, dirname(library)), { recursive: true });
    copyFileSync(library, join(root.path, library));
  }
  for (const name of ["proc", "dev", "sys", "tmp"]) mkdirSync(join(root.path, name));
  return root;
}

interface Place {
  executable?: string;
  /** Root directory; "" is the machine's own. */
  root?: string;
  port?: "free" | "taken";
  flags?: string[];
  /** Shell code that is run there first. */
  prepare?: string;
}

/** Captures on the lo of a network namespace of its own. */
async function onLoopback({
  executable = PROGRAM,
  root = "",
  port = "free",
  flags = [],
  prepare = "true",
}: Place): Promise<LoopbackOutcome> {
  const mounts =
    root === ""
      ? "true"
      : `mount --bind /proc ${root}/proc && mount --bind /dev ${root}/dev && mount -t sysfs none ${root}/sys`;
  const shell = `ip link set lo up && ${mounts} && ${prepare} && exec "$@"`;
  const command = [process.execPath, join(import.meta.dir, "on-loopback.ts"), executable, root, port, ...flags];
  const inside = Bun.spawn(["unshare", "-n", "-m", "sh", "-c", shell, "sh", ...command], {
    stdout: "pipe",
    stderr: "inherit",
  });
  return JSON.parse(await new Response(inside.stdout).text());
}

function checkForwarded({ status, stderr, received }: LoopbackOutcome): void {
  expect(received).toBe(REQUEST);
  expect(stderr).toContain("of which 3 were segments of ours");
  expect(status).toBe(0);
}

describe.if(isolated)("capturing on lo", () => {
  test("uses the embedded libpcap on a system that has none", async () => {
    using root = bareSystem();
    const outcome = await onLoopback({ executable: "/vxlan-to-http", root: root.path });
    expect(outcome.stderr).toContain("Using the embedded libpcap (libpcap version ");
    checkForwarded(outcome);
  });

  const systemLibrary = isolated
    ? Bun.spawnSync(["ldconfig", "-p"])
        .stdout.toString()
        .match(/libpcap\.so\.(0\.8|1)\b/)?.[0]
    : undefined;
  if (isolated && systemLibrary === undefined)
    console.warn("skipped: capturing with the system's libpcap (it has none)");
  test.if(systemLibrary !== undefined)("uses the system's libpcap where there is one", async () => {
    const outcome = await onLoopback({});
    expect(outcome.stderr).toContain(`Using the system's ${systemLibrary} (libpcap version `);
    checkForwarded(outcome);
  });

  test("uses the libpcap that --libpcap names before any other", async () => {
    const path = join(REPOSITORY, `src/capture/libpcap/libpcap-linux-${process.arch}.so`);
    const outcome = await onLoopback({ flags: ["--libpcap", path] });
    expect(outcome.stderr).toContain(`Using ${path} (libpcap version `);
    checkForwarded(outcome);
  });

  test("says what to do where there is no libpcap and the embedded one cannot be unpacked", async () => {
    using root = bareSystem();
    const { status, stderr } = await onLoopback({
      executable: "/vxlan-to-http",
      root: root.path,
      prepare: `mount -t tmpfs -o ro none ${root.path}/tmp`,
    });
    expect(stderr).toMatch(/Cannot load libpcap: .*install libpcap or name one with --libpcap PATH/);
    expect(status).toBe(1);
  });

  test("keeps the kernel from refusing the mirror's datagrams", async () => {
    const outcome = await onLoopback({});
    expect(outcome).toMatchObject({ refusedBefore: 1, refusedMeanwhile: 0 });
    checkForwarded(outcome);
  });

  test("does not mind that something else has the mirror's UDP port", async () => {
    const outcome = await onLoopback({ port: "taken" });
    expect(outcome.stderr).toContain("UDP port 4789 has an owner already");
    checkForwarded(outcome);
  });
});
