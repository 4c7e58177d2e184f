/**
 * The flags, declared in one place: values, environment variables, defaults, and the text for --help. A flag beats its
 * own variable (variableOf), which beats the original program's, which beats the default.
 */
import { type ForwardAddress, type ListenAddress, PORT_MAX } from "../address.ts";
import { IGNORE_FORMS, type IgnoreRule, parseIgnoreRule } from "../compare/ignore.ts";
import { HTTP2_WAYS, type Http2Way, type Mode, MODES, type ProxyProtocol, PROXY_PROTOCOL_WAYS } from "../config.ts";
import { parseRedactRule, REDACT_FORMS, type RedactRule } from "../redact/rules.ts";
import { forwardAddress } from "./forward-address.ts";
import { type Encapsulation, ENCAPSULATIONS } from "../decode/tunnel.ts";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../observe/log.ts";
import type { Field, Rewrite } from "../policy/head-edits.ts";
import type { Rule } from "../policy/rules.ts";
import type { Sample } from "../policy/sample.ts";
import { listenAddress } from "./listen-address.ts";
import {
  factorOrMax,
  fieldValue,
  headerField,
  headerName,
  oneOf,
  outputPath,
  path,
  percent,
  rewrite,
  rule,
  rustLog,
  sample,
  userName,
  serverName,
  type Value,
  wholeNumber,
  wholeNumberOrOff,
  yesOrNo,
} from "./values.ts";

/** A variable in addition to the flag's own: the original program's. */
export interface Variable<T> {
  readonly name: string;
  readonly value: Value<T>;
}

interface Described {
  /** Shown instead of a default that has no text. */
  readonly defaultText?: string;
  readonly help: string;
}

/** A flag with one value; the last one given counts. */
interface SingleFlag<T> extends Described {
  readonly kind: "single";
  readonly value: Value<T>;
  readonly hint: string;
  /** The first variable that is set counts. */
  readonly variables?: readonly Variable<T>[];
  readonly default: T;
}

/** A flag that may be given more than once; its variable has a value a line. */
interface ListFlag<T> extends Described {
  readonly kind: "list";
  readonly value: Value<T>;
  readonly hint: string;
  readonly default: readonly T[];
}

/** A flag without a value; its variable says yes or no. */
interface SwitchFlag extends Described {
  readonly kind: "switch";
  readonly value: Value<boolean>;
  readonly default: boolean;
}

/** A flag of any kind. */
export type Flag<T> = SingleFlag<T> | ListFlag<T> | SwitchFlag;

const DAY_S = 86_400;
const DAY_MS = DAY_S * 1000;
/** The default of --gap-timeout-ms on an interface. */
export const GAP_TIMEOUT_LIVE_MS = 1000;
/** The most threads that share an interface: a fanout group may have as many members on every kernel (packet(7)). */
export const THREADS_MAX = 256;

function list<T>(definition: Omit<ListFlag<T>, "kind" | "default">): ListFlag<T> {
  return { kind: "list", default: [], ...definition };
}

function single<T>(definition: Omit<SingleFlag<T>, "kind">): SingleFlag<T> {
  return { kind: "single", ...definition };
}

/** A flag without a default. */
function optional<T>(definition: Omit<SingleFlag<T>, "kind" | "default">): SingleFlag<T | undefined> {
  return { kind: "single", default: undefined, ...definition };
}

function switchOf(help: string): SwitchFlag {
  return { kind: "switch", value: yesOrNo, default: false, help };
}

/** A number flag with a variable that the original program had too. */
function original<T>(name: string, definition: Omit<SingleFlag<T>, "kind">): SingleFlag<T> {
  return single({ ...definition, variables: [{ name, value: definition.value }] });
}

const logLevel = oneOf<LogLevel>(LOG_LEVELS);
const LOG_LEVEL_DEFAULT: LogLevel = "info";

