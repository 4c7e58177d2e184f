/** Reads the command line and the environment into a request to the program. */
import { availableParallelism } from "node:os";
import { isatty } from "node:tty";
import { type ArgsDef, parseArgs } from "citty";
import { UsageError } from "../errors.ts";
import { resolve } from "node:path";
import { addressName, type ForwardAddress, hostField, type ListenAddress, PORT_MAX } from "../address.ts";
import type { Config } from "../config.ts";
import { type Encapsulation, LIST_MAX } from "../decode/tunnel.ts";
import { FORWARDED_FIELDS, type HeadEdits, MARK_FIELD } from "../policy/head-edits.ts";
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

/** The most further destinations: each has a part of --max-buffer-mib. */
const ALSO_MAX = 8;
const VNI_MAX = 2 ** 24 - 1;

/** The request that a command line makes: a run, or one of the other flags. */
export type Request =
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
  const expected = read === undefined ? positionals : positionals.slice(1);
  const missing = expected[rest.length];
  const names = expected.map(({ name }) => `<${name}>`).join(" ");
  if (missing !== undefined) throw new UsageError(`Cannot start: <${missing.name}> is missing (expected ${names})`);
  if (rest.length > expected.length) {
    throw new UsageError(`Cannot start: ${quote(rest[expected.length]!)} is one argument too many (expected ${names})`);
  }
  const [vni, port, addressText] = rest.slice(-3) as [string, string, string];
  const interfaceName = read === undefined ? rest[0]! : undefined;
  if (interfaceName === "")
    throw new UsageError(`Cannot use <interface> "": the name of a network interface is expected`);
  if (chosen.compare && chosen.mode !== "http") throw new UsageError("Cannot use --compare: it needs --mode http");
  const also = chosen.control === undefined ? chosen.also : [...chosen.also, chosen.control];
  if (chosen.also.length > ALSO_MAX)
    throw new UsageError(`Cannot use --also ${chosen.also.length} times: the limit is ${ALSO_MAX}`);
  const alsoNames = also.map(addressName);
  const twice = alsoNames.find((name, i) => alsoNames.indexOf(name) < i);
  if (twice !== undefined) throw new UsageError(`Cannot use --also ${twice}: it is given already`);
  if ((chosen.tlsCert === undefined) !== (chosen.tlsKey === undefined))
    throw new UsageError("Cannot use one of --tls-cert and --tls-key alone: a certificate goes with its key");
  const address = parseValue("<forward_addr> ", addressText, forwardAddress);
  refuseFiles(chosen, address, also);
  refuseOwnPort(chosen.admin, [address, ...also]);
  refuseWithoutHttp(chosen);
  if (chosen.noRedact && chosen.redact.length > 0)
    throw new UsageError("Cannot use --redact: with --no-redact nothing is blotted out; use one of the two");
  const told = [...mistypedVariables(env), ...withoutEffect(chosen, [address, ...also])];
  if (chosen.loop > 1 && (chosen.follow || chosen.dryRun || read!.includes("-")))
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

/** Throws UsageError where requests would go to the program itself. */
function refuseOwnPort(admin: ListenAddress | undefined, destinations: readonly ForwardAddress[]): void {
  const own = destinations.find(
    (each) =>
      admin !== undefined && each.file === undefined && each.port === admin.port && isSameHost(each.host, admin.host),
  );
  if (own !== undefined) throw new UsageError(`Cannot forward to ${addressName(own)}: --admin serves there`);
}

/** As far as the names tell. */
function isSameHost(name: string, listening: string): boolean {
  const here = ["localhost", "127.0.0.1", "::1"];
  const any = ["0.0.0.0", "::"];
  const isHere = here.includes(name.toLowerCase()) || any.includes(name);
  return name.toLowerCase() === listening.toLowerCase() || (isHere && [...here, ...any].includes(listening));
}

