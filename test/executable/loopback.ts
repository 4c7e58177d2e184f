/** Lets the program capture on the lo of a network namespace of its own (on-loopback.ts runs there). */
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Commands, LoopbackOutcome } from "./on-loopback.ts";
import { PROGRAM, TemporaryDirectory } from "./program.ts";

/** A root file system with the program and the C library that it needs, and no libpcap. */
export function bareSystem(): TemporaryDirectory {
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

/** Where the program captures. */
export interface Place {
  executable?: string;
  /** The root directory; "" is the machine's own. */
  root?: string;
  port?: "free" | "taken";
  flags?: string[];
  /** The command that starts the program, for example with other rights. */
  through?: string[];
  /** The command that is run while the program captures. */
  meanwhile?: string[];
  /** Shell code that is run there first. */
  prepare?: string;
}

/** Captures on the lo of a network namespace of its own. */
export async function onLoopback({
  executable = PROGRAM,
  root = "",
  port = "free",
  flags = [],
  through = [],
  meanwhile = [],
  prepare = "true",
}: Place): Promise<LoopbackOutcome> {
  const mounts =
    root === ""
      ? "true"
      : `mount --bind /proc ${root}/proc && mount --bind /dev ${root}/dev && mount -t sysfs none ${root}/sys`;
  const shell = `ip link set lo up && ${mounts} && ${prepare} && exec "$@"`;
  const command = [
    process.execPath,
    join(import.meta.dir, "on-loopback.ts"),
    executable,
    root,
    port,
    JSON.stringify({ through, meanwhile } satisfies Commands),
    ...flags,
  ];
  const inside = Bun.spawn(["unshare", "-n", "-m", "sh", "-c", shell, "sh", ...command], {
    stdout: "pipe",
    stderr: "inherit",
  });
  return JSON.parse(await new Response(inside.stdout).text());
}
