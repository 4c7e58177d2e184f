/**
 * (c) The live lab: clients send to production at a chosen rate, the kernel mirrors the packets, and the program
 * forwards the captured requests. All of them share this machine's cores.
 *
 * A rate is without loss if every byte that the clients sent has reached the endpoint.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { measureStalled } from "./beside-stalled.ts";
import { datagram, PORT, records, requests, VNI } from "./capture.ts";
import { measureComparing, measureComparingAtHalf, OTHER_JSON, SMALL_JSON } from "./comparing.ts";
import type { Figures } from "./figures.ts";
import { canShard, ENDPOINT_PORT, inNamespace, LAB_PREFIX, LiveLab, type Setup, whyNoLab } from "./live-lab.ts";
import { measureOrdinaryLoad } from "./ordinary-load.ts";
import { measureTlsLoad } from "./tls.ts";
import {
  Child,
  compile,
  ENDPOINT_HOST,
  HELLO,
  nginxCommand,
  REPOSITORY,
  type Response,
  startServer,
} from "./processes.ts";
import { measureFloor, MODES } from "./read.ts";

export interface LiveOptions {
  runs: number;
  quick: boolean;
  soak: boolean;
  production: "nginx" | "minimal";
  directory: string;
  /** The wanted ones of (c), (d), (f), (g), (h) and (j). */
  parts: ReadonlySet<string>;
}

const SHARDS = [1, 2];
const RATE_FIRST = 4000;
/** Every load is measured after a warm-up, in which the program compiles its code. */
const WARM_UP_SECONDS = 1.5;
const MEASURED_SECONDS = 3;
const STEP_SECONDS = 1.5;
const IDLE_SECONDS = 4;
const SOAK_SECONDS = 60;
const FLOOR_REQUESTS = 200_000;

const BURST_DATAGRAMS = 10_000;
/** So that no flow has more requests than its limit. */
const BURST_CONNECTIONS = 250;

/** The burst's datagrams, in the form that burst.c reads. */
function writeDatagrams(file: string): void {
  const traffic = requests(BURST_CONNECTIONS, BURST_DATAGRAMS - BURST_CONNECTIONS);
  const pieces: Uint8Array[] = [];
  for (const record of records(traffic)) {
    const bytes = datagram(record);
    pieces.push(Uint8Array.of(bytes.length & 0xff, bytes.length >> 8), bytes);
  }
  writeFileSync(file, Buffer.concat(pieces));
}

export async function measureLive(figures: Figures, options: LiveOptions): Promise<void> {
  const why = whyNoLab();
  if (why !== undefined) {
    figures.leaveOut(`(c), (f), (g), (j) and the load of (h) are left out: ${why}`);
    return;
  }
  const { directory, parts } = options;
  await new Child([join(REPOSITORY, "scripts/lab"), "up", "--vni", String(VNI)], "ignore", {
    LAB_PREFIX,
  }).ends();
  const server = await compile("server", directory);
  const floor = await compile("floor", directory);
  const burst = await compile("burst", directory);
  const lab = new LiveLab(directory, await compile("load", directory));
  writeDatagrams(join(directory, "datagrams"));
  const cheap = (host: string, port: number, { type, body }: Response) => [server, host, String(port), type, body];
  /** Measures between two servers, to which `measure` may add some. */
  const between = async (
    ofProduction: Response,
    ofEndpoint: Response,
    measure: (servers: Child[]) => Promise<void>,
  ) => {
    const isNginx = options.production === "nginx";
    const production = isNginx
      ? nginxCommand(directory, "0.0.0.0", PORT, undefined, "", ofProduction)
      : cheap("0.0.0.0", PORT, ofProduction);
    const endpoint = cheap(ENDPOINT_HOST, ENDPOINT_PORT, ofEndpoint);
    const servers = [await startServer(production, PORT, inNamespace("production"))];
    try {
      servers.push(await startServer(endpoint, ENDPOINT_PORT, inNamespace("replay")));
      await measure(servers);
    } finally {
      for (const started of servers) await started.stop();
    }
  };
  if (!canShard) figures.leaveOut("(c) with one shard only: this program has no --threads");
  try {
    if (parts.has("j")) {
      await between(SMALL_JSON, OTHER_JSON, () => measureComparing(figures, lab, options, "other bytes"));
      await between(SMALL_JSON, SMALL_JSON, async () => {
        await measureComparing(figures, lab, options, "the same bytes");
        await measureComparingAtHalf(figures, lab, options);
      });
    }
    await between(HELLO, HELLO, async (servers) => {
      if (parts.has("g")) await measureOrdinaryLoad(figures, lab, options, await compile("forwarder", directory));
      if (parts.has("h")) await measureTlsLoad(figures, lab, options, servers);
      if (parts.has("f")) await measureStalled(figures, lab, options, servers);
      for (const shards of parts.has("c") ? (canShard ? SHARDS : [1]) : []) {
        for (const mode of MODES) await measureSetup(figures, lab, { mode, shards }, options, floor, burst);
      }
    });
  } finally {
    await new Child([join(REPOSITORY, "scripts/lab"), "down"], "ignore", { LAB_PREFIX }).ends();
  }
}

