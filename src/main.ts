import { main } from "./cli/cli.ts";

/** The longest wait for a reader of the last log lines. */
const LAST_LINES_MS = 2000;

// Log lines that cannot be written are no reason to stop forwarding.
process.stderr.on("error", () => {});

// An uncaught error is a bug in this program: it is shown unchanged, and ends the program, wherever it was thrown.
process.on("uncaughtException", (error) => {
  console.error(error);
  process.exit(1);
});

// In an executable only the main file can name another entry point of the build.
const startThread = () => new Worker(new URL("./shard/worker.ts", import.meta.url));

const status = await main(process.argv.slice(2), process.env, startThread);
// The last lines may still wait for a slow reader. A reader that reads nothing does not delay the end any further.
await Promise.race([new Promise<void>((resolve) => process.stderr.end(resolve)), Bun.sleep(LAST_LINES_MS)]);
process.exit(status);
