/** Reads the command line and the environment into a request to the program. */
import { availableParallelism } from "node:os";
import { isatty } from "node:tty";
import { type ArgsDef, parseArgs } from "citty";
import { UsageError } from "../errors.ts";
import { hostField, type ListenAddress, PORT_MAX } from "../address.ts";
import type { Config } from "../config.ts";
import { type Encapsulation, LIST_MAX } from "../decode/tunnel.ts";
import { furtherOf, headEdits, refuseContradictions } from "./contradictions.ts";
import {
  type Flag,
  camelCase,
  type FlagName,
  flags,
  flagTable,
  type FlagValues,
  GAP_TIMEOUT_LIVE_MS,
  type OtherFlagName,
  otherFlagTable,
  THREADS_MAX,
  type Variable,
  variableOf,
} from "./flags.ts";
import { FORWARD_ADDRESS_FORMS, forwardAddress } from "./forward-address.ts";
import { LISTEN_ADDRESS_FORMS, parseListenAddress } from "./listen-address.ts";
import { nearestFlags } from "./nearest.ts";
import { withoutEffect } from "./needs.ts";
import { listOf, listOrAny, parseValue, quote, shown, type Value, wholeNumber } from "./values.ts";

const VNI_MAX = 2 ** 24 - 1;
/** GRE's key (RFC 2890, section 2). */
const KEY_MAX = 2 ** 32 - 1;

/** The request that a command line makes: a run, or one of the other flags. */
type Request =
  | { kind: Exclude<OtherFlagName, "probe"> }
  | { kind: "probe"; address: ListenAddress }
  | { kind: "run"; config: Config };

/** The positional arguments, in order. */
export const positionals = [
  { name: "interface", help: "network interface to capture on" },
  { name: "vni", help: "network identifier of the mirror session; a list (42,43), or any" },
  { name: "original_destination_port", help: "TCP port of the mirrored service; a list (80,8080)" },
  { name: "forward_addr", help: `the endpoint: ${FORWARD_ADDRESS_FORMS}` },
] as const;

const writtenOtherFlags = new Set(
  otherFlagTable.flatMap(([name, { letter }]) => (letter === undefined ? [`--${name}`] : [`--${name}`, `-${letter}`])),
);

type Env = NodeJS.ProcessEnv;

/** Reads the command line. Throws UsageError. */
export function readRequest(argv: string[], env: Env): Request {
  const { given, plain } = takeValues(argv);
  const args = parseArgs(plain, cittyArgs);
  for (const [kind] of otherFlagTable) {
    if (args[kind] === true) return kind === "probe" ? { kind, address: probed(args._) } : { kind };
  }
  for (const [name, flag] of flagTable) if (flag.kind === "switch" && args[name] === true) given.set(name, ["yes"]);
  return { kind: "run", config: readConfig(given, args._, env) };
}

const PROBE = "--probe";
/** citty takes this for the opposite of the flag with the name behind it. */
const NEGATION = "--no-";

const cittyArgs: ArgsDef = {
  ...Object.fromEntries(
    flagTable.flatMap(([name, { kind }]) => (kind === "switch" ? [[name, { type: "boolean" }]] : [])),
  ),
  ...Object.fromEntries(otherFlagTable.map(([name, { letter }]) => [name, { type: "boolean", alias: letter ?? [] }])),
};

interface Parts {
  /** The values of each flag that has one, in order; an empty text if a value is absent. */
  readonly given: Map<FlagName, string[]>;
  /** The other arguments. */
  readonly plain: string[];
}

/**
 * Removes the flags that have values, because citty keeps only the last value of each, and the others may be bad. citty
 * accepts any flag; here only declared ones are accepted. Throws UsageError at an unknown flag.
 */
