/**
 * (f) The endpoint's throughput and delay beside a stalled further destination, relative to those without it: two
 * programs see the same load at the same time.
 */
import { join } from "node:path";
import type { Figures } from "./figures.ts";
import { inNamespace, type LiveLab, type Load, type Setup } from "./live-lab.ts";
import { type Child, ENDPOINT_HOST, startServer } from "./processes.ts";

/** The port of the stalled further destination. */
const STALLED_PORT = 9001;
/** The port of the first program; the second one has the next. */
const ADMIN_PORT = 9790;
/** Requests per second: two programs see them. */
const STALLED_RATE = 4000;
/** CPU and delay are measured in a separate load, after a load that compiles the program's code. */
const WARM_UP_SECONDS = 5;
const MEASURED_SECONDS = 20;

/** Adds the destination to `servers`, which the caller ends. */
export async function measureStalled(
  figures: Figures,
  lab: LiveLab,
  { runs, quick }: { runs: number; quick: boolean },
  servers: Child[],
): Promise<void> {
  const script = join(import.meta.dir, "stalled.ts");
  const command = [process.execPath, script, ENDPOINT_HOST, String(STALLED_PORT)];
  servers.push(await startServer(command, STALLED_PORT, inNamespace("replay")));
  const alone: Setup = { mode: "http", shards: 1, adminPort: ADMIN_PORT };
  const beside: Setup = {
    ...alone,
    index: 1,
    adminPort: ADMIN_PORT + 1,
    flags: ["--also", `${ENDPOINT_HOST}:${STALLED_PORT}`],
  };
  const [seconds, warmUpSeconds] = quick ? [0.3, 0.1] : [MEASURED_SECONDS, WARM_UP_SECONDS];
  const add = (what: string, unit: string, value: number) => figures.add("f", what, unit, value);
  for (let run = 0; run < runs; run++) {
    const [one, other] = await lab.pair([alone, beside], run, STALLED_RATE, seconds, warmUpSeconds);
    add("delay alone, mean", "ms", one.delayMeanMs);
    add("delay beside it, mean", "ms", other.delayMeanMs);
    add("delay beside it, mean, relative to without it", "×", other.delayMeanMs / one.delayMeanMs);
    add("delay beside it, p50, relative to without it", "×", other.delayMs(0.5) / one.delayMs(0.5));
    add("delay beside it, p99, relative to without it", "×", other.delayMs(0.99) / one.delayMs(0.99));
    add("requests/s forwarded beside it, relative to without it", "×", forwarded(other) / forwarded(one));
    add("lost alone", "requests", one.lost);
    add("lost beside it", "requests", other.lost);
  }
}

function forwarded({ rate, lostShare }: Load): number {
  return rate * (1 - lostShare);
}
