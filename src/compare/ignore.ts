/** Decides which differences do not count: --ignore's rules, and fields that differ in every response. */
import { isNoPath, PATHS_BEGIN, Unreadable, whyNoName } from "../unreadable.ts";
import { globPattern } from "./glob.ts";

/** The accepted forms of --ignore, for messages. */
export const IGNORE_FORMS = "header:NAME, json:PATH, body:GLOB-OF-PATH, status:GLOB-OF-PATH or path:GLOB";

/** The kinds of rules of --ignore. */
export const IGNORE_KINDS = ["header", "json", "body", "status", "path"] as const;
/** One of {@link IGNORE_KINDS}. */
export type IgnoreKind = (typeof IGNORE_KINDS)[number];

/** One rule of --ignore as it was given: plain data, because it goes to threads. */
export interface IgnoreRule {
  readonly kind: IgnoreKind;
  readonly pattern: string;
}

/** Volatile fields, and ids of requests and traces. (Set-Cookie is not here: only its values are ignored.) */
export const IGNORED_FIELDS: ReadonlySet<string> = new Set([
  ...["date", "age", "server", "via", "connection", "keep-alive", "transfer-encoding", "content-length"],
  ...["x-request-id", "request-id", "x-correlation-id", "correlation-id", "x-trace-id", "trace-id", "x-span-id"],
  ...["traceparent", "tracestate", "traceresponse", "x-cloud-trace-context", "uber-trace-id", "sentry-trace"],
  ...["x-amzn-trace-id", "x-amzn-requestid", "x-amz-request-id", "x-amz-id-2", "x-amz-cf-id", "x-ms-request-id"],
  ...["x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "b3", "cf-ray", "fly-request-id"],
  ...["x-datadog-trace-id", "x-datadog-parent-id", "x-vercel-id", "x-github-request-id"],
]);

/** Reads one rule of --ignore; undefined: the text is no rule. */
export function parseIgnoreRule(text: string): IgnoreRule | Unreadable | undefined {
  const [, kind, pattern] = /^([a-z]+):(.+)$/s.exec(text) ?? [];
  const known = IGNORE_KINDS.find((name) => name === kind);
  if (known === undefined || pattern === undefined) return undefined;
  const why = whyNot(known, pattern);
  return why === null ? { kind: known, pattern } : why.behind(known.length + 1);
}

function whyNot(kind: IgnoreKind, pattern: string): Unreadable | null {
  if (kind === "header") return whyNoName(pattern);
  if (kind !== "json") return isNoPath(pattern) ? new Unreadable(PATHS_BEGIN, 0) : null;
  const index = /\[\d+\]/.exec(pattern);
  return index === null ? null : new Unreadable("indices are left out of JSON paths: [] stands for all", index.index);
}

/** The rules, compiled. */
export class Ignored {
  private readonly fields = new Set(IGNORED_FIELDS);
  private readonly jsonPaths: RegExp[];
  private readonly bodies: RegExp[];
  private readonly statuses: RegExp[];
  private readonly paths: RegExp[];

  constructor(rules: readonly IgnoreRule[]) {
    const patterns = (kind: IgnoreKind, separators?: string) =>
      rules.filter((rule) => rule.kind === kind).map(({ pattern }) => globPattern(pattern, separators));
    for (const { kind, pattern } of rules) if (kind === "header") this.fields.add(pattern.toLowerCase());
    this.jsonPaths = patterns("json", ".[");
    this.bodies = patterns("body");
    this.statuses = patterns("status");
    this.paths = patterns("path");
  }

  /** Whether a header field is ignored. `name`: in lower case. */
  readonly header = (name: string): boolean => this.fields.has(name);
  /** Whether a place in a JSON body is ignored, with all within it. */
  readonly json = (path: string): boolean => this.jsonPaths.some((pattern) => pattern.test(path));

  /** Whether the bodies of responses for a path are ignored. */
  body(path: string): boolean {
    return this.bodies.some((pattern) => pattern.test(path));
  }

  /** Whether the statuses of responses for a path are ignored. */
  status(path: string): boolean {
    return this.statuses.some((pattern) => pattern.test(path));
  }

  /** Whether all parts of responses for a path are ignored. */
  path(path: string): boolean {
    return this.paths.some((pattern) => pattern.test(path));
  }
}