async function measureSetup(
  figures: Figures,
  lab: LiveLab,
  setup: Setup,
  options: LiveOptions,
  floor: string,
  burst: string,
): Promise<void> {
  const name = `mode ${setup.mode}, ${setup.shards} shard${setup.shards === 1 ? "" : "s"}`;
  const add = (what: string, unit: string, value: number) => figures.add("c", `${name}: ${what}`, unit, value);
  const seconds = options.quick ? 0.3 : STEP_SECONDS;
  const measuredSeconds = options.quick ? 0.3 : MEASURED_SECONDS;
  const warmUpSeconds = options.quick ? 0.1 : WARM_UP_SECONDS;
  let first = RATE_FIRST;
  for (let run = 0; run < options.runs; run++) {
    const found = await lab.highest(setup, first, seconds, warmUpSeconds);
    if (found === null) {
      add("highest rate without loss", "requests/s", 0);
      first = RATE_FIRST;
      continue;
    }
    first = Math.max(lab.before(found.asked), RATE_FIRST);
    add("highest rate without loss", "requests/s", found.rate);
    add("lost at the next rate (0: it was not reached)", "%", found.nextLostShare * 100);
    const full = await lab.load(setup, found.rate, measuredSeconds, warmUpSeconds);
    add("CPU there, user", "µs/request", full.userUs);
    add("CPU there, system", "µs/request", full.systemUs);
    if (options.parts.has("d")) {
      const { userUs, systemUs } = await measureFloor(
        floor,
        ENDPOINT_PORT,
        options.quick ? 5000 : FLOOR_REQUESTS,
        1,
        inNamespace("replay"),
      );
      figures.add(
        "d",
        `${name} (c), at its highest rate, relative to the floor in the lab`,
        "×",
        (full.userUs + full.systemUs) / (userUs + systemUs),
      );
    }
    const half = await lab.load(setup, found.rate / 2, measuredSeconds, warmUpSeconds);
    add("CPU at half of it, user", "µs/request", half.userUs);
    add("CPU at half of it, system", "µs/request", half.systemUs);
    add("delay at half of it, p50", "ms", half.delayMs(0.5));
    add("delay at half of it, p99", "ms", half.delayMs(0.99));
    // Idling does not depend on the mode.
    if (setup.mode === "http") {
      const idle = await lab.idle(setup, options.quick ? 0.3 : IDLE_SECONDS);
      add("CPU when idle", "% of a core", idle.percent);
      add("start to capturing", "ms", idle.startMs);
    }
    const lost = await lab.burst(setup, burst);
    add("burst of 10,000 mirror packets: speed", "packets/s", lost.perSecond);
    add("burst: lost by the kernel's capture buffer", "packets", lost.byKernel);
    add("burst: lost in the lab's network before it", "packets", lost.beforeCapture);
  }
  if (!options.soak) return;
  const soakSeconds = options.quick ? 1 : SOAK_SECONDS;
  const soak = await lab.load(setup, 0, soakSeconds);
  add(`full load for ${soakSeconds} s`, "requests/s", soak.rate);
  add(`full load for ${soakSeconds} s: not forwarded`, "requests", soak.lost);
  add(`full load for ${soakSeconds} s: lost by the kernel's capture buffer`, "packets", soak.kernelDropped);
}
