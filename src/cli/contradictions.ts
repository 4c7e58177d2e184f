/** Options that contradict each other, or that are of no use together: they are refused. */
import { resolve } from "node:path";
import { addressName, type ForwardAddress, type ListenAddress } from "../address.ts";
import { UsageError } from "../errors.ts";
import { FORWARDED_FIELDS, type HeadEdits, MARK_FIELD } from "../policy/head-edits.ts";
import type { FlagValues } from "./flags.ts";
import { quote } from "./values.ts";

/** The most further destinations: each has a part of --max-buffer-mib. */
const ALSO_MAX = 8;

/** The further destinations, the control last. Throws UsageError if there are too many, or one is given twice. */
export function furtherOf({ also, control }: FlagValues): readonly ForwardAddress[] {
  const further = control === undefined ? also : [...also, control];
  if (also.length > ALSO_MAX) throw new UsageError(`Cannot use --also ${also.length} times: the limit is ${ALSO_MAX}`);
  const names = further.map(addressName);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UsageError(`Cannot use --also ${twice}: it is given already`);
  return further;
}

/** Throws UsageError. `destinations`: all of them, the endpoint first. */
export function refuseContradictions(chosen: FlagValues, destinations: readonly ForwardAddress[]): void {
  refuseFiles(chosen, destinations);
  refuseOwnPort(chosen.admin, destinations);
  refuseWithoutHttp(chosen);
  if (chosen.noRedact && chosen.redact.length > 0)
    throw new UsageError("Cannot use --redact: with --no-redact nothing is blotted out; use one of the two");
}

/** The edits of heads. Throws UsageError if two flags change the same field. */
export function headEdits({
  rewritePath,
  removeHeader,
  host,
  setHeader,
  forwarded,
  mark,
}: HeadEdits): HeadEdits | null {
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
function refuseFiles(chosen: FlagValues, destinations: readonly ForwardAddress[]): void {
  const { mode, control, host } = chosen;
  const address = destinations[0]!;
  const file = destinations.find((each) => each.file !== undefined);
  if (file === undefined) return;
  const refuse = (name: ForwardAddress, why: string): never => {
    throw new UsageError(`Cannot use ${addressName(name)}: ${why}`);
  };
  if (mode !== "http") refuse(file, "a file receives whole requests, so it needs --mode http");
  const paths = destinations.flatMap((each) => (each.file === undefined ? [] : [resolve(each.file)]));
  if (new Set(paths).size < paths.length) refuse(file, "it is given twice");
  if (control?.file !== undefined) refuse(control, "--control needs an endpoint that responds");
  if (address.file === undefined) return;
  if (control !== undefined) refuse(address, "--control needs an endpoint that responds");
  if (chosen.differences !== undefined) refuse(address, "--differences needs an endpoint that responds");
  if (chosen.failOnDifferences) refuse(address, "--fail-on-differences needs an endpoint that responds");
  if (host === "endpoint") refuse(address, "--host endpoint needs an endpoint with a name");
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
