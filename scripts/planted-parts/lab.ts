/**
 * scripts/planted --lab: the findings of --compare in the lab, with a mirror of the kernel's in both directions, at a
 * rate. The lab's own losses are counted beside those that were asked for.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PLANTS, type Plant } from "../../test/compare/world.ts";
import { ENDPOINT_PORT, Lab, type Program, PRODUCTION_PORT } from "../../test/live/lab.ts";
import { type CpuTime, cpuTime } from "../bench-parts/processes.ts";
import { faultsOf, type Found, PLANT_NAMES, type Planted } from "./found.ts";
import { writeScript } from "./script.ts";

const PRODUCTION = "192.0.2.2";
const VNI = 42;
const CONNECTIONS = 64;
/** How long after the load's end the mirror's last packets may still be on their way to the program. */
const SETTLE_MS = 1000;
/** The share of the requests that may have been due and not sent: with more, the machine is at its end. */
const MISSED_SHARE_MAX = 0.03;

const { values } = parseArgs({
  options: {
    lab: { type: "boolean" },
    requests: { type: "string", default: "20000" },
    rate: { type: "string", default: "5000" },
    seed: { type: "string", default: "1" },
    lost: { type: "string", default: "0" },
    late: { type: "string", default: "0" },
    twice: { type: "string", default: "0" },
  },
});
const { lost, late, twice } = values;
const isCalm = Number(lost) + Number(late) + Number(twice) === 0;

interface Sent extends CpuTime {
  readonly requests: number;
  readonly seconds: number;
  readonly missed: number;
}

/** Counts of the mirror's packets. */
interface Packets {
  sent: number;
  lost: number;
  late: number;
  twice: number;
  arrived: number;
}

async function packets(lab: Lab): Promise<Packets> {
  const { nftables } = JSON.parse(await lab.run("production", "nft", "-j", "list", "counters")) as {
    nftables: { counter?: { name: string; packets: number } }[];
  };
  const count = (name: string) => nftables.find(({ counter }) => counter?.name === name)?.counter!.packets ?? 0;
  const [link] = JSON.parse(await lab.run("replay", "ip", "-j", "-s", "link", "show", "eth0"));
  return {
    sent: count("sent"),
    lost: count("dropped"),
    late: count("late"),
    twice: count("twice"),
    arrived: link.stats64.rx.packets,
  };
}

const TICKS_PER_SECOND = 100;

/** The busy time of all cores so far, in seconds. */
function machine(): Record<string, number> {
  const [, user, nice, system, , , interrupts, soft, steal] = /^cpu .*/
    .exec(readFileSync("/proc/stat", "utf8"))![0]
    .split(/ +/)
    .map((ticks) => Math.round(Number(ticks) / TICKS_PER_SECOND)) as number[];
  return { user: user! + nice!, system: system!, softirq: interrupts! + soft!, steal: steal! };
}

const less = <T extends object>(after: T, before: T) =>
  Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, value - (before as Record<string, number>)[name]!]),
  ) as T;

async function run(directory: string) {
  const lab = await Lab.up(`plt${process.pid}`, [
    "--vni",
    String(VNI),
    "--drop",
    lost,
    "--late",
    late,
    "--twice",
    twice,
  ]);
  try {
    const part = (name: string) => `${import.meta.dir}/${name}.ts`;
    const server = (host: "production" | "replay", port: number, role: string) =>
      lab.start(host, process.execPath, part("lab-server"), String(port), role, directory);
    const production = server("production", PRODUCTION_PORT, "production");
    const endpoint = server("replay", ENDPOINT_PORT, "endpoint");
    for (const each of [production, endpoint]) await each.until(({ stdout }) => stdout.includes("ready"));
    const differences = join(directory, "differences.ndjson");
    const program = await lab.forwarder(
      ...["--compare", "--differences", differences, "eth0", String(VNI), String(PRODUCTION_PORT)],
      `127.0.0.1:${ENDPOINT_PORT}`,
    );
    const cpu = () => [production, endpoint, program].map(({ child }: Program) => cpuTime(child.pid));
    const before = { packets: await packets(lab), cpu: cpu(), machine: machine() };
    const client = [process.execPath, part("lab-client"), PRODUCTION, String(PRODUCTION_PORT), directory];
    const sent = JSON.parse(await lab.run("client", ...client, String(CONNECTIONS), values.rate)) as Sent;
    await Bun.sleep(SETTLE_MS);
    const after = { packets: await packets(lab), cpu: cpu(), machine: machine() };
    await program.end("SIGINT");
    return {
      sent,
      summary: await lab.summary(program),
      lines: readFileSync(differences, "utf8").split("\n").slice(0, -1),
      packets: less(after.packets, before.packets),
      cpu: after.cpu.map((each, i) => less(each, before.cpu[i]!)),
      machine: less(after.machine, before.machine),
    };
  } finally {
    await lab.down();
  }
}

