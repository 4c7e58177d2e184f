/**
 * scripts/soak: rounds of a minute, with one program that runs through all of them. In each round, captures of both
 * sides of the mirror show the requests that arrived whole. The endpoint must have served exactly these, except for
 * requests that were in flight at its restart.
 *
 *     bun soak.ts MINUTES CLIENTS
 */
import { readdirSync, readFileSync } from "node:fs";
import { BUN, type Endpoint, serverEndpoint } from "../../test/live/endpoints.ts";
import { ENDPOINT_PORT, Lab, PRODUCTION_PORT, type Program } from "../../test/live/lab.ts";
import { type TrueRequest, trueRequests } from "../../test/live/truth.ts";
import { servedLine } from "./requests.ts";

const VNI = 42;
const ADMIN = "127.0.0.1:9789";
const LOSS_PERCENT = "0.1";
const PRODUCTION = "192.0.2.2";
/** The rest of the minute is for requests in flight, and for the comparison. */
const LOAD_SECONDS = 48;
const RESTART_MS = 20_000;
/** A hole waits for 1 s; then the last requests get their responses. */
const SETTLE_MS = 3000;
/** A busy machine leaves frames unread for seconds. */
const CAPTURE_BUFFER_MIB = "256";
const MEMORY_MAX_MB = 400;
/** Rounds in which memory may still grow: caches, compiled code. */
const WARM_ROUNDS = 10;
/** The memory guard lets the garbage grow by half before it collects again (memory-guard.ts). */
const GROWTH_MAX = 1.5;
/** Additional descriptors and connections, beside those of connections with a lost end. */
const DESCRIPTORS_MORE_MAX = 50;
/** Flows with a lost end, until they have been idle for 300 s. */
const ACTIVE_MAX = 500;

const [minutes, clients] = process.argv.slice(2).map(Number) as [number, number];

interface Figures {
  memoryMb: number;
  descriptors: number;
  /** The content of /status. */
  status: any;
}

async function figuresOf(lab: Lab, pid: number): Promise<Figures> {
  const status = JSON.parse(await lab.run("replay", "curl", "--silent", "--fail", `http://${ADMIN}/status`));
  const kib = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1];
  return { memoryMb: Math.round(Number(kib) / 1024), descriptors: readdirSync(`/proc/${pid}/fd`).length, status };
}

interface Round {
  sent: number;
  whole: number;
  served: number;
  /** Whole, but not served: they were in flight at the restart. */
  lacking: number;
  /** The clients' own messages: none if all requests ended. */
  said: string;
  /** The kernel dropped frames before they were read, and counted them: the whole requests are unknown. */
  isLossy: boolean;
  figures: Figures;
  problems: string[];
}

async function runRound(lab: Lab, forwarder: Program, number: number): Promise<Round> {
  const droppedBefore = (await figuresOf(lab, forwarder.child.pid)).status.frames.kernel_dropped;
  const endpoint = await serverEndpoint(lab, BUN, ENDPOINT_PORT, 5);
  const production = await lab.capture("production", `dst port ${PRODUCTION_PORT}`);
  const mirror = await lab.capture("replay", "udp dst port 4789");
  const client = [process.execPath, `${import.meta.dir}/client.ts`, PRODUCTION, String(PRODUCTION_PORT)];
  const load = lab.run("client", ...client, String(LOAD_SECONDS), String(clients), String(number));
  await Bun.sleep(RESTART_MS);
  await endpoint.restart();
  const said = (await load).trim();
  await Bun.sleep(SETTLE_MS);
  await Promise.all([lab.endCapture(production), lab.endCapture(mirror)]);
  const figures = await figuresOf(lab, forwarder.child.pid);
  const served = await servedBy(endpoint);
  const isLossy = figures.status.frames.kernel_dropped > droppedBefore;
  const requests = trueRequests(production.file, mirror.file, PRODUCTION_PORT);
  return { ...compare(requests, served, isLossy), said, isLossy, figures };
}

async function servedBy(endpoint: Endpoint): Promise<string[]> {
  const served = await endpoint.stop();
  const complaints = endpoint.complaints();
  if (complaints.length > 0) throw new Error(`The endpoint calls requests malformed: ${complaints.join("\n")}`);
  return served;
}

function compare(
  requests: TrueRequest[],
  served: string[],
  isLossy: boolean,
): Omit<Round, "said" | "figures" | "isLossy"> {
  const sent = new Set(requests.map(({ line }) => servedLine(line)));
  const whole = requests.filter(({ arrived }) => arrived).map(({ line }) => servedLine(line));
  const wholeLines = new Set(whole);
  const servedLines = new Set(served);
  const lacking = whole.filter((line) => !servedLines.has(line));
  const problems: string[] = [];
  const check = (isSo: boolean, what: string) => isSo || problems.push(what);
  const unsent = served.filter((line) => !sent.has(line));
  check(requests.length > 0, "production got no request");
  check(unsent.length === 0, `served requests that no client sent: ${unsent.slice(0, 3).join(", ")}`);
  // A request is whole for us when its last byte has come; partial requests of the capture must not be served.
  const partial = served.filter((line) => !wholeLines.has(line) && sent.has(line));
  check(partial.length === 0, `served requests that did not come whole: ${partial.slice(0, 3).join(", ")}`);
  const gets = lacking.filter((line) => line.startsWith("GET"));
  check(
    isLossy || gets.length === 0,
    `GETs are missing, although they are sent again after a restart: ${gets.slice(0, 3).join(", ")}`,
  );
  check(
    isLossy || lacking.length <= 5 * clients,
    `more requests are missing (${lacking.length}) than can be in flight at a restart`,
  );
  const posts = served.filter((line) => line.startsWith("POST"));
  check(new Set(posts).size === posts.length, "a POST was served twice");
  return { sent: requests.length, whole: whole.length, served: served.length, lacking: lacking.length, problems };
}

