/** Policies with a few options; all others have their defaults. */
import type { HeadEdits } from "../../src/policy/head-edits.ts";
import { Policy, type PolicyOptions } from "../../src/policy/policy.ts";
import { readRule, type Rule } from "../../src/policy/rules.ts";
import { Unreadable } from "../../src/unreadable.ts";

const NO_EDITS: HeadEdits = {
  rewritePath: [],
  removeHeader: [],
  host: undefined,
  setHeader: [],
  forwarded: false,
  mark: false,
};
const NO_POLICY: PolicyOptions = {
  allow: [],
  deny: [],
  sample: null,
  maxRate: Infinity,
  headEdits: null,
  dryRun: false,
};

export function editsOf(edits: Partial<HeadEdits>): HeadEdits {
  return { ...NO_EDITS, ...edits };
}

export function policyFor(options: Partial<PolicyOptions>, random?: () => number): Policy {
  return new Policy({ ...NO_POLICY, ...options }, undefined, random);
}

/** A rule that can be read. */
export function ruleOf(text: string): Rule {
  const rule = readRule(text);
  if (rule instanceof Unreadable) throw new Error(`${text}: ${rule.why}`);
  return rule;
}

/** The hash of a key of --sample (policy/sample.ts), by another implementation. */
export function hashOfKey(key: string): number {
  return Bun.hash.murmur32v3(Buffer.from(Uint32Array.from(Buffer.from(key)).buffer), 0);
}
