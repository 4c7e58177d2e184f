/** The program that the demo shows. */
import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";

const REPOSITORY = resolve(import.meta.dir, "../..");
const EXECUTABLES: Partial<Record<string, string>> = {
  x64: "dist/vxlan-to-http-linux-x64",
  arm64: "vxlan-to-http-linux-aarch64",
};

export interface Program {
  /** How to start it. */
  command: string[];
  /** Its name on the screen. */
  name: string;
}

/** The real program: the executable if there is one for this machine, else the sources. */
export function findProgram(): Program {
  const executable = join(REPOSITORY, EXECUTABLES[process.arch] ?? "none");
  if (existsSync(executable)) return { command: [executable], name: relative(REPOSITORY, executable) };
  const main = join(REPOSITORY, "src/main.ts");
  return { command: [process.execPath, main], name: `bun ${relative(REPOSITORY, main)}` };
}

/** Further variables at its start: this screen shows its plain log, in any environment. */
export const QUIETLY = {
  flags: ["--log-format", "plain", "--log-level", "info"],
  env: { PATH: process.env["PATH"] ?? "" },
};

/** Removes the request with this digest from the arrived ones, and returns it. */
export function take<T extends { sha256: string }>(arrived: T[], sha256: string): T | undefined {
  const index = arrived.findIndex((received) => received.sha256 === sha256);
  return index < 0 ? undefined : arrived.splice(index, 1)[0];
}