/** All flags of a run, by name. */
export const flags = {
  read: list<string>({
    value: path,
    hint: "FILE|-",
    help: "forward pcap or pcapng savefiles (also gzip, zstd; -: standard input), merged by time; needs no privileges",
  }),
  follow: switchOf(
    "with --read: wait for more when the file ends, and go on with files that replace it under its name; a signal ends the run",
  ),
  speed: single<number | "max">({
    value: factorOrMax,
    hint: "max|FACTOR",
    default: "max",
    help: "with --read: 1 keeps the captured time between requests, 2 halves it; max: as fast as the endpoint takes them",
  }),
  loop: single({
    value: wholeNumber(1, 1_000_000),
    hint: "N",
    default: 1,
    help: "with --read: how many times the savefiles are forwarded; each time begins when all of the time before is done",
  }),
  mode: single<Mode>({
    value: oneOf(MODES),
    hint: "http|tcp",
    default: "http",
    help: "http: whole requests, one at a time on each connection; tcp: the byte stream of any protocol, as it is",
  }),
  "max-pending-packets": original("MAX_PENDING_PACKETS", {
    value: wholeNumber(0, 1_000_000),
    hint: "N",
    default: 32,
    help: "out-of-order segments held per flow before missing bytes are given up; 0 holds none",
  }),
  "gap-timeout-ms": optional<number>({
    value: wholeNumber(1, DAY_MS),
    hint: "MS",
    defaultText: `${GAP_TIMEOUT_LIVE_MS}, with --read none`,
    help: "missing bytes are given up after this time, even if no further packet arrives",
  }),
  "max-retries": original("MAX_RETRIES", {
    value: wholeNumber(0, 1_000_000),
    hint: "N",
    default: 10,
    help: "writes in a row of which the kernel takes nothing (EWOULDBLOCK) before a connection is given up",
  }),
  threads: original<number | undefined>("NUM_THREADS", {
    value: wholeNumber(1, THREADS_MAX),
    hint: "N",
    default: undefined,
    defaultText: "one per core",
    help: "threads that share the interface, each with its own flows and connections; with --read there is one",
  }),
  encapsulation: single<Encapsulation>({
    value: oneOf(ENCAPSULATIONS),
    hint: "KIND",
    default: "vxlan",
    help: "vxlan; geneve (it may carry VXLAN); gre (also ERSPAN); none: plain frames, vni is then any",
  }),
  "vxlan-port": single({
    value: wholeNumber(1, PORT_MAX),
    hint: "PORT",
    default: 4789,
    help: "UDP port of the mirror",
  }),
  "idle-timeout-s": single({
    value: wholeNumber(1, DAY_S),
    hint: "S",
    default: 300,
    help: "a flow ends after this time without a packet",
  }),
  "connect-timeout-ms": single({
    value: wholeNumber(1, DAY_MS),
    hint: "MS",
    default: 5000,
    help: "time limit for establishing a connection; a shorter outage of the endpoint loses nothing",
  }),
  "outage-timeout-s": single({
    value: wholeNumber(1, DAY_S),
    hint: "S",
    default: 60,
    help: "with --read: how long an outage of the endpoint may last before the waiting requests are given up",
  }),
  "header-timeout-s": single({
    value: wholeNumber(1, DAY_S),
    hint: "S",
    default: 60,
    help: "time for a request's head, from its first byte to its last, in the capture's time",
  }),
  "response-timeout-ms": single({
    value: wholeNumber(1, DAY_MS),
    hint: "MS",
    default: 30_000,
    help: "longest time between two reads of a response; tcp: silence of the endpoint, after a flow's end, that ends the wait",
  }),
  "max-response-seconds": single({
    value: wholeNumberOrOff(1, DAY_S),
    hint: "S|off",
    default: Infinity,
    defaultText: "off",
    help: "time limit for a whole response, also if its bytes come steadily",
  }),
  "fin-delay-ms": single({
    value: wholeNumber(0, DAY_MS),
    hint: "MS",
    default: 1000,
    help: "tcp, upgrades: the client's end is passed on after this time without a byte in either direction, or at the endpoint's end",
  }),
  "pipeline-depth": single({
    value: wholeNumber(1, 1000),
    hint: "N",
    default: 1,
    help: "requests sent on a connection before the first one's response has come; only for endpoints that support pipelining",
  }),
  "max-waiting-requests": single({
    value: wholeNumber(1, 1_000_000),
    hint: "N",
    default: 1024,
    help: "whole requests of a flow that wait for their turn; beyond this number the newest is dropped",
  }),
  "max-request-bytes": single({
    value: wholeNumber(1, 1 << 30),
    hint: "BYTES",
    default: 1 << 20,
    help: "larger requests are streamed, not held until they are whole",
  }),
  "max-header-bytes": single({
    value: wholeNumber(64, 1 << 24),
    hint: "BYTES",
    default: 64 << 10,
    help: "longest request line and header section together; a request with a longer one is damaged",
  }),
  allow: list<Rule>({
    value: rule,
    hint: "RULE",
    help: "forward a request only if it matches, for each kind of rule given, one rule of that kind; RULE is method:GET,POST (safe: GET, HEAD, OPTIONS), path:GLOB, path-regex:REGEX, host:GLOB, header:NAME, header:NAME=GLOB or client:NETWORK; may be given more than once",
  }),
  deny: list<Rule>({
    value: rule,
    hint: "RULE",
    help: "do not forward requests that match a rule, even if --allow matches; may be given more than once",
  }),
  sample: single<Sample | null>({
    value: sample,
    hint: "PERCENT[:KEY]",
    default: null,
    defaultText: "100%",
    help: "forward a share of the requests, at random, or by KEY (the same share on every server): client, connection, header=NAME or cookie=NAME",
  }),
  "max-rate": single<number>({
    value: wholeNumber(1, 1_000_000),
    hint: "N",
    default: Infinity,
    defaultText: "none",
    help: "requests forwarded per second, by all threads together; more are dropped and counted",
  }),
  "dry-run": switchOf(
    "with --read: connect to no endpoint, and report which requests would be forwarded, and why the others would not",
  ),
  "rewrite-path": list<Rewrite>({
    value: rewrite,
    hint: "REGEX=>TEXT",
    help: "replace the first match of REGEX in a request's path; $1 in TEXT is its first group; may be given more than once: each edit applies to the result of the one before",
  }),
  "remove-header": list<string>({
    value: headerName,
    hint: "NAME",
    help: "remove all header fields with this name; may be given more than once",
  }),
  host: optional<string>({
    value: fieldValue,
    hint: "VALUE|endpoint",
    defaultText: "as it came",
    help: "replace each request's Host field; endpoint: made from forward_addr",
  }),
  "set-header": list<Field>({
    value: headerField,
    hint: "'NAME: VALUE'",
    help: "replace or add a header field; may be given more than once, but only once for each name",
  }),
  forwarded: switchOf(
    "add the client's address to X-Forwarded-For; add X-Forwarded-Port, -Proto and -Host if they are absent",
  ),
  mark: switchOf("add X-Mirrored-From: <client address>; requests that have this field already are not forwarded"),
  also: list<ForwardAddress>({
    value: forwardAddress,
    hint: "ADDR",
    help: "a further destination that gets every request too; may be given more than once",
  }),
  "proxy-protocol": single<ProxyProtocol>({
    value: oneOf(PROXY_PROTOCOL_WAYS),
    hint: "pass|strip",
    default: "pass",
    help: "a client's PROXY protocol header: pass sends it first on each connection to the endpoint, strip removes it",
  }),
  http2: single<Http2Way>({
    value: oneOf(HTTP2_WAYS),
    hint: "auto|requests|pass",
    default: "auto",
    help: "HTTP/2 in clear text, also gRPC: auto and requests frame it into requests, pass passes the bytes through",
  }),
  "tls-ca": optional<string>({
    value: path,
    hint: "FILE",
    defaultText: "the system's alone",
    help: "certificates (PEM) of authorities to trust for https:// endpoints, in addition to the system's",
  }),
  "tls-cert": optional<string>({
    value: path,
    hint: "FILE",
    help: "the client certificate (PEM, with its intermediate certificates) for an endpoint that asks for one",
  }),
  "tls-key": optional<string>({
    value: path,
    hint: "FILE",
    help: "the private key (PEM) of --tls-cert",
  }),
  "tls-server-name": optional<string>({
    value: serverName,
    hint: "NAME",
    defaultText: "that of forward_addr",
    help: "the server name that is sent to an https:// endpoint, and that its certificate must have",
  }),
  "tls-insecure": switchOf("accept any certificate of an https:// endpoint"),
  "max-flows": single({
    value: wholeNumber(1, 10_000_000),
    hint: "N",
    default: 65_536,
    help: "open flows; beyond this number the flow that has been idle longest is ended",
  }),
  "max-buffer-mib": single({
    value: wholeNumber(1, 1024),
    hint: "MIB",
    default: 256,
    help: "memory for the bytes of all flows together, behind holes and for a slow endpoint",
  }),
  "capture-buffer-mib": single({
    value: wholeNumber(1, 2047),
    hint: "MIB",
    default: 64,
    help: "the kernel's buffer for frames that the program has not read yet",
  }),
  record: optional<string>({
    value: outputPath,
    hint: "FILE.pcapng",
    help: "keep the frames that are ours, unchanged, in a ring of files: FILE.0.pcapng, FILE.1.pcapng …",
  }),
  "record-max-mib": single({
    value: wholeNumber(1, 1 << 20),
    hint: "MIB",
    default: 64,
    help: "with --record: the largest size of a file",
  }),
  "record-max-s": single({
    value: wholeNumberOrOff(1, DAY_S),
    hint: "S|off",
    default: Infinity,
    defaultText: "off",
    help: "with --record: the longest time in one file; the next frame begins the next file",
  }),
  "record-files": single({
    value: wholeNumber(1, 10_000),
    hint: "N",
    default: 8,
    help: "with --record: the number of files in the ring (for each thread)",
  }),
  "file-max-mib": single({
    value: wholeNumber(1, 1 << 20),
    hint: "MIB",
    default: 256,
    help: "with file: destinations: the largest size of a file; the next file has the next number",
  }),
  compare: switchOf(
    "compare the endpoint's responses with production's; the mirror must deliver production's responses too",
  ),
  control: optional<ForwardAddress>({
    value: forwardAddress,
    hint: "ADDR",
    help: "an endpoint that runs production's version; differences that also occur there are noise",
  }),
  "compare-sample": single({
    value: percent,
    hint: "PERCENT",
    default: 1,
    defaultText: "100%",
    help: "compare only this share of the responses, chosen at random",
  }),
  "max-compare-bytes": single({
    value: wholeNumber(0, 1 << 26),
    hint: "BYTES",
    default: 1 << 20,
    help: "longer response bodies are compared by their digest",
  }),
  ignore: list<IgnoreRule>({
    value: { accepts: IGNORE_FORMS, parse: parseIgnoreRule },
    hint: "RULE",
    defaultText: "volatile fields",
    help: `ignore these differences: ${IGNORE_FORMS}; may be given more than once`,
  }),
  differences: optional<string>({
    value: outputPath,
    hint: "FILE",
    help: "write each difference as one line of JSON, at most 1000 a minute",
  }),
  "fail-on-differences": switchOf("exit with status 3 if responses differed"),
  redact: list<RedactRule>({
    value: { accepts: REDACT_FORMS, parse: parseRedactRule },
    hint: "RULE",
    defaultText: "the usual names",
    help: `blot out these values too, in everything that is written or shown: ${REDACT_FORMS}; may be given more than once`,
  }),
  "no-redact": switchOf("blot out nothing"),
  libpcap: optional<string>({
    value: path,
    hint: "PATH",
    defaultText: "the system's, else the embedded one",
    help: "the libpcap to load",
  }),
  user: optional<string>({
    value: userName,
    hint: "NAME",
    help: "if started as root: become this user for good, after everything that needs root is open",
  }),
  "log-level": single<LogLevel>({
    value: logLevel,
    hint: "LEVEL",
    variables: [
      { name: "LOG_LEVEL", value: logLevel },
      { name: "RUST_LOG", value: rustLog(LOG_LEVEL_DEFAULT) },
    ],
    default: LOG_LEVEL_DEFAULT,
    help: "error, warn, info, debug or trace; RUST_LOG: plain levels, and levels for vxlan_to_http",
  }),
  "log-format": optional<LogFormat>({
    value: oneOf(LOG_FORMATS),
    hint: "FORMAT",
    defaultText: "pretty on a terminal, else plain",
    help: "pretty, plain or json (one object a line)",
  }),
  summary: optional<string>({
    value: outputPath,
    hint: "FILE",
    help: "at exit, write all counters as one JSON object",
  }),
  admin: optional<ListenAddress>({
    value: listenAddress,
    hint: "ADDR",
    defaultText: "off",
    help: "serve metrics, health and a status page over HTTP, on host:port, or on a port of 127.0.0.1",
  }),
};

