/**
 * The runtime's memory allocator (mimalloc, as Bun has it) wakes a thread at every turn of the event loop, to give free
 * memory back to the system: under load that is up to a third of what this program costs. Only the environment can turn
 * that off, and only before the process starts.
 */
const VARIABLE = "MIMALLOC_SCAVENGER";
/** The directory of the sources in an executable. */
const EMBEDDED = "/$bunfs/";

/**
 * Starts this process over without that thread, once. If the system refuses, or under `bun` itself, it goes on as it
 * is.
 */
export function startOver(argv: string[], env: NodeJS.ProcessEnv): void {
  if (!Bun.main.startsWith(EMBEDDED) || env[VARIABLE] !== undefined) return;
  // If execve is refused, its warning that it is experimental would stand between the log lines.
  process.removeAllListeners("warning");
  try {
    process.execve!(process.execPath, [process.argv0, ...argv], { ...env, [VARIABLE]: "0" } as Record<string, string>);
  } catch {
    // The executable was replaced a moment ago, or is run by an emulator: it only costs more CPU.
  }
}