function takeValues(argv: string[]): Parts {
  const parts: Parts = { given: new Map(), plain: [] };
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    if (argument === "--") return { ...parts, plain: parts.plain.concat(argv.slice(i)) };
    const [, written, value] = /^([^=]*)(?:=(.*))?$/s.exec(argument) as unknown as [string, string, string | undefined];
    const kind = argument.startsWith("-") && argument !== "-" ? kindOf(written) : "argument";
    if (kind === "switch" && value !== undefined && written !== PROBE)
      throw new UsageError(`Cannot use ${shown(argument)}: ${written} takes no value`);
    if (kind === "switch" && written.startsWith(NEGATION)) {
      parts.given.set(written.slice(2) as FlagName, ["yes"]);
    } else if (kind === "list" || kind === "single") {
      // A value may begin with a dash, as flags do.
      const name = written.slice(2) as FlagName;
      parts.given.set(name, [...(parts.given.get(name) ?? []), value ?? argv[++i] ?? ""]);
    } else if (written === PROBE && value !== undefined) parts.plain.push(PROBE, value);
    else parts.plain.push(argument);
  }
  return parts;
}

function kindOf(written: string): Flag<unknown>["kind"] {
  if (writtenOtherFlags.has(written)) return "switch";
  const name = written.slice(2);
  if (!written.startsWith("--") || !Object.hasOwn(flags, name))
    throw new UsageError(`Cannot use ${shown(written)}: there is no such flag${question(nearestFlags(name), "--")}`);
  return flags[name as FlagName].kind;
}

/** Asks whether the user meant these flags, or these variables. */
function question(names: readonly string[], prefix: string): string {
  return names.length === 0 ? "" : ` (is it ${names.map((name) => prefix + name).join(" or ")}?)`;
}

/** Warnings about variables that seem to be mistyped. Other variables with the prefix may belong to other programs. */
function mistypedVariables(env: Env): string[] {
  const known = new Set(flagTable.map(([name]) => variableOf(name)));
  const prefix = variableOf("");
  return Object.keys(env).flatMap((variable) => {
    if (!variable.startsWith(prefix) || known.has(variable)) return [];
    const names = nearestFlags(variable.slice(prefix.length)).filter((name) => Object.hasOwn(flags, name));
    const meant = question(names.map(variableOf), "");
    return meant === "" ? [] : [`${shown(variable)} does nothing: no flag has this variable${meant}`];
  });
}

/** The address that --probe asks. Throws UsageError. */
function probed(rest: readonly string[]): ListenAddress {
  if (rest.length > 1) throw new UsageError(`Cannot use --probe: ${quote(rest[1]!)} is one argument too many`);
  return parseValue("--probe ", rest[0] ?? "", probedAddress);
}

/** An address as --admin takes it, except a port that the system chooses. */
const probedAddress: Value<ListenAddress> = {
  accepts: LISTEN_ADDRESS_FORMS,
  parse(text) {
    const address = parseListenAddress(text.replace(/^http:\/\/(.*?)\/?$/i, "$1"));
    return address?.port === 0 ? undefined : address;
  },
};

function readConfig(given: Map<FlagName, string[]>, rest: string[], env: Env): Config {
  const chosen = Object.fromEntries(
    flagTable.map(([name, flag]) => [camelCase(name), readFlag(name, flag, given.get(name), env)]),
  ) as FlagValues;
  const read = readFiles(chosen.read, chosen.follow);
  const { interfaceName, vni, port, forwardTo } = readPositionals(rest, read !== undefined);
  if (chosen.compare && chosen.mode !== "http") throw new UsageError("Cannot use --compare: it needs --mode http");
  const also = furtherOf(chosen);
  if ((chosen.tlsCert === undefined) !== (chosen.tlsKey === undefined))
    throw new UsageError("Cannot use one of --tls-cert and --tls-key alone: a certificate goes with its key");
  const address = parseValue("<forward_addr> ", forwardTo, forwardAddress);
  const destinations = [address, ...also];
  refuseContradictions(chosen, destinations);
  const told = [...mistypedVariables(env), ...withoutEffect(chosen, destinations)];
  if (chosen.loop > 1 && (chosen.follow || chosen.dryRun || chosen.read.includes("-")))
    throw new UsageError("Cannot use --loop: it needs --read of files, without --follow and --dry-run");
  return {
    ...chosen,
    told,
    also,
    interfaceName,
    read,
    vnis: readVnis(vni, chosen.encapsulation),
    ports: parseValue("<original_destination_port> ", port, listOf(wholeNumber(1, PORT_MAX), LIST_MAX)),
    address,
    headEdits: headEdits({ ...chosen, host: chosen.host === "endpoint" ? hostField(address) : chosen.host }),
    threads: read === undefined ? (chosen.threads ?? Math.min(availableParallelism(), THREADS_MAX)) : 1,
    gapTimeoutMs: chosen.gapTimeoutMs ?? (read === undefined || chosen.follow ? GAP_TIMEOUT_LIVE_MS : Infinity),
    logFormat: chosen.logFormat ?? (isatty(2) ? "pretty" : "plain"),
  };
}

