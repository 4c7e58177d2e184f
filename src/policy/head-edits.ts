/**
 * Changes in a request's head that the user has asked for. No edit can change where a request ends: framing fields
 * cannot be named, no text has a line end, and lines are removed or inserted whole.
 */
import type { FieldLines, HeadView } from "../http/head-view.ts";
import type { Client } from "./client.ts";
import { find, Pattern } from "./pattern.ts";
import { type Program, regexProgram } from "./pattern-program.ts";
import { Unreadable, whyNoName } from "../unreadable.ts";

/** The field with the client's address that --mark adds. */
export const MARK_FIELD = "X-Mirrored-From";

/** A header field: name and value. */
export type Field = readonly [name: string, value: string];

/** A part of a path, and its replacement. */
export interface Rewrite {
  readonly regex: string;
  /**
   * The replacement, with `$1` to `$9` for the regex's groups, `$0` for the whole match, and `$$` for a dollar sign.
   */
  readonly text: string;
}

/** The edits of heads, as plain data. */
export interface HeadEdits {
  /** Applied one after the other, each to the result of those before it. */
  readonly rewritePath: readonly Rewrite[];
  /** Names of fields that are left out, in lower case. */
  readonly removeHeader: readonly string[];
  /** Replaces Host, and the authority in a target of absolute-form. */
  readonly host: string | undefined;
  /** Replace all fields of these names. */
  readonly setHeader: readonly Field[];
  /** Adds the client's address to X-Forwarded-For, and sets -Port, -Proto and -Host if they are absent. */
  readonly forwarded: boolean;
  /** Adds the client's address, and refuses requests that already have it. */
  readonly mark: boolean;
}

/** The fields that --forwarded adds or sets, in lower case. */
const FORWARDED_FOR = "x-forwarded-for";
/** The fields of --forwarded. */
export const FORWARDED_FIELDS = [FORWARDED_FOR, "x-forwarded-port", "x-forwarded-proto", "x-forwarded-host"];

const FRAMING_FIELDS = ["contentlength", "transferencoding", "connection"];

/** Whether a field of this name may be changed: some servers read framing fields by their letters alone. */
export function isEditable(name: string): boolean {
  return whyNoName(name) === null && !FRAMING_FIELDS.includes(name.toLowerCase().replace(/[^a-z]/g, ""));
}

