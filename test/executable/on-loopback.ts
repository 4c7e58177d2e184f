/**
 * Run in a network namespace of its own: lets the program capture on lo, sends the mirror's datagrams there, and prints
 * the outcome as JSON.
 *
 *     bun on-loopback.ts EXECUTABLE CHROOT-OR-EMPTY free|taken THROUGH [FLAG…]
 *
 * "taken": another program has bound the mirror's UDP port. THROUGH: the command that starts the program, and a command
 * that is run meanwhile, as JSON.
 */
import { statSync } from "node:fs";
import { start } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { type Identity, identitiesOf, Mirror, VXLAN_PORT } from "./loopback-mirror.ts";
import { PORT, VNI } from "./sessions.ts";

export interface LoopbackOutcome {
  status: number | null;
  stderr: string;
  received: string;
  /** The kernel's refusals (ICMP port unreachable) before the program's start, and while it ran. */
  refusedBefore: number;
  refusedMeanwhile: number;
  /** The identities of its threads when the endpoint had everything (proc_pid_status(5)), each once. */
  identities: Identity[];
  /** The owner of its files in /proc: only that user may read its memory. */
  memoryOwner: number;
  /** The exit status of the command that was run meanwhile. */
  meanwhileStatus: number | null;
}

/** Further commands. */
export interface Commands {
  /** Starts the program. */
  through: string[];
  /** Run in the same place while the program captures; empty: no command. */
  meanwhile: string[];
}

const [executable, root, port, commands, ...flags] = process.argv.slice(2) as [
  string,
  string,
  "free" | "taken",
  string,
  ...string[],
];
const { through, meanwhile } = JSON.parse(commands) as Commands;
const inside = root === "" ? [] : ["chroot", root];
const owner = port === "taken" ? await Bun.udpSocket({ hostname: "127.0.0.1", port: VXLAN_PORT }) : undefined;
const mirror = await Mirror.open();
if (port === "free") await mirror.sendRefused();
const refusedBefore = mirror.refused;

using endpoint = new RecordingEndpoint();
const running = start(
  [
    ...flags,
    "--mode",
    "tcp",
    "--fin-delay-ms",
    "0",
    "--log-level",
    "debug",
    "lo",
    String(VNI),
    String(PORT),
    endpoint.address,
  ],
  {
    executable,
    through: [...through, ...inside],
  },
);
let identities: Identity[] = [];
let memoryOwner = -1;
let meanwhileStatus: number | null = null;
const isCapturing = await Promise.race([
  running.says("Capturing on lo").then(() => true),
  running.outcome.then(() => false),
]);
if (isCapturing) {
  mirror.sendRequest();
  await endpoint.until(() => endpoint.connections[0]?.closed === true);
  identities = identitiesOf(running.pid);
  if (meanwhile.length > 0) meanwhileStatus = Bun.spawnSync([...inside, ...meanwhile], { stderr: "inherit" }).exitCode;
  memoryOwner = statSync(`/proc/${running.pid}/mem`).uid;
  running.signal("SIGTERM");
}
const { status, stderr } = await running.outcome;
mirror.close();
owner?.close();
const outcome: LoopbackOutcome = {
  status,
  stderr,
  received: endpoint.text(),
  refusedBefore,
  refusedMeanwhile: mirror.refused - refusedBefore,
  identities,
  memoryOwner,
  meanwhileStatus,
};
console.log(JSON.stringify(outcome));