interface Positionals {
  /** Undefined: a savefile is read. */
  readonly interfaceName: string | undefined;
  readonly vni: string;
  readonly port: string;
  readonly forwardTo: string;
}

/** The positional arguments. `isReading`: there is no interface. Throws UsageError. */
function readPositionals(rest: readonly string[], isReading: boolean): Positionals {
  const expected = isReading ? positionals.slice(1) : positionals;
  const missing = expected[rest.length];
  const names = expected.map(({ name }) => `<${name}>`).join(" ");
  if (missing !== undefined) throw new UsageError(`Cannot start: <${missing.name}> is missing (expected ${names})`);
  if (rest.length > expected.length) {
    throw new UsageError(`Cannot start: ${quote(rest[expected.length]!)} is one argument too many (expected ${names})`);
  }
  const [vni, port, forwardTo] = rest.slice(-3) as [string, string, string];
  const interfaceName = isReading ? undefined : rest[0]!;
  if (interfaceName === "")
    throw new UsageError(`Cannot use <interface> "": the name of a network interface is expected`);
  return { interfaceName, vni, port, forwardTo };
}

/** The savefiles' paths; undefined: no savefile is read. Throws UsageError. */
function readFiles(read: readonly string[], follow: boolean): readonly string[] | undefined {
  if (read.filter((path) => path === "-").length > 1)
    throw new UsageError('Cannot use --read="-" twice: there is one standard input');
  if (follow && (read.length !== 1 || read[0] === "-"))
    throw new UsageError("Cannot use --follow: it needs --read with one file's path");
  return read.length === 0 ? undefined : read;
}

/** Throws UsageError. */
function readVnis(text: string, encapsulation: Encapsulation): readonly number[] | "any" {
  const max = encapsulation === "gre" ? KEY_MAX : VNI_MAX;
  const vnis = parseValue("<vni> ", text, listOrAny(wholeNumber(0, max), LIST_MAX));
  if (encapsulation === "none" && vnis !== "any")
    throw new UsageError(
      `Cannot use <vni> ${quote(text)} with --encapsulation none: plain frames have no VNI, use any`,
    );
  return vnis;
}

/** A flag's value: as given, else by the first of its variables that is set and not empty, else its default. */
function readFlag(name: FlagName, flag: Flag<unknown>, given: string[] | undefined, env: Env): unknown {
  if (given !== undefined) {
    if (given.includes("")) throw new UsageError(`Cannot use --${name}: it needs a value, ${flag.value.accepts}`);
    return combine(
      flag,
      given.map((text) => parseValue(`--${name}=`, text, flag.value as Value<unknown>)),
    );
  }
  const own: Variable<unknown> = { name: variableOf(name), value: flag.value };
  const others = flag.kind === "single" ? (flag.variables ?? []) : [];
  for (const variable of [own, ...others]) {
    const text = env[variable.name];
    if (!text) continue;
    const texts = flag.kind === "list" ? text.split(/\r?\n/).filter((line) => line.trim() !== "") : [text];
    return combine(
      flag,
      texts.map((line) => parseValue(`${variable.name}=`, line, variable.value)),
    );
  }
  return flag.default;
}

function combine(flag: Flag<unknown>, values: unknown[]): unknown {
  return flag.kind === "list" ? values : values.at(-1);
}
