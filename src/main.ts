import { main } from "./cli/cli.ts";

// Log lines that cannot be written are no reason to stop forwarding.
process.stderr.on("error", () => {});

// What nobody catches is a bug in this program: shown as it is, and the end of it, wherever it was thrown.
process.on("uncaughtException", (error) => {
  console.error(error);
  process.exit(1);
});

// In an executable only the main file can name another entry point of the build.
const startThread = () => new Worker(new URL("./shard/worker.ts", import.meta.url));

process.exit(await main(process.argv.slice(2), process.env, startThread));
