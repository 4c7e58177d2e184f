import { describe, expect, test } from "bun:test";
import { chownSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bareSystem, onLoopback } from "./loopback.ts";
import type { LoopbackOutcome } from "./on-loopback.ts";
import { canIsolate, REPOSITORY } from "./program.ts";
import { REQUEST } from "./sessions.ts";

const isolated = canIsolate("capturing on lo with each libpcap");

function checkForwarded({ status, stderr, received }: LoopbackOutcome): void {
  expect(received).toBe(REQUEST);
  expect(stderr).toContain("of which 3 were segments of ours");
  expect(status).toBe(0);
}

describe.if(isolated)("capturing on lo", () => {
  test("uses the embedded libpcap on a system without one", async () => {
    using root = bareSystem();
    const outcome = await onLoopback({ executable: "/vxlan-to-http", root: root.path });
    expect(outcome.stderr).toContain("Using the embedded libpcap (libpcap version ");
    checkForwarded(outcome);
  });

  test("does not load a libpcap from the working directory", async () => {
    using root = bareSystem();
    const planted = readFileSync(join(REPOSITORY, `src/capture/libpcap/libpcap-linux-${process.arch}.so`));
    // chroot(1) makes the root directory the working directory.
    for (const name of ["libpcap.so.0.8", "libpcap.so.1", "libpcap.so"]) root.file(name, planted);
    const outcome = await onLoopback({ executable: "/vxlan-to-http", root: root.path });
    expect(outcome.stderr).toContain("Using the embedded libpcap (libpcap version ");
    checkForwarded(outcome);
  });

  test("does not load an embedded libpcap that another user has put at the place of unpacking", async () => {
    using root = bareSystem();
    const temporary = join(root.path, "tmp");
    await onLoopback({ executable: "/vxlan-to-http", root: root.path });
    const [unpacked] = readdirSync(temporary) as [string];
    expect(unpacked).toMatch(/^\.bun-0-[0-9a-f]+\.so$/);
    writeFileSync(join(temporary, unpacked), "another user's");
    chownSync(join(temporary, unpacked), 65_534, 65_534);
    checkForwarded(await onLoopback({ executable: "/vxlan-to-http", root: root.path }));
    expect(statSync(join(temporary, unpacked))).toMatchObject({ uid: 0, mode: 0o100600 });
  }, 30_000);

  const systemLibrary = isolated
    ? Bun.spawnSync(["ldconfig", "-p"])
        .stdout.toString()
        .match(/libpcap\.so\.(0\.8|1)\b/)?.[0]
    : undefined;
  if (isolated && systemLibrary === undefined)
    console.warn("skipped: capturing with the system's libpcap (it has none)");
  test.if(systemLibrary !== undefined)("uses the system's libpcap if there is one", async () => {
    const outcome = await onLoopback({});
    expect(outcome.stderr).toContain(`Using the system's ${systemLibrary} (libpcap version `);
    checkForwarded(outcome);
  });

  test("prefers the libpcap that --libpcap names", async () => {
    const path = join(REPOSITORY, `src/capture/libpcap/libpcap-linux-${process.arch}.so`);
    const outcome = await onLoopback({ flags: ["--libpcap", path] });
    expect(outcome.stderr).toContain(`Using ${path} (libpcap version `);
    checkForwarded(outcome);
  });

  test("gives advice if there is no libpcap and the embedded one cannot be unpacked", async () => {
    using root = bareSystem();
    const { status, stderr } = await onLoopback({
      executable: "/vxlan-to-http",
      root: root.path,
      prepare: `mount -t tmpfs -o ro none ${root.path}/tmp`,
    });
    expect(stderr).toMatch(/Cannot load libpcap: .*install libpcap or name one with --libpcap PATH/);
    expect(status).toBe(1);
  });

  test("prevents the kernel from refusing the mirror's datagrams", async () => {
    const outcome = await onLoopback({});
    expect(outcome).toMatchObject({ refusedBefore: 1, refusedMeanwhile: 0 });
    checkForwarded(outcome);
  });

  test("works although another program has the mirror's UDP port", async () => {
    const outcome = await onLoopback({ port: "taken" });
    expect(outcome.stderr).toContain("Another program has UDP port 4789 already");
    checkForwarded(outcome);
  });
});