/** The conditions for /status. */
function checkStatus({ frames, flows, requests, now }: any): string[] {
  const problems: string[] = [];
  if (frames.captured !== frames.segments + sum(frames.dropped)) problems.push("/status: frames do not add up");
  if (flows.opened + flows.picked_up !== flows.closed + flows.evicted + flows.active)
    problems.push("/status: flows do not add up");
  // Each flow that the mirror has left open may have a request in its middle.
  const open = requests.seen - requests.forwarded - requests.damaged - sum(requests.dropped);
  if (open < 0 || open > flows.active)
    problems.push(`/status: ${open} requests of ${flows.active} flows are in no counter`);
  if (!now.interface_up || flows.active > ACTIVE_MAX) problems.push(`/status: ${flows.active} flows are active`);
  return problems;
}

/** The conditions for the process from round to round. */
function standing(rounds: Round[]): string[] {
  const { memoryMb, descriptors, status } = rounds.at(-1)!.figures;
  const warm = rounds.slice(0, WARM_ROUNDS).map(({ figures }) => figures);
  const most = (values: number[]) => Math.max(...values);
  const problems = checkStatus(status);
  if (memoryMb > MEMORY_MAX_MB) problems.push(`the process has ${memoryMb} MB of memory`);
  if (rounds.length > WARM_ROUNDS && memoryMb > GROWTH_MAX * most(warm.map((figures) => figures.memoryMb)))
    problems.push(`memory grew to ${memoryMb} MB`);
  if (descriptors > warm[0]!.descriptors + DESCRIPTORS_MORE_MAX) problems.push(`${descriptors} descriptors are open`);
  return problems;
}

const sum = (values: Record<string, number>) => Object.values(values).reduce((a, b) => a + b, 0);

/** Whether the counters of the whole run add up, and agree with the captures. */
function checkCounters(counters: any, rounds: Round[]): string[] {
  const { frames, flows, requests, responses, upstream } = counters;
  const total = (of: (round: Round) => number) => rounds.reduce((all, round) => all + of(round), 0);
  const lacking = total((round) => round.lacking);
  const isLossy = rounds.some((round) => round.isLossy);
  const claims: [string, boolean][] = [
    ["frames.captured = segments + Σ dropped", frames.captured === frames.segments + sum(frames.dropped)],
    ["flows opened = ended", flows.opened + flows.picked_up === flows.closed + flows.evicted + flows.active],
    [
      "seen = forwarded + damaged + Σ dropped",
      requests.seen ===
        sum({ forwarded: requests.forwarded, damaged: requests.damaged, dropped: sum(requests.dropped) }),
    ],
    ["forwarded = answered + unanswered", requests.forwarded === requests.answered + responses.unanswered],
    ["nothing was dropped", sum(requests.dropped) === 0],
    ["upstream connections made = ended", upstream.connects === upstream.closed + upstream.broken + upstream.given_up],
    ["as many requests forwarded as came whole", isLossy || requests.forwarded === total((round) => round.whole)],
    ["missing requests are counted as unanswered", isLossy || lacking <= responses.unanswered],
  ];
  return claims.filter(([, isSo]) => !isSo).map(([claim]) => `not so: ${claim}`);
}

const lab = await Lab.up(`soak${process.pid}`, ["--drop", LOSS_PERCENT]);
const rounds: Round[] = [];
let problems: string[] = [];
// Ctrl-C ends it in order, at the end of the minute.
let isStopped = false;
process.once("SIGINT", () => (isStopped = true));
try {
  await serverEndpoint(lab, BUN, PRODUCTION_PORT, 0, "production");
  const forwarder = await lab.forwarder(
    "--capture-buffer-mib",
    CAPTURE_BUFFER_MIB,
    "--admin",
    ADMIN,
    "eth0",
    String(VNI),
    String(PRODUCTION_PORT),
    `127.0.0.1:${ENDPOINT_PORT}`,
  );
  const watcher = lab.start("replay", process.execPath, `${import.meta.dir}/watcher.ts`, ADMIN);
  await watcher.until(({ stdout }) => stdout.includes("watching"));
  while (rounds.length < minutes && !isStopped && problems.length === 0) {
    const round = await runRound(lab, forwarder, rounds.length);
    rounds.push(round);
    problems = [...round.problems, ...standing(rounds)];
    if (watcher.stdout !== "watching\n") problems.push(`a watcher was refused: ${watcher.stdout}`);
    const { sent, whole, served, lacking, said, isLossy, figures } = round;
    console.log(
      `minute ${rounds.length}: ${sent} requests, ${whole} came whole, ${served} served, ${lacking} in flight at the ` +
        `restart; ${figures.memoryMb} MB, ${figures.descriptors} descriptors` +
        (said === "" ? "" : `; ${said}`) +
        (isLossy ? "; the kernel dropped frames, so nothing is compared" : ""),
    );
  }
  await watcher.end();
  if ((await forwarder.end("SIGINT")) !== 0) problems.push("the program's exit status is not 0");
  const counters = await lab.summary(forwarder);
  problems.push(...checkCounters(counters, rounds));
  console.log(JSON.stringify(counters));
  console.log(forwarder.stderr.split("\n").slice(-20).join("\n"));
} finally {
  await lab.down();
}
for (const problem of problems) console.error(`✗ ${problem}`);
if (problems.length === 0) console.log(`✓ ${rounds.length} minutes without a fault`);
process.exit(problems.length === 0 ? 0 : 1);
