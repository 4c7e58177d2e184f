/** The rules of --redact, as they are given. */

export const REDACT_FORMS = "header:NAME, query:NAME or json:PATH";

export const REDACT_KINDS = ["header", "query", "json"] as const;
export type RedactKind = (typeof REDACT_KINDS)[number];

/** One rule of --redact: plain data, because it goes to threads. */
export interface RedactRule {
  readonly kind: RedactKind;
  readonly pattern: string;
}

/** Reads one rule of --redact; undefined: the text is no rule. */
export function parseRedactRule(text: string): RedactRule | undefined {
  const [, kind, pattern] = /^([a-z]+):(.+)$/s.exec(text) ?? [];
  const known = REDACT_KINDS.find((name) => name === kind);
  return known === undefined || pattern === undefined ? undefined : { kind: known, pattern };
}
