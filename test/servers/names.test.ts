/**
 * Names with several addresses, some of which do not work: no request is lost. In namespaces with their own /etc/hosts.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { canIsolate, PROGRAM } from "../executable/program.ts";
import { CONNECTIONS, NAME_CASES, type NamesOutcome, REQUESTS_PER_CONNECTION } from "./names-inside.ts";

const REQUESTS = CONNECTIONS * REQUESTS_PER_CONNECTION;
/** Less than the time that the runtime keeps a name's addresses, and less than the time to give up a dead address. */
const ELAPSED_MS_MAX = 10_000;
const LINES = Array.from(
  { length: REQUESTS },
  (_, i) => `GET /${Math.floor(i / REQUESTS_PER_CONNECTION)}-${i % REQUESTS_PER_CONNECTION}`,
).sort();

async function inNamespaces(name: string): Promise<NamesOutcome> {
  const script = join(import.meta.dir, "names-inside.ts");
  const child = Bun.spawn(["unshare", "-n", "-m", process.execPath, script, name, PROGRAM], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`${output}${errors}`);
  return JSON.parse(output) as NamesOutcome;
}

describe.concurrent.if(canIsolate("names with several addresses"))("every request arrives:", () => {
  test.each(Object.keys(NAME_CASES))(
    "%s",
    async (name) => {
      const { status, lines, seen, forwarded, elapsedMs } = await inNamespaces(name);
      expect(lines).toEqual(LINES);
      expect({ status, seen, forwarded }).toEqual({ status: 0, seen: REQUESTS, forwarded: REQUESTS });
      expect(elapsedMs).toBeLessThan(ELAPSED_MS_MAX);
    },
    90_000,
  );
});