/** The lines of --differences that nobody planted. */
function faultsOfLines(lines: readonly string[]): string[] {
  return lines.filter((line) => {
    const { target, kind, where } = JSON.parse(line);
    const plant = target.split("/")[1] as Plant;
    return !(PLANTS[plant] as readonly string[]).includes(`${kind} ${where}`);
  });
}

const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-planted-"));
let planted: Planted, result: Awaited<ReturnType<typeof run>>;
try {
  planted = writeScript(directory, Number(values.requests), Number(values.seed));
  result = await run(directory);
} finally {
  rmSync(directory, { recursive: true });
}
const { sent, summary, lines, packets: mirror } = result;
const { comparison, requests, frames } = summary as { comparison: Found; requests: any; frames: any };
/** Losses that nobody asked for. */
const ownLosses = {
  on_the_way: Math.max(mirror.sent + mirror.twice - mirror.arrived, 0),
  kernel_dropped: frames.kernel_dropped as number,
};
const faults = [
  ...faultsOf(planted, comparison, isCalm),
  ...faultsOfLines(lines).map((line) => `was not planted: ${line}`),
];
const own = ownLosses.on_the_way + ownLosses.kernel_dropped;
if (own > 0) faults.push(`the lab lost ${own} packets by itself: --rate is more than this machine carries`);
if (sent.missed > sent.requests * MISSED_SHARE_MAX)
  faults.push(`${sent.missed} requests were due and not sent: --rate is more than this machine carries`);
const percent = (us: number) => Math.round(us / 1e4 / sent.seconds);
const [production, endpoint, program] = result.cpu.map(({ userUs, systemUs }) => percent(userUs + systemUs));
const show = (what: object) => console.log(JSON.stringify(what));
const rate = Math.round(sent.requests / sent.seconds);
show({ requests: sent.requests, seconds: Math.round(sent.seconds), rate, missed: sent.missed, mirror_packets: mirror });
show({ lost_by_the_lab: ownLosses });
show({
  seen: requests.seen,
  forwarded: requests.forwarded,
  damaged: requests.damaged,
  dropped: some(requests.dropped),
});
const { compared, same, different, not_comparable: reasons } = comparison;
show({ compared, same, different, not_comparable: some(reasons), lines_of_differences: lines.length });
const places = (plant: Plant) =>
  comparison.routes
    .filter(({ path }) => path === `/${plant}/{}`)
    .flatMap(({ differences }) => differences)
    .map(({ kind, where, count }) => [`${kind} ${where}`.trim(), count] as const);
for (const plant of PLANT_NAMES.filter((each) => planted[each] > 0)) {
  const found: Record<string, number> = {};
  for (const [place, count] of places(plant)) found[place] = (found[place] ?? 0) + count;
  show({ plant, requests: planted[plant], found });
}
const client = percent(sent.userUs + sent.systemUs);
show({ percent_of_a_core: { client, production, program, endpoint }, all_cores_s: result.machine });
for (const fault of faults) console.error(`planted: ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);

/** The counts that are not zero. */
function some(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}
