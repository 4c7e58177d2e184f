/** The text of --help. */
import { defaultOf, type Flag, flagTable, originalVariables, otherFlagTable, variableOf } from "./flags.ts";
import { positionals } from "./options.ts";

const VARIABLE_EXAMPLE = "gap-timeout-ms";

function row(name: string, flag: Flag<unknown>): [string, string] {
  const written = flag.kind === "switch" ? `--${name}` : `--${name} ${flag.hint}`;
  return [written, `${flag.help} [${[...originalVariables(flag), `default: ${defaultOf(flag)}`].join(", ")}]`];
}

/** The whole text, without a newline at its end. */
export function usage(): string {
  const rows = [
    ...flagTable.map(([name, flag]) => row(name, flag)),
    ...otherFlagTable.map(([name, { letter, help }]) => [letter ? `-${letter}, --${name}` : `--${name}`, help]),
  ];
  const width = Math.max(...[...rows, ...positionals.map(({ name }) => [name])].map(([name]) => name!.length));
  return [
    "Forwards mirrored traffic (AWS VPC Traffic Mirroring, VXLAN) to an HTTP endpoint.",
    "",
    "Usage:",
    "  vxlan-to-http [options] <interface> <vni> <original_destination_port> <forward_addr>",
    "  vxlan-to-http [options] --read FILE|- <vni> <original_destination_port> <forward_addr>",
    "",
    "Arguments:",
    ...positionals.map(({ name, help }) => `  ${name.padEnd(width)}  ${help}`),
    "",
    "Options [original program's variable, default]:",
    ...rows.map(([name, help]) => `  ${name!.padEnd(width)}  ${help}`),
    "",
    "Environment:",
    "  Each flag has a variable: VXLAN_TO_HTTP_ and the flag's name in capitals",
    `  (--${VARIABLE_EXAMPLE}: ${variableOf(VARIABLE_EXAMPLE)}).`,
    "  A flag beats its variable, which beats the original program's (in brackets above), which beats the default.",
    "  If a flag may be given more than once, its variable has one value a line. If a flag has no value, its variable is",
    "  1, true, yes or on, or 0, false, no or off. An empty variable counts as none.",
    "",
    "Examples:",
    "  vxlan-to-http eth0 5569041 80 127.0.0.1:8080",
    "  vxlan-to-http --host endpoint --mark --log-level debug eth0 42 8080 http://test.internal",
    "  vxlan-to-http --allow method:safe --deny path:/admin/* --sample 10%:client eth0 42 80 test.internal:80",
    "  vxlan-to-http --mode tcp --max-pending-packets 64 eth0 42 5432 10.0.0.7:5432",
    "  vxlan-to-http --read mirror.pcap 42 80 [::1]:8080",
    "  ssh replay tcpdump -U -w - udp port 4789 | vxlan-to-http --read - 42 80 localhost:8080",
    "",
    "Exit status: 0 done, 1 refused by the machine or (with --read) not all forwarded, 2 wrong usage, 3 responses differed.",
  ].join("\n");
}
