/**
 * (b) --read of a generated capture, and (d) the floor: the cost of sending the same requests to the same endpoint from
 * a C program. All parts of a round are measured one after the other, so that a ratio compares measurements on the same
 * machine.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { CONNECTIONS, PORT, REQUEST, requests, VNI, writeSavefile } from "./capture.ts";
import type { Figures } from "./figures.ts";
import {
  Child,
  compile,
  ENDPOINT_HOST,
  endpointCommand,
  hasCompiler,
  json,
  memory,
  PROGRAM,
  startServer,
} from "./processes.ts";

export const ENDPOINT_PORT = 9180;
const ENDPOINT = `${ENDPOINT_HOST}:${ENDPOINT_PORT}`;
/**
 * In mode tcp, all bytes of a batch for a connection leave in one write: with these connections, this many requests. A
 * fair floor sends as many at once.
 */
const TCP_DEPTH = 32;
/** The floor needs fewer requests. */
const FLOOR_SHARE = 0.25;
const PEAK_LOOK_MS = 5;
export const MODES = ["tcp", "http"] as const;
export type Mode = (typeof MODES)[number];

/** The cost of a whole run. */
export interface Cost {
  seconds: number;
  userUs: number;
  systemUs: number;
  peakMb: number;
}

interface FloorOutput {
  requests: number;
  user_us: number;
  system_us: number;
}

/** Runs the floor. `depth` null: the floor over TLS, which has no depth. Returns its cost per request. */
export async function measureFloor(
  program: string,
  port: number,
  count: number,
  depth: number | null,
  through: string[] = [],
): Promise<{ userUs: number; systemUs: number }> {
  const output = await json<FloorOutput>([
    ...through,
    program,
    ENDPOINT_HOST,
    String(port),
    String(CONNECTIONS),
    String(count),
    ...(depth === null ? [] : [String(depth)]),
    REQUEST,
  ]);
  return { userUs: output.user_us / output.requests, systemUs: output.system_us / output.requests };
}

export interface ReadRun {
  capture: string;
  summary: string;
  mode: Mode;
  /** The number of the savefile's bytes that must reach the endpoint. HTTP/2 is encoded again: undefined. */
  bytes?: number;
  /** The number of responses that must come; undefined: it is not checked. */
  requests?: number;
  endpoint: string;
  flags?: readonly string[];
  /** The command that starts it, for example one that puts it into a network namespace. */
  through?: string[];
}

/** In mode tcp, the end is passed on at once: a second of silence before it would count as time of the requests. */
const AT_ONCE = ["--fin-delay-ms", "0"];

/** Lets the program read a savefile to its end. Throws unless the endpoint got all bytes. */
export async function forwardSavefile(run: ReadRun): Promise<Cost> {
  const begun = performance.now();
  const args = [
    "--log-level",
    "error",
    "--mode",
    run.mode,
    "--read",
    run.capture,
    "--summary",
    run.summary,
    ...(run.flags ?? []),
  ];
  const contract = [String(VNI), String(PORT), run.endpoint];
  const running = new Child([...(run.through ?? []), ...PROGRAM, ...args, ...contract]);
  // The system's peak of an ended child includes its parent's memory, from before the exec.
  let peakMb = 0;
  const looking = setInterval(() => {
    try {
      peakMb = Math.max(peakMb, memory(running.pid).peakMb);
    } catch {
      // The process has just ended.
    }
  }, PEAK_LOOK_MS);
  await running.ends();
  clearInterval(looking);
  const seconds = (performance.now() - begun) / 1000;
  const usage = running.child.resourceUsage()!;
  const { upstream, requests: counted } = await Bun.file(run.summary).json();
  if (run.requests !== undefined && counted.answered !== run.requests)
    throw new Error(`--read: ${counted.answered} requests of ${run.requests} were responded to`);
  if (run.bytes !== undefined && upstream.bytes !== run.bytes)
    throw new Error(`--read, mode ${run.mode}: ${upstream.bytes} bytes of ${run.bytes} were forwarded`);
  return { seconds, userUs: Number(usage.cpuTime.user), systemUs: Number(usage.cpuTime.system), peakMb };
}

export async function measureRead(
  figures: Figures,
  runs: number,
  count: number,
  directory: string,
  parts: Set<string>,
): Promise<void> {
  const hasFloor = parts.has("d") && hasCompiler;
  if (parts.has("d") && !hasCompiler) figures.leaveOut("(d) is left out: there is no C compiler (cc) here");
  const floorProgram = hasFloor ? await compile("floor", directory) : "";
  const capture = join(directory, "requests.pcap");
  writeSavefile(capture, requests(CONNECTIONS, count));
  const endpoint = await startServer(await endpointCommand(directory, ENDPOINT_PORT), ENDPOINT_PORT);
  try {
    for (let i = 0; i < runs; i++) {
      const single = hasFloor
        ? await measureFloor(floorProgram, ENDPOINT_PORT, Math.ceil(count * FLOOR_SHARE), 1)
        : null;
      const batched = hasFloor ? await measureFloor(floorProgram, ENDPOINT_PORT, count, TCP_DEPTH) : null;
      for (const mode of MODES) {
        const summary = join(directory, "summary.json");
        const bytes = count * REQUEST.length;
        const cost = await forwardSavefile({ capture, summary, mode, bytes, endpoint: ENDPOINT, flags: AT_ONCE });
        const total = (cost.userUs + cost.systemUs) / count;
        if (parts.has("b")) {
          figures.add("b", `mode ${mode}`, "requests/s", count / cost.seconds);
          figures.add("b", `mode ${mode}, user`, "µs/request", cost.userUs / count);
          figures.add("b", `mode ${mode}, system`, "µs/request", cost.systemUs / count);
          figures.add("b", `mode ${mode}, peak memory`, "MB", cost.peakMb);
        }
        if (single !== null)
          figures.add(
            "d",
            `mode ${mode} (b) relative to the floor of one request a write`,
            "×",
            total / (single.userUs + single.systemUs),
          );
        if (batched !== null && mode === "tcp")
          figures.add(
            "d",
            `mode tcp (b) relative to the floor of ${TCP_DEPTH} requests a write`,
            "×",
            total / (batched.userUs + batched.systemUs),
          );
      }
      for (const [name, floor] of Object.entries({ "one request": single, [`${TCP_DEPTH} requests`]: batched })) {
        if (floor === null) continue;
        figures.add("d", `floor, ${name} a write, user`, "µs/request", floor.userUs);
        figures.add("d", `floor, ${name} a write, system`, "µs/request", floor.systemUs);
      }
    }
  } finally {
    await endpoint.stop();
    rmSync(capture);
  }
}
