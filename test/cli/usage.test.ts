import { expect, test } from "bun:test";
import { readRequest } from "../../src/cli/options.ts";
import { usage } from "../../src/cli/usage.ts";

const lines = usage().split("\n");

/** The indented lines below a heading. */
function section(heading: string): string[] {
  const begin = lines.findIndex((line) => line.startsWith(heading)) + 1;
  const length = lines.slice(begin).findIndex((line) => !line.startsWith("  "));
  return lines.slice(begin, begin + length);
}

test("the two forms of the command are the documented ones", () => {
  expect(section("Usage:")).toEqual([
    "  vxlan-to-http [options] <interface> <vni> <original_destination_port> <forward_addr>",
    "  vxlan-to-http [options] --read FILE|- <vni> <original_destination_port> <forward_addr>",
  ]);
});

test("each argument is explained, in order", () => {
  expect(section("Arguments:").map((line) => line.trim().split(" ")[0]!)).toEqual([
    "interface",
    "vni",
    "original_destination_port",
    "forward_addr",
  ]);
});

// DESIGN.md's table, as far as the flags exist.
const contract: [flag: string, original: string, defaultText: string][] = [
  ["--read", "", "none"],
  ["--mode", "", "http"],
  ["--max-pending-packets", "MAX_PENDING_PACKETS, ", "32"],
  ["--gap-timeout-ms", "", "1000"],
  ["--max-retries", "MAX_RETRIES, ", "10"],
  ["--threads", "NUM_THREADS, ", "one per core"],
  ["--outage-timeout-s", "", "60"],
  ["--header-timeout-s", "", "60"],
  ["--max-response-seconds", "", "off"],
  ["--fin-delay-ms", "", "1000"],
  ["--allow", "", "none"],
  ["--deny", "", "none"],
  ["--sample", "", "100%"],
  ["--max-rate", "", "none"],
  ["--dry-run", "", "off"],
  ["--rewrite-path", "", "none"],
  ["--remove-header", "", "none"],
  ["--set-header", "", "none"],
  ["--forwarded", "", "off"],
  ["--mark", "", "off"],
  ["--also", "", "none"],
  ["--proxy-protocol", "", "pass"],
  ["--http2", "", "auto"],
  ["--tls-ca", "", "the system's alone"],
  ["--tls-cert", "", "none"],
  ["--tls-key", "", "none"],
  ["--tls-server-name", "", "that of forward_addr"],
  ["--tls-insecure", "", "off"],
  ["--log-level", "LOG_LEVEL, RUST_LOG, ", "info"],
  ["--log-format", "", "pretty on a terminal, else plain"],
  ["--summary", "", "none"],
  ["--admin", "", "off"],
];

test.each(contract)(
  "%s is explained with the original program's variables and its default",
  (flag, original, defaultText) => {
    const line = section("Options").find((option) => option.startsWith(`  ${flag} `));
    expect(line).toContain(` [${original}default: ${defaultText}`);
  },
);

test("the rule for variables is explained once, with an example", () => {
  expect(usage().match(/VXLAN_TO_HTTP_/g)).toHaveLength(2);
  expect(section("Environment:").join(" ")).toContain("--gap-timeout-ms: VXLAN_TO_HTTP_GAP_TIMEOUT_MS");
});

test("--response-timeout-ms is explained for both modes", () => {
  const line = section("Options").find((option) => option.startsWith("  --response-timeout-ms "));
  expect(line).toMatch(/between two reads of a response.*tcp: silence/);
});

test("every option has an explanation", () => {
  const options = section("Options");
  for (const line of options) expect(line).toMatch(/^ {2}(-\w, )?--[a-z0-9-]+( \S+| '.*')? {2,}\S.{5,}$/);
  expect(options.join("\n")).toMatch(/-h, --help/);
  expect(options.join("\n")).toMatch(/-v, --version/);
  expect(options.join("\n")).toContain("RUST_LOG");
});

test("explanations are in one column", () => {
  const columns = ["Arguments:", "Options"].map(
    (heading) => new Set(section(heading).map((line) => /^ {2}\S.*? {2,}(?=\S)/.exec(line)?.[0].length)),
  );
  for (const column of columns) expect([...column]).toHaveLength(1);
});

test("every example is an accepted command; one reads a file, one a pipe, one an interface", () => {
  const examples = section("Examples:").map((line) => line.replace(/^.*\bvxlan-to-http /, "").split(" "));
  const requests = examples.map((argv) => readRequest(argv, {}));
  const reads = requests.map((request) =>
    request.kind === "run" ? (request.config.read?.join() ?? request.config.interfaceName) : request.kind,
  );
  expect(new Set(reads)).toEqual(new Set(["eth0", "mirror.pcap", "-"]));
  expect(new Set(requests.map(({ kind }) => kind))).toEqual(new Set(["run"]));
});

test("the exit statuses are listed", () => {
  expect(lines.find((line) => line.startsWith("Exit status"))).toMatch(/\b0\b.*\b1\b.*\b2\b/);
});