/** Reads `REGEX=>TEXT`. */
export function readRewrite(written: string): Rewrite | Unreadable {
  const at = written.indexOf("=>");
  if (at < 0) return new Unreadable("REGEX=>TEXT is expected", written.length);
  const [regex, text] = [written.slice(0, at), written.slice(at + 2)];
  const program = regexProgram(regex);
  if (program instanceof Unreadable) return program;
  const wrong = /[^\x21-\x7e]|[?#]|\$(?![\d$])/.exec(text);
  if (wrong !== null)
    return new Unreadable(
      wrong[0] === "$" ? "a dollar sign is written $$" : "a path has printable characters, and no ? or #",
      at + 2 + wrong.index,
    );
  for (const { 0: reference, 1: group, index } of text.matchAll(/\$(?:\$|(\d))/g)) {
    if (group !== undefined && Number(group) > program.groups)
      return new Unreadable(`there is no group for ${reference}`, at + 2 + index);
  }
  return { regex, text };
}

/** Edits heads; one serves all requests. */
export class HeadEditor {
  private readonly rewrites: readonly { readonly program: Program; readonly pattern: Pattern; readonly text: string }[];
  /** Names of fields that are removed, in lower case. */
  private readonly taken: ReadonlySet<string>;
  /** Fields that are inserted into every request. */
  private readonly put: readonly Field[];
  private readonly host: string | undefined;

  constructor(private readonly edits: HeadEdits) {
    const { rewritePath, removeHeader, host, setHeader, mark } = edits;
    this.rewrites = rewritePath.map(({ regex, text }) => {
      const program = regexProgram(regex) as Program;
      return { program, pattern: new Pattern(program), text };
    });
    this.put = [...(host === undefined ? [] : [["Host", host] as const]), ...setHeader];
    const marks = mark ? [MARK_FIELD.toLowerCase()] : [];
    this.taken = new Set([...removeHeader, ...this.put.map(([name]) => name.toLowerCase()), ...marks]);
    this.host = host ?? setHeader.find(([name]) => name.toLowerCase() === "host")?.[1];
  }

  /** Whether a request is a mirrored one already. */
  isLoop(head: HeadView): boolean {
    return this.edits.mark && head.values(MARK_FIELD.toLowerCase()).length > 0;
  }

  /** The head with the edits: from the request line to the empty line, both included. */
  edit(head: HeadView, client: Client): Uint8Array {
    const kept = head.fields.filter(({ name }) => !this.taken.has(name));
    const added = this.put.map(([name, value]) => `${name}: ${value}`);
    if (this.edits.mark) added.push(`${MARK_FIELD}: ${client.address}`);
    const forwarded = this.edits.forwarded ? this.forward(head, client, kept, added) : kept;
    const line = head.beforeTarget + this.targetOf(head) + head.behindTarget;
    const lines = [line, ...added, ...forwarded.flatMap(({ lines }) => lines), "", ""];
    return Buffer.from(lines.join(head.lineEnd), "latin1");
  }

  /** In absolute-form the target's authority counts, and not the field (RFC 9112, section 3.2.2). */
  private targetOf(head: HeadView): string {
    const { target, pathFrom, pathTo } = head;
    const path = target.slice(pathFrom, pathTo);
    const form = head.absoluteForm;
    const before = form === null || this.host === undefined ? target.slice(0, pathFrom) : form[1] + this.host;
    // A request without a path in its target (OPTIONS *, CONNECT) has no path that could be rewritten.
    const isPath = path.startsWith("/") || (path === "" && form !== null && head.method !== "CONNECT");
    return before + (isPath ? this.rewrite(path) : path) + target.slice(pathTo);
  }

  private rewrite(path: string): string {
    let rewritten = path;
    for (const { program, pattern, text } of this.rewrites) {
      const marks = pattern.matches(rewritten) ? find(program, rewritten) : null;
      if (marks === null) continue;
      const before = rewritten;
      const group = (index: number) => before.slice(Math.max(marks[2 * index]!, 0), Math.max(marks[2 * index + 1]!, 0));
      const put = text.replace(/\$(?:\$|(\d))/g, (_, digit?: string) => (digit ? group(Number(digit)) : "$"));
      rewritten = before.slice(0, marks[0]) + put + before.slice(marks[1]);
      if (!rewritten.startsWith("/")) rewritten = `/${rewritten}`;
    }
    return rewritten;
  }

  /**
   * Puts missing fields into `added`. Returns the fields that are kept, with the client's address added to
   * X-Forwarded-For.
   */
  private forward(head: HeadView, client: Client, kept: readonly FieldLines[], added: string[]): readonly FieldLines[] {
    const lacks = (name: string) => !kept.some((field) => field.name === name);
    if (lacks("x-forwarded-port")) added.push(`X-Forwarded-Port: ${client.serverPort}`);
    // A request that can be read here was not encrypted; a proxy that has decrypted it before has set the field.
    if (lacks("x-forwarded-proto")) added.push("X-Forwarded-Proto: http");
    const { host } = head;
    if (lacks("x-forwarded-host") && host !== undefined) added.push(`X-Forwarded-Host: ${host}`);
    const last = kept.findLastIndex(({ name }) => name === FORWARDED_FOR);
    if (last < 0) {
      added.push(`X-Forwarded-For: ${client.address}`);
      return kept;
    }
    return kept.with(last, withElement(kept[last]!, client.address));
  }
}

/** The lines of a list (RFC 9110, section 5.6.1) with one more element. */
function withElement({ name, lines }: FieldLines, element: string): FieldLines {
  const before = lines.at(-1)!.replace(/[ \t]+$/, "");
  const isEmpty = lines.length === 1 && before.endsWith(":");
  return { name, lines: [...lines.slice(0, -1), before + (isEmpty ? " " : ", ") + element] };
}
