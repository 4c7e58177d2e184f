/**
 * The command line, declared in one place: arguments, flags, environment variables, defaults, and
 * what each accepts. A flag beats its environment variable, which beats the default.
 */
import { availableParallelism } from "node:os";
import { isatty } from "node:tty";
import { type ArgsDef, parseArgs } from "citty";
import { UsageError } from "../errors.ts";
import type { ForwardAddress } from "../forward/socket.ts";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../observe/log.ts";
import type { HeaderEdits } from "../http/header-edits.ts";
import { FORWARD_ADDRESS_FORMS, parseForwardAddress } from "./forward-address.ts";

export const MODES = ["http", "tcp"] as const;

/** What a text must be: `parse` returns undefined where it is not `accepts`. */
interface Value<T> {
  readonly accepts: string;
  parse(text: string): T | undefined;
}

interface Flag<T> {
  readonly value: Value<T>;
  readonly hint: string;
  readonly env?: string;
  readonly default: T;
  /** Shown where the default cannot show itself. */
  readonly defaultText?: string;
  readonly help: string;
}

function wholeNumber(min: number, max: number): Value<number> {
  return {
    accepts: `a whole number from ${min} to ${max}`,
    parse(text) {
      const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
      return number >= min && number <= max ? number : undefined;
    },
  };
}

function oneOf<T extends string>(values: readonly T[]): Value<T> {
  return {
    accepts: values.join(", "),
    parse: (text) => values.find((value) => value === text.toLowerCase()),
  };
}

const fieldValue: Value<string | undefined> = {
  accepts: "printable characters",
  parse: (text) => (/^[\x21-\x7e]+$/.test(text) ? text : undefined),
};

const anyText: Value<string | undefined> = { accepts: "a path", parse: (text) => text };

/** RFC 9110, section 5.5; fields that frame the request are not to be touched. */
const headerField: Value<Field> = {
  accepts: "'Name: value', of another field than Content-Length, Transfer-Encoding or Connection",
  parse(text) {
    const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\x20-\x7e]*?)[ \t]*$/.exec(text) ?? [];
    if (name === undefined || value === undefined || FRAMING_FIELDS.has(name.toLowerCase())) return undefined;
    return [name, value];
  },
};

const forwardAddress: Value<ForwardAddress> = { accepts: FORWARD_ADDRESS_FORMS, parse: parseForwardAddress };

const FRAMING_FIELDS = new Set(["content-length", "transfer-encoding", "connection"]);
const HTTP_PORT = 80;
const VNI_MAX = 2 ** 24 - 1;
const PORT_MAX = 65_535;
const MILLISECONDS_MAX = 86_400_000;
const GAP_TIMEOUT_LIVE_MS = 1000;
/** What an interface can be divided among (FANOUT_MEMBERS_MAX in capture/fanout.ts). */
const THREADS_MAX = 256;

function flag<T>(definition: Flag<T>): Flag<T> {
  return definition;
}

