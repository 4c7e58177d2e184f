/** The systemd unit: its restrictions, and the program under them. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ServiceOutcome } from "./on-service.ts";
import { canIsolate, PROGRAM, REPOSITORY } from "./program.ts";
import { REQUEST } from "./sessions.ts";

const UNIT = join(REPOSITORY, "scripts/systemd/vxlan-to-http.service");
const INSTALL = join(REPOSITORY, "scripts/install-service");
/** At most 10, in tenths: "medium" begins at 5. */
const EXPOSURE_MAX_TENTHS = 29;
/** CAP_NET_RAW and CAP_SYS_NICE. */
const CAPABILITIES = "0000000000802000";

const hasSystemd = existsSync("/usr/lib/systemd/systemd") && Bun.which("systemd-analyze") !== null;
if (!hasSystemd) console.warn("skipped: the service under systemd (systemd is not installed)");

describe.if(hasSystemd)("the unit", () => {
  test("systemd-analyze finds no mistake in it, and a low exposure", () => {
    const analyze = ["systemd-analyze", "security", "--offline=true", `--threshold=${EXPOSURE_MAX_TENTHS}`, UNIT];
    const { success, stdout, stderr } = Bun.spawnSync(analyze, { stderr: "pipe" });
    expect(stdout.toString() + stderr.toString()).toContain("Overall exposure level");
    expect(stderr.toString()).toBe("");
    expect(success).toBe(true);
  });

  /** Whether a test may start its own systemd on this machine. */
  const startsSystemd = () => {
    const inside = join(import.meta.dir, "in-systemd.sh");
    const works = Bun.spawnSync(["timeout", "20", inside, "true"], { stderr: "ignore" }).success;
    if (!works) console.warn("skipped: the service under systemd (none starts in namespaces here)");
    return works;
  };

  test.if(hasSystemd && canIsolate("the service under systemd") && startsSystemd())(
    "installed, it captures and forwards as a user of its own, comes back when it is killed, and is removed whole",
    async () => {
      const command = [process.execPath, join(import.meta.dir, "on-service.ts"), PROGRAM];
      const inside = Bun.spawn([join(import.meta.dir, "in-systemd.sh"), ...command], {
        stdout: "pipe",
        stderr: "inherit",
      });
      const outcome = JSON.parse(await new Response(inside.stdout).text()) as ServiceOutcome;
      expect(outcome.identities).toHaveLength(1);
      const identity = outcome.identities[0]!;
      // systemd-exec(5): users for a service are in this range.
      expect(Number(identity["Uid"]!.split(" ")[0])).toBeWithin(61_184, 65_520);
      expect(identity).toMatchObject({ CapEff: CAPABILITIES, CapBnd: CAPABILITIES, NoNewPrivs: "1", Seccomp: "2" });
      expect(outcome).toMatchObject({
        nice: -10,
        descriptors: outcome.descriptorsMax,
        received: REQUEST + REQUEST,
        result: "success",
        // The first two are its own, and disappear at its end.
        writable: "/var/tmp\n/tmp\n/var/lib/vxlan-to-http",
        summary: { frames: { segments: 3 } },
        environmentMode: "600",
        left: [],
      });
    },
    30_000,
  );
});

test.each([
  [["eth0", "42", "80"], 2, /^Installs vxlan-to-http/],
  [["--nope"], 2, /^Installs vxlan-to-http/],
  [["eth0", "42", "80", "a host:80"], 2, /^Cannot use 'a host:80'/],
])("install-service %j is refused, with the reason", (args, status, message) => {
  const { exitCode, stderr } = Bun.spawnSync([INSTALL, ...args], { stderr: "pipe" });
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: status, stderr: expect.stringMatching(message) });
});
