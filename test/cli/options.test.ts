import { describe, expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { isatty } from "node:tty";
import { type Options, readRequest, usage } from "../../src/cli/options.ts";
import { UsageError } from "../../src/errors.ts";

type Env = Record<string, string>;

const LIVE = ["eth0", "42", "80", "localhost:8080"];
const READ = ["--read", "mirror.pcap", "42", "80", "localhost:8080"];

/** The options read, or the message of the refusal. */
function read(argv: string[], env: Env): Options | string {
  try {
    const request = readRequest(argv, env);
    if (request.kind !== "run") throw new Error(`${argv.join(" ")} was taken for --${request.kind}`);
    return request.options;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

/** Checks that a command line is read as `want` says: these options, or a refusal that holds these words. */
function check(argv: string[], env: Env, want: Partial<Options> | string[]): void {
  const got = read(argv, env);
  if (!Array.isArray(want)) {
    expect(got).toMatchObject(want);
    return;
  }
  if (typeof got !== "string") throw new Error(`${argv.join(" ")} was accepted`);
  for (const words of want) expect(got).toContain(words);
  expect(got).not.toContain("\n");
}

interface FlagCase {
  name: string;
  env?: string;
  /** Where the value shows in Options, if not under its own name. */
  option?: keyof Options;
  default: unknown;
  /** Accepted texts and what they are read as; the first two differ from the default and each other. */
  accepted: [string, unknown][];
  refused: string[];
  /** What the message about a refused value must say is accepted. */
  says: string[];
}

function count(name: string, env: string, defaultValue: number, min: number, max: number, option?: keyof Options): FlagCase {
  const accepted = [max, min + 2, min].map((value): [string, number] => [String(value), value]);
  const refused = [String(min - 1), String(max + 1), "abc", "1.5", "1e2", "0x10", "+1", " 1", "1 ", "1,000", "∞", "9".repeat(30), "1\n"];
  return { name, env, default: defaultValue, accepted, refused, says: [String(min), String(max)], ...(option === undefined ? {} : { option }) };
}

function path(name: string, env?: string): FlagCase {
  const accepted: [string, string][] = ["/a/b.json", "with space", "a=b", "--dashes", "ünï"].map((text) => [text, text]);
  return { name, default: undefined, accepted, refused: [], says: ["a path"], ...(env === undefined ? {} : { env }) };
}

const DAY_MS = 86_400_000;

const FLAGS: FlagCase[] = [
  path("read"),
  {
    name: "mode",
    env: "MODE",
    default: "http",
    accepted: [["http", "http"], ["tcp", "tcp"], ["HTTP", "http"]],
    refused: ["udp", "htt", "tcp ", "https"],
    says: ["http", "tcp"],
  },
  count("max-pending-packets", "MAX_PENDING_PACKETS", 32, 0, 1_000_000),
  count("gap-timeout-ms", "GAP_TIMEOUT_MS", 1000, 1, DAY_MS, "gapTimeoutMs"),
  count("max-retries", "MAX_RETRIES", 10, 0, 1_000_000),
  count("threads", "NUM_THREADS", availableParallelism(), 1, 256),
  count("vxlan-port", "VXLAN_PORT", 4789, 1, 65_535),
  count("idle-timeout-s", "IDLE_TIMEOUT_S", 300, 1, DAY_MS / 1000),
  count("connect-timeout-ms", "CONNECT_TIMEOUT_MS", 5000, 1, DAY_MS),
  count("response-timeout-ms", "RESPONSE_TIMEOUT_MS", 30_000, 1, DAY_MS),
  count("pipeline-depth", "PIPELINE_DEPTH", 1, 1, 1000),
  count("max-waiting-requests", "MAX_WAITING_REQUESTS", 1024, 1, 1_000_000),
  count("max-request-bytes", "MAX_REQUEST_BYTES", 2 ** 20, 1, 2 ** 30),
  count("max-header-bytes", "MAX_HEADER_BYTES", 2 ** 16, 64, 2 ** 24),
  {
    name: "host",
    env: "HOST_HEADER",
    default: undefined,
    accepted: [["endpoint", "endpoint"], ["test.internal:8080", "test.internal:8080"], ["[::1]", "[::1]"]],
    refused: ["two words", "line\r\nX: y", "münchen"],
    says: ["printable characters"],
  },
  count("max-flows", "MAX_FLOWS", 65_536, 1, 10_000_000),
  count("max-buffer-mib", "MAX_BUFFER_MIB", 256, 1, 1024),
  count("capture-buffer-mib", "CAPTURE_BUFFER_MIB", 64, 1, 2047),
  path("libpcap", "LIBPCAP"),
  {
    name: "log-level",
    env: "LOG_LEVEL",
    default: "info",
    accepted: [["error", "error"], ["warn", "warn"], ["info", "info"], ["debug", "debug"], ["trace", "trace"], ["DEBUG", "debug"]],
    refused: ["nonsense", "3", "verbose", "info,debug", "vxlan_to_http=debug"],
    says: ["error", "warn", "info", "debug", "trace"],
  },
  {
    name: "log-format",
    env: "LOG_FORMAT",
    option: "logFormat",
    default: isatty(2) ? "pretty" : "plain",
    accepted: [["json", "json"], ["pretty", "pretty"], ["plain", "plain"], ["JSON", "json"]],
    refused: ["xml", "js on"],
    says: ["pretty", "plain", "json"],
  },
  path("summary", "SUMMARY"),
];

/** --read changes which arguments are expected. */
const argumentsFor = (flag: FlagCase) => (flag.name === "read" ? LIVE.slice(1) : LIVE);

test("the table above has every flag and every environment variable that --help shows", () => {
  const shown = [...usage().matchAll(/^ +--([a-z-]+) \S+ .*\[(?:([A-Z_]+), )?default: .*\]$/gm)].map(([, name, env]) => ({ name, env }));
  expect(shown as object[]).toEqual(FLAGS.map(({ name, env }) => ({ name, env })));
});

describe.each(FLAGS)("--$name", (flag) => {
  const { name, env, accepted, refused, says } = flag;
  const option = (flag.option ?? name) as keyof Options;
  const args = argumentsFor(flag);

  if (name !== "read") {
    test("has its default", () => check(LIVE, {}, { [option]: flag.default }));
  }

  test("takes what it accepts, after a space and after =", () => {
    for (const [text, value] of accepted) {
      check([`--${name}`, text, ...args], {}, { [option]: value });
      check([...args, `--${name}=${text}`], {}, { [option]: value });
    }
  });

  test("refuses anything else, naming itself, the value and what it accepts", () => {
    for (const text of refused) {
      check([`--${name}`, text, ...args], {}, [`--${name}`, JSON.stringify(text), ...says]);
      check([`--${name}=${text}`, ...args], {}, [`--${name}`, JSON.stringify(text), ...says]);
    }
  });

  test("refuses to be without a value, naming itself and what it accepts", () => {
    for (const argv of [[...args, `--${name}`], [`--${name}=`, ...args], [`--${name}`, "", ...args]]) check(argv, {}, [`--${name}`, ...says]);
  });

  test("is refused with a prefix, a suffix, a single dash", () => {
    for (const written of [`--x${name}`, `--${name}x`, `--${name.slice(0, -1)}`]) check([`${written}=1`, ...args], {}, [written]);
    check([`-${name}`, ...args], {}, ["no such flag"]);
  });

  if (env === undefined) return;
  const [[inFlag, flagValue], [inEnv, envValue]] = accepted as [[string, unknown], [string, unknown]];

  test(`beats ${env}, which beats the default`, () => {
    check(args, { [env]: inEnv }, { [option]: envValue });
    check([`--${name}`, inFlag, ...args], { [env]: inEnv }, { [option]: flagValue });
  });

  test(`is not disturbed by a bad ${env}, nor by an empty one`, () => {
    for (const text of refused) check([`--${name}`, inFlag, ...args], { [env]: text }, { [option]: flagValue });
    check(args, { [env]: "" }, { [option]: flag.default });
  });

  test(`${env} is refused where the flag would be, naming itself`, () => {
    for (const text of refused) check(args, { [env]: text }, [env, JSON.stringify(text), ...says]);
    for (const [text, value] of accepted) check(args, { [env]: text }, { [option]: value });
  });
});

test("the last of a flag given twice counts", () => {
  check(["--max-retries", "1", ...LIVE, "--max-retries=2"], {}, { "max-retries": 2 });
  check(["--max-retries=2", "--max-retries", "1", ...LIVE], {}, { "max-retries": 1 });
});

test("with --read, holes have no time limit unless one is given", () => {
  check(READ, {}, { gapTimeoutMs: Infinity });
  check([...READ, "--gap-timeout-ms", "20"], {}, { gapTimeoutMs: 20 });
  check(READ, { GAP_TIMEOUT_MS: "30" }, { gapTimeoutMs: 30 });
});

describe("header edits", () => {
  const edits = (host: string | undefined, fields: [string, string][], mark: boolean) => ({ headerEdits: { host, fields, mark } });

  test("are none unless asked for", () => check(LIVE, {}, { headerEdits: null }));
  test("--mark adds the mark", () => check(["--mark", ...LIVE], {}, edits(undefined, [], true)));

  test("--host replaces Host; endpoint is forward_addr's", () => {
    check(["--host", "a.example", ...LIVE], {}, edits("a.example", [], false));
    check(["--host", "endpoint", ...LIVE], {}, edits("localhost:8080", [], false));
    check(["--host=endpoint", "eth0", "42", "80", "http://[::1]"], {}, edits("[::1]", [], false));
    check(["--host=endpoint", "eth0", "42", "80", "h:80"], {}, edits("h", [], false));
  });

  test("--set-header may be given more than once, wherever flags may stand", () => {
    const fields: [string, string][] = [["X-Test", "1"], ["Authorization", "Basic a:b=="], ["x-empty", ""]];
    const written = ["--set-header", "X-Test: 1", "--set-header=Authorization:  Basic a:b== ", "--set-header", "x-empty:"];
    check([...written, ...LIVE], {}, edits(undefined, fields, false));
    check([...LIVE, ...written], {}, edits(undefined, fields, false));
  });

  test("--set-header refuses what is no field, or frames the request", () => {
    for (const text of ["", "X", ": 1", "X Y: 1", "X: 1\r\nY: 2", "X: ü", "Content-Length: 1", "transfer-encoding: chunked", "CONNECTION: close"]) {
      check(["--set-header", text, ...LIVE], {}, ["--set-header", JSON.stringify(text), "'Name: value'"]);
    }
    check([...LIVE, "--set-header"], {}, ["--set-header", "'Name: value'"]);
  });

  test("behind --, --set-header is an argument", () => check(["--", ...LIVE, "--set-header"], {}, [`"--set-header"`, "too many"]));
});

describe("the level of the log", () => {
  const levels: [Env, string[], string][] = [
    [{ RUST_LOG: "debug" }, [], "debug"],
    [{ RUST_LOG: "WARN" }, [], "warn"],
    [{ RUST_LOG: " trace " }, [], "trace"],
    [{ RUST_LOG: "off" }, [], "silent"],
    [{ RUST_LOG: "" }, [], "info"],
    [{ RUST_LOG: "vxlan_to_http=debug" }, [], "debug"],
    [{ RUST_LOG: "warn,vxlan_to_http=trace" }, [], "trace"],
    [{ RUST_LOG: "error,hyper=trace" }, [], "error"],
    [{ RUST_LOG: "hyper=debug" }, [], "info"],
    [{ RUST_LOG: "hyper::client=off,tokio=warn" }, [], "info"],
    [{ RUST_LOG: "what is this/[{}]" }, [], "info"],
    [{ RUST_LOG: "debug", LOG_LEVEL: "warn" }, [], "warn"],
    [{ RUST_LOG: "debug", LOG_LEVEL: "" }, [], "debug"],
    [{ RUST_LOG: "debug", LOG_LEVEL: "warn" }, ["--log-level", "error"], "error"],
    [{ RUST_LOG: "off" }, ["--log-level", "info"], "info"],
  ];
  test.each(levels)("%j and %j: %s", (env, argv, level) => check([...argv, ...LIVE], env, { "log-level": level as Options["log-level"] }));
});

describe("arguments", () => {
  test("are four, or three with --read, wherever the flags stand", () => {
    const want = { interfaceName: "eth0", vni: 42, port: 80, address: { host: "localhost", port: 8080 }, read: undefined };
    check(LIVE, {}, want);
    check(["--max-retries", "1", ...LIVE], {}, want);
    check(["eth0", "--max-retries=1", "42", "80", "--max-flows", "9", "localhost:8080"], {}, want);
    check(["--max-retries=1", "--", ...LIVE], {}, want);
    check(READ, {}, { ...want, interfaceName: undefined, read: "mirror.pcap" });
    check(["42", "80", "localhost:8080", "--read", "-"], {}, { ...want, interfaceName: undefined, read: "-" });
    check(["42", "--read=-", "80", "localhost:8080"], {}, { ...want, interfaceName: undefined, read: "-" });
  });

  const names = ["<interface>", "<vni>", "<original_destination_port>", "<forward_addr>"];

  test("too few are refused, naming the first that is missing and those that are expected", () => {
    for (let given = 0; given < LIVE.length; given++) check(LIVE.slice(0, given), {}, [`${names[given]} is missing`, names.join(" ")]);
    for (let given = 0; given < 3; given++) check(["--read", "f", ...LIVE.slice(1, 1 + given)], {}, [`${names[1 + given]} is missing`, names.slice(1).join(" ")]);
  });

  test("too many are refused, naming the first of them", () => {
    check([...LIVE, "extra", "more"], {}, [`"extra"`, names.join(" ")]);
    check([...READ, "extra"], {}, [`"extra"`, names.slice(1).join(" ")]);
    check(["--read", "mirror.pcap", ...LIVE], {}, [`"localhost:8080"`, names.slice(1).join(" ")]);
  });

  const values: [argument: number, accepted: [string, Partial<Options>][], refused: string[], says: string[]][] = [
    [0, [["eth0.100", { interfaceName: "eth0.100" }], ["any", { interfaceName: "any" }]], [""], ["interface"]],
    [1, [["0", { vni: 0 }], ["5569041", { vni: 5569041 }], ["16777215", { vni: 16777215 }]], ["16777216", "x", "", "1.0", "0x2a", "4 2", "99999999999999999999"], ["0", "16777215"]],
    [2, [["1", { port: 1 }], ["65535", { port: 65535 }]], ["0", "65536", "70000", "http", "", "80/tcp"], ["1", "65535"]],
    [3, [["h:1", { address: { host: "h", port: 1 } }]], ["localhost", "", ":80", "h:0", "h:65536", "https://h"], ["host:port", "http://host[:port]", "[v6]:port"]],
  ];
  test.each(values)("argument %i is refused where it is not what it must be", (argument, accepted, refused, says) => {
    const replace = (text: string) => LIVE.map((given, i) => (i === argument ? text : given));
    for (const [text, want] of accepted) check(replace(text), {}, want);
    for (const text of refused) check(replace(text), {}, [names[argument]!, JSON.stringify(text), ...says]);
    check(replace("-1"), {}, ["-1"]);
  });
});

describe("flags that do not exist are refused by the name they were given", () => {
  const unknown = ["--nope", "--nope=1", "-x", "-hx", "--Mode", "--MODE=tcp", "--toString=1", "--constructor", "--__proto__", "--__proto__=x", "--_", "--_=x", "-_", "--no-x", "--no-such-flag"];
  test.each(unknown)("%s", (flag) => {
    const name = flag.split("=")[0]!;
    check([flag, ...LIVE], {}, [name]);
    check([...LIVE, flag], {}, [name]);
  });

  test.each(["--no-mode", "--no-summary", "--no-read", "--no-max-retries"])("%s, for what it would switch off is no switch", (flag) => {
    check([...LIVE, flag], {}, [flag.slice("--no-".length)]);
  });

  test("even beside --help", () => check(["--help", "--nope"], {}, ["--nope"]));
});

test("--help and --version need nothing else, and beat what else is wrong", () => {
  const kinds: [string[], string][] = [
    [["--help"], "help"],
    [["-h"], "help"],
    [["--version"], "version"],
    [["-v"], "version"],
    [["--help", "--version"], "help"],
    [["eth0", "--help"], "help"],
    [["--mode", "nope", "--help"], "help"],
    [["--version", "too", "many", "arguments", "by", "far"], "version"],
  ];
  for (const [argv, kind] of kinds) expect(readRequest(argv, { MAX_RETRIES: "abc" }).kind as string, argv.join(" ")).toBe(kind);
});