/** Throws UsageError if an option needs a destination that is no file. */
function refuseFiles(chosen: FlagValues, address: ForwardAddress, also: readonly ForwardAddress[]): void {
  const { mode, control, host } = chosen;
  const all = [address, ...also];
  const file = all.find((each) => each.file !== undefined);
  if (file === undefined) return;
  const refuse = (name: ForwardAddress, why: string): never => {
    throw new UsageError(`Cannot use ${addressName(name)}: ${why}`);
  };
  if (mode !== "http") refuse(file, "a file receives whole requests, so it needs --mode http");
  const paths = all.flatMap((each) => (each.file === undefined ? [] : [resolve(each.file)]));
  if (new Set(paths).size < paths.length) refuse(file, "it is given twice");
  if (control?.file !== undefined) refuse(control, "--control needs an endpoint that responds");
  if (address.file === undefined) return;
  if (control !== undefined) refuse(address, "--control needs an endpoint that responds");
  if (chosen.differences !== undefined) refuse(address, "--differences needs an endpoint that responds");
  if (chosen.failOnDifferences) refuse(address, "--fail-on-differences needs an endpoint that responds");
  if (host === "endpoint") refuse(address, "--host endpoint needs an endpoint with a name");
}

/** The savefiles' paths; undefined: no savefile is read. Throws UsageError. */
function readFiles(paths: readonly (string | undefined)[], follow: boolean): readonly string[] | undefined {
  const read = paths.filter((path) => path !== undefined);
  if (read.filter((path) => path === "-").length > 1)
    throw new UsageError('Cannot use --read="-" twice: there is one standard input');
  if (follow && (read.length !== 1 || read[0] === "-"))
    throw new UsageError("Cannot use --follow: it needs --read with one file's path");
  return read.length === 0 ? undefined : read;
}

/** Throws UsageError. */
function readVnis(text: string, encapsulation: Encapsulation): readonly number[] | "any" {
  const vnis = parseValue("<vni> ", text, listOrAny(wholeNumber(0, VNI_MAX), LIST_MAX));
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

/** The edits of heads. Throws UsageError if two flags change the same field. */
function headEdits({ rewritePath, removeHeader, host, setHeader, forwarded, mark }: HeadEdits): HeadEdits | null {
  const doneBy = new Map<string, [by: string, does: string]>();
  const note = (name: string, by: string, does: string) => {
    const [other, otherDoes] = doneBy.get(name.toLowerCase()) ?? [];
    if (other !== undefined)
      throw new UsageError(`Cannot use ${by}: ${other} ${otherDoes} ${name} already; use one of the two`);
    doneBy.set(name.toLowerCase(), [by, does]);
  };
  if (host !== undefined) note("Host", "--host", "sets");
  if (mark) note(MARK_FIELD, "--mark", "sets");
  if (forwarded) for (const name of FORWARDED_FIELDS) note(name, "--forwarded", "sets");
  for (const [name, value] of setHeader) note(name, `--set-header ${quote(`${name}: ${value}`)}`, "sets");
  for (const name of removeHeader) {
    // The client's own field is removed, and one made from the packets is added.
    const isReplaced = forwarded && FORWARDED_FIELDS.includes(name);
    if (!isReplaced) note(name, `--remove-header ${name}`, "removes");
  }
  const edits = { rewritePath, removeHeader, host, setHeader, forwarded, mark };
  const isNothing = rewritePath.length + removeHeader.length + setHeader.length === 0 && host === undefined;
  return isNothing && !forwarded && !mark ? null : edits;
}

/** Of a bare stream, only the client is known. Throws UsageError at a rule that asks for more. */
function refuseWithoutHttp({ mode, allow, deny, sample, ...others }: FlagValues): void {
  if (mode === "http") return;
  const needing: [flag: string, isUsed: boolean][] = [
    ...(["allow", "deny"] as const).flatMap((name) =>
      (name === "allow" ? allow : deny).map(({ kind }): [string, boolean] => [`--${name} ${kind}:`, kind !== "client"]),
    ),
    ["--sample", sample !== null && sample.key !== "client" && sample.key !== "connection"],
    ["--max-rate", others.maxRate !== Infinity],
    ["--dry-run", others.dryRun],
    ["--rewrite-path", others.rewritePath.length > 0],
    ["--remove-header", others.removeHeader.length > 0],
    ["--host", others.host !== undefined],
    ["--set-header", others.setHeader.length > 0],
    ["--forwarded", others.forwarded],
    ["--mark", others.mark],
  ];
  const [flag] = needing.find(([, isUsed]) => isUsed) ?? [];
  if (flag === undefined) return;
  throw new UsageError(
    `Cannot use ${flag}: it needs --mode http; in mode tcp there are client: rules, and --sample by client or connection`,
  );
}
