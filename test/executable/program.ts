/** Runs the real executable, and returns the outcome. */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Subprocess } from "bun";

export const REPOSITORY = resolve(import.meta.dir, "../..");
export const ARM64_EXECUTABLE = join(REPOSITORY, "vxlan-to-http-linux-aarch64");

/** This machine's executable. */
export const PROGRAM = process.arch === "arm64" ? ARM64_EXECUTABLE : builtForX64();

/** A directory for a test's files, which everyone can read. */
export class TemporaryDirectory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "vxlan-to-http-"));

  constructor() {
    chmodSync(this.path, 0o755);
  }

  /** Writes a file. Returns its path. */
  file(name: string, content: Uint8Array | string): string {
    const path = join(this.path, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  /** Copies the program as to a server: only the one file. Returns its path. */
  copyOfProgram(): string {
    const path = join(this.path, "vxlan-to-http");
    copyFileSync(PROGRAM, path);
    chmodSync(path, 0o755);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The executable in dist/, built first if it is missing or older than the sources. */
function builtForX64(): string {
  const path = join(REPOSITORY, "dist/vxlan-to-http-linux-x64");
  const builtMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (builtMs < newestSourceMs()) {
    const built = Bun.spawnSync([join(REPOSITORY, "scripts/build"), "x64"], { stdout: "ignore", stderr: "pipe" });
    if (!built.success) throw new Error(`scripts/build x64: exit status ${built.exitCode}\n${built.stderr}`);
  }
  return path;
}

function newestSourceMs(): number {
  const files = readdirSync(join(REPOSITORY, "src"), { recursive: true }).map((name) => join("src", String(name)));
  return Math.max(...[...files, "bun.lock"].map((name) => statSync(join(REPOSITORY, name)).mtimeMs));
}

export interface StartOptions {
  /** In addition to the few variables that every process gets. */
  env?: Record<string, string>;
  cwd?: string;
  /** The content of standard input; "open": a pipe to write to. */
  stdin?: Uint8Array | "open";
  /** The command that starts it: with other rights, in other namespaces, by an emulator. */
  through?: string[];
  /** Another copy of the program. */
  executable?: string;
}

export interface Outcome {
  /** Null if a signal ended it. */
  status: number | null;
  stdout: string;
  stderr: string;
}

export class Running implements Disposable {
  private readonly process: Subprocess<"pipe" | Uint8Array | "ignore", "pipe", "pipe">;
  private stderr = "";
  private waiting: { words: string; resolve: () => void }[] = [];
  readonly outcome: Promise<Outcome>;

  constructor(args: string[], options: StartOptions) {
    const { env, cwd, stdin, through = [], executable = PROGRAM } = options;
    this.process = Bun.spawn([...through, executable, ...args], {
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", ...env },
      cwd: cwd ?? REPOSITORY,
      stdin: stdin === "open" ? "pipe" : (stdin ?? "ignore"),
      stdout: "pipe",
      stderr: "pipe",
      // In a session of its own, like a service: its priority is also its session's, and must not be the tests'.
      detached: true,
    });
    this.outcome = this.watch();
  }

  private async watch(): Promise<Outcome> {
    const stdout = new Response(this.process.stdout).text();
    const decoder = new TextDecoder();
    for await (const chunk of this.process.stderr) {
      this.stderr += decoder.decode(chunk, { stream: true });
      this.waiting = this.waiting.filter(({ words, resolve }) => !this.stderr.includes(words) || resolve());
    }
    await this.process.exited;
    const outcome = { status: this.process.exitCode, stdout: await stdout, stderr: this.stderr };
    refuseStackTrace(outcome);
    return outcome;
  }

  /** Resolves when standard error contains these words. */
  says(words: string): Promise<void> {
    if (this.stderr.includes(words)) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ words, resolve }));
  }

  /** The line of standard error that contains these words. */
  async line(words: string): Promise<string> {
    await this.says(words);
    return this.stderr.split("\n").find((line) => line.includes(words))!;
  }

  /** Writes to standard input, which is a pipe. */
  async write(bytes: Uint8Array): Promise<void> {
    const pipe = this.process.stdin;
    if (pipe === undefined || typeof pipe === "number" || pipe instanceof Uint8Array)
      throw new Error("standard input is not a pipe");
    pipe.write(bytes);
    await pipe.flush();
  }

  async closeStdin(): Promise<void> {
    const pipe = this.process.stdin;
    if (pipe !== undefined && typeof pipe !== "number" && !(pipe instanceof Uint8Array)) await pipe.end();
  }

  get pid(): number {
    return this.process.pid;
  }

  signal(name: NodeJS.Signals): void {
    this.process.kill(name);
  }

  /** Ends the program if a failed test did not: otherwise it would capture for ever. */
  [Symbol.dispose](): void {
    this.process.kill("SIGKILL");
  }
}

export function start(args: string[], options: StartOptions = {}): Running {
  return new Running(args, options);
}

/** Runs the program to its end. */
export function run(args: string[], options: StartOptions = {}): Promise<Outcome> {
  return start(args, options).outcome;
}

/** A stack trace is never the right reaction to an operator's action. */
function refuseStackTrace({ stdout, stderr }: Outcome): void {
  const isOfOne = /^\s+at .*[:/]|^\s*\d+ \| |^Bun v\d|^panic/m;
  if (isOfOne.test(stdout) || isOfOne.test(stderr))
    throw new Error(`The program shows a stack trace:\n${stdout}${stderr}`);
}

/** Whether root's abilities are available; if not, says which test is left out. */
export function canIsolate(what: string): boolean {
  const works =
    process.platform === "linux" &&
    process.getuid?.() === 0 &&
    Bun.spawnSync(["unshare", "-n", "-m", "ip", "link", "set", "lo", "up"]).success;
  if (!works)
    console.warn(`skipped: ${what} (needs root, iproute2, and a kernel that gives out network and mount namespaces)`);
  return works;
}
