/**
 * The program under attack: first ordinary traffic, then a flood with good requests beside it, then the signal to end.
 * The process is measured.
 */
import { join } from "node:path";
import { PROGRAM, type Running, start, TemporaryDirectory } from "../executable/program.ts";
import { type BehaviourName, HostileEndpoint } from "./endpoint.ts";
import { GoodClients, mixed, PORT, VNI } from "./frames.ts";
import { LoopbackMirror, SavefileMirror } from "./mirror.ts";
import { ProcessWatch } from "./process-watch.ts";

/** How the frames come: from an interface, which does not wait, or from a savefile, which does. */
export type Way = "live" | "read";
export const WAYS: readonly Way[] = ["live", "read"];

export interface Attack {
  readonly name: string;
  /** The kind of the flood. */
  readonly what: string;
  /** The endpoint's behaviour towards clients that are not good. */
  readonly endpoint?: BehaviourName;
  readonly flags?: readonly string[];
  /** The number of descriptors that the program may have open. */
  readonly descriptors?: number;
  /** Only this way. */
  readonly way?: Way;
  /** Frames of the flood, and their number per second on an interface. */
  readonly count: number;
  readonly rate?: number;
  /**
   * Requests that begin in each of its frames, if there is more than one: each may cost as much as an ordinary frame.
   */
  readonly requestsPerFrame?: number;
  frames(count: number): Iterable<Uint8Array>;
  /** Good requests beside the flood. */
  readonly good: number;
  /** The longest time for a good request alone; unset: {@link PATIENCE_MS}. */
  readonly patienceMs?: number;
  /** After the flood. */
  after?(scene: Scene): Promise<void>;
}

export interface Setup {
  readonly way: Way;
  readonly maxBufferMib: number;
  /** The factor for the attack's count. */
  readonly scale: number;
  /** The time for everything; requests that have not come by then are reported. */
  readonly seconds: number;
  /** Another build of the program, to be compared. */
  readonly executable?: string;
}

export interface Report {
  readonly name: string;
  readonly way: Way;
  readonly maxBufferMib: number;
  /** Frames of the flood that were sent, with the good ones. */
  readonly frames: number;
  readonly peakBytes: number;
  readonly limitBytes: number;
  /** CPU for each frame; null: too little to be measured. */
  readonly ordinaryUs: number | null;
  readonly floodUs: number | null;
  readonly requestsPerFrame: number;
  readonly descriptors: number;
  readonly good: number;
  readonly arrived: number;
  readonly twice: number;
  /** From the signal to the end of the process. */
  readonly endMs: number;
  readonly status: number | null;
  /** The equations of the summary that do not hold. */
  readonly broken: readonly string[];
  readonly kernelDropped: number;
  readonly notes: readonly string[];
  /** The rise of its peak for each record, after the warm-up; only if it was measured. */
  readonly grownBytes?: number;
}

/** The process's allowed memory beside the bytes of --max-buffer-mib. */
export const BESIDE_BYTES_MAX = 100e6;
/** The time for responses after the signal, and a second. */
export const END_MS_MAX = 6000;
const KILL_MS = 30_000;
const ORDINARY_WARM_UP = 20_000;
const ORDINARY = 20_000;
const ORDINARY_PER_SECOND = 8000;
const FLOOD_PER_SECOND = 20_000;
/** After this long without a good request, no more are awaited. */
export const PATIENCE_MS = 5000;
const LOOK_MS = 10;
/** The share of the good requests on connections that existed before the flood. */
const KEPT_SHARE = 0.5;
/**
 * Less CPU time proves nothing, because it comes in steps of 10 ms. The CPU time for very few frames proves nothing
 * either, because other work dominates it.
 */
const CPU_US_MIN = 50_000;
const FRAMES_MIN = 2000;
/** The tools of an attack once it has begun. */
export interface Scene {
  readonly setup: Setup;
  readonly endpoint: HostileEndpoint;
  readonly good: GoodClients;
  readonly watch: ProcessWatch;
  readonly running: Running;
  readonly notes: string[];
  send(frames: Iterable<Uint8Array>): Promise<number>;
  /** Waits until the sent good requests have come, or no more come. */
  settle(patienceMs?: number): Promise<void>;
}

const limited = (descriptors: number) => ["sh", "-c", `ulimit -n ${descriptors}; exec "$@"`, "sh"];

interface ProgramOptions {
  readonly summary: string;
  readonly flags?: readonly string[];
  readonly through?: string[];
  /** The savefile, instead of standard input. */
  readonly savefile?: string;
}

/** Starts the program on lo, or with a savefile. */
export function startProgram(
  { way, maxBufferMib, executable = PROGRAM }: Setup,
  address: string,
  { summary, flags = [], through = [], savefile }: ProgramOptions,
): Running {
  const source = way === "live" ? ["lo"] : ["--read", savefile ?? "-"];
  const common = ["--log-format", "plain", "--summary", summary, "--max-buffer-mib", String(maxBufferMib)];
  return start([...common, ...flags, ...source, String(VNI), String(PORT), address], {
    executable,
    through,
    ...(way === "read" && savefile === undefined && { stdin: "open" }),
  });
}

