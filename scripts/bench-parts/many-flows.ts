/**
 * (e) Memory with many live flows: each has a SYN and one small request, or the first segment of an upload, which needs
 * no connection yet, and stays open. The savefile comes through a pipe that is kept open. Program and endpoint have
 * their own network namespace, with enough ports.
 */
import { PORT, requests, savefile, type Traffic, uploads, VNI } from "./capture.ts";
import type { Figures } from "./figures.ts";
import { Child, ENDPOINT_HOST, endpointCommand, memory, PROGRAM, startServer } from "./processes.ts";
import { MODES, type Mode } from "./read.ts";

/** Below the range of the clients' ports. */
const ENDPOINT_PORT = 80;
const OPEN_FILES = 200_000;
/** In addition to the connections. */
const OTHER_FILES = 200;
const LOOK_MS = 200;
const LOOKS_MAX = 600;
/** The number of looks in a row without a change. */
const STILL_LOOKS = 5;

/** The reason why this cannot be measured here; undefined: it can. */
export function whyNoManyFlows(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  for (const tool of ["unshare", "nsenter", "ip", "ss"])
    if (Bun.which(tool) === null) return `${tool} is not installed`;
  return undefined;
}

/** The most files that a process here may open: the hard limit, which not every root may raise. */
async function openFilesMax(): Promise<number> {
  const tries = `ulimit -n ${OPEN_FILES} 2>/dev/null || ulimit -n "$(ulimit -Hn)"; ulimit -n`;
  return Number(await new Child(["bash", "-c", tries]).ends());
}

async function connectedSockets(through: string[]): Promise<number> {
  return Number(
    await new Child([...through, "bash", "-c", `ss -Htn state established "dport = :${ENDPOINT_PORT}" | wc -l`]).ends(),
  );
}

async function measure(
  traffic: Traffic,
  mode: Mode,
  connections: number,
  directory: string,
): Promise<{ rssMb: number; peakMb: number }> {
  const prepare = `ip link set lo up; echo '1024 65535' >/proc/sys/net/ipv4/ip_local_port_range; ulimit -n ${OPEN_FILES} 2>/dev/null || ulimit -n "$(ulimit -Hn)"; echo ready; exec "$@"`;
  const endpoint = new Child([
    "unshare",
    "-n",
    "bash",
    "-c",
    prepare,
    "bash",
    ...(await endpointCommand(directory, ENDPOINT_PORT)),
  ]);
  await endpoint.says("ready");
  const through = ["nsenter", "-t", String(endpoint.pid), "-n"];
  const limited = ["bash", "-c", `ulimit -n ${OPEN_FILES} 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$@"`, "bash"];
  const args = [
    "--log-level",
    "error",
    "--mode",
    mode,
    "--read",
    "-",
    String(VNI),
    String(PORT),
    `${ENDPOINT_HOST}:${ENDPOINT_PORT}`,
  ];
  await (await startServer(["true"], ENDPOINT_PORT, through)).stop();
  const program = new Child([...through, ...limited, ...PROGRAM, ...args], "pipe");
  try {
    const pipe = program.child.stdin as import("bun").FileSink;
    for (const chunk of savefile(traffic)) {
      pipe.write(chunk);
      await pipe.flush();
    }
    let still = 0;
    let before = -1;
    for (let look = 0; look < LOOKS_MAX && still < STILL_LOOKS; look++) {
      await Bun.sleep(LOOK_MS);
      const connected = await connectedSockets(through);
      const { rssMb } = memory(program.pid);
      const isStill = connected >= connections && Math.abs(rssMb - before) < 0.5;
      still = isStill ? still + 1 : 0;
      before = rssMb;
    }
    if (still < STILL_LOOKS)
      throw new Error(
        `mode ${mode}: only ${await connectedSockets(through)} of ${connections} connections were established, or memory does not settle`,
      );
    return memory(program.pid);
  } finally {
    await program.stop();
    await endpoint.stop();
  }
}

export async function measureManyFlows(
  figures: Figures,
  runs: number,
  counts: number[],
  directory: string,
): Promise<void> {
  const why = whyNoManyFlows();
  if (why !== undefined) {
    figures.leaveOut(`(e) is left out: ${why}`);
    return;
  }
  const filesMax = await openFilesMax();
  const add = async (name: string, traffic: Traffic, mode: Mode, connections: number) => {
    for (let i = 0; i < runs; i++) {
      const { rssMb, peakMb } = await measure(traffic, mode, connections, directory);
      figures.add("e", name, "MB", rssMb);
      figures.add("e", `${name}, peak`, "MB", peakMb);
    }
  };
  for (const count of counts) {
    const flows = `${count.toLocaleString("en-US")} live flows`;
    await add(`${flows}, mode http, each in the middle of an upload`, uploads(count, count), "http", 0);
    if (count + OTHER_FILES > filesMax) {
      figures.leaveOut(
        `(e) is left out for ${flows} with a connection each: a process here may open only ${filesMax.toLocaleString("en-US")} files`,
      );
      continue;
    }
    for (const mode of MODES) await add(`${flows}, mode ${mode}`, requests(count, count), mode, count);
  }
}
