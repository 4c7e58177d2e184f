/** Attacks, each in a process of its own: the remains of one attack are not measured with the next. */
import { join } from "node:path";
import type { Report, Setup, Way } from "./attack.ts";
import { ATTACKS } from "./attacks.ts";
import { TRIALS } from "./trials.ts";

/** For the endpoint's connections, which are in the same process. */
const DESCRIPTORS = 200_000;

/**
 * Prepares the namespace: nearly all ports are for connections to the endpoint. If 20,000 of the usual 28,232 are
 * taken, the kernel's search for a free one takes most of the time, which says nothing about the program.
 */
const NETWORK = "ip link set lo up && echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range && ";

/** Every attack's name, and its way if it has only one. */
export const ALL: readonly { name: string; what: string; way?: Way }[] = [...ATTACKS, ...TRIALS];

/** Runs an attack. On an interface it gets a network namespace of its own, which only root can create. */
export async function attackApart(name: string, setup: Setup): Promise<Report> {
  const isLive = setup.way === "live";
  const raise = `ulimit -n ${DESCRIPTORS} 2>/dev/null || ulimit -n $(ulimit -Hn)`;
  const prepare = `${raise}; ${isLive ? NETWORK : ""}exec "$@"`;
  const command = [
    "sh",
    "-c",
    prepare,
    "sh",
    process.execPath,
    join(import.meta.dir, "inside.ts"),
    name,
    JSON.stringify(setup),
  ];
  const child = Bun.spawn([...(isLive ? ["unshare", "-n"] : []), ...command], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0 || out === "")
    throw new Error(`${name} (${setup.way}): the attack itself has failed\n${out}${err}`);
  return JSON.parse(out) as Report;
}