const flags = {
  read: flag<string | undefined>({
    value: anyText,
    hint: "FILE|-",
    default: undefined,
    help: "forward a pcap or pcapng savefile (-: standard input) instead of an interface; needs no privileges",
  }),
  mode: flag<(typeof MODES)[number]>({
    value: oneOf(MODES),
    hint: "http|tcp",
    env: "MODE",
    default: "http",
    help: "http: whole requests, each sent when the one before it was answered; tcp: the bare byte stream of any protocol",
  }),
  "max-pending-packets": flag({
    value: wholeNumber(0, 1_000_000),
    hint: "N",
    env: "MAX_PENDING_PACKETS",
    default: 32,
    help: "out-of-order segments held per flow before missing bytes are given up; 0 holds none",
  }),
  "gap-timeout-ms": flag<number | undefined>({
    value: wholeNumber(1, MILLISECONDS_MAX),
    hint: "MS",
    env: "GAP_TIMEOUT_MS",
    default: undefined,
    defaultText: `${GAP_TIMEOUT_LIVE_MS}, with --read none`,
    help: "missing bytes are given up after this time even if nothing more arrives",
  }),
  "max-retries": flag({
    value: wholeNumber(0, 1_000_000),
    hint: "N",
    env: "MAX_RETRIES",
    default: 10,
    help: "tries in a row on EWOULDBLOCK, with nothing taken, before a connection is given up",
  }),
  threads: flag<number | undefined>({
    value: wholeNumber(1, THREADS_MAX),
    hint: "N",
    env: "NUM_THREADS",
    default: undefined,
    defaultText: "one per core",
    help: "threads that share the interface, each with its own flows and connections; with --read there is one",
  }),
  "vxlan-port": flag({ value: wholeNumber(1, PORT_MAX), hint: "PORT", env: "VXLAN_PORT", default: 4789, help: "UDP port of the mirror" }),
  "idle-timeout-s": flag({
    value: wholeNumber(1, MILLISECONDS_MAX / 1000),
    hint: "S",
    env: "IDLE_TIMEOUT_S",
    default: 300,
    help: "a flow that is silent for so long has ended",
  }),
  "connect-timeout-ms": flag({
    value: wholeNumber(1, MILLISECONDS_MAX),
    hint: "MS",
    env: "CONNECT_TIMEOUT_MS",
    default: 5000,
    help: "time for a connection to the endpoint to be made; an endpoint away for less costs nothing",
  }),
  "response-timeout-ms": flag({
    value: wholeNumber(1, MILLISECONDS_MAX),
    hint: "MS",
    env: "RESPONSE_TIMEOUT_MS",
    default: 30_000,
    help: "silence of the endpoint, after a flow's end, that ends the wait for its answer",
  }),
  "pipeline-depth": flag({
    value: wholeNumber(1, 1000),
    hint: "N",
    env: "PIPELINE_DEPTH",
    default: 1,
    help: "requests sent on a connection before the first of them is answered; for endpoints that take it",
  }),
  "max-waiting-requests": flag({
    value: wholeNumber(1, 1_000_000),
    hint: "N",
    env: "MAX_WAITING_REQUESTS",
    default: 1024,
    help: "whole requests of a flow that wait for their turn; over it the newest is dropped",
  }),
  "max-request-bytes": flag({
    value: wholeNumber(1, 1 << 30),
    hint: "BYTES",
    env: "MAX_REQUEST_BYTES",
    default: 1 << 20,
    help: "larger requests are streamed instead of held",
  }),
  "max-header-bytes": flag({
    value: wholeNumber(64, 1 << 24),
    hint: "BYTES",
    env: "MAX_HEADER_BYTES",
    default: 64 << 10,
    help: "request line and header section; a longer one is damaged",
  }),
  host: flag<string | undefined>({
    value: fieldValue,
    hint: "VALUE|endpoint",
    env: "HOST_HEADER",
    default: undefined,
    defaultText: "as it came",
    help: "replace each request's Host field; endpoint: by forward_addr",
  }),
  "max-flows": flag({
    value: wholeNumber(1, 10_000_000),
    hint: "N",
    env: "MAX_FLOWS",
    default: 65_536,
    help: "open flows; over it the longest idle one is ended",
  }),
  "max-buffer-mib": flag({
    value: wholeNumber(1, 1024),
    hint: "MIB",
    env: "MAX_BUFFER_MIB",
    default: 256,
    help: "bytes held for all flows together, behind holes and for a slow endpoint",
  }),
  "capture-buffer-mib": flag({
    value: wholeNumber(1, 2047),
    hint: "MIB",
    env: "CAPTURE_BUFFER_MIB",
    default: 64,
    help: "the kernel's buffer for frames that wait to be read",
  }),
  libpcap: flag<string | undefined>({
    value: anyText,
    hint: "PATH",
    env: "LIBPCAP",
    default: undefined,
    defaultText: "the system's, else the embedded one",
    help: "the libpcap to load",
  }),
  "log-level": flag<LogLevel>({
    value: oneOf(LOG_LEVELS),
    hint: "LEVEL",
    env: "LOG_LEVEL",
    default: "info",
    help: "error, warn, info, debug or trace; RUST_LOG's plain levels are understood too",
  }),
  "log-format": flag<LogFormat | undefined>({
    value: oneOf(LOG_FORMATS),
    hint: "FORMAT",
    env: "LOG_FORMAT",
    default: undefined,
    defaultText: "pretty on a terminal, else plain",
    help: "pretty, plain or json (one object a line)",
  }),
  summary: flag<string | undefined>({ value: anyText, hint: "FILE", env: "SUMMARY", default: undefined, help: "at exit, write all counters as one JSON object" }),
};

