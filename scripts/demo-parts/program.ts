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
  /** How to call it on the screen. */
  name: string;
}

/** The real program: the executable if there is one for this machine, else the sources. */
export function findProgram(): Program {
  const executable = join(REPOSITORY, EXECUTABLES[process.arch] ?? "none");
  if (existsSync(executable)) return { command: [executable], name: relative(REPOSITORY, executable) };
  const main = join(REPOSITORY, "src/main.ts");
  return { command: [process.execPath, main], name: `bun ${relative(REPOSITORY, main)}` };
}

/** What it is started with besides: this screen shows its plain log, whatever the environment would have. */
export const QUIETLY = {
  flags: ["--log-format", "plain", "--log-level", "info"],
  env: { PATH: process.env["PATH"] ?? "" },
};

/** Takes the request with this digest out of those that arrived. */
export function take<T extends { sha256: string }>(arrived: T[], sha256: string): T | undefined {
  const index = arrived.findIndex((received) => received.sha256 === sha256);
  return index < 0 ? undefined : arrived.splice(index, 1)[0];
}