/** Runs an attack. On an interface it needs a network namespace of its own. */
export async function attack(what: Attack, setup: Setup): Promise<Report> {
  const { way, maxBufferMib, scale } = setup;
  using directory = new TemporaryDirectory();
  using endpoint = new HostileEndpoint(what.endpoint ?? "responding");
  const summary = join(directory.path, "summary.json");
  const through = what.descriptors === undefined ? [] : limited(what.descriptors);
  const running = startProgram(setup, endpoint.address, { summary, through, ...(what.flags && { flags: what.flags }) });
  let hasEnded = false;
  const outcome = running.outcome
    .catch((error: Error) => ({ status: null, stdout: "", stderr: error.message }))
    .finally(() => (hasEnded = true));
  await Promise.race([running.says(way === "live" ? "Capturing on" : "Reading"), outcome]);
  using watch = new ProcessWatch(running.pid);
  if (way === "live") watch.leaveOutCaptureBuffers();

  const deadlineMs = performance.now() + setup.seconds * 1000;
  const isOver = () => hasEnded || performance.now() >= deadlineMs;
  const mirror = way === "live" ? new LoopbackMirror() : new SavefileMirror(running);
  const good = new GoodClients();
  const scene: Scene = {
    setup,
    endpoint,
    good,
    watch,
    running,
    notes: [],
    send: (frames) => mirror.send(frames, what.rate ?? FLOOD_PER_SECOND, isOver),
    async settle(patienceMs = what.patienceMs ?? PATIENCE_MS) {
      const sinceMs = performance.now();
      while (
        endpoint.arrived < good.count &&
        !isOver() &&
        performance.now() - Math.max(endpoint.lastMs, sinceMs) < patienceMs
      )
        await Bun.sleep(LOOK_MS);
      watch.look();
    },
  };

  const ordinary = async (requests: number): Promise<number | null> => {
    watch.look();
    const before = watch.cpuUs;
    const frames = await mirror.send(good.kept(requests), ORDINARY_PER_SECOND, isOver);
    await scene.settle();
    return perFrame(watch.cpuUs - before, frames);
  };
  await ordinary(Math.ceil(ORDINARY_WARM_UP * Math.min(scale, 1)));
  const ordinaryUs = await ordinary(Math.ceil(ORDINARY * Math.min(scale, 1)));
  const ordinaryGood = good.count;
  const lostBefore = good.count - endpoint.arrived;
  if (lostBefore > 0) scene.notes.push(`${lostBefore} ordinary requests lost before the flood`);

  const count = Math.ceil(what.count * scale);
  const requests = Math.ceil(what.good * scale);
  const before = watch.cpuUs;
  const frames = await scene.send(
    mixed(what.frames(count), goodFrames(good, requests), Math.max(Math.floor(count / (requests * 2)), 1)),
  );
  await scene.settle();
  const floodUs = perFrame(watch.cpuUs - before, frames);
  await what.after?.(scene);
  if (hasEnded) scene.notes.push("ended before the signal");
  else if (isOver()) scene.notes.push(`not through within ${setup.seconds} s`);

  const signalMs = performance.now();
  if (!hasEnded) running.signal("SIGTERM");
  const killer = setTimeout(() => running.signal("SIGKILL"), KILL_MS);
  const { status, stderr } = await outcome;
  clearTimeout(killer);
  if (status !== 0) scene.notes.push(`it said: ${stderr.trim().split("\n").at(-1)?.slice(0, 160)}`);
  const counters = await Bun.file(summary)
    .json()
    .catch(() => null);
  return {
    name: what.name,
    way,
    maxBufferMib,
    frames,
    peakBytes: watch.peakBytes,
    limitBytes: maxBufferMib * 2 ** 20 + BESIDE_BYTES_MAX,
    ordinaryUs,
    floodUs,
    requestsPerFrame: what.requestsPerFrame ?? 1,
    descriptors: watch.descriptors,
    good: good.count - ordinaryGood,
    arrived: endpoint.arrived - (ordinaryGood - lostBefore),
    twice: endpoint.twice,
    endMs: performance.now() - signalMs,
    status,
    broken: counters === null ? ["there is no summary"] : brokenIdentities(counters),
    kernelDropped: counters?.frames.kernel_dropped ?? 0,
    notes: scene.notes,
  };
}

function* goodFrames(good: GoodClients, requests: number): Generator<Uint8Array> {
  const kept = good.kept(Math.ceil(requests * KEPT_SHARE));
  const passers = good.passers(Math.floor(requests * (1 - KEPT_SHARE)));
  for (let next = kept.next(); next.done !== true; next = kept.next()) {
    yield next.value;
    // The three frames of a connection that comes once.
    for (let i = 0; i < 3; i++) {
      const other = passers.next();
      if (other.done !== true) yield other.value;
    }
  }
  yield* passers;
}

function perFrame(cpuUs: number, frames: number): number | null {
  return cpuUs >= CPU_US_MIN && frames >= FRAMES_MIN ? cpuUs / frames : null;
}

type Tree = { [name: string]: number | Tree };

/** The equations that must hold after any end, but do not. */
export function brokenIdentities({ frames, flows, requests, responses }: Record<string, Tree>): string[] {
  const total = (tree: number | Tree | undefined): number =>
    typeof tree === "object" ? Object.values(tree).reduce<number>((sum, part) => sum + total(part), 0) : (tree ?? 0);
  const identities: [string, number, number][] = [
    ["frames", total(frames!["captured"]), total(frames!["segments"]) + total(frames!["dropped"])],
    [
      "flows",
      total(flows!["opened"]) + total(flows!["picked_up"]),
      total(flows!["closed"]) + total(flows!["evicted"]) + total(flows!["active"]),
    ],
    [
      "requests.seen",
      total(requests!["seen"]),
      total(requests!["forwarded"]) + total(requests!["damaged"]) + total(requests!["dropped"]),
    ],
    [
      "requests.forwarded",
      total(requests!["forwarded"]),
      total(requests!["answered"]) + total(responses!["unanswered"]) + total(responses!["cancelled"]),
    ],
  ];
  return identities
    .filter(([, one, other]) => one !== other)
    .map(([name, one, other]) => `${name}: ${one} is not ${other}`);
}