type Flags = typeof flags;
type FlagName = keyof Flags;
type FlagValues = { [Name in FlagName]: Flags[Name]["default"] };

/** What the program was asked to do. */
export type Options = Omit<FlagValues, "threads"> & {
  readonly threads: number;
  /** Undefined with --read. */
  readonly interfaceName: string | undefined;
  readonly vni: number;
  readonly port: number;
  readonly address: ForwardAddress;
  readonly logFormat: LogFormat;
  /** Null: header sections are sent as they came. */
  readonly headerEdits: HeaderEdits | null;
  /** Infinity: no limit. A savefile's holes keep nobody waiting, and what fills one may come late in it. */
  readonly gapTimeoutMs: number;
};

export type Request = { kind: "help" } | { kind: "version" } | { kind: "run"; options: Options };

const positionals = [
  { name: "interface", help: "network interface to capture on" },
  { name: "vni", help: "VXLAN network identifier of the mirror session" },
  { name: "original_destination_port", help: "TCP port of the mirrored service" },
  { name: "forward_addr", help: `the endpoint: ${FORWARD_ADDRESS_FORMS}` },
] as const;

const cittyArgs: ArgsDef = {
  ...Object.fromEntries(Object.keys(flags).map((name) => [name, { type: "string" }])),
  mark: { type: "boolean" },
  help: { type: "boolean", alias: "h" },
  version: { type: "boolean", alias: "v" },
};

/** Reads the command line. Throws UsageError. */
export function readRequest(argv: string[], env: NodeJS.ProcessEnv): Request {
  const { fields, rest } = takeFields(argv);
  refuseUnknownFlags(rest);
  const args = parseArgs(rest, cittyArgs);
  if (args.help === true) return { kind: "help" };
  if (args.version === true) return { kind: "version" };
  return { kind: "run", options: readOptions(args, fields, env) };
}

type Field = readonly [string, string];

/** Takes out --set-header, the one flag that may be given more than once. Throws UsageError. */
function takeFields(argv: string[]): { fields: Field[]; rest: string[] } {
  const fields: Field[] = [];
  const rest: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    if (argument === "--") return { fields, rest: rest.concat(argv.slice(i)) };
    const match = /^--set-header(?:=(.*))?$/s.exec(argument);
    if (match === null) rest.push(argument);
    else fields.push(parseValue("--set-header=", match[1] ?? argv[++i] ?? "", headerField));
  }
  return { fields, rest };
}

function headerEdits(host: string | undefined, fields: Field[], mark: boolean): HeaderEdits | null {
  return host === undefined && fields.length === 0 && !mark ? null : { host, fields, mark };
}

function hostOf({ host, port }: ForwardAddress): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === HTTP_PORT ? name : `${name}:${port}`;
}

type Args = Record<string, unknown> & { _: string[] };

function readOptions(args: Args, fields: Field[], env: NodeJS.ProcessEnv): Options {
  const values = {} as Record<string, unknown>;
  for (const name of Object.keys(flags) as FlagName[]) values[name] = readFlag(name, flags[name] as Flag<unknown>, args[name], env);
  const chosen = values as FlagValues;

  const expected = chosen.read === undefined ? positionals : positionals.slice(1);
  const given = args._;
  const missing = expected[given.length];
  if (missing !== undefined) {
    throw new UsageError(`Cannot start: <${missing.name}> is missing (expected ${expected.map(({ name }) => `<${name}>`).join(" ")})`);
  }
  if (given.length > expected.length) {
    throw new UsageError(`Cannot start: ${quote(given[expected.length]!)} is one argument too many (expected ${expected.map(({ name }) => `<${name}>`).join(" ")})`);
  }
  const [vni, port, addressText] = given.slice(-3) as [string, string, string];
  const interfaceName = chosen.read === undefined ? given[0]! : undefined;
  if (interfaceName === "") throw new UsageError(`Cannot use <interface> "": the name of a network interface is expected`);
  const address = parseValue("<forward_addr> ", addressText, forwardAddress);
  return {
    ...chosen,
    interfaceName,
    vni: parseValue("<vni> ", vni, wholeNumber(0, VNI_MAX)),
    port: parseValue("<original_destination_port> ", port, wholeNumber(1, PORT_MAX)),
    address,
    headerEdits: headerEdits(chosen.host === "endpoint" ? hostOf(address) : chosen.host, fields, args.mark === true),
    threads: chosen.read === undefined ? (chosen.threads ?? Math.min(availableParallelism(), THREADS_MAX)) : 1,
    gapTimeoutMs: chosen["gap-timeout-ms"] ?? (chosen.read === undefined ? GAP_TIMEOUT_LIVE_MS : Infinity),
    logFormat: chosen["log-format"] ?? (isatty(2) ? "pretty" : "plain"),
  };
}

