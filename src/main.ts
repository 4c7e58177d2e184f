import { main } from "./cli/cli.ts";

// Log lines that cannot be written are no reason to stop forwarding.
process.stderr.on("error", () => {});

// An uncaught error is a bug in this program: it is shown unchanged, and ends the program, wherever it was thrown.
process.on("uncaughtException", (error) => {
  console.error(error);
  process.exit(1);
});

// In an executable only the main file can name another entry point of the build.
const startThread = () => new Worker(new URL("./shard/worker.ts", import.meta.url));

process.exit(await main(process.argv.slice(2), process.env, startThread));
