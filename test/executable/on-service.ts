/**
 * Run by in-systemd.sh: installs the program as the README says, lets it capture on lo and forward, kills it, lets it
 * forward again, removes it, and prints the outcome as JSON.
 *
 *     bun on-service.ts EXECUTABLE
 */
import { existsSync, mkdirSync, readFileSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Identity, identitiesOf, Mirror } from "./loopback-mirror.ts";
import { REPOSITORY } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { PORT, VNI } from "./sessions.ts";

export interface ServiceOutcome {
  identities: Identity[];
  /** The lowest nice value of the threads that capture. */
  nice: number;
  descriptors: string;
  /** The unit's number of descriptors, as far as this machine allows it. */
  descriptorsMax: string;
  received: string;
  /** systemd's result of its end. */
  result: string;
  /** Directories in which the service's user can create a file. */
  writable: string;
  /** Its counters, written into its own directory. */
  summary: { frames: { segments: number } };
  environmentMode: string;
  /** The files that are left after the removal. */
  left: string[];
}

const [executable] = process.argv.slice(2) as [string];
const INSTALL = join(REPOSITORY, "scripts/install-service");
const ENVIRONMENT = "/etc/vxlan-to-http.env";
const LOG = "/run/service.log";

const ADMIN = "127.0.0.1:9789";

/** Options, and variables that would turn a Bun executable into another program. */
const environment = [
  "VXLAN_TO_HTTP_MODE=tcp",
  "VXLAN_TO_HTTP_FIN_DELAY_MS=0",
  `VXLAN_TO_HTTP_ADMIN=${ADMIN}`,
  "VXLAN_TO_HTTP_SUMMARY=/var/lib/vxlan-to-http/summary.json",
  "BUN_BE_BUN=1",
  "BUN_OPTIONS=--preload=/nowhere.ts",
  "BUN_INSPECT_PRELOAD=/nowhere.ts",
  "LD_PRELOAD=/nowhere.so",
];

function command(...argv: string[]): string {
  const { success, stdout, stderr } = Bun.spawnSync(argv, { stderr: "pipe" });
  if (!success) throw new Error(`${argv.join(" ")}: ${stdout}${stderr}`);
  return stdout.toString().trim();
}

const shown = (property: string) => command("systemctl", "show", "--value", "--property", property, "vxlan-to-http");

/** Resolves when the program has started to capture this many times. */
function capturing(times: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => readFileSync(LOG, "utf8").split("Capturing on lo").length > times && resolve();
  const watcher = watch(LOG, look);
  look();
  return promise.then(() => watcher.close());
}

mkdirSync("/etc/systemd/system/vxlan-to-http.service.d");
writeFileSync("/etc/systemd/system/vxlan-to-http.service.d/log.conf", `[Service]\nStandardError=append:${LOG}\n`);
writeFileSync(LOG, "");
writeFileSync(ENVIRONMENT, environment.map((line) => `${line}\n`).join(""), { mode: 0o644 });
using endpoint = new RecordingEndpoint();
const mirror = await Mirror.open();
const forwarded = async (connection: number) => {
  mirror.sendRequest();
  await endpoint.until(() => endpoint.connections[connection]?.closed === true);
};

command(INSTALL, "--executable", executable, "lo", String(VNI), String(PORT), endpoint.address);
await capturing(1);
await forwarded(0);
// Throws if the program is not well.
command(executable, "--probe", ADMIN);
const pid = Number(shown("MainPID"));
const identities = identitiesOf(pid);
const nice = Math.min(...command("ps", "-L", "-o", "ni=", "-p", String(pid)).split("\n").map(Number));
const descriptors = /^Max open files +(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, "utf8"))![1]!;
const descriptorsMax = command("sh", "-c", "ulimit -n 1048576 2>/dev/null; ulimit -Hn");
const uid = identities[0]!["Uid"]!.split(" ")[0]!;
const writable = command(
  ...["nsenter", "--target", String(pid), "--mount", "--setuid", uid, "--setgid", uid, "sh", "-c"],
  'for d in / /etc /usr/local /home /root /var/lib /run /var/tmp /tmp /var/lib/vxlan-to-http; do touch "$d/x" && echo "$d"; done 2>/dev/null; true',
);
process.kill(pid, "SIGKILL");
await capturing(2);
await forwarded(1);
command("systemctl", "stop", "vxlan-to-http");
const result = shown("Result");
const summary = await Bun.file("/var/lib/vxlan-to-http/summary.json").json();
const environmentMode = command("stat", "-c", "%a", ENVIRONMENT);
command(INSTALL, "--remove");
mirror.close();

const installed = ["/usr/local/bin/vxlan-to-http", "/etc/systemd/system/vxlan-to-http.service", ENVIRONMENT];
const left = [...installed, "/var/lib/vxlan-to-http", "/var/lib/private/vxlan-to-http"].filter((path) =>
  existsSync(path),
);
const outcome: ServiceOutcome = {
  identities,
  nice,
  descriptors,
  descriptorsMax,
  received: endpoint.text(),
  result,
  writable,
  summary,
  environmentMode,
  left,
};
console.log(JSON.stringify(outcome));
