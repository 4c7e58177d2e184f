/**
 * (i) --read at the capture's pace: how late requests leave, alone and beside a file that gets them too. The delay from
 * a request's own time to its first write counts, by this program's counters.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { DELAY_BUCKETS_MS } from "../../src/forward/counters.ts";
import { CONNECTIONS, PORT, requests, VNI, writeSavefile } from "./capture.ts";
import { type Figures, percentile } from "./figures.ts";
import { Child, ENDPOINT_HOST, endpointCommand, PROGRAM, startServer } from "./processes.ts";

const PACED_PORT = 9181;
const REQUESTS = 100_000;
const SECONDS = 60;
/** The limit of an on-time request: the same as for `schedule.on_time`. */
const ON_TIME_MS = 2;

interface Setup {
  readonly speed: number;
  /** The further destination that is a file; null: there is none. */
  readonly file: ".ndjson" | ".har" | null;
}

const SETUPS: readonly Setup[] = [
  { speed: 1, file: null },
  { speed: 1, file: ".ndjson" },
  { speed: 1, file: ".har" },
  { speed: 10, file: null },
];

interface Summary {
  readonly requests: { readonly answered: number };
  readonly delay: { readonly buckets: Record<string, number> };
  readonly schedule: { readonly on_time: number; readonly late: number; readonly held: number };
}

/** `quick`: a hundredth of the time, and of the requests. */
export async function measureAtItsPace(
  figures: Figures,
  runs: number,
  quick: boolean,
  directory: string,
): Promise<void> {
  const share = quick ? 0.01 : 1;
  const capture = join(directory, "paced.pcap");
  const count = REQUESTS * share;
  writeSavefile(capture, { ...requests(CONNECTIONS, count), frameUs: (SECONDS * 1e6) / REQUESTS, isRandom: true });
  const endpoint = await startServer(await endpointCommand(directory, PACED_PORT), PACED_PORT);
  try {
    for (let run = 0; run < runs; run++) {
      for (const setup of SETUPS) addTo(figures, setup, await replay(capture, setup, directory), count);
    }
  } finally {
    await endpoint.stop();
    rmSync(capture);
  }
}

async function replay(capture: string, { speed, file }: Setup, directory: string): Promise<Summary> {
  const summary = join(directory, "paced.json");
  const also = file === null ? [] : ["--also", `file:${join(directory, `paced${file}`)}`];
  const paced = ["--read", capture, "--speed", String(speed), "--summary", summary, "--log-level", "error"];
  const address = `${ENDPOINT_HOST}:${PACED_PORT}`;
  await new Child([...PROGRAM, ...paced, ...also, String(VNI), String(PORT), address]).ends();
  return Bun.file(summary).json();
}

function addTo(figures: Figures, { speed, file }: Setup, summary: Summary, count: number): void {
  const { requests: own, delay, schedule } = summary;
  if (own.answered !== count) throw new Error(`--speed ${speed}: ${own.answered} of ${count} requests got a response`);
  const name = `--speed ${speed}${file === null ? "" : `, --also file:requests${file}`}`;
  const add = (what: string, unit: string, value: number) => figures.add("i", `${name}: ${what}`, unit, value);
  const counts = Object.values(delay.buckets);
  const within = counts.slice(0, DELAY_BUCKETS_MS.indexOf(ON_TIME_MS) + 1).reduce((sum, each) => sum + each, 0);
  add("delay, p50", "ms", percentile(0.5, DELAY_BUCKETS_MS, counts));
  add("delay, p99", "ms", percentile(0.99, DELAY_BUCKETS_MS, counts));
  add(`requests within ${ON_TIME_MS} ms`, "%", (within / counts.reduce((sum, each) => sum + each, 0)) * 100);
  add("frames late, for this program", "%", (schedule.late / (schedule.on_time + schedule.late + schedule.held)) * 100);
}