/** A flag that is done instead of a run: it has neither a value nor a variable. */
interface OtherFlag {
  readonly letter?: string;
  readonly help: string;
}

/** The first of these flags that is given counts. */
const otherFlags = {
  help: { letter: "h", help: "show this text" },
  version: { letter: "v", help: "show version, commit and Bun's version" },
  probe: {
    help: "ask a running program at its --admin port (host:port, or a port) whether it lives; exit status 0: it lives",
  },
  licenses: { help: "print the licence notices of everything that the executable contains" },
} satisfies Record<string, OtherFlag>;

/** The name of a flag that is done instead of a run. */
export type OtherFlagName = keyof typeof otherFlags;

/** The flags that are done instead of a run, as name and flag. */
export const otherFlagTable = Object.entries(otherFlags) as readonly (readonly [OtherFlagName, OtherFlag])[];

type Flags = typeof flags;
/** The name of a flag of a run. */
export type FlagName = keyof Flags;
/** A flag's name as a field of Config: `gapTimeoutMs` of `gap-timeout-ms`. */
type CamelCase<Name extends string> = Name extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Name;
/** The value of every flag, by the flag's name in camel case. */
export type FlagValues = { [Name in FlagName as CamelCase<Name>]: Flags[Name]["default"] };

/** A flag's name as a field: `gapTimeoutMs` for `gap-timeout-ms`. */
export function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_dash, letter: string) => letter.toUpperCase());
}

/** All flags by name, with any types of values. */
export const flagTable = Object.entries(flags) as readonly (readonly [FlagName, Flag<unknown>])[];

const VARIABLE_PREFIX = "VXLAN_TO_HTTP_";

/** The flag's own environment variable. */
export function variableOf(name: string): string {
  return VARIABLE_PREFIX + name.toUpperCase().replaceAll("-", "_");
}

/** The original program's variables for the flag, in addition to its own, in the order of precedence. */
export function originalVariables(flag: Flag<unknown>): string[] {
  return flag.kind === "single" ? (flag.variables ?? []).map(({ name }) => name) : [];
}

/** The default in words; empty: there is no default to show. */
export function defaultOf(flag: Flag<unknown>): string {
  if (flag.kind === "switch") return "off";
  if (flag.kind === "list") return flag.defaultText ?? "none";
  return flag.defaultText ?? (flag.default === undefined ? "none" : String(flag.default));
}
