/**
 * The rules of --allow and --deny, which tell the requests to be forwarded. A rule is plain data, and is compiled where
 * it is used.
 */
import { addressGroups, isIpv4, versionOf } from "../http/client-address.ts";
import { HeadView } from "../http/head-view.ts";
import type { Client } from "./client.ts";
import { Pattern } from "./pattern.ts";
import { globProgram, type Program, regexProgram } from "./pattern-program.ts";
import { isNoPath, PATHS_BEGIN, Unreadable, whyNoName } from "../unreadable.ts";

/** The kinds of rules. */
export const RULE_KINDS = ["method", "path", "path-regex", "host", "header", "client"] as const;
/** One of {@link RULE_KINDS}. */
export type RuleKind = (typeof RULE_KINDS)[number];

/** `KIND:PATTERN`. */
export interface Rule {
  readonly kind: RuleKind;
  readonly pattern: string;
}

/** Whether a rule matches a request. */
interface Matcher {
  readonly kind: RuleKind;
  /** The rule as it was written. */
  readonly text: string;
  matches(head: HeadView, client: Client): boolean;
}

const NO_HEAD = new HeadView("\n\n");
const SAFE_METHODS = ["GET", "HEAD", "OPTIONS"];
const METHOD = /^[!#$%&'*+.^`|~\w-]+$/;
const BITS_OF_GROUP = 16;
const IPV4_BITS = 32;
const IPV6_BITS = 128;

/** Reads a rule; {@link compileRule} takes every rule that was read. */
export function readRule(text: string): Rule | Unreadable {
  const colon = text.indexOf(":");
  const kind = RULE_KINDS.find((known) => known === text.slice(0, Math.max(colon, 0)));
  if (kind === undefined) return new Unreadable(`a rule begins with ${RULE_KINDS.join(":, ")}:`, 0);
  const rule = { kind, pattern: text.slice(colon + 1) };
  if (rule.pattern === "") return new Unreadable("a pattern is missing", text.length);
  const compiled = compile(rule);
  return compiled instanceof Unreadable ? compiled.behind(colon + 1) : rule;
}

/** Decides about requests by --allow and --deny. */
export class Rules {
  private readonly denying: readonly Matcher[];
  /** The rules of --allow, by kind. */
  private readonly allowing: readonly (readonly [RuleKind, readonly Matcher[]])[];

  constructor(allow: readonly Rule[], deny: readonly Rule[]) {
    this.denying = deny.map(compileRule);
    this.allowing = [...Map.groupBy(allow.map(compileRule), ({ kind }) => kind)];
  }

  /** The rule that keeps a request from being forwarded, in words; null: no rule does. */
  against(head: HeadView, client: Client): string | null {
    for (const rule of this.denying) if (rule.matches(head, client)) return `--deny ${rule.text}`;
    for (const [kind, rules] of this.allowing) {
      if (!rules.some((rule) => rule.matches(head, client))) return `--allow ${kind}:`;
    }
    return null;
  }

  /**
   * The rule that keeps a stream from being forwarded, if its requests cannot be seen; null: no rule does. A rule that
   * only a request could match does not count as allowed, nor as not denied.
   */
  againstStream(client: Client): string | null {
    for (const rule of this.denying) {
      if (rule.kind !== "client" || rule.matches(NO_HEAD, client)) return `--deny ${rule.text}`;
    }
    for (const [kind, rules] of this.allowing) {
      if (kind !== "client" || !rules.some((rule) => rule.matches(NO_HEAD, client))) return `--allow ${kind}:`;
    }
    return null;
  }
}

function compileRule(rule: Rule): Matcher {
  const matches = compile(rule);
  if (matches instanceof Unreadable) throw new Error(`${rule.kind}:${rule.pattern} was not read: ${matches.why}`);
  return { kind: rule.kind, text: `${rule.kind}:${rule.pattern}`, matches };
}

function compile({ kind, pattern }: Rule): Matcher["matches"] | Unreadable {
  switch (kind) {
    case "method":
      return methodRule(pattern);
    case "path":
      if (isNoPath(pattern)) return new Unreadable(PATHS_BEGIN, 0);
      return patternRule(
        globProgram(pattern, "path"),
        (compiled) =>
          ({ path }) =>
            compiled.matches(path),
      );
    case "path-regex":
      return patternRule(
        regexProgram(pattern),
        (compiled) =>
          ({ path }) =>
            compiled.matches(path),
      );
    case "host":
      return hostRule(pattern);
    case "header":
      return headerRule(pattern);
    case "client":
      return clientRule(pattern);
  }
}

function patternRule(
  program: Program | Unreadable,
  rule: (pattern: Pattern) => Matcher["matches"],
): Matcher["matches"] | Unreadable {
  return program instanceof Unreadable ? program : rule(new Pattern(program));
}

function methodRule(pattern: string): Matcher["matches"] | Unreadable {
  const methods = new Set<string>();
  let at = 0;
  for (const word of pattern.split(",")) {
    if (word === "safe") for (const method of SAFE_METHODS) methods.add(method);
    else if (!METHOD.test(word)) return new Unreadable("a method, or safe, is expected", at);
    else if (word !== word.toUpperCase()) return new Unreadable("methods are written in capitals", at);
    else methods.add(word);
    at += word.length + 1;
  }
  return ({ method }) => methods.has(method);
}

/** Matches hosts. A port counts only if the pattern names one. */
function hostRule(pattern: string): Matcher["matches"] | Unreadable {
  const hasPort = /:[\d*]+$/.test(pattern);
  return patternRule(
    globProgram(pattern.toLowerCase(), "text"),
    (compiled) =>
      ({ hosts }) =>
        hosts.some((host) => compiled.matches(hasPort ? host : host.replace(/:\d*$/, ""))),
  );
}

function headerRule(pattern: string): Matcher["matches"] | Unreadable {
  const equals = pattern.indexOf("=");
  const name = equals < 0 ? pattern : pattern.slice(0, equals);
  const why = whyNoName(name);
  if (why !== null) return why;
  const field = name.toLowerCase();
  if (equals < 0) return ({ fields }) => fields.some((each) => each.name === field);
  const rule = patternRule(
    globProgram(pattern.slice(equals + 1), "text"),
    (compiled) => (head) => head.values(field).some((value) => compiled.matches(value)),
  );
  return rule instanceof Unreadable ? rule.behind(equals + 1) : rule;
}

function clientRule(pattern: string): Matcher["matches"] | Unreadable {
  const [address, bitsText, more] = pattern.split("/") as [string, string | undefined, string | undefined];
  const version = versionOf(address);
  const groups = addressGroups(address, version);
  if (groups === null) return new Unreadable("an address, or a network as 10.0.0.0/8, is expected", 0);
  const bitsMax = version === 4 ? IPV4_BITS : IPV6_BITS;
  const bits = bitsText === undefined ? bitsMax : /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : NaN;
  if (!(bits <= bitsMax) || more !== undefined)
    return new Unreadable(`a number of bits from 0 to ${bitsMax} is expected`, address.length + 1);
  const known = IPV6_BITS - bitsMax + bits;
  const masks = groups.map((_, i) => maskOf(known - i * BITS_OF_GROUP));
  if (groups.some((group, i) => (group & ~masks[i]!) !== 0))
    return new Unreadable(`the address has more bits than /${bits} leaves to it`, 0);
  const wantsIpv4 = version === 4;
  return (_, client) =>
    isIpv4(client.groups) === wantsIpv4 && groups.every((group, i) => (client.groups[i]! & masks[i]!) === group);
}

/** A mask for the first `bits` bits of a group. */
function maskOf(bits: number): number {
  const kept = Math.min(Math.max(bits, 0), BITS_OF_GROUP);
  return (0xffff << (BITS_OF_GROUP - kept)) & 0xffff;
}
