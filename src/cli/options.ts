/** The command line and the environment, read into what the program is asked to do. */
import { availableParallelism } from "node:os";
import { isatty } from "node:tty";
import { type ArgsDef, parseArgs } from "citty";
import { UsageError } from "../errors.ts";
import { hostField } from "../address.ts";
import type { Config } from "../config.ts";
import { type HeaderEdits, MARK_FIELD } from "../http/header-edits.ts";
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
import { type Field, parseValue, quote, type Value, wholeNumber } from "./values.ts";

/** Further destinations: each has a part of --max-buffer-mib. */
const ALSO_MAX = 8;
const VNI_MAX = 2 ** 24 - 1;
const PORT_MAX = 65_535;

export type Request = { kind: OtherFlagName } | { kind: "run"; config: Config };

export const positionals = [
  { name: "interface", help: "network interface to capture on" },
  { name: "vni", help: "VXLAN network identifier of the mirror session" },
  { name: "original_destination_port", help: "TCP port of the mirrored service" },
  { name: "forward_addr", help: `the endpoint: ${FORWARD_ADDRESS_FORMS}` },
] as const;

const writtenOtherFlags = new Set(
  otherFlagTable.flatMap(([name, { letter }]) => (letter === undefined ? [`--${name}`] : [`--${name}`, `-${letter}`])),
);

type Env = NodeJS.ProcessEnv;

/** Reads the command line. Throws UsageError. */
export function readRequest(argv: string[], env: Env): Request {
  const { given, plain } = takeLists(argv);
  const args = parseArgs(plain, cittyArgs);
  for (const [kind] of otherFlagTable) if (args[kind] === true) return { kind };
  for (const [name, flag] of flagTable) {
    const value = args[name];
    if (flag.kind === "switch" && value === true) given.set(name, ["yes"]);
    if (flag.kind === "single" && value !== undefined) given.set(name, [typeof value === "string" ? value : ""]);
  }
  return { kind: "run", config: readConfig(given, args._, env) };
}

const cittyArgs: ArgsDef = {
  ...Object.fromEntries(
    flagTable.map(([name, { kind }]) => [name, { type: kind === "switch" ? "boolean" : "string" }]),
  ),
  ...Object.fromEntries(otherFlagTable.map(([name, { letter }]) => [name, { type: "boolean", alias: letter ?? [] }])),
};

interface Parts {
  /** What stands behind each flag that may be repeated, in order; empty where nothing does. */
  readonly given: Map<FlagName, string[]>;
  /** The other arguments. */
  readonly plain: string[];
}

/**
 * Takes out what citty does not read: flags that may be repeated. It takes any flag for one of its own; here only those
 * that are declared are. Throws UsageError at a flag that there is not.
 */
function takeLists(argv: string[]): Parts {
  const parts: Parts = { given: new Map(), plain: [] };
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    if (argument === "--") return { ...parts, plain: parts.plain.concat(argv.slice(i)) };
    const [, written, value] = /^([^=]*)(?:=(.*))?$/s.exec(argument) as unknown as [string, string, string | undefined];
    const kind = argument.startsWith("-") && argument !== "-" ? kindOf(written) : "argument";
    if (kind === "switch" && value !== undefined)
      throw new UsageError(`Cannot use ${argument}: ${written} takes no value`);
    if (kind === "list") {
      const name = written.slice(2) as FlagName;
      parts.given.set(name, [...(parts.given.get(name) ?? []), value ?? argv[++i] ?? ""]);
    } else {
      // A value may begin as a flag does.
      parts.plain.push(kind === "single" && value === undefined ? `${argument}=${argv[++i] ?? ""}` : argument);
    }
  }
  return parts;
}

function kindOf(written: string): Flag<unknown>["kind"] {
  if (writtenOtherFlags.has(written)) return "switch";
  const name = written.slice(2);
  if (!written.startsWith("--") || !Object.hasOwn(flags, name))
    throw new UsageError(`Cannot use ${written}: there is no such flag`);
  return flags[name as FlagName].kind;
}

function readConfig(given: Map<FlagName, string[]>, rest: string[], env: Env): Config {
  const chosen = Object.fromEntries(
    flagTable.map(([name, flag]) => [camelCase(name), readFlag(name, flag, given.get(name), env)]),
  ) as FlagValues;

  const expected = chosen.read === undefined ? positionals : positionals.slice(1);
  const missing = expected[rest.length];
  const names = expected.map(({ name }) => `<${name}>`).join(" ");
  if (missing !== undefined) throw new UsageError(`Cannot start: <${missing.name}> is missing (expected ${names})`);
  if (rest.length > expected.length) {
    throw new UsageError(`Cannot start: ${quote(rest[expected.length]!)} is one argument too many (expected ${names})`);
  }
  const [vni, port, addressText] = rest.slice(-3) as [string, string, string];
  const interfaceName = chosen.read === undefined ? rest[0]! : undefined;
  if (interfaceName === "")
    throw new UsageError(`Cannot use <interface> "": the name of a network interface is expected`);
  if (chosen.also.length > ALSO_MAX)
    throw new UsageError(`Cannot use --also ${chosen.also.length} times: ${ALSO_MAX} is the most`);
  if ((chosen.tlsCert === undefined) !== (chosen.tlsKey === undefined))
    throw new UsageError("Cannot use one of --tls-cert and --tls-key alone: a certificate goes with its key");
  const address = parseValue("<forward_addr> ", addressText, forwardAddress);
  return {
    ...chosen,
    interfaceName,
    vni: parseValue("<vni> ", vni, wholeNumber(0, VNI_MAX)),
    port: parseValue("<original_destination_port> ", port, wholeNumber(1, PORT_MAX)),
    address,
    headerEdits: headerEdits(
      chosen.host === "endpoint" ? hostField(address) : chosen.host,
      chosen.setHeader,
      chosen.mark,
    ),
    threads: chosen.read === undefined ? (chosen.threads ?? Math.min(availableParallelism(), THREADS_MAX)) : 1,
    gapTimeoutMs: chosen.gapTimeoutMs ?? (chosen.read === undefined ? GAP_TIMEOUT_LIVE_MS : Infinity),
    logFormat: chosen.logFormat ?? (isatty(2) ? "pretty" : "plain"),
  };
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

/** Throws UsageError where two of them would set the same field. */
function headerEdits(host: string | undefined, fields: readonly Field[], mark: boolean): HeaderEdits | null {
  const setBy = new Map<string, string>();
  if (host !== undefined) setBy.set("host", "--host");
  if (mark) setBy.set(MARK_FIELD.toLowerCase(), "--mark");
  for (const [name, value] of fields) {
    const by = `--set-header ${quote(`${name}: ${value}`)}`;
    const other = setBy.get(name.toLowerCase());
    if (other !== undefined)
      throw new UsageError(`Cannot use ${by}: ${other} sets ${name} already; use one of the two`);
    setBy.set(name.toLowerCase(), by);
  }
  return host === undefined && fields.length === 0 && !mark ? null : { host, fields, mark };
}
