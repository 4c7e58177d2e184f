/** The rules of --redact, as they are given. */
import { Unreadable, whyNoName } from "../unreadable.ts";

export const REDACT_FORMS = "header:NAME, query:NAME or json:PATH";

export const REDACT_KINDS = ["header", "query", "json"] as const;
export type RedactKind = (typeof REDACT_KINDS)[number];

/** One rule of --redact: plain data, because it goes to threads. */
export interface RedactRule {
  readonly kind: RedactKind;
  readonly pattern: string;
}

/** Reads one rule of --redact; undefined: the text is no rule. */
export function parseRedactRule(text: string): RedactRule | Unreadable | undefined {
  const [, kind, pattern] = /^([a-z]+):(.+)$/s.exec(text) ?? [];
  const known = REDACT_KINDS.find((name) => name === kind);
  if (known === undefined || pattern === undefined) return undefined;
  const why = known === "header" ? whyNoName(pattern) : whyPattern(pattern);
  return why === null ? { kind: known, pattern } : why.behind(known.length + 1);
}

/**
 * The fault of a name of query fields or JSON members: any name is allowed, but `*` would be taken for a pattern, and
 * blot out nothing.
 */
function whyPattern(text: string): Unreadable | null {
  const at = text.indexOf("*");
  return at < 0 ? null : new Unreadable("a name is expected, and no pattern", at);
}