function readFlag<T>(name: FlagName, definition: Flag<T>, given: unknown, env: NodeJS.ProcessEnv): T {
  if (given !== undefined) {
    if (typeof given !== "string" || given === "") throw new UsageError(`Cannot use --${name}: it needs a value, ${definition.value.accepts}`);
    return parseValue(`--${name}=`, given, definition.value);
  }
  const text = definition.env === undefined ? undefined : env[definition.env];
  if (text !== undefined && text !== "") return parseValue(`${definition.env}=`, text, definition.value);
  if (name === "log-level" && env.RUST_LOG) return rustLogLevel(env.RUST_LOG) as T;
  return definition.default;
}

/**
 * RUST_LOG may hold more than a level (target=level, ...): what is not meant for this program is no
 * error, for the scripts that set it were written for another.
 */
function rustLogLevel(text: string): LogLevel {
  let level: LogLevel = flags["log-level"].default;
  for (const directive of text.toLowerCase().split(",")) {
    const [, target, name] = /^\s*(?:([\w:-]+)=)?(\w+)\s*$/.exec(directive) ?? [];
    if (target !== undefined && target !== "vxlan_to_http") continue;
    if (name === "off") level = "silent";
    level = LOG_LEVELS.find((known) => known === name) ?? level;
  }
  return level;
}

function parseValue<T>(what: string, text: string, value: Value<T>): T {
  const parsed = value.parse(text);
  if (parsed === undefined) throw new UsageError(`Cannot use ${what}${quote(text)}: expected ${value.accepts}`);
  return parsed;
}

/** citty takes any flag for one of its own; here only those that are declared are. */
function refuseUnknownFlags(argv: string[]): void {
  const switches = new Set(["--mark", "--help", "-h", "--version", "-v"]);
  for (let i = 0; i < argv.length && argv[i] !== "--"; i++) {
    const argument = argv[i]!;
    if (!argument.startsWith("-") || argument === "-") continue;
    const [name] = argument.split("=", 1) as [string];
    if (switches.has(name)) {
      if (name !== argument) throw new UsageError(`Cannot use ${argument}: ${name} takes no value`);
    } else if (name.startsWith("--") && Object.hasOwn(flags, name.slice(2))) {
      if (name === argument) i++;
    } else {
      throw new UsageError(`Cannot use ${name}: there is no such flag`);
    }
  }
}

function quote(text: string): string {
  return JSON.stringify(text);
}

/** The text of --help. */
export function usage(): string {
  const flagRows = Object.entries(flags as Record<string, Flag<unknown>>).map(([name, { hint, env, default: value, defaultText, help }]) => {
    const shown = defaultText ?? (value === undefined ? "none" : String(value));
    return [`--${name} ${hint}`, `${help} [${env === undefined ? "" : `${env}, `}default: ${shown}]`];
  });
  const rows = [
    ...flagRows,
    ["--set-header 'NAME: VALUE'", "replace or add a header field; may be given more than once"],
    ["--mark", "add X-Mirrored-From: <client address>; a request that has it already is not forwarded"],
    ["-h, --help", "show this"], ["-v, --version", "show version, commit and Bun's version"],
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
    "Options [environment variable, default]:",
    ...rows.map(([name, help]) => `  ${name!.padEnd(width)}  ${help}`),
    "",
    "Examples:",
    "  vxlan-to-http eth0 5569041 80 127.0.0.1:8080",
    "  vxlan-to-http --host endpoint --mark --log-level debug eth0 42 8080 http://test.internal",
    "  vxlan-to-http --mode tcp --max-pending-packets 64 eth0 42 5432 10.0.0.7:5432",
    "  vxlan-to-http --read mirror.pcap 42 80 [::1]:8080",
    "  ssh replay tcpdump -U -w - udp port 4789 | vxlan-to-http --read - 42 80 localhost:8080",
    "",
    "Exit status: 0 done, 1 the machine refused (permission, interface, file), 2 wrong usage.",
  ].join("\n");
}
