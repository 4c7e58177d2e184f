/**
 * The runtime's memory allocator (mimalloc, in Bun's configuration) wakes a thread at every turn of the event loop, to
 * give free memory back to the system: under load this is up to a third of this program's cost. Only the environment
 * can turn it off, and only before the process starts.
 */
const VARIABLE = "MIMALLOC_SCAVENGER";
/** The directory of the sources in an executable. */
const EMBEDDED = "/$bunfs/";

/** A descriptor from a shell's <(command): the runtime does not pass it on. */
const INHERITED = /\/(?:dev|proc\/self)\/fd\/(?!0$)\d+$/m;

/**
 * Starts this process over without that thread, once. If the system refuses, under `bun` itself, or if an argument
 * names an inherited descriptor, it goes on unchanged.
 */
export function startOver(argv: string[], env: NodeJS.ProcessEnv): void {
  if (!Bun.main.startsWith(EMBEDDED) || env[VARIABLE] !== undefined) return;
  if (argv.some((argument) => INHERITED.test(argument))) return;
  // If execve is refused, its warning that it is experimental would stand between the log lines.
  process.removeAllListeners("warning");
  try {
    process.execve!(process.execPath, [process.argv0, ...argv], { ...env, [VARIABLE]: "0" } as Record<string, string>);
  } catch {
    // The executable was replaced a moment ago, or is run by an emulator: it only costs more CPU.
  }
}
