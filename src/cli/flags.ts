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
import { LISTEN_ADDRESS_FORMS, parseListenAddress } from "./listen-address.ts";
import {
  factorOrMax,
  fieldValue,
  headerField,
  headerName,
  oneOf,
  path,
  percent,
  readBy,
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
export interface SingleFlag<T> extends Described {
  readonly kind: "single";
  readonly value: Value<T>;
  readonly hint: string;
  /** The first variable that is set counts. */
  readonly variables?: readonly Variable<T>[];
  readonly default: T;
}

/** A flag that may be given more than once; its variable has a value a line. */
export interface ListFlag<T> extends Described {
  readonly kind: "list";
  readonly value: Value<T>;
  readonly hint: string;
  readonly default: readonly T[];
}

/** A flag without a value; its variable says yes or no. */
export interface SwitchFlag extends Described {
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
/** The most threads that can share an interface: so many members a fanout group may have on every kernel (packet(7)). */
export const THREADS_MAX = 256;

function list<T>(definition: Omit<ListFlag<T>, "kind" | "default">): ListFlag<T> {
  return { kind: "list", default: [], ...definition };
}

function single<T>(definition: Omit<SingleFlag<T>, "kind">): SingleFlag<T> {
  return { kind: "single", ...definition };
}

/** A number flag with a variable that the original program had too. */
function original<T>(name: string, definition: Omit<SingleFlag<T>, "kind">): SingleFlag<T> {
  return single({ ...definition, variables: [{ name, value: definition.value }] });
}

const listenAddress: Value<ListenAddress | undefined> = { accepts: LISTEN_ADDRESS_FORMS, parse: parseListenAddress };
const logLevel = oneOf<LogLevel>(LOG_LEVELS);
const LOG_LEVEL_DEFAULT: LogLevel = "info";

/** All flags of a run, by name. */
export const flags = {
  read: {
    kind: "list",
    value: path,
    hint: "FILE|-",
    default: [],
    help: "forward pcap or pcapng savefiles (gzip, zstd; -: standard input), merged by time; needs no privileges",
  } as ListFlag<string | undefined>,
  follow: {
    kind: "switch",
    value: yesOrNo,
    default: false,
    help: "with --read: the file grows, and is replaced by others of its name; ends with a signal",
  } as SwitchFlag,
  speed: single<number | "max">({
    value: factorOrMax,
    hint: "max|FACTOR",
    default: "max",
    help: "with --read: 1 sends requests as far apart as they were captured, 2 twice as fast; max: as the endpoint takes them",
  }),
  loop: single({
    value: wholeNumber(1, 1_000_000),
    hint: "N",
    default: 1,
    help: "with --read: how often the savefiles are forwarded; each time when all of the one before is done",
  }),
  mode: single<Mode>({
    value: oneOf(MODES),
    hint: "http|tcp",
    default: "http",
    help: "http: whole requests, one at a time on each connection; tcp: the bare byte stream of any protocol",
  }),
  "max-pending-packets": original("MAX_PENDING_PACKETS", {
    value: wholeNumber(0, 1_000_000),
    hint: "N",
    default: 32,
    help: "out-of-order segments held per flow before missing bytes are given up; 0 holds none",
  }),
  "gap-timeout-ms": single<number | undefined>({
    value: wholeNumber(1, DAY_MS),
    hint: "MS",
    default: undefined,
    defaultText: `${GAP_TIMEOUT_LIVE_MS}, with --read none`,
    help: "missing bytes are given up after this time even if nothing more arrives",
  }),
  "max-retries": original("MAX_RETRIES", {
    value: wholeNumber(0, 1_000_000),
    hint: "N",
    default: 10,
    help: "tries in a row on EWOULDBLOCK, with nothing taken, before a connection is given up",
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
    help: "vxlan; geneve (what it carries may be VXLAN); gre (and ERSPAN); none: plain frames, vni is then any",
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
    help: "a flow that is silent for so long has ended",
  }),
  "connect-timeout-ms": single({
    value: wholeNumber(1, DAY_MS),
    hint: "MS",
    default: 5000,
    help: "time for a connection to the endpoint to be made; an endpoint away for less costs nothing",
  }),
  "outage-timeout-s": single({
    value: wholeNumber(1, DAY_S),
    hint: "S",
    default: 60,
    help: "with --read: how long the endpoint may be away before what waits for it is given up",
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
    help: "time between two reads of a response; tcp: silence of the endpoint, after a flow's end, that ends the wait",
  }),
  "max-response-seconds": single({
    value: wholeNumberOrOff(1, DAY_S),
    hint: "S|off",
    default: Infinity,
    defaultText: "off",
    help: "time for a whole response, however steadily it comes",
  }),
  "fin-delay-ms": single({
    value: wholeNumber(0, DAY_MS),
    hint: "MS",
    default: 1000,
    help: "tcp, upgrades: the client's end follows after so long without a byte either way, or the endpoint's end",
  }),
  "pipeline-depth": single({
    value: wholeNumber(1, 1000),
    hint: "N",
    default: 1,
    help: "requests sent on a connection before the first one's response has come; for endpoints that take it",
  }),
  "max-waiting-requests": single({
    value: wholeNumber(1, 1_000_000),
    hint: "N",
    default: 1024,
    help: "whole requests of a flow that wait for their turn; over it the newest is dropped",
  }),
  "max-request-bytes": single({
    value: wholeNumber(1, 1 << 30),
    hint: "BYTES",
    default: 1 << 20,
    help: "larger requests are streamed instead of held",
  }),
  "max-header-bytes": single({
    value: wholeNumber(64, 1 << 24),
    hint: "BYTES",
    default: 64 << 10,
    help: "request line and header section; a longer one is damaged",
  }),
  allow: list<Rule>({
    value: rule,
    hint: "RULE",
    help: "forward only requests that a rule of each kind that is named matches; RULE is method:GET,POST (safe: GET, HEAD, OPTIONS), path:GLOB, path-regex:REGEX, host:GLOB, header:NAME, header:NAME=GLOB or client:NETWORK; may be given more than once",
  }),
  deny: list<Rule>({
    value: rule,
    hint: "RULE",
    help: "forward no request that a rule matches, whatever --allow says; may be given more than once",
  }),
  sample: single<Sample | null>({
    value: sample,
    hint: "PERCENT[:KEY]",
    default: null,
    defaultText: "100%",
    help: "forward a share of the requests, at random or, the same on every server, by KEY: client, connection, header=NAME or cookie=NAME",
  }),
  "max-rate": single<number>({
    value: wholeNumber(1, 1_000_000),
    hint: "N",
    default: Infinity,
    defaultText: "none",
    help: "requests forwarded a second, by all threads together; more are dropped and counted",
  }),
  "dry-run": {
    kind: "switch",
    value: yesOrNo,
    default: false,
    help: "with --read: connect to nobody, and tell what would be forwarded, and what keeps the rest from it",
  } as SwitchFlag,
  "rewrite-path": list<Rewrite>({
    value: rewrite,
    hint: "REGEX=>TEXT",
    help: "replace what REGEX matches first in a request's path; $1 in TEXT is its first group; may be given more than once, each changes what those before it have made",
  }),
  "remove-header": list<string>({
    value: headerName,
    hint: "NAME",
    help: "leave out all fields of this name; may be given more than once",
  }),
  host: single<string | undefined>({
    value: fieldValue,
    hint: "VALUE|endpoint",
    default: undefined,
    defaultText: "as it came",
    help: "replace each request's Host field; endpoint: by forward_addr",
  }),
  "set-header": list<Field>({
    value: headerField,
    hint: "'NAME: VALUE'",
    help: "replace or add a header field; may be given more than once, each name once",
  }),
  forwarded: {
    kind: "switch",
    value: yesOrNo,
    default: false,
    help: "add the client's address to X-Forwarded-For, and X-Forwarded-Port, -Proto and -Host where there is none",
  } as SwitchFlag,
  mark: {
    kind: "switch",
    value: yesOrNo,
    default: false,
    help: "add X-Mirrored-From: <client address>; a request that has it already is not forwarded",
  } as SwitchFlag,
  also: {
    kind: "list",
    value: forwardAddress,
    hint: "ADDR",
    default: [],
    help: "a further destination, which gets every request as well; may be given more than once",
  } as ListFlag<ForwardAddress>,
  "proxy-protocol": single<ProxyProtocol>({
    value: oneOf(PROXY_PROTOCOL_WAYS),
    hint: "pass|strip",
    default: "pass",
    help: "a PROXY protocol header of a client: sent first on each of its connections to the endpoint, or left out",
  }),
  http2: single<Http2Way>({
    value: oneOf(HTTP2_WAYS),
    hint: "auto|requests|pass",
    default: "auto",
    help: "HTTP/2 in clear text, gRPC included: auto and requests frame it into requests, pass passes bytes as they come",
  }),
  "tls-ca": single<string | undefined>({
    value: path,
    hint: "FILE",
    default: undefined,
    defaultText: "the system's alone",
    help: "certificates (PEM) of authorities that an https:// endpoint's may be of, beside the system's",
  }),
  "tls-cert": single<string | undefined>({
    value: path,
    hint: "FILE",
    default: undefined,
    help: "the certificate (PEM, with those between it and its authority's) for an endpoint that wants a client's",
  }),
  "tls-key": single<string | undefined>({
    value: path,
    hint: "FILE",
    default: undefined,
    help: "the private key (PEM) of --tls-cert",
  }),
  "tls-server-name": single<string | undefined>({
    value: serverName,
    hint: "NAME",
    default: undefined,
    defaultText: "that of forward_addr",
    help: "the name that an https:// endpoint is asked for, and that its certificate must be for",
  }),
  "tls-insecure": {
    kind: "switch",
    value: yesOrNo,
    default: false,
    help: "accept any certificate of an https:// endpoint",
  } as SwitchFlag,
  "max-flows": single({
    value: wholeNumber(1, 10_000_000),
    hint: "N",
    default: 65_536,
    help: "open flows; over it the longest idle one is ended",
  }),
  "max-buffer-mib": single({
    value: wholeNumber(1, 1024),
    hint: "MIB",
    default: 256,
    help: "bytes held for all flows together, behind holes and for a slow endpoint",
  }),
  "capture-buffer-mib": single({
    value: wholeNumber(1, 2047),
    hint: "MIB",
    default: 64,
    help: "the kernel's buffer for frames that wait to be read",
  }),
  record: single<string | undefined>({
    value: path,
    hint: "FILE.pcapng",
    default: undefined,
    help: "keep the frames that are ours, as they came, in a ring of files: FILE.0.pcapng, FILE.1.pcapng …",
  }),
  "record-max-mib": single({
    value: wholeNumber(1, 1 << 20),
    hint: "MIB",
    default: 64,
    help: "of --record: how large a file gets",
  }),
  "record-max-s": single({
    value: wholeNumberOrOff(1, DAY_S),
    hint: "S|off",
    default: Infinity,
    defaultText: "off",
    help: "of --record: after how much time a frame begins the next file",
  }),
  "record-files": single({
    value: wholeNumber(1, 10_000),
    hint: "N",
    default: 8,
    help: "of --record: files of the ring (of each thread)",
  }),
  "file-max-mib": single({
    value: wholeNumber(1, 1 << 20),
    hint: "MIB",
    default: 256,
    help: "of file: destinations: how large a file gets; the next has the next number",
  }),
  compare: {
    kind: "switch",
    value: yesOrNo,
    default: false,
    help: "compare the endpoint's responses with production's; the mirror must bring that direction too",
  } as SwitchFlag,
  control: single<ForwardAddress | undefined>({
    value: forwardAddress,
    hint: "ADDR",
    default: undefined,
    help: "an endpoint that runs production's version: what differs there too is noise",
  }),
  "compare-sample": single({
    value: percent,
    hint: "PERCENT",
    default: 1,
    defaultText: "100%",
    help: "compare the responses to so many of the requests, taken at random",
  }),
  "max-compare-bytes": single({
    value: wholeNumber(0, 1 << 26),
    hint: "BYTES",
    default: 1 << 20,
    help: "bodies of responses that are longer are compared by their digest",
  }),
  ignore: {
    kind: "list",
    value: readBy(IGNORE_FORMS, parseIgnoreRule),
    hint: "RULE",
    default: [],
    defaultText: "volatile fields",
    help: `what is no difference: ${IGNORE_FORMS}; may be given more than once`,
  } as ListFlag<IgnoreRule>,
  differences: single<string | undefined>({
    value: path,
    hint: "FILE",
    default: undefined,
    help: "write each difference as one JSON line, 1000 a minute at most",
  }),
  "fail-on-differences": {
    kind: "switch",
    value: yesOrNo,
    default: false,
    help: "exit status 3 if responses differed",
  } as SwitchFlag,
  redact: {
    kind: "list",
    value: readBy(REDACT_FORMS, parseRedactRule),
    hint: "RULE",
    default: [],
    defaultText: "the usual names",
    help: `what is blotted out as well in all that is written: ${REDACT_FORMS}; may be given more than once`,
  } as ListFlag<RedactRule>,
  "no-redact": {
    kind: "switch",
    value: yesOrNo,
    default: false,
    help: "blot nothing out",
  } as SwitchFlag,
  libpcap: single<string | undefined>({
    value: path,
    hint: "PATH",
    default: undefined,
    defaultText: "the system's, else the embedded one",
    help: "the libpcap to load",
  }),
  user: single<string | undefined>({
    value: userName,
    hint: "NAME",
    default: undefined,
    help: "started as root, become this user for good once all that only root may open is open",
  }),
  "log-level": single<LogLevel>({
    value: logLevel,
    hint: "LEVEL",
    variables: [
      { name: "LOG_LEVEL", value: logLevel },
      { name: "RUST_LOG", value: rustLog(LOG_LEVEL_DEFAULT) },
    ],
    default: LOG_LEVEL_DEFAULT,
    help: "error, warn, info, debug or trace; of RUST_LOG, the plain levels and those for vxlan_to_http",
  }),
  "log-format": single<LogFormat | undefined>({
    value: oneOf(LOG_FORMATS),
    hint: "FORMAT",
    default: undefined,
    defaultText: "pretty on a terminal, else plain",
    help: "pretty, plain or json (one object a line)",
  }),
  summary: single<string | undefined>({
    value: path,
    hint: "FILE",
    default: undefined,
    help: "at exit, write all counters as one JSON object",
  }),
  admin: single<ListenAddress | undefined>({
    value: listenAddress,
    hint: "ADDR",
    default: undefined,
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
export const otherFlags = {
  help: { letter: "h", help: "show this" },
  version: { letter: "v", help: "show version, commit and Bun's version" },
  probe: { help: "ask the --admin port of a running program, host:port, whether it lives; exit status 0: it does" },
  licenses: { help: "print the notices of all that the executable contains" },
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

/** All flags by name, whatever the types of their values. */
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

/** The default in words; empty: there is none to show. */
export function defaultOf(flag: Flag<unknown>): string {
  if (flag.kind === "switch") return "off";
  if (flag.kind === "list") return flag.defaultText ?? "none";
  return flag.defaultText ?? (flag.default === undefined ? "none" : String(flag.default));
}
