/** The command: reads the arguments, runs, and turns errors into messages and exit statuses. */
import { RefusalError, ShardError, UsageError, writeFailure } from "../errors.ts";
import { run } from "../run/run.ts";
import type { StartThread } from "../shard/shards.ts";
import { startOver } from "./start-over.ts";
import { VERSION_LINE } from "../version.ts";
import type { OtherFlagName } from "./flags.ts";
import { licenses } from "./licenses.ts";
import { readRequest } from "./options.ts";
import { probe } from "./probe.ts";
import { usage } from "./usage.ts";

const STATUS_REFUSED = 1;
const STATUS_USAGE = 2;

const texts: Record<Exclude<OtherFlagName, "probe">, () => string> = {
  help: usage,
  version: () => VERSION_LINE,
  licenses,
};

/** `startThread` starts a shard's thread. Returns the exit status. */
export async function main(argv: string[], env: NodeJS.ProcessEnv, startThread: StartThread): Promise<number> {
  try {
    const request = readRequest(argv, env);
    if (request.kind === "run") {
      startOver(argv, env);
      return await run(request.config, startThread);
    }
    await print(request.kind === "probe" ? await probe(request.address) : texts[request.kind]());
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`vxlan-to-http: ${error.message}\nTry vxlan-to-http --help\n`);
      return STATUS_USAGE;
    }
    if (error instanceof RefusalError || error instanceof ShardError) {
      process.stderr.write(`vxlan-to-http: ${error.message}\n`);
      return STATUS_REFUSED;
    }
    throw error;
  }
}

/**
 * Writes to standard output, at any speed of its reader, and ends it. A reader that goes away has read enough. Rejects
 * with RefusalError.
 */
function print(text: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // Not Bun.write: if a pipe is full, Bun.write begins again with the first byte.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") resolve();
    else reject(new RefusalError(`Cannot write to standard output: ${writeFailure(error)}`));
  });
  process.stdout.write(`${text}\n`);
  // The error event comes after the end.
  process.stdout.end(() => setImmediate(resolve));
  return promise;
}
