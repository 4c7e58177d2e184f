/**
 * The runtime's memory allocator (mimalloc, as Bun has it) wakes a thread at every turn of the event
 * loop, to give free memory back to the system: under load that is up to a third of what this program
 * costs. Only the environment can say that it should not, and only before the process starts.
 */
const VARIABLE = "MIMALLOC_SCAVENGER";
/** Where the sources lie in an executable. */
const EMBEDDED = "/$bunfs/";

/**
 * Has this process start over without that thread, once. It goes on as it is where the system refuses, and under `bun`
 * itself.
 */
export function startOver(argv: string[], env: NodeJS.ProcessEnv): void {
  if (!Bun.main.startsWith(EMBEDDED) || env[VARIABLE] !== undefined) return;
  // Where execve is refused, its warning that it is experimental would stand between the log lines.
  process.removeAllListeners("warning");
  try {
    process.execve!(process.execPath, [process.argv0, ...argv], { ...env, [VARIABLE]: "0" } as Record<string, string>);
  } catch {
    // The executable was replaced a moment ago, or is run by an emulator: it costs more, that is all.
  }
}
