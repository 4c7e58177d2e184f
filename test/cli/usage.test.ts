import { expect, test } from "bun:test";
import { readRequest, usage } from "../../src/cli/options.ts";

const lines = usage().split("\n");

/** The indented lines below a heading. */
function section(heading: string): string[] {
  const begin = lines.findIndex((line) => line.startsWith(heading)) + 1;
  const length = lines.slice(begin).findIndex((line) => !line.startsWith("  "));
  return lines.slice(begin, begin + length);
}

test("the two forms of the command are the contract's", () => {
  expect(section("Usage:")).toEqual([
    "  vxlan-to-http [options] <interface> <vni> <original_destination_port> <forward_addr>",
    "  vxlan-to-http [options] --read FILE|- <vni> <original_destination_port> <forward_addr>",
  ]);
});

test("each argument is explained, in order", () => {
  expect(section("Arguments:").map((line) => line.trim().split(" ")[0]!)).toEqual(["interface", "vni", "original_destination_port", "forward_addr"]);
});

// Of DESIGN.md's table, what has a meaning already.
const contract: [flag: string, env: string | undefined, defaultText: string][] = [
  ["--read", undefined, "none"],
  ["--mode", "MODE", "http"],
  ["--max-pending-packets", "MAX_PENDING_PACKETS", "32"],
  ["--gap-timeout-ms", "GAP_TIMEOUT_MS", "1000"],
  ["--max-retries", "MAX_RETRIES", "10"],
  ["--vxlan-port", "VXLAN_PORT", "4789"],
  ["--log-level", "LOG_LEVEL", "info"],
  ["--log-format", "LOG_FORMAT", "pretty on a terminal, else plain"],
  ["--summary", "SUMMARY", "none"],
];

test.each(contract)("%s is explained with its environment variable and default", (flag, env, defaultText) => {
  const line = section("Options").find((option) => option.startsWith(`  ${flag} `));
  expect(line).toContain(env === undefined ? "[default: " : `[${env}, default: `);
  expect(line).toContain(`default: ${defaultText}`);
});

test("every option says more than its name", () => {
  const options = section("Options");
  for (const line of options) expect(line).toMatch(/^ {2}(-\w, )?--[a-z-]+( \S+| '.*')? {2,}\S.{5,}$/);
  expect(options.join("\n")).toMatch(/-h, --help/);
  expect(options.join("\n")).toMatch(/-v, --version/);
  expect(options.join("\n")).toContain("RUST_LOG");
});

test("explanations stand in one column", () => {
  const columns = ["Arguments:", "Options"].map((heading) => new Set(section(heading).map((line) => /^ {2}\S.*? {2,}(?=\S)/.exec(line)?.[0].length)));
  for (const column of columns) expect([...column]).toHaveLength(1);
});

test("every example is a command that is accepted; one reads a file, one a pipe, one an interface", () => {
  const examples = section("Examples:").map((line) => line.replace(/^.*\bvxlan-to-http /, "").split(" "));
  const requests = examples.map((argv) => readRequest(argv, {}));
  const reads = requests.map((request) => (request.kind === "run" ? (request.options.read ?? request.options.interfaceName) : request.kind));
  expect(new Set(reads)).toEqual(new Set(["eth0", "mirror.pcap", "-"]));
  expect(new Set(requests.map(({ kind }) => kind))).toEqual(new Set(["run"]));
});

test("the exit statuses are told", () => {
  expect(lines.find((line) => line.startsWith("Exit status"))).toMatch(/\b0\b.*\b1\b.*\b2\b/);
});
